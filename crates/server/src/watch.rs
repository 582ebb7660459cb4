//! What players ask for below `/live`: playlists, segments, keys and initialisation sections.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use http_body::Body as _;
use std::sync::Arc;

use crate::client::Requester;
use crate::error::Problem;
use crate::media::{self, Wants};
use crate::state::App;

/// `GET /live/{channel}/index.m3u8`: the multivariant playlist, or that of the only track. A cold
/// channel is started, and the request waits for its first segment.
pub(crate) async fn index(
    State(app): State<App>,
    Path(channel): Path<String>,
    requester: Requester,
    wants: Wants,
) -> Result<Response, Problem> {
    let channel = find(&app, &channel)?;
    admit(&app, &channel, &requester)?;
    let playlist = channel.index().await?;
    Ok(count(
        &app,
        &channel,
        &requester,
        media::playlist(&playlist, &wants),
    ))
}

/// `GET /live/{channel}/{file}`: what the multivariant playlist refers to beside its tracks.
pub(crate) async fn extra(
    State(app): State<App>,
    Path((channel, file)): Path<(String, String)>,
    requester: Requester,
    wants: Wants,
) -> Result<Response, Problem> {
    let channel = find(&app, &channel)?;
    let index = file
        .strip_prefix("extra-")
        .and_then(|rest| rest.strip_suffix(".bin"));
    let index = index
        .and_then(|index| index.parse().ok())
        .ok_or_else(|| Problem::not_found("no such file"))?;
    admit(&app, &channel, &requester)?;
    let body = channel.extra(index).await?;
    let response = media::immutable(&body, "application/octet-stream", &wants);
    Ok(count(&app, &channel, &requester, response))
}

/// `GET /live/{channel}/{track}/{file}`: `index.m3u8`, `{n}.ts`, `init-….mp4`, `key-….bin`.
pub(crate) async fn track_file(
    State(app): State<App>,
    Path((channel, track, file)): Path<(String, String, String)>,
    requester: Requester,
    wants: Wants,
) -> Result<Response, Problem> {
    let channel = find(&app, &channel)?;
    if file == "index.m3u8" {
        admit(&app, &channel, &requester)?;
        let playlist = channel.playlist(&track).await?;
        return Ok(count(
            &app,
            &channel,
            &requester,
            media::playlist(&playlist, &wants),
        ));
    }
    let (body, mime) = media_file(&channel, &track, &file)?;
    admit(&app, &channel, &requester)?;
    let response = media::immutable(&body, mime, &wants);
    Ok(count(&app, &channel, &requester, response))
}

/// A segment or an object by its file name.
pub(crate) fn media_file(
    channel: &live::Channel,
    track: &str,
    file: &str,
) -> Result<(bytes::Bytes, &'static str), Problem> {
    let gone = || Problem::not_found("no such file, or not any more");
    let (stem, ending) = file.rsplit_once('.').ok_or_else(gone)?;
    if let Ok(msn) = stem.parse::<u64>() {
        let segment = channel
            .segment(track, msn)
            .filter(|segment| segment.container.extension() == ending);
        let segment = segment.ok_or_else(gone)?;
        return Ok((segment.body, segment.container.mime()));
    }
    let mime = match ending {
        "mp4" => "video/mp4",
        "ts" => "video/MP2T",
        "bin" => "application/octet-stream",
        _ => return Err(gone()),
    };
    channel
        .object(track, file)
        .map(|body| (body, mime))
        .ok_or_else(gone)
}

pub(crate) fn find(app: &App, channel: &str) -> Result<Arc<live::Channel>, Problem> {
    app.live
        .channel(channel)
        .ok_or_else(|| Problem::no_channel(channel))
}

/// Refuses a viewer that was kicked a moment ago.
pub(crate) fn admit(
    app: &App,
    channel: &live::Channel,
    requester: &Requester,
) -> Result<(), Problem> {
    if channel
        .viewers
        .admits(&requester.key, app.live.clock().now())
    {
        return Ok(());
    }
    Err(Problem::new(
        ErrorKind::Denied,
        "kicked",
        "this viewer was removed by an administrator",
    ))
}

/// Counts the viewer, and what it is sent.
pub(crate) fn count(
    app: &App,
    channel: &live::Channel,
    requester: &Requester,
    response: Response,
) -> Response {
    let length = response
        .body()
        .size_hint()
        .exact()
        .filter(|_| !requester.head)
        .unwrap_or(0);
    channel.count_out(length);
    channel
        .viewers
        .seen(&requester.key, app.live.clock().now(), length);
    response
}

/// Any other path: 404 in the words of the API.
pub(crate) async fn nothing() -> Response {
    Problem::not_found("there is nothing at this path").into_response()
}
