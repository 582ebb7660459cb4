//! `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// A server that asks for more is asked again all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// How long to wait, at most an hour; a date in the past is no wait at all. A date is measured
/// against the response's own `Date`, so that a wrong clock on either side does not matter.
pub(crate) fn parse(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let value = text(header::RETRY_AFTER)?;
    let date = |value| httpdate::parse_http_date(value).ok();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let now = text(header::DATE)
            .and_then(date)
            .unwrap_or_else(SystemTime::now);
        date(value)?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        headers.insert(
            header::DATE,
            "Fri, 20 Nov 2026 09:00:00 GMT".parse().unwrap(),
        );
        assert_eq!(
            parse(&headers),
            expected.map(Duration::from_secs),
            "{value:?}"
        );
    }

    #[test]
    fn reads_both_forms_and_caps_them() {
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(3600));
        check("Fri, 20 Nov 2026 09:00:30 GMT", Some(30));
        check("Fri, 20 Nov 2026 08:00:00 GMT", Some(0));
        check("Fri, 20 Nov 2099 09:00:00 GMT", Some(3600));
        for nonsense in ["", "-5", "1.5", "soon"] {
            check(nonsense, None);
        }
        assert_eq!(parse(&HeaderMap::new()), None);
    }
}
