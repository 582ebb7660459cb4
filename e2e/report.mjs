// Adds the tabs up and holds the sum against what was expected. Pure.

const LEAST = ["advanced_s", "wall_s", "ready_state", "frames", "width", "height", "audio_bytes"];
const MOST = ["start_ms", "stall_max_s", "latency"];
const SUM = ["stalls", "stalled_s", "jumps", "jumped_s", "fatal", "errors", "switches", "dropped", "reloads"];
const PLAYED_SHARE = 0.9;

/** The tabs' own lists of lines move to the top. */
export function summarize(players) {
  const all = (key) => players.map((player) => player[key] ?? 0);
  const over = (keys, join) => Object.fromEntries(keys.map((key) => [key, join(all(key))]));
  return {
    started: players.every((player) => player.started),
    ...over(LEAST, (values) => Math.min(...values)),
    ...over(MOST, (values) => Math.max(...values)),
    ...over(SUM, (values) => round(values.reduce((total, value) => total + value, 0))),
    // Each tab sees the same stream: the least and the most must agree, so the odd one out is told.
    discontinuities: players.length ? Math.min(...all("discontinuities")) : 0,
    discontinuities_max: Math.max(0, ...all("discontinuities")),
    state: [...new Set(players.map((player) => player.state))].join(","),
    colors: players.map((player) => player.color ?? null),
    http: players.flatMap((player) => player.http),
    console: players.flatMap((player) => player.console),
  };
}

/** The expectations that do not hold, each with what was found. */
export function judge(report, expect) {
  const failed = report.actions.filter((action) => action.error).map((action) => `action ${action.did}: ${action.error}`);
  for (const term of expect.split(",").map((term) => term.trim()).filter(Boolean)) {
    const problem = check(report, term);
    if (problem) failed.push(`${term}: ${problem}`);
  }
  return failed;
}

function check(report, term) {
  if (term === "played") {
    const idle = report.players.find(({ started, ready_state, advanced_s, wall_s }) => !started || ready_state < 2 || advanced_s < PLAYED_SHARE * wall_s);
    return idle && `started ${idle.started}, ready_state ${idle.ready_state}, advanced ${idle.advanced_s} of ${idle.wall_s} s, state ${idle.state}`;
  }
  const [, no, name, sign, wanted] = term.match(/^(?:(no)-)?(\w+)(?:(<=|>=|=|<|>)(.+))?$/) ?? [];
  const found = report[name];
  if (found === undefined || (!no && !sign)) return "nothing by that name can be expected";
  const value = Array.isArray(found) ? found.length : found;
  const holds = no ? value === 0 : compare(value, sign, wanted);
  return holds ? null : `was ${JSON.stringify(found)}`;
}

function compare(value, sign, wanted) {
  if (sign === "=") return String(value) === wanted;
  const bound = Number(wanted);
  return { "<": value < bound, ">": value > bound, "<=": value <= bound, ">=": value >= bound }[sign];
}

function round(n) {
  return Math.round(n * 1000) / 1000;
}
