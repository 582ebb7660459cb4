//! iCalendar (RFC 5545): events with time zones, recurrence, exceptions, whole days, cancellations.
//!
//! The `icalendar` crate takes the text apart; time zones are `jiff`'s, with the document's own as a way
//! out for names that nobody knows. Occurrences are found by `rule`.

mod rule;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use icalendar::parser::{Component, Property, read_calendar, unfold};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Unit};

use crate::{Calendar, Race, Session, Unreadable};
use rule::Rule;
use zone::{Zone, Zones};

/// Events of one document.
const EVENTS_MAX: usize = 5_000;
/// Occurrences of one document.
const OCCURRENCES_MAX: usize = 20_000;
/// Days that are looked at to follow the rules of one document.
const DAYS_MAX: u32 = 4_000_000;
/// Days of one event; ten years.
const DAYS_LONG_MAX: i64 = 3660;
const DAY_MS: i64 = 24 * 3_600_000;
/// Messages about what was left out.
const TROUBLES_MAX: usize = 20;

/// A moment or a day as a calendar writes it.
#[derive(Clone, Debug)]
struct When {
    /// Without its zone.
    civil: DateTime,
    zone: Zone,
    whole_day: bool,
}

/// An event before its occurrences are found.
#[derive(Debug)]
struct Event {
    uid: String,
    start: When,
    lasts: Lasts,
    rule: Option<Rule>,
    added: Vec<When>,
    excepted: BTreeSet<i64>,
    /// Which occurrence of its series this takes the place of.
    replaces: Option<i64>,
    cancelled: bool,
    summary: String,
    location: String,
    url: String,
}

/// How long an event goes on.
#[derive(Clone, Copy, Debug)]
enum Lasts {
    Minutes(u32),
    /// So many days: not always 24 hours each.
    Days(i64),
}

/// Reads a document; what repeats is taken within `window`.
pub(crate) fn read(
    body: &[u8],
    window: Range<i64>,
    time_zone: Option<&TimeZone>,
) -> Result<(Calendar, Vec<String>), Unreadable> {
    let text = String::from_utf8_lossy(body);
    let unfolded = unfold(&text);
    let document = read_calendar(&unfolded).map_err(Unreadable::Ical)?;
    let zones = Zones::of(&document, time_zone);
    let mut troubles = Vec::new();
    let mut events = Vec::new();
    let found = document
        .components
        .iter()
        .filter(|component| component.name == "VEVENT");
    for (index, component) in found.enumerate() {
        if index == EVENTS_MAX {
            troubles.push(format!("more than {EVENTS_MAX} events: the rest"));
            break;
        }
        match event(component, &zones) {
            Ok(event) => events.push(event),
            Err(trouble) if troubles.len() < TROUBLES_MAX => troubles.push(trouble),
            Err(_) => {}
        }
    }
    let races = occurrences(&events, &window, &mut troubles);
    let calendar = Calendar {
        season: String::new(),
        races,
    };
    Ok((calendar.sorted(), troubles))
}

/// All occurrences in the window. An override stands for the one that it names.
fn occurrences(events: &[Event], window: &Range<i64>, troubles: &mut Vec<String>) -> Vec<Race> {
    let mut replaced: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for event in events {
        if let Some(at_ms) = event.replaces {
            replaced.entry(&event.uid).or_default().insert(at_ms);
        }
    }
    let mut races = Vec::new();
    let mut days_left = DAYS_MAX;
    for event in events.iter().filter(|event| !event.cancelled) {
        let overridden = replaced
            .get(event.uid.as_str())
            .filter(|_| event.replaces.is_none());
        for start_ms in event.starts(window, &mut days_left) {
            if races.len() == OCCURRENCES_MAX {
                troubles.push(format!("more than {OCCURRENCES_MAX} occurrences: the rest"));
                return races;
            }
            if overridden.is_none_or(|overridden| !overridden.contains(&start_ms)) {
                races.push(event.race(start_ms));
            }
        }
        if days_left == 0 {
            let summary = &event.summary;
            troubles.push(format!(
                "what comes after event {summary:?}: the rules so far took {DAYS_MAX} days to follow"
            ));
            return races;
        }
    }
    races
}

