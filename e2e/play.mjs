#!/usr/bin/env node
// Plays a page of Perennial, or a bare playlist, in Chromium and says in one line of JSON how it went.
//
//   npm ci                                   once, in this folder
//   node play.mjs URL… [options]
//
// URL is a page that exposes `window.perennial.stats()`, or a playlist: a path that ends in .m3u8 or
// begins with /stream/ is played by player.html, which is served from another origin (so CORS is tested
// too) with the published hls.js that ../web builds upon. Several URLs are played in tabs of their own at once.
//
//   --seconds N         measure for N seconds after every player has started   [12]
//   --players N         N tabs of each URL at once                             [1]
//   --as page|playlist|native  when the URL does not tell; native: a playlist, by Chromium's own player
//   --start-timeout N   seconds within which every player must start           [20]
//   --stall-ms N        a picture that stands still this long is a stall       [300]
//   --actions JSON|-    things to do, "at" seconds after the start; - reads stdin
//                         {"at":5,"post":"http://…/change_stream/c1","json":{"url":"…"},"headers":{}}
//                         {"at":3,"click":"text=Switch to B"}      also get, put, delete; press (a key);
//                         {"at":3,"fill":"#key","value":"…"}       reload; screenshot (a file);
//                         {"wait":"text=Broken","within":20}       wait (a selector; 10 s)
//                         {"reach":"discontinuities","value":20}   reach (a number of stats(); 10 s)
//                       done one after the other: what has no "at" follows the one before it
//   --expect LIST       "played,no-stalls,no-fatal,discontinuities=1,dropped<20": exit 1 unless all hold
//   --screenshot FILE   PNG of the first tab at the end
//   --size WxH          [1280x800]      --scheme dark|light  [dark]      --full-page
//   --progress          {"event":"playing"} on stderr once every player has started
//   CHROMIUM            environment: the browser                               [/usr/bin/chromium]
//
// The line: {ok, failed:[…], url, started, start_ms, wall_s, advanced_s, stalls, stalled_s, stall_max_s, jumps,
// jumped_s, discontinuities, discontinuities_max, fatal, errors (not fatal), switches, dropped, frames, reloads,
// ready_state, state, latency, width, height, http:[…], console:[…], actions:[…], players:[one object a tab]}.
// The top level sums the tabs up; of advanced_s, wall_s, ready_state, frames, width, height and discontinuities
// it has the least, of start_ms, stall_max_s and latency the most.
// Any number in it can be expected with = < > <= >=; no-X means X=0, or an empty list; `played` means that
// every tab started, could go on (ready_state >= 2) and advanced at least 0.9 of the time. An action that
// fails fails the run. Without --expect nothing else does.
// Exit: 0 as expected, 1 not, 2 could not be tried.

import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { judge, summarize } from "./report.mjs";
import { servePlayer } from "./server.mjs";
import { sampler } from "./sampler.mjs";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
];
const LINES_MAX = 20;
/** The page asks every gateway for parts that it may not have; that most do not have them is no error. */
const PROBE = /\/(demo\/state|schedule|streams)$/;
const START_POLL_MS = 50;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "12" },
    players: { type: "string", default: "1" },
    as: { type: "string" },
    "start-timeout": { type: "string", default: "20" },
    "stall-ms": { type: "string", default: "300" },
    actions: { type: "string", default: "[]" },
    expect: { type: "string", default: "" },
    screenshot: { type: "string" },
    size: { type: "string", default: "1280x800" },
    scheme: { type: "string", default: "dark" },
    "full-page": { type: "boolean", default: false },
    progress: { type: "boolean", default: false },
  },
});

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error.message.split("\n")[0]);
  process.exitCode = 2;
}

async function main() {
  const [url] = positionals;
  if (!url) throw new Error("usage: node play.mjs URL… [options]; see the head of the file");
  const actions = readActions();
  const bare = options.as ? options.as !== "page" : /\.m3u8$|^\/stream\//.test(new URL(url).pathname);
  const server = bare ? await servePlayer() : null;
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
  try {
    const target = (of) => (bare ? `${server.origin}/?src=${encodeURIComponent(of)}${options.as === "native" ? "&native" : ""}` : of);
    const report = await run(browser, positionals.map(target), actions);
    const failed = judge(report, options.expect);
    console.log(JSON.stringify({ ok: failed.length === 0, failed, url: shown(url), ...report }));
    return failed.length === 0 ? 0 : 1;
  } finally {
    await browser.close();
    server?.close();
  }
}

function readActions() {
  const text = options.actions === "-" ? readFileSync(0, "utf8") : options.actions;
  const actions = JSON.parse(text || "[]");
  let at = 0;
  for (const action of actions) at = action.at ??= at;
  return actions.sort((a, b) => a.at - b.at);
}

async function run(browser, targets, actions) {
  const [width, height] = options.size.split("x").map(Number);
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: options.scheme });
  await context.addInitScript(sampler, Number(options["stall-ms"]));
  const all = targets.flatMap((target) => Array.from({ length: Number(options.players) }, () => target));
  const tabs = await Promise.all(all.map((target) => openTab(context, target)));
  await Promise.all(tabs.map(waitForStart));
  if (options.progress) console.error(JSON.stringify({ event: "playing", started: tabs.every((tab) => tab.started) }));
  // A player that never started has nothing to measure; what it said is the result.
  const done = tabs.some((tab) => tab.started) || actions.length ? await measure(tabs, actions) : [];
  const players = await Promise.all(tabs.map(collect));
  if (options.screenshot) await tabs[0].page.screenshot({ path: options.screenshot, fullPage: options["full-page"] });
  return { ...summarize(players), actions: done, players: players.map(({ http, console, ...player }) => player) };
}

