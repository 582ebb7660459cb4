//! `POST /api/nzb/streams`: an NZB in, URLs out, as soon as they play. Compatible with AltMount's route
//! of this path, whose callers read the shapes of these answers.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base::Redacted;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use usenet::{File, FileInfo, Role, Selector};
use utoipa::ToSchema;

use super::address;
use super::form::{BadForm, Form, Unread};
use super::intake::{self, Rejected, Wish};
use crate::auth::has_key;
use crate::client::BaseUrl;
use crate::error::Problem;
use crate::state::App;

/// A stream as Stremio reads it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stream {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subtitles: Vec<Subtitle>,
    #[serde(rename = "behaviorHints")]
    pub(crate) hints: Hints,
}

/// Subtitles of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subtitle {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) lang: String,
}

/// What Stremio does with a stream: subtitle look-up and the next episode hang on these.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hints {
    pub(crate) filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) video_size: Option<u64>,
    pub(crate) binge_group: String,
    pub(crate) not_web_ready: bool,
}

const CATEGORY: &str = "stremio";
const TIMEOUT_S: u64 = 300;
const TIMEOUT_S_MAX: u64 = 600;
const NAME: &str = "Perennial";
const RESOLUTIONS: [&str; 5] = ["2160p", "1080p", "720p", "576p", "480p"];

/// What is sent, as multipart or urlencoded form.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described, and read field by field")]
pub(crate) struct NzbInput {
    /// `.nzb` or `.nzb.gz`, at most 100 MB.
    #[schema(value_type = Option<String>, format = Binary)]
    file: Option<Vec<u8>>,
    /// Fetched by the gateway; goes before `file`.
    nzb_url: Option<String>,
    /// The lowercase hex SHA-256 of an API key, in place of the header; also in the query.
    download_key: Option<String>,
    /// `stremio` if absent.
    category: Option<String>,
    /// Seconds, at most 600; 300 if absent.
    timeout: Option<u64>,
    password: Option<String>,
    /// With `episode`: which file is wanted. Else all that play.
    season: Option<u32>,
    episode: Option<u32>,
    /// In place of the two: `tt0903747:1:2`.
    id: Option<String>,
    stremio_id: Option<String>,
}

/// What plays.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
    /// The mount's number.
    #[serde(rename = "_queue_item_id")]
    queue_item_id: i64,
    /// `streamable` or `completed`.
    #[serde(rename = "_queue_status")]
    queue_status: &'static str,
    /// The same articles were mounted before, under whatever name.
    #[serde(rename = "_cached")]
    cached: bool,
}

/// An NZB in, URLs out, as soon as they play.
///
/// Errors are `{"success":false,"error":{"code","message","details"}}`, never 404 or 405.
#[utoipa::path(post, path = "/api/nzb/streams", tag = "usenet",
    request_body(content = NzbInput, content_type = "multipart/form-data"),
    responses((status = 200, body = Streams), (status = 400, body = Object), (status = 401, body = Object),
        (status = 408, body = Object), (status = 422, body = Object), (status = 502, body = Object),
        (status = 503, body = Object), (status = 504, body = Object)))]
pub(crate) async fn submit(
    State(app): State<App>,
    BaseUrl(base): BaseUrl,
    request: Request,
) -> Response {
    match answer(&app, &base, request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(rejected) => refuse(rejected),
    }
}

async fn answer(app: &App, base: &str, request: Request) -> Result<Streams, Rejected> {
    let began = Instant::now();
    let form = signed_in(app, request).await?;
    let timeout_s = form.number("timeout").map_err(Rejected::bad_request)?;
    let timeout_s = timeout_s.unwrap_or(TIMEOUT_S).clamp(1, TIMEOUT_S_MAX);
    let selector = selector(&form).map_err(Rejected::bad_request)?;
    let wish = Wish {
        category: form.get("category").unwrap_or(CATEGORY).to_owned(),
        name: None,
        password: form
            .get("password")
            .map(|text| Redacted::new(text.to_owned())),
    };
    let url = form.get("nzb_url").map(str::to_owned);
    let id = form.get("id").or_else(|| form.get("stremio_id"));
    let id = id.filter(|id| id.starts_with("tt")).map(str::to_owned);
    let submitted = intake::submit(app, url.as_deref(), form, wish).await?;
    let mount = submitted.mount;
    if let Some(id) = id {
        app.usenet.asked_as(mount.id(), &id).await;
    }
    let deadline = began + Duration::from_secs(timeout_s);
    let files = mount.ready(selector, deadline).await;
    let files = files.map_err(|failure| Rejected::from(failure).of(mount.id()))?;
    let streams: Result<_, Problem> = files.iter().map(|file| stream(app, base, file)).collect();
    let streams = streams?;
    let queue_status = match mount.status().state {
        usenet::State::Completed => "completed",
        _ => "streamable",
    };
    Ok(Streams {
        streams,
        queue_item_id: mount.id().0,
        queue_status,
        cached: submitted.is_cached,
    })
}

