//! What comes back: a response's head, and its body whole or as it arrives.

use std::fmt;
use std::time::Duration;

use base::redact_url;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{self, HeaderMap, HeaderValue};
use url::Url;

use crate::body::Body;
use crate::encoding;
use crate::error::{Error, Fault};
use crate::exchange::Arrived;
use crate::patience::{Patience, Total};
use crate::request::Request;
use crate::retry_after;
use crate::slice::Slice;

/// A response with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// Everything but the body.
    pub head: Head,
    /// Unpacked, and cut to the range that was asked for.
    pub body: Bytes,
}

/// A response whose body is still arriving. Dropping it closes the connection.
pub struct Streaming {
    /// Everything but the body.
    pub head: Head,
    redirects: usize,
    /// With gzip, which only a whole body is unpacked from.
    packed: bool,
    body: Body,
}

/// A response without its body.
#[derive(Clone)]
pub struct Head {
    /// 2xx, or what it is for a request of [`Request::any_status`].
    pub status: u16,
    /// As they came.
    pub headers: HeaderMap,
    /// Where redirects led: the base of the references in the body. Secret in `Debug`.
    pub final_url: Url,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// `Content-Range` as sent: what a 206 holds of how much.
    pub content_range: Option<String>,
    /// Length of the body that will be handed out, if it is known.
    pub length: Option<u64>,
    /// What to ask with next time, if the server gave anything.
    pub validators: Option<Validators>,
    /// Time from sending to the final response's headers, without waiting for turns.
    pub first_byte: Duration,
}

/// `ETag` and `Last-Modified` of a response (RFC 9110 §8.8), bound to the URL that sent them: another
/// redirect target may use the same tag for something else.
#[derive(Clone, PartialEq, Eq)]
pub struct Validators {
    pub(crate) url: Url,
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) last_modified: Option<HeaderValue>,
}

impl Streaming {
    /// The next bytes of the body, never empty; `None` at its end. Safe to cancel. An error is final
    /// and is given again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body
            .chunk()
            .await
            .map_err(|fault| fault.at(&self.head.final_url, self.redirects))
    }

    /// The first bytes that [`Self::chunk`] will hand out: at least `least` of them, fewer only where
    /// the body is shorter. Nothing can be seen of a body in gzip, which only a document has.
    pub async fn start(&mut self, least: usize) -> Result<&[u8], Error> {
        if self.packed {
            return Ok(b"");
        }
        let (url, redirects) = (&self.head.final_url, self.redirects);
        let start = self.body.start(least).await;
        start.map_err(|fault| fault.at(url, redirects))
    }

    /// The whole body, unpacked, of at most `limit` bytes.
    pub async fn document(mut self, limit: u64) -> Result<Response, Error> {
        let limited = self.body.limit_to(limit);
        limited.map_err(|fault| fault.at(&self.head.final_url, self.redirects))?;
        self.collect(limit).await
    }

    /// Lifts the request's limit on time in all: the body goes on for as long as its pieces come
    /// within `idle` of each other. One in gzip is refused.
    pub fn endless(mut self, idle: Duration) -> Result<Self, Error> {
        self.body.endless(idle);
        self.unpacked()
    }

    /// The body as a stream that ends after its first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::try_unfold(self, async |mut streaming| {
            Ok(streaming.chunk().await?.map(|bytes| (bytes, streaming)))
        })
    }

    /// Takes an exchange's response if it carries what `request` asked for.
    pub(crate) fn accept(arrived: Arrived, request: &Request, total: Total) -> Result<Self, Error> {
        let Arrived {
            response,
            turn,
            url,
            redirects,
            first_byte,
            ..
        } = arrived;
        let take = || {
            let (status, headers) = (response.status(), response.headers());
            if !status.is_success() && !request.any_status {
                return Err(Fault::Status {
                    code: status.as_u16(),
                    retry_after: retry_after::parse(headers),
                });
            }
            let packed = encoding::is_gzip(headers)?;
            if packed && request.range.is_some() {
                return Err(GZIP_UNASKED);
            }
            let range = request.range.filter(|_| status.is_success());
            let slice = Slice::new(range, request.range_may_exceed, status, headers)?;
            let mut head = Head::new(&response, &url, first_byte);
            let patience = Patience::new(&request.timeouts, total, request.pace);
            let body = Body::new(response, turn, patience, slice, request.body_max)?;
            head.length = body.length().filter(|_| !packed);
            Ok(Self {
                head,
                redirects,
                packed,
                body,
            })
        };
        take().map_err(|fault| fault.at(&url, redirects))
    }

    /// Itself, if its bytes can be handed on as they come.
    pub(crate) fn unpacked(self) -> Result<Self, Error> {
        if self.packed {
            Err(GZIP_UNASKED.at(&self.head.final_url, self.redirects))
        } else {
            Ok(self)
        }
    }

    /// Waits for the whole body and unpacks it to at most `limit` bytes.
    pub(crate) async fn collect(self, limit: u64) -> Result<Response, Error> {
        let Self {
            mut head,
            redirects,
            packed,
            body,
        } = self;
        let body = body.collect().await.and_then(|body| {
            if packed {
                encoding::gunzip(&body, limit)
            } else {
                Ok(body)
            }
        });
        let body = body.map_err(|fault| fault.at(&head.final_url, redirects))?;
        head.length = Some(body.len() as u64);
        Ok(Response { head, body })
    }
}

const GZIP_UNASKED: Fault = Fault::Encoding("gzip where it was not asked for");

impl Head {
    fn new(response: &reqwest::Response, url: &Url, first_byte: Duration) -> Self {
        let headers = response.headers();
        let text = |name| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.map(ToOwned::to_owned)
        };
        Self {
            status: response.status().as_u16(),
            headers: headers.clone(),
            final_url: url.clone(),
            content_type: text(header::CONTENT_TYPE),
            content_range: text(header::CONTENT_RANGE),
            length: None,
            validators: Validators::new(headers, url),
            first_byte,
        }
    }
}

impl Validators {
    fn new(headers: &HeaderMap, url: &Url) -> Option<Self> {
        let [etag, last_modified] =
            [header::ETAG, header::LAST_MODIFIED].map(|name| headers.get(name).cloned());
        (etag.is_some() || last_modified.is_some()).then(|| Self {
            url: url.clone(),
            etag,
            last_modified,
        })
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("status", &self.status)
            .field("final_url", &redact_url(&self.final_url))
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .field("validators", &self.validators)
            .field("first_byte", &self.first_byte)
            .finish()
    }
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Validators")
    }
}
