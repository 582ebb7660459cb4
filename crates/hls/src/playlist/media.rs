//! Media playlists (RFC 8216 §4.3.2, §4.3.3): segments with everything that applies to them.

use std::sync::Arc;
use std::time::Duration;

use base::ByteRange;
use url::Url;

use super::attributes::Attributes;
use super::line::{Line, lines};
use super::unknown::{is_cue, names_a_url, without_urls};
use super::{Document, Error, Limits};
use crate::date::DateTime;

/// A media playlist. URIs are as written; they resolve against the playlist's own URL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, or the longest rounded `EXTINF` where the tag is missing.
    pub target_duration_s: u64,
    /// Number of the first segment.
    pub media_sequence: u64,
    /// `EXT-X-ENDLIST`: nothing will be added.
    pub ended: bool,
    /// `EXT-X-I-FRAMES-ONLY`.
    pub i_frames_only: bool,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub independent_segments: bool,
    /// The whole `EXT-X-START` line.
    pub start: Option<String>,
    /// Unknown tags that stand before anything of a segment and nowhere between segments, as written.
    pub header_tags: Vec<String>,
    /// In playlist order, numbered without holes from `media_sequence`.
    pub segments: Vec<Segment>,
    /// `EXT-X-DATERANGE` tags, wherever they stood.
    pub date_ranges: Vec<DateRange>,
}

/// A segment and what applies to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Media sequence number in its own playlist.
    pub msn: u64,
    /// Discontinuity sequence number in its own playlist.
    pub dsn: u64,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// `EXTINF` as a duration.
    pub duration: Duration,
    /// `EXTINF` as written, with its comma and title.
    pub inf: String,
    /// As written.
    pub uri: String,
    /// `EXT-X-BYTERANGE` with its offset made absolute.
    pub byte_range: Option<ByteRange>,
    /// Keys that apply: one for each KEYFORMAT, none if clear.
    pub keys: Arc<[Key]>,
    /// The initialisation section that applies.
    pub map: Option<Arc<Map>>,
    /// `EXT-X-PROGRAM-DATE-TIME` as written, where this segment has its own.
    pub program_date_time: Option<String>,
    /// When the segment begins: its own date, or counted on from an earlier one of the same
    /// discontinuity run.
    pub date: Option<DateTime>,
    /// `EXT-X-GAP`: listed, but not to be fetched.
    pub gap: bool,
    /// `EXT-X-BITRATE` in force, in kbit/s.
    pub bitrate: Option<u64>,
    /// Unknown tags before it, as written.
    pub tags: Vec<String>,
}

/// `EXT-X-KEY` (RFC 8216 §4.3.2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Never `NONE`: a clear segment has no key.
    pub method: Method,
    /// As written.
    pub uri: String,
    /// The explicit initialisation vector.
    pub iv: Option<[u8; 16]>,
    /// KEYFORMAT; absent means `identity`.
    pub format: Option<String>,
    /// The attributes but METHOD, URI and IV, as written.
    pub rest: String,
}

/// How a segment is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Whole segments, AES-128-CBC.
    Aes128,
    /// Samples inside the container, or a method that we only pass on.
    Other(String),
}

/// `EXT-X-MAP` (RFC 8216 §4.3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// As written.
    pub uri: String,
    /// The part of the resource.
    pub byte_range: Option<ByteRange>,
    /// Keys in force where the tag stood.
    pub keys: Arc<[Key]>,
}

/// `EXT-X-DATERANGE` (RFC 8216 §4.3.2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    /// ID: the same id is the same range.
    pub id: String,
    /// START-DATE, where it can be read.
    pub start: Option<DateTime>,
    /// The end by END-DATE or DURATION, where one is given.
    pub end: Option<DateTime>,
    /// The whole line.
    pub line: String,
}

/// A segment longer than a day is a mistake, and would unsettle every wait that scales with it.
const DURATION_MAX_S: f64 = 86_400.0;
const DATE_RANGES_MAX: usize = 1024;
const SEGMENT_TAGS_MAX: usize = 64;
const HEADER_TAGS_MAX: usize = 64;

impl Method {
    /// The METHOD attribute.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Aes128 => "AES-128",
            Self::Other(method) => method,
        }
    }
}

impl Key {
    /// Whether the key is 16 bytes behind a URI (KEYFORMAT `identity`).
    pub fn is_identity(&self) -> bool {
        self.format
            .as_deref()
            .is_none_or(|format| format == "identity")
    }
}

