//! Time zones by name: IANA's, and those that a document defines for itself (RFC 5545 §3.6.5).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use icalendar::parser::{Calendar, Component};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::rule::Rule;
use super::utc_civil;

/// How civil times become moments.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    Known(TimeZone),
    /// Of the document itself.
    Own(Arc<Own>),
}

/// A zone that a document defines.
#[derive(Debug)]
pub(super) struct Own {
    observances: Vec<Observance>,
    /// When each offset begins to hold, in order: found once, when the zone is first used.
    onsets: OnceLock<Vec<(DateTime, i64)>>,
}

/// An offset from UTC, and when it begins to hold: `STANDARD` or `DAYLIGHT`.
#[derive(Clone, Debug)]
pub(super) struct Observance {
    begins: DateTime,
    rule: Option<Rule>,
    offset_s: i64,
}

/// Zones that one document defines; further ones are unknown.
const ZONES_MAX: usize = 200;
/// Changes of the clock are looked for so long: from the year 1601, with which some begin, to 2200.
const DAYS_MAX: u32 = 600 * 366;
const LAST_YEAR: i16 = 2200;

/// The zones that a document may name.
#[derive(Debug)]
pub(super) struct Zones {
    own: HashMap<String, Zone>,
    floating: Zone,
}

impl Zones {
    pub(super) fn of(document: &Calendar<'_>, floating: Option<&TimeZone>) -> Self {
        let mut own = HashMap::new();
        let zones = document
            .components
            .iter()
            .filter(|component| component.name == "VTIMEZONE");
        for zone in zones.take(ZONES_MAX) {
            let observances = zone.components.iter().filter_map(observance).collect();
            if let Some(id) = zone.find_prop("TZID") {
                own.insert(id.val.as_str().to_owned(), Zone::own(observances));
            }
        }
        let default = document
            .properties
            .iter()
            .find(|property| property.name == "X-WR-TIMEZONE");
        let default = default.and_then(|property| known(property.val.as_str()));
        let told = floating.map(|zone| Zone::Known(zone.clone()));
        Self {
            own,
            floating: told.or(default).unwrap_or_else(Zone::utc),
        }
    }

    /// IANA's zone of that name goes before the document's own, which often ends with some year.
    pub(super) fn find(&self, name: &str) -> Option<Zone> {
        let name = name.trim_matches('"');
        known(name).or_else(|| self.own.get(name).cloned())
    }

    /// Of times that name no zone.
    pub(super) fn floating(&self) -> Zone {
        self.floating.clone()
    }
}

/// `Europe/London`, also behind a maker's prefix: `/example.org/20240101/Europe/London`.
fn known(name: &str) -> Option<Zone> {
    let mut rest = name.trim_start_matches('/');
    loop {
        if let Ok(zone) = TimeZone::get(rest) {
            return Some(Zone::Known(zone));
        }
        rest = rest.split_once('/')?.1;
    }
}

impl Zone {
    fn own(observances: Vec<Observance>) -> Self {
        let onsets = OnceLock::new();
        Self::Own(Arc::new(Own {
            observances,
            onsets,
        }))
    }

    pub(super) fn utc() -> Self {
        Self::Known(TimeZone::UTC)
    }

    /// The moment of a civil time. In a gap it is reckoned by the offset before it (§3.3.5).
    pub(super) fn at_ms(&self, civil: DateTime) -> Option<i64> {
        match self {
            Self::Known(zone) => {
                let zoned = zone.to_ambiguous_zoned(civil).compatible().ok()?;
                Some(zoned.timestamp().as_millisecond())
            }
            Self::Own(own) => {
                let utc = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
                Some(utc.as_millisecond() - own.offset_s(civil) * 1000)
            }
        }
    }

    /// The civil time of a moment; of the document's own zones near enough to bound a search.
    pub(super) fn civil_of(&self, at_ms: i64) -> DateTime {
        match self {
            Self::Known(zone) => {
                let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
                at.to_zoned(zone.clone()).datetime()
            }
            Self::Own(own) => {
                let offset_s = own.offset_s(utc_civil(at_ms));
                utc_civil(at_ms.saturating_add(offset_s * 1000))
            }
        }
    }
}

impl Own {
    /// The offset that holds at a civil time: of the observance that began last.
    fn offset_s(&self, civil: DateTime) -> i64 {
        let onsets = self.onsets.get_or_init(|| self.onsets());
        let begun = onsets.partition_point(|(onset, _)| *onset <= civil);
        let onset = begun.checked_sub(1).and_then(|last| onsets.get(last));
        let first = || {
            let observances = self.observances.iter();
            observances.min_by_key(|observance| observance.begins)
        };
        onset
            .map(|(_, offset_s)| *offset_s)
            .or_else(|| first().map(|observance| observance.offset_s))
            .unwrap_or(0)
    }

    fn onsets(&self) -> Vec<(DateTime, i64)> {
        let mut onsets = Vec::new();
        let utc = |civil| Zone::utc().at_ms(civil);
        for Observance {
            begins,
            rule,
            offset_s,
        } in &self.observances
        {
            let Some(rule) = rule else {
                onsets.push((*begins, *offset_s));
                continue;
            };
            let mut days_left = DAYS_MAX;
            let within = *begins..DateTime::constant(LAST_YEAR, 1, 1, 0, 0, 0, 0);
            let found = rule.occurrences(*begins, within, utc, &mut days_left);
            onsets.extend(found.into_iter().map(|onset| (onset, *offset_s)));
        }
        onsets.sort_unstable();
        onsets
    }
}

fn observance(component: &Component<'_>) -> Option<Observance> {
    let value = |name: &str| {
        component
            .find_prop(name)
            .map(|property| property.val.as_str())
    };
    let rule = value("RRULE").and_then(|rule| Rule::parse(rule).ok());
    Some(Observance {
        begins: value("DTSTART")?.trim_end_matches('Z').parse().ok()?,
        rule,
        offset_s: offset(value("TZOFFSETTO")?)?,
    })
}

/// `+0100`, `-053020`
fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let part = |at: usize| {
        digits
            .get(at..at + 2)
            .map_or(Some(0), |part| part.parse::<i64>().ok())
    };
    Some(sign * (part(0)? * 3600 + part(2)? * 60 + part(4)?))
}
