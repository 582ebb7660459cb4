//! `/api/v1/assets` and `/api/v1/libraries`.

use axum::Json;
use axum::extract::{Path, State};
use base::ErrorKind;
use grant::Subject;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vod::{Asset, Kind, NewAsset, Patch, ScanStatus};

use crate::auth::Admin;
use crate::body::{Document, Whole};
use crate::error::Problem;
use crate::options::{Options, given};
use crate::state::App;

/// An asset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssetInfo {
    #[schema(value_type = String)]
    id: uuid::Uuid,
    library: String,
    /// `video`, `image` or `audio`.
    kind: &'static str,
    name: String,
    slug: Option<String>,
    /// Of a video that plays as HLS.
    prefix: Option<String>,
    processed_key: Option<String>,
    raw_key: Option<String>,
    download_name: Option<String>,
    /// Whether there is something to play.
    ready: bool,
    duration_ms: Option<u64>,
    bytes: Option<u64>,
    variants: Vec<VariantInfo>,
    codecs: Vec<String>,
    /// Why it cannot be played.
    error: Option<String>,
    created_ms: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct VariantInfo {
    bandwidth: u64,
    width: Option<u64>,
    height: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssetList {
    assets: Vec<AssetInfo>,
    /// What to ask for the next page with.
    cursor: Option<String>,
}

/// An asset to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetInput {
    library: String,
    /// `video`, `image` or `audio`.
    #[schema(value_type = String)]
    kind: Kind,
    /// The file; of a video, its first playlist or the folder of it.
    processed_key: Option<String>,
    /// The folder of a video's playlists.
    prefix: Option<String>,
    /// The original, for downloads.
    raw_key: Option<String>,
    name: String,
    download_name: Option<String>,
    /// A short name, unique.
    slug: Option<String>,
}

/// What to change; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetPatch {
    processed_key: Option<String>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    raw_key: Option<Option<String>>,
    name: Option<String>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    download_name: Option<Option<String>>,
    /// An empty one takes it away.
    slug: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ListOptions {
    #[serde(default)]
    query: String,
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LibraryList {
    libraries: Vec<LibraryInfo>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LibraryInfo {
    id: String,
    /// `s3` or `dir`.
    kind: &'static str,
    /// `redirect`, `presign` or `tunnel`.
    segments: &'static str,
    scan: Option<ScanInfo>,
}

/// Where to scan; without a body, all of the library.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanInput {
    #[serde(default)]
    prefix: String,
}

/// How a scan does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScanInfo {
    running: bool,
    prefix: String,
    /// Objects looked at.
    seen: u64,
    added: u64,
    /// Registered before.
    known: u64,
    unplayable: u64,
    /// Registered before, and their files are there no more.
    gone: u64,
    error: Option<String>,
    started_ms: i64,
    finished_ms: Option<i64>,
}

