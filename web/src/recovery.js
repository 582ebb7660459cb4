// When to try again, and what to say meanwhile. Pure.

export const STALL_MS = 500;
const FIRST_MS = 1000;
const MOST_MS = 8000;

/** 1, 2, 4, 8, 8 … seconds, the upper half of each by chance, so that viewers do not come back all at once. */
export function backoffMs(attempts, chance) {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempts, 10));
  return Math.round(whole * (0.5 + chance / 2));
}

/** The words for an hls.js error; `final` when trying again cannot help. */
export function describe({ details = "", response }) {
  const status = response?.code ?? 0;
  if (status === 401 || status === 403) return { message: "This link is not valid any more. Ask for a new one.", final: true };
  if (status === 404 && details.startsWith("manifest")) return { message: "There is no such channel on this gateway", final: false };
  if (status === 503) return { message: "The channel has no picture at the moment", final: false };
  if (status >= 400) return { message: `The gateway answered ${status}`, final: false };
  if (/TimeOut$/.test(details)) return { message: "The gateway takes too long to answer", final: false };
  if (/LoadError$/.test(details)) return { message: "The gateway cannot be reached", final: false };
  if (/ParsingError$|fragParsing/.test(details)) return { message: "The stream arrives damaged", final: false };
  if (/[cC]odec/.test(details)) return { message: "This browser has no decoder for the stream", final: false };
  return { message: "The picture was interrupted", final: false };
}