/// The form of who has a key. It may stand in the form itself, so that some of a stranger's must be read.
async fn signed_in(app: &App, request: Request) -> Result<Form, Rejected> {
    let is_download_key = |form: &Form| {
        let key = form.get("download_key");
        key.is_some_and(|key| app.keys.verify_download_key(key).is_some())
    };
    let known =
        has_key(app, request.headers()) || is_download_key(&Form::of_query(request.uri().query()));
    match app.usenet.form(request, known).await {
        Ok(form) if known || is_download_key(&form) => Ok(form),
        Err(Unread { error, .. }) if known => Err(error.into()),
        // The key may stand behind what was too long.
        Err(Unread {
            form: _,
            error: error @ BadForm::TooLarge(_),
        }) => Err(Rejected {
            message: format!("{error}: send the API key as X-Api-Key or in the query"),
            ..Rejected::unauthorized()
        }),
        Err(Unread { form, error }) if is_download_key(&form) => Err(error.into()),
        Ok(_) | Err(_) => Err(Rejected::unauthorized()),
    }
}

/// `season` and `episode`, or an id of Stremio's: `tt0903747:1:2`.
pub(crate) fn selector(form: &Form) -> Result<Selector, String> {
    let (season, episode) = (form.number("season")?, form.number("episode")?);
    let of_id = form.get("id").or_else(|| form.get("stremio_id"));
    Ok(Selector {
        episode: season.zip(episode).or_else(|| episode_of(of_id?)),
    })
}

/// Season and episode of an id of Stremio's.
pub(crate) fn episode_of(id: &str) -> Option<(u32, u32)> {
    let mut parts = id.split(':').skip(1);
    let numbers = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(numbers)
}

/// A file as a stream, with a URL of its own.
pub(crate) fn stream(app: &App, base: &str, file: &File) -> Result<Stream, Problem> {
    let info = file.info();
    Ok(Stream {
        url: address::url_of(app, base, file)?,
        name: NAME.to_owned(),
        title: info.name().to_owned(),
        size: info.size,
        subtitles: subtitles(app, base, file)?,
        hints: hints(base, info, &binge_group(file)),
    })
}

pub(crate) fn hints(base: &str, info: &FileInfo, binge_group: &str) -> Hints {
    Hints {
        filename: info.name().to_owned(),
        video_size: Some(info.size),
        binge_group: binge_group.to_owned(),
        // What a browser plays by itself.
        not_web_ready: !(base.starts_with("https:") && info.media_type == "video/mp4"),
    }
}

/// Files of one pack belong together, and posts of one resolution.
fn binge_group(file: &File) -> String {
    let status = file.mount().status();
    let episodes = status.files.iter().filter(|info| info.episode.is_some());
    if episodes.count() > 1 {
        return format!("perennial|{}", file.mount().content_id());
    }
    resolution_group(&format!("{} {}", file.info().name(), status.name))
}

/// The group of posts of one resolution.
pub(crate) fn resolution_group(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let found = RESOLUTIONS.iter().find(|word| name.contains(**word));
    format!("perennial|{}", found.unwrap_or(&"other"))
}

/// The subtitles that go with a file: all of a post with one film, else those of the same name.
fn subtitles(app: &App, base: &str, file: &File) -> Result<Vec<Subtitle>, Problem> {
    let status = file.mount().status();
    let is_only = (status.files.iter().filter(|info| info.role == Role::Media)).count() == 1;
    let stem = |name: &str| {
        name.rsplit_once('.')
            .map_or(name, |(stem, _)| stem)
            .to_owned()
    };
    let film = stem(file.info().name());
    let fitting = status.files.iter().filter(|info| {
        let fits = is_only || info.name().starts_with(&film);
        info.role == Role::Subtitle && info.failure.is_none() && fits
    });
    let subtitle = |info: &FileInfo| {
        let stem = stem(info.name());
        // Film.en.srt, Film.eng.srt; players take whatever else it says for a name.
        let lang = stem.rsplit(['.', '_', '-']).next().unwrap_or(&stem);
        Ok(Subtitle {
            id: info.path.clone(),
            url: address::url(app, base, file.mount().id(), &info.path, true)?,
            lang: lang.to_owned(),
        })
    };
    fitting.map(subtitle).collect()
}

/// An error in the shape that callers of this route read.
fn refuse(rejected: Rejected) -> Response {
    let Rejected {
        code,
        message,
        details,
        status,
        retry_after,
    } = rejected;
    tracing::debug!(code, message, "a post is not played");
    let error = json!({ "code": code, "message": message, "details": details });
    let body = Json(json!({ "success": false, "error": error }));
    let mut response = (status, body).into_response();
    add_wait(response.headers_mut(), retry_after);
    debug_assert!(
        !matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        ),
        "callers take these for a gateway without this route"
    );
    response
}

pub(crate) fn add_wait(headers: &mut HeaderMap, wait: Option<Duration>) {
    headers.extend(wait.map(|wait| (RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_named_by_two_numbers_or_by_stremios_id() {
        let check = |query: &str, expected| {
            let selector = selector(&Form::of_query(Some(query)));
            assert_eq!(
                selector.map(|selector| selector.episode),
                expected,
                "{query}"
            );
        };
        check("season=1&episode=2", Ok(Some((1, 2))));
        check("id=tt0903747:3:4", Ok(Some((3, 4))));
        check("stremio_id=tt0903747%3A3%3A4", Ok(Some((3, 4))));
        check("season=1&episode=2&id=tt1:3:4", Ok(Some((1, 2))));
        for none in ["", "season=1", "id=tt0903747", "id=tt1:2", "id=tt1:2:3:4"] {
            check(none, Ok(None));
        }
        check("season=one", Err("season must be a number".to_owned()));
    }
}
