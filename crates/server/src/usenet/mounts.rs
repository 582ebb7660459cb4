//! `/api/v1/mounts` and `/api/v1/providers`: what is mounted, what it is made of, and how providers fare.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;
use usenet::{Failure, FileInfo, Mount, MountId, ProviderStatus};
use utoipa::ToSchema;

use super::address;
use crate::auth::Admin;
use crate::client::BaseUrl;
use crate::error::Problem;
use crate::state::App;

/// A mounted post.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MountInfo {
    id: i64,
    /// The same for the same articles under any name: the SHA-256 of their sorted message-ids.
    content_id: String,
    name: String,
    category: String,
    /// `accepted`, `probing`, `streamable`, `verified`, `completed` or `failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureInfo>,
    files: Vec<MountFile>,
    /// Encoded bytes, as the NZB says.
    bytes: u64,
    articles: u64,
    /// Articles known to be missing at every provider.
    missing: u64,
    /// Whether it stays whatever its age: it is announced in the library.
    is_kept: bool,
    created_ms: i64,
    updated_ms: i64,
}

/// Why something does not play.
#[derive(Debug, Serialize, ToSchema)]
struct FailureInfo {
    /// As in `/api/nzb/streams`.
    code: &'static str,
    message: String,
}

/// A file of a mount.
#[derive(Debug, Serialize, ToSchema)]
struct MountFile {
    path: String,
    name: String,
    size: u64,
    /// `media`, `sample`, `subtitle` or `other`.
    #[schema(value_type = String)]
    role: usenet::Role,
    media_type: &'static str,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    episode: Option<usenet::Episode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureInfo>,
    /// Where it plays, with a grant for it alone; absent while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MountList {
    mounts: Vec<MountInfo>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderList {
    providers: Vec<ProviderInfo>,
    /// Bytes of files sent since start.
    bytes_out: u64,
}

/// A provider.
#[derive(Debug, Serialize, ToSchema)]
struct ProviderInfo {
    /// `host:port`.
    host: String,
    /// `closed` while it is asked, `open` while it rests, `denied` while it refuses the account.
    #[schema(value_type = String)]
    circuit: usenet::Circuit,
    connections: u32,
    opening: u32,
    /// As configured, or as learned from the provider.
    connections_max: u32,
    in_flight: u32,
    queued: u32,
    articles: u64,
    missing: u64,
    damaged: u64,
    bytes: u64,
    failures: u64,
    round_trip_ms: Option<f64>,
    last_error: Option<String>,
}

/// All mounts.
#[utoipa::path(get, path = "/api/v1/mounts", tag = "usenet",
    responses((status = 200, body = MountList), (status = 401, body = Problem)))]
pub(crate) async fn list(
    _: Admin,
    State(app): State<App>,
    BaseUrl(base): BaseUrl,
) -> Result<Json<MountList>, Problem> {
    let mounts = app.usenet.engine.mounts();
    let mounts = mounts.iter().map(|mount| info(&app, &base, mount));
    Ok(Json(MountList {
        mounts: mounts.collect::<Result<_, _>>()?,
    }))
}

/// One mount.
#[utoipa::path(get, path = "/api/v1/mounts/{id}", tag = "usenet",
    responses((status = 200, body = MountInfo), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn one(
    _: Admin,
    State(app): State<App>,
    BaseUrl(base): BaseUrl,
    Path(id): Path<String>,
) -> Result<Json<MountInfo>, Problem> {
    Ok(Json(info(&app, &base, &find(&app, &id)?)?))
}

/// Forgets a mount. Whoever reads it is cut off.
#[utoipa::path(delete, path = "/api/v1/mounts/{id}", tag = "usenet",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mount = find(&app, &id)?;
    app.forget(&mount).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Imports a failed mount again; one that did not fail stays as it is.
#[utoipa::path(post, path = "/api/v1/mounts/{id}/retry", tag = "usenet",
    responses((status = 202, body = MountInfo), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn retry(
    _: Admin,
    State(app): State<App>,
    BaseUrl(base): BaseUrl,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<MountInfo>), Problem> {
    let mount = find(&app, &id)?;
    app.usenet.engine.retry(mount.id()).await?;
    Ok((StatusCode::ACCEPTED, Json(info(&app, &base, &mount)?)))
}

/// How the providers fare, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/providers", tag = "usenet",
    responses((status = 200, body = ProviderList), (status = 401, body = Problem)))]
pub(crate) async fn providers(_: Admin, State(app): State<App>) -> Json<ProviderList> {
    let providers = app.usenet.engine.providers();
    Json(ProviderList {
        providers: providers.into_iter().map(ProviderInfo::from).collect(),
        bytes_out: app.usenet.bytes_out(),
    })
}

fn find(app: &App, id: &str) -> Result<Arc<Mount>, Problem> {
    let mount = id
        .parse()
        .ok()
        .and_then(|id| app.usenet.engine.mount(MountId(id)));
    mount.ok_or_else(|| Problem::not_found("there is no such mount"))
}

fn info(app: &App, base: &str, mount: &Arc<Mount>) -> Result<MountInfo, Problem> {
    let status = mount.status();
    let file = |file: &FileInfo| -> Result<MountFile, Problem> {
        let plays = status.state.is_playable() && file.failure.is_none();
        let url = plays.then(|| address::url(app, base, mount.id(), &file.path, true));
        Ok(MountFile {
            path: file.path.clone(),
            name: file.name().to_owned(),
            size: file.size,
            role: file.role,
            media_type: file.media_type,
            episode: file.episode,
            failure: file.failure.as_ref().map(FailureInfo::from),
            url: url.transpose()?,
        })
    };
    Ok(MountInfo {
        id: mount.id().0,
        content_id: mount.content_id().to_string(),
        name: status.name.clone(),
        category: status.category.clone(),
        state: status.state.as_str(),
        failure: status.failure.as_ref().map(FailureInfo::from),
        files: status.files.iter().map(file).collect::<Result<_, _>>()?,
        bytes: status.bytes,
        articles: status.articles,
        missing: status.missing,
        is_kept: status.is_kept,
        created_ms: status.created_ms,
        updated_ms: status.updated_ms,
    })
}

impl From<&Failure> for FailureInfo {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.as_str(),
            message: failure.message.clone(),
        }
    }
}

impl From<ProviderStatus> for ProviderInfo {
    fn from(status: ProviderStatus) -> Self {
        Self {
            host: status.host,
            circuit: status.circuit,
            connections: status.connections,
            opening: status.opening,
            connections_max: status.connections_max,
            in_flight: status.in_flight,
            queued: status.queued,
            articles: status.articles,
            missing: status.missing,
            damaged: status.damaged,
            bytes: status.bytes,
            failures: status.failures,
            round_trip_ms: status.round_trip_ms,
            last_error: status.last_error,
        }
    }
}
