//! What is on when: calendars that others publish, read into one form and kept for when they cannot be had.
//!
//! [`read`] is pure: bytes and a window of time in, a [`Calendar`] out. [`Schedules`] fetches each source
//! every night and on request, keeps a copy on disk, and tells what is on at a moment. This crate knows
//! nothing of channels, resolvers or routes.

mod ergast;
mod export;
mod ical;
mod model;
mod schedules;

pub use export::ics;
pub use model::{Calendar, Race, Session, Status, rfc3339};
pub use schedules::{Schedules, Snapshot};

use std::ops::Range;
use std::path::PathBuf;

pub use jiff::tz::TimeZone;
use url::Url;

/// A schedule as the configuration describes it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// Its name.
    pub id: String,
    /// The form of its source.
    pub kind: Kind,
    /// Where its source is.
    pub place: Place,
    /// Channels that show its sessions.
    pub channels: Vec<String>,
    /// Where its days and its times without a zone are meant, if the operator says so.
    pub time_zone: Option<TimeZone>,
}

/// The form of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The Ergast API's races of a season.
    Ergast,
    /// RFC 5545.
    Ical,
    /// [`Calendar`] as JSON.
    Json,
}

/// Where a source is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// On the net.
    Url(Url),
    /// On this machine.
    File(PathBuf),
}

/// Why a source is no calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON of the expected form.
    #[error("no such document: {0}")]
    Json(String),
    /// It is no iCalendar.
    #[error("no calendar: {0}")]
    Ical(String),
}

/// Reads a source. Of what repeats, the occurrences in `window` (milliseconds since the Unix epoch) are
/// taken; what could not be understood of single events is left out and named. Days, and times that name no
/// zone, are of `time_zone`, else of the one that the calendar says, else of UTC.
///
/// # Errors
/// [`Unreadable`] if nothing of it can be understood.
pub fn read(
    kind: Kind,
    body: &[u8],
    window: Range<i64>,
    time_zone: Option<&TimeZone>,
) -> Result<(Calendar, Vec<String>), Unreadable> {
    match kind {
        Kind::Ergast => Ok((ergast::read(body)?, Vec::new())),
        Kind::Ical => ical::read(body, window, time_zone),
        Kind::Json => {
            let document: serde_json::Value = serde_json::from_slice(body)
                .map_err(|error| Unreadable::Json(error.to_string()))?;
            if !document
                .get("races")
                .is_some_and(serde_json::Value::is_array)
            {
                return Err(Unreadable::Json("it has no \"races\"".to_owned()));
            }
            let read = serde_json::from_value(document);
            let calendar: Calendar = read.map_err(|error| Unreadable::Json(error.to_string()))?;
            Ok((calendar.sorted(), Vec::new()))
        }
    }
}

/// A URL may carry a token: only its host is shown.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&base::redact_url(url)),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl std::fmt::Debug for ScheduleSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScheduleSpec")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
