// Someone opens a link that was sent to them: a password, the picture, nothing else; and links that are no more.

import assert from "node:assert/strict";
import { canned } from "../canned.mjs";

const PASSWORD = "sesame-secret";

export default async function share({ root, visit }) {
  const prepare = (page) => canned(page, { root, channel: "alfa", password: PASSWORD });
  const visitor = await visit({ size: "360x740", prepare });
  const { page, prepared: asked } = await visitor.open("share/abcDEF123");
  await page.getByRole("heading", { name: "This link has a password" }).waitFor();
  await page.getByLabel("Password").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("That is not the password.").waitFor();
  visitor.faults.length = 0; // the browser's own words about the 403
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Final cut, second pass" }).waitFor();
  await visitor.until("the picture moves", () => page.evaluate(() => window.perennial.stats().currentTime > 1));
  const stream = asked.find(({ path }) => path.includes("/stream/") && path.startsWith("/share/"));
  assert.equal(stream.search, "?share_session=SESSION-SECRET");
  await visitor.button("Download").waitFor();
  assert.ok(!asked.some(({ search }) => search.includes(PASSWORD)), "the password travels in a body");
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  visitor.quiet(PASSWORD, "SESSION-SECRET", "TOKEN-ONE");

  // The gateway itself has no such link.
  const lost = await visit({});
  await lost.open("share/nothing");
  await lost.page.getByRole("heading", { name: "There is nothing behind this link." }).waitFor();
  return {};
}
