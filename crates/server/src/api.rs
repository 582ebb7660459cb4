//! `/api/v1`: channels, viewers, reload. Everything here needs an API key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use base::{ChannelId, ErrorKind};
use http::StatusCode;
use live::spec::{ChannelSpec, SourceSpec};
use live::{Channel, Origin, Status};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::auth::Admin;
use crate::body::Document;
use crate::error::Problem;
use crate::state::{App, Reloaded};

/// A channel and how it does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelInfo {
    id: String,
    title: String,
    group: String,
    logo: String,
    tvg_id: String,
    /// `file`: read-only here; `api`.
    origin: &'static str,
    /// `idle`, `starting`, `live`, `suspect`, `switching`, `slate`, `down` or `ended`.
    state: &'static str,
    failover: FailoverInfo,
    /// Changes of the source on air that nobody asked for.
    failovers: u64,
    /// Seconds for which players got the slate, in all.
    slate_s: f64,
    /// What players get.
    source: Option<SourceRef>,
    generation: u64,
    /// Of the first track.
    window: Option<Window>,
    tracks: Vec<TrackInfo>,
    sources: Vec<SourceInfo>,
    viewers: usize,
    bytes_in: u64,
    bytes_out: u64,
    upstream_requests: u64,
    errors: Vec<ErrorInfo>,
}