async function openTab(context, target) {
  const page = await context.newPage();
  const tab = { page, started: false, loads: 0, http: [], console: [], opened: Date.now(), start_ms: null };
  const note = (list, line) => list.length < LINES_MAX && list.push(line);
  page.on("console", (message) => message.type() === "error" && !isProbe(message.location().url) && note(tab.console, message.text()));
  page.on("pageerror", (error) => note(tab.console, String(error)));
  page.on("response", (response) => response.status() >= 400 && !(response.status() === 404 && isProbe(response.url())) && note(tab.http, `${response.status()} ${shown(response.url())}`));
  page.on("domcontentloaded", () => (tab.loads += 1));
  await page.goto(target, { waitUntil: "domcontentloaded" });
  return tab;
}

/** Asks again and again: a function that waits inside the page would need `unsafe-eval` of its policy. */
async function waitForStart(tab) {
  const deadline = Date.now() + Number(options["start-timeout"]) * 1000;
  while (!tab.started && Date.now() < deadline) {
    tab.started = await tab.page.evaluate(() => Boolean(window.measurement?.started));
    if (!tab.started) await pause(START_POLL_MS);
  }
  if (!tab.started) return;
  tab.start_ms = Date.now() - tab.opened;
  await tab.page.evaluate(() => window.measurement.restart());
}

async function measure(tabs, actions) {
  const begin = Date.now();
  const until = (s) => pause(Math.max(0, begin + s * 1000 - Date.now()));
  const done = [];
  for (const action of actions) {
    await until(action.at);
    const at = (Date.now() - begin) / 1000;
    try {
      done.push({ at, ...(await act(tabs[action.tab ?? 0].page, action)) });
    } catch (error) {
      done.push({ at, did: describe(action), error: error.message.split("\n")[0] });
    }
  }
  await until(Number(options.seconds));
  return done;
}

function describe(action) {
  const [did] = ["get", "post", "put", "delete", "click", "press", "fill", "wait", "reach", "reload", "screenshot"].filter((name) => name in action);
  return did ? `${did} ${/^https?:/.test(action[did]) ? shown(action[did]) : action[did]}` : "nothing";
}

async function act(page, action) {
  const did = describe(action);
  const method = ["get", "post", "put", "delete"].find((name) => name in action);
  if (method) {
    const headers = { ...(action.json === undefined ? {} : { "content-type": "application/json" }), ...action.headers };
    const body = action.json === undefined ? undefined : JSON.stringify(action.json);
    const response = await fetch(action[method], { method: method.toUpperCase(), headers, body, signal: AbortSignal.timeout(10_000) });
    const text = (await response.text()).slice(0, 500);
    return response.ok ? { did, status: response.status, body: text } : { did, status: response.status, body: text, error: `status ${response.status}` };
  }
  if (action.click) await page.click(action.click, { timeout: 5000 });
  else if (action.press) await page.keyboard.press(action.press);
  else if (action.fill) await page.fill(action.fill, action.value ?? "", { timeout: 5000 });
  else if (action.wait) await page.waitForSelector(action.wait, { timeout: 1000 * (action.within ?? 10) });
  else if (action.reach) await reach(page, action);
  else if (action.reload) await page.reload({ waitUntil: "domcontentloaded" });
  else if (action.screenshot) await page.screenshot({ path: action.screenshot, fullPage: options["full-page"] });
  else throw new Error(`unknown action ${JSON.stringify(Object.keys(action))}`);
  return { did };
}

async function reach(page, { reach: name, value, within = 10 }) {
  const deadline = Date.now() + 1000 * within;
  const look = () => page.evaluate((of) => window.perennial.stats()[of], name);
  for (let found; !((found = await look()) >= value); await pause(START_POLL_MS)) {
    if (Date.now() > deadline) throw new Error(`${name} was ${found} and not ${value} after ${within} s`);
  }
}

async function collect(tab) {
  const stats = await tab.page.evaluate(() => window.perennial?.stats() ?? {});
  const measured = await tab.page.evaluate(() => window.measurement?.read() ?? {});
  return {
    started: tab.started, start_ms: tab.start_ms, ...measured,
    discontinuities: stats.discontinuities ?? 0, fatal: stats.fatal ?? 0, errors: (stats.errors ?? 0) - (stats.fatal ?? 0),
    switches: stats.switches ?? 0, dropped: stats.dropped ?? 0, frames: stats.frames ?? 0, reloads: tab.loads - 1,
    state: stats.state ?? null, latency: stats.latency ?? null, width: stats.width ?? 0, height: stats.height ?? 0,
    error_details: stats.details, http: tab.http, console: tab.console,
  };
}

function isProbe(url) {
  return URL.canParse(url) && PROBE.test(new URL(url).pathname);
}

/** A URL without its query and user: it may end in a log. */
function shown(url) {
  try {
    const { origin, pathname } = new URL(url);
    return origin + pathname;
  } catch {
    return "?";
  }
}
