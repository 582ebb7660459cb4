//! What an asset is: how long, how large, in which variants. Exact or unknown.

use std::time::Duration;

use hls::playlist::{Limits, Media, Multivariant, Playlist, Variables};
use url::Url;

use crate::asset::{Asset, Plays, Probe, Size};
use crate::confine::{Prefix, encode_path};
use crate::error::Error;
use crate::library::Library;

/// Looking at an asset may take this long, and so may counting its bytes.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Pages of a list: 50,000 objects.
const PAGES_MAX: usize = 50;
const CODECS_MAX: usize = 16;

/// Looks at an asset. What keeps it from being played is said in the result.
pub(crate) async fn probe(library: &Library, asset: &Asset, now_ms: i64) -> Probe {
    let looking = Box::pin(look(library, asset));
    let probe = match tokio::time::timeout(TIMEOUT, looking).await {
        Ok(Ok(probe)) => probe,
        Ok(Err(error)) => {
            tracing::info!(asset = %asset.id, %error, "an asset cannot be played");
            let broken = error.is_of_the_object();
            return failed(error.told(), broken, now_ms);
        }
        Err(_) => {
            let error = format!("its library did not answer within {TIMEOUT:?}");
            return failed(error, false, now_ms);
        }
    };
    let bytes = match asset.prefix() {
        Some(prefix) => size(library, asset, &prefix).await,
        None => probe.bytes,
    };
    Probe {
        bytes,
        looked_ms: now_ms,
        ..probe
    }
}

/// Bytes of all objects below an asset's prefix. What plays does so also where its store cannot list it.
async fn size(library: &Library, asset: &Asset, prefix: &Prefix) -> Option<u64> {
    match tokio::time::timeout(TIMEOUT, sum(library, prefix)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            tracing::info!(asset = %asset.id, %error, "the size of an asset cannot be counted");
            None
        }
        Err(_) => {
            tracing::info!(asset = %asset.id, "counting the bytes of an asset takes too long");
            None
        }
    }
}

fn failed(error: String, broken: bool, looked_ms: i64) -> Probe {
    Probe {
        error: Some(error),
        broken,
        looked_ms,
        ..Probe::default()
    }
}

async fn look(library: &Library, asset: &Asset) -> Result<Probe, Error> {
    match asset.plays() {
        Plays::Nothing => Ok(Probe::default()),
        Plays::File(key) => Ok(Probe {
            bytes: Some(library.head(key).await?.length),
            ..Probe::default()
        }),
        Plays::Hls { prefix, entry } => {
            let prefix = Prefix::new(prefix).map_err(Error::Path)?;
            let key = format!("{}/{entry}", prefix.as_str());
            playlists(library, &prefix, &key).await
        }
    }
}

async fn playlists(library: &Library, prefix: &Prefix, key: &str) -> Result<Probe, Error> {
    let (multi, media) = first_media(library, prefix, key).await?;
    Ok(Probe {
        duration_ms: media.and_then(|(_, media)| duration_ms(&media)),
        ..multi.as_ref().map_or_else(Probe::default, ladder)
    })
}

/// What the playlist at `key` is: the multivariant playlist, if it is one, and the first media playlist
/// with its key, if there is one.
pub(crate) async fn first_media(
    library: &Library,
    prefix: &Prefix,
    key: &str,
) -> Result<(Option<Multivariant>, Option<(String, Media)>), Error> {
    let multi = match read(library, key, &Variables::default()).await? {
        Playlist::Media(media) => return Ok((None, Some((key.to_owned(), media)))),
        Playlist::Multivariant(multi) => multi,
    };
    let (uri, line) = multi
        .variants
        .first()
        .map_or(("", 0), |variant| (variant.uri.as_str(), variant.line));
    let variant = prefix.resolve(key, uri).map_err(|reason| Error::Uri {
        library: library.id().to_owned(),
        key: key.to_owned(),
        line,
        reason,
    })?;
    let media = match read(library, &variant.key, &multi.variables).await? {
        Playlist::Media(media) => Some((variant.key, media)),
        Playlist::Multivariant(_) => None,
    };
    Ok((Some(multi), media))
}

fn ladder(multi: &Multivariant) -> Probe {
    let mut codecs: Vec<String> = Vec::new();
    for codec in multi
        .variants
        .iter()
        .filter_map(|v| v.codecs.as_deref())
        .flat_map(|c| c.split(','))
    {
        let codec = codec.trim().to_owned();
        if !codec.is_empty() && !codecs.contains(&codec) && codecs.len() < CODECS_MAX {
            codecs.push(codec);
        }
    }
    let variants = multi.variants.iter().map(|variant| Size {
        bandwidth: variant.bandwidth,
        width: variant.resolution.map(|r| r.width),
        height: variant.resolution.map(|r| r.height),
    });
    Probe {
        variants: variants.collect(),
        codecs,
        ..Probe::default()
    }
}

fn duration_ms(media: &Media) -> Option<u64> {
    let whole: Duration = media.segments.iter().map(|segment| segment.duration).sum();
    let ms = u64::try_from(whole.as_millis()).ok()?;
    media.ended.then_some(ms)
}

async fn read(library: &Library, key: &str, imports: &Variables) -> Result<Playlist, Error> {
    let limits = Limits::default();
    let (_, body) = library.get(key, limits.bytes_max as u64).await?;
    let url = format!("http://library.invalid/{}", encode_path(key));
    let url: Url = url.parse().map_err(|_| Error::NotAPlaylistPath)?;
    Playlist::parse(&body, &url, imports, &limits).map_err(|reason| Error::Playlist {
        library: library.id().to_owned(),
        key: key.to_owned(),
        reason,
    })
}

/// Unknown where there are too many to count.
async fn sum(library: &Library, prefix: &Prefix) -> Result<Option<u64>, Error> {
    let (mut bytes, mut after) = (0_u64, None);
    for _ in 0..PAGES_MAX {
        let below = format!("{}/", prefix.as_str());
        let (page, next) = library.list(&below, after).await?;
        bytes += page.iter().map(|object| object.length).sum::<u64>();
        match next {
            Some(next) => after = Some(next),
            None => return Ok(Some(bytes)),
        }
    }
    Ok(None)
}