impl Media {
    /// Reads the segments of a document whose variables are expanded. What is kept as written names no
    /// URL: it will be served elsewhere.
    pub fn read(document: &Document, limits: &Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(limits);
        for (number, raw, line) in lines(document.text()) {
            match line {
                Line::Tag { name, value } => reader.tag(number, raw, name, value)?,
                Line::Uri(uri) => reader.segment(number, uri)?,
                Line::Other => {}
            }
        }
        reader.finish()
    }

    /// Refuses a list of which nothing can be fetched: it came from `base`, and each of its segments is
    /// behind another scheme than http.
    pub(crate) fn check_schemes(&self, base: &Url) -> Result<(), Error> {
        let mut foreign = None;
        for segment in self.segments.iter().filter(|segment| !segment.gap) {
            match base.join(&segment.uri) {
                Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                    foreign.get_or_insert_with(|| url.scheme().to_owned());
                }
                _ => return Ok(()),
            }
        }
        foreign.map_or(Ok(()), |scheme| Err(Error::ForeignSegments { scheme }))
    }

    /// The sum of all segment durations.
    pub fn duration(&self) -> Duration {
        self.segments.iter().map(|segment| segment.duration).sum()
    }
}

struct Reader<'a> {
    limits: &'a Limits,
    out: Media,
    target_seen: bool,
    in_header: bool,
    dsn: u64,
    // What the tags since the last URI line said of the next segment.
    inf: Option<(Duration, String)>,
    range: Option<(u64, Option<u64>)>,
    discontinuity: bool,
    date: Option<(String, DateTime)>,
    gap: bool,
    tags: Vec<String>,
    // What stays in force until it is changed.
    keys: Arc<[Key]>,
    map: Option<Arc<Map>>,
    bitrate: Option<u64>,
    clock: Option<DateTime>,
}

