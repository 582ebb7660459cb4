//! `perennial demo`: a channel with two made-up sources inside the process, and a page to break them; beside
//! it a stream whose link expires, and a schedule.

mod expiring;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use live::spec::{ChannelSpec, SourceSpec};
use live::{Channel, Live};
use serde::{Deserialize, Serialize};
use server::{Access, is_of_this_machine};
use store::Location;
use testkit::origin::Fault;
use testkit::{Clip, Origin, Spec};
use tokio::sync::broadcast::error::RecvError;

use crate::app::{self, Gateway, config_of};
use crate::cli::{DemoArgs, Exit};
use crate::demo_film::Film;
use crate::demo_posts::Posts;
use crate::log;

const CHANNEL: &str = "demo";
const NAMES: [&str; 2] = ["A", "B"];
const EVENTS_MAX: usize = 50;

/// The faults that the page offers, by the words of [`Fault`]: each is one that real sources have.
const FAULTS: [&str; 6] = ["dead", "freeze", "stall", "404", "html", "garbage"];

pub(crate) fn run(args: &DemoArgs) -> Exit {
    log::start(false);
    app::run(serve(args.port))
}

async fn serve(port: u16) -> anyhow::Result<Exit> {
    let origins = [start_origin(Clip::A).await?, start_origin(Clip::B).await?];
    let source = |origin: &Origin| SourceSpec {
        url: origin.url(),
        headers: Vec::new(),
        user_agent: String::new(),
        account: String::new(),
    };
    let spec = ChannelSpec {
        id: CHANNEL.parse().expect("a valid id"),
        title: "Perennial demo".to_owned(),
        group: "Demo".to_owned(),
        logo: String::new(),
        tvg_id: String::new(),
        slate: String::new(),
        target_duration_s: 0,
        sources: origins.iter().map(source).collect(),
    };
    let film = Film::make()?;
    let signed = expiring::start_origin().await?;
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let mut config = config_of(listen, vec![spec, expiring::channel()]);
    config.libraries.push(film.library());
    config.resolvers.push(expiring::resolver(&signed));
    let posts = Posts::start().await?;
    config.usenet.providers.push(posts.provider());
    // The demo talks to nobody.
    config.usenet.cinemeta_url = None;
    let gateway = Gateway::open(&config, &Location::Memory, Access::KeyOrLocalSwitch).await?;
    let (_, key) = gateway
        .store
        .create_key("demo")
        .await
        .map_err(app::with_hint)?;
    let links = film.links(&gateway).await?;
    posts.mount(&gateway.usenet).await?;
    log::complain(&format!(
        "\n  Perennial demo: open  http://{0}/\n\n  Players: http://{0}/live/{CHANNEL}/index.m3u8\n  \
         API key for the page's Status view: {1}\n  With the key the page also lists two films that play from (made-up) Usenet articles.\n\n  A private film, as a share link: http://{0}{2}\n  \
         … and for players:              http://{0}{3}\n",
        gateway.address(),
        key.expose(),
        links.share,
        links.grant
    ));
    let calendar = expiring::calendar(gateway.live.clock().unix_ms());
    let channels = vec![CHANNEL.to_owned(), expiring::CHANNEL.to_owned()];
    gateway.schedules.put("demo", calendar, channels);
    let demo = Demo {
        live: gateway.live.clone(),
        origins: Arc::new(origins),
        events: Arc::default(),
    };
    let following = tokio::spawn(follow(demo.clone()));
    gateway.serve(routes(demo), app::asked_to_stop()).await?;
    following.abort();
    Ok(Exit::Done)
}

async fn start_origin(clip: Clip) -> anyhow::Result<Origin> {
    Origin::start(Spec {
        clip,
        ..Spec::default()
    })
    .await
    .context("starting a made-up source")
}

#[derive(Clone)]
struct Demo {
    live: Live,
    origins: Arc<[Origin; 2]>,
    events: Arc<Mutex<VecDeque<Line>>>,
}

/// A line of the page's log.
#[derive(Clone, Debug, Serialize)]
struct Line {
    at_ms: i64,
    text: String,
}

#[derive(Debug, Serialize)]
struct DemoState {
    channel: &'static str,
    sources: Vec<DemoSource>,
    current: Option<usize>,
    faults: [&'static str; 6],
    events: Vec<Line>,
    state: &'static str,
    generation: u64,
    viewers: usize,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug, Serialize)]
