// What the administrator's view knows: channels, viewers and resolvers. Read again whenever the event stream says that
// something happened, and every few seconds in case it says nothing.

import { apiKey, events, getJson, request, setApiKey } from "../api.js";
import { words } from "../format.js";

const READ_MS = 5000;
const SOON_MS = 300;
const RECONNECT_MS = 3000;
const LOG_MAX = 40;
const WRONG_KEY = "The gateway does not know this key.";

export class Status {
  open = $state(Boolean(apiKey()));
  channels = $state.raw(null);
  viewers = $state.raw([]);
  resolvers = $state.raw([]);
  readAt = $state(0);
  log = $state.raw([]);
  complaint = $state("");
  #life = null;
  #told = 0;
  #timer;

  start() {
    this.stop();
    if (!this.open) return;
    this.#life = new AbortController();
    this.#read();
    this.#listen(this.#life.signal);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#life?.abort();
    this.#life = null;
  }

  enter(key) {
    setApiKey(key.trim());
    this.complaint = "";
    this.open = Boolean(apiKey());
    this.start();
  }

  forget(complaint = "") {
    this.stop();
    setApiKey("");
    Object.assign(this, { open: false, channels: null, viewers: [], resolvers: [], log: [], complaint });
  }

  switchTo(id, source) {
    return this.#act(`api/v1/channels/${encodeURIComponent(id)}/switch`, { json: { source } });
  }

  kick(id) {
    return this.#act(`api/v1/viewers/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  async #act(path, options) {
    try {
      await request(path, { withKey: true, ...options });
      this.complaint = "";
    } catch (error) {
      this.complaint = error.message;
    }
    this.#soon();
  }

  async #read() {
    clearTimeout(this.#timer);
    const life = this.#life;
    try {
      const [{ channels = [] }, { viewers = [] }, { resolvers = [] }] = await Promise.all(["channels", "viewers", "resolvers"].map((name) => getJson(`api/v1/${name}`, { withKey: true })));
      if (life !== this.#life) return;
      Object.assign(this, { channels, viewers, resolvers, readAt: Date.now() });
    } catch (error) {
      if (life !== this.#life) return;
      if (error.refused) {
        this.forget(WRONG_KEY);
        return;
      }
      this.complaint = error.message;
    }
    this.#timer = setTimeout(() => this.#read(), READ_MS);
  }

  async #listen(signal) {
    while (!signal.aborted) {
      await events("api/v1/events", signal, (event) => this.#onEvent(event)).catch(() => {});
      await new Promise((wake) => setTimeout(wake, RECONNECT_MS));
    }
  }

  #onEvent({ name, data }) {
    const { at_ms = Date.now(), channel, id, text, detail, code, state } = data ?? {};
    const line = [channel ?? id, text ?? [words(code ?? state ?? name), detail].filter(Boolean).join(": ")].filter(Boolean).join(" · ");
    this.#told += 1;
    this.log = [{ at_ms, text: line, key: this.#told }, ...this.log].slice(0, LOG_MAX);
    this.#soon();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), SOON_MS);
  }
}
