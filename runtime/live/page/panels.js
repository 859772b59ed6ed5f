// State, health, counters and the table of stages.

import { element, make, number, sentence, setText } from "./text.js";

export const STAGES = ["read", "wait", "infer", "keep", "check"];

// Of every result in the history, in milliseconds at the moment it was published.
export const agesOf = (history) =>
  history.frame_id.map((_, i) => STAGES.reduce((sum, stage) => sum + history[`${stage}_ms`][i], 0));

const STAGE_WORDS = {
  read: "Read",
  wait: "Wait",
  infer: "Network",
  keep: "Keep",
  check: "Check",
};

const COUNTER_WORDS = {
  num_captured: "Frames captured",
  num_dropped: "Frames dropped",
  num_lost: "Frames lost before",
  num_refused: "Frames refused",
  num_published: "Results published",
  num_late: "Results late",
  num_withheld: "Results withheld",
  num_restarts: "Engine restarts",
  num_swaps: "Bundle swaps",
};

// A shape for each state, so that none is told by its colour alone: tick, triangle, octagon, hourglass.
const SYMBOLS = {
  OK: "M16 2a14 14 0 1 0 0 28 14 14 0 0 0 0-28zm-2.4 20.6-6-6 2.4-2.4 3.6 3.6 8.4-8.4 2.4 2.4z",
  DEGRADED: "M16 2 31 29H1zM14.3 12v8.5h3.4V12zm0 10.7V26h3.4v-3.3z",
  FAULT: "M10 1.5h12l8.5 8.5v12L22 30.500H10L1.500 22V10zm.6 7L16 13.900 21.400 8.500l2.100 2.100L18.100"
    + " 16l5.400 5.400-2.100 2.100L16 18.100l-5.400 5.400-2.100-2.100L13.900 16 8.500 10.600z",
  STALE: "M7 2h18v3.500c0 4-3.500 7-6.500 10.500 3 3.500 6.500 6.500 6.500 10.500V30H7v-3.500c0-4 3.500-7"
    + " 6.500-10.500C10.500 12.500 7 9.500 7 5.500z",
};
SYMBOLS.WAITING = SYMBOLS.STALE;

export function showState(state, because) {
  if (document.body.dataset.state !== state || !element("symbol").hasAttribute("d")) {
    document.body.dataset.state = state;
    element("symbol").setAttribute("d", SYMBOLS[state]);
    document.title = `${state} · Live view`;
  }
  setText("state", state);
  setText("because", because);
}

let shownHealth = "";

// Every reason with its sentence; of a loop that is silent nothing is known, whatever it said last.
export function showHealth(health, isSilent) {
  const text = JSON.stringify([health, isSilent]);
  if (text === shownHealth || health === null) return;
  shownHealth = text;
  const items = health.reasons.map(
    ({ name, state, detail }) => reasonItem(state, inWords(name), state.toLowerCase(), sentence(detail)),
  );
  if (isSilent) {
    const last = `The loop was ${health.state} when it was heard last.`;
    items.splice(0, Infinity, reasonItem("STALE", "Unknown", "", last));
  } else if (items.length === 0) {
    items.push(reasonItem("OK", "Nothing is wrong", "", ""));
  }
  element("reasons").replaceChildren(...items);
}

function reasonItem(state, title, level, detail) {
  const symbol = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  symbol.setAttribute("viewBox", "0 0 32 32");
  symbol.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SYMBOLS[state]);
  symbol.append(path);
  const heading = make("div", {}, make("b", { textContent: title }));
  if (level) heading.append(make("span", { className: "note", textContent: ` · ${level}` }));
  const item = make("li", {}, symbol, heading, make("p", { textContent: detail }));
  item.dataset.level = state;
  return item;
}

const inWords = (name) => name.charAt(0) + name.slice(1).toLowerCase().replaceAll("_", " ");

export function showCounters({ counters, drop_ratio: dropRatio }) {
  const list = element("counters");
  if (list.childElementCount === 0 && dropRatio !== null) {
    for (const [name, words] of Object.entries(COUNTER_WORDS)) {
      list.append(make("div", {}, make("dt", { textContent: words }), make("dd", { id: name })));
    }
    const meter = make("meter", { id: "drop-meter", max: 1 });
    meter.setAttribute("aria-label", "Drop ratio");
    const words = make("dt", { textContent: "Drop ratio, lately" });
    list.append(make("div", { className: "ratio" }, words, make("dd", { id: "drop-ratio" }), make("dd", {}, meter)));
  }
  for (const [name, value] of Object.entries(counters)) setText(name, number(value));
  if (dropRatio !== null) {
    setText("drop-ratio", `${(100 * dropRatio).toFixed(1)} %`);
    element("drop-meter").value = dropRatio;
  }
}

const ms = (value) => value.toFixed(value < 10 ? 2 : 1);

export function showStages(history) {
  const numResults = history.frame_id.length;
  if (numResults === 0) return;
  const body = element("stages");
  if (body.childElementCount === 0) body.append(...[...STAGES, "age"].map(stageRow));
  const columns = [...STAGES.map((stage) => history[`${stage}_ms`]), agesOf(history)];
  for (const [index, values] of columns.entries()) {
    const sorted = [...values].sort((a, b) => a - b);
    const figures = [values.at(-1), sorted[Math.floor(numResults / 2)], sorted.at(-1)];
    figures.forEach((value, column) => { body.rows[index].cells[column + 1].textContent = ms(value); });
  }
}

function stageRow(stage) {
  const swatch = make("i");
  swatch.style.background = `var(--${stage}, transparent)`;
  const head = make("th", { scope: "row" }, ...(stage === "age" ? ["Age at publish"] : [swatch, STAGE_WORDS[stage]]));
  return make("tr", {}, head, make("td"), make("td"), make("td"));
}

// How many results came in the last two seconds.
export function showRate({ published_ms_ago: ago }, sinceMs) {
  const recent = ago.filter((value) => value + sinceMs < 2000);
  const perSecond = (1000 * (recent.length - 1)) / (recent[0] - recent.at(-1));
  setText("rate", recent.length < 2 ? "none" : `${perSecond.toFixed(1)} per s`);
}
