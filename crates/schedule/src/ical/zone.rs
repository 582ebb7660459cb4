//! Time zones by name: IANA's, and those that a document defines for itself (RFC 5545 §3.6.5).

use std::collections::HashMap;

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
    Own(Vec<Observance>),
}

/// An offset from UTC, and when it begins to hold: `STANDARD` or `DAYLIGHT`.
#[derive(Clone, Debug)]
pub(super) struct Observance {
    begins: DateTime,
    rule: Option<Rule>,
    offset_s: i64,
}

/// The zones that a document may name.
#[derive(Debug)]
pub(super) struct Zones {
    own: HashMap<String, Zone>,
    floating: Zone,
}

impl Zones {
    pub(super) fn of(document: &Calendar<'_>) -> Self {
        let mut own = HashMap::new();
        let zones = document
            .components
            .iter()
            .filter(|component| component.name == "VTIMEZONE");
        for zone in zones {
            let observances = zone.components.iter().filter_map(observance).collect();
            if let Some(id) = zone.find_prop("TZID") {
                own.insert(id.val.as_str().to_owned(), Zone::Own(observances));
            }
        }
        let default = document
            .properties
            .iter()
            .find(|property| property.name == "X-WR-TIMEZONE");
        let default = default.and_then(|property| known(property.val.as_str()));
        Self {
            own,
            floating: default.unwrap_or_else(Zone::utc),
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
            Self::Own(observances) => {
                let utc = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
                Some(utc.as_millisecond() - offset_s(observances, civil) * 1000)
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
            Self::Own(observances) => {
                let offset_s = offset_s(observances, utc_civil(at_ms));
                utc_civil(at_ms.saturating_add(offset_s * 1000))
            }
        }
    }
}

/// The offset that holds at a civil time: of the observance that began last.
fn offset_s(observances: &[Observance], civil: DateTime) -> i64 {
    let begun = observances.iter().filter_map(|observance| {
        let onset = match &observance.rule {
            _ if observance.begins > civil => return None,
            None => observance.begins,
            Some(rule) => {
                let utc = |civil| Zone::utc().at_ms(civil);
                let onsets = rule.occurrences(observance.begins, civil, utc);
                onsets.into_iter().rfind(|onset| *onset <= civil)?
            }
        };
        Some((onset, observance.offset_s))
    });
    let first = || {
        observances
            .iter()
            .min_by_key(|observance| observance.begins)
    };
    begun
        .max()
        .map(|(_, offset_s)| offset_s)
        .or_else(|| first().map(|observance| observance.offset_s))
        .unwrap_or(0)
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
