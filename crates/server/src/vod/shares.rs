//! `/api/v1/assets/{id}/shares` and `/api/v1/shares/{token}`: links, for who administers.

use axum::Json;
use axum::extract::{Path, State};
use base::{ErrorKind, Redacted};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::StoredShare;
use utoipa::ToSchema;

use super::password;
use crate::auth::Admin;
use crate::body::{Document, Whole};
use crate::error::Problem;
use crate::options::{Moment, given};
use crate::state::App;

/// What is kept of a share.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) expires_ms: Option<i64>,
    /// An argon2 hash.
    password: Option<String>,
    pub(crate) allow_download: bool,
    pub(crate) is_enabled: bool,
}

/// A share and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareInfo {
    token: String,
    /// The page, relative to the gateway.
    url: String,
    asset_id: String,
    title: String,
    description: String,
    /// In milliseconds since the Unix epoch.
    expires_at: Option<i64>,
    requires_password: bool,
    allow_download: bool,
    is_enabled: bool,
    views: i64,
    /// 0: as many as there are.
    max_views: i64,
    created_ms: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareList {
    shares: Vec<ShareInfo>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivityList {
    activity: Vec<ActivityInfo>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ActivityInfo {
    at_ms: i64,
    /// `viewed` or `downloaded`.
    action: String,
    /// The network and the player.
    viewer: String,
}

/// A share to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ShareInput {
    title: String,
    description: String,
    /// In milliseconds since the Unix epoch, or as RFC 3339 has it.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Moment>,
    password: Option<String>,
    allow_download: bool,
    /// 0: as many as there are.
    max_views: u32,
}

/// What to change; what is absent stays, and `null` takes away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SharePatch {
    title: Option<String>,
    description: Option<String>,
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Option<Moment>>,
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    password: Option<Option<String>>,
    allow_download: Option<bool>,
    is_enabled: Option<bool>,
    max_views: Option<u32>,
}

const TEXT_CHARS_MAX: usize = 2000;
const TOKEN_BYTES: usize = 32;

