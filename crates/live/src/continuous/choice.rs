//! Which track of a ladder a player gets that cannot choose.

use std::sync::Arc;

use hls::playlist::{Document, Limits, Multivariant, RenditionKind, Variables, Variant};

use crate::channel::Unavailable;

/// What a stream is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) track: Arc<str>,
    /// The track of its sound, where that is a playlist of its own.
    pub(super) sound: Option<Arc<str>>,
}

/// The variant `asked` for, or that of the highest bandwidth that has sound. Reads our own multivariant
/// playlist, whose URIs begin with a track's name.
pub(super) fn choose(playlist: &[u8], asked: Option<&str>) -> Result<Choice, Unavailable> {
    let document = Document::parse(playlist, &Limits::default());
    let ladder = document.and_then(|document| Multivariant::read(document, Variables::default()));
    // We have written it.
    let ladder = ladder.map_err(|_| Unavailable::NotFound)?;
    let variants = ladder.variants.iter();
    let variant = match asked {
        Some(asked) => variants
            .clone()
            .find(|variant| track_of(&variant.uri) == asked),
        None => variants
            .max_by_key(|variant| (sound_of(&ladder, variant) != Sound::None, variant.bandwidth)),
    };
    let variant = variant.ok_or(Unavailable::NotFound)?;
    let sound = match sound_of(&ladder, variant) {
        Sound::Apart(uri) => Some(track_of(uri).into()),
        Sound::Inside | Sound::None => None,
    };
    let track = track_of(&variant.uri).into();
    Ok(Choice { track, sound })
}

fn track_of(uri: &str) -> &str {
    uri.split('/').next().unwrap_or_default()
}

/// Where a variant's sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound<'a> {
    Inside,
    /// In this playlist.
    Apart(&'a str),
    None,
}

/// RFC 6381 names of audio codecs; a list that has none of them is one of pictures only.
const AUDIO: [&str; 8] = ["mp4a", "ac-3", "ec-3", "ac-4", "opus", "mp3", "flac", "dts"];

fn sound_of<'a>(ladder: &'a Multivariant, variant: &Variant) -> Sound<'a> {
    let mut of_group = ladder.renditions.iter().filter(|rendition| {
        rendition.kind == RenditionKind::Audio && Some(&rendition.group) == variant.audio.as_ref()
    });
    let default = of_group.clone().find(|rendition| rendition.default);
    let rendition = default.or_else(|| of_group.next());
    if let Some(uri) = rendition.and_then(|rendition| rendition.uri.as_deref()) {
        return Sound::Apart(uri);
    }
    let named = variant.codecs.as_ref().is_none_or(|codecs| {
        codecs
            .split(',')
            .any(|codec| AUDIO.iter().any(|name| codec.trim().starts_with(name)))
    });
    if named { Sound::Inside } else { Sound::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &str, asked: Option<&str>, expected: Result<&str, Unavailable>) {
        let playlist = format!("#EXTM3U\n{lines}");
        let chosen = choose(playlist.as_bytes(), asked);
        let named = chosen.map(|Choice { track, sound }| match sound {
            Some(sound) => format!("{track}+{sound}"),
            None => track.to_string(),
        });
        assert_eq!(named, expected.map(str::to_owned));
    }

    #[test]
    fn the_best_variant_with_sound_is_chosen() {
        let muxed = "#EXT-X-STREAM-INF:BANDWIDTH=1\nv0/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3\nv1/index.m3u8\n\
                     #EXT-X-STREAM-INF:BANDWIDTH=9,CODECS=\"avc1.4d401f\"\nv2/index.m3u8\n";
        check(muxed, None, Ok("v1"));
        check(muxed, Some("v0"), Ok("v0"));
        check(muxed, Some("v2"), Ok("v2"));
        check(muxed, Some("v7"), Err(Unavailable::NotFound));
        check(muxed, Some("index.m3u8"), Err(Unavailable::NotFound));
    }

    #[test]
    fn sound_apart_goes_with_its_pictures() {
        let apart = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\",URI=\"a0/index.m3u8\"\n\
                     #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",DEFAULT=YES,URI=\"a1/index.m3u8\"\n\
                     #EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"a\",CODECS=\"avc1.4d401f\"\nv0/index.m3u8\n";
        check(apart, None, Ok("v0+a1"));
        let both = format!("{apart}#EXT-X-STREAM-INF:BANDWIDTH=10\nv1/index.m3u8\n");
        check(&both, None, Ok("v1"));
        check(&both, Some("v0"), Ok("v0+a1"));
        let inside = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\"\n\
                      #EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"a\"\nv0/index.m3u8\n";
        check(inside, None, Ok("v0"));
    }
}
