//! `/api/v1/grants`: made by who administers, or in exchange for an issuer's token; and ended.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use base::ErrorKind;
use grant::issuer::{self, Target};
use grant::{Actions, Basis, Grant, Order, Subject};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vod::Vod;

use super::{Caller, play};
use crate::auth::{Admin, bearer};
use crate::body::Document;
use crate::error::Problem;
use crate::grants::Grants;
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
    let order = |basis| Order {
        actions: actions.unwrap_or(Actions::PLAY),
        must_start: !input.until_revoked,
        until_s,
        binding,
        ..Order::play(basis)
    };
    has_channel(&app, &target)?;
    let minted = create_grant(&app.vod, &app.grants, &target, order).await?;
    Ok((StatusCode::CREATED, Json(minted.into())))
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
    let order = |basis| Order {
        actions: claims.actions,
        ..Order::play(basis)
    };
    has_channel(&app, &claims.target)?;
    let minted = create_grant(&app.vod, &app.grants, &claims.target, order).await?;
    // Used up only by what leads somewhere. A grant that is not handed out opens nothing.
    let until_ms = claims.expires_s.saturating_mul(1000);
    if !app.store.exchange_once(&claims.once, until_ms).await? {
        return Err(Problem::new(
            ErrorKind::Conflict,
            "token_used",
            "this token was exchanged before",
        )
        .hint("give each viewer a token with a jti of its own"));
    }
    Ok((
        StatusCode::CREATED,
        [(CACHE_CONTROL, "no-store")],
        Json(GrantInfo::from(minted)),
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

/// A grant, and the paths of the gateway that it opens.
#[derive(Debug)]
pub struct Minted {
    /// What it says.
    pub grant: Grant,
    /// Where it plays.
    pub url: String,
    /// Where it can be saved from, if it allows that and there is something to save.
    pub download_url: Option<String>,
}

/// Makes a grant for an asset, a channel, or all of them (`*`). Whether there is such a channel is for the
/// caller to know.
///
/// # Errors
/// There is no such asset, or nothing of it plays.
pub async fn create_grant(
    vod: &Vod,
    grants: &Grants,
    target: &Target,
    order: impl FnOnce(Basis) -> Order,
) -> Result<Minted, Problem> {
    let basis = |scope| grants.gate().basis(scope, None);
    match target {
        Target::Asset(id) => {
            let order = order(basis(Subject::Asset(vod.asset(id).await?.id)));
            let asset = vod.wanted(id).await?;
            let path = vod.entry_path(&asset)?;
            let key = vod.file_key(&asset, true).ok();
            let key = key.filter(|_| order.actions.allows(Actions::DOWNLOAD));
            let (grant, text) = grants.mint(order)?;
            Ok(Minted {
                grant,
                url: format!("/vod/{}/{text}/{path}", asset.id),
                download_url: key.map(|key| play::download_path(&asset, &text, key)),
            })
        }
        Target::Channel(id) => {
            let (scope, path) = match id.as_str() {
                "*" => (Subject::Channels, "channels.m3u".to_owned()),
                id => (Subject::Channel(id.to_owned()), format!("{id}/index.m3u8")),
            };
            let (grant, text) = grants.mint(order(basis(scope)))?;
            Ok(Minted {
                grant,
                url: format!("/live/g/{text}/{path}"),
                download_url: None,
            })
        }
    }
}

fn has_channel(app: &App, target: &Target) -> Result<(), Problem> {
    match target {
        Target::Channel(id) if id != "*" && app.live.channel(id).is_none() => {
            Err(Problem::no_channel(id))
        }
        _ => Ok(()),
    }
}

impl From<Minted> for GrantInfo {
    fn from(minted: Minted) -> Self {
        let grant = minted.grant;
        let expires_s = match (grant.start_by_s, grant.until_s) {
            (Some(start), Some(until)) => Some(start.min(until)),
            (start, until) => start.or(until),
        };
        Self {
            id: grant.session.to_string(),
            url: minted.url,
            download_url: minted.download_url,
            expires_at: expires_s.and_then(|s| i64::try_from(s.saturating_mul(1000)).ok()),
        }
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ErrorKind::Invalid, "invalid", detail)
}