/// What is done about a channel's trouble.
#[derive(Debug, Serialize, ToSchema)]
struct FailoverInfo {
    /// How far down the ladder: `playing`, `retrying` the source on air, `preparing` another beside it,
    /// `switching`, `slate`, `waiting` for any; empty while idle.
    step: &'static str,
    /// Index of the source that is made ready.
    preparing: Option<usize>,
    /// What began it.
    why: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SourceRef {
    index: usize,
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Window {
    first: u64,
    last: Option<u64>,
    segments: usize,
    seconds: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct TrackInfo {
    track: String,
    first_msn: u64,
    next_msn: u64,
    segments: usize,
    duration_ms: u64,
    target_duration_s: u64,
    discontinuity_sequence: u64,
    bytes: u64,
    dropped_early: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct SourceInfo {
    index: usize,
    /// The URL without secrets.
    name: String,
    /// `unknown`, `healthy`, `suspect`, `failed` or `ended`.
    health: &'static str,
    /// Why it is not healthy.
    why: Option<String>,
    /// When it last was, if it is not now: milliseconds since the Unix epoch, to the second.
    last_good_at_ms: Option<i64>,
    /// When it may be tried again, while it is left alone: the same.
    retry_at_ms: Option<i64>,
    /// Runs of it that came to nothing since it was last trusted.
    failures: u32,
    /// `closed`, `open` while it is left alone, `half_open` while it is tried again.
    breaker: &'static str,
    last_error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorInfo {
    at_ms: i64,
    code: &'static str,
    source: usize,
    detail: String,
    count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelList {
    channels: Vec<ChannelInfo>,
}

/// A channel to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelInput {
    /// May be left out of a PUT, whose path names it.
    id: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    logo: String,
    #[serde(default)]
    tvg_id: String,
    #[serde(default)]
    slate: String,
    #[serde(default)]
    target_duration_s: u32,
    sources: Vec<SourceInput>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SourceInput {
    /// http or https; left out where `resolver` and `entry` name one.
    #[schema(value_type = Option<String>)]
    url: Option<Url>,
    /// The resolver whose entry it is.
    resolver: Option<String>,
    /// The entry's id there.
    entry: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    account: String,
}

/// One of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchInput {
    /// Index of a source.
    source: Option<usize>,
    /// Another URL.
    #[schema(value_type = Option<String>)]
    url: Option<Url>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewerList {
    viewers: Vec<ViewerInfo>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ViewerInfo {
    id: String,
    /// Of what it watches: a channel's id, or `RESOLVER/ENTRY` of a resolver's entry.
    channel: String,
    #[schema(value_type = String)]
    address: IpAddr,
    user_agent: String,
    watching_s: u64,
    bytes: u64,
}

/// All channels.
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels",
    responses((status = 200, body = ChannelList), (status = 401, body = Problem)))]
pub(crate) async fn channels(_: Admin, State(app): State<App>) -> Json<ChannelList> {
    let channels = app
        .live
        .channels()
        .iter()
        .map(|channel| info(&app, channel))
        .collect();
    Json(ChannelList { channels })
}

/// One channel.
#[utoipa::path(get, path = "/api/v1/channels/{id}", tag = "channels",
    responses((status = 200, body = ChannelInfo), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn channel(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<ChannelInfo>, Problem> {
    Ok(Json(info(&app, &*find(&app, &id)?)))
}

/// Adds a channel.
#[utoipa::path(post, path = "/api/v1/channels", tag = "channels", request_body = ChannelInput,
    responses((status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 201, body = ChannelInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn add(
    _: Admin,
    State(app): State<App>,
    Document(input): Document<ChannelInput>,
) -> Result<(StatusCode, Json<ChannelInfo>), Problem> {
    let id = input.id.clone().ok_or_else(|| invalid("id is missing"))?;
    app.live.put(spec(input, &id)?, false).await?;
    Ok((StatusCode::CREATED, Json(info(&app, &*find(&app, &id)?))))
}

/// Adds or replaces a channel.
#[utoipa::path(put, path = "/api/v1/channels/{id}", tag = "channels", request_body = ChannelInput,
    responses((status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 200, body = ChannelInfo), (status = 201, body = ChannelInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 409, body = Problem)))]
pub(crate) async fn replace(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Document(input): Document<ChannelInput>,
) -> Result<(StatusCode, Json<ChannelInfo>), Problem> {
    if input.id.as_ref().is_some_and(|named| *named != id) {
        return Err(invalid("the id of the body is not that of the path"));
    }
    let known = app.live.channel(&id).is_some();
    app.live.put(spec(input, &id)?, true).await?;
    let status = if known {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(info(&app, &*find(&app, &id)?))))
}

/// Removes a channel.
#[utoipa::path(delete, path = "/api/v1/channels/{id}", tag = "channels",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.live.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts another source on air.
#[utoipa::path(post, path = "/api/v1/channels/{id}/switch", tag = "channels", request_body = SwitchInput,
    responses((status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 202, body = ChannelInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(crate) async fn switch(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Document(input): Document<SwitchInput>,
) -> Result<(StatusCode, Json<ChannelInfo>), Problem> {
    let channel = find(&app, &id)?;
    match (input.source, input.url) {
        (Some(index), None) => {
            if !channel.switch_to_source(index).await {
                return Err(invalid(format!("channel {id} has no source {index}")));
            }
        }
        (None, Some(url)) => channel.switch_to_url(http_url(url)?).await,
        _ => return Err(invalid("give either source or url")),
    }
    Ok((StatusCode::ACCEPTED, Json(info(&app, &channel))))
}

/// Stops pulling; the next viewer starts it again.
#[utoipa::path(post, path = "/api/v1/channels/{id}/stop", tag = "channels",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn stop(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    find(&app, &id)?.stop().await;
    Ok(StatusCode::NO_CONTENT)
}

/// Who watches what.
#[utoipa::path(get, path = "/api/v1/viewers", tag = "viewers",
    responses((status = 200, body = ViewerList), (status = 401, body = Problem)))]
pub(crate) async fn viewers(_: Admin, State(app): State<App>) -> Json<ViewerList> {
    let now = app.live.clock().now();
    let viewers = watched(&app).flat_map(|(name, channel)| {
        let list = channel.viewers.list(now, channel.viewer_idle());
        list.into_iter().map(move |viewer| ViewerInfo {
            id: viewer.id,
            channel: name.clone(),
            address: viewer.address,
            user_agent: viewer.user_agent,
            watching_s: viewer.watching_s,
            bytes: viewer.bytes,
        })
    });
    Json(ViewerList {
        viewers: viewers.collect(),
    })
}

/// Whatever may have viewers, by the name that administrators know.
fn watched(app: &App) -> impl Iterator<Item = (String, Arc<Channel>)> {
    let channels = app.live.channels().into_iter();
    let channels = channels.map(|channel| (channel.id().to_string(), channel));
    let entries = app.live.entry_channels().into_iter();
    channels.chain(entries.map(|channel| {
        let spec = channel.spec();
        let key = spec.sources.first().and_then(SourceSpec::entry);
        let name = key.map(|key| format!("{}/{}", key.resolver, key.entry));
        (name.unwrap_or_default(), channel)
    }))
}

/// Keeps a viewer out for a minute.
#[utoipa::path(delete, path = "/api/v1/viewers/{id}", tag = "viewers",
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn kick(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let now = app.live.clock().now();
    let found = watched(&app).any(|(_, channel)| channel.viewers.kick(&id, now));
    if found {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("there is no such viewer"))
    }
}

/// Reads the configuration file again. A bad file changes nothing.
#[utoipa::path(post, path = "/api/v1/reload", tag = "configuration",
    responses((status = 200, body = Reloaded), (status = 401, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn reload(_: Admin, State(app): State<App>) -> Result<Json<Reloaded>, Problem> {
    let Some(reload) = &app.settings.reload else {
        return Err(Problem::new(
            ErrorKind::Conflict,
            "no_file",
            "there is no configuration file to read again",
        ));
    };
    reload().await.map(Json).map_err(Problem::bad_configuration)
}

fn find(app: &App, id: &str) -> Result<Arc<Channel>, Problem> {
    app.live.channel(id).ok_or_else(|| Problem::no_channel(id))
}

fn info(app: &App, channel: &Channel) -> ChannelInfo {
    let spec = channel.spec();
    let view = channel.view();
    let Status {
        state,
        on_air,
        generation,
        failover,
        sources,
        tracks,
        errors,
    } = view.status.clone();
    let now = app.live.clock().now();
    ChannelInfo {
        id: spec.id.to_string(),
        title: spec.title.clone(),
        group: spec.group.clone(),
        logo: spec.logo.clone(),
        tvg_id: spec.tvg_id.clone(),
        origin: if channel.origin() == Origin::File {
            "file"
        } else {
            "api"
        },
        state,
        failover: FailoverInfo {
            step: failover.step,
            preparing: failover.preparing,
            why: failover.why,
        },
        failovers: channel.failovers(),
        slate_s: channel.slate().as_secs_f64(),
        source: on_air.and_then(|index| {
            Some(SourceRef {
                index,
                name: sources.get(index)?.name.clone(),
            })
        }),
        generation,
        window: tracks.first().map(|track| Window {
            first: track.first_msn,
            last: track.next_msn.checked_sub(1),
            segments: track.segments,
            seconds: track.duration_ms as f64 / 1000.0,
        }),
        tracks: tracks.into_iter().map(TrackInfo::from).collect(),
        sources: source_infos(&spec, sources),
        viewers: channel.viewers.count(now, channel.viewer_idle()),
        bytes_in: channel.bytes_in(),
        bytes_out: channel.bytes_out(),
        upstream_requests: channel.requests_upstream(),
        errors: errors
            .into_iter()
            .map(|e| ErrorInfo {
                at_ms: e.at_ms,
                code: e.code,
                source: e.source,
                detail: e.detail,
                count: e.count,
            })
            .collect(),
    }
}

impl From<live::TrackStatus> for TrackInfo {
    fn from(track: live::TrackStatus) -> Self {
        Self {
            track: track.track,
            first_msn: track.first_msn,
            next_msn: track.next_msn,
            segments: track.segments,
            duration_ms: track.duration_ms,
            target_duration_s: track.target_duration_s,
            discontinuity_sequence: track.discontinuity_sequence,
            bytes: track.bytes,
            dropped_early: track.dropped_early,
        }
    }
}

/// What is known of each source; of a channel that never ran, what is configured.
fn source_infos(spec: &ChannelSpec, known: Vec<live::SourceStatus>) -> Vec<SourceInfo> {
    if known.is_empty() {
        let configured = spec.sources.iter().enumerate();
        return configured
            .map(|(index, source)| SourceInfo {
                index,
                name: base::redact_url(&source.url),
                health: "unknown",
                why: None,
                last_good_at_ms: None,
                retry_at_ms: None,
                failures: 0,
                breaker: "closed",
                last_error: None,
            })
            .collect();
    }
    let known = known.into_iter().enumerate();
    known
        .map(|(index, source)| SourceInfo {
            index,
            name: source.name,
            health: source.health,
            why: source.why,
            last_good_at_ms: source.last_good_at_ms,
            retry_at_ms: source.retry_at_ms,
            failures: source.failures,
            breaker: source.breaker,
            last_error: source.last_error,
        })
        .collect()
}

fn spec(input: ChannelInput, id: &str) -> Result<ChannelSpec, Problem> {
    let id: ChannelId = id
        .parse()
        .map_err(|error: base::InvalidChannelId| invalid(error.to_string()))?;
    let sources = input.sources.into_iter().map(|source| {
        let url = match (source.url, source.resolver, source.entry) {
            (Some(url), None, None) => http_url(url)?,
            (None, Some(resolver), Some(entry)) => SourceSpec::entry_url(&resolver, &entry)
                .ok_or_else(|| invalid("resolver and entry name no entry"))?,
            _ => return Err(invalid("a source needs either url, or resolver and entry")),
        };
        Ok(SourceSpec {
            url,
            headers: source.headers.into_iter().collect(),
            user_agent: source.user_agent,
            account: source.account,
        })
    });
    let spec = ChannelSpec {
        id,
        title: input.title,
        group: input.group,
        logo: input.logo,
        tvg_id: input.tvg_id,
        slate: input.slate,
        target_duration_s: input.target_duration_s,
        sources: sources.collect::<Result<_, Problem>>()?,
    };
    spec.check().map_err(invalid)?;
    Ok(spec)
}

fn http_url(url: Url) -> Result<Url, Problem> {
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(invalid("a source's url must be http or https"))
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::Invalid, "invalid", detail)
}
