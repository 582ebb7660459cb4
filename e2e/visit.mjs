// One visitor: a tab, what its console said, and ways to wait for facts.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

const POLL_MS = 100;
/** Parts that a gateway may not have are asked for once; that they are not there is no error. */
const OPTIONAL = /\/(demo\/state|schedule|streams\/all|api\/v1\/(assets|mounts))$/;

export class Visit {
  static async of(browser, { root, size = "1280x800", scheme = "dark", key = "", reducedMotion = "no-preference", prepare = async () => {} }) {
    const [width, height] = size.split("x").map(Number);
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion });
    const visit = new Visit(await context.newPage(), root);
    if (key) await visit.page.addInitScript((key) => sessionStorage.setItem("perennial.api-key", key), key);
    visit.prepared = await prepare(visit.page);
    return visit;
  }

  constructor(page, root) {
    this.page = page;
    this.root = root;
    this.said = [];
    this.faults = [];
    page.on("console", (message) => {
      const { url } = message.location();
      this.said.push(`${message.text()} ${url}`);
      const optional = URL.canParse(url) && OPTIONAL.test(new URL(url).pathname);
      if (message.type() === "error" && !optional) this.faults.push(`${message.text()} ${url}`);
    });
    page.on("pageerror", (error) => this.faults.push(String(error.stack)));
  }

  async open(path = "") {
    await this.page.goto(this.root + path, { waitUntil: "domcontentloaded" });
    return this;
  }

  async end() {
    await this.page.context().close();
  }

  tiles() {
    return this.page.evaluate(() => window.perennial.tiles());
  }

  refs() {
    return this.tiles().then((tiles) => tiles.map(({ ref }) => ref));
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Asks again and again until it holds; what it was is in the message otherwise. */
  async until(what, look, within_s = 20) {
    const deadline = Date.now() + within_s * 1000;
    let found;
    while (!(found = await look())) {
      if (Date.now() > deadline) throw new Error(`not within ${within_s} s: ${what}\n${JSON.stringify(await this.tiles().catch(() => null))}\n${this.faults.join("\n")}`);
      await pause(POLL_MS);
    }
    return found;
  }

  playing(count) {
    return this.until(`${count} tiles play`, async () => {
      const tiles = await this.tiles();
      return tiles.length === count && tiles.every(({ state, currentTime, readyState }) => state === "playing" && currentTime > 0 && readyState >= 3);
    });
  }

  /** Each tile moves on for so long, without a stall, and drops few of its frames. */
  async plays(seconds, { least = 0.8, dropped_max = 0.1 } = {}) {
    const before = await this.tiles();
    const began = Date.now();
    await pause(seconds * 1000);
    const after = await this.tiles();
    const wall_s = (Date.now() - began) / 1000;
    const seen = before.map(({ ref, currentTime, frames, dropped, stalls }) => {
      const now = after.find((tile) => tile.ref === ref);
      return { ref, moved: (now.currentTime - currentTime) / wall_s, frames: now.frames - frames, dropped: now.dropped - dropped, stalls: now.stalls - stalls };
    });
    for (const tile of seen) {
      assert.ok(tile.moved >= least, `${tile.ref} moved ${tile.moved} of the time: ${JSON.stringify(seen)}`);
      assert.equal(tile.stalls, 0, `${tile.ref} stalled: ${JSON.stringify(seen)}`);
      assert.ok(tile.dropped <= dropped_max * tile.frames, `${tile.ref} dropped frames: ${JSON.stringify(seen)}`);
    }
    return seen;
  }

  /** Neither an error nor one of these words in the console. */
  quiet(...secrets) {
    assert.deepEqual(this.faults, []);
    for (const secret of secrets) assert.ok(!this.said.some((line) => line.includes(secret)), `the console told ${secret}`);
  }
}
