//! The bytes of an entry that is a file or an endless stream, with ranges, under whatever link it has.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{ByteRange, RangeSet};
use fetch::{Client, Fault, Headers, Request, Streaming, Timeouts};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use resolve::{EntryKey, Follower, Listed};

use super::{invalid, later};
use crate::error::Problem;
use crate::media;
use crate::ranged::make_inert;
use crate::state::App;

/// How long a viewer waits for a fresh link.
const PATIENCE: Duration = Duration::from_secs(3);
/// What providers answer when a link is over.
const REFUSALS: [u16; 3] = [401, 403, 410];

/// Sends what the newest link has; a link that is refused is replaced once before a viewer hears of it.
/// HEAD asks upstream by GET too: many links are signed for that alone.
pub(super) async fn relay(
    app: &App,
    key: &EntryKey,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mut follower =
        (app.live.resolvers().follow(key)).ok_or_else(|| later("its resolver is gone"))?;
    let range = media::range(method, headers).and_then(|range| range.to_str().ok());
    let range = range.and_then(RangeSet::of_unknown_length);
    let mut refused = None;
    for _ in 0..2 {
        let Some(listed) = usable(&mut follower, refused).await else {
            break;
        };
        match open(app.live.client(), &follower, &listed, range).await {
            Ok(streaming) => return answer(streaming, range),
            Err(error) => match error.fault {
                Fault::Status { code, .. } if REFUSALS.contains(&code) => {
                    follower.died(listed.link.generation);
                    refused = Some(listed.link.generation);
                }
                Fault::Status { code: 416, .. } => {
                    return Err(
                        invalid("no such range").with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                    );
                }
                _ => return Err(later(error.to_string())),
            },
        }
    }
    Err(later(follower.trouble()))
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
        ..Request::new(entry.url.clone(), scope, client.manners())
    };
    client.open(&request).await
}

fn answer(streaming: Streaming, range: Option<ByteRange>) -> Result<Response, Problem> {
    let head = streaming.head.clone();
    let is_part = head.status == StatusCode::PARTIAL_CONTENT.as_u16();
    if range.is_some_and(|range| range.start > 0) && !is_part {
        return Err(later("the source does not serve ranges"));
    }
    let mut response = Body::from_stream(streaming.into_stream()).into_response();
    let headers = response.headers_mut();
    let kind = (head.content_type.as_deref()).unwrap_or("application/octet-stream");
    let text = |value: &str| HeaderValue::from_str(value).ok();
    headers.extend(text(kind).map(|kind| (CONTENT_TYPE, kind)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    make_inert(headers);
    headers.extend(
        head.length
            .map(|length| (CONTENT_LENGTH, HeaderValue::from(length))),
    );
    if is_part {
        let sent = head.content_range.as_deref();
        headers.extend(sent.and_then(text).map(|sent| (CONTENT_RANGE, sent)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}