impl<'a> Reader<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            out: Media::default(),
            target_seen: false,
            in_header: true,
            dsn: 0,
            inf: None,
            range: None,
            discontinuity: false,
            date: None,
            gap: false,
            tags: Vec::new(),
            keys: Arc::new([]),
            map: None,
            bitrate: None,
            clock: None,
        }
    }

    fn tag(&mut self, line: usize, raw: &str, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "#EXTM3U" | "#EXT-X-VERSION" | "#EXT-X-PLAYLIST-TYPE" | "#EXT-X-ALLOW-CACHE" => {}
            // Parts are not served, so nothing may promise them.
            "#EXT-X-PART"
            | "#EXT-X-PART-INF"
            | "#EXT-X-PRELOAD-HINT"
            | "#EXT-X-RENDITION-REPORT"
            | "#EXT-X-SERVER-CONTROL" => {}
            "#EXT-X-TARGETDURATION" => {
                // Some encoders write a fraction; the tag is an integer, never below an EXTINF.
                let seconds: Option<f64> = value
                    .parse()
                    .ok()
                    .filter(|s| (0.0..=DURATION_MAX_S).contains(s));
                let what = Error::Value {
                    line,
                    tag: "EXT-X-TARGETDURATION",
                    what: "number of seconds",
                };
                self.out.target_duration_s = seconds.ok_or(what)?.ceil() as u64;
                self.target_seen = true;
            }
            // Both belong before the first segment (RFC 8216 §4.3.3); later ones would turn numbers back.
            "#EXT-X-MEDIA-SEQUENCE" | "#EXT-X-DISCONTINUITY-SEQUENCE"
                if !self.out.segments.is_empty() => {}
            "#EXT-X-MEDIA-SEQUENCE" => {
                self.out.media_sequence = integer(line, "EXT-X-MEDIA-SEQUENCE", value)?;
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.dsn = integer(line, "EXT-X-DISCONTINUITY-SEQUENCE", value)?;
            }
            "#EXT-X-ENDLIST" => self.out.ended = true,
            "#EXT-X-I-FRAMES-ONLY" => self.out.i_frames_only = true,
            "#EXT-X-INDEPENDENT-SEGMENTS" => self.out.independent_segments = true,
            "#EXT-X-START" => self.out.start = Some(raw.to_owned()),
            "#EXT-X-SKIP" => return Err(Error::Skip { line }),
            "#EXT-X-DATERANGE" => self.date_range(line, raw, value)?,
            _ => self.segment_tag(line, raw, name, value)?,
        }
        Ok(())
    }

    fn segment_tag(
        &mut self,
        line: usize,
        raw: &str,
        name: &str,
        value: &str,
    ) -> Result<(), Error> {
        let known = match name {
            "#EXTINF" => {
                self.inf = Some(inf(line, value)?);
                true
            }
            "#EXT-X-BYTERANGE" => {
                let range = byte_range(value);
                let error = Error::Value {
                    line,
                    tag: "EXT-X-BYTERANGE",
                    what: "n[@o]",
                };
                self.range = Some(range.ok_or(error)?);
                true
            }
            "#EXT-X-DISCONTINUITY" => {
                self.discontinuity = true;
                true
            }
            "#EXT-X-KEY" => {
                self.key(line, value)?;
                true
            }
            "#EXT-X-MAP" => {
                self.map(line, value)?;
                true
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                // A date that nobody can read is dropped, not an error: players would do the same.
                self.date = DateTime::parse(value).map(|date| (value.to_owned(), date));
                true
            }
            "#EXT-X-GAP" => {
                self.gap = true;
                true
            }
            "#EXT-X-BITRATE" => {
                self.bitrate = value.parse().ok();
                true
            }
            _ => false,
        };
        if known || is_cue(name) {
            self.in_header = false;
        }
        if !known {
            let (tags, max) = if self.in_header {
                (&mut self.out.header_tags, HEADER_TAGS_MAX)
            } else {
                (&mut self.tags, SEGMENT_TAGS_MAX)
            };
            if tags.len() < max && !names_a_url(value) {
                tags.push(raw.to_owned());
            }
        }
        Ok(())
    }

    fn key(&mut self, line: usize, value: &str) -> Result<(), Error> {
        let list = Attributes::parse(value).ok_or(Error::Attributes { line })?;
        let missing = |attribute| Error::MissingAttribute {
            line,
            tag: "EXT-X-KEY",
            attribute,
        };
        let method = list.get("METHOD").ok_or_else(|| missing("METHOD"))?;
        if method == "NONE" {
            self.keys = Arc::new([]);
            return Ok(());
        }
        let iv = match list.get("IV") {
            None => None,
            Some(text) => {
                let error = Error::Value {
                    line,
                    tag: "EXT-X-KEY",
                    what: "IV",
                };
                Some(hex_iv(text).ok_or(error)?)
            }
        };
        let rest = list
            .0
            .iter()
            .filter(|a| !["METHOD", "URI", "IV"].contains(&a.name))
            .map(|a| {
                if a.quoted {
                    format!(",{}=\"{}\"", a.name, a.value)
                } else {
                    format!(",{}={}", a.name, a.value)
                }
            })
            .collect();
        let key = Key {
            method: if method == "AES-128" {
                Method::Aes128
            } else {
                Method::Other(method.to_owned())
            },
            uri: list.get("URI").ok_or_else(|| missing("URI"))?.to_owned(),
            iv,
            format: list.get("KEYFORMAT").map(str::to_owned),
            rest,
        };
        // A key is replaced by the next of its own KEYFORMAT; others stay in force.
        let others = self.keys.iter().filter(|k| k.format != key.format).cloned();
        self.keys = others.chain([key.clone()]).collect();
        Ok(())
    }

    fn map(&mut self, line: usize, value: &str) -> Result<(), Error> {
        let list = Attributes::parse(value).ok_or(Error::Attributes { line })?;
        let missing = Error::MissingAttribute {
            line,
            tag: "EXT-X-MAP",
            attribute: "URI",
        };
        let uri = list.get("URI").ok_or(missing)?.to_owned();
        let byte_range = match list.get("BYTERANGE") {
            None => None,
            Some(text) => {
                let error = Error::Value {
                    line,
                    tag: "EXT-X-MAP",
                    what: "BYTERANGE",
                };
                let (length, start) = byte_range(text).ok_or(error)?;
                Some(absolute(length, start.unwrap_or(0))?)
            }
        };
        self.map = Some(Arc::new(Map {
            uri,
            byte_range,
            keys: self.keys.clone(),
        }));
        Ok(())
    }

    fn date_range(&mut self, line: usize, raw: &str, value: &str) -> Result<(), Error> {
        let list = Attributes::parse(value).ok_or(Error::Attributes { line })?;
        let Some(id) = list.get("ID") else {
            return Ok(());
        };
        let start = list.get("START-DATE").and_then(DateTime::parse);
        let seconds = list.get("DURATION").and_then(|d| d.parse::<f64>().ok());
        let end = list.get("END-DATE").and_then(DateTime::parse).or_else(|| {
            let ms = seconds.filter(|s| (0.0..1e9).contains(s))? * 1000.0;
            start.map(|start| start.plus_ms(ms as i64))
        });
        if self.out.date_ranges.len() < DATE_RANGES_MAX {
            self.out.date_ranges.push(DateRange {
                id: id.to_owned(),
                start,
                end,
                line: without_urls(raw, &list),
            });
        }
        Ok(())
    }

    fn segment(&mut self, line: usize, uri: &str) -> Result<(), Error> {
        let (duration, inf) = self
            .inf
            .take()
            .ok_or(Error::SegmentWithoutDuration { line })?;
        if self.out.segments.len() == self.limits.segments_max {
            return Err(Error::TooManySegments {
                max: self.limits.segments_max,
            });
        }
        let discontinuity = std::mem::take(&mut self.discontinuity);
        if discontinuity {
            self.dsn = self.dsn.checked_add(1).ok_or(Error::SequenceOverflow)?;
            self.clock = None;
        }
        let byte_range = match self.range.take() {
            None => None,
            Some((length, Some(start))) => Some(absolute(length, start)?),
            Some((length, None)) => {
                // Without an offset the sub-range follows the previous segment's (§4.3.2.2).
                let previous = self
                    .out
                    .segments
                    .last()
                    .filter(|previous| previous.uri == uri);
                let start = previous
                    .and_then(|p| p.byte_range)
                    .map_or(0, |range| range.end);
                Some(absolute(length, start)?)
            }
        };
        let (program_date_time, own_date) = self.date.take().unzip();
        let date = own_date.or(self.clock);
        self.clock =
            date.map(|d| d.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)));
        let index = self.out.segments.len() as u64;
        self.out.segments.push(Segment {
            msn: index,
            dsn: self.dsn,
            discontinuity,
            duration,
            inf,
            uri: uri.to_owned(),
            byte_range,
            keys: self.keys.clone(),
            map: self.map.clone(),
            program_date_time,
            date,
            gap: std::mem::take(&mut self.gap),
            bitrate: self.bitrate,
            tags: std::mem::take(&mut self.tags),
        });
        self.in_header = false;
        Ok(())
    }

    fn finish(mut self) -> Result<Media, Error> {
        let longest = self
            .out
            .segments
            .iter()
            .map(|s| rounded_s(s.duration))
            .max();
        if !self.target_seen {
            self.out.target_duration_s = longest.ok_or(Error::Empty)?;
        }
        let first = self.out.media_sequence;
        first
            .checked_add(self.out.segments.len() as u64)
            .filter(|&end| end < 1 << 62)
            .ok_or(Error::SequenceOverflow)?;
        for segment in &mut self.out.segments {
            segment.msn += first;
        }
        self.out.give_tags_to_the_first_segment();
        Ok(self.out)
    }
}

