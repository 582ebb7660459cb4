//! How a channel does, as the API tells it.

use base::{Clock, Time};
use hls::channel::Channel as Machine;
use serde::Serialize;

/// A channel's state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `idle`, `starting`, `live`, `suspect`, `switching`, `slate`, `down` or `ended`.
    pub state: &'static str,
    /// Index of the source that players get.
    pub on_air: Option<usize>,
    /// Number of the newest run of a source; what older ones say late is dropped.
    pub generation: u64,
    /// What is done about trouble.
    pub failover: FailoverStatus,
    /// In order of preference; a URL that was switched to by hand comes last.
    pub sources: Vec<SourceStatus>,
    /// What players see.
    pub tracks: Vec<TrackStatus>,
    /// The newest errors, oldest first.
    pub errors: Vec<ErrorNote>,
}

/// How far down the ladder a channel is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailoverStatus {
    /// `playing`, `retrying`, `preparing`, `switching`, `slate` or `waiting`; empty while idle.
    pub step: &'static str,
    /// Index of the source that is made ready.
    pub preparing: Option<usize>,
    /// What began it.
    pub why: Option<String>,
}

/// How a source does. Times are in milliseconds since the Unix epoch, to the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Its URL without secrets.
    pub name: String,
    /// `unknown`, `healthy`, `suspect`, `failed` or `ended`.
    pub health: &'static str,
    /// Why it is not healthy.
    pub why: Option<String>,
    /// When it last was, if it is not now.
    pub last_good_at_ms: Option<i64>,
    /// When it may be tried again, while it is left alone.
    pub retry_at_ms: Option<i64>,
    /// Runs of it that came to nothing since it was last trusted.
    pub failures: u32,
    /// `closed`, `open` while it is left alone, `half_open` while it is tried again.
    pub breaker: &'static str,
    /// Its newest error.
    pub last_error: Option<String>,
}

/// What players see of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackStatus {
    /// Its name in URLs.
    pub track: String,
    /// First listed media sequence number.
    pub first_msn: u64,
    /// Next media sequence number.
    pub next_msn: u64,
    /// Segments listed.
    pub segments: usize,
    /// Milliseconds listed.
    pub duration_ms: u64,
    /// `EXT-X-TARGETDURATION`.
    pub target_duration_s: u64,
    /// Discontinuity sequence number of the newest segment.
    pub discontinuity_sequence: u64,
    /// Bytes kept.
    pub bytes: u64,
    /// Segments forgotten early because `buffer_bytes_max` was reached.
    pub dropped_early: u64,
}

/// An error of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorNote {
    /// Milliseconds since the Unix epoch, of the last time.
    pub at_ms: i64,
    /// A stable word.
    pub code: &'static str,
    /// The source it concerns.
    pub source: usize,
    /// What happened, without secrets.
    pub detail: String,
    /// How often in a row.
    pub count: u64,
}

impl Status {
    /// Of a running channel.
    pub(crate) fn of(machine: &Machine, errors: &[ErrorNote], clock: &dyn Clock) -> Self {
        let now = clock.now();
        let failover = machine.failover(now);
        Self {
            state: machine.state().as_str(),
            on_air: machine.on_air(),
            generation: machine.generation(),
            failover: FailoverStatus {
                step: failover.step.as_str(),
                preparing: failover.preparing,
                why: failover.why,
            },
            sources: sources(machine, errors, clock),
            tracks: tracks(machine),
            errors: errors.to_vec(),
        }
    }
}

fn sources(machine: &Machine, errors: &[ErrorNote], clock: &dyn Clock) -> Vec<SourceStatus> {
    let (now, unix_ms) = (clock.now(), clock.unix_ms());
    // Both clocks are read anew each time: finer than a second it would never be the same twice.
    let at_ms = |at: Time| {
        let at_ms = unix_ms + at.as_ms().cast_signed() - now.as_ms().cast_signed();
        (at_ms + 500) / 1000 * 1000
    };
    let reports = machine.reports(now);
    let known = machine.health().zip(reports).enumerate();
    known
        .map(|(index, ((def, _), report))| {
            let last = errors.iter().rev().find(|note| note.source == index);
            SourceStatus {
                name: base::redact_url(&def.url),
                health: report.health.as_str(),
                why: report.why,
                last_good_at_ms: report.last_good.map(at_ms),
                retry_at_ms: report.retry_at.map(at_ms),
                failures: report.failures,
                breaker: report.breaker.as_str(),
                last_error: last.map(|note| note.detail.clone()),
            }
        })
        .collect()
}

fn tracks(machine: &Machine) -> Vec<TrackStatus> {
    let tracks = machine.track_ids().into_iter().filter_map(|track| {
        let timeline = machine.timeline(&track)?;
        let first = timeline.listed().next();
        Some(TrackStatus {
            track: track.as_str().to_owned(),
            first_msn: first.map_or(timeline.next_msn(), |entry| entry.msn),
            next_msn: timeline.next_msn(),
            segments: timeline.listed().len(),
            duration_ms: timeline.listed_duration().as_millis() as u64,
            target_duration_s: timeline.target_duration_s(),
            discontinuity_sequence: timeline.dsn(),
            bytes: timeline.bytes(),
            dropped_early: timeline.dropped_early(),
        })
    });
    tracks.collect()
}

/// Errors kept.
const NOTES_MAX: usize = 16;

/// Adds a note; the same error again only counts.
pub(crate) fn note(notes: &mut Vec<ErrorNote>, note: ErrorNote) {
    let same = |known: &&mut ErrorNote| {
        (known.code, known.source, &known.detail) == (note.code, note.source, &note.detail)
    };
    if let Some(known) = notes.iter_mut().find(same) {
        known.count += 1;
        known.at_ms = note.at_ms;
        return;
    }
    if notes.len() == NOTES_MAX {
        notes.remove(0);
    }
    notes.push(note);
}
