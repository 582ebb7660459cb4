//! One media playlist by itself: read into segments, judged line by line.

use std::collections::BTreeMap;

use super::{Promises, Rule, Violation};
use crate::date;
use crate::reader::{Attributes, Line, decode, lines, substitute};

/// A media playlist as the checker reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Playlist {
    pub(crate) target_s: Option<u64>,
    pub(crate) first_number: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) ended: bool,
    pub(crate) segments: Vec<Segment>,
}

/// A segment with all that applies to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) line: usize,
    pub(crate) number: u64,
    pub(crate) uri: String,
    pub(crate) duration_s: f64,
    /// First byte and length.
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) discontinuity: bool,
    /// The discontinuity sequence number (§6.2.2).
    pub(crate) discontinuity_number: u64,
    /// By `KEYFORMAT`.
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) map: Option<Map>,
    /// Only where it is written.
    pub(crate) unix_ms: Option<i64>,
    pub(crate) gap: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) iv: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) uri: String,
    pub(crate) range: Option<(u64, u64)>,
}

impl Playlist {
    /// The number that the next segment will have.
    pub(crate) fn end(&self) -> u64 {
        self.first_number + self.segments.len() as u64
    }

    /// The sum of the segments' durations.
    pub(crate) fn duration_s(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration_s).sum()
    }

    /// Reads and judges; what cannot be read is left out.
    pub(crate) fn read(body: &[u8], promises: Promises) -> (Self, Vec<Violation>) {
        let (text, _) = decode(body);
        let mut reader = Reader {
            promises,
            violations: super::text_rules(body),
            ..Reader::default()
        };
        for (number, line) in lines(&text) {
            reader.line = number;
            match line {
                Line::Tag(name, value) => reader.tag(name, value),
                Line::Uri(uri) => reader.segment(uri),
            }
        }
        reader.finish()
    }
}

/// What has been read, and what waits for the next segment.
#[derive(Default)]
struct Reader {
    promises: Promises,
    violations: Vec<Violation>,
    line: usize,
    playlist: Playlist,
    seen: Vec<&'static str>,
    variables: BTreeMap<String, String>,
    version: u64,
    /// The version that a feature asks for, and the feature.
    needed: Option<(u64, &'static str)>,
    date_ranges: bool,
    i_frames_only: bool,
    keys: BTreeMap<String, Key>,
    map: Option<Map>,
    map_stated: bool,
    extinf: Option<f64>,
    /// Length, and offset where it is written.
    range: Option<(u64, Option<u64>)>,
    discontinuity: bool,
    unix_ms: Option<i64>,
    gap: bool,
}

const ONCE: [&str; 7] = [
    "EXTM3U",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-I-FRAMES-ONLY",
    "EXT-X-ENDLIST",
];

const LOW_LATENCY: [&str; 5] = [
    "EXT-X-PART",
    "EXT-X-PART-INF",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-RENDITION-REPORT",
    "EXT-X-SKIP",
];

impl Reader {
    fn broken(&mut self, rule: Rule, detail: impl Into<String>) {
        self.violations
            .push(Violation::new(rule, self.line, detail.into()));
    }

