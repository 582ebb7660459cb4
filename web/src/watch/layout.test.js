import assert from "node:assert/strict";
import { test } from "node:test";
import { add, close, formatRoute, parseRoute, show, swap } from "./layout.js";

test("a layout is the same after its address was read", () => {
  const layouts = [
    [["news"], 0],
    [["news", "stream:club:cam-1", "asset:6f9c", "mount:7:1"], 2],
    [["stream:ä/ö?:#%&"], 0],
  ];
  for (const [refs, selected] of layouts) {
    assert.deepEqual(parseRoute(formatRoute(refs, selected)), { view: "watch", refs, selected });
  }
  assert.equal(formatRoute(["news", "stream:club:cam-1"], 1), "#/watch/news/stream:club:cam-1?sound=2");
});

test("other views, and nonsense", () => {
  assert.deepEqual(parseRoute(""), { view: "watch", refs: [], selected: 0 });
  assert.equal(parseRoute("#/status").view, "status");
  assert.equal(parseRoute("#/schedule").view, "schedule");
  assert.equal(parseRoute("#/nowhere/x").view, "watch");
  assert.deepEqual(parseRoute("#/watch/a/a/b/c/d/e?sound=9"), { view: "watch", refs: ["a", "b", "c", "d"], selected: 0 });
  assert.deepEqual(parseRoute("#/watch/%zz"), { view: "watch", refs: ["%zz"], selected: 0 });
});

const of = (text, selected = 0) => ({ refs: [...text], selected });

test("a fifth replaces the last", () => {
  assert.deepEqual(add(of("abc"), "d"), of("abcd", 3));
  assert.deepEqual(add(of("abcd"), "e"), of("abce", 3));
  assert.deepEqual(add(of("abcd"), "b"), of("abcd", 1));
});

test("showing replaces the selected", () => {
  assert.deepEqual(show(of("", 0), "a"), of("a"));
  assert.deepEqual(show(of("abc", 1), "d"), of("adc", 1));
  assert.deepEqual(show(of("abc", 1), "c"), of("abc", 2));
});

test("the sound stays with its picture", () => {
  assert.deepEqual(close(of("abc", 2), "a"), of("bc", 1));
  assert.deepEqual(close(of("abc", 0), "a"), of("bc", 0));
  assert.deepEqual(close(of("abc", 2), "c"), of("ab", 1));
  assert.deepEqual(close(of("a", 0), "a"), of("", 0));
  assert.deepEqual(swap(of("abc", 0), 0, 2), of("cba", 2));
  assert.deepEqual(swap(of("abc", 1), 0, 2), of("cba", 1));
  assert.deepEqual(swap(of("abc", 1), 0, 7), of("abc", 1));
});
