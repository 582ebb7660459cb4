import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, CALM, recover, relieved } from "./recovery.js";

const network = (code, details = "fragLoadError") => ({ kind: "network", details, code, has_levels: true });

test("waits double up to eight seconds and never less than half", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 1000].map((n) => backoffMs(n, 1)), [1000, 2000, 4000, 8000, 8000, 8000]);
  assert.equal(backoffMs(0, 0), 500);
});

test("each trouble has its cure", () => {
  const action = (problem) => recover(CALM, problem, 0, 1).action;
  assert.equal(action(network(0)), "reload");
  assert.equal(action(network(503)), "reload");
  assert.equal(action(network(0, "manifestLoadError")), "rebuild");
  assert.equal(action({ ...network(500), has_levels: false }), "rebuild");
  assert.deepEqual([401, 403, 410].map((code) => action(network(code))), ["renew", "renew", "renew"]);
  assert.equal(action(network(404, "manifestLoadError")), "renew");
  assert.equal(action(network(404)), "reload");
  assert.equal(action({ kind: "other", details: "internalException" }), "rebuild");
});

test("a 503 says when to come back, within reason", () => {
  const wait = (retry_after_s) => recover(CALM, { ...network(503), retry_after_s }, 0, 1).wait_ms;
  assert.deepEqual([undefined, 0, 5, 9999].map(wait), [1000, 1000, 5000, 30_000]);
});

test("the decoder is restarted once in a while; twice in short order would be a loop", () => {
  const media = { kind: "media", details: "bufferAppendError" };
  const first = recover(CALM, media, 1000, 1);
  const second = recover(first.memory, media, 2000, 1);
  const third = recover(second.memory, media, 12_000, 1);
  assert.deepEqual([first, second, third].map(({ action }) => action), ["repair", "rebuild", "repair"]);
});

test("patience grows with each attempt and is whole again once data arrives", () => {
  let memory = CALM;
  const waits = [0, 1, 2].map(() => {
    const step = recover(memory, network(0), 0, 1);
    memory = step.memory;
    return step.wait_ms;
  });
  assert.deepEqual(waits, [1000, 2000, 4000]);
  assert.equal(recover(relieved(memory), network(0), 0, 1).wait_ms, 1000);
});
