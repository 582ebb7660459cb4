// Plays one HLS URL in one <video> and keeps it playing. Says what it does in words; draws nothing.
//
// hls.js repairs small things itself. What it calls fatal comes here: the network is tried again with
// bounded exponential backoff for as long as the page is open, the decoder is restarted, and when that
// does not help the whole engine is built anew.

import workerUrl from "hls.js/dist/hls.worker.js?url";
import { backoffMs, describe, STALL_MS } from "./recovery.js";

const HLS = "application/vnd.apple.mpegurl";
const MEDIA_REPAIR_PAUSE_MS = 10_000;
const SAMPLE_MS = 250;

const CONFIG = {
  workerPath: workerUrl,
  lowLatencyMode: false,
  backBufferLength: 30,
  maxBufferLength: 30,
  enableWebVTT: false,
  enableIMSC1: false,
  enableCEA708Captions: false,
};

/** Fires "change" when `state` or `message` changes, "crossing" when a discontinuity reaches the screen. */
export class Player extends EventTarget {
  constructor(video) {
    super();
    this.video = video;
    this.url = "";
    this.state = "idle"; // idle | loading | playing | paused | buffering | retrying | failed | ended
    this.message = "";
    this.#reset();
    this.wanted = false; // the viewer's will, which outlives an engine
    video.addEventListener("play", () => (this.wanted = true));
    for (const name of ["playing", "pause", "waiting", "ended"]) {
      video.addEventListener(name, () => this.#onMedia(name));
    }
    setInterval(() => this.#sample(), SAMPLE_MS);
  }

  #reset() {
    this.counts = { errors: 0, fatal: 0, stalls: 0, stalled_s: 0, discontinuities: 0, switches: 0, recoveries: 0 };
    this.last = { advancedAt: 0, time: -1, stalled: false, cc: null, repairedAt: 0 };
    this.attempts = 0;
  }

  /** Starts `url`; the one before it stops. */
  async open(url) {
    this.close();
    this.#reset();
    this.url = url;
    this.wanted = true;
    this.#set("loading", "Tuning in");
    await this.#build();
  }

  close() {
    clearTimeout(this.timer);
    this.hls?.destroy();
    this.hls = null;
    this.url = "";
    this.video.removeAttribute("src");
    this.video.load();
    this.#set("idle", "");
  }

  /** Does at once what the backoff would do later. */
  retryNow() {
    clearTimeout(this.timer);
    this.#restart?.();
  }

  /** To the live edge, less the distance that keeps playback smooth. */
  goLive() {
    const { seekable } = this.video;
    const end = this.hls?.liveSyncPosition ?? (seekable.length ? seekable.end(seekable.length - 1) - 6 : null);
    if (end !== null) this.video.currentTime = end;
    return this.play();
  }

  /** Browsers let a page start muted pictures only, until someone touches it. */
  async play() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return;
      this.video.muted = true;
      await this.video.play().catch(() => this.#set("paused", ""));
    }
  }

  stats() {
    const { video, hls } = this;
    const level = hls?.levels?.[hls.currentLevel];
    const quality = video.getVideoPlaybackQuality?.();
    const ranges = [...Array(video.buffered.length).keys()].map((i) => [video.buffered.start(i), video.buffered.end(i)]);
    const ahead = ranges.find(([start, end]) => start <= video.currentTime + 0.1 && end > video.currentTime);
    return {
      state: this.state,
      message: this.message,
      currentTime: video.currentTime,
      buffered: ranges,
      buffer: ahead ? ahead[1] - video.currentTime : 0,
      latency: hls?.latency > 0 ? hls.latency : null,
      dropped: quality?.droppedVideoFrames ?? 0,
      frames: quality?.totalVideoFrames ?? 0,
      width: video.videoWidth,
      height: video.videoHeight,
      level: hls?.currentLevel ?? -1,
      levels: hls?.levels?.length ?? 0,
      bitrate: level?.bitrate || null,
      readyState: video.readyState,
      muted: video.muted,
      native: Boolean(this.url) && !hls,
      ...this.counts,
      stalled_s: this.counts.stalled_s + (this.last.stalled ? (performance.now() - this.last.advancedAt) / 1000 : 0),
    };
  }

  #restart = null;

