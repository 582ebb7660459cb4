//! `POST /streams/activate`, `POST /streams/deactivate`, `GET /streams/active`.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use schedule::rfc3339;
use serde::Deserialize;
use serde_json::json;

use super::{Reveal, detail, may_see_links};
use crate::body::Whole;
use crate::error::Problem;
use crate::state::App;

/// `{"url":…,"site_key":…}`
#[derive(Debug, Deserialize)]
struct Named {
    url: String,
}

fn named(body: Result<Whole, Problem>) -> Option<Named> {
    let Whole(body) = body.ok()?;
    serde_json::from_slice(&body).ok()
}

fn unprocessable() -> Response {
    detail(
        StatusCode::UNPROCESSABLE_ENTITY,
        "the body must be JSON with a \"url\"",
    )
}

/// Leases the entry behind a reference, or behind a link that a resolver returned.
pub(super) async fn activate(State(app): State<App>, body: Result<Whole, Problem>) -> Response {
    let Some(Named { url }) = named(body) else {
        return unprocessable();
    };
    let resolvers = app.live.resolvers();
    let Some(key) = resolvers.find(&url) else {
        let why = "Could not determine site_key for this URL: no resolver has returned it.";
        return Json(json!({"status": "error", "detail": why})).into_response();
    };
    resolvers.activate(&key).await;
    Json(json!({
        "status": "activated",
        "url": url,
        "site_key": key.resolver,
        "active_count": active_count(&app),
    }))
    .into_response()
}

/// Only a hint: whoever plays renews the lease, and others who said that they watch still do.
pub(super) async fn deactivate(State(app): State<App>, body: Result<Whole, Problem>) -> Response {
    let Some(Named { url }) = named(body) else {
        return unprocessable();
    };
    let resolvers = app.live.resolvers();
    if let Some(key) = resolvers.find(&url) {
        resolvers.deactivate(&key).await;
    }
    Json(json!({"status": "deactivated", "url": url, "active_count": active_count(&app)}))
        .into_response()
}

fn active_count(app: &App) -> usize {
    let boards = app.live.resolvers().boards();
    boards.iter().map(|(_, board)| board.leases.len()).sum()
}

/// What is watched, and how its links fare.
pub(super) async fn list(
    State(app): State<App>,
    Query(reveal): Query<Reveal>,
    headers: HeaderMap,
) -> Response {
    let reveal = may_see_links(&app, &reveal, &headers);
    let mut streams = Vec::new();
    for (spec, board) in app.live.resolvers().boards() {
        let leased = board
            .leases
            .keys()
            .filter_map(|entry| board.entries.get(entry));
        for listed in leased {
            let current = match reveal {
                true => listed.link.entry.url.to_string(),
                false => listed.reference.clone(),
            };
            streams.push(json!({
                "original_url": listed.reference,
                "current_url": current,
                "site_key": spec.id,
                "last_refreshed": rfc3339(listed.refreshed_ms),
                "refresh_count": listed.refreshes,
                "last_error": board.error,
            }));
        }
    }
    Json(json!({"streams": streams, "count": streams.len()})).into_response()
}
