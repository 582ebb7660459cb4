//! The routes of an earlier system that existing front ends read: what resolvers found, what is watched,
//! what is on, and the bytes behind it. Their shapes are that system's, errors included (`{"detail":…}`).
//!
//! `url` is an opaque reference wherever a viewer sees it: an entry's name, which tells no link and may be
//! given back. The links themselves are shown with the API key and `?reveal=1` only.

mod active;
mod file;
mod listing;
mod proxy;
pub(crate) mod schedule;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::auth::has_key;
use crate::cors;
use crate::state::App;

/// Written without padding, read with and without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Characters of a reference or a link.
const URL_MAX: usize = 8 << 10;

/// `?reveal=1`
#[derive(Debug, Deserialize)]
struct Reveal {
    reveal: Option<String>,
}

/// All of these routes, readable by every page.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/streams", get(listing::live).options(preflight))
        .route("/streams/all", get(listing::all).options(preflight))
        .route(
            "/streams/activate",
            post(active::activate).options(preflight),
        )
        .route(
            "/streams/deactivate",
            post(active::deactivate).options(preflight),
        )
        .route("/streams/active", get(active::list).options(preflight))
        .route("/extractors", get(listing::extractors).options(preflight))
        .route("/extract", post(listing::extract).options(preflight))
        .route("/proxy", get(proxy::playlist).options(preflight))
        .route("/relay", get(proxy::relay).options(preflight))
        .route("/schedule", get(schedule::races).options(preflight))
        .route(
            "/schedule/refresh",
            post(schedule::refresh).options(preflight),
        )
        .route("/schedule.ics", get(schedule::export).options(preflight))
        .route("/health", get(health).options(preflight))
        .layer(middleware::map_response(cors::allow))
}

async fn health() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::OK, headers).into_response()
}

/// An error in the shape of the system that these routes stand in for.
fn detail(status: StatusCode, detail: impl Into<String>) -> Response {
    (status, Json(json!({"detail": detail.into()}))).into_response()
}

/// What players try again after.
fn later(why: impl Into<String>) -> Response {
    let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, why);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn may_see_links(app: &App, reveal: &Reveal, headers: &HeaderMap) -> bool {
    let wanted = reveal.reveal.as_deref().is_some_and(|reveal| reveal != "0");
    wanted && has_key(app, headers)
}

/// What `url=` of `/proxy` and `/relay` says.
fn decoded(url: &str) -> Option<String> {
    let text = BASE64URL
        .decode(url)
        .ok()
        .filter(|_| url.len() <= URL_MAX)?;
    String::from_utf8(text).ok()
}
