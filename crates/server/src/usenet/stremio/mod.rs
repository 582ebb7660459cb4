//! A Stremio add-on: `/stremio/{key}/…`, where `key` is the SHA-256 of an API key. It lists what is mounted
//! for an id, and what the operator's indexers have.
//!
//! Its links lead to `play`, which makes a fresh grant when somebody really plays: lists are kept by
//! players longer than a grant waits.

mod title;

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use usenet::{File, Selector};

use super::address;
use super::fetched::{self, Named};
use super::intake::{self, Rejected, Wish};
use super::newznab::{self, Found};
use super::sealed::Reference;
use super::streams::{add_wait, episode_of, hints, resolution_group};
use crate::client::BaseUrl;
use crate::error::Problem;
use crate::state::App;

pub(super) use title::Title;

/// What a link asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Play {
    /// A sealed reference.
    #[serde(default)]
    url: String,
}

/// An id of Stremio's, taken apart.
#[derive(Clone, Debug)]
struct Wanted {
    id: String,
    /// `tt0903747`.
    imdb: String,
    episode: Option<(u32, u32)>,
    title: Option<Title>,
}

const NAME: &str = "Perennial";
const CATEGORY: &str = "stremio";
const STREAMS_MAX: usize = 200;
/// Players wait about so long for a stream.
const PLAY_TIMEOUT: Duration = Duration::from_secs(60);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// `GET /stremio/{key}/manifest.json`.
pub(crate) async fn manifest(
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<Json<Value>, Problem> {
    permit(&app, &key)?;
    Ok(Json(json!({
        "id": "app.perennial.usenet",
        "version": env!("CARGO_PKG_VERSION"),
        "name": NAME,
        "description": "Plays posts straight from Usenet, through your own Perennial gateway.",
        "resources": ["stream"],
        "types": ["movie", "series"],
        "idPrefixes": ["tt"],
        "catalogs": [],
        "behaviorHints": { "configurable": false, "configurationRequired": false },
    })))
}

/// `GET /stremio/{key}/stream/{type}/{id}.json`. What fails is left out: a player shows the rest.
pub(crate) async fn streams(
    State(app): State<App>,
    Path((key, kind, id)): Path<(String, String, String)>,
    BaseUrl(base): BaseUrl,
) -> Result<Json<Value>, Problem> {
    permit(&app, &key)?;
    let id = id.strip_suffix(".json").unwrap_or(&id);
    let mut streams = Vec::new();
    if let Some(wanted) = wanted(&app, &kind, id).await {
        let links = Links {
            app: &app,
            root: format!("{base}/stremio/{key}"),
            base: &base,
        };
        for file in mounted(&app, &wanted) {
            streams.extend(links.of_file(&file));
        }
        for found in found(&app, &wanted).await {
            streams.extend(links.of_post(&found, &wanted));
        }
    }
    streams.truncate(STREAMS_MAX);
    Ok(Json(json!({ "streams": streams, "cacheMaxAge": 60 })))
}

/// `GET /stremio/{key}/play?url=`: 302 as soon as it plays, 503 where it does not.
pub(crate) async fn play(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(Play { url }): Query<Play>,
    BaseUrl(base): BaseUrl,
) -> Response {
    if let Err(problem) = permit(&app, &key) {
        return problem.into_response();
    }
    let file = match app.usenet.sealer.unseal(&url) {
        Some(reference) => resolve(&app, reference).await,
        None => Err(Rejected::bad_request("the link is none of ours")),
    };
    let location = file.and_then(|file| Ok(address::url_of(&app, &base, &file)?));
    let mut response = match &location {
        Ok(_) => StatusCode::FOUND.into_response(),
        // A player that gets 404 takes the whole add-on for broken.
        Err(rejected) => {
            let text = format!("{}: {}\n", rejected.code, rejected.message);
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
            add_wait(response.headers_mut(), rejected.retry_after);
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    let location = location
        .ok()
        .and_then(|url| HeaderValue::try_from(url).ok());
    headers.extend(location.map(|url| (LOCATION, url)));
    response
}

fn permit(app: &App, key: &str) -> Result<(), Problem> {
    match app.keys.verify_download_key(key) {
        Some(_) => Ok(()),
        None => {
            Err(Problem::unauthorized().hint("the add-on's URL holds the SHA-256 of an API key"))
        }
    }
}

async fn resolve(app: &App, reference: Reference) -> Result<File, Rejected> {
    let (url, name, id) = match reference {
        Reference::File { mount, path } => {
            let mount = app.usenet.engine.mount(usenet::MountId(mount));
            let file = mount.and_then(|mount| address::open(&mount, &path).ok());
            return file.ok_or_else(|| Rejected::bad_request("the file is not mounted any more"));
        }
        Reference::Nzb { url, name, id } => (url, name, id),
    };
    let deadline = Instant::now() + PLAY_TIMEOUT;
    let fetched = fetched::fetch(&app.usenet, &url, Named::ByIndexer).await?;
    let wish = Wish {
        category: CATEGORY.to_owned(),
        name: Some(name),
        password: None,
    };
    let mount = intake::mount(app, fetched.nzb, wish).await?.mount;
    drop(fetched.room);
    app.usenet.asked_as(mount.id(), &id).await;
    let episode = episode_of(&id);
    let files = mount.ready(Selector { episode }, deadline).await?;
    let first = files.into_iter().next();
    first.ok_or_else(|| Rejected::bad_request("the post has nothing that plays"))
}

/// Makes streams of what was found.
struct Links<'a> {
    app: &'a App,
    root: String,
    base: &'a str,
}

impl Links<'_> {
    fn of_file(&self, file: &File) -> Option<Value> {
        let info = file.info();
        let reference = Reference::File {
            mount: file.mount().id().0,
            path: info.path.clone(),
        };
        let group = resolution_group(info.name());
        Some(json!({
            "name": format!("{NAME}\nmounted"),
            "description": format!("{}\n{}", info.name(), gigabytes(info.size)),
            "url": self.play(&reference)?,
            "behaviorHints": hints(self.base, info, &group),
        }))
    }

    fn of_post(&self, found: &Found, wanted: &Wanted) -> Option<Value> {
        let reference = Reference::Nzb {
            url: found.url.clone(),
            name: found.name.clone(),
            id: wanted.id.clone(),
        };
        let size = found.bytes.map_or_else(String::new, gigabytes);
        Some(json!({
            "name": format!("{NAME}\n{}", found.indexer),
            "description": format!("{}\n{size}", found.name),
            "url": self.play(&reference)?,
            // Neither size nor name of the file in it is known yet.
            "behaviorHints": { "notWebReady": true, "bingeGroup": resolution_group(&found.name) },
        }))
    }

    fn play(&self, reference: &Reference) -> Option<String> {
        let sealed = self.app.usenet.sealer.seal(reference)?;
        Some(format!("{}/play?url={sealed}", self.root))
    }
}

async fn wanted(app: &App, kind: &str, id: &str) -> Option<Wanted> {
    let imdb = id.split(':').next()?;
    let digits = imdb.strip_prefix("tt")?;
    let is_id = (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let is_series = match kind {
        "movie" => false,
        "series" => true,
        _ => return None,
    };
    let episode = episode_of(id);
    if !is_id || is_series != episode.is_some() {
        return None;
    }
    Some(Wanted {
        id: id.to_owned(),
        imdb: imdb.to_owned(),
        episode,
        title: title::of(app, kind, imdb).await,
    })
}

/// Mounted files for an id: asked for under it before, named by it, or by its title.
fn mounted(app: &App, wanted: &Wanted) -> Vec<File> {
    let engine = &app.usenet.engine;
    let selector = Selector {
        episode: wanted.episode,
    };
    let mounts = engine.mounts().into_iter();
    let playable = mounts.filter(|mount| mount.status().state.is_playable());
    let fitting = playable.flat_map(|mount| {
        let status = mount.status();
        let is_asked = app.usenet.was_asked_as(mount.id(), &wanted.id);
        let files = mount.pick(selector).into_iter().filter(move |file| {
            let names = [status.name.as_str(), file.info().name()];
            let is_titled = |name: &&str| {
                let is_numbered = file.info().episode.is_some() || wanted.episode.is_none();
                let title = wanted.title.as_ref().filter(|_| is_numbered);
                name.contains(&wanted.imdb) || title.is_some_and(|title| title.names(name))
            };
            is_asked || names.iter().any(is_titled)
        });
        files.collect::<Vec<_>>()
    });
    fitting.collect()
}

/// What the indexers have; one that fails is left out.
async fn found(app: &App, wanted: &Wanted) -> Vec<Found> {
    let indexers = &app.usenet.settings.newznab;
    let title = wanted.title.as_ref();
    let search = newznab::Search {
        imdb: &wanted.imdb,
        episode: wanted.episode,
        query: title.map(Title::query),
    };
    let all = indexers.iter().map(|indexer| {
        let search = &search;
        async move {
            let answer = newznab::search(&app.usenet, indexer, search).await;
            answer.unwrap_or_else(|error| {
                tracing::warn!(indexer = indexer.name, %error, "an indexer was left out");
                Vec::new()
            })
        }
    });
    join_all(all).await.into_iter().flatten().collect()
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}