struct DemoSource {
    name: &'static str,
    url: String,
    fault: Option<String>,
    requests: u64,
    health: &'static str,
    why: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SwitchTo {
    source: usize,
}

#[derive(Debug, Deserialize)]
struct Break {
    source: usize,
    fault: Option<String>,
}

fn routes(demo: Demo) -> Router {
    Router::new()
        .route("/demo/state", get(state))
        .route("/demo/switch", post(switch))
        .route("/demo/fault", post(set_fault))
        .with_state(demo)
}

async fn state(State(demo): State<Demo>) -> Json<DemoState> {
    let channel = demo.channel();
    let view = channel.view();
    let now = demo.live.clock().now();
    let sources = demo
        .origins
        .iter()
        .zip(NAMES)
        .enumerate()
        .map(|(index, (origin, name))| {
            let known = view.status.sources.get(index);
            DemoSource {
                name,
                url: origin.url().to_string(),
                fault: origin.fault().map(word),
                requests: origin.stats().requests,
                health: known.map_or("unknown", |source| source.health),
                why: known.and_then(|source| source.why.clone()),
            }
        });
    Json(DemoState {
        channel: CHANNEL,
        sources: sources.collect(),
        // On the slate no source is on air, as far as people can see.
        current: view.status.on_air.filter(|_| view.status.state != "slate"),
        faults: FAULTS,
        events: demo.lines().iter().cloned().collect(),
        state: view.status.state,
        generation: view.status.generation,
        viewers: channel.viewers.count(now, channel.viewer_idle()),
        bytes_in: channel.bytes_in(),
        bytes_out: channel.bytes_out(),
    })
}

async fn switch(
    State(demo): State<Demo>,
    headers: HeaderMap,
    Json(to): Json<SwitchTo>,
) -> StatusCode {
    if is_of_this_machine(&headers).is_err() {
        return StatusCode::FORBIDDEN;
    }
    match demo.channel().switch_to_source(to.source).await {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::BAD_REQUEST,
    }
}

async fn set_fault(
    State(demo): State<Demo>,
    headers: HeaderMap,
    Json(wish): Json<Break>,
) -> StatusCode {
    if is_of_this_machine(&headers).is_err() {
        return StatusCode::FORBIDDEN;
    }
    let (Some(origin), Some(name)) = (demo.origins.get(wish.source), NAMES.get(wish.source)) else {
        return StatusCode::BAD_REQUEST;
    };
    let fault = match wish.fault.as_deref().map(str::parse) {
        None => None,
        Some(Ok(fault)) => Some(fault),
        Some(Err(_)) => return StatusCode::BAD_REQUEST,
    };
    origin.set_fault(fault);
    demo.note(
        demo.live.clock().unix_ms(),
        match fault {
            Some(fault) => format!("source {name} is broken: {}", word(fault)),
            None => format!("source {name} is mended"),
        },
    );
    StatusCode::NO_CONTENT
}

fn word(fault: Fault) -> String {
    match fault {
        Fault::Status { code, .. } => code.to_string(),
        fault => fault.word().to_owned(),
    }
}

impl Demo {
    fn channel(&self) -> Arc<Channel> {
        self.live
            .channel(CHANNEL)
            .expect("the demo's channel is never removed")
    }

    /// Ports say nothing to people: the sources are A and B.
    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (origin, name) in self.origins.iter().zip(NAMES) {
            let url = origin.url();
            text = text.replace(url.as_str(), &format!("source {name}"));
            let host = url.as_str().trim_end_matches(url.path());
            text = text.replace(&format!("{host}/"), &format!("source {name} "));
        }
        text
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<Line>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, at_ms: i64, text: String) {
        let mut lines = self.lines();
        if lines.len() == EVENTS_MAX {
            lines.pop_front();
        }
        lines.push_back(Line { at_ms, text });
    }
}

/// Keeps the newest events for the page.
async fn follow(demo: Demo) {
    let mut events = demo.live.events().subscribe();
    loop {
        match events.recv().await {
            Ok(event) if event.channel.as_str() == CHANNEL => {
                demo.note(event.at_ms, demo.named(&event.text));
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
