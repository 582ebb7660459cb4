// Answers in the contracted shapes of parts that a plain gateway does not have: a schedule, resolvers' streams,
// a library, mounts and shares. What they play is a live channel of the real gateway behind them.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A season with something on now, something over and something to come. */
export function schedule(now, channels = []) {
  const session = (type, name, from_now, duration_minutes) => ({ type, name, start_utc: new Date(now + from_now).toISOString(), duration_minutes, status: "upcoming" });
  const race = (round, race_name, circuit, locality, country, sessions) => ({ round, race_name, circuit, circuit_id: circuit, locality, country, date: sessions[0].start_utc.slice(0, 10), url: "", sessions, channels });
  return {
    season: "2026", fetched_at: new Date(now - HOUR_MS).toISOString(),
    races: [
      race(21, "Las Vegas Grand Prix", "Strip Circuit", "Las Vegas", "USA", [session("practice", "Practice", -170 * HOUR_MS, 60), session("race", "Race", -146 * HOUR_MS, 120)]),
      race(22, "Qatar Grand Prix", "Losail", "Lusail", "Qatar", [
        session("sprint_qualifying", "Sprint qualifying", -22 * HOUR_MS, 60), session("sprint", "Sprint", -40 * MINUTE_MS, 60),
        session("qualifying", "Qualifying", 3 * HOUR_MS + 12 * MINUTE_MS, 60), session("race", "Race", 27 * HOUR_MS, 120),
      ]),
      race(23, "Abu Dhabi Grand Prix", "Yas Marina", "Abu Dhabi", "UAE", [
        session("practice", "Practice 1", 165 * HOUR_MS, 60), session("qualifying", "Qualifying", 190 * HOUR_MS, 60), session("race", "Race", 213 * HOUR_MS, 120),
      ]),
    ],
  };
}

/** What `perennial demo` says of its sources. */
function demo(channel, now) {
  const source = (name, fault) => ({ name, url: "http://127.0.0.1:1/index.m3u8", fault, requests: 48 });
  const events = [[9000, "live"], [4000, "source A is broken: dead"], [3000, "http://127.0.0.1:1/index.m3u8 is on air"]];
  return {
    channel, sources: [source("A", "dead"), source("B", null)], current: 1, faults: ["dead", "freeze", "stall", "404", "html", "garbage"],
    events: events.map(([ago, text]) => ({ at_ms: now - ago, text })), state: "live", generation: 2, viewers: 1, bytes_in: 1700000, bytes_out: 1600000,
  };
}

const STREAM = "ref:Y2x1Yi9jYW0tMQ";
const ASSET = "7d0f3c1e-5a52-4f0e-9d0c-0d6f3a7b1c11";

/**
 * Intercepts what `page` asks; `channel` is a real one, that all of them play. `tokens` is what an asset's
 * address carries, one after the other; a token in `refused` gets 403; with `broken` it is a demo. → what was asked
 */
export async function canned(page, { root, channel, now = Date.now(), tokens = ["TOKEN-ONE"], refused = new Set(), password = "", broken = false }) {
  const asked = [];
  const json = (route, body, status = 200) => route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) });
  const problem = (route, status, detail) => json(route, { code: "x", detail }, status);
  /** The channel's playlist, its addresses made to hold from anywhere. */
  const playlist = async (route) => {
    const answer = await route.fetch({ url: `${root}live/${channel}/index.m3u8` });
    const body = (await answer.text()).replace(/^(?!#)(.+)$/gm, (uri) => new URL(uri, `${root}live/${channel}/`).href);
    return route.fulfill({ response: answer, body });
  };
  const on = (path, act) => page.route((url) => url.href.startsWith(root) && path.test(url.pathname), (route) => {
    const request = route.request();
    asked.push({ method: request.method(), path: new URL(request.url()).pathname, search: new URL(request.url()).search, body: request.postDataJSON?.() ?? null });
    return act(route, request);
  });
  let handed = 0;
  const address = () => ({ url: `/stream/hls/master.m3u8?token=${tokens[Math.min(handed++, tokens.length - 1)]}` });

  if (broken) await on(/^\/demo\/state$/, (route) => json(route, demo(channel, now)));
  await on(/^\/schedule$/, (route) => json(route, schedule(now, [channel])));
  await on(/^\/streams\/all$/, (route) => json(route, { streams: [{ url: STREAM, site_key: "club", site_name: "Club TV", quality: "720p", title: "Court One", id: "cam-1", is_live: true, kind: "hls" }], count: 1 }));
  await on(/^\/streams\/activate$/, (route, request) => (request.postDataJSON().url === STREAM ? json(route, { status: "activated", url: STREAM, site_key: "club", active_count: 1 }) : json(route, { status: "error", detail: "unknown" })));
  await on(/^\/proxy$/, playlist);
  await on(/^\/api\/v1\/assets$/, (route) => json(route, { assets: [{ id: ASSET, name: "Final cut", kind: "video", size: 734003200 }] }));
  await on(/^\/api\/v1\/mounts$/, (route) => json(route, { mounts: [{ id: 7, name: "Nosferatu", state: "streamable", files: [{ name: "Nosferatu.1922.mkv", size: 4294967296, url: "/api/files/stream?path=Nosferatu.1922.mkv&grant=GRANT-SECRET" }] }] }));
  await on(/^\/assets\/[^/]+\/stream$/, (route) => json(route, address()));
  await on(/^\/stream\/hls\/master\.m3u8$/, (route, request) => (refused.has(new URL(request.url()).searchParams.get("token")) ? problem(route, 403, "expired") : playlist(route)));
  await on(/^\/share\/[^/]+$/, async (route, request) => {
    // The gateway's own page, which is 404 where there is no such link.
    if (request.resourceType() === "document") return route.fulfill({ response: await route.fetch(), status: 200 });
    const given = request.method() === "POST" ? request.postDataJSON().password : "";
    if (given && given !== password) return problem(route, 403, "wrong password");
    const open = !password || given === password;
    return json(route, {
      asset_id: ASSET, title: "Final cut, second pass", description: "For Tuesday. The sound is not mixed yet.", permission: "view", allow_download: true,
      requires_password: Boolean(password), visibility: "public", asset: open ? { id: ASSET, name: "Final cut", kind: "video" } : null, share_session: open ? "SESSION-SECRET" : null,
    });
  });
  await on(/^\/share\/[^/]+\/stream\/[^/]+$/, (route) => json(route, address()));
  return asked;
}
