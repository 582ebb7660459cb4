// Everything the page asks of its gateway, apart from media. The API key lives in sessionStorage
// and travels in a header: never in a URL, never in a log.

const KEY = "perennial.api-key";
const TIMEOUT_MS = 15_000;

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function apiKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setApiKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** Below a reverse proxy's path the page's own address is the base. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** Fetches `path`; `withKey` adds the key, `json` makes it a POST. Throws ApiError; status 0 is "no answer". */
export async function request(path, { withKey = false, json, signal } = {}) {
  const headers = {};
  if (withKey && apiKey()) headers["X-Api-Key"] = apiKey();
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), {
      method: json === undefined ? "GET" : "POST",
      headers,
      body: json === undefined ? undefined : JSON.stringify(json),
      cache: "no-store",
      credentials: "omit",
      signal: signal ?? AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "the gateway does not answer");
  }
  if (!response.ok) throw new ApiError(response.status, await problem(response));
  return response;
}

/** The words of an `application/problem+json` body. */
async function problem(response) {
  const fallback = `the gateway answered ${response.status}`;
  try {
    const { detail, hint } = await response.json();
    return [detail ?? fallback, hint].filter(Boolean).join(": ");
  } catch {
    return fallback;
  }
}

const EVENT_CHARS_MAX = 256 * 1024;

/** Server-sent events over fetch, since EventSource cannot send the key in a header. Ends when the stream does. */
export async function events(path, signal, onevent) {
  const response = await request(path, { withKey: true, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    if (rest.length > EVENT_CHARS_MAX) throw new ApiError(0, "an event is too long");
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event) onevent(event);
    }
  }
}

/** One block of an event stream → {name, data}, or null for a comment. */
export function parseEvent(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length === 0) return null;
  try {
    return { name, data: JSON.parse(data.join("\n")) };
  } catch {
    return { name, data: { text: data.join("\n") } };
  }
}
