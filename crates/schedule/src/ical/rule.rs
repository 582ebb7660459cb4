//! Recurrence rules (RFC 5545 §3.3.10) on civil times: each period's days that pass every part of the
//! rule, with the times of the rule or of the start.
//!
//! Days and longer frequencies; hourly and finer ones are refused by name.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Span, ToSpan, Unit};

/// Periods that are looked at, a century of days.
const PERIODS_MAX: usize = 40_000;
/// Occurrences that are taken.
const TAKEN_MAX: usize = 20_000;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    frequency: Frequency,
    interval: u32,
    count: Option<usize>,
    until: Option<Until>,
    week_start: Weekday,
    months: Vec<i8>,
    weeks: Vec<i16>,
    year_days: Vec<i16>,
    month_days: Vec<i16>,
    /// With an ordinal: the first or the last so many of its month or year; 0: each.
    days: Vec<(i16, Weekday)>,
    hours: Vec<i8>,
    minutes: Vec<i8>,
    seconds: Vec<i8>,
    positions: Vec<i16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frequency {
    Yearly,
    Monthly,
    Weekly,
    Daily,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// In UTC.
    Moment(i64),
    /// Without a zone, as the start is; the end of a whole day.
    Civil(DateTime),
}

impl Rule {
    /// `FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10`
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = |part: &str| format!("RRULE {part:?} is not understood");
        let mut frequency = None;
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            count: None,
            until: None,
            week_start: Weekday::Monday,
            months: Vec::new(),
            weeks: Vec::new(),
            year_days: Vec::new(),
            month_days: Vec::new(),
            days: Vec::new(),
            hours: Vec::new(),
            minutes: Vec::new(),
            seconds: Vec::new(),
            positions: Vec::new(),
        };
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| bad(part))?;
            let understood = match name.to_ascii_uppercase().as_str() {
                "FREQ" => {
                    frequency = Frequency::parse(value);
                    frequency.is_some()
                }
                "INTERVAL" => value.parse().is_ok_and(|interval: u32| {
                    rule.interval = interval;
                    (1..=10_000).contains(&interval)
                }),
                "COUNT" => value.parse().is_ok_and(|count| {
                    rule.count = Some(count);
                    true
                }),
                "UNTIL" => {
                    rule.until = until(value);
                    rule.until.is_some()
                }
                "WKST" => weekday(value).is_some_and(|day| {
                    rule.week_start = day;
                    true
                }),
                "BYMONTH" => numbers(value, &mut rule.months, 1..=12, false),
                "BYWEEKNO" => numbers(value, &mut rule.weeks, 1..=53, true),
                "BYYEARDAY" => numbers(value, &mut rule.year_days, 1..=366, true),
                "BYMONTHDAY" => numbers(value, &mut rule.month_days, 1..=31, true),
                "BYHOUR" => numbers(value, &mut rule.hours, 0..=23, false),
                "BYMINUTE" => numbers(value, &mut rule.minutes, 0..=59, false),
                "BYSECOND" => numbers(value, &mut rule.seconds, 0..=59, false),
                "BYSETPOS" => numbers(value, &mut rule.positions, 1..=366, true),
                "BYDAY" => value.split(',').all(|day| {
                    let day = ordinal_day(day);
                    rule.days.extend(day);
                    day.is_some()
                }),
                _ => false,
            };
            if !understood {
                return Err(bad(part));
            }
        }
        rule.frequency = frequency.ok_or_else(|| bad(text))?;
        Ok(rule)
    }

    /// The occurrences of what begins at `start`, those at least that lie `within`, in order. `at_ms` makes a
    /// moment of a civil time, for UNTIL. Each day that is looked at is taken from `days_left`.
    pub(crate) fn occurrences(
        &self,
        start: DateTime,
        within: Range<DateTime>,
        at_ms: impl Fn(DateTime) -> Option<i64>,
        days_left: &mut u32,
    ) -> Vec<DateTime> {
        let end = within.end;
        let rule = self.completed(start);
        let times = rule.times(start.time());
        let mut taken = Vec::new();
        let begin = self.periods_before(start.date(), within.start.date());
        for period in begin..begin + PERIODS_MAX {
            let Some((first, days)) = rule.period(start.date(), period) else {
                break;
            };
            if first.at(0, 0, 0, 0) > end {
                break;
            }
            let Some(left) = days_left.checked_sub(days.unsigned_abs()) else {
                *days_left = 0;
                break;
            };
            *days_left = left;
            let mut found = rule.of_period(first, days, &times);
            found.retain(|civil| *civil >= start);
            for civil in found {
                let over = match self.until {
                    None => false,
                    Some(Until::Civil(until)) => civil > until,
                    Some(Until::Moment(until)) => at_ms(civil).is_none_or(|at_ms| at_ms > until),
                };
                if over || civil > end || taken.len() >= self.count.unwrap_or(TAKEN_MAX) {
                    return taken;
                }
                taken.push(civil);
            }
        }
        taken
    }

    /// Periods that lie before `from` for certain. Those of a rule that counts are counted.
    fn periods_before(&self, start: Date, from: Date) -> usize {
        if self.count.is_some() || from <= start {
            return 0;
        }
        let days_long = match self.frequency {
            Frequency::Yearly => 366,
            Frequency::Monthly => 31,
            Frequency::Weekly => 7,
            Frequency::Daily => 1,
        };
        let days = from
            .since((Unit::Day, start))
            .map_or(0, |span| span.get_days());
        let interval = i32::try_from(self.interval).unwrap_or(i32::MAX);
        // The weeks of a year reach into the one before.
        let periods = days / (days_long * interval) - 2;
        usize::try_from(periods).unwrap_or(0)
    }

    /// What a rule leaves open is as the start is.
    fn completed(&self, start: DateTime) -> Self {
        let mut rule = self.clone();
        let open = rule.weeks.is_empty()
            && rule.year_days.is_empty()
            && rule.month_days.is_empty()
            && rule.days.is_empty();
        if open {
            match rule.frequency {
                Frequency::Yearly => {
                    if rule.months.is_empty() {
                        rule.months.push(start.month());
                    }
                    rule.month_days.push(start.day().into());
                }
                Frequency::Monthly => rule.month_days.push(start.day().into()),
                Frequency::Weekly => rule.days.push((0, start.weekday())),
                Frequency::Daily => {}
            }
        }
        rule
    }

    /// The times of an occurrence's day.
    fn times(&self, start: Time) -> Vec<Time> {
        let or = |given: &[i8], own: i8| {
            let mut all = if given.is_empty() {
                vec![own]
            } else {
                given.to_vec()
            };
            all.sort_unstable();
            all
        };
        let mut times = Vec::new();
        for hour in or(&self.hours, start.hour()) {
            for minute in or(&self.minutes, start.minute()) {
                for second in or(&self.seconds, start.second()) {
                    times.extend(Time::new(hour, minute, second, 0).ok());
                }
            }
        }
        times
    }

    /// The first day of a period, counted from that of the start, and its days.
    fn period(&self, start: Date, number: usize) -> Option<(Date, i32)> {
        let steps = i32::try_from(number)
            .ok()?
            .checked_mul(i32::try_from(self.interval).ok()?)?;
        let (first, span): (Date, Span) = match self.frequency {
            Frequency::Yearly => (start.first_of_year(), steps.years()),
            Frequency::Monthly => (start.first_of_month(), steps.months()),
            Frequency::Weekly => {
                let back = start.weekday().since(self.week_start);
                (
                    start.checked_sub(i64::from(back).days()).ok()?,
                    steps.weeks(),
                )
            }
            Frequency::Daily => (start, steps.days()),
        };
        let first = first.checked_add(span).ok()?;
        let days = match self.frequency {
            Frequency::Yearly => first.days_in_year().into(),
            Frequency::Monthly => first.days_in_month().into(),
            Frequency::Weekly => 7,
            Frequency::Daily => 1,
        };
        Some((first, days))
    }

    fn of_period(&self, first: Date, days: i32, times: &[Time]) -> Vec<DateTime> {
        // The weeks of a year may begin in the one before and end in the one after.
        let around = if self.frequency == Frequency::Yearly && !self.weeks.is_empty() {
            6
        } else {
            0
        };
        let count = usize::try_from(days + 2 * around).unwrap_or(0);
        let all = first.checked_sub(around.days()).ok();
        let all = std::iter::successors(all, |day| day.tomorrow().ok()).take(count);
        let chosen = all.filter(|day| self.takes(*day, first));
        let found: Vec<DateTime> = chosen
            .flat_map(|day| times.iter().map(move |time| day.to_datetime(*time)))
            .collect();
        if self.positions.is_empty() {
            return found;
        }
        let count = found.len();
        let index = |position: i16| match position {
            1.. => usize::try_from(position - 1).ok(),
            _ => count.checked_sub(usize::from(position.unsigned_abs())),
        };
        let kept: BTreeSet<usize> = self
            .positions
            .iter()
            .filter_map(|position| index(*position))
            .collect();
        kept.into_iter()
            .filter_map(|index| found.get(index).copied())
            .collect()
    }

    /// Whether a day passes every part of the rule. `first` begins its period.
    fn takes(&self, day: Date, first: Date) -> bool {
        let from_end = |number: i16, count: i16| number - count - 1;
        let (month_day, month_days) = (i16::from(day.day()), i16::from(day.days_in_month()));
        let (year_day, year_days) = (day.day_of_year(), day.days_in_year());
        let by_number = |wanted: &[i16], number: i16, count: i16| {
            wanted.is_empty()
                || wanted.contains(&number)
                || wanted.contains(&from_end(number, count))
        };
        let in_weeks = match self.weeks.is_empty() {
            true => true,
            false => self.takes_week(day, first.year()),
        };
        // Without weeks, what is taken lies in the period itself.
        let in_period = !self.weeks.is_empty()
            || self.frequency != Frequency::Yearly
            || day.year() == first.year();
        in_period
            && in_weeks
            && (self.months.is_empty() || self.months.contains(&day.month()))
            && by_number(&self.month_days, month_day, month_days)
            && by_number(&self.year_days, year_day, year_days)
            && (self.days.is_empty()
                || self.days.iter().any(|(ordinal, wanted)| {
                    day.weekday() == *wanted && (*ordinal == 0 || self.is_nth(day, *ordinal))
                }))
    }

    /// Whether a day is the n-th of its weekday: of the year in a yearly rule without months, else of
    /// the month.
    fn is_nth(&self, day: Date, ordinal: i16) -> bool {
        let of_year = self.frequency == Frequency::Yearly && self.months.is_empty();
        let (number, count) = match of_year {
            true => (day.day_of_year(), day.days_in_year()),
            false => (day.day().into(), day.days_in_month().into()),
        };
        match ordinal {
            1.. => (number - 1) / 7 == ordinal - 1,
            _ => (count - number) / 7 == -ordinal - 1,
        }
    }

    /// Whether a day lies in one of the rule's weeks of `year`: week 1 is the first with four days in it.
    fn takes_week(&self, day: Date, year: i16) -> bool {
        let first_of = |year: i16| {
            let fourth = Date::new(year, 1, 4).ok()?;
            fourth
                .checked_sub(i64::from(fourth.weekday().since(self.week_start)).days())
                .ok()
        };
        let (Some(first), Some(next)) = (first_of(year), first_of(year + 1)) else {
            return false;
        };
        let weeks_to = |to: Date| -> Option<i16> {
            let days = first.until((Unit::Day, to)).ok()?.get_days();
            i16::try_from(days.div_euclid(7)).ok()
        };
        let (Some(week), Some(count)) = (weeks_to(day), weeks_to(next)) else {
            return false;
        };
        (0..count).contains(&week)
            && (self.weeks.contains(&(week + 1)) || self.weeks.contains(&(week - count)))
    }
}

