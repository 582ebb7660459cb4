// The keyboard of the watch view. Arrow keys without Shift move the focus (`shell/spatial.js`).

const SEEK_S = 10;
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

export const KEYS = [
  ["1 – 4", "choose a tile: it gets the sound"],
  ["arrows", "move the focus"],
  ["Shift + arrows", "move the tile"],
  ["space", "play or pause"],
  ["m", "sound on or off"],
  ["f", "full screen"],
  ["p", "picture in picture"],
  ["j   l", "ten seconds back, on; live: to the edge"],
  ["i", "statistics"],
  ["w", "wide: hide the list"],
  ["a", "align tiles in time"],
  ["x", "close the tile"],
  ["?", "this help"],
];

export function keys({ wall, showHelp }) {
  const player = () => wall.player();
  const acts = {
    " ": () => player()?.toggle(),
    k: () => player()?.toggle(),
    m: () => wall.toggleSound(),
    f: () => player()?.dispatchEvent(new Event("fullscreen")),
    p: () => player()?.dispatchEvent(new Event("pip")),
    j: () => player()?.seekBy(-SEEK_S),
    l: () => (player()?.isLive() ? player().goLive() : player()?.seekBy(SEEK_S)),
    i: () => (wall.facts = !wall.facts),
    w: () => wall.toggle("wide"),
    a: () => wall.toggle("aligned"),
    x: () => wall.current && wall.refs.length > 1 && wall.close(wall.current),
    "?": showHelp,
  };
  return (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input:not([type=range]), textarea, [contenteditable]")) return;
    if (event.key === " " && event.target.closest?.("button, a, summary")) return;
    const act = choose(event) ?? acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  function choose({ key, shiftKey }) {
    if (/^[1-4]$/.test(key)) return () => focusTile(Number(key) - 1);
    if (shiftKey && key in STEPS) return () => wall.swap(wall.selected, wall.selected + STEPS[key]);
    return null;
  }

  function focusTile(index) {
    wall.select(index);
    player()?.root?.focus();
  }
}