  async #build() {
    const url = this.url;
    // Loaded on demand: the page is there before the engine is.
    const { default: Hls } = await import("hls.js");
    if (url !== this.url) return;
    if (Hls.isSupported()) this.#attach(Hls);
    else if (this.video.canPlayType(HLS)) this.#attachNative();
    else this.#set("failed", "This browser cannot play HLS. Copy the stream URL into VLC or another player.");
  }

  #attach(Hls) {
    this.hls?.destroy();
    this.last.cc = null;
    const hls = (this.hls = new Hls(CONFIG));
    const { Events } = Hls;
    hls.on(Events.MANIFEST_PARSED, () => this.#resume());
    hls.on(Events.FRAG_BUFFERED, () => (this.attempts = 0));
    hls.on(Events.FRAG_CHANGED, (_, { frag }) => this.#onFragment(frag));
    hls.on(Events.LEVEL_SWITCHED, (_, { level }) => {
      if (this.last.level !== undefined && this.last.level !== level) this.counts.switches += 1;
      this.last.level = level;
    });
    hls.on(Events.ERROR, (_, data) => this.#onError(Hls, data));
    hls.loadSource(this.url);
    hls.attachMedia(this.video);
  }

  /** Safari on older phones plays HLS itself and tells little about it. */
  #attachNative() {
    this.video.src = this.url;
    this.video.onerror = () => {
      if (!this.url || this.hls) return;
      this.counts.errors += 1;
      this.#retry("The stream cannot be played", 0, () => this.#attachNative());
    };
    this.#resume();
  }

  #onFragment(frag) {
    if (frag.type !== "main") return;
    if (this.last.cc !== null && frag.cc !== this.last.cc) {
      this.counts.discontinuities += 1;
      this.dispatchEvent(new Event("crossing"));
    }
    this.last.cc = frag.cc;
  }

  #onError(Hls, data) {
    this.counts.errors += 1;
    if (!data.fatal) return;
    this.counts.fatal += 1;
    const { message, final } = describe(data);
    if (final) {
      this.hls.stopLoad();
      this.#restart = () => this.#build();
      this.#set("failed", message);
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.#repairMedia()) {
      this.#set("retrying", "Restarting the decoder");
    } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR && data.details !== Hls.ErrorDetails.MANIFEST_LOAD_ERROR && this.hls.levels.length) {
      this.#retry(message, retryAfterMs(data), () => this.hls?.startLoad());
    } else {
      this.#retry(message, retryAfterMs(data), () => this.#build());
    }
  }

  /** Once in a while; twice in short order would be a loop. */
  #repairMedia() {
    const now = performance.now();
    if (this.last.repairedAt && now - this.last.repairedAt < MEDIA_REPAIR_PAUSE_MS) return false;
    this.last.repairedAt = now;
    this.counts.recoveries += 1;
    this.hls.recoverMediaError();
    this.#resume(); // a new engine or decoder starts paused
    return true;
  }

  #resume() {
    if (this.wanted) this.play();
    else this.#set("paused", "");
  }

  #retry(message, leastMs, restart) {
    const wait = Math.max(leastMs, backoffMs(this.attempts, Math.random()));
    this.attempts += 1;
    this.counts.recoveries += 1;
    clearTimeout(this.timer);
    this.#restart = () => {
      this.#restart = null;
      restart();
    };
    this.timer = setTimeout(() => this.#restart?.(), wait);
    // What is buffered still plays: no veil over a running picture.
    this.#set(this.#running() ? this.state : "retrying", `${message}. Trying again`);
  }

  #running() {
    return !this.video.paused && this.video.readyState > 2;
  }

  #onMedia(name) {
    if (!this.url) return;
    if (name === "pause" && !this.video.ended) this.wanted = false;
    if (name === "playing") this.#set("playing", "");
    if (name === "pause" && !this.video.ended && this.state === "playing") this.#set("paused", "");
    if (name === "waiting" && this.state === "playing") this.#set("buffering", "");
    if (name === "ended") this.#set("ended", "The stream has ended.");
  }

  /** A stall is a picture that should move and does not; no event tells it reliably. */
  #sample() {
    const { video, last } = this;
    const now = performance.now();
    const held = video.paused || video.seeking || video.ended || document.hidden || !this.url || !this.last.started;
    if (video.currentTime !== last.time || held) {
      if (last.stalled) this.counts.stalled_s += (now - last.advancedAt) / 1000;
      if (last.time >= 0 && video.currentTime > last.time && !held) this.#moved();
      if (!video.paused && video.currentTime > 0) last.started = true;
      Object.assign(last, { advancedAt: now, time: video.currentTime, stalled: false });
    } else if (!last.stalled && now - last.advancedAt > STALL_MS) {
      last.stalled = true;
      this.counts.stalls += 1;
      if (this.state === "playing") this.#set("buffering", "");
    }
  }

  #moved() {
    if (["buffering", "loading", "retrying"].includes(this.state)) this.#set("playing", "");
  }

  #set(state, message) {
    if (state === this.state && message === this.message) return;
    this.state = state;
    this.message = message;
    this.dispatchEvent(new Event("change"));
  }
}

/** A 503 says when to come back; XHR shows the header to the same origin. */
function retryAfterMs(data) {
  const header = data.networkDetails?.getResponseHeader?.("Retry-After");
  const seconds = Number(header);
  return header && seconds > 0 ? Math.min(seconds, 30) * 1000 : 0;
}
