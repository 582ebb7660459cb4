//! Fetching what is queued, one segment after the other as players do: keys, maps, ranges, retries.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hls::aes128;
use http::{Method, header};
use tokio::sync::mpsc;
use url::Url;

use super::follow::Wanted;
use super::report::{Lost, Played};
use super::{Mode, Shared};
use crate::Sha256;
use crate::checker::{Key, Segment};

/// Attempts at a segment.
const ATTEMPTS: u32 = 4;
/// The wait before the next attempt, in media time.
const RETRY: Duration = Duration::from_secs(1);
/// Segments that are recorded one by one; a player that runs longer keeps counting losses only.
const RECORDS_MAX: usize = 100_000;

#[derive(Default)]
struct Fetch {
    key: Option<(Url, [u8; aes128::BLOCK_LEN])>,
    map: Option<(Url, Option<(u64, u64)>)>,
    seen: HashSet<Sha256>,
}

pub(super) async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Wanted>) {
    let mut fetch = Fetch::default();
    while let Some(Wanted { segment, base }) = queue.recv().await {
        if segment.gap {
            shared.lock().report.gaps.push(segment.number);
        } else {
            match fetch.attempts(&shared, &segment, &base).await {
                Ok(body) => fetch.record(&shared, &segment, &body),
                Err(reason) => shared.lock().report.lost.push(Lost {
                    number: segment.number,
                    count: 1,
                    reason,
                }),
            }
        }
        if shared.watch.mode == Mode::Buffering {
            // A gap and a loss take their time too: nothing is shown, and then the next segment's turn comes.
            let lasts = shared.wall(Duration::from_secs_f64(segment.duration_s));
            let now = shared.started.elapsed();
            shared.lock().buffer.add(now, lasts);
        }
    }
    // The queue closes when the playlist has ended.
    shared.lock().report.ended = true;
}

impl Fetch {
    async fn attempts(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        base: &Url,
    ) -> Result<Bytes, String> {
        let mut attempt = 1;
        loop {
            match self.segment(shared, segment, base).await {
                Ok(body) => return Ok(body),
                Err(reason) if attempt == ATTEMPTS => return Err(reason),
                Err(reason) => shared.error(&format!("segment {}: {reason}", segment.number)),
            }
            attempt += 1;
            tokio::time::sleep(shared.wall(RETRY)).await;
        }
    }

    /// The clear bytes of a segment.
    async fn segment(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        base: &Url,
    ) -> Result<Bytes, String> {
        if let Some(map) = &segment.map {
            let at = (resolve(base, &map.uri)?, map.range);
            if self.map.as_ref() != Some(&at) {
                let body = get(shared, &at.0, at.1).await?;
                shared.lock().report.maps.push(Sha256::of(&body));
                self.map = Some(at);
            }
        }
        let body = get(shared, &resolve(base, &segment.uri)?, segment.range).await?;
        match segment
            .keys
            .get("identity")
            .filter(|key| key.method == "AES-128")
        {
            Some(key) => self.decrypt(shared, segment, base, key, &body).await,
            None => Ok(body),
        }
    }

    async fn decrypt(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        base: &Url,
        key: &Key,
        body: &[u8],
    ) -> Result<Bytes, String> {
        let url = resolve(base, &key.uri)?;
        let bytes = match &self.key {
            Some((known, bytes)) if *known == url => *bytes,
            _ => {
                let body = get(shared, &url, None).await?;
                body.as_ref()
                    .try_into()
                    .map_err(|_| format!("a key of {} bytes", body.len()))?
            }
        };
        self.key = Some((url, bytes));
        let iv = match &key.iv {
            // §5.2: the media sequence number, big-endian.
            None => u128::from(segment.number),
            Some(hex) => u128::from_str_radix(hex.trim_start_matches("0x"), 16)
                .map_err(|error| format!("IV: {error}"))?,
        };
        let clear = aes128::decrypt(body, &bytes, &iv.to_be_bytes());
        clear.map(Bytes::from).map_err(|error| error.to_string())
    }

    fn record(&mut self, shared: &Shared, segment: &Segment, body: &[u8]) {
        let hash = Sha256::of(body);
        let at = shared.started.elapsed();
        let report = &mut shared.lock().report;
        if report.segments.len() == RECORDS_MAX {
            return;
        }
        if !self.seen.insert(hash) {
            report.repeated.push(segment.number);
        }
        report.segments.push(Played {
            number: segment.number,
            uri: segment.uri.clone(),
            duration: Duration::from_secs_f64(segment.duration_s),
            discontinuity: segment.discontinuity,
            unix_ms: segment.unix_ms,
            hash,
            bytes: body.len(),
            at,
        });
    }
}

fn resolve(base: &Url, uri: &str) -> Result<Url, String> {
    base.join(uri)
        .map_err(|error| format!("URI {uri:?}: {error}"))
}

/// A resource, or a range of it by first byte and length.
async fn get(shared: &Shared, url: &Url, range: Option<(u64, u64)>) -> Result<Bytes, String> {
    let mut headers = shared.watch.headers.clone();
    headers.extend(range.map(|(offset, length)| {
        (
            header::RANGE,
            format!("bytes={offset}-{}", offset + length.max(1) - 1),
        )
    }));
    let fetched = shared.client.send(Method::GET, url, &headers).await;
    let status = fetched.as_ref().map_or(0, |fetched| fetched.status);
    *shared
        .lock()
        .report
        .segment_statuses
        .entry(status)
        .or_default() += 1;
    let fetched = fetched.map_err(|error| error.to_string())?;
    let expected = if range.is_some() { 206 } else { 200 };
    if fetched.status == expected {
        Ok(fetched.body)
    } else {
        Err(format!("status {}", fetched.status))
    }
}