/// Assets, newest first.
#[utoipa::path(get, path = "/api/v1/assets", tag = "assets",
    params(("query" = Option<String>, Query, description = "Part of the name"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = AssetList), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn list(
    _: Admin,
    State(app): State<App>,
    Options(options): Options<ListOptions>,
) -> Result<Json<AssetList>, Problem> {
    let page = app
        .vod
        .assets(&options.query, options.cursor.as_deref())
        .await?;
    Ok(Json(AssetList {
        assets: page.assets.iter().map(AssetInfo::from).collect(),
        cursor: page.cursor,
    }))
}

/// Registers an asset and looks at it.
#[utoipa::path(post, path = "/api/v1/assets", tag = "assets", request_body = AssetInput,
    responses((status = 201, body = AssetInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn add(
    _: Admin,
    State(app): State<App>,
    Document(input): Document<AssetInput>,
) -> Result<(StatusCode, Json<AssetInfo>), Problem> {
    let new = NewAsset {
        library: input.library,
        kind: input.kind,
        processed_key: input.processed_key,
        prefix: input.prefix,
        raw_key: input.raw_key,
        name: input.name,
        download_name: input.download_name,
        slug: input.slug,
    };
    let asset = app.vod.add(new).await?;
    Ok((StatusCode::CREATED, Json(AssetInfo::from(&*asset))))
}

/// One asset, by id or slug.
#[utoipa::path(get, path = "/api/v1/assets/{id}", tag = "assets",
    responses((status = 200, body = AssetInfo), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn one(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<AssetInfo>, Problem> {
    Ok(Json(AssetInfo::from(&*app.vod.asset(&id).await?)))
}

/// Changes an asset.
#[utoipa::path(patch, path = "/api/v1/assets/{id}", tag = "assets", request_body = AssetPatch,
    responses((status = 200, body = AssetInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn change(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Document(input): Document<AssetPatch>,
) -> Result<Json<AssetInfo>, Problem> {
    let patch = Patch {
        processed_key: input.processed_key,
        raw_key: input.raw_key,
        name: input.name,
        download_name: input.download_name,
        slug: input.slug,
    };
    Ok(Json(AssetInfo::from(&*app.vod.change(&id, patch).await?)))
}

/// Forgets an asset, its shares and its grants; its files stay.
#[utoipa::path(delete, path = "/api/v1/assets/{id}", tag = "assets",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let asset = app.vod.asset(&id).await?;
    // Before it is gone, when a token of another minter would register it anew.
    app.grants.revoke_place(&asset).await?;
    app.vod.delete(&id).await?;
    app.grants.revoke(Subject::Asset(asset.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every grant of an asset, whatever it came from.
#[utoipa::path(post, path = "/api/v1/assets/{id}/revoke", tag = "assets",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let asset = app.vod.asset(&id).await?;
    app.grants.revoke_place(&asset).await?;
    app.grants.revoke(Subject::Asset(asset.id)).await?;
    tracing::info!(asset = %asset.id, "all grants of an asset revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// The libraries of the configuration.
#[utoipa::path(get, path = "/api/v1/libraries", tag = "libraries",
    responses((status = 200, body = LibraryList), (status = 401, body = Problem)))]
pub(crate) async fn libraries(_: Admin, State(app): State<App>) -> Json<LibraryList> {
    let libraries = app.vod.libraries();
    let libraries = libraries.iter().map(|library| LibraryInfo {
        id: library.id().to_owned(),
        kind: if library.bucket().is_some() {
            "s3"
        } else {
            "dir"
        },
        segments: match library.segments() {
            vod::Segments::Redirect => "redirect",
            vod::Segments::Presign => "presign",
            vod::Segments::Tunnel => "tunnel",
        },
        scan: app
            .vod
            .scan_status(library.id())
            .ok()
            .flatten()
            .map(ScanInfo::from),
    });
    Json(LibraryList {
        libraries: libraries.collect(),
    })
}

/// Begins to register every `master.m3u8` and every plain media file of a library.
#[utoipa::path(post, path = "/api/v1/libraries/{id}/scan", tag = "libraries", request_body = ScanInput,
    responses((status = 202, body = ScanInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn scan(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Whole(body): Whole,
) -> Result<(StatusCode, Json<ScanInfo>), Problem> {
    let input: ScanInput = if body.is_empty() {
        ScanInput::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::new(ErrorKind::Invalid, "bad_body", error.to_string()))?
    };
    let status = app.vod.start_scan(&id, &input.prefix)?;
    Ok((StatusCode::ACCEPTED, Json(status.into())))
}

/// How the last scan of a library does.
#[utoipa::path(get, path = "/api/v1/libraries/{id}/scan", tag = "libraries",
    responses((status = 200, body = ScanInfo), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn scanned(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<ScanInfo>, Problem> {
    let status = app.vod.scan_status(&id)?;
    let status =
        status.ok_or_else(|| Problem::not_found("this library was not scanned since the start"))?;
    Ok(Json(status.into()))
}

impl From<&Asset> for AssetInfo {
    fn from(asset: &Asset) -> Self {
        let facts = &asset.facts;
        let probe = facts.probe.clone().unwrap_or_default();
        let variants = probe.variants.iter().map(|variant| VariantInfo {
            bandwidth: variant.bandwidth,
            width: variant.width,
            height: variant.height,
        });
        Self {
            id: asset.id,
            library: asset.library.clone(),
            kind: facts.kind.as_str(),
            name: facts.name.clone(),
            slug: asset.slug.clone(),
            prefix: facts.prefix.clone(),
            processed_key: facts.processed_key.clone(),
            raw_key: facts.raw_key.clone(),
            download_name: facts.download_name.clone(),
            ready: asset.is_ready(),
            duration_ms: probe.duration_ms,
            bytes: probe.bytes,
            variants: variants.collect(),
            codecs: probe.codecs,
            error: probe.error,
            created_ms: asset.created_ms,
        }
    }
}

impl From<ScanStatus> for ScanInfo {
    fn from(status: ScanStatus) -> Self {
        Self {
            running: status.running,
            prefix: status.prefix,
            seen: status.seen,
            added: status.added,
            known: status.known,
            unplayable: status.unplayable,
            gone: status.gone,
            error: status.error,
            started_ms: status.started_ms,
            finished_ms: status.finished_ms,
        }
    }
}
