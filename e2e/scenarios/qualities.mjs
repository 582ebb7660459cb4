// Qualities: as good as the tile is large, until one is chosen; the sound beside the picture; subtitles.

import assert from "node:assert/strict";

export default async function qualities({ visit }) {
  const small = await visit({ size: "360x740" });
  await small.open("#/watch/variants");
  await small.playing(1);
  const capped = await small.until("the quality is capped", async () => {
    const [tile] = await small.tiles();
    // What was loaded before the size was known may still be seen.
    const isCapped = tile.levels === 3 && tile.capped >= 0 && tile.capped < 2 && tile.level <= tile.capped;
    return isCapped && tile.height < 360 && tile;
  });
  await small.end();

  const large = await visit({ size: "1920x1080" });
  const { page } = await large.open("#/watch/variants");
  await large.playing(1);
  const tile = async () => (await large.tiles())[0];
  // The player names the level that it plays a moment before the picture has its size.
  const best = await large.until("the best is played", async () => {
    const { level, height } = await tile();
    return level === 2 && height > capped.height && height;
  }, 40);
  await page.keyboard.press("m");
  await large.until("sound is decoded", () => page.evaluate(() => document.querySelector("video").webkitAudioDecodedByteCount > 0));
  await page.keyboard.press("1");
  await large.button("Quality").click();
  const choices = page.getByRole("menuitemradio");
  assert.equal(await choices.count(), 4);
  assert.equal(await choices.first().getAttribute("aria-checked"), "true");
  await choices.last().click();
  await large.until("the chosen is played", async () => (await tile()).height < best, 30);
  await large.plays(3);
  assert.equal((await tile()).stalls, 0);

  await page.evaluate(() => (location.hash = "#/watch/subtitled"));
  await large.until("the other channel", async () => (await tile()).ref === "subtitled");
  await large.playing(1);
  await page.keyboard.press("1");
  await large.button("Sound and subtitles").click();
  await page.getByRole("menuitemradio").last().click();
  await large.until("cues are there", () => page.evaluate(() => [...document.querySelector("video").textTracks].some((track) => track.mode === "showing" && track.cues?.length > 0)), 30);
  large.quiet();
  return { capped: capped.height, best };
}
