// The picture, its controls and what is told about it.

import { $, el, onCopy, redraw, setText } from "./dom.js";
import { plural, seconds } from "./format.js";
import { setIcon } from "./icons.js";
import { Player } from "./player.js";
import { Ribbon } from "./ribbon.js";

const SOUND = "perennial.sound";
const STATES = {
  idle: "Idle", loading: "Tuning in", playing: "Playing", paused: "Paused",
  buffering: "Waiting for data", retrying: "Reconnecting", failed: "Stopped", ended: "Ended",
};

/** The watch view; `demo` tells which source is on the screen. */
export class Watch {
  constructor() {
    this.video = $("video");
    this.screen = $("screen");
    this.player = new Player(this.video);
    this.ribbon = new Ribbon($("ribbon"));
    this.channel = null;
    this.demo = null;
    this.joined = false;
    this.#restoreSound();
    this.#bind();
    setInterval(() => this.#tick(), 1000);
    this.#draw();
  }

  /** Shows `channel`, unless it is the one that plays. */
  select(channel) {
    if (this.channel?.url === channel.url) return;
    this.channel = channel;
    setText($("title"), channel.title);
    document.title = `${channel.title} – Perennial`;
    this.video.setAttribute("aria-label", channel.title);
    this.ribbon.clear();
    this.before = null;
    this.player.open(channel.url);
  }

  leave() {
    if (!this.channel) return;
    this.channel = null;
    this.player.close();
    document.title = "Perennial";
  }

  #bind() {
    const { video, player } = this;
    player.addEventListener("change", () => this.#draw());
    player.addEventListener("crossing", () => (this.joined = true));
    for (const name of ["volumechange", "play", "pause", "resize"]) video.addEventListener(name, () => this.#draw());
    video.addEventListener("volumechange", () => this.#saveSound());
    video.addEventListener("click", () => this.#toggle());
    video.addEventListener("dblclick", () => this.#fullscreen());
    $("play").onclick = () => this.#toggle();
    $("mute").onclick = () => this.#mute();
    $("unmute").onclick = () => {
      this.#mute();
      $("mute").focus();
    };
    $("volume").oninput = ({ target }) => {
      video.volume = Number(target.value);
      video.muted = video.volume === 0;
    };
    $("live").onclick = () => player.goLive();
    $("full").onclick = () => this.#fullscreen();
    $("retry").onclick = () => player.retryNow();
    onCopy($("copy-url"), () => this.channel?.url ?? "");
    document.addEventListener("fullscreenchange", () => this.#draw());
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event) {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const pressing = event.key === " " && event.target.closest?.("button, a");
    if (!this.channel || typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { " ": () => this.#toggle(), k: () => this.#toggle(), m: () => this.#mute(), f: () => this.#fullscreen(), l: () => this.player.goLive() }[event.key];
    if (!act || $("watch").hidden) return;
    event.preventDefault();
    act();
  }

  #toggle() {
    if (!this.video.paused) this.video.pause();
    else if (this.#behind() > 20) this.player.goLive();
    else this.player.play();
  }

  #mute() {
    this.video.muted = !this.video.muted;
    if (!this.video.muted && this.video.volume === 0) this.video.volume = 0.5;
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.screen.requestFullscreen) this.screen.requestFullscreen().catch(() => {});
    else this.video.webkitEnterFullscreen?.(); // iPhones know the video's own only
  }

  #behind() {
    return this.player.stats().latency ?? 0;
  }

  #restoreSound() {
    const { volume = 0.8, muted = true } = read(SOUND);
    this.video.volume = volume;
    this.video.muted = muted;
  }

  #saveSound() {
    try {
      localStorage.setItem(SOUND, JSON.stringify({ volume: this.video.volume, muted: this.video.muted }));
    } catch {
      // A browser that keeps nothing still plays.
    }
  }

  #draw() {
    const { video, player } = this;
    const { state, message } = player;
    this.screen.dataset.state = state;
    const veiled = ["loading", "buffering", "retrying", "failed", "ended"].includes(state);
    $("veil").hidden = !veiled;
    setText($("veil-text"), message || (state === "buffering" ? "One moment" : ""));
    $("retry").hidden = !["retrying", "failed"].includes(state);
    $("unmute").hidden = !video.muted || state !== "playing";
    setIcon($("play"), video.paused ? "play" : "pause", video.paused ? "Play" : "Pause");
    setIcon($("mute"), video.muted ? "muted" : "sound", video.muted ? "Turn sound on" : "Mute");
    setIcon($("full"), document.fullscreenElement ? "small" : "full", document.fullscreenElement ? "Leave fullscreen" : "Fullscreen");
    $("volume").value = video.muted ? 0 : video.volume;
    this.#drawStats();
  }

  #drawStats() {
    const s = this.player.stats();
    const atEdge = s.state === "playing" && (s.latency ?? 0) < 20;
    $("live").classList.toggle("on", atEdge);
    const source = this.demo?.onScreenName();
    const place = s.latency === null ? "" : `${seconds(s.latency)} behind live`;
    const group = this.channel?.group === this.channel?.title ? "" : this.channel?.group;
    setText($("subtitle"), [source && `Source ${source} on screen`, group, place].filter(Boolean).join(" · "));
    const rows = [
      ["State", STATES[s.state], s.state === "playing" ? "good" : ""],
      ["Stalls", s.stalls ? `${s.stalls} (${seconds(s.stalled_s)})` : "none", s.stalls ? "bad" : "good"],
      ["Seams", String(s.discontinuities)],
      ["Latency", seconds(s.latency ?? NaN)],
      ["Buffer", seconds(s.buffer)],
      ["Dropped", String(s.dropped)],
      ["Picture", s.width ? `${s.width} × ${s.height}` : "–"],
    ];
    redraw($("stats"), rows, () => rows.map(([name, value, tone]) => el("div", {}, el("dt", {}, name), el("dd", { class: tone || false }, value))));
  }

  /** Once a second: the ribbon, and the numbers. */
  #tick() {
    if (!this.channel || document.hidden) {
      this.before = null;
      return;
    }
    const now = { wall: performance.now(), time: this.video.currentTime };
    if (this.before) {
      const moved = (now.time - this.before.time) / ((now.wall - this.before.wall) / 1000);
      const held = this.video.paused || !this.player.last.started;
      this.ribbon.push({ moved: held ? null : Math.max(0, moved), source: this.demo?.onScreen() ?? null, joined: this.joined });
      this.joined = false;
    }
    this.before = now;
    this.drawMinute();
    this.#drawStats();
  }

  /** What the ribbon shows, in words. */
  drawMinute() {
    const { stalls, discontinuities } = this.player.stats();
    const told = [stalls ? plural(stalls, "stall") : "no stalls", plural(discontinuities, "seam")];
    setText($("minute-text"), this.demo?.arriving() ?? told.join(", "));
  }
}

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? {};
  } catch {
    return {};
  }
}
