//! The compatible routes: `GET /assets/{id}/stream` and `GET /stream/hls/{path}?token=`, with errors as
//! `{"detail": "…"}`.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base::ErrorKind;
use grant::{Actions, Order, ShareId, Subject, Wanted, hls_token};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use vod::{Asset, encode_path};

use super::{Caller, play};
use crate::auth::{bearer, has_key};
use crate::error::{Compat, Problem};
use crate::state::App;

/// Where to play, or to save.
#[derive(Debug, Serialize)]
pub(crate) struct StreamUrl {
    pub(crate) url: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    download: bool,
    grant: Option<String>,
}

/// What a viewer was given: a grant's text and what to make further ones of.
pub(crate) struct Permit {
    pub(crate) share: Option<ShareId>,
    pub(crate) until_s: Option<u64>,
    pub(crate) actions: Actions,
}

/// `GET /assets/{id}/stream`.
pub(crate) async fn of_asset(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(options): Query<StreamOptions>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<StreamUrl>, Compat> {
    let permit = if has_key(&app, &headers) {
        let actions = Actions::PLAY.and(Actions::DOWNLOAD);
        Permit {
            share: None,
            until_s: None,
            actions,
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
        Permit {
            share: grant.share,
            until_s: grant.until_s,
            actions: grant.actions,
        }
    };
    let asset = app.vod.asset(&id).await?;
    Ok(Json(StreamUrl {
        url: url_of(&app, &asset, options.download, &permit)?,
    }))
}

/// Where an asset plays, or is saved from: the playlist's proxy for HLS, else a file.
pub(super) fn url_of(
    app: &App,
    asset: &Asset,
    download: bool,
    permit: &Permit,
) -> Result<String, Problem> {
    let until_s = permit.until_s;
    let order = |actions| Order {
        share: permit.share,
        actions,
        until_s,
        ..Order::play(Subject::Asset(asset.id))
    };
    if !download && asset.is_hls() {
        let path = app.vod.entry_path(asset)?;
        let (_, grant) = app.grants.mint(order(permit.actions))?;
        let now_s = app.grants.now_ms() / 1000;
        let idle_s =
            i64::try_from(app.grants.gate().rules().idle_max.as_secs()).unwrap_or(i64::MAX);
        let until_s = until_s
            .and_then(|s| i64::try_from(s).ok())
            .unwrap_or(i64::MAX);
        let expires_s = now_s.saturating_add(idle_s).min(until_s);
        let prefix = asset
            .prefix()
            .map(|prefix| prefix.as_str().to_owned())
            .unwrap_or_default();
        let token = hls_token::mint(app.grants.hls_secret().expose(), &prefix, expires_s, &grant);
        return Ok(format!("/stream/hls/{path}?token={token}"));
    }
    if let Some(url) = app.vod.file_url(asset, download)? {
        return Ok(url.into());
    }
    if download {
        let name = asset.save_as(app.vod.file_key(asset, true)?);
        let (_, grant) = app.grants.mint(order(Actions::DOWNLOAD))?;
        return Ok(format!(
            "/download/{}/{grant}/{}",
            asset.id,
            encode_path(&name.replace('/', "_"))
        ));
    }
    let path = app.vod.entry_path(asset)?;
    let (_, grant) = app.grants.mint(order(Actions::PLAY))?;
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
    Query(TokenOption { token }): Query<TokenOption>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Compat> {
    let path = uri.path().strip_prefix("/stream/hls/").unwrap_or_default();
    let now_ms = app.grants.now_ms();
    let secret = app.grants.hls_secret();
    let claims = hls_token::open(secret.expose(), &token, now_ms / 1000);
    let claims = claims.map_err(token_problem)?;
    let asset = app.vod.asset_of_prefix(&claims.prefix).await?;
    let subject = Subject::Asset(asset.id);
    let grant = match &claims.grant {
        Some(grant) => grant.clone(),
        None => {
            let made_ms = claims.made_s.saturating_mul(1000);
            if app
                .grants
                .revoked_ms(&subject)
                .is_some_and(|revoked_ms| made_ms <= revoked_ms)
            {
                return Err(Problem::from(grant::Refused::Revoked).into());
            }
            app.adopted(&token, || {
                let until_s = u64::try_from(claims.expires_s).ok();
                let order = Order {
                    until_s,
                    ..Order::play(subject.clone())
                };
                Ok(app.grants.mint(order)?.1)
            })
            .await?
        }
    };
    let ask = caller.ask(Wanted::Asset(asset.id), Actions::PLAY);
    let admitted = app.grants.gate().admit(&grant, &ask, now_ms);
    admitted.map_err(Problem::from)?;
    let media_root = format!("vod/{}/{grant}/", asset.id);
    let rendered = app
        .vod
        .playlist_with_token(&asset, path, &token, &media_root);
    Ok(play::playlist(&*rendered.await?, &headers))
}

fn token_problem(error: grant::TokenError) -> Problem {
    if error.is_other_purpose() {
        return Problem::new(ErrorKind::Denied, "bad_token", error.to_string());
    }
    Problem::new(ErrorKind::Denied, "bad_token", error.to_string())
        .with_status(StatusCode::UNAUTHORIZED)
}
