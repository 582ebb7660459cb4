// The state of `perennial demo`: two sources to break, and what the gateway did about it. Absent wherever
// the server has no /demo/state.

import { getJson, request } from "../api.js";
import { plural } from "../format.js";
import { wall } from "../watch/wall.svelte.js";

const POLL_MS = 1000;
const LOG_MAX = 60;
/** A switch that has not reached the screen by then never will. */
const ARRIVAL_MAX_MS = 30_000;

class Demo {
  state = $state.raw(null);
  asking = $state(true);
  answers = $state(true);
  seen = $state(null);
  log = $state.raw([]);
  #underway = $state.raw([]); // switches the gateway has made and the screen has not shown
  #known = new Set();
  #noted = 0;
  #player = null;

  async start() {
    try {
      await this.#poll();
    } catch {
      return;
    } finally {
      this.asking = false;
    }
    wall.sourceOf = (ref) => (ref === this.state.channel ? this.seen : null);
    const again = async () => {
      this.answers = await this.#poll().then(() => true, () => false);
      setTimeout(again, document.hidden ? 5 * POLL_MS : POLL_MS);
    };
    setTimeout(again, POLL_MS);
  }

  onScreenName(ref) {
    return ref === this.state?.channel ? this.state.sources[this.seen]?.name : undefined;
  }

  /** "Source B reaches your screen in about 4 s", or undefined. */
  arriving(ref) {
    const next = this.#underway.at(-1);
    if (!next || ref !== this.state?.channel || !wall.stats[ref]) return undefined;
    const left = Math.ceil(next.latency - (performance.now() - next.at) / 1000);
    return `${this.#name(next.source)} reaches your screen ${left > 0 ? `in about ${left} s` : "any moment"}`;
  }

  switchTo(source) {
    return this.#send("demo/switch", { source });
  }

  /** `fault` null mends it. */
  setFault(source, fault) {
    return this.#send("demo/fault", { source, fault });
  }

  async #poll() {
    const state = await getJson("demo/state");
    const before = this.state;
    this.state = state;
    this.#listen();
    if (this.seen === null) this.seen = state.current;
    else if (before && before.current !== state.current) this.#onSwitch(state.current);
    this.#underway = this.#underway.filter(({ at }) => performance.now() - at < ARRIVAL_MAX_MS);
    if (!this.#underway.length && this.#player?.state !== "playing") this.seen = state.current;
    this.#collect(state.events ?? []);
  }

  /** To the player that shows the demo's channel, another one after each opening of its tile. */
  #listen() {
    const player = wall.players.get(this.state.channel) ?? null;
    if (player === this.#player) return;
    this.#player = player;
    this.#underway = [];
    player?.addEventListener("crossing", () => this.#onCrossing(player));
  }

  #onSwitch(source) {
    const { latency, stalls } = this.#player?.stats() ?? {};
    if (this.#player) this.#underway = [...this.#underway, { source, at: performance.now(), latency: latency ?? 6, stalls }];
  }

  #onCrossing(player) {
    if (player !== this.#player) return;
    const [next, ...rest] = this.#underway;
    this.#underway = rest;
    this.seen = next?.source ?? this.state.current;
    const stalls = player.stats().stalls - (next?.stalls ?? 0);
    const how = next && stalls > 0 ? `after ${plural(stalls, "stall")}` : "without a stall";
    this.#note({ at_ms: Date.now(), text: `${this.#name(this.seen)} is on your screen, ${how}`, here: true });
  }

  #name(index) {
    const source = this.state.sources[index];
    return source ? `Source ${source.name}` : "The holding card";
  }

  /** The server repeats its latest events; only those that were not in the last answer are news. */
  #collect(events) {
    const keyed = events.map((event) => [`${event.at_ms} ${event.text}`, event]);
    for (const [key, event] of keyed) if (!this.#known.has(key)) this.#note(event);
    this.#known = new Set(keyed.map(([key]) => key));
  }

  #note(entry) {
    this.#noted += 1;
    this.log = [{ ...entry, key: this.#noted }, ...this.log].slice(0, LOG_MAX);
  }

  async #send(path, json) {
    try {
      await request(path, { json });
      await this.#poll();
    } catch (error) {
      this.#note({ at_ms: Date.now(), text: `The button did not work: ${error.message}`, here: true });
    }
  }
}

export const demo = new Demo();
