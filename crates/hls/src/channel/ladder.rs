//! The output ladder: which tracks a channel offers, frozen when it starts, and which playlist of a
//! source feeds each of them.

use url::Url;

use super::TrackId;
use crate::playlist::{
    Document, Error, Multivariant, Rendition, RenditionKind, Resolution, UriKind, UriRef, Variant,
};
use crate::ts::Keep;

/// Which variants of a source are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VariantFilter {
    /// Each.
    #[default]
    All,
    /// The one of highest bandwidth.
    Best,
    /// The one of lowest bandwidth.
    Worst,
    /// Those up to so many lines, or the worst if all have more.
    Height(u64),
}

/// The tracks that a channel offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ladder {
    /// One media playlist.
    Single,
    /// A multivariant playlist.
    Multi(Multi),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Multi {
    /// As players get it.
    pub(super) text: String,
    tracks: Vec<Track>,
    /// What lies behind SESSION-KEY and SESSION-DATA, by the number in its name.
    pub(super) extras: Vec<Url>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Track {
    id: TrackId,
    /// The playlist of the source that made the ladder.
    uri: String,
    role: Role,
}

/// What a track is, for finding its like in another source.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Variant {
        bandwidth: u64,
        resolution: Option<Resolution>,
        codecs: Option<String>,
        demuxed: bool,
    },
    IFrames {
        bandwidth: u64,
    },
    Rendition {
        kind: RenditionKind,
        name: String,
        language: Option<String>,
    },
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Pictures and sound.
    Both,
    Video,
    Audio,
    Subtitles,
}

impl Content {
    /// Whether there is picture or sound in it.
    pub(super) fn is_played(self) -> bool {
        self != Self::Subtitles
    }
}

/// Why a source cannot feed a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) reason: &'static str,
    /// Picture or sound would be missing.
    pub(super) fatal: bool,
}

const MUXED_FROM_DEMUXED: Mismatch = Mismatch {
    reason: "its audio is a playlist of its own, which a muxed track cannot carry",
    fatal: true,
};
const NO_AUDIO: Mismatch = Mismatch {
    reason: "it has no such audio, neither muxed nor in a playlist of its own",
    fatal: true,
};
const NO_VARIANT: Mismatch = Mismatch {
    reason: "it has no such variant",
    fatal: true,
};
const NO_RENDITION: Mismatch = Mismatch {
    reason: "it has no such rendition",
    fatal: false,
};
const NO_I_FRAMES: Mismatch = Mismatch {
    reason: "it has no I-frame playlist",
    fatal: false,
};

/// What feeds a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feeding<'a> {
    /// Of the media playlist; `None`: the source is one.
    pub(super) uri: Option<&'a str>,
    /// What is taken of segments that carry more than the track.
    pub(super) keep: Option<Keep>,
}

impl<'a> Feeding<'a> {
    fn whole(uri: &'a str) -> Self {
        let uri = Some(uri);
        Self { uri, keep: None }
    }
}

impl Ladder {
    /// Freezes the ladder that `source`, loaded from `base`, offers.
    pub(super) fn of(
        source: &Multivariant,
        base: &Url,
        filter: VariantFilter,
    ) -> Result<Self, Error> {
        let chosen = filter.choose(source);
        let mut naming = Naming {
            source,
            base,
            chosen: &chosen,
            tracks: Vec::new(),
            extras: Vec::new(),
        };
        let wanted = without_unwanted_lines(source, &chosen);
        let document = wanted.rewrite(|found| Ok::<_, Error>(naming.name(found)))?;
        let mut text = document.text().to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let Naming { tracks, extras, .. } = naming;
        Ok(Self::Multi(Multi {
            text,
            tracks,
            extras,
        }))
    }

    /// The tracks, in the order of the playlist.
    pub(super) fn track_ids(&self) -> Vec<TrackId> {
        match self {
            Self::Single => vec![TrackId::main()],
            Self::Multi(multi) => multi.tracks.iter().map(|track| track.id.clone()).collect(),
        }
    }