/// Makes a share; without a body, an open link.
#[utoipa::path(post, path = "/api/v1/assets/{id}/shares", tag = "shares", request_body = ShareInput,
    responses((status = 201, body = ShareInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(crate) async fn add(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Whole(body): Whole,
) -> Result<(StatusCode, Json<ShareInfo>), Problem> {
    let input: ShareInput = if body.is_empty() {
        ShareInput::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::new(ErrorKind::Invalid, "bad_body", error.to_string()))?
    };
    let asset = app.vod.asset(&id).await?;
    let stored = make(
        &app.store,
        &asset.id.to_string(),
        input,
        app.grants.now_ms(),
    )
    .await?;
    Ok((StatusCode::CREATED, Json(ShareInfo::read(&stored)?)))
}

/// The shares of an asset.
#[utoipa::path(get, path = "/api/v1/assets/{id}/shares", tag = "shares",
    responses((status = 200, body = ShareList), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn of_asset(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<ShareList>, Problem> {
    let asset = app.vod.asset(&id).await?;
    let stored = app.store.shares(Some(&asset.id.to_string())).await?;
    let shares = stored
        .iter()
        .map(ShareInfo::read)
        .collect::<Result<_, _>>()?;
    Ok(Json(ShareList { shares }))
}

/// One share.
#[utoipa::path(get, path = "/api/v1/shares/{token}", tag = "shares",
    responses((status = 200, body = ShareInfo), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn one(
    _: Admin,
    State(app): State<App>,
    Path(token): Path<String>,
) -> Result<Json<ShareInfo>, Problem> {
    Ok(Json(ShareInfo::read(&find(&app, &token).await?)?))
}

/// Changes a share. What becomes narrower ends the sessions and grants that came from it.
#[utoipa::path(patch, path = "/api/v1/shares/{token}", tag = "shares", request_body = SharePatch,
    responses((status = 200, body = ShareInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(crate) async fn change(
    _: Admin,
    State(app): State<App>,
    Path(token): Path<String>,
    Document(patch): Document<SharePatch>,
) -> Result<Json<ShareInfo>, Problem> {
    let mut stored = find(&app, &token).await?;
    let before = Share::read(&stored)?;
    let mut share = before.clone();
    if let Some(text) = patch.title {
        share.title = checked(text)?;
    }
    if let Some(text) = patch.description {
        share.description = checked(text)?;
    }
    if let Some(expires_ms) = patch.expires_at {
        share.expires_ms = expires_ms.map(|Moment(ms)| ms);
    }
    match patch.password {
        None => {}
        Some(None) => share.password = None,
        Some(Some(password)) => {
            share.password = Some(password::hash(Redacted::new(password)).await?);
        }
    }
    share.allow_download = patch.allow_download.unwrap_or(share.allow_download);
    share.is_enabled = patch.is_enabled.unwrap_or(share.is_enabled);
    stored.max_views = patch.max_views.map_or(stored.max_views, i64::from);
    stored.definition = share.stored();
    let found = if share.is_narrower_than(&before) {
        app.grants.narrow_share(&stored).await?
    } else {
        app.store.change_share(&stored).await?
    };
    if !found {
        return Err(Problem::not_found("there is no such share"));
    }
    Ok(Json(ShareInfo::read(&stored)?))
}

/// Removes a share, and ends its sessions and grants.
#[utoipa::path(delete, path = "/api/v1/shares/{token}", tag = "shares",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    if app.grants.end_share(&token).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("there is no such share"))
    }
}

/// Who viewed and downloaded, newest first.
#[utoipa::path(get, path = "/api/v1/shares/{token}/activity", tag = "shares",
    responses((status = 200, body = ActivityList), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn activity(
    _: Admin,
    State(app): State<App>,
    Path(token): Path<String>,
) -> Result<Json<ActivityList>, Problem> {
    find(&app, &token).await?;
    let notes = app.store.activity(&token).await?;
    let activity = notes.into_iter().map(|note| ActivityInfo {
        at_ms: note.at_ms,
        action: note.action,
        viewer: note.viewer,
    });
    Ok(Json(ActivityList {
        activity: activity.collect(),
    }))
}

/// Keeps a new share of an asset.
pub(crate) async fn make(
    store: &store::Store,
    asset: &str,
    input: ShareInput,
    now_ms: i64,
) -> Result<StoredShare, Problem> {
    let expires_ms = input.expires_at.map(|Moment(ms)| ms);
    if expires_ms.is_some_and(|ms| ms <= now_ms) {
        return Err(Problem::new(
            ErrorKind::Invalid,
            "invalid",
            "expires_at is past",
        ));
    }
    let password = match input.password {
        None => None,
        Some(password) => Some(password::hash(Redacted::new(password)).await?),
    };
    let share = Share {
        title: checked(input.title)?,
        description: checked(input.description)?,
        expires_ms,
        password,
        allow_download: input.allow_download,
        is_enabled: true,
    };
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random)
        .map_err(|_| Problem::new(ErrorKind::Internal, "random", "no random bytes"))?;
    let stored = StoredShare {
        token: Redacted::new(URL_SAFE_NO_PAD.encode(random)),
        asset: asset.to_owned(),
        definition: share.stored(),
        views: 0,
        max_views: i64::from(input.max_views),
        created_ms: now_ms,
    };
    store.add_share(&stored).await?;
    Ok(stored)
}

/// A share to make from the command line.
#[derive(Clone, Debug, Default)]
pub struct ShareOptions {
    /// What its page says.
    pub title: String,
    /// What it asks for.
    pub password: Option<Redacted<String>>,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ms: Option<i64>,
    /// Whether the original may be saved.
    pub allow_download: bool,
    /// How often it may be viewed; 0 for as often as one likes.
    pub max_views: u32,
}

/// Makes a share of an asset; its token.
///
/// # Errors
/// Why not, in words.
pub async fn create_share(
    store: &store::Store,
    asset: &str,
    options: ShareOptions,
    now_ms: i64,
) -> Result<Redacted<String>, String> {
    let input = ShareInput {
        title: options.title,
        description: String::new(),
        expires_at: options.expires_ms.map(Moment),
        password: options.password.map(|password| password.expose().clone()),
        allow_download: options.allow_download,
        max_views: options.max_views,
    };
    let made = make(store, asset, input, now_ms).await;
    made.map(|stored| stored.token)
        .map_err(|problem| problem.detail().to_owned())
}

/// A line on a share: token, asset, state, views, title.
pub fn describe_share(stored: &StoredShare) -> String {
    let (state, title) = match Share::read(stored) {
        Ok(share) if share.is_enabled => ("enabled", share.title),
        Ok(share) => ("disabled", share.title),
        Err(_) => ("unreadable", String::new()),
    };
    let token = stored.token.expose();
    format!(
        "{token}\t{}\t{state}\t{}\t{title}",
        stored.asset, stored.views
    )
}

async fn find(app: &App, token: &str) -> Result<StoredShare, Problem> {
    let found = app.store.share(token).await?;
    found.ok_or_else(|| Problem::not_found("there is no such share"))
}

impl Share {
    pub(crate) fn read(stored: &StoredShare) -> Result<Self, Problem> {
        serde_json::from_str(stored.definition.expose()).map_err(|_| {
            Problem::new(
                ErrorKind::Internal,
                "store",
                "a stored share cannot be read",
            )
        })
    }

    pub(crate) fn requires_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether `password` opens it. Checked as long for a wrong one as for the right one.
    pub(crate) async fn opens(&self, password: Redacted<String>) -> Result<bool, Problem> {
        match &self.password {
            None => Ok(true),
            Some(hash) => password::fits(password, Redacted::new(hash.clone())).await,
        }
    }

    fn stored(&self) -> Redacted<String> {
        Redacted::new(serde_json::to_string(self).expect("a share is plain data"))
    }

    fn is_narrower_than(&self, before: &Self) -> bool {
        let ends = |share: &Self| share.expires_ms.unwrap_or(i64::MAX);
        (before.is_enabled && !self.is_enabled)
            || (before.allow_download && !self.allow_download)
            || (self.password.is_some() && self.password != before.password)
            || ends(self) < ends(before)
    }
}

impl ShareInfo {
    fn read(stored: &StoredShare) -> Result<Self, Problem> {
        let share = Share::read(stored)?;
        Ok(Self {
            url: format!("/share/{}", stored.token.expose()),
            token: stored.token.expose().clone(),
            asset_id: stored.asset.clone(),
            requires_password: share.requires_password(),
            title: share.title,
            description: share.description,
            expires_at: share.expires_ms,
            allow_download: share.allow_download,
            is_enabled: share.is_enabled,
            views: stored.views,
            max_views: stored.max_views,
            created_ms: stored.created_ms,
        })
    }
}

fn checked(text: String) -> Result<String, Problem> {
    let is_plain = |c: char| !c.is_control() || c == '\n';
    if text.chars().count() > TEXT_CHARS_MAX || !text.chars().all(is_plain) {
        let detail = "title and description have at most 2000 characters and no control characters";
        return Err(Problem::new(ErrorKind::Invalid, "invalid", detail));
    }
    Ok(text)
}

impl std::fmt::Debug for ShareInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShareInput")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SharePatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharePatch")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}
