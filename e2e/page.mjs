#!/usr/bin/env node
// Uses the watch page in Chromium as people do and says in one line of JSON what was seen.
//
//   npm ci                                  once, in this folder
//   node page.mjs SCENARIO URL [--key KEY] [--screenshots FOLDER]
//
// URL is the root of a gateway with the channels alfa … echo. SCENARIO is a file of scenarios/.
// CHROMIUM: the browser [/usr/bin/chromium]. Exit: 0 as expected, 1 not.

import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { Visit } from "./visit.mjs";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { key: { type: "string", default: "" }, screenshots: { type: "string" } } });
const [scenario, root] = positionals;
if (!root) throw new Error("usage: node page.mjs SCENARIO URL; see the head of the file");
const { default: play } = await import(`./scenarios/${scenario}.mjs`);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
try {
  const visit = (options) => Visit.of(browser, { root, ...options });
  const seen = await play({ root, visit, ...values });
  console.log(JSON.stringify({ scenario, ...seen }));
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