/// `EXTINF` rounded to the nearest second, as the target duration bounds it (RFC 8216 §4.3.3.1).
pub(crate) fn rounded_s(duration: Duration) -> u64 {
    (duration.as_millis() as u64 + 500) / 1000
}

fn integer(line: usize, tag: &'static str, value: &str) -> Result<u64, Error> {
    value.parse().map_err(|_| Error::Value {
        line,
        tag,
        what: "integer",
    })
}

fn inf(line: usize, value: &str) -> Result<(Duration, String), Error> {
    let seconds = value
        .split_once(',')
        .map_or(value, |(seconds, _)| seconds)
        .trim();
    let seconds: Option<f64> = seconds
        .parse()
        .ok()
        .filter(|s| (0.0..=DURATION_MAX_S).contains(s));
    let error = Error::Value {
        line,
        tag: "EXTINF",
        what: "duration",
    };
    let written = if value.contains(',') {
        value.to_owned()
    } else {
        format!("{value},")
    };
    Ok((Duration::from_secs_f64(seconds.ok_or(error)?), written))
}

fn byte_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (length, start) = match value.split_once('@') {
        Some((length, start)) => (length, Some(start.trim().parse().ok()?)),
        None => (value, None),
    };
    let length = length.trim().parse().ok()?;
    (length > 0).then_some((length, start))
}

fn absolute(length: u64, start: u64) -> Result<ByteRange, Error> {
    let end = start.checked_add(length).ok_or(Error::SequenceOverflow)?;
    Ok(ByteRange { start, end })
}

fn hex_iv(text: &str) -> Option<[u8; 16]> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    let valid = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes))?
}
