import assert from "node:assert/strict";
import { test } from "node:test";
import { countdown, moment, readSchedule, roughly, status } from "./time.js";

const MINUTE = 60_000;
const at = (text) => Date.parse(text);
const schedule = readSchedule({
  races: [
    { round: 2, race_name: "Second", date: "2026-11-29", sessions: [{ type: "race", name: "Race", start_utc: "2026-11-29T14:00:00Z", duration_minutes: 120 }] },
    {
      round: 1, race_name: "First", circuit: "Ring", locality: "Town", country: "Land", date: "2026-11-22",
      sessions: [
        { type: "race", name: "Race", start_utc: "2026-11-22T14:00:00Z", duration_minutes: 120 },
        { type: "qualifying", name: "Qualifying", start_utc: "2026-11-21T14:00:00Z", duration_minutes: 60 },
        { type: "broken", name: "Nonsense", start_utc: "soon" },
      ],
    },
    { round: 3, race_name: "Not yet told", sessions: [] },
  ],
});

test("events and sessions are in order, and what cannot be read is left out", () => {
  assert.deepEqual(schedule.map(({ name, sessions }) => [name, sessions.map((s) => s.name)]), [["First", ["Qualifying", "Race"]], ["Second", ["Race"]]]);
  assert.equal(schedule[0].place, "Ring, Town, Land");
});

test("live begins with the first minute and ends with the last", () => {
  const [qualifying] = schedule[0].sessions;
  assert.deepEqual([-1, 0, 60 * MINUTE - 1, 60 * MINUTE].map((ms) => status(qualifying, qualifying.start + ms)), ["upcoming", "live", "live", "past"]);
});

test("what is on and what comes next", () => {
  const during = moment(schedule, at("2026-11-21T14:30:00Z"));
  assert.deepEqual([during.live.map((s) => s.name), during.next.name, during.next.event.name], [["Qualifying"], "Race", "First"]);
  const after = moment(schedule, at("2027-01-01T00:00:00Z"));
  assert.deepEqual([after.live, after.next], [[], null]);
});

test("a countdown is as exact as it is near", () => {
  const told = (ms) => countdown(ms).map(({ unit, value }) => `${value} ${unit}`).join(" ");
  assert.equal(told(((49 * 60 + 5) * 60 + 9) * 1000), "2 days 1 hours 5 minutes");
  assert.equal(told((3 * 3600 + 62) * 1000), "3 hours 1 minutes 2 seconds");
  assert.equal(told(59_999), "0 minutes 59 seconds");
  assert.equal(told(-5), "0 minutes 0 seconds");
  assert.deepEqual([30_000, 90 * MINUTE, 5 * 3600_000, 72 * 3600_000].map(roughly), ["in 1 minute", "in 90 minutes", "in 5 hours", "in 3 days"]);
});
