// Everything the page asks of its gateway, apart from media. The API key lives in sessionStorage
// and travels in a header: never in a URL, never in a log.

const KEY = "perennial.api-key";
const TIMEOUT_MS = 15_000;
const EVENT_CHARS_MAX = 256 * 1024;

/** Below a reverse proxy's path, and for a page at /share/…, the root is where this script's folder lies. */
const SCRIPT = import.meta.url;
export const ROOT = new URL("../", SCRIPT.startsWith("http") ? SCRIPT : "http://localhost/src/api.js").href;

export class ApiError extends Error {
  constructor(status, detail, code = "") {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** The gateway has no such thing, which of optional parts is an answer like any other. */
  get absent() {
    return this.status === 404 || this.status === 405;
  }

  get refused() {
    return this.status === 401 || this.status === 403;
  }
}

export function apiKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setApiKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export function address(path) {
  return new URL(path, ROOT).href;
}

/** Fetches `path`; `withKey` adds the key, `json` makes it a POST. Throws ApiError; status 0 is "no answer". */
export async function request(path, { withKey = false, json, method, accept, signal } = {}) {
  const headers = {};
  if (accept) headers.Accept = accept;
  if (withKey && apiKey()) headers["X-Api-Key"] = apiKey();
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), {
      method: method ?? (json === undefined ? "GET" : "POST"),
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
  if (!response.ok) throw await problem(response);
  return response;
}

export async function getJson(path, options) {
  return (await request(path, options)).json();
}

/** The words of an `application/problem+json` body. */
async function problem(response) {
  const fallback = `the gateway answered ${response.status}`;
  try {
    const { detail, hint, code } = await response.json();
    const told = typeof detail === "string" ? detail : fallback;
    return new ApiError(response.status, [told, hint].filter(Boolean).join(": "), code);
  } catch {
    return new ApiError(response.status, fallback);
  }
}

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
