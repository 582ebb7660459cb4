// Plays one address in one <video> and keeps it playing. Says what it does in words; draws nothing.
//
// hls.js repairs small things itself. What it calls fatal is decided in `recovery.js` and done here.

import { CALM, recover, REFUSED, relieved, STALL_MS } from "./recovery.js";

const HLS = "application/vnd.apple.mpegurl";
const SAMPLE_MS = 250;
const FRAME_S = 1 / 60;
const UNPLAYABLE = "This browser cannot play this. Copy its address into VLC or another player.";
const VEILED = ["loading", "buffering", "retrying"];

const CONFIG = {
  lowLatencyMode: false,
  capLevelToPlayerSize: true, // four small tiles need no four large pictures
  backBufferLength: 30,
  maxBufferLength: 30,
  enableIMSC1: false,
  enableCEA708Captions: false,
};

/**
 * Fires "change" when `state`, `message` or the qualities change, "crossing" when a discontinuity reaches the
 * screen, "silenced" when the browser allows a muted picture only.
 */
export class Player extends EventTarget {
  /**
   * `open` finds the address: () => Promise<{url, kind: "hls" | "file"}>; asked again when one is refused. An error with `isFinal`
   * ends it.
   */
  constructor(video, open) {
    super();
    this.video = video;
    this.open = open;
    this.state = "loading"; // loading | playing | paused | buffering | retrying | failed | ended | closed
    this.message = "Tuning in";
    this.url = "";
    this.wanted = true; // the viewer's will, which outlives an engine
    this.awaited = 0; // where a file goes on once it is there
    this.memory = CALM;
    this.counts = { errors: 0, fatal: 0, stalls: 0, stalled_s: 0, discontinuities: 0, switches: 0, recoveries: 0 };
    this.last = { advancedAt: 0, time: -1, stalled: false, started: false, cc: null };
    this.life = new AbortController();
    for (const name of ["play", "playing", "pause", "waiting", "ended"]) {
      video.addEventListener(name, () => this.#onMedia(name), this.life);
    }
    this.sampler = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** Finds the address and plays it. */
  async start() {
    try {
      const { url, kind } = await this.open();
      if (this.state === "closed") return;
      this.url = url;
      if (kind === "file") this.#attachFile();
      else await this.#build();
    } catch (error) {
      if (this.state === "closed") return;
      if (error.isFinal) this.#set("failed", error.message);
      else this.#trouble({ kind: "network", details: "manifestLoadError", code: error.status ?? 0, has_levels: false }, error.message);
    }
  }

  /** For good. */
  close() {
    clearTimeout(this.timer);
    clearInterval(this.sampler);
    this.life.abort();
    this.state = "closed";
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  /** Does at once what the backoff would do later. */
  retryNow() {
    clearTimeout(this.timer);
    const restart = this.restart ?? (() => this.start());
    this.restart = null;
    restart();
  }

  /** Browsers let a page start muted pictures only, until someone touches it. */
  async play() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return;
      this.video.muted = true;
      this.dispatchEvent(new Event("silenced"));
      await this.video.play().catch(() => this.#set("paused", ""));
    }
  }

  toggle() {
    if (!this.video.paused) this.video.pause();
    else if ((this.stats().latency ?? 0) > 20) this.goLive();
    else this.play();
  }

  /** To the live edge, less the distance that keeps playback smooth. */
  goLive() {
    const { seekable } = this.video;
    const end = this.hls?.liveSyncPosition ?? (seekable.length ? seekable.end(seekable.length - 1) - 6 : null);
    if (end !== null && this.isLive()) this.video.currentTime = end;
    return this.play();
  }

  seekBy(s) {
    const { seekable, currentTime } = this.video;
    if (!seekable.length) return;
    const [start, end] = [seekable.start(0), seekable.end(seekable.length - 1)];
    this.video.currentTime = Math.min(Math.max(start, currentTime + s), Math.max(start, end - 1));
  }

  isLive() {
    return this.hls?.latestLevelDetails?.live ?? this.video.duration === Infinity;
  }

  /** [{index, height, bitrate}], the best first. */
  qualities() {
    const levels = (this.hls?.levels ?? []).map(({ height, bitrate }, index) => ({ index, height, bitrate }));
    return levels.sort((a, b) => b.bitrate - a.bitrate);
  }

  /** What was chosen; -1: by itself. */
  quality() {
    return this.hls && !this.hls.autoLevelEnabled ? this.hls.manualLevel : -1;
  }

  setQuality(index) {
    if (!this.hls) return;
    this.hls.nextLevel = index;
    this.dispatchEvent(new Event("change"));
  }

  /** [{index, name, on}] of sound renditions or subtitles. */
  renditions(kind) {
    const [list, current] = kind === "audio" ? [this.hls?.audioTracks, this.hls?.audioTrack] : [this.hls?.subtitleTracks, this.hls?.subtitleTrack];
    return (list ?? []).map(({ name, lang }, index) => ({ index, name: name || lang || `${index + 1}`, on: index === current }));
  }

  setRendition(kind, index) {
    if (!this.hls) return;
    if (kind === "audio") this.hls.audioTrack = index;
    else {
      this.hls.subtitleDisplay = index >= 0;
      this.hls.subtitleTrack = index;
    }
    this.dispatchEvent(new Event("change"));
  }

  /** The moment on the screen by EXT-X-PROGRAM-DATE-TIME, in seconds; null where the stream tells none. */
  date_s() {
    const date = this.hls?.playingDate;
    return date ? date.getTime() / 1000 : null;
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
      paused: video.paused,
      currentTime: video.currentTime,
      duration: video.duration,
      live: this.isLive(),
      buffered: ranges,
      buffer: ahead ? ahead[1] - video.currentTime : 0,
      latency: hls?.latency > 0 && this.isLive() ? hls.latency : null,
      dropped: quality?.droppedVideoFrames ?? 0,
      frames: quality?.totalVideoFrames ?? 0,
      width: video.videoWidth,
      height: video.videoHeight,
      level: hls?.currentLevel ?? -1,
      levels: hls?.levels?.length ?? 0,
      capped: hls?.autoLevelCapping ?? -1,
      bitrate: level?.bitrate || null,
      rate: video.playbackRate,
      readyState: video.readyState,
      muted: video.muted,
      native: Boolean(this.url) && !hls,
      ...this.counts,
      stalled_s: this.counts.stalled_s + (this.last.stalled ? (performance.now() - this.last.advancedAt) / 1000 : 0),
    };
  }

  async #build() {
    // Loaded on demand: the page is there before the engine is.
    const { default: Hls, workerPath } = await import("./engine.js");
    if (this.state === "closed") return;
    if (Hls.isSupported()) this.#attach(Hls, workerPath);
    else if (this.video.canPlayType(HLS)) this.#attachFile();
    else this.#set("failed", UNPLAYABLE);
  }

