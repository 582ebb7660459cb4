//! `GET /streams`, `/streams/all`, `/extractors` and `POST /extract`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use resolve::entry::Kind;
use resolve::{Board, Listed, ResolverSpec};
use schedule::rfc3339;
use serde::Serialize;
use serde_json::json;

use super::{Params, Reveal, Viewer, may_see_links};
use crate::auth::Admin;
use crate::state::App;

/// An entry as front ends know it.
#[derive(Debug, Serialize)]
struct Stream {
    url: String,
    site_key: String,
    site_name: String,
    quality: String,
    title: String,
    id: String,
    extracted_at: String,
    is_live: bool,
    response_time_ms: u64,
    checked_at: String,
    /// 0: the playlist does not say.
    bitrate: u64,
    /// Beyond the earlier system: a `file` is played from `/relay`, all others from `/proxy`.
    kind: Kind,
}

impl Stream {
    fn new(spec: &ResolverSpec, listed: &Listed, reveal: bool) -> Self {
        let entry = &listed.link.entry;
        let probe = listed.probe;
        Self {
            url: match reveal {
                true => entry.url.to_string(),
                false => listed.reference.clone(),
            },
            site_key: spec.id.clone(),
            site_name: spec.title().to_owned(),
            quality: entry.quality.clone(),
            title: entry.title.clone(),
            id: entry.id.clone(),
            extracted_at: rfc3339(listed.link.obtained_ms),
            is_live: is_live(listed),
            response_time_ms: probe.map_or(0, |probe| probe.response_ms),
            checked_at: probe.map_or_else(String::new, |probe| rfc3339(probe.checked_ms)),
            bitrate: probe.and_then(|probe| probe.bitrate).unwrap_or(0),
            kind: entry.kind,
        }
    }
}

fn is_live(listed: &Listed) -> bool {
    listed.probe.is_some_and(|probe| probe.is_live)
}

fn listed(board: &Board) -> impl Iterator<Item = &Listed> {
    board.entries.values().filter(|listed| listed.listed)
}

/// `GET /streams`: what is live, fastest first.
pub(super) async fn live(
    _: Viewer,
    State(app): State<App>,
    Params(reveal): Params<Reveal>,
    headers: HeaderMap,
) -> Response {
    let mut streams = streams(&app, may_see_links(&app, &reveal, &headers));
    streams.retain(|stream| stream.is_live);
    streams.sort_by_key(|stream| stream.response_time_ms);
    answer(&streams)
}

/// `GET /streams/all`: what resolvers returned, live or not.
pub(super) async fn all(
    _: Viewer,
    State(app): State<App>,
    Params(reveal): Params<Reveal>,
    headers: HeaderMap,
) -> Response {
    answer(&streams(&app, may_see_links(&app, &reveal, &headers)))
}

fn streams(app: &App, reveal: bool) -> Vec<Stream> {
    let mut streams = Vec::new();
    for (spec, board) in app.live.resolvers().boards() {
        streams.extend(listed(&board).map(|listed| Stream::new(&spec, listed, reveal)));
    }
    streams
}

fn answer(streams: &[Stream]) -> Response {
    Json(json!({"streams": streams, "count": streams.len()})).into_response()
}

/// `GET /extractors`: each resolver and what it found.
pub(super) async fn extractors(_: Viewer, State(app): State<App>) -> Response {
    let boards = app.live.resolvers().boards();
    let (mut extractors, mut total, mut total_live) = (Vec::new(), 0, 0);
    for (spec, board) in &boards {
        let cached = listed(board).count();
        let live = listed(board).filter(|listed| is_live(listed)).count();
        (total, total_live) = (total + cached, total_live + live);
        extractors.push(json!({
            "site_key": spec.id,
            "site_name": spec.title(),
            "cached_streams": cached,
            "live_streams": live,
        }));
    }
    let last_run = boards
        .iter()
        .filter_map(|(_, board)| board.last_run_ms)
        .max();
    Json(json!({
        "extractors": extractors,
        "total_cached_streams": total,
        "total_live_streams": total_live,
        "last_run": last_run.map(rfc3339),
        "last_run_stream_count": total,
    }))
    .into_response()
}

/// `POST /extract`: asks every resolver what there is.
pub(super) async fn extract(_: Admin, State(app): State<App>) -> Response {
    let surveyed = app.live.resolvers().survey().await;
    let streams = streams(&app, false);
    Json(json!({
        "status": "extraction_complete",
        "streams_found": streams.len(),
        "live_streams": streams.iter().filter(|stream| stream.is_live).count(),
        "extractors_run": surveyed.resolvers,
    }))
    .into_response()
}
