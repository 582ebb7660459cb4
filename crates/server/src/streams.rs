//! The routes of an earlier system that existing front ends read: what resolvers found, what is watched,
//! what is on, and the bytes behind it. Their shapes are that system's, errors included ([`Compat`]).
//!
//! `url` is an opaque reference wherever a viewer sees it: an entry's name, which tells no link and may be
//! given back. The links themselves are shown with the API key and `?reveal=1` only.

mod active;
mod file;
mod listing;
mod proxy;
pub(crate) mod schedule;

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use base::ErrorKind;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::ACCESS_CONTROL_ALLOW_METHODS;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::auth::has_key;
use crate::cors;
use crate::error::{Compat, Problem};
use crate::options::Options;
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
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
/// When a player that got nothing may ask again.
const AGAIN: Duration = Duration::from_secs(2);

/// Leave to see and play what resolvers found: everybody's, unless viewers need grants. There is none
/// for these routes, whose URLs could not carry it: what grants should open is made a channel.
#[derive(Debug)]
struct Viewer;

impl FromRequestParts<App> for Viewer {
    type Rejection = Compat;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Compat> {
        if app.viewers_need_grants() && !has_key(app, &parts.headers) {
            return Err(Problem::unauthorized().into());
        }
        Ok(Self)
    }
}

/// A query; one that does not fit is 400 in the shape of these routes.
#[derive(Debug)]
struct Params<T>(T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Compat;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Compat> {
        let Options(options) = Options::from_request_parts(parts, app).await?;
        Ok(Self(options))
    }
}

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

/// As for all that players ask, and POST.
async fn preflight() -> Response {
    let mut response = cors::preflight().await;
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    response
}

async fn health() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::Invalid, "invalid", detail)
}

/// What players try again after.
fn later(why: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::Unavailable, "later", why).retry_after(AGAIN)
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