  #attach(Hls, workerPath) {
    const startPosition = this.#place() || -1;
    this.hls?.destroy();
    this.last.cc = null;
    const hls = (this.hls = new Hls({ ...CONFIG, workerPath, startPosition }));
    const { Events } = Hls;
    hls.on(Events.MANIFEST_PARSED, () => this.#resume());
    hls.on(Events.FRAG_BUFFERED, () => (this.memory = relieved(this.memory)));
    hls.on(Events.FRAG_CHANGED, (_, { frag }) => this.#onFragment(frag));
    hls.on(Events.LEVEL_SWITCHED, (_, { level }) => {
      if (this.last.level !== undefined && this.last.level !== level) this.counts.switches += 1;
      this.last.level = level;
      this.dispatchEvent(new Event("change"));
    });
    hls.on(Events.ERROR, (_, data) => this.#onError(Hls, data));
    hls.loadSource(this.url);
    hls.attachMedia(this.video);
  }

  /** A plain file; or HLS on Safari of older phones, which plays it itself and tells little about it. */
  #attachFile() {
    const place = (this.awaited = this.#place() || this.awaited);
    this.video.src = this.url;
    const arrived = () => {
      this.video.currentTime = place;
      this.awaited = 0;
    };
    if (place) this.video.addEventListener("loadedmetadata", arrived, { signal: this.life.signal, once: true });
    this.video.onerror = () => this.#onFileError();
    this.#resume();
  }

  /** Browsers call whatever they were not given a file of "not supported": the gateway says what it was. */
  async #onFileError() {
    if (this.state === "closed" || this.hls) return;
    this.counts.errors += 1;
    const foreign = this.video.error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    // Not HEAD: what is signed for GET is good for nothing else.
    const ask = { headers: { Range: "bytes=0-0" }, cache: "no-store", redirect: "manual" };
    const answer = foreign ? await fetch(this.url, ask).catch(() => null) : null;
    if (this.state === "closed") return;
    // A library need not let a page ask, be it by a redirect or at once.
    const elsewhere = foreign && new URL(this.url).origin !== location.origin;
    const given = answer ? answer.ok || answer.type === "opaqueredirect" : elsewhere;
    if (given && !this.last.started) this.#set("failed", UNPLAYABLE);
    else this.#trouble({ kind: "network", details: "manifestLoadError", code: answer?.status ?? 0, retry_after_s: Number(answer?.headers.get("Retry-After")) || 0, has_levels: false });
  }

  /** Where a recording goes on under a fresh address. */
  #place() {
    return this.last.live || this.isLive() ? 0 : this.video.currentTime;
  }

