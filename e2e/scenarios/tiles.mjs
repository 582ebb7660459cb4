// Four tiles play at once; closing, replacing, swapping and reloading disturb none of the others.

import assert from "node:assert/strict";

const ADDED = ["bravo", "charlie", "delta"];

export default async function tiles({ visit }) {
  const visitor = await visit({});
  const { page } = await visitor.open();
  await visitor.playing(1);
  for (const name of ADDED) await visitor.button(`Add ${name} as a tile`).click();
  await visitor.playing(4);
  assert.deepEqual(await visitor.refs(), ["alfa", ...ADDED]);
  const four = await visitor.plays(12);

  await page.keyboard.press("m");
  await visitor.until("one tile has sound", async () => (await audible(page)).length === 1);
  assert.deepEqual(await audible(page), ["delta"]);
  await page.keyboard.press("2");
  await visitor.until("the sound moves", async () => (await audible(page)).join() === "bravo");

  // Marked elements tell whether a tile was built anew.
  await page.evaluate(() => document.querySelectorAll("video").forEach((video, i) => (video.dataset.mark = i)));
  await visitor.button("Add echo as a tile").click();
  assert.deepEqual(await visitor.refs(), ["alfa", "bravo", "charlie", "echo"]);
  await visitor.playing(4);
  assert.equal(await marks(page), 3);

  const tile = page.locator("[data-slot='1']");
  await tile.hover();
  await tile.getByRole("button", { name: "Close bravo" }).click();
  assert.deepEqual(await visitor.refs(), ["alfa", "charlie", "echo"]);
  assert.equal(await marks(page), 2);
  const three = await visitor.plays(4);

  await drag(page, page.locator("[data-slot='0']"), page.locator("[data-slot='2']"));
  assert.deepEqual(await visitor.refs(), ["echo", "charlie", "alfa"]);
  assert.equal(await marks(page), 2);
  await visitor.plays(3);

  const spread = await visitor.until("tiles show the same moment", async () => {
    const ahead = (await visitor.tiles()).map(({ ahead_s }) => ahead_s);
    return ahead.every((s) => s !== null && s < 0.25) && { most_s: Math.max(...ahead) };
  }, 60);

  const address = page.url();
  await page.reload({ waitUntil: "domcontentloaded" });
  await visitor.playing(3);
  assert.deepEqual([await visitor.refs(), page.url()], [["echo", "charlie", "alfa"], address]);
  visitor.quiet();
  return { four, three, spread };
}

function audible(page) {
  return page.evaluate(() => window.perennial.tiles().filter(({ muted }) => !muted).map(({ ref }) => ref));
}

function marks(page) {
  return page.evaluate(() => document.querySelectorAll("video[data-mark]").length);
}

async function drag(page, from, to) {
  const [a, b] = [await from.boundingBox(), await to.boundingBox()];
  await page.mouse.move(a.x + a.width / 2, a.y + a.height / 3);
  await page.mouse.down();
  await page.mouse.move(b.x + b.width / 2, b.y + b.height / 2, { steps: 8 });
  await page.mouse.up();
}
