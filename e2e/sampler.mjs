// Runs inside the page, before its own scripts: watches the first <video> ten times a second. Whatever
// the page's player believes, a picture whose currentTime stands still is a stall.

/** @param {number} stallMs */
export function sampler(stallMs) {
  const SAMPLE_MS = 100;
  const JUMP_S = 0.5;
  const now = () => performance.now() / 1000;
  const fresh = () => ({ began: now(), from: null, time: null, movedAt: now(), wallAt: now(), stalls: [], jumps: [], standing: false });
  let m = fresh();
  let started = false;

  const sample = () => {
    const video = document.querySelector("video");
    if (!video) return;
    if (!started && video.currentTime > 0 && !video.paused && video.readyState >= 3) started = true;
    const at = now();
    const time = video.currentTime;
    if (m.time === null) Object.assign(m, { time, from: time, movedAt: at, wallAt: at });
    const moved = time - m.time;
    const off = moved - (at - m.wallAt) * Math.max(1, video.playbackRate);
    if (off > JUMP_S || moved < -0.1) m.jumps.push({ at: at - m.began, by: moved });
    if (moved !== 0 || video.paused) {
      if (m.standing) m.stalls.at(-1).for = at - m.movedAt;
      Object.assign(m, { movedAt: at, standing: false });
    } else if (at - m.movedAt >= stallMs / 1000) {
      if (!m.standing) m.stalls.push({ at: m.movedAt - m.began, for: 0 });
      m.stalls.at(-1).for = at - m.movedAt;
      m.standing = true;
    }
    Object.assign(m, { time, wallAt: at });
  };
  setInterval(sample, SAMPLE_MS);

  /** What the picture is on the whole: red, green, blue. */
  const color = (video) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(video, 0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };

  window.measurement = {
    get started() {
      return started;
    },
    restart: () => void (m = fresh()),
    read() {
      const video = document.querySelector("video");
      const round = (n) => Math.round(n * 1000) / 1000;
      const sum = (list, key) => round(list.reduce((total, entry) => total + Math.abs(entry[key]), 0));
      const rounded = (list) => list.slice(0, 20).map((entry) => Object.fromEntries(Object.entries(entry).map(([k, v]) => [k, round(v)])));
      return {
        wall_s: round(now() - m.began),
        advanced_s: m.from === null ? 0 : round(m.time - m.from),
        stalls: m.stalls.length,
        stalled_s: sum(m.stalls, "for"),
        stall_max_s: round(Math.max(0, ...m.stalls.map((stall) => stall.for))),
        stalled_at: rounded(m.stalls),
        jumps: m.jumps.length,
        jumped_s: sum(m.jumps, "by"),
        jumped_at: rounded(m.jumps),
        ready_state: video ? video.readyState : 0,
        audio_bytes: video?.webkitAudioDecodedByteCount ?? 0,
        color: video?.videoWidth ? color(video) : null,
      };
    },
  };
}
