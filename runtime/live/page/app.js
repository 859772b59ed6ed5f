// Asks the loop how it is, shows it, and says so when nobody answers: nothing old may ever look live.

import { drawLatency } from "./latency.js";
import { showCounters, showHealth, showRate, showStages, showState } from "./panels.js";
import { Pictures } from "./pictures.js";
import { duration, element, sentence, setText } from "./text.js";

const STATUS_EVERY_MS = 250;
const PICTURE_EVERY_MS = 100;
const TICK_MS = 100;
const ANSWER_WITHIN_MS = 3000;
// Until a result says what its deadline is.
const STALE_AFTER_MS = 1000;

const pictures = new Pictures();
let status = null;
let askedAt = 0;

// An age counts from when it was asked for, so that the way here makes it look older, never younger.
const sinceStatus = () => performance.now() - askedAt;

async function ask(path, headers = {}) {
  return fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
}

async function askStatus() {
  const at = performance.now();
  const response = await ask("/status.json");
  if (!response.ok) throw new Error(`status ${response.status}`);
  status = await response.json();
  askedAt = at;
  showCounters(status);
  showStages(status.history);
}

async function askPictures() {
  if (status === null || status.result === null || document.hidden) return;
  const at = performance.now();
  const response = await ask("/pictures", pictures.tag === null ? {} : { "If-None-Match": pictures.tag });
  if (response.status === 200) await pictures.show(response, at);
}

// What the state is now, with the reason that comes first.
function judged() {
  if (status === null) return ["WAITING", "No answer yet."];
  if (sinceStatus() > status.silent_after_ms) {
    return ["STALE", `No answer from the vehicle for ${duration(sinceStatus())}. All of this is old.`];
  }
  if (status.health === null) return ["WAITING", "The loop has told nothing yet."];
  const toldMs = status.told_ms + sinceStatus();
  if (toldMs > status.silent_after_ms) {
    return ["STALE", `The loop has told nothing for ${duration(toldMs)}. All of this is old.`];
  }
  const { state, reasons } = status.health;
  const worst = reasons.find((reason) => reason.state === state);
  if (worst === undefined) return [state, "Results are fresh and nothing is wrong."];
  const others = reasons.length > 1 ? ` And ${reasons.length - 1} more below.` : "";
  return [state, sentence(worst.detail) + others];
}

function tick() {
  const [state, because] = judged();
  showState(state, because);
  const staleAfterMs = status?.result?.stale_after_ms ?? STALE_AFTER_MS;
  pictures.tick(staleAfterMs, state === "STALE");
  setText("told", status?.told_ms == null ? "" : `told ${duration(status.told_ms + sinceStatus())} ago`);
  if (status !== null) {
    showHealth(status.health, state === "STALE");
    showRate(status.history, sinceStatus());
    setText("bundle", status.bundle_id.slice(0, 12) || "–");
    drawLatency(element("latency"), status, sinceStatus());
  }
}

// One question at a time: a slow link gets fewer of them, not a queue.
async function repeat(question, everyMs) {
  for (;;) {
    const at = performance.now();
    try {
      await question();
    } catch (error) {
      // Whoever does not answer is shown as stale by `judged`, from the time of the last answer.
      console.debug(error);
    }
    await new Promise((resume) => setTimeout(resume, Math.max(0, everyMs - (performance.now() - at))));
  }
}

setInterval(tick, TICK_MS);
new ResizeObserver(tick).observe(element("latency"));
document.addEventListener("visibilitychange", tick);
repeat(askStatus, STATUS_EVERY_MS);
repeat(askPictures, PICTURE_EVERY_MS);
