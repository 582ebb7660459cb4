//! How a channel does, as the API tells it.

use serde::Serialize;

/// A channel's state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `idle`, `starting`, `live`, `suspect`, `switching`, `down` or `ended`.
    pub state: &'static str,
    /// Index of the source that players get.
    pub on_air: Option<usize>,
    /// Number of the newest run of a source; what older ones say late is dropped.
    pub generation: u64,
    /// In order of preference; a URL that was switched to by hand comes last.
    pub sources: Vec<SourceStatus>,
    /// What players see.
    pub tracks: Vec<TrackStatus>,
    /// The newest errors, oldest first.
    pub errors: Vec<ErrorNote>,
}

/// How a source does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Its URL without secrets.
    pub name: String,
    /// `unknown`, `healthy`, `suspect`, `failed` or `ended`.
    pub health: &'static str,
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
