//! `POST /streams/activate`, `POST /streams/deactivate`, `GET /streams/active`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use resolve::{Board, Listed};
use schedule::rfc3339;
use serde::Deserialize;
use serde_json::json;

use super::{Params, Reveal, Viewer, invalid, may_see_links};
use crate::body::Whole;
use crate::error::{Compat, Problem};
use crate::state::App;

/// `{"url":…,"site_key":…}`
#[derive(Debug, Deserialize)]
struct Named {
    url: String,
}

fn named(body: Result<Whole, Problem>) -> Result<Named, Problem> {
    let Whole(body) = body?;
    serde_json::from_slice(&body).map_err(|_| {
        invalid("the body must be JSON with a \"url\"")
            .with_status(StatusCode::UNPROCESSABLE_ENTITY)
    })
}

/// Leases the entry behind a reference, or behind a link that a resolver returned.
pub(super) async fn activate(
    _: Viewer,
    State(app): State<App>,
    body: Result<Whole, Problem>,
) -> Result<Response, Compat> {
    let Named { url } = named(body)?;
    let resolvers = app.live.resolvers();
    let Some(key) = resolvers.find(&url) else {
        let why = "Could not determine site_key for this URL: no resolver has returned it.";
        return Ok(Json(json!({"status": "error", "detail": why})).into_response());
    };
    resolvers.activate(&key).await;
    let activated = json!({
        "status": "activated",
        "url": url,
        "site_key": key.resolver,
        "active_count": active_count(&app),
    });
    Ok(Json(activated).into_response())
}

/// Only a hint: whoever plays renews the lease, and others who said that they watch still do.
pub(super) async fn deactivate(
    _: Viewer,
    State(app): State<App>,
    body: Result<Whole, Problem>,
) -> Result<Response, Compat> {
    let Named { url } = named(body)?;
    let resolvers = app.live.resolvers();
    if let Some(key) = resolvers.find(&url) {
        resolvers.deactivate(&key).await;
    }
    let left = json!({"status": "deactivated", "url": url, "active_count": active_count(&app)});
    Ok(Json(left).into_response())
}

/// Entries that somebody watches.
fn leased(board: &Board) -> impl Iterator<Item = &Listed> {
    let leases = board.leases.keys();
    leases.filter_map(|entry| board.entries.get(entry))
}

fn active_count(app: &App) -> usize {
    let boards = app.live.resolvers().boards();
    boards.iter().map(|(_, board)| leased(board).count()).sum()
}

/// What is watched, and how its links fare.
pub(super) async fn list(
    _: Viewer,
    State(app): State<App>,
    Params(reveal): Params<Reveal>,
    headers: HeaderMap,
) -> Response {
    let reveal = may_see_links(&app, &reveal, &headers);
    let mut streams = Vec::new();
    for (spec, board) in app.live.resolvers().boards() {
        for listed in leased(&board) {
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
