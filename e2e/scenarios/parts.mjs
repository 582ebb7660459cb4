// A schedule, resolvers' streams, a library, mounts: each is listed and plays; an address that is refused in the
// middle is replaced by a fresh one, and no token reaches the console.

import assert from "node:assert/strict";
import { canned } from "../canned.mjs";

export default async function parts({ root, visit }) {
  const refused = new Set();
  const prepare = (page) => canned(page, { root, channel: "alfa", tokens: ["TOKEN-ONE", "TOKEN-TWO"], refused });
  const visitor = await visit({ key: "any-key", prepare });
  const { page, prepared: asked } = await visitor.open("#/schedule");
  await page.getByRole("article", { name: "On now" }).getByText("Sprint", { exact: true }).waitFor();
  await page.getByRole("article", { name: "Next session" }).getByText("Qualifying").waitFor();
  const clock = page.locator(".countdown");
  const first = await clock.innerText();
  await visitor.until("the countdown counts", async () => (await clock.innerText()) !== first);
  await page.getByRole("article", { name: "On now" }).getByRole("link", { name: "Watch" }).click();
  await visitor.playing(1);
  assert.deepEqual(await visitor.refs(), ["alfa"]);

  await visitor.button("Add Court One as a tile").click();
  await visitor.playing(2);
  assert.deepEqual(await visitor.refs(), ["alfa", "stream:club:cam-1"]);
  assert.deepEqual(asked.find(({ path }) => path === "/streams/activate").body, { url: "ref:Y2x1Yi9jYW0tMQ", site_key: "club" });
  assert.equal(asked.find(({ path }) => path === "/proxy").search, "?url=cmVmOlkyeDFZaTlqWVcwdE1R");
  await page.getByText("Nosferatu.1922.mkv").waitFor();

  await visitor.button("Add Final cut as a tile").click();
  await visitor.playing(3);
  assert.equal(visitor.faults.length, 0, visitor.faults.join("\n"));
  refused.add("TOKEN-ONE");
  const addresses = () => asked.filter(({ path }) => path.startsWith("/assets/")).length;
  await visitor.until("a fresh address is asked for", () => addresses() === 2);
  await visitor.playing(3);
  await visitor.plays(5);

  await page.reload({ waitUntil: "domcontentloaded" });
  await visitor.playing(3);
  const told = visitor.said.filter((line) => !line.startsWith("Failed to load resource")); // the browser's own words
  for (const secret of ["TOKEN-", "GRANT-", "any-key"]) assert.ok(!told.some((line) => line.includes(secret)), secret);
  assert.equal(await page.evaluate(() => /TOKEN-|GRANT-/.test(document.documentElement.outerHTML + location.href)), false);
  return { addresses: addresses() };
}
