import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEvent } from "./api.js";
import { bytes, clock } from "./format.js";
import { backoffMs, describe } from "./recovery.js";

test("waits double up to eight seconds and never less than half", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 1000].map((n) => backoffMs(n, 1)), [1000, 2000, 4000, 8000, 8000, 8000]);
  assert.equal(backoffMs(0, 0), 500);
});

test("only a refused link is final", () => {
  const final = (code, details = "manifestLoadError") => describe({ details, response: { code } }).final;
  assert.deepEqual([401, 403, 404, 500, 503, 0].map((code) => final(code)), [true, true, false, false, false, false]);
  assert.match(describe({ details: "fragLoadTimeOut" }).message, /too long/);
});

test("server-sent events", () => {
  assert.deepEqual(parseEvent('event: channel\ndata: {"a":\ndata: 1}'), { name: "channel", data: { a: 1 } });
  assert.deepEqual(parseEvent("data: hello"), { name: "message", data: { text: "hello" } });
  assert.equal(parseEvent(": keep-alive"), null);
});

test("bytes and clocks", () => {
  assert.deepEqual([0, 999, 1500, 123456, 5.2e9, NaN].map(bytes), ["0 B", "999 B", "1.5 kB", "123 kB", "5.2 GB", "–"]);
  assert.equal(clock(65_000), "01:05");
});
