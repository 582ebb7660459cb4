//! The map of all paths.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RETRY_AFTER,
};
use http::{Method, StatusCode};
use tower_http::cors::{Any, CorsLayer};

use crate::state::App;
use crate::{api, compat, events, metrics, openapi, page, playlists, watch};

/// A body of ours is a small JSON document.
const BODY_MAX: usize = 256 * 1024;

/// Every route over the given state.
pub fn router(app: App) -> Router {
    viewing()
        .merge(administration())
        .route("/", get(page::index))
        .route("/assets/{file}", get(page::asset))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/api/openapi.json", get(openapi::openapi))
        .fallback(watch::nothing)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// What players ask for: readable from every page, since the URL is the permission.
fn viewing() -> Router<App> {
    let exposed = [
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_ENCODING,
        ACCEPT_RANGES,
        ETAG,
        RETRY_AFTER,
    ];
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers(exposed)
        .max_age(std::time::Duration::from_secs(86_400))
        // The answer is the same for every origin.
        .vary([]);
    Router::new()
        .route("/live/{channel}/index.m3u8", get(watch::index))
        .route("/live/{channel}/{file}", get(watch::extra))
        .route("/live/{channel}/{track}/{file}", get(watch::track_file))
        .route("/stream/{channel}", get(compat::playlist))
        .route("/stream/{channel}/segments/{file}", get(compat::segment))
        .route("/channels.m3u", get(playlists::channels))
        .layer(cors)
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
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    app.metrics.requests.count(response.status());
    response
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
