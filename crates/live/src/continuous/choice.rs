//! Which track of a ladder a player gets that cannot choose.

use std::sync::Arc;

use hls::playlist::{Document, Limits, Multivariant, RenditionKind, Variables, Variant};

use crate::channel::Unavailable;

/// The track `asked` for, or the variant of the highest bandwidth that has sound. Reads our own
/// multivariant playlist, whose URIs begin with a track's name.
pub(super) fn choose(playlist: &[u8], asked: Option<&str>) -> Result<Arc<str>, Unavailable> {
    let document = Document::parse(playlist, &Limits::default());
    let ladder = document.and_then(|document| Multivariant::read(document, Variables::default()));
    // We have written it.
    let ladder = ladder.map_err(|_| Unavailable::NotFound)?;
    let variant = match asked {
        Some(asked) => {
            let found = ladder
                .variants
                .iter()
                .find(|variant| track_of(variant) == asked);
            found.ok_or(Unavailable::NotFound)?
        }
        None => {
            let best = ladder.variants.iter().max_by_key(|variant| {
                let sound = sound_of(&ladder, variant);
                (
                    sound == Sound::Inside,
                    sound != Sound::None,
                    variant.bandwidth,
                )
            });
            best.ok_or(Unavailable::NotFound)?
        }
    };
    match sound_of(&ladder, variant) {
        Sound::Apart => Err(Unavailable::NotCarried(
            "the sound is a playlist of its own",
        )),
        Sound::Inside | Sound::None => Ok(track_of(variant).into()),
    }
}

fn track_of(variant: &Variant) -> &str {
    variant.uri.split('/').next().unwrap_or_default()
}

/// Where a variant's sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    Inside,
    Apart,
    None,
}

/// RFC 6381 names of audio codecs; a list that has none of them is one of pictures only.
const AUDIO: [&str; 8] = ["mp4a", "ac-3", "ec-3", "ac-4", "opus", "mp3", "flac", "dts"];

fn sound_of(ladder: &Multivariant, variant: &Variant) -> Sound {
    if let Some(group) = &variant.audio {
        let renditions = ladder.renditions.iter();
        let mut of_group =
            renditions.filter(|r| r.kind == RenditionKind::Audio && r.group == *group);
        let inside = of_group.clone().any(|rendition| rendition.uri.is_none());
        if !inside && of_group.next().is_some() {
            return Sound::Apart;
        }
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
        assert_eq!(chosen, expected.map(Arc::from));
    }

    const APART: Unavailable = Unavailable::NotCarried("the sound is a playlist of its own");

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
    fn sound_apart_is_refused_and_sound_inside_preferred() {
        let apart = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a0/index.m3u8\"\n\
                     #EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"a\"\nv0/index.m3u8\n";
        check(apart, None, Err(APART));
        let both = format!("{apart}#EXT-X-STREAM-INF:BANDWIDTH=1\nv1/index.m3u8\n");
        check(&both, None, Ok("v1"));
        check(&both, Some("v0"), Err(APART));
        let inside = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\"\n\
                      #EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"a\"\nv0/index.m3u8\n";
        check(inside, None, Ok("v0"));
    }
}
