//! Multivariant playlists (RFC 8216 §4.3.4): the ladder of variants and their renditions.

use super::attributes::Attributes;
use super::line::{Line, lines};
use super::{Document, Error, Variables};

/// A multivariant playlist: its text with variables expanded, and what can be chosen from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multivariant {
    /// The text, for rendering.
    pub document: Document,
    /// What media playlists may import.
    pub variables: Variables,
    /// `EXT-X-STREAM-INF`, in order.
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA`, in order.
    pub renditions: Vec<Rendition>,
    /// `EXT-X-I-FRAME-STREAM-INF`, in order.
    pub i_frames: Vec<Variant>,
}

/// A variant stream, or the trick-play playlist of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// As written.
    pub uri: String,
    /// BANDWIDTH, bits per second.
    pub bandwidth: u64,
    /// RESOLUTION.
    pub resolution: Option<Resolution>,
    /// CODECS.
    pub codecs: Option<String>,
    /// The AUDIO group.
    pub audio: Option<String>,
    /// The VIDEO group.
    pub video: Option<String>,
    /// The SUBTITLES group.
    pub subtitles: Option<String>,
    /// The line of the tag, from 1.
    pub line: usize,
}

/// A rendition of audio, video or text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// TYPE.
    pub kind: RenditionKind,
    /// GROUP-ID.
    pub group: String,
    /// NAME.
    pub name: String,
    /// LANGUAGE.
    pub language: Option<String>,
    /// DEFAULT=YES.
    pub default: bool,
    /// As written; absent when the rendition is muxed into the variant.
    pub uri: Option<String>,
}

/// TYPE of `EXT-X-MEDIA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenditionKind {
    /// AUDIO
    Audio,
    /// VIDEO
    Video,
    /// SUBTITLES
    Subtitles,
    /// CLOSED-CAPTIONS, always inside the video.
    ClosedCaptions,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Resolution {
    pub width: u64,
    pub height: u64,
}

const STREAMS_MAX: usize = 1024;

impl Multivariant {
    /// Reads a document whose variables are expanded.
    pub fn read(document: Document, variables: Variables) -> Result<Self, Error> {
        let mut out = Self {
            document,
            variables,
            variants: Vec::new(),
            renditions: Vec::new(),
            i_frames: Vec::new(),
        };
        let text = out.document.text().to_owned();
        let mut pending = None;
        for (line, _, content) in lines(&text) {
            match content {
                Line::Tag {
                    name: "#EXTINF" | "#EXT-X-TARGETDURATION",
                    ..
                } => return Err(Error::Mixed),
                Line::Tag {
                    name: "#EXT-X-STREAM-INF",
                    value,
                } => pending = Some(variant(line, value)?),
                Line::Tag {
                    name: "#EXT-X-I-FRAME-STREAM-INF",
                    value,
                } => {
                    out.i_frames.push(variant(line, value)?);
                }
                Line::Tag {
                    name: "#EXT-X-MEDIA",
                    value,
                } => out.renditions.push(rendition(line, value)?),
                Line::Uri(uri) => {
                    if let Some(variant) = pending.take() {
                        out.variants.push(Variant {
                            uri: uri.to_owned(),
                            ..variant
                        });
                    }
                }
                Line::Tag { .. } | Line::Other => {}
            }
            if out.variants.len() + out.renditions.len() + out.i_frames.len() > STREAMS_MAX {
                return Err(Error::TooManyVariants { max: STREAMS_MAX });
            }
        }
        if out.variants.is_empty() {
            Err(Error::Empty)
        } else {
            Ok(out)
        }
    }
}

fn variant(line: usize, value: &str) -> Result<Variant, Error> {
    let list = Attributes::parse(value).ok_or(Error::Attributes { line })?;
    let owned = |name| list.get(name).map(str::to_owned);
    Ok(Variant {
        uri: owned("URI").unwrap_or_default(),
        // The attribute is required; a variant without it still plays, as the smallest.
        bandwidth: list
            .get("BANDWIDTH")
            .and_then(|b| b.parse().ok())
            .unwrap_or(0),
        resolution: list.get("RESOLUTION").and_then(|r| {
            let (width, height) = r.split_once(['x', 'X'])?;
            Some(Resolution {
                width: width.parse().ok()?,
                height: height.parse().ok()?,
            })
        }),
        codecs: owned("CODECS"),
        audio: owned("AUDIO"),
        video: owned("VIDEO"),
        subtitles: owned("SUBTITLES"),
        line,
    })
}

fn rendition(line: usize, value: &str) -> Result<Rendition, Error> {
    let list = Attributes::parse(value).ok_or(Error::Attributes { line })?;
    let required = |attribute| {
        let missing = Error::MissingAttribute {
            line,
            tag: "EXT-X-MEDIA",
            attribute,
        };
        list.get(attribute).ok_or(missing)
    };
    let kind = match required("TYPE")? {
        "AUDIO" => RenditionKind::Audio,
        "VIDEO" => RenditionKind::Video,
        "SUBTITLES" => RenditionKind::Subtitles,
        "CLOSED-CAPTIONS" => RenditionKind::ClosedCaptions,
        _ => {
            return Err(Error::Value {
                line,
                tag: "EXT-X-MEDIA",
                what: "TYPE",
            });
        }
    };
    Ok(Rendition {
        kind,
        group: required("GROUP-ID")?.to_owned(),
        name: list.get("NAME").unwrap_or_default().to_owned(),
        language: list.get("LANGUAGE").map(str::to_owned),
        default: list.get("DEFAULT") == Some("YES"),
        uri: list.get("URI").map(str::to_owned),
    })
}
