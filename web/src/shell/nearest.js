// Which of many boxes lies next in a direction, as a television's remote moves. Pure.

const AXES = {
  left: { main: "x", sign: -1 }, right: { main: "x", sign: 1 },
  up: { main: "y", sign: -1 }, down: { main: "y", sign: 1 },
};
const SIDEWAYS = 2; // a step aside is dearer than a step ahead
const TOUCHING = 4;
const OFF_CENTRE = 0.15;

/** Boxes are {left, top, right, bottom}. → an index of `boxes`, or -1. */
export function nearest(from, boxes, direction) {
  const { main, sign } = AXES[direction];
  const cross = main === "x" ? "y" : "x";
  let best = -1;
  let least = Infinity;
  boxes.forEach((box, index) => {
    const ahead = sign * (centre(box, main) - centre(from, main));
    if (ahead < 1) return;
    const gap = sign > 0 ? start(box, main) - end(from, main) : start(from, main) - end(box, main);
    const aside = Math.max(0, start(box, cross) - end(from, cross), start(from, cross) - end(box, cross));
    // What lies beside and begins before this one ends is not ahead.
    if (aside > 0 && gap < -TOUCHING) return;
    const cost = Math.max(0, gap) + SIDEWAYS * aside + OFF_CENTRE * (ahead + Math.abs(centre(box, cross) - centre(from, cross)));
    if (cost < least) [best, least] = [index, cost];
  });
  return best;
}

const start = (box, axis) => (axis === "x" ? box.left : box.top);
const end = (box, axis) => (axis === "x" ? box.right : box.bottom);
const centre = (box, axis) => (start(box, axis) + end(box, axis)) / 2;
