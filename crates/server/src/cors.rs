//! Cross-origin reading (the Fetch standard's CORS): what players ask for may be read by every page,
//! since the URL is the permission. Everything else may not.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
};
use http::{HeaderValue, StatusCode};

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "content-length,content-range,content-encoding,accept-ranges,etag,retry-after",
);
const DAY: HeaderValue = HeaderValue::from_static("86400");

/// Lets every page read a response.
pub(crate) async fn allow(mut response: Response) -> Response {
    mark(&mut response);
    response
}

/// As [`allow`], in place.
pub(crate) fn mark(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// The answer to a browser that asks before it posts with a bearer token. `*` does not stand for
/// `authorization`.
pub(crate) async fn preflight_to_post() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let methods = HeaderValue::from_static("POST,OPTIONS");
    let asked = HeaderValue::from_static("authorization,content-type");
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
    headers.insert(ACCESS_CONTROL_MAX_AGE, DAY);
    headers.insert(ALLOW, methods);
    response
}

/// The answer to a browser that asks before it sends.
pub(crate) async fn preflight() -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ANY);
    headers.insert(ACCESS_CONTROL_MAX_AGE, DAY);
    headers.insert(ALLOW, METHODS);
    response
}
