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

export function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** Milliseconds since 1970 as local clock time; small values are taken as time since the start. */
export function clock(at_ms) {
  if (!Number.isFinite(at_ms)) return "";
  const two = (n) => String(n).padStart(2, "0");
  if (at_ms < 1e11) return `${two(Math.floor(at_ms / 60000))}:${two(Math.floor(at_ms / 1000) % 60)}`;
  const date = new Date(at_ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** "connection_refused" → "connection refused" */
export function words(code) {
  return String(code ?? "").replaceAll("_", " ");
}
