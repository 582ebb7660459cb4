#!/usr/bin/env node
// Lints a Stremio add-on: its manifest with Stremio's own linter, its streams by what the protocol says of them.
//
//   node addon.mjs URL TYPE/ID...
//
// URL is the add-on's root, without manifest.json. Exit: 0 clean, 1 not.

import assert from "node:assert/strict";
import linter from "stremio-addon-linter";

const SOURCES = ["url", "ytId", "infoHash", "externalUrl", "nzbUrl", "rarUrls", "zipUrls", "7zipUrls", "tgzUrls", "tarUrls"];
const HINTS = { notWebReady: "boolean", bingeGroup: "string", filename: "string", videoSize: "number", videoHash: "string" };

const [root, ...wanted] = process.argv.slice(2);
if (!root) throw new Error("usage: node addon.mjs URL TYPE/ID...");

async function read(path) {
  const response = await fetch(`${root}/${path}`);
  assert.equal(response.status, 200, path);
  assert.equal(response.headers.get("access-control-allow-origin"), "*", path);
  assert.match(response.headers.get("content-type"), /^application\/json/, path);
  return response.json();
}

const { valid, errors, warnings } = linter.lintManifest(await read("manifest.json"));
assert.ok(valid && warnings.length === 0, [...errors, ...warnings].join("\n"));

let count = 0;
for (const id of wanted) {
  const { streams } = await read(`stream/${id}.json`);
  assert.ok(Array.isArray(streams) && streams.length > 0, `${id} has no streams`);
  for (const stream of streams) {
    const sources = SOURCES.filter((name) => name in stream);
    assert.deepEqual(sources, ["url"], `a stream of ${id} has one source`);
    assert.ok(URL.canParse(stream.url), stream.url);
    for (const name of ["name", "description"]) assert.equal(typeof stream[name], "string", name);
    for (const [name, value] of Object.entries(stream.behaviorHints)) assert.equal(typeof value, HINTS[name], name);
    // What is neither https nor MP4 is nothing for a browser.
    if (!stream.url.startsWith("https:")) assert.equal(stream.behaviorHints.notWebReady, true);
    count += 1;
  }
}
console.log(JSON.stringify({ linted: wanted.length, streams: count }));