    /// Whether there is one track and no multivariant playlist.
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Self::Single)
    }

    /// What a track carries; `None` for trick play and for tracks that are not offered.
    pub(super) fn content(&self, id: &TrackId) -> Option<Content> {
        let Self::Multi(multi) = self else {
            return Some(Content::Both);
        };
        let track = multi.tracks.iter().find(|track| track.id == *id)?;
        match &track.role {
            Role::Variant { codecs, .. } if is_sound(codecs.as_deref()) => Some(Content::Audio),
            Role::Variant { demuxed: true, .. } => Some(Content::Video),
            Role::Variant { demuxed: false, .. } => Some(Content::Both),
            Role::Rendition { kind, .. } => match kind {
                RenditionKind::Audio => Some(Content::Audio),
                RenditionKind::Video => Some(Content::Video),
                RenditionKind::Subtitles => Some(Content::Subtitles),
                RenditionKind::ClosedCaptions => None,
            },
            Role::IFrames { .. } => None,
        }
    }

    pub(super) fn has(&self, id: &TrackId) -> bool {
        match self {
            Self::Single => *id == TrackId::main(),
            Self::Multi(multi) => multi.tracks.iter().any(|track| track.id == *id),
        }
    }

    /// The playlist of a multivariant `source` that feeds `track`.
    pub(super) fn feed<'a>(
        &self,
        track: &TrackId,
        source: &'a Multivariant,
        filter: VariantFilter,
    ) -> Result<Feeding<'a>, Mismatch> {
        let multi = match self {
            Self::Single => {
                let chosen = filter.choose(source);
                let best = chosen
                    .iter()
                    .max_by_key(|v| v.bandwidth)
                    .ok_or(NO_VARIANT)?;
                return if has_demuxed_audio(source, best) {
                    Err(MUXED_FROM_DEMUXED)
                } else {
                    Ok(Feeding::whole(&best.uri))
                };
            }
            Self::Multi(multi) => multi,
        };
        let track = multi
            .tracks
            .iter()
            .find(|t| t.id == *track)
            .ok_or(NO_RENDITION)?;
        match &track.role {
            Role::Variant {
                bandwidth,
                resolution,
                codecs,
                demuxed,
            } => {
                let nearest = nearest(source, *bandwidth, *resolution, codecs.as_deref());
                pictures(source, nearest.ok_or(NO_VARIANT)?, *demuxed)
            }
            Role::IFrames { bandwidth } => {
                let distance = |v: &&Variant| v.bandwidth.abs_diff(*bandwidth);
                source
                    .i_frames
                    .iter()
                    .min_by_key(distance)
                    .map(|v| Feeding::whole(&v.uri))
                    .ok_or(NO_I_FRAMES)
            }
            Role::Rendition {
                kind,
                name,
                language,
            } => {
                if let Some(uri) = alike(source, *kind, name, language.as_deref()) {
                    return Ok(Feeding::whole(uri));
                }
                match kind {
                    RenditionKind::Audio => sound(source).ok_or(NO_AUDIO),
                    _ => Err(NO_RENDITION),
                }
            }
        }
    }

    /// What of a source of one media playlist feeds `track`.
    pub(super) fn feed_single(&self, track: &TrackId) -> Result<Feeding<'static>, Mismatch> {
        let Self::Multi(multi) = self else {
            return Ok(Feeding {
                uri: None,
                keep: None,
            });
        };
        let track = multi.tracks.iter().find(|t| t.id == *track);
        let keep = match track.map(|t| &t.role) {
            Some(Role::Variant { demuxed: false, .. }) => None,
            Some(Role::Variant { demuxed: true, .. }) => Some(Keep::Video),
            Some(Role::Rendition {
                kind: RenditionKind::Audio,
                ..
            }) => Some(Keep::Audio),
            Some(Role::IFrames { .. }) => return Err(NO_I_FRAMES),
            Some(Role::Rendition { .. }) | None => return Err(NO_RENDITION),
        };
        Ok(Feeding { uri: None, keep })
    }
}