    fn tag(&mut self, name: &str, value: &str) {
        if let Some(once) = ONCE.into_iter().find(|once| *once == name) {
            if self.seen.contains(&once) {
                self.broken(Rule::TagRepeated, name);
            }
            self.seen.push(once);
        }
        if self.promises.no_low_latency && LOW_LATENCY.contains(&name) {
            self.broken(Rule::LowLatency, name);
        }
        match name {
            "EXT-X-VERSION" => self.version = self.integer(name, value).unwrap_or(0),
            "EXT-X-TARGETDURATION" => self.playlist.target_s = self.integer(name, value),
            "EXT-X-MEDIA-SEQUENCE" => self.playlist.first_number = self.sequence(name, value),
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                if self.discontinuity {
                    self.broken(Rule::TagTooLate, name);
                }
                self.playlist.discontinuity_sequence = self.sequence(name, value);
            }
            "EXT-X-I-FRAMES-ONLY" => {
                self.i_frames_only = true;
                self.needs(4, "I-FRAMES-ONLY");
            }
            "EXT-X-ENDLIST" => self.playlist.ended = true,
            "EXTINF" => self.extinf(value),
            "EXT-X-BYTERANGE" => {
                self.needs(4, "BYTERANGE");
                self.range = self.byte_range(value);
            }
            "EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "EXT-X-GAP" => {
                self.needs(8, "GAP");
                self.gap = true;
            }
            "EXT-X-PROGRAM-DATE-TIME" => {
                self.unix_ms = date::parse(value);
                if self.unix_ms.is_none() {
                    self.broken(Rule::TagSyntax, format!("{value:?} is no date"));
                }
            }
            "EXT-X-DEFINE" => self.define(value),
            "EXT-X-KEY" => self.key(value),
            "EXT-X-MAP" => self.map(value),
            "EXT-X-DATERANGE" => self.date_range(value),
            "EXT-X-STREAM-INF"
            | "EXT-X-MEDIA"
            | "EXT-X-I-FRAME-STREAM-INF"
            | "EXT-X-SESSION-KEY"
            | "EXT-X-SESSION-DATA" => {
                self.broken(Rule::MixedPlaylist, name);
            }
            _ => {}
        }
    }

    fn needs(&mut self, version: u64, feature: &'static str) {
        if self.needed.is_none_or(|(needed, _)| needed < version) {
            self.needed = Some((version, feature));
        }
    }

    fn integer(&mut self, name: &str, value: &str) -> Option<u64> {
        let number = super::integer(value);
        if number.is_none() {
            self.broken(
                Rule::TagSyntax,
                format!("{name}: {value:?} is no decimal integer"),
            );
        }
        number
    }

    fn sequence(&mut self, name: &str, value: &str) -> u64 {
        if !self.playlist.segments.is_empty() {
            self.broken(Rule::TagTooLate, name);
        }
        self.integer(name, value).unwrap_or(0)
    }

    fn extinf(&mut self, value: &str) {
        let (duration, comma) = match value.split_once(',') {
            Some((duration, _)) => (duration, true),
            None => (value, false),
        };
        let decimal = duration.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let seconds = duration.parse().ok().filter(|_| decimal);
        if !comma || seconds.is_none() {
            self.broken(
                Rule::TagSyntax,
                format!("EXTINF:{value:?} is not a duration and a comma"),
            );
        }
        self.extinf = Some(seconds.unwrap_or(0.0));
        if duration.contains('.') {
            self.needs(3, "decimal EXTINF");
        }
    }

    fn byte_range(&mut self, value: &str) -> Option<(u64, Option<u64>)> {
        let (length, offset) = match value.split_once('@') {
            Some((length, offset)) => (super::integer(length), Some(super::integer(offset))),
            None => (super::integer(value), None),
        };
        match (length, offset) {
            (Some(length), None) => Some((length, None)),
            (Some(length), Some(Some(offset))) => Some((length, Some(offset))),
            _ => {
                self.broken(Rule::TagSyntax, format!("BYTERANGE {value:?}"));
                None
            }
        }
    }

    fn attributes(&mut self, list: &str, required: &[&str]) -> Attributes {
        let list = substitute(list, &self.variables).into_owned();
        let mut wrong = Vec::new();
        let attributes = Attributes::read(&list, |why| wrong.push(why));
        for why in wrong {
            self.broken(Rule::AttributeSyntax, why);
        }
        for name in required.iter().filter(|name| !attributes.has(name)) {
            self.broken(Rule::AttributeMissing, *name);
        }
        attributes
    }

    fn define(&mut self, value: &str) {
        self.needs(if value.contains("QUERYPARAM=") { 11 } else { 8 }, "DEFINE");
        let attributes = self.attributes(value, &[]);
        if let (Some(name), Some(value)) = (attributes.get("NAME"), attributes.get("VALUE")) {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    fn key(&mut self, value: &str) {
        let attributes = self.attributes(value, &["METHOD"]);
        let method = attributes.get("METHOD").unwrap_or_default();
        if method == "NONE" {
            self.keys.clear();
            return;
        }
        if !attributes.has("URI") {
            self.broken(Rule::AttributeMissing, "URI");
        }
        let iv = attributes.get("IV").map(str::to_ascii_lowercase);
        if iv.is_some() {
            self.needs(2, "IV");
        } else if self.promises.explicit_iv && method == "AES-128" {
            self.broken(Rule::ImplicitIv, value);
        }
        if attributes.has("KEYFORMAT")
            || attributes.has("KEYFORMATVERSIONS")
            || method == "SAMPLE-AES"
        {
            self.needs(5, "KEYFORMAT");
        }
        let uri = attributes.get("URI").unwrap_or_default().to_owned();
        self.relative(&uri);
        let format = attributes.get("KEYFORMAT").unwrap_or("identity").to_owned();
        self.keys.insert(
            format,
            Key {
                method: method.to_owned(),
                uri,
                iv,
            },
        );
    }

    fn map(&mut self, value: &str) {
        self.needs(if self.i_frames_only { 5 } else { 6 }, "MAP");
        let attributes = self.attributes(value, &["URI"]);
        let uri = attributes.get("URI").unwrap_or_default().to_owned();
        self.relative(&uri);
        let range = attributes
            .get("BYTERANGE")
            .and_then(|range| self.byte_range(range));
        self.map = Some(Map {
            uri,
            range: range.map(|(length, offset)| (offset.unwrap_or(0), length)),
        });
        self.map_stated = true;
    }

    fn date_range(&mut self, value: &str) {
        self.date_ranges = true;
        let attributes = self.attributes(value, &["ID", "START-DATE"]);
        if attributes.get("END-ON-NEXT").is_some() && !attributes.has("CLASS") {
            self.broken(Rule::AttributeMissing, "CLASS");
        }
        for name in ["START-DATE", "END-DATE"] {
            if attributes
                .get(name)
                .is_some_and(|date| date::parse(date).is_none())
            {
                self.broken(Rule::TagSyntax, format!("{name} is no date"));
            }
        }
    }

    fn relative(&mut self, uri: &str) {
        if self.promises.relative_uris {
            self.violations.extend(super::absolute(uri, self.line));
        }
    }

    fn segment(&mut self, uri: &str) {
        let uri = substitute(uri, &self.variables).into_owned();
        self.relative(&uri);
        let previous = self.playlist.segments.last();
        let range = match self.range.take() {
            None => None,
            Some((length, Some(offset))) => Some((offset, length)),
            Some((length, None)) => {
                let before = previous
                    .filter(|previous| previous.uri == uri)
                    .and_then(|previous| previous.range);
                if before.is_none() {
                    self.broken(Rule::ByteRangeOffset, uri.as_str());
                }
                Some((before.map_or(0, |(offset, length)| offset + length), length))
            }
        };
        let duration_s = self.extinf.take();
        if duration_s.is_none() {
            self.broken(Rule::ExtinfMissing, uri.as_str());
        }
        let previous = self.playlist.segments.last();
        let had_map = previous.is_some_and(|previous| previous.map.is_some());
        let number = self.playlist.first_number + self.playlist.segments.len() as u64;
        let before = previous.map_or(self.playlist.discontinuity_sequence, |previous| {
            previous.discontinuity_number
        });
        if self.discontinuity && had_map && !self.map_stated && self.promises.map_repeated {
            self.broken(Rule::MapNotRepeated, uri.as_str());
        }
        self.playlist.segments.push(Segment {
            line: self.line,
            number,
            uri,
            duration_s: duration_s.unwrap_or(0.0),
            range,
            discontinuity: self.discontinuity,
            discontinuity_number: before + u64::from(self.discontinuity),
            keys: self.keys.clone(),
            map: self.map.clone(),
            unix_ms: self.unix_ms.take(),
            gap: std::mem::take(&mut self.gap),
        });
        self.discontinuity = false;
        self.map_stated = false;
    }

    /// What only the whole playlist shows.
    fn finish(mut self) -> (Playlist, Vec<Violation>) {
        self.line = 0;
        let dated = self
            .playlist
            .segments
            .iter()
            .any(|segment| segment.unix_ms.is_some());
        if self.date_ranges && !dated {
            self.broken(Rule::DateRangeWithoutDate, "no date");
        }
        if let Some((needed, feature)) = self
            .needed
            .filter(|(needed, _)| self.version.max(1) < *needed)
        {
            self.broken(
                Rule::VersionTooLow,
                format!("{feature} needs {needed}, not {}", self.version),
            );
        }
        match self.playlist.target_s {
            None => self.broken(Rule::TargetDurationMissing, "no target duration"),
            Some(target_s) => {
                let long = self
                    .playlist
                    .segments
                    .iter()
                    .filter(|segment| segment.duration_s.round() > target_s as f64);
                self.violations.extend(long.map(|segment| {
                    Violation::new(
                        Rule::TargetDurationExceeded,
                        segment.line,
                        format!("{} s against {target_s} s", segment.duration_s),
                    )
                }));
            }
        }
        let mut last = None;
        for segment in &self.playlist.segments {
            if segment.discontinuity {
                last = None;
            }
            let Some(date) = segment.unix_ms else {
                continue;
            };
            if last.is_some_and(|last| date <= last) {
                let detail = format!("segment {}", segment.number);
                self.violations
                    .push(Violation::new(Rule::DateBackwards, segment.line, detail));
            }
            last = Some(date);
        }
        (self.playlist, self.violations)
    }
}
