//! What stands behind a link at this moment: the first 8 KiB of it.

use std::time::Duration;

use base::ByteRange;
use fetch::{Client, Headers, Request, Timeouts};
use hls::playlist::{Limits, Playlist, Variables};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::entry::Link;
use crate::run::scope_of;

/// What a look at a link showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// It begins as a playlist or as a transport stream does.
    pub is_live: bool,
    /// It has bytes: all that can be said of a file.
    pub answers: bool,
    /// To the first bytes.
    pub response_ms: u64,
    /// When, in milliseconds since the Unix epoch.
    pub checked_ms: i64,
    /// Bits per second of the best variant, where the playlist says so.
    pub bitrate: Option<u64>,
}

const LOOK_BYTES: u64 = 8 << 10;
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
const TS_PACKET: usize = 188;
const TS_SYNC: u8 = 0x47;

/// Looks at a link. Whatever goes wrong, it is not live.
pub async fn probe(client: &Client, link: &Link, voucher: Option<&Url>, now_ms: i64) -> Probe {
    let began = tokio::time::Instant::now();
    let look = tokio::time::timeout(LOOK_TIMEOUT, look(client, link, voucher));
    let body = match look.await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            tracing::debug!(entry = link.entry.id, %error, "probe failed");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    Probe {
        is_live: is_playlist(&body) || is_transport_stream(&body),
        answers: !body.is_empty(),
        response_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        checked_ms: now_ms,
        bitrate: bitrate(&body, &link.entry.url),
    }
}

async fn look(
    client: &Client,
    link: &Link,
    voucher: Option<&Url>,
) -> Result<Vec<u8>, fetch::Error> {
    let url = &link.entry.url;
    let pairs = link.entry.headers.iter().map(|(name, value)| (name, value));
    let request = Request {
        headers: Headers::new(pairs).unwrap_or_default(),
        range: Some(ByteRange {
            start: 0,
            end: LOOK_BYTES,
        }),
        range_may_exceed: true,
        gzip: false,
        body_max: u64::MAX,
        timeouts: Timeouts {
            total: Some(LOOK_TIMEOUT),
            ..Timeouts::default()
        },
        ..Request::new(
            url.clone(),
            scope_of(client, url, voucher).await?,
            client.manners(),
        )
    };
    let mut body = client.open(&request).await?;
    let mut start = Vec::new();
    while let Some(bytes) = body.chunk().await? {
        start.extend_from_slice(&bytes);
    }
    Ok(start)
}

fn is_playlist(body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    body.trim_ascii_start().starts_with(b"#EXTM3U")
}

fn is_transport_stream(body: &[u8]) -> bool {
    body.len() > TS_PACKET && body[0] == TS_SYNC && body[TS_PACKET] == TS_SYNC
}

fn bitrate(body: &[u8], url: &Url) -> Option<u64> {
    // The last line may have been cut.
    let end = body.iter().rposition(|byte| *byte == b'\n')? + 1;
    let playlist = Playlist::parse(&body[..end], url, &Variables::default(), &Limits::default());
    match playlist.ok()? {
        Playlist::Multivariant(multi) => {
            multi.variants.iter().map(|variant| variant.bandwidth).max()
        }
        Playlist::Media(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_and_transport_streams_are_known_by_their_beginning() {
        assert!(is_playlist(b"#EXTM3U\n") && is_playlist("\u{feff}\n #EXTM3U".as_bytes()));
        assert!(!is_playlist(b"<html>#EXTM3U") && !is_playlist(b""));
        let mut stream = vec![0; 400];
        stream[0] = TS_SYNC;
        assert!(!is_transport_stream(&stream));
        stream[TS_PACKET] = TS_SYNC;
        assert!(is_transport_stream(&stream) && !is_transport_stream(&stream[..TS_PACKET]));
    }

    #[test]
    fn the_best_variant_tells_the_bitrate() {
        let url = "http://o.example/".parse().unwrap();
        let text = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\na\n#EXT-X-STREAM-INF:BANDWIDTH=300\nb\n#EXT-X-STRE";
        assert_eq!(bitrate(text, &url), Some(300));
        assert_eq!(
            bitrate(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na\n", &url),
            None
        );
    }
}