impl Event {
    /// The starts of all occurrences that touch the window, in order, each once.
    fn starts(&self, window: &Range<i64>, days_left: &mut u32) -> Vec<i64> {
        let lasts_ms = match self.lasts {
            Lasts::Minutes(minutes) => i64::from(minutes) * 60_000,
            Lasts::Days(days) => days.saturating_mul(DAY_MS),
        };
        let zone = &self.start.zone;
        let mut starts: Vec<i64> = match &self.rule {
            None => self.start.at_ms().into_iter().collect(),
            Some(rule) => {
                let from = window.start.saturating_sub(lasts_ms).saturating_sub(DAY_MS);
                let within = zone.civil_of(from)..zone.civil_of(window.end);
                let at_ms = |civil| zone.at_ms(civil);
                let found = rule.occurrences(self.start.civil, within, at_ms, days_left);
                found
                    .into_iter()
                    .filter_map(|civil| zone.at_ms(civil))
                    .collect()
            }
        };
        starts.extend(self.added.iter().filter_map(When::at_ms));
        starts.retain(|start| {
            start.saturating_add(lasts_ms.max(1)) > window.start
                && *start < window.end
                && !self.excepted.contains(start)
        });
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// How long the occurrence goes on that starts at `start_ms`.
    fn minutes(&self, start_ms: i64) -> u32 {
        let days = match self.lasts {
            Lasts::Minutes(minutes) => return minutes,
            Lasts::Days(days) => days,
        };
        let zone = &self.start.zone;
        let first = zone.civil_of(start_ms).date();
        let end = first.checked_add(days.days()).ok();
        let end_ms = end.and_then(|end| zone.at_ms(end.at(0, 0, 0, 0)));
        let ms = end_ms.map_or(0, |end_ms| end_ms - start_ms);
        u32::try_from(ms / 60_000).unwrap_or(0)
    }

    fn race(&self, start_ms: i64) -> Race {
        Race {
            race_name: self.summary.clone(),
            locality: self.location.clone(),
            date: self.start.zone.civil_of(start_ms).date().to_string(),
            url: self.url.clone(),
            sessions: vec![Session {
                kind: "event".to_owned(),
                name: self.summary.clone(),
                start_ms,
                duration_minutes: self.minutes(start_ms),
                all_day: self.start.whole_day,
            }],
            ..Race::default()
        }
    }
}

fn event(component: &Component<'_>, zones: &Zones) -> Result<Event, String> {
    let text = |name: &str| {
        let found = component.find_prop(name);
        found.map_or_else(String::new, |property| property.val.as_str().to_owned())
    };
    let (uid, summary) = (text("UID"), text("SUMMARY"));
    let named = |reason: String| format!("event {summary:?}: {reason}");
    let all = |name: &str| -> Result<Vec<When>, String> {
        let found = component
            .properties
            .iter()
            .filter(|property| property.name == name);
        let each = found.flat_map(|property| {
            property
                .val
                .as_str()
                .split(',')
                .map(move |value| when(property, value, zones))
        });
        each.collect::<Result<_, _>>().map_err(named)
    };
    let one = |name: &str| {
        let found = component.find_prop(name);
        let found = found.map(|property| when(property, property.val.as_str(), zones));
        found.transpose().map_err(named)
    };
    let start = one("DTSTART")?.ok_or_else(|| named("has no DTSTART".to_owned()))?;
    let lasts = lasts(component, &start, one("DTEND")?.as_ref()).map_err(named)?;
    let rule = component
        .find_prop("RRULE")
        .map(|property| Rule::parse(property.val.as_str()));
    let excepted = all("EXDATE")?.iter().filter_map(When::at_ms).collect();
    Ok(Event {
        rule: rule.transpose().map_err(named)?,
        added: all("RDATE")?,
        replaces: one("RECURRENCE-ID")?.and_then(|when| when.at_ms()),
        cancelled: text("STATUS").eq_ignore_ascii_case("CANCELLED"),
        location: text("LOCATION"),
        url: text("URL"),
        excepted,
        lasts,
        start,
        uid,
        summary,
    })
}

/// How long an event lasts: to its DTEND, for its DURATION, or a day if it is one (§3.6.1).
fn lasts(component: &Component<'_>, start: &When, end: Option<&When>) -> Result<Lasts, String> {
    let ms = match (end, component.find_prop("DURATION")) {
        (Some(end), _) if start.whole_day && end.whole_day => {
            let span = start.civil.date().until((Unit::Day, end.civil.date()));
            let days = span.map_or(0, |span| i64::from(span.get_days()));
            return Ok(Lasts::Days(days.clamp(0, DAYS_LONG_MAX)));
        }
        (Some(end), _) => match (start.at_ms(), end.at_ms()) {
            (Some(start), Some(end)) => end - start,
            _ => 0,
        },
        (None, Some(duration)) => {
            let text = duration.val.as_str();
            let span: Span = text
                .parse()
                .map_err(|error| format!("DURATION {text:?}: {error}"))?;
            let total = span.total((jiff::Unit::Millisecond, start.civil));
            total.map_err(|error| format!("DURATION {text:?}: {error}"))? as i64
        }
        (None, None) if start.whole_day => DAY_MS,
        (None, None) => 0,
    };
    Ok(match start.whole_day {
        true => Lasts::Days((ms / DAY_MS).clamp(0, DAYS_LONG_MAX)),
        false => Lasts::Minutes(u32::try_from(ms / 60_000).unwrap_or(0)),
    })
}

impl When {
    fn at_ms(&self) -> Option<i64> {
        self.zone.at_ms(self.civil)
    }
}

/// `20261120T150000Z`, `TZID=Europe/London:20261120T150000`, `VALUE=DATE:20261120`, a period's beginning.
fn when(property: &Property<'_>, value: &str, zones: &Zones) -> Result<When, String> {
    let value = value.split('/').next().unwrap_or(value).trim();
    let bad = |error: jiff::Error| format!("{} {value:?}: {error}", property.name.as_str());
    let parameter = |wanted: &str| {
        let found = property
            .params
            .iter()
            .find(|parameter| parameter.key == wanted);
        found
            .and_then(|parameter| parameter.val.as_ref())
            .map(|value| value.as_str())
    };
    if let Some(at) = value.strip_suffix('Z') {
        return Ok(When {
            civil: at.parse::<DateTime>().map_err(bad)?,
            zone: Zone::utc(),
            whole_day: false,
        });
    }
    let zone = match parameter("TZID") {
        Some(name) => zones
            .find(name)
            .ok_or_else(|| format!("there is no time zone {name:?}"))?,
        None => zones.floating(),
    };
    if value.len() == 8 {
        let civil = value.parse::<Date>().map_err(bad)?.at(0, 0, 0, 0);
        return Ok(When {
            civil,
            zone,
            whole_day: true,
        });
    }
    Ok(When {
        civil: value.parse::<DateTime>().map_err(bad)?,
        zone,
        whole_day: false,
    })
}

/// The civil time of a moment in UTC.
fn utc_civil(at_ms: i64) -> DateTime {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(jiff::tz::TimeZone::UTC).datetime()
}
