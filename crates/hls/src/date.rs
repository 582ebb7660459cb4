//! `EXT-X-PROGRAM-DATE-TIME` values (RFC 8216 §4.3.2.6): ISO 8601 to milliseconds and back.

/// A date as milliseconds since the Unix epoch, with the zone it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: i64,
    offset_min: i32,
}

const DAY_MS: i64 = 86_400_000;

impl DateTime {
    /// Reads `2026-11-20T09:38:31.250Z`, with `+01:00`, `+0100` or no zone (taken for UTC).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, time) = text.split_at_checked(10)?;
        let mut date = date.split('-').map(digits);
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let time = time.strip_prefix(['T', 't', ' '])?;
        let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
        let (clock, zone) = time.split_at(zone);
        let mut clock = clock.split(':');
        let (hour, minute) = (digits(clock.next()?)?, digits(clock.next()?)?);
        let (second, fraction) = clock
            .next()
            .map_or(("0", ""), |s| s.split_once('.').unwrap_or((s, "")));
        let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
        let (second, millis) = (digits(second)?, digits(&millis)?);
        let in_range = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 61;
        if !in_range || clock.next().is_some() {
            return None;
        }
        let offset_min = offset(zone)?;
        let clock_ms = ((hour * 60 + minute) * 60 + second) * 1000 + millis;
        let unix_ms =
            days_from_civil(year, month, day) * DAY_MS + clock_ms - i64::from(offset_min) * 60_000;
        Some(Self {
            unix_ms,
            offset_min,
        })
    }

    /// The date `ms` later, in the same zone.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self {
            unix_ms: self.unix_ms.saturating_add(ms),
            ..self
        }
    }
}

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let local = self
            .unix_ms
            .saturating_add(i64::from(self.offset_min) * 60_000);
        let (year, month, day) = civil_from_days(local.div_euclid(DAY_MS));
        let ms = local.rem_euclid(DAY_MS);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}",
            ms % 1000
        )?;
        match self.offset_min {
            0 => f.write_str("Z"),
            min => {
                let sign = if min < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", min.abs() / 60, min.abs() % 60)
            }
        }
    }
}

/// A moment in UTC, as `DateTime` prints it.
pub fn utc(unix_ms: i64) -> DateTime {
    DateTime {
        unix_ms,
        offset_min: 0,
    }
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn offset(zone: &str) -> Option<i32> {
    let Some(sign) = zone.chars().next() else {
        return Some(0);
    };
    let rest = &zone[1..];
    if sign.eq_ignore_ascii_case(&'z') {
        return rest.is_empty().then_some(0);
    }
    let rest: String = rest.chars().filter(|&c| c != ':').collect();
    let (hours, minutes) = rest.split_at_checked(2)?;
    let minutes = if minutes.is_empty() {
        0
    } else {
        digits(minutes)?
    };
    let total = i32::try_from(digits(hours)? * 60 + minutes).ok()?;
    Some(if sign == '-' { -total } else { total })
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years are counted from March, so that
/// the leap day is a year's last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, unix_ms: i64, printed: &str) {
        let date = DateTime::parse(text).unwrap();
        assert_eq!(
            (date.unix_ms, date.to_string().as_str()),
            (unix_ms, printed)
        );
    }

    #[test]
    fn reads_the_forms_that_encoders_write() {
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z");
        check(
            "2026-11-20T09:38:31.2509+0100",
            1_795_163_911_250,
            "2026-11-20T09:38:31.250+01:00",
        );
        check(
            "2024-02-29T23:59:59.5-08:30",
            1_709_281_799_500,
            "2024-02-29T23:59:59.500-08:30",
        );
        check(
            "2000-03-01T00:00",
            951_868_800_000,
            "2000-03-01T00:00:00.000Z",
        );
    }

    #[test]
    fn refuses_what_is_no_date() {
        for bad in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-20",
            "2026-11-20T25:00:00Z",
            "é026-11-20T00:00:00Z",
        ] {
            assert_eq!(DateTime::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_agree(unix_ms in 0i64..4_102_444_800_000, offset_min in -840i32..840) {
            let date = DateTime { unix_ms, offset_min };
            prop_assert_eq!(DateTime::parse(&date.to_string()), Some(date));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = DateTime::parse(&text);
        }
    }
}
