// The controls of `perennial demo`: two sources to break, and what the gateway did about it.
// Hidden wherever the server has no /demo/state.

import { request } from "./api.js";
import { $, copyButton, el, redraw, setText, svg } from "./dom.js";
import { bytes, clock, plural } from "./format.js";

const POLL_MS = 1000;
const LOG_MAX = 60;
/** A switch that has not reached the screen by then never will. */
const ARRIVAL_MAX_MS = 30_000;

const FAULTS = {
  dead: ["Dead", "refuses connections"],
  freeze: ["Freeze", "its playlist stops moving"],
  stall: ["Stall", "its bytes stop halfway"],
  404: ["404", "answers 404 Not Found"],
  html: ["HTML", "answers with a web page"],
  garbage: ["Garbage", "sends bytes that are no video"],
};

export class Demo {
  constructor(watch) {
    this.watch = watch;
    this.state = null;
    this.answers = true;
    this.seen = null;
    this.underway = []; // switches the gateway has made and the screen has not shown
    this.log = [];
    this.known = new Set();
    watch.player.addEventListener("crossing", () => this.#onCrossing());
  }

  /** Resolves to false, for good, when this server is no demo. */
  async start() {
    try {
      await this.#poll();
    } catch {
      return false;
    }
    this.#build();
    this.#draw();
    this.watch.demo = this;
    const again = async () => {
      this.answers = await this.#poll().then(() => true, () => false);
      this.#draw();
      setTimeout(again, document.hidden ? 5 * POLL_MS : POLL_MS);
    };
    setTimeout(again, POLL_MS);
    return true;
  }

  onScreen() {
    return this.seen;
  }

  onScreenName() {
    return this.state.sources[this.seen]?.name;
  }

  /** "B reaches your screen in about 4 s", or undefined. */
  arriving() {
    const next = this.underway.at(-1);
    if (!next) return undefined;
    const left = Math.ceil(next.latency - (performance.now() - next.at) / 1000);
    return `${this.#name(next.source)} reaches your screen ${left > 0 ? `in about ${left} s` : "any moment"}`;
  }

  async #poll() {
    const state = await (await request("demo/state")).json();
    const before = this.state;
    this.state = state;
    if (this.seen === null) this.seen = state.current;
    else if (before && before.current !== state.current) this.#onSwitch(state.current);
    this.underway = this.underway.filter(({ at }) => performance.now() - at < ARRIVAL_MAX_MS);
    if (!this.underway.length && this.watch.player.state !== "playing") this.seen = state.current;
    this.#collect(state.events ?? []);
  }

