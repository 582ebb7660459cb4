// The last minute of playback, a bar a second: its height is how far the picture moved, its colour
// the source that was on the screen, a notch the place where two sources were joined.

import { svg } from "./dom.js";

const SECONDS = 60;
const STEP = 4;
const HEIGHT = 24;

export class Ribbon {
  constructor(node) {
    this.node = node;
    this.clear();
  }

  clear() {
    this.bars = [];
    this.draw();
  }

  /** `moved` 0…1 (null while nothing should play), `source` an index or null, `joined` true at a seam. */
  push(bar) {
    this.bars = [...this.bars, bar].slice(-SECONDS);
    this.draw();
  }

  draw() {
    const empty = SECONDS - this.bars.length;
    const shapes = this.bars.flatMap(({ moved, source, joined }, i) => {
      const x = (empty + i) * STEP;
      const height = moved === null ? 2 : Math.max(3, Math.min(1, moved) * (HEIGHT - 5));
      const tone = moved === null ? "none" : moved < 0.5 ? "stall" : `s${(source ?? 0) % 4}`;
      const bar = svg("rect", { class: tone, x, y: HEIGHT - height, width: STEP - 0.9, height });
      return joined ? [bar, svg("rect", { class: "seam", x: x - 0.8, y: 0, width: 0.8, height: HEIGHT })] : [bar];
    });
    const ground = svg("rect", { class: "none", x: 0, y: HEIGHT - 1, width: empty * STEP, height: 1 });
    this.node.replaceChildren(ground, ...shapes);
  }
}
