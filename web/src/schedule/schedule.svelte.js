// The schedule as the gateway keeps it, and the clock that it is read by.

import { getJson } from "../api.js";
import { moment, readSchedule } from "./time.js";

const READ_MS = 15 * 60_000;
const RETRY_MS = 30_000;
const TICK_MS = 1000;

class Schedule {
  events = $state.raw([]);
  season = $state("");
  fetchedAt = $state(NaN);
  /** The gateway has one. */
  known = $state(false);
  /** It has none, or does not say. */
  absent = $state(false);
  now = $state(Date.now());
  moment = $derived(moment(this.events, this.now));

  constructor() {
    setInterval(() => (this.now = Date.now()), TICK_MS);
  }

  /** Reads now and from then on; a gateway without a schedule is asked once. */
  async follow() {
    let wait = READ_MS;
    try {
      const answer = await getJson("schedule");
      this.events = readSchedule(answer);
      this.season = String(answer.season ?? "");
      this.fetchedAt = Date.parse(answer.fetched_at);
      // One that has nothing and was never fetched is none, or its source has not answered yet.
      this.known = this.events.length > 0 || Number.isFinite(this.fetchedAt);
      this.absent = !this.known;
      if (this.absent) wait = RETRY_MS;
    } catch (error) {
      this.absent = !this.known;
      if (error.absent) return;
      wait = RETRY_MS;
    }
    setTimeout(() => this.follow(), wait);
  }
}

export const schedule = new Schedule();
