import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEvent } from "./api.js";
import { bytes, clock, duration, length } from "./format.js";

test("server-sent events", () => {
  assert.deepEqual(parseEvent('event: channel\ndata: {"a":\ndata: 1}'), { name: "channel", data: { a: 1 } });
  assert.deepEqual(parseEvent("data: hello"), { name: "message", data: { text: "hello" } });
  assert.equal(parseEvent(": keep-alive"), null);
});

test("bytes, clocks and lengths", () => {
  assert.deepEqual([0, 999, 1500, 123456, 5.2e9, NaN].map(bytes), ["0 B", "999 B", "1.5 kB", "123 kB", "5.2 GB", "–"]);
  assert.equal(clock(65_000), "01:05");
  assert.deepEqual([5, 65, 3725, Infinity].map(length), ["0:05", "1:05", "1:02:05", "–"]);
  assert.deepEqual([9, 61, 7500].map(duration), ["9 s", "1 min", "2 h 05 min"]);
});
