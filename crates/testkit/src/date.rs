//! Dates of `EXT-X-PROGRAM-DATE-TIME` (ISO 8601 as RFC 8216 §4.3.2.6 shows it), written for the origin
//! and read for the checker.

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since the Unix epoch as `2026-11-20T09:30:00.000Z`.
pub(crate) fn format(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(DAY_MS), unix_ms.rem_euclid(DAY_MS));
    // The proleptic Gregorian calendar in eras of 400 years that begin on 1 March of year 0, so
    // that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Milliseconds since the Unix epoch. A date without a zone is taken as UTC; `None` for what is no date.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let offset_min = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => 0,
        Some(sign) => {
            let text = zone[1..].replace(':', "");
            let (hours, minutes) = (text.get(..2)?, text.get(2..)?);
            let minutes = if minutes.is_empty() {
                0
            } else {
                digits(minutes)?
            };
            (digits(hours)? * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
    };
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, seconds) = (
        digits(clock.next()?)?,
        digits(clock.next()?)?,
        clock.next()?,
    );
    let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let ms = if fraction.is_empty() {
        0
    } else {
        digits(&format!("{fraction:0<3}")[..3])?
    };

    let (year, march_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + day_of_year
        - 719_468;
    Some(
        days * DAY_MS + (hour * 3600 + minute * 60 + digits(second)? - offset_min * 60) * 1000 + ms,
    )
}

/// At most six digits, so that no sum of them overflows.
fn digits(text: &str) -> Option<i64> {
    let short = (1..=6).contains(&text.len());
    (short && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, unix_ms: i64, canonical: &str) {
        assert_eq!(parse(text), Some(unix_ms), "{text}");
        assert_eq!(format(unix_ms), canonical);
    }

    #[test]
    fn reads_and_writes_dates() {
        check("1970-01-01T00:00:00.000Z", 0, "1970-01-01T00:00:00.000Z");
        check(
            "2024-02-29T23:59:59.9Z",
            1_709_251_199_900,
            "2024-02-29T23:59:59.900Z",
        );
        check(
            "2010-02-19T14:54:23.031+08:00",
            1_266_562_463_031,
            "2010-02-19T06:54:23.031Z",
        );
        check(
            "2000-03-01T00:00:00-0130",
            951_874_200_000,
            "2000-03-01T01:30:00.000Z",
        );
        for bad in [
            "",
            "yesterday",
            "2024-13-01T00:00:00Z",
            "2024-01-01",
            "2024-01-01T00:00Z",
            "2024-01-01T1:é:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