/// What of a variant feeds a track whose sound is `demuxed`.
fn pictures<'a>(
    source: &Multivariant,
    variant: &'a Variant,
    demuxed: bool,
) -> Result<Feeding<'a>, Mismatch> {
    let keep = match (demuxed, has_demuxed_audio(source, variant)) {
        (false, true) => return Err(MUXED_FROM_DEMUXED),
        (true, false) => Some(Keep::Video),
        _ => None,
    };
    let uri = Some(variant.uri.as_str());
    Ok(Feeding { uri, keep })
}

/// The sound that is muxed into variants: each carries the same, so that the smallest is enough.
fn sound(source: &Multivariant) -> Option<Feeding<'_>> {
    let variants = source.variants.iter();
    let muxed = variants.filter(|variant| !has_demuxed_audio(source, variant));
    let smallest = muxed.min_by_key(|variant| variant.bandwidth)?;
    Some(Feeding {
        uri: Some(&smallest.uri),
        keep: Some(Keep::Audio),
    })
}

/// Gives names to what a multivariant playlist refers to.
struct Naming<'a> {
    source: &'a Multivariant,
    base: &'a Url,
    chosen: &'a [&'a Variant],
    tracks: Vec<Track>,
    extras: Vec<Url>,
}

impl Naming<'_> {
    fn name(&mut self, found: UriRef<'_>) -> String {
        match found.kind {
            UriKind::Variant => {
                let variant = self.chosen.iter().find(|v| v.uri == found.uri);
                let role =
                    variant.map_or(Role::IFrames { bandwidth: 0 }, |v| role_of(self.source, v));
                self.playlist("v", found.uri, role)
            }
            UriKind::IFrames => {
                let variant = self.source.i_frames.iter().find(|v| v.uri == found.uri);
                let bandwidth = variant.map_or(0, |v| v.bandwidth);
                self.playlist("i", found.uri, Role::IFrames { bandwidth })
            }
            UriKind::Rendition => {
                let known = |r: &&Rendition| r.uri.as_deref() == Some(found.uri);
                let Some(rendition) = self.source.renditions.iter().find(known) else {
                    return found.uri.to_owned();
                };
                let role = Role::Rendition {
                    kind: rendition.kind,
                    name: rendition.name.clone(),
                    language: rendition.language.clone(),
                };
                self.playlist(prefix_of(rendition.kind), found.uri, role)
            }
            _ => self.extra(found.uri),
        }
    }

    /// The same playlist is one track, however often it is referred to.
    fn playlist(&mut self, prefix: &str, uri: &str, role: Role) -> String {
        let of_kind = |track: &&Track| track.id.as_str().starts_with(prefix);
        let known = self
            .tracks
            .iter()
            .filter(of_kind)
            .find(|track| track.uri == uri);
        if let Some(known) = known {
            return format!("{}/index.m3u8", known.id.as_str());
        }
        let id = format!("{prefix}{}", self.tracks.iter().filter(of_kind).count());
        let name = format!("{id}/index.m3u8");
        self.tracks.push(Track {
            id: TrackId::from(id),
            uri: uri.to_owned(),
            role,
        });
        name
    }

    fn extra(&mut self, uri: &str) -> String {
        let url = self
            .base
            .join(uri)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else {
            return uri.to_owned();
        };
        self.extras.push(url);
        format!("extra-{}.bin", self.extras.len() - 1)
    }
}

