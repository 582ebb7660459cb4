//! The carriers: names in a query, and what stands in a path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;
use url::Url;

use super::{Expiry, decimal_ms, epoch_ms, token};

/// Names whose value is a Unix time, in lower case.
const EPOCH_NAMES: [&str; 6] = ["exp", "expire", "expires", "e", "validto", "endtime"];
/// The same in a path, where a single letter is too little.
const PATH_NAMES: [&str; 4] = ["exp", "expire", "expires", "validto"];
/// Akamai's token in its three uses.
const AKAMAI_NAMES: [&str; 3] = ["hdnts", "hdnea", "hdntl"];

/// Adds what the query tells.
pub(super) fn of_query(url: &Url, found: &mut Vec<Expiry>) {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .collect();
    let value = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| name == wanted);
        pair.map(|(_, value)| value.as_str())
    };
    for (carrier, date, lasts) in [
        ("X-Amz-Expires", "x-amz-date", "x-amz-expires"),
        ("X-Goog-Expires", "x-goog-date", "x-goog-expires"),
    ] {
        let signed = value(date).and_then(timestamp_ms);
        let lasts_s = value(lasts).and_then(|lasts| lasts.parse::<u32>().ok());
        if let (Some(signed), Some(lasts_s)) = (signed, lasts_s) {
            push(found, carrier, Some(signed + i64::from(lasts_s) * 1000));
        }
    }
    for (name, value) in &pairs {
        one(name, value, found);
        token::of_text(value, found);
    }
}

fn one(name: &str, value: &str, found: &mut Vec<Expiry>) {
    match name {
        "policy" => push(found, "Policy", cloudfront_ms(value)),
        "se" => push(found, "se", timestamp_ms(value)),
        "wmsauthsign" => push(found, "wmsAuthSign", wms_ms(value)),
        "txtime" => push(found, "txTime", hex_ms(value)),
        "wstime" => push(found, "wsTime", decimal_ms(value).or_else(|| hex_ms(value))),
        // Wowza puts a prefix of its customer's before `endtime`.
        _ if EPOCH_NAMES.contains(&name) || name.ends_with("endtime") => {
            push(found, "expires", decimal_ms(value));
        }
        _ => {}
    }
    akamai(name, value, found);
}

/// Adds what the path tells: `/expires/1700000000/`, `/hdntl=exp=…~hmac=…/`, `/expires=…&token=…/`, and
/// tokens.
pub(super) fn of_path(url: &Url, found: &mut Vec<Expiry>) {
    let Some(segments) = url.path_segments() else {
        return;
    };
    let mut named = false;
    for raw in segments {
        let segment = percent_decoded(raw);
        if named {
            push(found, "path", decimal_ms(&segment));
        }
        named = PATH_NAMES.contains(&segment.to_ascii_lowercase().as_str());
        for pair in segment.split(['&', ';', ',']) {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            if PATH_NAMES.contains(&name.as_str()) {
                // Akamai's token without a name begins so too, and goes on behind a tilde.
                let value = value.split('~').next().unwrap_or(value);
                push(found, "path", decimal_ms(value));
            }
            akamai(&name, value, found);
        }
        token::of_text(&segment, found);
    }
}

/// `st=…~exp=…~acl=…~hmac=…`
fn akamai(name: &str, value: &str, found: &mut Vec<Expiry>) {
    let carrier = AKAMAI_NAMES.iter().find(|known| **known == name);
    // Others have taken Akamai's form and given it a name of their own.
    let carrier = carrier
        .copied()
        .or(value.contains("~hmac=").then_some("hdnts"));
    if let Some(carrier) = carrier {
        let ends = value
            .split('~')
            .filter_map(|part| part.strip_prefix("exp="));
        for end in ends {
            push(found, carrier, decimal_ms(end));
        }
    }
}

/// A custom policy of CloudFront: JSON in base64, with `-_~` for `+=/`.
fn cloudfront_ms(value: &str) -> Option<i64> {
    let standard: String = value
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '=',
            '~' => '/',
            c => c,
        })
        .collect();
    let policy: Value = serde_json::from_slice(&STANDARD.decode(standard).ok()?).ok()?;
    let statements = policy.get("Statement")?.as_array()?;
    let ends = statements.iter().filter_map(|statement| {
        let condition = statement.get("Condition")?.get("DateLessThan")?;
        epoch_ms(condition.get("AWS:EpochTime")?.as_u64()?)
    });
    ends.min()
}

/// `server_time=11/20/2026 1:05:09 PM&hash_value=…&validminutes=20` in base64.
fn wms_ms(value: &str) -> Option<i64> {
    let decoded = STANDARD.decode(value.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let field = |wanted: &str| {
        let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    let begun = DateTime::strptime("%m/%d/%Y %I:%M:%S %p", field("server_time")?).ok()?;
    let lasts: u32 = field("validminutes")?.parse().ok()?;
    let begun = begun.to_zoned(TimeZone::UTC).ok()?;
    Some(begun.timestamp().as_millisecond() + i64::from(lasts) * 60_000)
}

/// ISO 8601, extended or basic, with or without a time.
fn timestamp_ms(text: &str) -> Option<i64> {
    let date_only = || {
        let midnight = text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(midnight.timestamp())
    };
    let at = text.parse::<Timestamp>().ok().or_else(date_only)?;
    Some(at.as_millisecond())
}

fn hex_ms(text: &str) -> Option<i64> {
    let plain = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    epoch_ms(u64::from_str_radix(text, 16).ok().filter(|_| plain)?)
}

fn push(found: &mut Vec<Expiry>, carrier: &'static str, at_ms: Option<i64>) {
    found.extend(at_ms.map(|at_ms| Expiry { at_ms, carrier }));
}

/// A path segment as it was meant; what is no UTF-8 becomes unreadable, and so no date.
fn percent_decoded(segment: &str) -> String {
    // A query's decoder, kept from taking a plus for a space.
    let shielded = segment
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    url::form_urlencoded::parse(shielded.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}
