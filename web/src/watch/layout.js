// The address of a view: which one, and for Watch what lies in its tiles. Pure.
//
//   #/watch/news/stream:club:cam-1?sound=2      two tiles, the second has the sound

export const TILES_MAX = 4;
const REF_CHARS_MAX = 300;
const VIEWS = ["watch", "schedule", "status"];

/** @returns {{view: string, refs: string[], selected: number}} */
export function parseRoute(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  const [view, ...parts] = path.split("/").filter(Boolean).map(decode);
  const refs = [...new Set(parts)].filter((ref) => ref.length <= REF_CHARS_MAX).slice(0, TILES_MAX);
  const sound = Number(new URLSearchParams(query).get("sound") ?? 1);
  const selected = Number.isInteger(sound) && sound >= 1 && sound <= refs.length ? sound - 1 : 0;
  return VIEWS.includes(view) ? { view, refs: view === "watch" ? refs : [], selected } : { view: "watch", refs: [], selected: 0 };
}

export function formatRoute(refs, selected = 0) {
  const path = refs.map((ref) => `/${encodeURIComponent(ref).replaceAll("%3A", ":")}`).join("");
  return `#/watch${path}${selected > 0 ? `?sound=${selected + 1}` : ""}`;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Beside the others; a fifth takes the place of the last. → {refs, selected} */
export function add({ refs }, ref) {
  const found = refs.indexOf(ref);
  if (found >= 0) return { refs, selected: found };
  const next = [...refs.slice(0, TILES_MAX - 1), ref];
  return { refs: next, selected: next.length - 1 };
}

/** In the selected tile's place. */
export function show({ refs, selected }, ref) {
  const found = refs.indexOf(ref);
  if (found >= 0) return { refs, selected: found };
  if (refs.length === 0) return { refs: [ref], selected: 0 };
  return { refs: refs.map((old, i) => (i === selected ? ref : old)), selected };
}

/** The sound goes to a neighbour when its tile is closed, and stays where it is otherwise. */
export function close({ refs, selected }, ref) {
  const at = refs.indexOf(ref);
  if (at < 0) return { refs, selected };
  const left = refs.filter((other) => other !== ref);
  const moved = at < selected ? selected - 1 : selected;
  return { refs: left, selected: Math.max(0, Math.min(moved, left.length - 1)) };
}

/** The sound follows its picture. */
export function swap({ refs, selected }, a, b) {
  if (a === b || !(a in refs) || !(b in refs)) return { refs, selected };
  const next = refs.slice();
  [next[a], next[b]] = [next[b], next[a]];
  return { refs: next, selected: selected === a ? b : selected === b ? a : selected };
}
