// A gateway whose channels need grants: a link brings one, nobody can read it off the page; when it is refused, who has the
// key gets another by itself and the picture goes on.

import assert from "node:assert/strict";

export default async function grants({ root, visit }) {
  const good = new Set(["GRANT-LINK"]);
  const made = [];
  const asked = [];
  const prepare = async (page) => {
    const refuse = (route) => route.fulfill({ status: 401, contentType: "application/problem+json", body: '{"detail":"the URL must carry a grant"}' });
    await page.route(`${root}channels.m3u`, refuse);
    await page.route(`${root}api/v1/grants`, (route) => {
      made.push("GRANT-MADE");
      good.add("GRANT-MADE");
      return route.fulfill({ status: 201, contentType: "application/json", body: JSON.stringify({ id: "1", url: `${root}live/g/GRANT-MADE/channels.m3u` }) });
    });
    await page.route(`${root}live/g/**`, async (route) => {
      const { pathname } = new URL(route.request().url());
      const [, grant, rest] = pathname.match(/^\/live\/g\/([^/]+)\/(.*)$/);
      if (!good.has(grant)) return refuse(route);
      asked.push(rest);
      if (rest !== "channels.m3u") return route.fulfill({ response: await route.fetch({ url: `${root}live/${rest}` }) });
      const list = await route.fetch({ url: `${root}channels.m3u` });
      return route.fulfill({ response: list, body: (await list.text()).replaceAll("/live/", `/live/g/${grant}/`) });
    });
  };

  const stranger = await visit({ prepare });
  await stranger.open();
  await stranger.page.getByText("This gateway is private.").waitFor();
  await stranger.end();

  const guest = await visit({ prepare });
  await guest.open("#/g/GRANT-LINK/watch/bravo");
  await guest.playing(1);
  assert.deepEqual(await guest.refs(), ["bravo"]);
  assert.ok(!guest.page.url().includes("GRANT"), guest.page.url());
  await guest.page.reload({ waitUntil: "domcontentloaded" });
  await guest.playing(1);
  guest.quiet("GRANT-");
  await guest.end();

  const owner = await visit({ prepare, key: "any-key" });
  await owner.open();
  await owner.playing(1);
  assert.deepEqual(made, ["GRANT-MADE"]);
  good.clear();
  asked.length = 0;
  await owner.until("another grant is made", () => made.length === 2, 30);
  // The player begins anew with the fresh link, and what it held is played no more.
  await owner.until("it is used", () => asked.some((rest) => rest.endsWith(".ts")), 30);
  await owner.playing(1);
  await owner.plays(4);
  return { made: made.length };
}
