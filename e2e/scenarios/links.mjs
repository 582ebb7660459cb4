// Links that die every twelve seconds: a channel, a resolver's stream and a file play on, the administrator sees
// how their links fare, the schedule opens what is on, and no link reaches the page.

import assert from "node:assert/strict";

const CHANNEL = "expiring";
const STREAM = "stream:club:cam-1";
const FILM = "stream:films:film";

export default async function links({ visit, key, screenshots }) {
  const shot = (page, name) => screenshots && page.screenshot({ path: `${screenshots}/${name}.png` });
  const visitor = await visit({});
  const { page } = await visitor.open("#/schedule");
  await page.getByRole("article", { name: "On now" }).getByText("Grand Prix").waitFor();
  await shot(page, "links-schedule");
  await page.getByRole("article", { name: "On now" }).getByRole("link", { name: "Watch" }).click();
  await visitor.playing(1);
  assert.deepEqual(await visitor.refs(), [CHANNEL]);

  const streams = page.getByRole("region", { name: "Streams" });
  await visitor.until("both streams are listed", async () => (await streams.getByRole("listitem").count()) === 2, 40);
  await streams.getByRole("button", { name: /^Add A film/ }).click();
  await streams.getByRole("button", { name: /^Add Race/ }).click();
  await visitor.playing(3);
  assert.deepEqual(await visitor.refs(), [CHANNEL, FILM, STREAM]);
  const [, film] = await visitor.tiles();
  assert.ok(!film.live && film.duration > 20 && film.native, JSON.stringify(film));
  await visitor.plays(10);
  await shot(page, "links-watch");
  await page.locator("[data-slot='1'] video").evaluate((video) => (video.currentTime = 2));
  await visitor.playing(3);
  await visitor.button("Close A film").first().click();
  await visitor.plays(15);

  // The first link is long over: the file is opened under a fresh one.
  await page.reload({ waitUntil: "domcontentloaded" });
  await streams.getByRole("button", { name: /^Add A film/ }).click();
  await visitor.playing(3);

  const admin = await visit({ key });
  const { page: status } = await admin.open("#/status");
  const resolvers = status.getByRole("region", { name: "Resolvers" });
  await resolvers.getByText("Club TV", { exact: true }).waitFor();
  for (const name of ["Club TV", "Film club"]) {
    const uses = resolvers.getByRole("list", { name: `Streams of ${name} in use` });
    await uses.getByText(/link dies in \d+ s, \d+ times? replaced/).waitFor();
  }
  await shot(status, "links-status");
  assert.equal(await page.evaluate(() => /exp=|sig=/.test(document.documentElement.outerHTML + location.href)), false);
  visitor.quiet("exp=", "sig=", key);
  admin.quiet("exp=", "sig=", key);
  return {};
}
