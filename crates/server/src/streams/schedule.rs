//! `GET /schedule`, `GET /schedule.ics`, `POST /schedule/refresh` and `GET /api/v1/schedule`.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use schedule::{Race, Session, Snapshot, Status, ics, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Admin;
use crate::error::Problem;
use crate::state::App;

/// `GET /schedule`: all events, each session with where it stands now.
pub(super) async fn races(State(app): State<App>) -> Response {
    let known = app.settings.schedules.known();
    let now_ms = app.live.clock().unix_ms();
    let mut races: Vec<(i64, Value)> = Vec::new();
    for snapshot in known.values() {
        for race in &snapshot.calendar.races {
            let first = race
                .sessions
                .first()
                .map_or(i64::MAX, |session| session.start_ms);
            races.push((first, race_as_json(race, snapshot, now_ms)));
        }
    }
    races.sort_by_key(|(first, _)| *first);
    let season = known
        .values()
        .map(|snapshot| snapshot.calendar.season.as_str());
    let season = season.max().unwrap_or_default();
    // Of several, the age of the oldest is told.
    let fetched = known
        .values()
        .filter_map(|snapshot| snapshot.fetched_ms)
        .min();
    Json(json!({
        "season": season,
        "fetched_at": fetched.map_or_else(String::new, rfc3339),
        "races": races.into_iter().map(|(_, race)| race).collect::<Vec<_>>(),
    }))
    .into_response()
}

fn race_as_json(race: &Race, snapshot: &Snapshot, now_ms: i64) -> Value {
    let mut value = json!(race);
    let sessions = race.sessions.iter().map(|session| {
        let mut value = json!(session);
        value["status"] = json!(session.status(now_ms));
        value
    });
    value["sessions"] = sessions.collect();
    // Beyond the earlier system: what a Watch button opens.
    value["channels"] = json!(snapshot.channels);
    value
}

/// `POST /schedule/refresh`: fetches every schedule now.
pub(super) async fn refresh(_: Admin, State(app): State<App>) -> Response {
    app.settings.schedules.refresh().await;
    Json(json!({"status": "refreshed"})).into_response()
}

/// `GET /schedule.ics`: all sessions, for calendars of phones and desktops.
pub(super) async fn export(State(app): State<App>) -> Response {
    let known = app.settings.schedules.known();
    let calendars = known
        .iter()
        .map(|(id, snapshot)| (id.as_str(), &snapshot.calendar));
    let text = ics(calendars, app.live.clock().unix_ms());
    ([(CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response()
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Window {
    /// RFC 3339; else a day ago.
    from: Option<String>,
    /// RFC 3339; else in 30 days.
    to: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleInfo {
    sessions: Vec<SessionInfo>,
    schedules: Vec<SourceAge>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SessionInfo {
    schedule: String,
    event: String,
    /// `fp1`, `race`, `event`…
    r#type: String,
    name: String,
    start_utc: String,
    duration_minutes: u32,
    /// It is whole days.
    all_day: bool,
    /// `past`, `live` or `upcoming`.
    status: String,
    /// That show it.
    channels: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SourceAge {
    id: String,
    fetched_at: Option<String>,
    age_s: Option<i64>,
    /// Why the last attempt to fetch it brought nothing.
    error: Option<String>,
}

const DAY_MS: i64 = 24 * 3_600_000;

/// What is on between two moments, and how old that knowledge is.
#[utoipa::path(get, path = "/api/v1/schedule", tag = "schedule", params(Window),
    responses((status = 200, body = ScheduleInfo), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn sessions(
    _: Admin,
    State(app): State<App>,
    Query(window): Query<Window>,
) -> Result<Json<ScheduleInfo>, Problem> {
    let now_ms = app.live.clock().unix_ms();
    let from = moment(window.from.as_deref(), "from")?.unwrap_or(now_ms - DAY_MS);
    let to = moment(window.to.as_deref(), "to")?.unwrap_or(now_ms + 30 * DAY_MS);
    let known = app.settings.schedules.known();
    let mut sessions = Vec::new();
    for (id, snapshot) in known.iter() {
        for race in &snapshot.calendar.races {
            let within = |session: &&Session| session.end_ms() > from && session.start_ms < to;
            let found = race.sessions.iter().filter(within);
            sessions.extend(found.map(|session| info(id, snapshot, race, session, now_ms)));
        }
    }
    sessions.sort_by(|a, b| a.start_utc.cmp(&b.start_utc));
    let schedules = known.iter().map(|(id, snapshot)| SourceAge {
        id: id.clone(),
        fetched_at: snapshot.fetched_ms.map(rfc3339),
        age_s: snapshot.fetched_ms.map(|fetched| (now_ms - fetched) / 1000),
        error: snapshot.error.clone(),
    });
    Ok(Json(ScheduleInfo {
        schedules: schedules.collect(),
        sessions,
    }))
}

fn info(id: &str, snapshot: &Snapshot, race: &Race, session: &Session, now_ms: i64) -> SessionInfo {
    let status = match session.status(now_ms) {
        Status::Past => "past",
        Status::Live => "live",
        Status::Upcoming => "upcoming",
    };
    SessionInfo {
        schedule: id.to_owned(),
        event: race.race_name.clone(),
        r#type: session.kind.clone(),
        name: session.name.clone(),
        start_utc: rfc3339(session.start_ms),
        duration_minutes: session.duration_minutes,
        all_day: session.all_day,
        status: status.to_owned(),
        channels: snapshot.channels.clone(),
    }
}

fn moment(text: Option<&str>, name: &'static str) -> Result<Option<i64>, Problem> {
    let read = text.map(str::parse::<Timestamp>).transpose();
    let read = read.map_err(|_| {
        Problem::new(
            ErrorKind::Invalid,
            "invalid",
            format!("{name} is no date of RFC 3339"),
        )
        .hint("such as 2026-11-20T12:00:00Z")
    })?;
    Ok(read.map(|at| at.as_millisecond()))
}