impl VariantFilter {
    fn choose<'a>(&self, source: &'a Multivariant) -> Vec<&'a Variant> {
        let all = || source.variants.iter();
        let one = |variant: Option<&'a Variant>| variant.into_iter().collect();
        match self {
            Self::All => all().collect(),
            Self::Best => one(all().max_by_key(|v| v.bandwidth)),
            Self::Worst => one(all().min_by_key(|v| v.bandwidth)),
            Self::Height(max) => {
                // A variant without RESOLUTION says nothing of its size, and stays.
                let fits = |v: &&Variant| v.resolution.is_none_or(|r| r.height <= *max);
                let chosen: Vec<_> = all().filter(fits).collect();
                if chosen.is_empty() {
                    Self::Worst.choose(source)
                } else {
                    chosen
                }
            }
        }
    }
}

/// The document without variants that were not chosen, and without content steering, since every
/// pathway leads through us.
fn without_unwanted_lines(source: &Multivariant, chosen: &[&Variant]) -> Document {
    let unwanted: Vec<usize> = source
        .variants
        .iter()
        .filter(|v| !chosen.contains(v))
        .map(|v| v.line)
        .collect();
    let mut skip_uri = false;
    source.document.retain_lines(|line, text| {
        let tag = text.trim_start();
        if unwanted.contains(&line) {
            skip_uri = true;
            return false;
        }
        if skip_uri && !tag.starts_with('#') && !tag.is_empty() {
            skip_uri = false;
            return false;
        }
        !tag.starts_with("#EXT-X-CONTENT-STEERING")
    })
}

fn role_of(source: &Multivariant, variant: &Variant) -> Role {
    Role::Variant {
        bandwidth: variant.bandwidth,
        resolution: variant.resolution,
        codecs: variant.codecs.clone(),
        demuxed: has_demuxed_audio(source, variant),
    }
}

/// Whether `CODECS` lists nothing but sound.
fn is_sound(codecs: Option<&str>) -> bool {
    let sound = |codec: &str| {
        let family = codec.trim().split('.').next();
        matches!(
            family,
            Some("mp4a" | "ac-3" | "ec-3" | "opus" | "fLaC" | "alac")
        )
    };
    codecs.is_some_and(|codecs| codecs.split(',').all(sound))
}

fn prefix_of(kind: RenditionKind) -> &'static str {
    match kind {
        RenditionKind::Audio => "a",
        RenditionKind::Subtitles => "s",
        RenditionKind::Video => "x",
        RenditionKind::ClosedCaptions => "c",
    }
}

fn has_demuxed_audio(source: &Multivariant, variant: &Variant) -> bool {
    let Some(group) = &variant.audio else {
        return false;
    };
    let of_group = source
        .renditions
        .iter()
        .filter(|r| r.kind == RenditionKind::Audio && r.group == *group);
    let (mut any, mut muxed) = (false, false);
    for rendition in of_group {
        any = true;
        muxed |= rendition.uri.is_none();
    }
    any && !muxed
}

/// The rendition of the same kind that is most alike: by language, then name.
fn alike<'a>(
    source: &'a Multivariant,
    kind: RenditionKind,
    name: &str,
    language: Option<&str>,
) -> Option<&'a str> {
    let of_kind = source
        .renditions
        .iter()
        .filter(|r| r.kind == kind && r.uri.is_some());
    let best =
        of_kind.max_by_key(|r| (r.language.as_deref() == language, r.name == name, r.default));
    best.and_then(|rendition| rendition.uri.as_deref())
}

/// By codec, then picture height, then bandwidth.
fn nearest<'a>(
    source: &'a Multivariant,
    bandwidth: u64,
    resolution: Option<Resolution>,
    codecs: Option<&str>,
) -> Option<&'a Variant> {
    let family = |codecs: Option<&str>| codecs.and_then(|c| c.split('.').next()).map(str::to_owned);
    source.variants.iter().min_by_key(|variant| {
        let other_codec = family(variant.codecs.as_deref()) != family(codecs);
        let height = match (variant.resolution, resolution) {
            (Some(a), Some(b)) => a.height.abs_diff(b.height),
            _ => 0,
        };
        (other_codec, height, variant.bandwidth.abs_diff(bandwidth))
    })
}
