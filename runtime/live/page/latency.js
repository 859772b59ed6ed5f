// Ages of the last results over time, stacked by stage, against their deadline.

import { STAGES, agesOf } from "./panels.js";

const WINDOWS_MS = [20_000, 10_000, 5000, 2000, 1000, 500];
const MARGIN = { left: 46, right: 8, top: 30, bottom: 22 };

export function drawLatency(canvas, status, sinceMs) {
  const { history, result } = status;
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  context.font = `12px ${style.fontFamily}`;
  const ages = agesOf(history);
  const deadline = result?.deadline_ms ?? 0;
  const plot = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const windowMs = windowOf(history);
  // Far outliers are cut off at the top and marked, so that they do not flatten the rest.
  const top = Math.max(10, deadline * 1.15, Math.min(1.1 * Math.max(0, ...ages), deadline * 3));
  const x = (ago) => plot.right - ((ago + sinceMs) / windowMs) * (plot.right - plot.left);
  const y = (ms) => plot.bottom - (Math.min(ms, top) / top) * (plot.bottom - plot.top);

  drawGrid(context, plot, top, windowMs, y, colour);
  context.save();
  context.beginPath();
  context.rect(plot.left, 0, plot.right - plot.left, height);
  context.clip();
  drawBars(context, history, x, y, colour);
  drawLate(context, history, ages, deadline, x, y, colour);
  context.restore();
  if (deadline > 0) drawDeadline(context, deadline, plot, y, colour);
  describe(canvas, ages, deadline);
}

function windowOf({ published_ms_ago: ago, num_at_most: most }) {
  const spanMs = ago.length < most ? Infinity : ago[0] - ago.at(-1);
  return WINDOWS_MS.find((window) => window <= spanMs) ?? WINDOWS_MS.at(-1);
}

function stepOf(top) {
  const rough = top / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

function drawGrid(context, plot, top, windowMs, y, colour) {
  context.strokeStyle = colour("line");
  context.fillStyle = colour("dim");
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const step = stepOf(top);
  for (let value = 0; value <= top; value += step) {
    const at = Math.round(y(value)) + 0.5;
    line(context, plot.left, at, plot.right, at);
    context.fillText(`${Math.round(value)}`, plot.left - 7, at);
  }
  context.textAlign = "left";
  context.fillText("ms", 2, 8);
  context.textBaseline = "top";
  const numParts = plot.right - plot.left < 420 ? 2 : 4;
  for (let part = 0; part <= numParts; part += 1) {
    context.textAlign = part === 0 ? "right" : part === numParts ? "left" : "center";
    const at = plot.right - (part / numParts) * (plot.right - plot.left);
    const seconds = ((part / numParts) * windowMs) / 1000;
    context.fillText(part === 0 ? "now" : `${+seconds.toFixed(2)} s ago`, at, plot.bottom + 6);
  }
}

function drawBars(context, history, x, y, colour) {
  const ago = history.published_ms_ago;
  STAGES.forEach((stage, level) => {
    context.fillStyle = colour(stage);
    for (let i = 0; i < ago.length; i += 1) {
      let below = 0;
      for (let under = 0; under < level; under += 1) below += history[`${STAGES[under]}_ms`][i];
      const until = below + history[`${stage}_ms`][i];
      const right = x(ago[i]);
      const gap = i === 0 ? 4 : right - x(ago[i - 1]);
      // Bars touch where results come faster than pixels, and keep a thin gap elsewhere.
      const width = Math.min(7, gap > 3 ? gap - 1 : Math.max(1, gap));
      context.fillRect(right - width, y(until), width, y(below) - y(until));
    }
  });
}

function drawLate(context, history, ages, deadline, x, y, colour) {
  context.fillStyle = colour("fault");
  ages.forEach((age, i) => {
    if (age <= deadline) return;
    const [at, tip] = [x(history.published_ms_ago[i]) - 2, y(age) - 2];
    drawTriangle(context, at, tip);
  });
}

function drawTriangle(context, x, tip) {
  context.beginPath();
  context.moveTo(x, tip);
  context.lineTo(x - 4, tip - 7);
  context.lineTo(x + 4, tip - 7);
  context.fill();
}

function drawDeadline(context, deadline, plot, y, colour) {
  const at = Math.round(y(deadline)) + 0.5;
  context.strokeStyle = context.fillStyle = colour("fault");
  context.setLineDash([6, 4]);
  line(context, plot.left, at, plot.right, at);
  // What the marks mean stands above the plot, where no bar reaches.
  const words = `deadline ${Math.round(deadline)} ms`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  line(context, plot.left + 4, 8, plot.left + 30, 8);
  context.fillText(words, plot.left + 37, 8);
  context.setLineDash([]);
  const mark = plot.left + 37 + context.measureText(words).width + 22;
  drawTriangle(context, mark, 12);
  context.fillText("later than that", mark + 10, 8);
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function describe(canvas, ages, deadline) {
  const late = ages.filter((age) => age > deadline).length;
  const text = ages.length === 0 ? "No result yet"
    : `Ages of the last ${ages.length} results: newest ${Math.round(ages.at(-1))} ms, `
      + `${late} after the deadline of ${Math.round(deadline)} ms`;
  if (canvas.getAttribute("aria-label") !== text) canvas.setAttribute("aria-label", text);
}
