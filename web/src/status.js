// The administrator's view: channels, sources, viewers, and the buttons to switch. Read again whenever
// the event stream says that something happened, and every few seconds in case it says nothing.

import { apiKey, events, request, setApiKey } from "./api.js";
import { $, el, redraw } from "./dom.js";
import { bytes, clock, plural, words } from "./format.js";

const READ_MS = 5000;
const SOON_MS = 300;
const RECONNECT_MS = 3000;
const LOG_MAX = 30;

export class Status {
  constructor() {
    this.root = $("status");
    this.log = [];
    this.open = false;
  }

  show() {
    this.open = true;
    if (apiKey()) this.#start();
    else this.#ask("");
  }

  hide() {
    this.open = false;
    this.#stop();
  }

  #stop() {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = null;
  }

  #ask(complaint) {
    this.#stop();
    delete this.root.dataset.drawn;
    const input = el("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-help" });
    const submit = (event) => {
      event.preventDefault();
      setApiKey(input.value.trim());
      if (apiKey()) this.#start();
    };
    this.root.replaceChildren(
      el("form", { class: "panel key-form", onsubmit: submit },
        el("h1", { id: "status-title" }, "Status"),
        el("label", { for: "key" }, "API key"),
        el("div", { class: "row" }, input, el("button", { type: "submit", class: "button" }, "Open")),
        el("p", { class: "error", role: "alert" }, complaint),
        el("p", { id: "key-help", class: "hint" }, "Printed once when the gateway first started; ", el("code", {}, "perennial key create"), " makes another. This tab keeps it until it is closed."),
      ),
    );
    input.focus();
  }

  #start() {
    this.#stop();
    this.channels = el("div", { class: "channel-cards" }, el("p", { class: "hint" }, "Reading…"));
    this.events = el("ol", { class: "log", role: "log", "aria-label": "Events", tabindex: "0" });
    this.complaint = el("p", { class: "error", role: "alert" });
    const forget = () => {
      setApiKey("");
      this.log = [];
      this.#ask("");
    };
    this.root.replaceChildren(
      el("div", { class: "row spread" }, el("h1", { id: "status-title" }, "Status"), el("button", { type: "button", class: "button quiet", onclick: forget }, "Forget the key")),
      this.complaint,
      this.channels,
      el("section", { class: "panel" }, el("h2", {}, "Events"), this.events),
    );
    this.#drawLog();
    this.abort = new AbortController();
    this.#read();
    this.#listen(this.abort.signal);
  }

  async #read() {
    clearTimeout(this.timer);
    const abort = this.abort;
    try {
      const { channels = [] } = await (await request("api/v1/channels", { withKey: true })).json();
      if (abort !== this.abort) return;
      this.complaint.textContent = "";
      this.#draw(channels);
    } catch (error) {
      if (abort !== this.abort) return;
      if (error.status === 401 || error.status === 403) {
        setApiKey("");
        this.#ask("The gateway does not know this key.");
        return;
      }
      this.complaint.textContent = error.message;
    }
    this.timer = setTimeout(() => this.#read(), READ_MS);
  }

  async #listen(signal) {
    while (!signal.aborted) {
      await events("api/v1/events", signal, (event) => this.#onEvent(event)).catch(() => {});
      await new Promise((wake) => setTimeout(wake, RECONNECT_MS));
    }
  }

  #onEvent({ name, data }) {
    const { at_ms = Date.now(), channel, id, text, detail, code, state } = data ?? {};
    const told = [channel ?? id, text ?? [words(code ?? state ?? name), detail].filter(Boolean).join(": ")].filter(Boolean).join(" · ");
    this.log = [{ at_ms, told }, ...this.log].slice(0, LOG_MAX);
    this.#drawLog();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#read(), SOON_MS);
  }

  #drawLog() {
    const lines = this.log.length ? this.log.map(({ at_ms, told }) => el("li", {}, el("time", {}, clock(at_ms)), " ", el("span", {}, told))) : [el("li", { class: "hint" }, "None since this page was opened.")];
    this.events.replaceChildren(...lines);
  }

  #draw(channels) {
    redraw(this.channels, channels, () =>
      channels.length ? channels.map((channel) => this.#card(channel)) : el("p", { class: "hint" }, "No channels are configured."));
  }

  #card({ id, title, state, source, generation, viewers, bytes_in, bytes_out, window: listed, sources = [], errors = [] }) {
    const rows = [
      ["Viewers", viewers ?? "–"],
      ["In", bytes(bytes_in)],
      ["Out", bytes(bytes_out)],
      ["Window", listed ? `${plural(listed.segments ?? 0, "segment")}, ${Math.round(listed.seconds ?? 0)} s` : "–"],
      ["Generation", generation ?? "–"],
    ];
    const last = errors.at(-1);
    return el("article", { class: "panel", "aria-label": title ?? id },
      el("div", { class: "row spread" }, el("h2", {}, title || id), el("span", { class: `pill ${state === "live" ? "good" : ""}` }, words(state ?? "unknown"))),
      el("dl", { class: "stats" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value))))),
      sources.length ? this.#sources(id, sources, source) : null,
      last ? el("p", { class: "hint" }, `Last error, ${clock(last.at_ms)}: ${[words(last.code), last.detail].filter(Boolean).join(", ")}`) : null,
    );
  }

  #sources(id, sources, inUse) {
    const head = el("thead", {}, el("tr", {}, ["Source", "Health", ""].map((text) => el("th", { scope: "col" }, text || el("span", { class: "offscreen" }, "Action")))));
    const body = sources.map(({ index, name, health, why, retry_at_ms, last_error }) => {
      const used = index === inUse?.index;
      const action = used ? el("span", { class: "pill good" }, "in use")
        : el("button", { type: "button", class: "button quiet", "data-key": `${id}-${index}`, "aria-label": `Switch ${id} to ${name ?? index}`, onclick: () => this.#switch(id, index) }, "Switch");
      return el("tr", {}, el("th", { scope: "row" }, name ?? `#${index}`), el("td", {}, words(health ?? "unknown"), why ? `: ${why}` : "", retry_at_ms ? `, tried again at ${clock(retry_at_ms)}` : "", last_error ? el("small", {}, last_error) : null), el("td", {}, action));
    });
    return el("table", {}, head, el("tbody", {}, body));
  }

  async #switch(id, source) {
    try {
      await request(`api/v1/channels/${encodeURIComponent(id)}/switch`, { withKey: true, json: { source } });
      this.#read();
    } catch (error) {
      this.complaint.textContent = error.message;
    }
  }
}
