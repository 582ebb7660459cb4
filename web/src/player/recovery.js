// What to do about a player's trouble, and what to say meanwhile. Pure: the machine takes what
// happened and the time, and says what to do; `player.js` does it.

export const STALL_MS = 500;
const FIRST_MS = 1000;
const MOST_MS = 8000;
const RETRY_AFTER_MS_MAX = 30_000;
const REPAIR_PAUSE_MS = 10_000;

/** What the gateway answers when an address is not good any more. */
export const REFUSED = [401, 403, 410];

/** A player without trouble. */
export const CALM = Object.freeze({ attempts: 0, repairedAt: -Infinity });

/** Data arrived: the next trouble is a first one. */
export function relieved(memory) {
  return memory.attempts ? { ...memory, attempts: 0 } : memory;
}

/**
 * A fatal error → {memory, action, wait_ms, message}.
 *
 * | action  | |
 * |---------|---|
 * | repair  | restart the decoder at once |
 * | reload  | go on loading after the wait |
 * | rebuild | a new engine on the same address after the wait |
 * | renew   | ask for a new address, since this one is refused, then as `rebuild` |
 *
 * `problem`: {kind: "network"|"media"|"other", details, code, retry_after_s, has_levels}. It never gives
 * up: a tile that nobody closes comes back when its stream does.
 */
export function recover(memory, problem, now_ms, chance) {
  const message = describe(problem);
  if (problem.kind === "media" && now_ms - memory.repairedAt >= REPAIR_PAUSE_MS) {
    return { memory: { ...memory, repairedAt: now_ms }, action: "repair", wait_ms: 0, message: "Restarting the decoder" };
  }
  const asked = Math.min(RETRY_AFTER_MS_MAX, 1000 * (problem.retry_after_s || 0));
  const wait_ms = Math.max(asked, backoffMs(memory.attempts, chance));
  return { memory: { ...memory, attempts: memory.attempts + 1 }, action: actionFor(problem), wait_ms, message };
}

function actionFor({ kind, code, details, has_levels }) {
  if (REFUSED.includes(code)) return "renew";
  if (code === 404 && details.startsWith("manifest")) return "renew";
  return kind === "network" && has_levels && details !== "manifestLoadError" ? "reload" : "rebuild";
}

/** 1, 2, 4, 8, 8 … seconds, the upper half of each by chance, so that viewers do not come back all at once. */
export function backoffMs(attempts, chance) {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempts, 10));
  return Math.round(whole * (0.5 + chance / 2));
}

function describe({ details = "", code = 0 }) {
  if (REFUSED.includes(code)) return "This link is not valid any more";
  if (code === 404 && details.startsWith("manifest")) return "There is no such stream on this gateway";
  if (code === 503) return "There is no picture at the moment";
  if (code >= 400) return `The gateway answered ${code}`;
  if (/TimeOut$/.test(details)) return "The gateway takes too long to answer";
  if (/LoadError$/.test(details)) return "The gateway cannot be reached";
  if (/ParsingError$|fragParsing/.test(details)) return "The stream arrives damaged";
  if (/[cC]odec/.test(details)) return "This browser has no decoder for the stream";
  return "The picture was interrupted";
}