  #onFragment(frag) {
    if (frag.type !== "main") return;
    this.last.live = this.isLive();
    if (this.last.cc !== null && frag.cc !== this.last.cc) {
      this.counts.discontinuities += 1;
      this.#whenShown(frag.elementaryStreams.video?.startPTS ?? frag.start);
    }
    this.last.cc = frag.cc;
  }

  /** hls.js tells of a fragment up to half a second before its first frame is on the screen. */
  #whenShown(start_s) {
    const { video } = this;
    const cross = () => this.state !== "closed" && this.dispatchEvent(new Event("crossing"));
    if (!video.requestVideoFrameCallback) return cross();
    const look = (_, { mediaTime }) => (mediaTime > start_s - FRAME_S / 2 ? cross() : video.requestVideoFrameCallback(look));
    return video.requestVideoFrameCallback(look);
  }

  #onError(Hls, data) {
    this.counts.errors += 1;
    // hls.js tries what was refused for half a minute; a fresh address may be had at once.
    const refused = REFUSED.includes(data.response?.code) && !this.restart;
    if (!data.fatal && !refused) return;
    this.counts.fatal += 1;
    const kind = { [Hls.ErrorTypes.MEDIA_ERROR]: "media", [Hls.ErrorTypes.NETWORK_ERROR]: "network" }[data.type] ?? "other";
    // XHR shows the header to the same origin.
    const retry_after_s = Number(data.networkDetails?.getResponseHeader?.("Retry-After")) || 0;
    this.#trouble({ kind, details: data.details, code: data.response?.code ?? 0, retry_after_s, has_levels: this.hls.levels.length > 0 });
  }

  #trouble(problem, words) {
    const { memory, action, wait_ms, message } = recover(this.memory, problem, performance.now(), Math.random());
    this.memory = memory;
    this.counts.recoveries += 1;
    clearTimeout(this.timer);
    if (action === "repair") {
      this.hls.recoverMediaError();
      this.#resume(); // a new decoder starts paused
      this.#set("retrying", message);
      return;
    }
    this.hls?.stopLoad();
    this.restart = { reload: () => this.hls?.startLoad(), rebuild: () => this.#again(), renew: () => this.start() }[action];
    this.timer = setTimeout(() => this.retryNow(), wait_ms);
    // What is buffered still plays: no veil over a running picture.
    const running = !this.video.paused && this.video.readyState > 2;
    this.#set(running ? this.state : "retrying", `${words ? capital(words) : message}. Trying again`);
  }

  #again() {
    if (!this.url) this.start();
    else if (this.hls) this.#build();
    else this.#attachFile();
  }

  #resume() {
    if (this.wanted) this.play();
    else this.#set("paused", "");
  }

  #onMedia(name) {
    if (name === "play") this.wanted = true;
    if (name === "pause" && !this.video.ended) this.wanted = false;
    if (name === "playing") this.#set("playing", "");
    if (name === "pause" && !this.video.ended && this.state === "playing") this.#set("paused", "");
    if (name === "waiting" && this.state === "playing") this.#set("buffering", "");
    if (name === "ended") this.#set("ended", "The end");
  }

  /** A stall is a picture that should move and does not; no event tells it reliably. */
  #sample() {
    const { video, last } = this;
    const now = performance.now();
    const held = video.paused || video.seeking || video.ended || document.hidden || !last.started;
    if (video.currentTime !== last.time || held) {
      if (last.stalled) this.counts.stalled_s += (now - last.advancedAt) / 1000;
      if (last.time >= 0 && video.currentTime > last.time && !held && VEILED.includes(this.state)) this.#set("playing", "");
      if (!video.paused && video.currentTime > 0) last.started = true;
      Object.assign(last, { advancedAt: now, time: video.currentTime, stalled: false });
    } else if (!last.stalled && now - last.advancedAt > STALL_MS) {
      last.stalled = true;
      this.counts.stalls += 1;
      if (this.state === "playing") this.#set("buffering", "");
    }
  }

  #set(state, message) {
    if (this.state === "closed" || (state === this.state && message === this.message)) return;
    this.state = state;
    this.message = message;
    this.dispatchEvent(new Event("change"));
  }
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
