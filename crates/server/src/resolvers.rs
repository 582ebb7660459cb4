//! `GET /api/v1/resolvers`: who returns links that expire, and how the links in use fare.

use axum::Json;
use axum::extract::State;
use resolve::{Board, Listed, Origin, ResolverSpec};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Admin;
use crate::state::App;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResolverList {
    resolvers: Vec<ResolverInfo>,
}

/// A resolver and what it returned last. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
struct ResolverInfo {
    id: String,
    title: String,
    /// `static`, `http` or `exec`.
    kind: &'static str,
    entries: usize,
    /// Of these, those that a look has shown to be live.
    live: usize,
    last_run_ms: Option<i64>,
    /// Why the last run brought nothing.
    error: Option<String>,
    /// Entries of the last result that were not taken, and why.
    refused: Vec<String>,
    in_use: Vec<EntryInfo>,
}

/// An entry that somebody watches.
#[derive(Debug, Serialize, ToSchema)]
struct EntryInfo {
    id: String,
    title: String,
    /// `alive`, or `dead`: refused by its origin, or over.
    link: &'static str,
    /// When the link dies, where that is known.
    expires_ms: Option<i64>,
    /// How often the link was replaced.
    refreshes: u64,
    /// When it was last replaced or confirmed.
    refreshed_ms: i64,
    /// When nobody will have asked for it for so long that it is let go.
    lease_until_ms: i64,
}

/// All resolvers.
#[utoipa::path(get, path = "/api/v1/resolvers", tag = "resolvers",
    responses((status = 200, body = ResolverList), (status = 401, body = crate::Problem)))]
pub(crate) async fn list(_: Admin, State(app): State<App>) -> Json<ResolverList> {
    let now_ms = app.live.clock().unix_ms();
    let boards = app.live.resolvers().boards();
    let resolvers = boards.iter().map(|(spec, board)| info(spec, board, now_ms));
    Json(ResolverList {
        resolvers: resolvers.collect(),
    })
}

fn info(spec: &ResolverSpec, board: &Board, now_ms: i64) -> ResolverInfo {
    let listed = || board.entries.values().filter(|listed| listed.listed);
    let is_live = |listed: &&Listed| listed.probe.is_some_and(|probe| probe.is_live);
    let leased = board.leases.iter();
    ResolverInfo {
        id: spec.id.clone(),
        title: spec.title().to_owned(),
        kind: match spec.origin {
            Origin::Static(_) => "static",
            Origin::Http { .. } => "http",
            Origin::Exec { .. } => "exec",
        },
        entries: listed().count(),
        live: listed().filter(is_live).count(),
        last_run_ms: board.last_run_ms,
        error: board.error.clone(),
        refused: board.refused.clone(),
        in_use: leased
            .filter_map(|(id, until_ms)| {
                let listed = board.entries.get(id)?;
                Some(entry(listed, *until_ms, now_ms))
            })
            .collect(),
    }
}

fn entry(listed: &Listed, lease_until_ms: i64, now_ms: i64) -> EntryInfo {
    let link = &listed.link;
    EntryInfo {
        id: link.entry.id.clone(),
        title: link.entry.title.clone(),
        link: if listed.is_usable(now_ms) {
            "alive"
        } else {
            "dead"
        },
        expires_ms: link.expires_ms,
        refreshes: listed.refreshes,
        refreshed_ms: listed.refreshed_ms,
        lease_until_ms,
    }
}
