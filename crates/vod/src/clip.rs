//! A short asset as one MPEG transport stream: what a channel shows as its slate.

use bytes::{Bytes, BytesMut};
use hls::playlist::Media;

use crate::asset::Plays;
use crate::confine::Prefix;
use crate::error::Error;
use crate::library::Library;
use crate::probe::first_media;
use crate::vod::Vod;

impl Vod {
    /// All bytes of an asset: HLS in segments of transport stream, of several variants the first; or a file,
    /// also an original of which nothing was made yet.
    ///
    /// # Errors
    /// There is no such asset; it is longer than `bytes_max`, encrypted or fragmented MP4; or its
    /// library is unwell.
    pub async fn clip(&self, id_or_slug: &str, bytes_max: u64) -> Result<Bytes, Error> {
        let asset = self.asset(id_or_slug).await?;
        let library = self.library(&asset.library)?;
        let original = asset.facts.raw_key.as_deref();
        match asset.plays() {
            Plays::Nothing => match original {
                Some(key) => Ok(library.get(key, bytes_max).await?.1),
                None => Err(Error::NotReady(asset.id.to_string())),
            },
            Plays::File(key) => Ok(library.get(key, bytes_max).await?.1),
            Plays::Hls { prefix, entry } => {
                let prefix = Prefix::new(prefix).map_err(Error::Path)?;
                let key = format!("{}/{entry}", prefix.as_str());
                let (_, media) = first_media(&library, &prefix, &key).await?;
                let Some((key, media)) = media else {
                    return Err(Error::NotReady(asset.id.to_string()));
                };
                let clip = Clip {
                    library: &library,
                    prefix: &prefix,
                    key: &key,
                    bytes_max,
                };
                clip.joined(&media).await
            }
        }
    }
}

/// The segments below one media playlist.
struct Clip<'a> {
    library: &'a Library,
    prefix: &'a Prefix,
    key: &'a str,
    bytes_max: u64,
}

impl Clip<'_> {
    async fn joined(&self, media: &Media) -> Result<Bytes, Error> {
        let mut joined = BytesMut::new();
        // Byte ranges of one object stand behind each other.
        let mut object = (String::new(), Bytes::new());
        for segment in media.segments.iter().filter(|segment| !segment.gap) {
            let refused = match (&segment.map, segment.keys.is_empty()) {
                (Some(_), _) => "is fragmented MP4, and a slate has to be a transport stream",
                (None, false) => "is encrypted, and a slate must not be",
                (None, true) => "",
            };
            if !refused.is_empty() {
                return Err(self.invalid(refused));
            }
            let part = self
                .prefix
                .resolve(self.key, &segment.uri)
                .map_err(Error::Path)?;
            if object.0 != part.key {
                let library = self.library;
                let (_, whole) = library.get(&part.key, self.bytes_max).await?;
                object = (part.key, whole);
            }
            let bytes = match segment.byte_range {
                None => object.1.as_ref(),
                Some(range) => usize::try_from(range.start)
                    .ok()
                    .zip(usize::try_from(range.end).ok())
                    .and_then(|(start, end)| object.1.get(start..end))
                    .ok_or_else(|| self.invalid("names bytes that its object does not have"))?,
            };
            if (joined.len() + bytes.len()) as u64 > self.bytes_max {
                return Err(self.invalid("is too long for a slate"));
            }
            joined.extend_from_slice(bytes);
        }
        Ok(joined.freeze())
    }

    fn invalid(&self, reason: &'static str) -> Error {
        Error::Invalid {
            what: "the asset",
            reason,
        }
    }
}
