//! Files in whole and in part: conditional requests and ranges (RFC 9110 §13 and §14).
//!
//! A body is exactly as long as its head says, or its connection ends.

use std::fmt::Display;
use std::io;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{ByteRange, RangeSet};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use grant::Admitted;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::error::Problem;
use crate::media::matches_etag;
use crate::state::App;

/// What is said of a file beside its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Represented<'a> {
    /// Of the whole.
    pub(crate) length: u64,
    /// With its quotes; empty for none.
    pub(crate) etag: &'a str,
    /// Media type.
    pub(crate) mime: &'static str,
}

/// What a request gets of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    NotModified,
    Whole,
    Part(ByteRange),
    /// Two or more, in the order they were asked for.
    Parts(Vec<ByteRange>),
}

/// A body of several parts (RFC 9110 §14.6): what stands before each of them and behind the last.
#[derive(Debug)]
pub(crate) struct Multipart {
    pub(crate) mime: HeaderValue,
    pub(crate) length: u64,
    pub(crate) parts: Vec<(Bytes, ByteRange)>,
    pub(crate) end: Bytes,
}

/// Files do not change under their name, but their grant may end: the viewer's own browser keeps them
/// for as long as seeking back makes sense.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=300");
/// What others put together is data, whatever it says of itself.
const INERT: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

impl Represented<'_> {
    /// What a GET or HEAD with these headers gets.
    ///
    /// # Errors
    /// 412 for another version than the one asked for, 416 where no range lies inside.
    pub(crate) fn select(&self, method: &Method, headers: &HeaderMap) -> Result<Selected, Problem> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // RFC 9110 §13.2.2: in this order.
        if text(IF_MATCH).is_some_and(|tags| !matches_strongly(tags, self.etag)) {
            return Err(Problem::precondition_failed());
        }
        let known = text(IF_NONE_MATCH).is_some_and(|tags| matches_etag(tags, self.etag));
        if known && !self.etag.is_empty() {
            return Ok(Selected::NotModified);
        }
        // A part of something older than what is here would be a part of something else.
        let is_current = text(IF_RANGE).is_none_or(|tag| matches_strongly(tag, self.etag));
        let range = text(RANGE).filter(|_| method == Method::GET && is_current);
        let parts = match RangeSet::resolve(range, self.length) {
            Ok(RangeSet::Whole) => return Ok(Selected::Whole),
            Ok(RangeSet::Parts(parts)) => parts,
            Err(unsatisfiable) => return Err(Problem::unsatisfiable(unsatisfiable.length)),
        };
        let asked: u64 = parts.iter().map(ByteRange::len).sum();
        Ok(match parts[..] {
            [part] => Selected::Part(part),
            // Ranges that overlap again and again are an attack, not a player (§14.2).
            _ if asked > self.length => Selected::Whole,
            _ => Selected::Parts(parts),
        })
    }

    /// The head for `selected`, with `body` behind it.
    pub(crate) fn respond(&self, selected: &Selected, body: Body) -> Response {
        let (status, length) = match selected {
            Selected::NotModified => (StatusCode::NOT_MODIFIED, None),
            Selected::Whole => (StatusCode::OK, Some(self.length)),
            Selected::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part.len())),
            // Its type and length are those of the body's own making.
            Selected::Parts(_) => (StatusCode::PARTIAL_CONTENT, None),
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.mime));
        headers.insert(CACHE_CONTROL, CACHE);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        make_inert(headers);
        headers.extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
        let etag = HeaderValue::try_from(self.etag).ok();
        headers.extend(
            etag.filter(|etag| !etag.is_empty())
                .map(|etag| (ETAG, etag)),
        );
        if let Selected::Part(part) = selected {
            let value = HeaderValue::try_from(self.content_range(*part));
            headers.extend(value.map(|value| (CONTENT_RANGE, value)));
        }
        response
    }

    /// The parts of a body that has several; `boundary` must not occur in the file.
    pub(crate) fn multipart(&self, parts: &[ByteRange], boundary: &str) -> Multipart {
        let mut length = 0;
        let parts: Vec<_> = parts
            .iter()
            .map(|part| {
                let head = format!(
                    "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                    self.mime,
                    self.content_range(*part)
                );
                length += head.len() as u64 + part.len();
                (Bytes::from(head), *part)
            })
            .collect();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let mime = format!("multipart/byteranges; boundary={boundary}");
        Multipart {
            mime: HeaderValue::try_from(mime).expect("a boundary is plain text"),
            length: length + end.len() as u64,
            parts,
            end,
        }
    }

    fn content_range(&self, part: ByteRange) -> String {
        format!("bytes {}-{}/{}", part.start, part.end - 1, self.length)
    }
}