  #onSwitch(source) {
    const { latency, stalls } = this.watch.player.stats();
    this.underway.push({ source, at: performance.now(), latency: latency ?? 6, stalls });
  }

  #onCrossing() {
    if (!this.state) return;
    const next = this.underway.shift();
    this.seen = next?.source ?? this.state.current;
    const stalls = this.watch.player.stats().stalls - (next?.stalls ?? 0);
    const how = next && stalls > 0 ? `after ${plural(stalls, "stall")}` : "without a stall";
    this.#note({ at_ms: Date.now(), text: `${this.#name(this.seen)} is on your screen, ${how}`, here: true });
    this.#draw();
  }

  #name(index) {
    const source = this.state.sources[index];
    return source ? `Source ${source.name}` : "The holding card";
  }

  /** The server repeats its latest events; only those that were not in the last answer are news. */
  #collect(events) {
    const keyed = events.map((event) => [`${event.at_ms} ${event.text}`, event]);
    for (const [key, event] of keyed) if (!this.known.has(key)) this.#note(event);
    this.known = new Set(keyed.map(([key]) => key));
  }

  #note(entry) {
    this.log = [entry, ...this.log].slice(0, LOG_MAX);
  }

  async #send(path, json) {
    try {
      await request(path, { json });
      await this.#poll();
    } catch (error) {
      this.#note({ at_ms: Date.now(), text: `The button did not work: ${error.message}`, here: true });
    }
    this.#draw();
  }

  #build() {
    this.cards = el("div", { class: "cards" });
    this.pipes = svg("svg", { class: "pipes", viewBox: "0 0 200 40", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.live = el("p", { class: "tally" });
    this.events = el("ol", { class: "log", role: "log", "aria-label": "What happened", tabindex: "0" });
    const url = () => this.watch.channel?.url ?? "";
    this.url = el("code", {});
    $("demo").replaceChildren(
      el("h2", { id: "demo-title" }, "Break one. The picture goes on."),
      this.cards,
      this.pipes,
      el("div", { class: "outlet" }, el("span", { class: "tag" }, "One URL for every player"), this.url, copyButton("Copy", url)),
      this.live,
      this.events,
    );
    $("demo").hidden = false;
    document.body.classList.add("demo-mode");
  }

  #draw() {
    if (!this.cards) return;
    const { sources, current, state, generation, viewers, bytes_in, bytes_out } = this.state;
    redraw(this.url, this.watch.channel?.url, () => this.#drawUrl());
    this.watch.drawMinute();
    const shown = sources.map(({ name, fault, health, why }) => [name, fault, health, why]);
    redraw(this.cards, [shown, current, this.seen], () => sources.map((source, index) => this.#card(source, index)));
    for (const [index, source] of sources.entries()) setText($(`requests-${index}`), plural(source.requests ?? 0, "request"));
    redraw(this.pipes, [shown, current], () => this.#drawPipes());
    const tally = [state, Number.isFinite(generation) && `generation ${generation}`, Number.isFinite(viewers) && plural(viewers, "viewer"), `${bytes(bytes_in)} in`, `${bytes(bytes_out)} out`];
    setText(this.live, this.answers ? tally.filter(Boolean).join(" · ") : "The gateway does not answer");
    redraw(this.events, this.log.map(({ at_ms, text }) => [at_ms, text]), () =>
      this.log.map(({ at_ms, text, here }) => el("li", { class: here ? "here" : false }, el("time", {}, clock(at_ms)), " ", el("span", {}, text))));
  }

  /** May break before its path, rather than anywhere. */
  #drawUrl() {
    if (!this.watch.channel) return [];
    const { origin, pathname, search } = new URL(this.watch.channel.url);
    return [origin, el("wbr"), pathname + search];
  }

  #card({ name, url, fault, health, why }, index) {
    const onAir = index === this.state.current;
    const mood = fault ? "broken" : onAir ? "on-air" : "ready";
    const [label, meaning] = FAULTS[fault] ?? [fault, fault];
    const badge = fault ? `Broken: ${String(label).toLowerCase()}` : onAir ? "On air" : "Ready";
    return el("article", { class: `card s${index % 4} ${mood}`, "aria-label": `Source ${name}`, title: url },
      el("header", {}, el("span", { class: "light", "aria-hidden": "true" }), el("h3", {}, `Source ${name}`)),
      el("p", { class: "badge" }, badge, onAir && fault ? " · on air" : "", why ? ` · ${health}: ${why}` : ""),
      el("p", { class: "requests" }, fault ? `${meaning} · ` : "", el("span", { id: `requests-${index}` })),
      el("button", { type: "button", class: "button", "data-key": `switch-${index}`, disabled: onAir, onclick: () => this.#send("demo/switch", { source: index }) }, onAir ? "In use" : `Switch to ${name}`),
      fault ? this.#mend(name, index) : this.#breakers(name, index),
    );
  }

  #mend(name, index) {
    return el("button", { type: "button", class: "button mend", "data-key": `mend-${index}`, onclick: () => this.#send("demo/fault", { source: index, fault: null }) }, `Mend ${name}`);
  }

  #breakers(name, index) {
    const chips = (this.state.faults ?? []).map((fault) => {
      const [label, meaning] = FAULTS[fault] ?? [fault, fault];
      return el("button", {
        type: "button", class: "chip", "data-key": `${fault}-${index}`, title: `Source ${name} ${meaning}`,
        "aria-label": `Break ${name}: ${fault}`, onclick: () => this.#send("demo/fault", { source: index, fault }),
      }, label);
    });
    return el("div", { class: "breakers", role: "group", "aria-label": `Break ${name}` }, el("span", { "aria-hidden": "true" }, `Break ${name}:`), ...chips);
  }

  /** A pipe from each card down to the one URL; water runs in the one on air. */
  #drawPipes() {
    const { sources, current } = this.state;
    return sources.flatMap(({ fault }, index) => {
      const x = ((index + 0.5) / sources.length) * 200;
      const d = `M${x} 0C${x} 26 100 12 100 40`;
      const mood = index === current ? "runs" : fault ? "dry" : "waits";
      const pipe = svg("path", { class: `pipe s${index % 4} ${mood}`, d });
      return mood === "runs" ? [pipe, svg("path", { class: `water s${index % 4}`, d })] : [pipe];
    });
  }
}
