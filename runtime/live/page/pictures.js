// Frame, classes and confidence of one result, drawn together so that no two results mix.

import { duration, element, make, setText } from "./text.js";

export class Pictures {
  tag = null;
  #bornAt = 0;
  #about = null;
  #frame = null;
  #labels = null;

  constructor() {
    element("opacity").addEventListener("input", () => this.#drawScene());
  }

  // Takes an answer apart and shows it; `askedAt` is when it was asked for.
  async show(response, askedAt) {
    const form = await response.formData();
    const about = JSON.parse(await form.get("about").text());
    const [frame, labels, confidence] = await Promise.all(
      ["frame", "labels", "confidence"].map((name) => createImageBitmap(form.get(name))),
    );
    for (const old of [this.#frame, this.#labels]) old?.close();
    if (this.#about === null) {
      element("opacity").value = 100 * about.opacity;
      drawScale(about.confidence_scale);
    }
    [this.#frame, this.#labels, this.#about] = [frame, labels, about];
    this.#bornAt = askedAt - about.age_ms;
    this.tag = response.headers.get("ETag");
    this.#drawScene();
    const canvas = sized("confidence", confidence);
    canvas.getContext("2d").drawImage(confidence, 0, 0);
    const meaning = "yellow where the network is in doubt, navy where it is certain";
    canvas.setAttribute("aria-label", `Confidence of frame ${about.frame_id}: ${meaning}`);
    confidence.close();
    setText("frame-id", `${about.frame_id}`);
    showClasses(about.classes);
  }

  // Says how old the pictures are, and covers them when they are too old.
  tick(staleAfterMs, isSilent) {
    if (this.#about === null) return;
    const ageMs = performance.now() - this.#bornAt;
    const isStale = isSilent || ageMs > staleAfterMs;
    setText("age", duration(ageMs));
    document.body.dataset.picture = isStale ? "stale" : "fresh";
    for (const picture of document.querySelectorAll(".picture")) {
      picture.classList.toggle("is-stale", isStale);
      const stamp = picture.querySelector(".stamp");
      stamp.hidden = !isStale;
      stamp.textContent = isStale ? `STALE ${duration(ageMs)}` : "";
    }
  }

  #drawScene() {
    if (this.#frame === null) return;
    const opacity = element("opacity").value / 100;
    const canvas = sized("scene", this.#frame);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#frame, 0, 0);
    context.globalAlpha = opacity;
    context.drawImage(this.#labels, 0, 0);
    context.globalAlpha = 1;
    const largest = [...this.#about.classes].sort((a, b) => b.share - a.share).slice(0, 3).map(({ name }) => name);
    const meaning = `under its class colours, mostly ${largest.join(", ")}`;
    canvas.setAttribute("aria-label", `Frame ${this.#about.frame_id} ${meaning}`);
  }
}

function sized(id, image) {
  const canvas = element(id);
  if (canvas.width !== image.width || canvas.height !== image.height) {
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.style.aspectRatio = image.width / image.height;
  }
  return canvas;
}

function drawScale(colours) {
  const context = element("scale").getContext("2d");
  const gradient = context.createLinearGradient(0, 0, 256, 0);
  colours.forEach((colour, index) => gradient.addColorStop(index / (colours.length - 1), `rgb(${colour})`));
  context.fillStyle = gradient;
  context.fillRect(0, 0, 256, 1);
}

function showClasses(classes) {
  const list = element("classes");
  if (list.childElementCount !== classes.length) list.replaceChildren(...classes.map(classItem));
  classes.forEach(({ share }, index) => {
    const item = list.children[index];
    item.toggleAttribute("data-absent", share === 0);
    item.style.setProperty("--share", share);
    item.children[2].textContent = share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
  });
}

function classItem({ name, colour }) {
  const swatch = make("i");
  swatch.style.background = `rgb(${colour})`;
  return make("li", {}, swatch, make("span", { textContent: name }), make("span"), make("s"));
}
