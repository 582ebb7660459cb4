// Every view at a phone's, a laptop's and a television's size, dark and light: nothing sticks out sideways, axe finds
// no serious fault, and the first paint is told.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { canned } from "../canned.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = ["360x740", "1280x800", "1920x1080"];
const SCHEMES = ["dark", "light"];

export default async function looks({ root, visit, key, screenshots }) {
  const views = [
    ["watch", "#/watch/alfa/bravo/charlie", (visitor) => visitor.playing(3), { key }],
    ["demo", "", (visitor) => visitor.playing(1), { broken: true }],
    ["schedule", "#/schedule", (visitor) => visitor.page.locator(".countdown").waitFor()],
    ["status", "#/status", (visitor) => visitor.page.getByRole("article", { name: "alfa" }).waitFor(), { key }],
    ["key", "#/status", (visitor) => visitor.page.getByLabel("API key").waitFor()],
    ["share", "share/abcDEF123", (visitor) => visitor.until("a picture", () => visitor.page.evaluate(() => window.perennial.stats().currentTime > 0))],
  ];
  const paints = [];
  let faults = 0;
  for (const [name, path, ready, { key: own = "", broken } = {}] of views) {
    for (const size of SIZES) {
      const visitor = await visit({ size, reducedMotion: "reduce", key: own, prepare: (page) => canned(page, { root, channel: "alfa", broken }) });
      const { page } = await visitor.open(path);
      await ready(visitor);
      if (name === "watch") await visitor.page.keyboard.press("i");
      paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity));
      for (const scheme of SCHEMES) {
        await page.emulateMedia({ colorScheme: scheme });
        if (screenshots) await page.screenshot({ path: join(screenshots, `${name}-${size.split("x")[0]}-${scheme}.png`) });
        const out = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(out <= 0, `${name} at ${size} is ${out} px too wide`);
        faults += await audit(page, `${name} at ${size}, ${scheme}`);
      }
      visitor.quiet(key);
      await visitor.end();
    }
  }
  paints.sort((a, b) => a - b);
  return { audits: views.length * SIZES.length * SCHEMES.length, faults, first_paint_ms: { median: Math.round(paints[Math.floor(paints.length / 2)]), best: Math.round(paints[0]), worst: Math.round(paints.at(-1)) } };
}

/** Through the debugger, which the page's Content-Security-Policy does not bind. */
async function audit(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html}\n   ${failureSummary}`).join("\n  ")}`);
  assert.equal(grave.length, 0, `${where}:\n ${told.join("\n ")}`);
  return violations.length;
}
