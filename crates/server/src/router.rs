//! The map of all paths but those of players, which [`crate::players`] matches before.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::StatusCode;

use crate::error::Problem;
use crate::state::App;
use crate::{
    api, compat, cors, events, metrics, openapi, page, playlists, resolvers, streams, usenet, vod,
};

/// A body of ours is a small JSON document.
const BODY_MAX: usize = 256 * 1024;

/// Every route over the given state, but those of players.
pub fn router(app: App) -> Router {
    let list = get(playlists::channels)
        .options(cors::preflight)
        .layer(middleware::map_response(cors::allow));
    administration()
        .merge(streams::router())
        .merge(vod::administration())
        .merge(vod::viewing())
        .merge(usenet::administration())
        .merge(usenet::viewing())
        .route("/channels.m3u", list)
        .route("/", get(page::index))
        .route("/assets/{file}", get(page::asset))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/api/openapi.json", get(openapi::openapi))
        .fallback(nothing)
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// What needs an API key.
fn administration() -> Router<App> {
    Router::new()
        .route("/change_stream/{channel}", post(compat::change_stream))
        .route("/api/v1/channels", get(api::channels).post(api::add))
        .route(
            "/api/v1/channels/{id}",
            get(api::channel).put(api::replace).delete(api::remove),
        )
        .route("/api/v1/channels/{id}/switch", post(api::switch))
        .route("/api/v1/channels/{id}/stop", post(api::stop))
        .route("/api/v1/viewers", get(api::viewers))
        .route("/api/v1/viewers/{id}", delete(api::kick))
        .route("/api/v1/reload", post(api::reload))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/resolvers", get(resolvers::list))
        .route("/api/v1/schedule", get(streams::schedule::sessions))
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    app.metrics.requests.count(response.status());
    response
}

/// Any other path: 404 in the words of the API.
pub(crate) async fn nothing() -> Response {
    Problem::not_found("there is nothing at this path").into_response()
}

async fn healthy() -> &'static str {
    "ok\n"
}

/// Ready means that state can be kept.
async fn ready(State(app): State<App>) -> Response {
    match app.store.health().error {
        None => "ready\n".into_response(),
        Some(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the store cannot write: {error}\n"),
        )
            .into_response(),
    }
}
