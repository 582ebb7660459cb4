//! A calendar: events with their sessions, in the words that an existing front end reads.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The events of a season, or of any other source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// `2026`; empty where there is no such thing.
    #[serde(default)]
    pub season: String,
    /// In order of their first session.
    #[serde(default)]
    pub races: Vec<Race>,
}

/// An event: a race weekend, a match, whatever a calendar lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are those of the compatible route")]
pub struct Race {
    #[serde(default)]
    pub round: u32,
    #[serde(default)]
    pub race_name: String,
    #[serde(default)]
    pub circuit: String,
    #[serde(default)]
    pub circuit_id: String,
    #[serde(default)]
    pub country: String,
    #[serde(default)]
    pub locality: String,
    /// `2026-11-20`
    #[serde(default)]
    pub date: String,
    #[serde(default)]
    pub url: String,
    /// In order.
    #[serde(default)]
    pub sessions: Vec<Session>,
}

/// A part of an event with a time of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `fp1`, `race`, `event`…
    #[serde(rename = "type", default = "event")]
    pub kind: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// Milliseconds since the Unix epoch; in JSON a date of RFC 3339.
    #[serde(
        rename = "start_utc",
        serialize_with = "write_date",
        deserialize_with = "read_date"
    )]
    pub start_ms: i64,
    /// How long it is meant to take.
    #[serde(default = "an_hour")]
    pub duration_minutes: u32,
    /// It is days, which begin and end wherever its people are, and not hours (RFC 5545 §3.3.4). The race's
    /// `date` is the first of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_day: bool,
}

/// Where a session stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is over.
    Past,
    /// It is on.
    Live,
    /// It will be.
    Upcoming,
}

impl Session {
    /// When it is meant to end, in milliseconds since the Unix epoch.
    pub fn end_ms(&self) -> i64 {
        self.start_ms
            .saturating_add(i64::from(self.duration_minutes) * 60_000)
    }

    /// Where it stands at `now_ms`.
    pub fn status(&self, now_ms: i64) -> Status {
        if now_ms >= self.end_ms() {
            Status::Past
        } else if now_ms >= self.start_ms {
            Status::Live
        } else {
            Status::Upcoming
        }
    }
}

impl Calendar {
    /// Puts sessions and events in order.
    pub(crate) fn sorted(mut self) -> Self {
        for race in &mut self.races {
            race.sessions.sort_by_key(|session| session.start_ms);
        }
        self.races.sort_by_key(|race| {
            race.sessions
                .first()
                .map_or(i64::MAX, |first| first.start_ms)
        });
        self
    }
}

/// `2026-11-20T12:00:00+00:00`
pub fn rfc3339(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn event() -> String {
    "event".to_owned()
}

const fn an_hour() -> u32 {
    60
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde wants"
)]
fn write_date<S: Serializer>(at_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at_ms))
}

fn read_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let at: Timestamp = text.parse().map_err(serde::de::Error::custom)?;
    Ok(at.as_millisecond())
}
