//! Private libraries over HTTP: assets and their shares for who administers, playlists and bytes for who
//! holds a grant.

pub(crate) mod assets;
pub(crate) mod metrics;
pub(crate) mod mint;
mod password;
pub(crate) mod play;
pub(crate) mod share;
pub(crate) mod shares;
pub(crate) mod stream;
mod throttle;

use std::convert::Infallible;
use std::net::IpAddr;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::middleware;
use axum::response::Response;
use axum::routing::{delete, get, post};
use grant::{Actions, Ask, Wanted};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use http::request::Parts;

use crate::client::{Requester, peer};
use crate::cors;
use crate::state::App;

pub use mint::{Minted, create_grant};
pub use shares::{ShareOptions, create_share, describe_share};
pub(crate) use throttle::Throttle;

/// What needs an API key.
pub(crate) fn administration() -> Router<App> {
    Router::new()
        .route("/api/v1/assets", get(assets::list).post(assets::add))
        .route(
            "/api/v1/assets/{id}",
            get(assets::one)
                .patch(assets::change)
                .delete(assets::remove),
        )
        .route("/api/v1/assets/{id}/revoke", post(assets::revoke))
        .route(
            "/api/v1/assets/{id}/shares",
            get(shares::of_asset).post(shares::add),
        )
        .route("/api/v1/libraries", get(assets::libraries))
        .route(
            "/api/v1/libraries/{id}/scan",
            get(assets::scanned).post(assets::scan),
        )
        .route(
            "/api/v1/shares/{token}",
            get(shares::one)
                .patch(shares::change)
                .delete(shares::remove),
        )
        .route("/api/v1/shares/{token}/activity", get(shares::activity))
        .route("/api/v1/grants", post(mint::mint))
        .route("/api/v1/grants/{id}", delete(mint::revoke))
        .layer(middleware::map_response(not_stored))
}

/// What names tokens is kept by nobody on its way.
async fn not_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What viewers ask for. Every page may read it: the URL is the permission.
pub(crate) fn viewing() -> Router<App> {
    Router::new()
        .route(
            "/assets/{id}/stream",
            get(stream::of_asset).options(cors::preflight),
        )
        .route(
            "/stream/hls/{*path}",
            get(stream::playlist).options(cors::preflight),
        )
        .route("/vod/{*path}", get(play::file).options(cors::preflight))
        .route(
            "/download/{*path}",
            get(play::download).options(cors::preflight),
        )
        .route(
            "/share/{token}",
            get(share::show).post(share::enter).options(cors::preflight),
        )
        .route(
            "/share/{token}/stream/{asset}",
            get(share::stream).options(cors::preflight),
        )
        .route(
            "/api/v1/grants/exchange",
            post(mint::exchange).options(cors::preflight_to_post),
        )
        .layer(middleware::map_response(cors::allow))
}

/// Who asks, for the binding of grants and the counting of tries.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
}

impl Caller {
    /// What a grant is asked.
    pub(crate) fn ask<'a>(&'a self, wanted: Wanted<'a>, action: Actions) -> Ask<'a> {
        Ask {
            wanted,
            action,
            address: self.address,
            user_agent: &self.user_agent,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let requester = Requester::new(&parts.headers, peer(parts), app);
        Ok(Self {
            address: requester.key.address,
            user_agent: requester.key.user_agent,
        })
    }
}
