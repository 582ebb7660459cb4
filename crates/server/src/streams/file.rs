//! The bytes of an entry that is a file or an endless stream, with ranges, under whatever link it has.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::ByteRange;
use fetch::{Client, Fault, Headers, Manners, Request, Streaming, Timeouts};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use resolve::{EntryKey, Follower, Listed};

use super::{detail, later};
use crate::state::App;

/// How long a viewer waits for a fresh link.
const PATIENCE: Duration = Duration::from_secs(3);
/// What providers answer when a link is over.
const REFUSALS: [u16; 3] = [401, 403, 410];

/// Sends what the newest link has; a link that is refused is replaced once before a viewer hears of it.
pub(super) async fn relay(app: &App, key: &EntryKey, headers: &HeaderMap) -> Response {
    let Some(mut follower) = app.live.resolvers().follow(key) else {
        return later("its resolver is gone");
    };
    let range = headers
        .get(RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(range_of);
    let client = app.live.client();
    let mut refused = None;
    for _ in 0..2 {
        let Some(listed) = usable(&mut follower, refused).await else {
            return later(follower.trouble());
        };
        match open(client, client.manners(), &follower, &listed, range).await {
            Ok(streaming) => return answer(streaming, range),
            Err(error) => match error.fault {
                Fault::Status { code, .. } if REFUSALS.contains(&code) => {
                    follower.died(listed.link.generation);
                    refused = Some(listed.link.generation);
                }
                Fault::Status { code: 416, .. } => {
                    return detail(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
                }
                _ => return later(error.to_string()),
            },
        }
    }
    later(follower.trouble())
}

/// The newest link that may be asked, other than the one that was refused.
async fn usable(follower: &mut Follower, refused: Option<u64>) -> Option<Listed> {
    let waiting = async {
        loop {
            follower.used_now();
            let usable = follower.usable();
            if let Some(listed) = usable.filter(|listed| Some(listed.link.generation) != refused) {
                return listed;
            }
            follower.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.ok()
}

async fn open(
    client: &Client,
    manners: Manners,
    follower: &Follower,
    listed: &Listed,
    range: Option<ByteRange>,
) -> Result<Streaming, fetch::Error> {
    let entry = &listed.link.entry;
    let pairs = entry.headers.iter().map(|(name, value)| (name, value));
    let scope = resolve::scope_of(client, &entry.url, follower.voucher().as_ref()).await?;
    let request = Request {
        headers: Headers::new(pairs).unwrap_or_default(),
        range,
        range_may_exceed: true,
        gzip: false,
        body_max: u64::MAX,
        timeouts: Timeouts {
            total: None,
            ..Timeouts::default()
        },
        ..Request::new(entry.url.clone(), scope, manners)
    };
    client.open(&request).await
}

fn answer(streaming: Streaming, range: Option<ByteRange>) -> Response {
    let head = streaming.head.clone();
    let length = head.length;
    // A server that knows no ranges sent everything, from which the part was cut.
    let partial = range.is_some() && head.status == StatusCode::PARTIAL_CONTENT.as_u16();
    if range.is_some_and(|range| range.start > 0) && !partial {
        return later("the source does not serve ranges");
    }
    let mut response = Body::from_stream(streaming.into_stream()).into_response();
    let headers = response.headers_mut();
    let kind = head
        .content_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    let text = |value: &str| HeaderValue::from_str(value).ok();
    headers.extend(text(kind).map(|kind| (CONTENT_TYPE, kind)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if partial {
        let sent = head.content_range.as_deref();
        headers.extend(sent.and_then(text).map(|sent| (CONTENT_RANGE, sent)));
        let length = sent.and_then(length_of);
        headers.extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    } else {
        headers.extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
    }
    response
}

/// One range with a beginning, as players ask; of others the whole is sent (RFC 9110 §14.2).
fn range_of(header: &str) -> Option<ByteRange> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = first.parse().ok()?;
    let end = match last {
        "" => u64::MAX,
        last => last.parse::<u64>().ok()?.checked_add(1)?,
    };
    (start < end).then_some(ByteRange { start, end })
}

/// Of `bytes 5-9/100`.
fn length_of(sent: &str) -> Option<u64> {
    let (first, last) = sent
        .strip_prefix("bytes ")?
        .split_once('/')?
        .0
        .split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some(last.checked_sub(first)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_players_are_understood() {
        let range = |text| range_of(text).map(|range| (range.start, range.end));
        assert_eq!(range("bytes=0-"), Some((0, u64::MAX)));
        assert_eq!(range("bytes=5-9"), Some((5, 10)));
        for other in ["bytes=-5", "bytes=9-5", "items=0-1", "bytes=0-1,3-4"] {
            assert_eq!(range(other), None, "{other}");
        }
        assert_eq!(length_of("bytes 5-9/*"), Some(5));
    }
}
