// The tiles on the screen: what is in them, which one has the sound, and how each of them does.

import { align } from "../player/align.js";
import { add, close, formatRoute, show, swap } from "./layout.js";

const PREFERENCES = "perennial.preferences";
const TICK_MS = 1000;
const HISTORY = 60;

class Wall {
  refs = $state.raw([]);
  selected = $state(0);
  muted = $state(true);
  volume = $state(0.8);
  wide = $state(false);
  facts = $state(false);
  aligned = $state(true);
  /** By ref: what its player says of itself, once a second and whenever it changes. */
  stats = $state.raw({});
  /** By ref: the last minute, a bar a second. */
  history = $state.raw({});
  /** By ref: seconds ahead of the tile that is furthest behind, null for who takes no part. */
  ahead = $state.raw({});
  players = new Map();
  /** Which source is on the screen, where someone knows. */
  sourceOf = () => null;
  #before = new Map();

  constructor() {
    const { muted = true, volume = 0.8, wide = false, aligned = true } = readPreferences();
    Object.assign(this, { muted, volume, wide, aligned });
    setInterval(() => this.#tick(), TICK_MS);
  }

  get address() {
    return formatRoute(this.refs, this.selected);
  }

  get current() {
    return this.refs[this.selected] ?? null;
  }

  player() {
    return this.players.get(this.current);
  }

  set(layout) {
    this.refs = layout.refs;
    this.selected = layout.selected;
  }

  add(ref) {
    this.set(add(this, ref));
  }

  show(ref) {
    this.set(show(this, ref));
  }

  close(ref) {
    this.set(close(this, ref));
  }

  swap(a, b) {
    this.set(swap(this, a, b));
  }

  select(index) {
    if (index in this.refs) this.selected = index;
  }

  toggleSound() {
    this.muted = !this.muted;
    if (!this.muted && this.volume === 0) this.volume = 0.5;
    this.remember();
  }

  setVolume(volume) {
    this.volume = volume;
    this.muted = volume === 0;
    this.remember();
  }

  toggle(preference) {
    this[preference] = !this[preference];
    this.remember();
  }

  remember() {
    const { muted, volume, wide, aligned } = this;
    try {
      localStorage.setItem(PREFERENCES, JSON.stringify({ muted, volume, wide, aligned }));
    } catch {
      // A browser that keeps nothing still plays.
    }
  }

  enter(ref, player) {
    this.players.set(ref, player);
    player.addEventListener("change", () => this.#read());
    player.addEventListener("crossing", () => (this.#memory(ref).joined = true));
    player.addEventListener("silenced", () => (this.muted = true));
    this.#read();
  }

  leave(ref) {
    this.players.delete(ref);
    this.#before.delete(ref);
    this.history = { ...this.history, [ref]: [] };
    this.#read();
  }

  #memory(ref) {
    if (!this.#before.has(ref)) this.#before.set(ref, { wall: null, time: 0, joined: false });
    return this.#before.get(ref);
  }

  #read() {
    this.stats = Object.fromEntries([...this.players].map(([ref, player]) => [ref, player.stats()]));
  }

  #tick() {
    this.#read();
    this.#align();
    this.history = Object.fromEntries([...this.players].map(([ref, player]) => [ref, this.#lengthen(ref, player)]));
  }

  /** A bar: how far the picture moved in the last second, of which source, and whether two were joined. */
  #lengthen(ref, player) {
    const bars = this.history[ref] ?? [];
    const before = this.#memory(ref);
    const now = { wall: performance.now(), time: player.video.currentTime, joined: false };
    this.#before.set(ref, document.hidden ? { ...now, wall: null } : now);
    if (before.wall === null || document.hidden) return bars;
    const moved = (now.time - before.time) / ((now.wall - before.wall) / 1000);
    const held = player.video.paused || !player.last.started;
    return [...bars, { moved: held ? null : Math.max(0, moved), source: this.sourceOf(ref), joined: before.joined }].slice(-HISTORY);
  }

  #align() {
    const tiles = [...this.players].map(([id, player]) => ({
      id, date_s: player.isLive() ? player.date_s() : null, rate: player.video.playbackRate,
      playing: this.aligned && this.players.size > 1 && player.state === "playing",
    }));
    this.ahead = Object.fromEntries(align(tiles).map(({ id, rate, back_s, ahead_s }) => {
      const { video } = this.players.get(id);
      if (back_s) video.currentTime -= back_s;
      if (Math.abs(video.playbackRate - rate) > 0.001) video.playbackRate = rate;
      return [id, ahead_s];
    }));
  }
}

export const wall = new Wall();

function readPreferences() {
  try {
    return JSON.parse(localStorage.getItem(PREFERENCES)) ?? {};
  } catch {
    return {};
  }
}
