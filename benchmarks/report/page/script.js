// Moves what the sliders move, and names the class under the pointer. Everything else works without.

const root = document.documentElement;
root.classList.add("has-script");

for (const wipe of document.querySelectorAll(".wipe")) {
  const slider = wipe.querySelector("input");
  const move = () => wipe.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", move);
  move();
}

const mix = document.getElementById("mix");
const blend = () => root.style.setProperty("--mix", mix.value / 100);
mix?.addEventListener("input", blend);
if (mix) blend();

const names = new Map([...document.querySelectorAll(".legend [data-rgb]")].map((item) => [item.dataset.rgb, item.textContent.trim()]));
const pixels = new WeakMap();

// Label maps are small; one is decoded when a pointer first comes over it.
function nameAt(image, x, y) {
  if (!pixels.has(image)) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    pixels.set(image, context);
  }
  const [red, green, blue, alpha] = pixels.get(image).getImageData(Math.floor(x * image.naturalWidth), Math.floor(y * image.naturalHeight), 1, 1).data;
  return alpha === 0 ? "no class" : (names.get(`${red},${green},${blue}`) ?? "");
}

for (const wipe of document.querySelectorAll(".wipe")) {
  const readout = wipe.closest("figure")?.querySelector(".readout");
  if (!readout) continue;
  wipe.addEventListener("pointermove", (event) => {
    const box = wipe.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    if (x < 0 || x >= 1 || y < 0 || y >= 1) return;
    const told = [".before", ".after", ".truth"].map((kind) => (wipe.closest("figure").querySelector(kind) ? nameAt(wipe.closest("figure").querySelector(kind), x, y) : null));
    readout.textContent = `Here: ${told[0]} before, ${told[1]} after${told[2] === null ? "" : `, ${told[2]} in truth`}.`;
  });
  wipe.addEventListener("pointerleave", () => { readout.textContent = ""; });
}