impl Frequency {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "YEARLY" => Self::Yearly,
            "MONTHLY" => Self::Monthly,
            "WEEKLY" => Self::Weekly,
            "DAILY" => Self::Daily,
            _ => return None,
        })
    }
}

fn until(text: &str) -> Option<Until> {
    if let Some(moment) = text.strip_suffix('Z') {
        let civil: DateTime = moment.parse().ok()?;
        return super::Zone::utc().at_ms(civil).map(Until::Moment);
    }
    if text.len() == 8 {
        let day: Date = text.parse().ok()?;
        return Some(Until::Civil(day.at(23, 59, 59, 0)));
    }
    text.parse().ok().map(Until::Civil)
}

/// Reads numbers into `out`; negative ones count from the end, where that is allowed.
fn numbers<N: TryFrom<i16>>(
    text: &str,
    out: &mut Vec<N>,
    range: std::ops::RangeInclusive<i16>,
    from_end: bool,
) -> bool {
    text.split(',').all(|number| {
        let number: Option<i16> = number.trim().trim_start_matches('+').parse().ok();
        let number = number.filter(|number| {
            range.contains(number) || from_end && range.contains(&-number) && *number != 0
        });
        let number = number.and_then(|number| N::try_from(number).ok());
        let any = number.is_some();
        out.extend(number);
        any
    })
}

/// `MO`, `1SU`, `-1FR`
fn ordinal_day(text: &str) -> Option<(i16, Weekday)> {
    let text = text.trim();
    let (ordinal, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let ordinal = match ordinal.trim_start_matches('+') {
        "" => 0,
        ordinal => ordinal.parse().ok().filter(|ordinal: &i16| *ordinal != 0)?,
    };
    Some((ordinal, weekday(day)?))
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text.to_ascii_uppercase().as_str() {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}
