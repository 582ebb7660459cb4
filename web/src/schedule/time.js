// What of a schedule is on now and what comes next. Pure: the server says what was when it was asked, the
// page stays open longer, so that past and live are told anew from start and length.

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Events in order, each with its sessions in order: [{key, name, place, round, sessions: [session], start, end, over}]. */
export function readSchedule({ races = [] }) {
  const events = races.map((race, index) => {
    const sessions = (race.sessions ?? []).map((session) => readSession(session, race)).filter(Boolean);
    sessions.sort((a, b) => a.start - b.start);
    return {
      key: `${race.round ?? index}-${race.race_name ?? ""}`,
      round: race.round,
      name: race.race_name ?? "",
      place: [race.circuit, race.locality, race.country].filter(Boolean).join(", "),
      channels: race.channels ?? [],
      sessions,
      start: sessions[0]?.start ?? Date.parse(race.date),
      end: Math.max(...sessions.map(({ end }) => end)),
    };
  });
  return events.filter(({ sessions }) => sessions.length).sort((a, b) => a.start - b.start);
}

function readSession({ type, name, start_utc, duration_minutes, channels }, race) {
  const start = Date.parse(start_utc);
  if (!Number.isFinite(start)) return null;
  return { key: `${type}-${start}`, name: name || race.race_name || type, event: race.race_name ?? "", channels: channels ?? race.channels ?? [], start, end: start + (duration_minutes || 60) * MINUTE_MS };
}

/** "past" | "live" | "upcoming" */
export function status({ start, end }, now) {
  if (now >= end) return "past";
  return now >= start ? "live" : "upcoming";
}

/** What is on, and the first that begins after `now`. */
export function moment(events, now) {
  const sessions = events.flatMap((event) => event.sessions.map((session) => ({ ...session, event })));
  const live = sessions.filter((session) => status(session, now) === "live");
  const upcoming = sessions.filter(({ start }) => start > now).sort((a, b) => a.start - b.start);
  return { live, next: upcoming[0] ?? null };
}

/** The parts of a wait, none of them more exact than a person wants: seconds show in the last day only. */
export function countdown(ms) {
  const left = Math.max(0, ms);
  const parts = { days: Math.floor(left / DAY_MS), hours: Math.floor(left / HOUR_MS) % 24, minutes: Math.floor(left / MINUTE_MS) % 60, seconds: Math.floor(left / 1000) % 60 };
  const shown = parts.days ? ["days", "hours", "minutes"] : parts.hours ? ["hours", "minutes", "seconds"] : ["minutes", "seconds"];
  return shown.map((unit) => ({ unit, value: parts[unit] }));
}

/** "in 3 days", "in 2 hours": what a screen reader says once, where digits would chatter. */
export function roughly(ms) {
  const [n, unit] = ms >= 2 * DAY_MS ? [Math.round(ms / DAY_MS), "days"] : ms >= 2 * HOUR_MS ? [Math.round(ms / HOUR_MS), "hours"] : [Math.max(1, Math.round(ms / MINUTE_MS)), "minutes"];
  return `in ${n} ${n === 1 ? unit.slice(0, -1) : unit}`;
}

/** "Fri 20 Nov", "20:30" in the reader's own zone and words. */
export function localDay(ms, locale) {
  return new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short" }).format(ms);
}

export function localWeekday(ms, locale) {
  return new Intl.DateTimeFormat(locale, { weekday: "short" }).format(ms);
}

export function localTime(ms, locale) {
  return new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }).format(ms);
}
