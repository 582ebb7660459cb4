//! The compatible routes: `GET /assets/{id}/stream` and `GET /stream/hls/{path}?token=`, with errors as
//! `{"detail": "…"}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use grant::hls_token::HlsToken;
use grant::{Actions, Order, Subject, Wanted, hls_token};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use vod::Asset;

use super::{Caller, play};
use crate::auth::{bearer, has_key};
use crate::error::{Compat, Problem};
use crate::options::{Options, flag};
use crate::state::App;

/// Where to play, or to save.
#[derive(Debug, Serialize)]
pub(crate) struct StreamUrl {
    pub(crate) url: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default, deserialize_with = "flag")]
    download: bool,
    grant: Option<String>,
}

/// `GET /assets/{id}/stream`.
pub(crate) async fn of_asset(
    State(app): State<App>,
    Path(id): Path<String>,
    options: Result<Options<StreamOptions>, Problem>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<StreamUrl, Compat> {
    let Options(options) = options?;
    let order = if has_key(&app, &headers) {
        let scope = Subject::Asset(app.vod.asset(&id).await?.id);
        Order {
            actions: Actions::PLAY.and(Actions::DOWNLOAD),
            ..Order::play(app.grants.gate().basis(scope, None))
        }
    } else {
        let shown = options.grant.as_deref().or_else(|| bearer(&headers));
        let shown = shown.ok_or_else(Problem::unauthorized)?;
        let asset = app.vod.asset(&id).await;
        // Without a grant nobody learns which ids there are.
        let asset = asset.map_err(|_| Problem::from(grant::Refused::OtherScope))?;
        let action = if options.download {
            Actions::DOWNLOAD
        } else {
            Actions::PLAY
        };
        let ask = caller.ask(Wanted::Asset(asset.id), action);
        let admitted = app.grants.gate().admit(shown, &ask, app.grants.now_ms());
        let grant = admitted.map_err(Problem::from)?.grant;
        Order {
            until_s: grant.until_s,
            actions: grant.actions,
            binding: grant.binding.clone(),
            ..Order::play(grant.basis())
        }
    };
    let asset = app.vod.wanted(&id).await?;
    let url = url_of(&app, &asset, options.download, order)?;
    Ok(StreamUrl { url })
}

/// Where an asset plays, or is saved from: the playlist's proxy for HLS, else a file. `order` is what may
/// be done with it, in all.
pub(super) fn url_of(
    app: &App,
    asset: &Asset,
    download: bool,
    order: Order,
) -> Result<String, Problem> {
    if !download && asset.is_hls() {
        let path = app.vod.entry_path(asset)?;
        let (grant, text) = app.grants.mint(order)?;
        let now_s = app.grants.now_ms() / 1000;
        let idle_s =
            i64::try_from(app.grants.gate().rules().idle_max.as_secs()).unwrap_or(i64::MAX);
        let until_s = grant
            .until_s
            .and_then(|s| i64::try_from(s).ok())
            .unwrap_or(i64::MAX);
        let expires_s = now_s.saturating_add(idle_s).min(until_s);
        let prefix = asset
            .prefix()
            .map(|prefix| prefix.as_str().to_owned())
            .unwrap_or_default();
        let token = hls_token::mint(app.grants.hls_secret().expose(), &prefix, expires_s, &text);
        return Ok(format!("/stream/hls/{path}?token={token}"));
    }
    if let Some(url) = app.vod.file_url(asset, download)? {
        return Ok(url.into());
    }
    let only = |actions| Order { actions, ..order };
    if download {
        let key = app.vod.file_key(asset, true)?;
        let (_, grant) = app.grants.mint(only(Actions::DOWNLOAD))?;
        return Ok(play::download_path(asset, &grant, key));
    }
    let path = app.vod.entry_path(asset)?;
    let (_, grant) = app.grants.mint(only(Actions::PLAY))?;
    Ok(format!("/vod/{}/{grant}/{path}", asset.id))
}

#[derive(Debug, Deserialize)]
pub(crate) struct TokenOption {
    #[serde(default)]
    token: String,
}

/// `GET /stream/hls/{path}?token=`.
pub(crate) async fn playlist(
    State(app): State<App>,
    options: Result<Options<TokenOption>, Problem>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Compat> {
    let Options(TokenOption { token }) = options?;
    let path = uri.path().strip_prefix("/stream/hls/").unwrap_or_default();
    let now_ms = app.grants.now_ms();
    let secret = app.grants.hls_secret();
    let claims = hls_token::open(secret.expose(), &token, now_ms / 1000);
    let claims = claims.map_err(token_problem)?;
    let asset = match &claims.grant {
        Some(grant) => own(&app, grant).await?,
        None => app.vod.asset_of_token(&claims.prefix, path).await?,
    };
    let grant = match &claims.grant {
        Some(grant) => grant.clone(),
        None => {
            let basis = app.grants.gate().basis(Subject::Asset(asset.id), None);
            if !app.grants.outlives(&claims, &asset) {
                return Err(revoked(&claims).into());
            }
            let order = Order {
                until_s: u64::try_from(claims.expires_s).ok(),
                ..Order::play(basis)
            };
            app.adopted(&token, asset.id, || Ok(app.grants.mint(order)?.1))
                .await?
        }
    };
    let ask = caller.ask(Wanted::Asset(asset.id), Actions::PLAY);
    let admitted = app.grants.gate().admit(&grant, &ask, now_ms);
    admitted.map_err(Problem::from)?;
    let media_root = format!("vod/{}/{grant}/", asset.id);
    let rendered = app
        .vod
        .playlist_with_token(&asset, &claims.prefix, path, &token, &media_root);
    Ok(play::playlist(&*rendered.await?, &headers))
}

/// The asset of a token of our own, which says it.
async fn own(app: &App, grant: &str) -> Result<Arc<Asset>, Problem> {
    match app.grants.gate().scope_of(grant)? {
        Subject::Asset(id) => Ok(app.vod.asset(&id.to_string()).await?),
        _ => Err(grant::Refused::OtherScope.into()),
    }
}

fn revoked(token: &HlsToken) -> Problem {
    if token.made_s.is_some() {
        return grant::Refused::Revoked.into();
    }
    let detail =
        "what this token is for was revoked, and it does not say (iat) that it was made later";
    Problem::new(ErrorKind::Denied, "revoked", detail)
}

impl IntoResponse for StreamUrl {
    fn into_response(self) -> Response {
        ([(CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}

fn token_problem(error: grant::TokenError) -> Problem {
    if error.is_other_purpose() {
        return Problem::new(ErrorKind::Denied, "bad_token", error.to_string());
    }
    Problem::new(ErrorKind::Denied, "bad_token", error.to_string())
        .with_status(StatusCode::UNAUTHORIZED)
}
