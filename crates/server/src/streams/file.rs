//! The bytes of an entry that is a file or an endless stream, with ranges, under whatever link it has.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{ByteRange, RangeSet, is_suffix_range};
use fetch::{Client, Fault, Headers, Request, Streaming, Timeouts};
use futures_util::StreamExt;
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
    let asked = media::range(method, headers).and_then(|range| range.to_str().ok());
    let mut refused = None;
    for _ in 0..2 {
        let Some(listed) = usable(&mut follower, refused).await else {
            break;
        };
        let source = Source {
            client: app.live.client(),
            follower: &follower,
            listed: &listed,
        };
        match source.part(asked).await {
            Ok((streaming, range)) => return answer(app, streaming, range),
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

/// Waits for a link of the entry.
///
/// # Errors
/// Why there is none.
pub(super) async fn link(app: &App, key: &EntryKey) -> Result<(), Problem> {
    let follower = app.live.resolvers().follow(key);
    let mut follower = follower.ok_or_else(|| later("its resolver is gone"))?;
    match usable(&mut follower, None).await {
        Some(_) => Ok(()),
        None => Err(later(follower.trouble())),
    }
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

/// An entry under the link that it has.
struct Source<'a> {
    client: &'a Client,
    follower: &'a Follower,
    listed: &'a Listed,
}

impl Source<'_> {
    /// What a header asks for.
    async fn part(
        &self,
        asked: Option<&str>,
    ) -> Result<(Streaming, Option<ByteRange>), fetch::Error> {
        let range = self.range(asked).await?;
        Ok((self.open(range).await?, range))
    }

    /// The range that a header asks for. The end of a file is found by its length, which a look at its
    /// first byte tells; where it does not, and of several ranges, all is sent.
    async fn range(&self, asked: Option<&str>) -> Result<Option<ByteRange>, fetch::Error> {
        let Some(asked) = asked.filter(|asked| is_suffix_range(asked)) else {
            return Ok(asked.and_then(RangeSet::of_unknown_length));
        };
        let first = ByteRange { start: 0, end: 1 };
        let look = self.open(Some(first)).await?;
        let length = look.head.content_range.as_deref().and_then(length_of);
        let range = length.map(|length| RangeSet::resolve(Some(asked), length));
        Ok(match range {
            Some(Ok(RangeSet::Parts(parts))) => parts.first().copied(),
            _ => None,
        })
    }

    async fn open(&self, range: Option<ByteRange>) -> Result<Streaming, fetch::Error> {
        let entry = &self.listed.link.entry;
        let pairs = entry.headers.iter().map(|(name, value)| (name, value));
        let voucher = self.follower.voucher();
        let scope = resolve::scope_of(self.client, &entry.url, voucher.as_ref()).await?;
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
            ..Request::new(entry.url.clone(), scope, self.client.manners())
        };
        self.client.open(&request).await
    }
}

/// `bytes 0-0/1234` (RFC 9110 §14.4)
fn length_of(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

fn answer(app: &App, streaming: Streaming, range: Option<ByteRange>) -> Result<Response, Problem> {
    let head = streaming.head.clone();
    let is_part = head.status == StatusCode::PARTIAL_CONTENT.as_u16();
    if range.is_some_and(|range| range.start > 0) && !is_part {
        return Err(later("the source does not serve ranges"));
    }
    // An endless stream would hold up our end until it is cut.
    let stop = app.settings.stop.clone().cancelled_owned();
    let body = streaming.into_stream().take_until(stop);
    let mut response = Body::from_stream(body).into_response();
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
