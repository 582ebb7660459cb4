//! Answers as values, and what HTTP asks of them: ranges, entity tags, lengths.

use base::RangeSet;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::body::{Body, Manner};
use super::playlist;
use super::stats::Gauge;
use crate::Sha256;

/// An answer before it is a response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) manner: Manner,
}

impl Answer {
    pub(super) fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
        Self {
            status: StatusCode::OK,
            headers,
            body: body.into(),
            manner: Manner::Whole,
        }
    }

    pub(super) fn status(status: StatusCode) -> Self {
        Self {
            status,
            ..Self::new("text/plain", status.to_string())
        }
    }

    pub(super) fn playlist(body: Vec<u8>) -> Self {
        let mut answer = Self::new("application/vnd.apple.mpegurl", body);
        answer
            .headers
            .push((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
        answer
    }

    pub(super) fn redirect(to: &str) -> Self {
        let location = HeaderValue::try_from(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
        let mut answer = Self::status(StatusCode::FOUND);
        answer.headers.push((header::LOCATION, location));
        answer
    }

    pub(super) fn encoded(mut self, gzip: bool) -> Self {
        if gzip {
            self.headers
                .push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
            self.body = playlist::gzip(&self.body).into();
        }
        self
    }

    /// Adds the entity tag, and answers 304 to who knows it.
    pub(super) fn conditional(mut self, request: &Request<Incoming>) -> Self {
        let tag = format!("\"{}\"", Sha256::of(&self.body));
        let known = request
            .headers()
            .get(header::IF_NONE_MATCH)
            .is_some_and(|known| known.as_bytes() == tag.as_bytes());
        if known {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = Bytes::new();
        }
        self.headers.extend(
            HeaderValue::try_from(tag)
                .ok()
                .map(|tag| (header::ETAG, tag)),
        );
        self
    }

    /// A segment, or the single range of it that is asked for; more than one get the whole.
    pub(super) fn segment(body: Bytes, request: &Request<Incoming>) -> Self {
        let mut answer = Self::new("video/mp2t", body);
        answer
            .headers
            .push((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")));
        let length = answer.body.len() as u64;
        let range = request
            .headers()
            .get(header::RANGE)
            .and_then(|range| range.to_str().ok());
        let (status, content_range) = match RangeSet::resolve(range, length) {
            Ok(RangeSet::Parts(parts)) if parts.len() == 1 => {
                let part = parts[0];
                answer.body = answer.body.slice(part.start as usize..part.end as usize);
                (
                    StatusCode::PARTIAL_CONTENT,
                    format!("bytes {}-{}/{length}", part.start, part.end - 1),
                )
            }
            Ok(_) => return answer,
            Err(_) => {
                answer.body = Bytes::new();
                (
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    format!("bytes */{length}"),
                )
            }
        };
        answer.status = status;
        answer.headers.extend(
            HeaderValue::try_from(content_range)
                .ok()
                .map(|value| (header::CONTENT_RANGE, value)),
        );
        answer
    }

    pub(super) fn into_response(self, method: &Method, running: Gauge) -> Response<Body> {
        let length = self.body.len();
        let (body, manner) = if method == Method::HEAD {
            (Bytes::new(), Manner::Whole)
        } else {
            (self.body, self.manner)
        };
        let mut response = Response::new(Body::new(body, manner, running));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        if manner != Manner::Endless && self.status != StatusCode::NOT_MODIFIED {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
        response
    }
}