/// Nothing in a response with these headers runs as ours.
pub(crate) fn make_inert(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CONTENT_SECURITY_POLICY, INERT);
}

/// The bytes, until the grant that let them in ends.
pub(crate) fn watched<E: Display>(
    app: App,
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    admitted: Option<Admitted>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((app, bytes, admitted)), async |state| {
        let (app, mut bytes, mut admitted) = state?;
        let next = bytes.next().await?;
        if let Some(admitted) = &mut admitted
            && let Err(refused) = app.grants.gate().may_go_on(admitted, app.grants.now_ms())
        {
            tracing::info!(session = %admitted.grant.session, %refused, "a transfer was ended");
            return Some((Err(io::Error::other("the grant has ended")), None));
        }
        match next {
            Ok(chunk) => Some((Ok(chunk), Some((app, bytes, admitted)))),
            Err(error) => {
                tracing::warn!(%error, "a transfer failed on its way");
                Some((Err(io::Error::other("the transfer failed")), None))
            }
        }
    })
}

/// RFC 9110 §8.8.3.2: a weak tag is never strongly the same; nor is a date, since we send none.
fn matches_strongly(tags: &str, etag: &str) -> bool {
    let is_same = |tag: &str| !etag.is_empty() && tag.trim() == etag;
    tags.trim() == "*" || tags.split(',').any(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Represented<'static> = Represented {
        length: 100,
        etag: "\"a\"",
        mime: "video/mp4",
    };

    #[track_caller]
    fn check(headers: &[(http::HeaderName, &str)], expected: &Result<Selected, StatusCode>) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        let got = FILE.select(&Method::GET, &headers);
        let got = got.map_err(|problem| problem.into_response().status());
        assert_eq!(&got, expected, "{headers:?}");
    }

    const fn part(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    #[test]
    fn conditions_are_looked_at_in_the_order_of_the_standard() {
        check(&[], &Ok(Selected::Whole));
        check(&[(RANGE, "bytes=-10")], &Ok(Selected::Part(part(90, 100))));
        check(
            &[(RANGE, "bytes=0-0,50-59")],
            &Ok(Selected::Parts(vec![part(0, 1), part(50, 60)])),
        );
        check(&[(RANGE, "bytes=0-,0-,0-")], &Ok(Selected::Whole));
        check(
            &[(RANGE, "bytes=100-")],
            &Err(StatusCode::RANGE_NOT_SATISFIABLE),
        );
        for same in ["\"a\"", "\"b\", \"a\"", "*"] {
            let range = (RANGE, "bytes=0-9");
            check(
                &[(IF_RANGE, same), range.clone()],
                &Ok(Selected::Part(part(0, 10))),
            );
            check(&[(IF_NONE_MATCH, same), range], &Ok(Selected::NotModified));
        }
        for other in ["\"b\"", "W/\"a\"", "Sat, 01 Jan 2000 00:00:00 GMT"] {
            check(
                &[(IF_RANGE, other), (RANGE, "bytes=0-9")],
                &Ok(Selected::Whole),
            );
            check(&[(IF_MATCH, other)], &Err(StatusCode::PRECONDITION_FAILED));
        }
        check(&[(IF_NONE_MATCH, "W/\"a\"")], &Ok(Selected::NotModified));
    }

    #[test]
    fn a_body_of_parts_is_as_long_as_it_says() {
        let ranges = [part(0, 10), part(90, 100)];
        let multipart = FILE.multipart(&ranges, "x");
        let mut body = String::new();
        for (head, range) in &multipart.parts {
            body.push_str(str::from_utf8(head).unwrap());
            body.extend(std::iter::repeat_n('.', range.len() as usize));
        }
        body.push_str(str::from_utf8(&multipart.end).unwrap());
        assert_eq!(body.len() as u64, multipart.length);
        insta::assert_snapshot!(body.replace('\r', ""), @r"

        --x
        Content-Type: video/mp4
        Content-Range: bytes 0-9/100

        ..........
        --x
        Content-Type: video/mp4
        Content-Range: bytes 90-99/100

        ..........
        --x--
        ");
    }
}
