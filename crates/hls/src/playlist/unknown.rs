//! Tags of media playlists that we pass on without knowing them: which segment they belong to, and what of
//! them players get.

use std::collections::HashSet;

use super::Media;
use super::attributes::{Attribute, Attributes};

impl Media {
    /// What an unknown tag belongs to is not said anywhere (RFC 8216 §6.3.1: clients ignore it). One that also
    /// stands between segments belongs to the segment after it, and so before the first one too.
    pub(super) fn give_tags_to_the_first_segment(&mut self) {
        let Some((first, others)) = self.segments.split_first_mut() else {
            return;
        };
        let between: HashSet<&str> = others
            .iter()
            .flat_map(|segment| &segment.tags)
            .map(|tag| tag_name(tag))
            .collect();
        let own = self
            .header_tags
            .extract_if(.., |tag| between.contains(tag_name(tag)));
        first.tags.splice(0..0, own);
    }
}

/// A tag without its value.
pub(crate) fn tag_name(tag: &str) -> &str {
    tag.split(':').next().unwrap_or(tag)
}

/// Tags of ad markers that belong to a segment even when they stand before the first one.
pub(super) fn is_cue(name: &str) -> bool {
    [
        "#EXT-X-CUE",
        "#EXT-OATCLS",
        "#EXT-X-SCTE35",
        "#EXT-X-ASSET",
        "#EXT-X-SPLICEPOINT",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Whether a tag's value holds a URL. What it names is not served here, and the URL may carry a password or
/// a token of the source's: players do not get it.
pub(super) fn names_a_url(value: &str) -> bool {
    value.contains("URI=") || value.contains("://")
}

/// An `EXT-X-DATERANGE` tag without the attributes that name resources, such as interstitials.
pub(super) fn without_urls(raw: &str, list: &Attributes<'_>) -> String {
    let names_one = |attribute: &Attribute<'_>| {
        matches!(attribute.name, "X-ASSET-URI" | "X-ASSET-LIST" | "X-URI")
            || attribute.value.contains("://")
    };
    if !list.0.iter().any(names_one) {
        return raw.to_owned();
    }
    let kept = list.0.iter().filter(|attribute| !names_one(attribute));
    let kept = kept.map(|attribute| {
        let quote = if attribute.quoted { "\"" } else { "" };
        format!("{}={quote}{}{quote}", attribute.name, attribute.value)
    });
    format!("#EXT-X-DATERANGE:{}", kept.collect::<Vec<_>>().join(","))
}
