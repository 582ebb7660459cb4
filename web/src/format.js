// Numbers and times as words. Pure.

export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

export function seconds(s) {
  return Number.isFinite(s) ? `${s.toFixed(1)} s` : "–";
}

/** Bits a second, as players tell a quality. */
export function bitrate(n) {
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1000)} kbit/s`;
}

export function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** Milliseconds since 1970 as local clock time; small values are taken as time since the start. */
export function clock(at_ms) {
  if (!Number.isFinite(at_ms)) return "";
  if (at_ms < 1e11) return `${two(Math.floor(at_ms / 60000))}:${two(Math.floor(at_ms / 1000) % 60)}`;
  const date = new Date(at_ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A length or a position: 65 → "1:05", 3725 → "1:02:05". */
export function length(s) {
  if (!Number.isFinite(s)) return "–";
  const [h, m, rest] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, Math.floor(s) % 60];
  return h ? `${h}:${two(m)}:${two(rest)}` : `${m}:${two(rest)}`;
}

/** How long someone has watched: "3 min", "2 h 05 min". */
export function duration(s) {
  if (s < 60) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** "connection_refused" → "connection refused" */
export function words(code) {
  return String(code ?? "").replaceAll("_", " ");
}

export function two(n) {
  return String(n).padStart(2, "0");
}
