// Posts that play straight from their articles: listed with the key, shown beside each other, sought in.

import assert from "node:assert/strict";

const PLAIN = "A film from its articles.mkv";
const PACKED = "A film in RAR volumes.mkv";

export default async function mounts({ visit, key }) {
  const visitor = await visit({ key });
  const { page } = await visitor.open();
  const section = page.getByRole("region", { name: "Mounts" });
  await section.getByText(PLAIN, { exact: true }).click();
  await visitor.playing(1);
  await visitor.button(`Add ${PACKED} as a tile`).click();
  await visitor.playing(2);
  const refs = await visitor.refs();
  assert.ok(refs.every((ref) => ref.startsWith("mount:")), refs.join());
  const seen = await visitor.plays(4);
  for (const tile of seen) assert.ok(tile.frames > 50, JSON.stringify(seen));

  // To a place that nobody has read yet.
  const sought = await page.evaluate(() => {
    const videos = [...document.querySelectorAll("video")];
    for (const video of videos) video.currentTime = 45;
    return videos.map((video) => video.duration);
  });
  for (const duration of sought) assert.ok(Math.abs(duration - 60) < 1, `${sought} of a minute`);
  await visitor.until("both went there", async () => (await visitor.tiles()).every(({ currentTime }) => currentTime > 46));
  visitor.quiet(key, "grant=");
  return { seen };
}
