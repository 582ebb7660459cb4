//! Every URI of a playlist, in lines and in attributes, replaced; every other byte kept.

use super::attributes::Attributes;
use super::line::{Line, lines};
use super::{Document, Error};

/// Where a URI stands, and so what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriKind {
    /// A media segment.
    Segment,
    /// A variant's media playlist.
    Variant,
    /// `EXT-X-MEDIA`: a rendition's media playlist.
    Rendition,
    /// `EXT-X-I-FRAME-STREAM-INF`: a media playlist of I-frames.
    IFrames,
    /// `EXT-X-KEY`.
    Key,
    /// `EXT-X-SESSION-KEY`.
    SessionKey,
    /// `EXT-X-SESSION-DATA`.
    SessionData,
    /// `EXT-X-MAP`.
    Map,
    /// `EXT-X-PART`.
    Part,
    /// `EXT-X-PRELOAD-HINT`.
    PreloadHint,
    /// `EXT-X-RENDITION-REPORT`: another rendition's media playlist.
    RenditionReport,
    /// `EXT-X-CONTENT-STEERING`, SERVER-URI.
    ContentSteering,
    /// `EXT-X-DATERANGE`, X-ASSET-URI: a multivariant playlist of an interstitial.
    AssetUri,
    /// `EXT-X-DATERANGE`, X-ASSET-LIST: JSON that lists interstitials.
    AssetList,
    /// A URI attribute of a tag that no standard names.
    Unknown,
}

/// A URI found in a playlist.
#[derive(Clone, Copy, Debug)]
pub struct UriRef<'a> {
    /// What it is for.
    pub kind: UriKind,
    /// As written.
    pub uri: &'a str,
    /// The line, from 1.
    pub line: usize,
}

impl Document {
    /// Replaces each URI by what `map` makes of it. A replacement must hold no quote and no newline;
    /// those that [`url::Url`] prints do not.
    pub fn rewrite<E: From<Error>>(
        &self,
        mut map: impl FnMut(UriRef<'_>) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut out = String::with_capacity(self.text().len() * 2);
        let mut variant_follows = false;
        for (line, raw, content) in lines(self.text()) {
            match content {
                Line::Uri(uri) => {
                    let kind = if variant_follows {
                        UriKind::Variant
                    } else {
                        UriKind::Segment
                    };
                    variant_follows = false;
                    let at = raw.len() - raw.trim_start().len();
                    out.push_str(&raw[..at]);
                    out.push_str(&map(UriRef { kind, uri, line })?);
                    out.push_str(&raw[at + uri.len()..]);
                }
                Line::Tag { name, value } => {
                    variant_follows |= name == "#EXT-X-STREAM-INF";
                    rewrite_tag(raw, name, value, line, &mut map, &mut out)?;
                }
                Line::Other => out.push_str(raw),
            }
            out.push('\n');
        }
        if !self.text().ends_with('\n') {
            out.pop();
        }
        Ok(Self(self.0.with(out)))
    }
}

fn rewrite_tag<E: From<Error>>(
    raw: &str,
    name: &str,
    value: &str,
    line: usize,
    map: &mut impl FnMut(UriRef<'_>) -> Result<String, E>,
    out: &mut String,
) -> Result<(), E> {
    let known = known(name);
    let may_hold_uris = known.map_or_else(|| value.contains("URI="), |uris| !uris.is_empty());
    if !may_hold_uris {
        out.push_str(raw);
        return Ok(());
    }
    let Some(list) = Attributes::parse(value) else {
        return match known {
            Some(_) => Err(Error::Attributes { line }.into()),
            // Nobody knows what it says, or which of it is a URI that must not be passed on: a blank line.
            None => Ok(()),
        };
    };
    let kind_of = |attribute: &str| match known {
        Some(uris) => uris
            .iter()
            .find(|(uri, _)| *uri == attribute)
            .map(|(_, kind)| *kind),
        None => (attribute == "URI").then_some(UriKind::Unknown),
    };
    let value_at = raw.find(':').map_or(raw.len(), |colon| {
        raw.len() - raw[colon + 1..].trim_start().len()
    });
    let mut copied = 0;
    for attribute in &list.0 {
        if let Some(kind) = kind_of(attribute.name) {
            let new = map(UriRef {
                kind,
                uri: attribute.value,
                line,
            })?;
            out.push_str(&raw[copied..value_at + attribute.span.start]);
            out.push_str(&new);
            copied = value_at + attribute.span.end;
        }
    }
    out.push_str(&raw[copied..]);
    Ok(())
}

fn known(name: &str) -> Option<&'static [(&'static str, UriKind)]> {
    Some(match name {
        // Its title is free text.
        "#EXTINF" => &[],
        "#EXT-X-KEY" => &[("URI", UriKind::Key)],
        "#EXT-X-MAP" => &[("URI", UriKind::Map)],
        "#EXT-X-MEDIA" => &[("URI", UriKind::Rendition)],
        "#EXT-X-I-FRAME-STREAM-INF" => &[("URI", UriKind::IFrames)],
        "#EXT-X-SESSION-KEY" => &[("URI", UriKind::SessionKey)],
        "#EXT-X-SESSION-DATA" => &[("URI", UriKind::SessionData)],
        "#EXT-X-PART" => &[("URI", UriKind::Part)],
        "#EXT-X-PRELOAD-HINT" => &[("URI", UriKind::PreloadHint)],
        "#EXT-X-RENDITION-REPORT" => &[("URI", UriKind::RenditionReport)],
        "#EXT-X-CONTENT-STEERING" => &[("SERVER-URI", UriKind::ContentSteering)],
        "#EXT-X-DATERANGE" => &[
            ("X-URI", UriKind::AssetUri),
            ("X-ASSET-URI", UriKind::AssetUri),
            ("X-ASSET-LIST", UriKind::AssetList),
        ],
        _ => return None,
    })
}
