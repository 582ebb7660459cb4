//! Bodies as players want them: encodings, ETags, ranges, cache lifetimes.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::RangeSet;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use grant::Admitted;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use live::{Listener, Rendered};

use crate::state::App;

/// RFC 8216 §4 names two types; this one is what the compatible routes promise.
pub(crate) const PLAYLIST: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
pub(crate) const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What a request says of the body that it wants; no more of its headers is copied.
#[derive(Clone, Debug)]
pub(crate) struct Wants {
    gzip: bool,
    if_none_match: Option<HeaderValue>,
    range: Option<HeaderValue>,
}

impl Wants {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            gzip: accepts_gzip(headers),
            if_none_match: headers.get(IF_NONE_MATCH).cloned(),
            range: range(method, headers).cloned(),
        }
    }
}

/// The part that is asked for: of a GET (RFC 9110 §14.2), and of what is here now. What a part of
/// something older belongs to is not asked: all of it, then (§13.1.5).
pub(crate) fn range<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let ranged = method == Method::GET && !headers.contains_key(IF_RANGE);
    headers.get(RANGE).filter(|_| ranged)
}

/// A playlist: gzip if the player takes it, 304 if it has it.
pub(crate) fn playlist(rendered: &Rendered, request: &Wants) -> Response {
    let gzip = request.gzip;
    let form = if gzip {
        rendered.gzip()
    } else {
        rendered.identity()
    };
    let known = request
        .if_none_match
        .as_ref()
        .and_then(|value| value.to_str().ok());
    let known = known.is_some_and(|tags| matches_etag(tags, &form.etag));
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(form.body).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAYLIST);
    let max_age = format!("public, max-age={}", rendered.max_age.as_secs());
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::try_from(max_age).expect("ascii"),
    );
    headers.insert(ETAG, HeaderValue::try_from(form.etag).expect("hexadecimal"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip && !known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Bytes that never change under their URL: a segment, a key, an initialisation section. One range is
/// served as such; several at once are no player's wish, and get the whole (RFC 9110 §14.2).
pub(crate) fn immutable(body: &Bytes, mime: &'static str, request: &Wants) -> Response {
    let length = body.len() as u64;
    let range = request.range.as_ref().and_then(|value| value.to_str().ok());
    let mut response = match RangeSet::resolve(range, length) {
        Ok(RangeSet::Parts(parts)) if parts.len() == 1 => {
            let part = parts[0];
            // Both ends lie inside a body that is in memory.
            let slice = body.slice(part.start as usize..part.end as usize);
            let mut response = (StatusCode::PARTIAL_CONTENT, Body::from(slice)).into_response();
            let value = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            response
                .headers_mut()
                .insert(CONTENT_RANGE, HeaderValue::try_from(value).expect("ascii"));
            response
        }
        Ok(_) => Body::from(body.clone()).into_response(),
        Err(unsatisfiable) => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            let value = format!("bytes */{}", unsatisfiable.length);
            response
                .headers_mut()
                .insert(CONTENT_RANGE, HeaderValue::try_from(value).expect("ascii"));
            return response;
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(CACHE_CONTROL, IMMUTABLE);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// Bytes that another source may replace under the same URL.
pub(crate) fn passing(body: &Bytes, request: &Wants) -> Response {
    let mut response = immutable(body, "application/octet-stream", request);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A continuous transport stream, until it ends, or we do, or the grant that let it in.
pub(crate) fn endless(listener: Listener, app: &App, admitted: Option<Admitted>) -> Response {
    let stop = app.settings.stop.clone();
    let state = (listener, app.clone(), admitted);
    let chunks = stream::unfold(state, async |(mut listener, app, mut admitted)| {
        let chunk = listener.next().await?;
        if let Some(admitted) = &mut admitted {
            let still = app.grants.gate().may_go_on(admitted, app.grants.now_ms());
            still.ok()?;
        }
        Some((Ok::<_, Infallible>(chunk), (listener, app, admitted)))
    });
    let mut response = Body::from_stream(chunks.take_until(stop.cancelled_owned())).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("video/MP2T"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    // nginx would keep a gigabyte for a slow player, and we would never hear of it.
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    response
}

pub(crate) fn accepts_gzip(request: &HeaderMap) -> bool {
    let value = request
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    value.split(',').any(|item| {
        let (name, quality) = item.split_once(';').unwrap_or((item, ""));
        let refused = quality
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.trim().parse() == Ok(0.0));
        let gzip = ["gzip", "x-gzip"]
            .iter()
            .any(|gzip| name.trim().eq_ignore_ascii_case(gzip));
        gzip && !refused
    })
}

pub(crate) fn matches_etag(tags: &str, etag: &str) -> bool {
    tags.trim() == "*"
        || tags
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_to_who_takes_it() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(accepts("GZIP") && accepts("gzip, deflate, br") && accepts("br;q=1.0, gzip;q=0.8"));
        assert!(!accepts("br") && !accepts("gzip;q=0") && !accepts("") && !accepts("notgzip"));
    }

    #[test]
    fn etags_match_weakly_and_in_lists() {
        assert!(matches_etag("\"a\", W/\"b\"", "\"b\"") && matches_etag("*", "\"b\""));
        assert!(!matches_etag("\"bb\"", "\"b\""));
    }
}
