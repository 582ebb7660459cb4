//! `/api/v1/grants`: made by who administers, or in exchange for an issuer's token; and ended.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use base::ErrorKind;
use grant::issuer::{self, Target};
use grant::{Actions, Order, Subject};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Caller;
use crate::auth::{Admin, bearer};
use crate::body::Document;
use crate::error::Problem;
use crate::options::Moment;
use crate::state::App;

/// A grant to make: for one asset, one channel, or all channels.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantInput {
    /// An id or a slug.
    asset: Option<String>,
    /// A channel's id, or `*` for every channel and their list.
    channel: Option<String>,
    /// `play` (the default) and `download`.
    #[serde(default)]
    actions: Vec<String>,
    /// For a device: good until it is revoked, rather than used soon and then while it is used.
    #[serde(default)]
    until_revoked: bool,
    /// It ends then, in milliseconds since the Unix epoch or as RFC 3339 has it.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Moment>,
    /// Only from the network of this address.
    #[schema(value_type = Option<String>)]
    address: Option<std::net::IpAddr>,
    /// Only for this `User-Agent`; an empty one is none.
    user_agent: Option<String>,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrantInfo {
    /// What revokes it.
    id: String,
    /// Where it plays.
    url: String,
    /// Where it can be saved from, if it allows that.
    #[serde(skip_serializing_if = "Option::is_none")]
    download_url: Option<String>,
    /// By when it must be used, in milliseconds since the Unix epoch; absent if there is no such time.
    expires_at: Option<i64>,
}

/// Makes a grant.
#[utoipa::path(post, path = "/api/v1/grants", tag = "grants", request_body = GrantInput,
    responses((status = 201, body = GrantInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn mint(
    _: Admin,
    State(app): State<App>,
    Document(input): Document<GrantInput>,
) -> Result<(StatusCode, Json<GrantInfo>), Problem> {
    let mut actions: Option<Actions> = None;
    for word in &input.actions {
        let action = word
            .parse()
            .map_err(|_| invalid("actions are play and download"))?;
        actions = Some(actions.map_or(action, |before| before.and(action)));
    }
    let until_s = match input.expires_at {
        None => None,
        Some(Moment(ms)) if ms <= app.grants.now_ms() => {
            return Err(invalid("expires_at is past"));
        }
        Some(Moment(ms)) => u64::try_from(ms / 1000).ok(),
    };
    let target = match (input.asset, input.channel) {
        (Some(asset), None) => Target::Asset(asset),
        (None, Some(channel)) => Target::Channel(channel),
        _ => return Err(invalid("give either asset or channel")),
    };
    let user_agent = input.user_agent.as_deref().filter(|name| !name.is_empty());
    let binding = grant::Binding {
        network: input.address.map(grant::Binding::network_of),
        user_agent: user_agent.map(grant::Binding::digest),
    };
    let order = Order {
        actions: actions.unwrap_or(Actions::PLAY),
        must_start: !input.until_revoked,
        until_s,
        binding,
        // Put in place when it is known what it is.
        ..Order::play(Subject::Channels)
    };
    Ok((StatusCode::CREATED, Json(made(&app, &target, order).await?)))
}

/// Exchanges an issuer's token, once.
#[utoipa::path(post, path = "/api/v1/grants/exchange", tag = "grants",
    responses((status = 201, body = GrantInfo), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn exchange(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    app.throttles.exchange.admit(caller.address)?;
    let unauthorized = |detail: String| {
        Problem::new(ErrorKind::Denied, "bad_token", detail).with_status(StatusCode::UNAUTHORIZED)
    };
    let token = bearer(&headers);
    let token =
        token.ok_or_else(|| unauthorized("an issuer's token is needed as bearer".to_owned()))?;
    let claims = issuer::open(&app.grants.issuers(), token, app.grants.now_ms() / 1000);
    let claims = claims.map_err(|error| {
        if error.is_other_purpose() {
            Problem::new(ErrorKind::Denied, "bad_token", error.to_string())
        } else {
            unauthorized(error.to_string())
        }
    })?;
    let order = Order {
        actions: claims.actions,
        ..Order::play(Subject::Channels)
    };
    let until_ms = claims.expires_s.saturating_mul(1000);
    if !app.store.exchange_once(&claims.once, until_ms).await? {
        return Err(Problem::new(
            ErrorKind::Conflict,
            "token_used",
            "this token was exchanged before",
        )
        .hint("give each viewer a token with a jti of its own"));
    }
    let made = made(&app, &claims.target, order).await?;
    Ok((
        StatusCode::CREATED,
        [(CACHE_CONTROL, "no-store")],
        Json(made),
    ))
}

/// Ends a grant and its session; what runs stops within a second.
#[utoipa::path(delete, path = "/api/v1/grants/{id}", tag = "grants",
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn revoke(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let session = id
        .parse()
        .map_err(|_| invalid("a grant's id has 24 hex digits"))?;
    app.grants.revoke_session(session).await?;
    tracing::info!(%session, "a grant was revoked");
    Ok(StatusCode::NO_CONTENT)
}

async fn made(app: &App, target: &Target, order: Order) -> Result<GrantInfo, Problem> {
    let downloads = order.actions.allows(Actions::DOWNLOAD);
    let (grant, url, download_url) = match target {
        Target::Asset(id) => {
            let asset = app.vod.wanted(id).await?;
            let path = app.vod.entry_path(&asset)?;
            let (grant, text) = app.grants.mint(Order {
                scope: Subject::Asset(asset.id),
                ..order
            })?;
            let name = app.vod.file_key(&asset, true).ok().filter(|_| downloads);
            let download = name.map(|key| {
                let name = vod::encode_path(&asset.save_as(key).replace('/', "_"));
                format!("/download/{}/{text}/{name}", asset.id)
            });
            (grant, format!("/vod/{}/{text}/{path}", asset.id), download)
        }
        Target::Channel(id) if id == "*" => {
            let (grant, text) = app.grants.mint(Order {
                scope: Subject::Channels,
                ..order
            })?;
            (grant, format!("/live/g/{text}/channels.m3u"), None)
        }
        Target::Channel(id) => {
            let channel = app
                .live
                .channel(id)
                .ok_or_else(|| Problem::no_channel(id))?;
            let id = channel.id().to_string();
            let (grant, text) = app.grants.mint(Order {
                scope: Subject::Channel(id.clone()),
                ..order
            })?;
            (grant, format!("/live/g/{text}/{id}/index.m3u8"), None)
        }
    };
    let expires_s = match (grant.start_by_s, grant.until_s) {
        (Some(start), Some(until)) => Some(start.min(until)),
        (start, until) => start.or(until),
    };
    Ok(GrantInfo {
        id: grant.session.to_string(),
        url,
        download_url,
        expires_at: expires_s.and_then(|s| i64::try_from(s.saturating_mul(1000)).ok()),
    })
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ErrorKind::Invalid, "invalid", detail)
}
