import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./nearest.js";

const box = (left, top, width = 100, height = 50) => ({ left, top, right: left + width, bottom: top + height });
const grid = [box(0, 0), box(110, 0), box(0, 60), box(110, 60)];
const from = (index, direction) => nearest(grid[index], grid, direction);

test("a grid is walked as it looks", () => {
  assert.deepEqual(["right", "down", "left", "up"].map((d) => from(0, d)), [1, 2, -1, -1]);
  assert.deepEqual(["left", "up"].map((d) => from(3, d)), [2, 1]);
});

test("straight ahead is nearer than aslant", () => {
  const list = [box(500, 300), box(300, 10), box(500, 0)];
  assert.equal(nearest(box(0, 0), list, "right"), 1);
  assert.equal(nearest(box(0, 0), [box(10, 300), box(120, 60)], "down"), 1);
});

test("what lies below is not to the right, however wide it is", () => {
  const [tile, below, list] = [box(0, 0, 640, 360), box(400, 380, 100, 40), box(660, 20, 200, 40)];
  assert.equal(nearest(tile, [below, list], "right"), 1);
  assert.equal(nearest(tile, [below, list], "down"), 0);
  assert.equal(nearest(box(0, 0, 100, 30), [box(0, 50, 640, 360), box(900, 0, 60, 30)], "right"), 1);
});

test("a box inside another is reached downwards and left upwards", () => {
  const tile = box(0, 0, 640, 360);
  const buttons = [box(10, 310, 40, 40), box(60, 310, 40, 40)];
  assert.ok(nearest(tile, buttons, "down") >= 0);
  assert.equal(nearest(buttons[0], [tile, buttons[1]], "up"), 0);
  assert.equal(nearest(buttons[0], [tile, buttons[1]], "right"), 1);
});
