// Tiles that carry EXT-X-PROGRAM-DATE-TIME (RFC 8216 §4.3.2.6) show the same moment. Pure.
//
// Nobody is made to hurry, since that would drain a live buffer: who is ahead waits for who is furthest
// behind, by playing a little slower, or by a step back where slowness would take too long.

const APART_S_MAX = 30; // further apart they do not show the same event, or a clock is wrong
const CLOSE_S = 0.06;
const APART_S = 0.15; // where waiting begins: between the two nothing changes, so that it does not flutter
const STEP_S = 4;
const SLOWEST = 0.94;

/**
 * `tiles`: [{id, date_s, rate, playing}], all looked at in the same instant; `date_s` is the moment on the
 * screen, null where it is unknown. → [{id, rate, back_s, ahead_s}], ahead_s null for who takes no part.
 */
export function align(tiles) {
  const dates = tiles.filter(takesPart).map(({ date_s }) => date_s);
  const newest = Math.max(...dates);
  const together = dates.filter((date) => newest - date <= APART_S_MAX);
  const oldest = Math.min(...together);
  return tiles.map((tile) => {
    if (!takesPart(tile) || tile.date_s < oldest || together.length < 2) return { id: tile.id, rate: 1, back_s: 0, ahead_s: null };
    const ahead_s = tile.date_s - oldest;
    return { id: tile.id, ...wait(ahead_s, tile.rate < 1), ahead_s };
  });
}

function takesPart({ date_s, playing }) {
  return playing && date_s !== null;
}

function wait(ahead_s, waiting) {
  if (ahead_s > STEP_S) return { rate: 1, back_s: ahead_s };
  if (ahead_s < (waiting ? CLOSE_S : APART_S)) return { rate: 1, back_s: 0 };
  return { rate: Math.max(SLOWEST, 1 - ahead_s / 10), back_s: 0 };
}
