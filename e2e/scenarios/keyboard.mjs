// Everything by keys alone, as with a television's remote and a keyboard; the mouse is never touched.

import assert from "node:assert/strict";

const STEPS_MAX = 30;

export default async function keyboard({ visit }) {
  const visitor = await visit({});
  const { page } = await visitor.open();
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent?.trim() ?? "");
  /** Towards it as one sees it: first along the longer way, sideways where that leads nowhere. */
  const walk = async (name) => {
    for (let step = 0; step < STEPS_MAX; step += 1) {
      const before = await focused();
      if (before === name) return;
      const [across, along] = await visitor.page.evaluate(ways, name);
      await press(across);
      if ((await focused()) === before) await press(along);
    }
    throw new Error(`no way to ${name}, but to ${await focused()}`);
  };
  await visitor.playing(1);

  await press("Tab");
  assert.equal(await focused(), "Skip to content");
  await press("1");
  assert.match(await focused(), /^alfa/);
  await walk("Add bravo as a tile");
  await press("Enter");
  await visitor.playing(2);

  await press("1", "ArrowDown");
  const inside = await page.evaluate(() => document.activeElement.closest("[data-slot]")?.dataset.slot);
  assert.equal(inside, "0", "down from a tile leads to its controls");
  await walk("Quality");
  await press("Enter");
  await visitor.until("the menu has the focus", async () => /Automatic|\d/.test(await focused()));
  await press("ArrowUp", "Escape");
  assert.equal(await focused(), "Quality");

  await press("2");
  const of = async (index) => (await visitor.tiles())[index];
  await press("m");
  await visitor.until("sound", async () => !(await of(1)).muted);
  await press(" ");
  await visitor.until("paused", async () => (await of(1)).paused);
  assert.equal((await of(0)).paused, false);
  await press(" ");
  await visitor.until("plays", async () => !(await of(1)).paused);
  await press("i");
  assert.equal(await page.locator("[data-slot] dl").count(), 2);
  await press("i", "?");
  assert.equal(await page.locator("dialog[open]").count(), 1);
  await press("Escape");
  assert.equal(await page.locator("dialog[open]").count(), 0);
  await press("f");
  await visitor.until("full screen", () => page.evaluate(() => document.fullscreenElement?.dataset.slot === "1"));
  await press("f");
  await visitor.until("no full screen", () => page.evaluate(() => !document.fullscreenElement));
  await press("Shift+ArrowLeft");
  assert.deepEqual(await visitor.refs(), ["bravo", "alfa"]);
  await press("w");
  assert.equal(await page.locator("aside").count(), 0);
  await press("w", "2", "x");
  assert.deepEqual(await visitor.refs(), ["bravo"]);

  await press("1");
  await walk("Status");
  await press("Enter");
  await visitor.until("the status view", () => page.evaluate(() => location.hash === "#/status"));
  visitor.quiet();
  return {};
}

/** Runs in the page: the arrow keys that lead from what has the focus towards `name`, the likelier first. */
function ways(name) {
  const centre = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return [(left + right) / 2, (top + bottom) / 2];
  };
  const all = [...document.querySelectorAll("a, button")];
  const scope = document.activeElement.closest("[data-slot]");
  const named = all.filter((element) => [element.getAttribute("aria-label"), element.textContent.trim()].includes(name));
  const target = named.find((element) => scope?.contains(element)) ?? named[0];
  const [from, to] = [centre(document.activeElement), centre(target)];
  const [x, y] = [to[0] - from[0], to[1] - from[1]];
  const keys = [[Math.abs(x), x < 0 ? "ArrowLeft" : "ArrowRight"], [Math.abs(y), y < 0 ? "ArrowUp" : "ArrowDown"]];
  return keys.sort((a, b) => b[0] - a[0]).map(([, key]) => key);
}
