// The administrator's view: health, a switch, a viewer who is sent away; and the key stays out of every log.

import assert from "node:assert/strict";

const AGENT = "VLC/3.0.18 LibVLC/3.0.18";

export default async function status({ root, visit, key }) {
  const visitor = await visit({});
  const { page } = await visitor.open("#/status");
  await page.getByLabel("API key").fill("not-the-key");
  await page.keyboard.press("Enter");
  await page.getByText("The gateway does not know this key.").waitFor();
  visitor.faults.length = 0; // the browser's own words about the 401
  await page.getByLabel("API key").fill(key);
  await page.keyboard.press("Enter");

  await fetch(`${root}live/bravo/index.m3u8`, { headers: { "user-agent": AGENT } });
  const card = page.getByRole("article", { name: "bravo" });
  await card.getByText("live", { exact: true }).waitFor({ timeout: 15_000 });
  await card.getByRole("button", { name: /^Switch bravo to/ }).click();
  await page.getByRole("log").getByText(/bravo/).first().waitFor({ timeout: 15_000 });

  const viewers = page.getByRole("region", { name: "Viewers" });
  await visitor.until("the other viewer is listed", async () => {
    await fetch(`${root}live/bravo/index.m3u8`, { headers: { "user-agent": AGENT } });
    return viewers.getByText(/^VLC at/).isVisible();
  });
  await viewers.getByRole("button", { name: /^Kick .*VLC, off bravo/ }).click();
  await viewers.getByText(/^VLC at/).waitFor({ state: "detached", timeout: 15_000 });
  const { status: answer } = await fetch(`${root}live/bravo/index.m3u8`, { headers: { "user-agent": AGENT } });
  assert.ok(answer >= 400, "a kicked viewer is kept out");

  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("key")), false);
  await page.getByRole("button", { name: "Forget the key" }).click();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  visitor.quiet(key);
  return {};
}
