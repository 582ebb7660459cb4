//! What a segment's bytes are, whatever their name or `Content-Type` says, and whether they can be
//! played (RFC 8216 §3).
//!
//! Works on clear bodies; decrypting comes before.

mod audio;

use crate::{mp4, ts};
use audio::Codec;

/// How a segment's media is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// MPEG-2 transport stream.
    Ts,
    /// Fragmented MP4.
    Fmp4,
    /// Packed AAC in ADTS frames.
    Aac,
    /// Packed MPEG audio.
    Mp3,
    /// Packed AC-3 or E-AC-3.
    Ac3,
    /// WebVTT.
    Vtt,
}

impl Container {
    /// The extension of a segment's path, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Fmp4 => "m4s",
            Self::Aac => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            Self::Vtt => "vtt",
        }
    }

    /// The media type.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Ts => "video/MP2T",
            Self::Fmp4 => "video/iso.segment",
            Self::Aac => "audio/aac",
            Self::Mp3 => "audio/mpeg",
            Self::Ac3 => "audio/ac3",
            Self::Vtt => "text/vtt",
        }
    }
}

/// Some origins put a picture or a stray header before the first packet.
const JUNK_MAX: usize = 4096;

/// So many packets may be damaged in any segment…
const DAMAGED_FEW: usize = 4;

/// …and one in so many in a long one. Beyond 2 % there is no second without a visible fault.
const DAMAGED_ONE_IN: usize = 50;

/// The container that `body` starts with; its first few kilobytes are enough.
pub fn sniff(body: &[u8]) -> Option<Container> {
    if ts::in_sync(body, 0) {
        Some(Container::Ts)
    } else if mp4::starts_with_box(body) {
        Some(Container::Fmp4)
    } else if is_vtt(body) {
        Some(Container::Vtt)
    } else if let Some((codec, _)) = audio::start(body) {
        Some(match codec {
            Codec::Adts => Container::Aac,
            Codec::Mpeg => Container::Mp3,
            Codec::Ac3 => Container::Ac3,
        })
    } else {
        // A lone sync byte is no sign; two packets are.
        let last = body.len().saturating_sub(2 * ts::PACKET_LEN).min(JUNK_MAX);
        let found = (1..=last).any(|at| ts::in_sync(body, at));
        found.then_some(Container::Ts)
    }
}

/// A segment that can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What it is.
    pub container: Container,
    /// Transport packets that are broken or lost, audio frames that could not be followed: the
    /// segment plays, with faults.
    pub damaged_packets: u32,
    /// Unmarked jumps of a transport stream's counters. Many sources count wrongly, so they condemn
    /// nothing.
    pub continuity_errors: u32,
}

/// Why a body is no segment that can be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing arrived.
    #[error("empty body")]
    Empty,
    /// A text of another purpose: an error page, a playlist.
    #[error("{0} instead of media")]
    Text(&'static str),
    /// Nothing that is known.
    #[error("unknown media: no sync byte in the first {0} bytes, no box, no audio frame")]
    Unknown(usize),
    /// A transport stream without PAT.
    #[error("no program association table in {0} packets")]
    NoAssociation(usize),
    /// A transport stream without PMT.
    #[error("no program map table in {0} packets")]
    NoMap(usize),
    /// Too little of it is whole.
    #[error("{damaged} of {total} packets damaged")]
    Damaged {
        /// Packets or frames that are broken or lost.
        damaged: usize,
        /// Those and the whole ones.
        total: usize,
    },
    /// Fragmented MP4 that is not whole.
    #[error(transparent)]
    Boxes(#[from] mp4::BadBoxes),
}

impl Unusable {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Corrupt
    }
}

/// Checks a whole segment. A few damaged packets are counted and let pass.
pub fn inspect(body: &[u8]) -> Result<Inspection, Unusable> {
    if body.is_empty() {
        return Err(Unusable::Empty);
    }
    if let Some(what) = text(body) {
        return Err(Unusable::Text(what));
    }
    let container = sniff(body).ok_or(Unusable::Unknown(body.len().min(JUNK_MAX)))?;
    let mut inspection = Inspection {
        container,
        damaged_packets: 0,
        continuity_errors: 0,
    };
    match container {
        Container::Ts => {
            let report = ts::verify(body);
            inspection.damaged_packets = check_ts(&report)?;
            inspection.continuity_errors = saturate(report.continuity_errors);
        }
        Container::Fmp4 => mp4::check_segment(body)?,
        Container::Aac | Container::Mp3 | Container::Ac3 => {
            let (whole, damaged) = audio::count_frames(body);
            inspection.damaged_packets = tolerate(damaged, whole + damaged)?;
        }
        Container::Vtt => {}
    }
    Ok(inspection)
}

fn check_ts(report: &ts::Report) -> Result<u32, Unusable> {
    let lost = report.damaged_packets() - report.transport_errors;
    // Damage is named first: it is why tables are missing.
    let damaged = tolerate(report.damaged_packets(), report.packets + lost)?;
    if !report.has_association {
        return Err(Unusable::NoAssociation(report.packets));
    }
    if report.program.is_none() {
        return Err(Unusable::NoMap(report.packets));
    }
    Ok(damaged)
}

fn tolerate(damaged: usize, total: usize) -> Result<u32, Unusable> {
    let few = damaged <= DAMAGED_FEW && damaged < total;
    if few || damaged * DAMAGED_ONE_IN <= total {
        Ok(saturate(damaged))
    } else {
        Err(Unusable::Damaged { damaged, total })
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `WEBVTT`, after a byte-order mark perhaps, and then white space or nothing (WebVTT §4.1).
fn is_vtt(body: &[u8]) -> bool {
    without_bom(body)
        .strip_prefix(b"WEBVTT")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n')))
}

/// What a text is that origins send in place of media, most of them with status 200.
fn text(body: &[u8]) -> Option<&'static str> {
    let text = without_bom(body).trim_ascii_start();
    let head = text[..text.len().min(256)].to_ascii_lowercase();
    let is_html = || {
        [&b"<html"[..], b"<!doctype html"]
            .iter()
            .any(|tag| find(&head, tag))
    };
    match head.first()? {
        b'<' if is_html() => Some("html"),
        b'<' => Some("xml"),
        b'{' | b'[' => Some("json"),
        b'#' if head.starts_with(b"#extm3u") => Some("a playlist"),
        _ => None,
    }
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn find(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests;
