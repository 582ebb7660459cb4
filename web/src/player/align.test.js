import assert from "node:assert/strict";
import { test } from "node:test";
import { align } from "./align.js";

const tile = (id, date_s, rate = 1, playing = true) => ({ id, date_s, rate, playing });
const brief = (tiles) => align(tiles).map(({ rate, back_s }) => [Number(rate.toFixed(3)), Number(back_s.toFixed(3))]);

test("who is ahead waits for who is behind", () => {
  assert.deepEqual(brief([tile("a", 100), tile("b", 100.4), tile("c", 101)]), [[1, 0], [0.96, 0], [0.94, 0]]);
});

test("far ahead is a step back, and another event is left alone", () => {
  assert.deepEqual(brief([tile("a", 100), tile("b", 106)]), [[1, 0], [1, 6]]);
  assert.deepEqual(brief([tile("a", 100), tile("b", 5000), tile("c", 5001)]), [[1, 0], [1, 0], [0.94, 0]]);
});

test("small differences change nothing, and a wait goes on until it is done", () => {
  assert.deepEqual(brief([tile("a", 100), tile("b", 100.1)]), [[1, 0], [1, 0]]);
  assert.deepEqual(brief([tile("a", 100), tile("b", 100.1, 0.98)]), [[1, 0], [0.99, 0]]);
});

test("without a date, without a picture or alone nobody is moved", () => {
  assert.deepEqual(brief([tile("a", 100), tile("b", null)]), [[1, 0], [1, 0]]);
  assert.deepEqual(brief([tile("a", 100, 1, false), tile("b", 103, 0.94)]), [[1, 0], [1, 0]]);
  assert.deepEqual(brief([]), []);
});

/** Time passes at each one's rate: they must meet and stay together. */
test("tiles meet", () => {
  let tiles = [tile("a", 50), tile("b", 53), tile("c", 51.2)];
  for (let s = 0; s < 120; s += 1) {
    const plan = align(tiles);
    tiles = tiles.map((t, i) => tile(t.id, t.date_s + plan[i].rate - plan[i].back_s, plan[i].rate));
  }
  const spread = Math.max(...tiles.map((t) => t.date_s)) - Math.min(...tiles.map((t) => t.date_s));
  assert.ok(spread < 0.15, `${spread} s apart`);
});
