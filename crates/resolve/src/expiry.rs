//! When a link dies, as the link itself says it.
//!
//! Signed URLs carry their end in the open, each provider in its own way. [`read`] knows the common
//! carriers and trusts none of them alone: of all moments found, the earliest counts that lies within a
//! day past and thirty days ahead. It takes a URL and the time and returns a value; it never fails.

mod carrier;
mod cbor;
mod token;

use url::Url;

/// A link's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Where it was found, for people: `X-Amz-Expires`, `hdnts`, `jwt`…
    pub carrier: &'static str,
}

const DAY_MS: i64 = 24 * 3_600_000;
/// A link may have died a while ago; what ended longer ago is another number.
const PAST_MAX_MS: i64 = DAY_MS;
/// The longest that providers sign for; what lies beyond is another number.
const AHEAD_MAX_MS: i64 = 30 * DAY_MS;

/// The end that `url` tells, at the time `now_ms` since the Unix epoch. `None` if it tells none.
pub fn read(url: &Url, now_ms: i64) -> Option<Expiry> {
    let plausible = now_ms.saturating_sub(PAST_MAX_MS)..=now_ms.saturating_add(AHEAD_MAX_MS);
    let mut found = Vec::new();
    carrier::of_query(url, &mut found);
    carrier::of_path(url, &mut found);
    found.retain(|expiry| plausible.contains(&expiry.at_ms));
    found.into_iter().min_by_key(|expiry| expiry.at_ms)
}

/// A Unix time in seconds, milliseconds or microseconds, told apart by its size: as seconds, the
/// least that is taken for milliseconds lies in the year 5138.
pub(crate) fn epoch_ms(value: u64) -> Option<i64> {
    const SECONDS_END: u64 = 100_000_000_000;
    const MILLISECONDS_END: u64 = SECONDS_END * 1000;
    let ms = match value {
        0..SECONDS_END => value * 1000,
        SECONDS_END..MILLISECONDS_END => value,
        _ => value / 1000,
    };
    i64::try_from(ms).ok()
}

/// [`epoch_ms`] of decimal digits; a fraction is cut off.
fn decimal_ms(text: &str) -> Option<i64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    epoch_ms(whole.parse().ok().filter(|_| digits)?)
}

#[cfg(test)]
mod tests;
