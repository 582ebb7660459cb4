//! `perennial serve`: the gateway with its configuration, reloaded on SIGHUP and on request.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use base::Redacted;
use live::{Change, Live};
use schedule::Schedules;
use server::{Access, Grants, Reloaded};
use store::{Location, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use vod::Vod;

use crate::app::{self, Gateway, live_settings};
use crate::cli::Exit;
use crate::config::{Config, Loaded, Postponed, Viewers, environment};
use crate::log;

const FIRST_LABEL: &str = "made at first start";
const FILE_LABEL: &str = "auth.api_key_file";

pub(crate) fn run(loaded: Loaded) -> Exit {
    log::start(false);
    app::run(serve(loaded))
}

async fn serve(loaded: Loaded) -> anyhow::Result<Exit> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = &loaded.config;
    let location = Location::Directory(config.server.data_dir.clone());
    let mut gateway = Gateway::open(config, &location, Access::Key).await?;
    introduce(&loaded, &gateway);
    first_key(config, &gateway.store).await?;
    if let Some(file) = loaded.file.clone() {
        let reloader = Arc::new(Reloader {
            file,
            live: gateway.live.clone(),
            vod: gateway.vod.clone(),
            grants: gateway.grants.clone(),
            viewers_need_grants: gateway.viewers_need_grants(),
            schedules: gateway.schedules.clone(),
            started: loaded.clone(),
            newest: Mutex::new(loaded),
        });
        tokio::spawn(reload_on_hangup(reloader.clone()));
        gateway.set_reload(Box::new(move || {
            let reloader = reloader.clone();
            Box::pin(async move { reloader.reload().await })
        }));
    }
    gateway.serve(Router::new(), app::asked_to_stop()).await?;
    Ok(Exit::Done)
}

fn introduce(loaded: &Loaded, gateway: &Gateway) {
    let config = &loaded.config;
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    match &loaded.file {
        Some(file) => tracing::info!("configuration: {}", file.display()),
        None => tracing::info!("no perennial.toml here: built-in defaults"),
    }
    tracing::info!("listening on {scheme}://{}", gateway.address());
    tracing::info!("state is kept in {}", config.server.data_dir.display());
    if !config.server.is_loopback() && config.auth.viewers == Viewers::Open {
        tracing::warn!(
            "everybody who reaches {} may watch: auth.allow_open is set",
            gateway.address()
        );
    }
    if gateway.live.channels().is_empty() {
        tracing::info!(
            "no channels yet: the page at {scheme}://{} says how to add one",
            gateway.address()
        );
    }
}

/// Brings the operator's own key, or makes one at the very first start and shows it once.
async fn first_key(config: &Config, store: &Store) -> anyhow::Result<()> {
    if let Some(key) = &config.auth.api_key {
        store
            .import_key(FILE_LABEL, &Redacted::new(key.expose().clone()))
            .await
            .map_err(app::with_hint)?;
        return Ok(());
    }
    if store.has_keys() {
        return Ok(());
    }
    let (_, key) = store
        .create_key(FIRST_LABEL)
        .await
        .map_err(app::with_hint)?;
    log::complain(&format!(
        "\n  Your API key, shown this once:\n\n    {}\n\n  `perennial key create` makes another.\n",
        key.expose()
    ));
    Ok(())
}

struct Reloader {
    file: PathBuf,
    live: Live,
    vod: Vod,
    grants: Grants,
    viewers_need_grants: Arc<AtomicBool>,
    schedules: Schedules,
    /// What holds until the next start.
    started: Loaded,
    newest: Mutex<Loaded>,
}

impl Reloader {
    /// Takes the file as it is now. A bad file changes nothing.
    async fn reload(&self) -> Result<Reloaded, Vec<String>> {
        let mut newest = self.newest.lock().await;
        let newer = match Config::load(Some(&self.file), environment()) {
            Ok(newer) => newer,
            Err(errors) => {
                tracing::error!("the configuration is bad, and nothing changed:\n{errors}");
                let errors = errors.problems().iter().map(ToString::to_string).collect();
                return Err(errors);
            }
        };
        if let Err(error) = self.reload_libraries(&newer.config).await {
            tracing::error!("the configuration is bad, and nothing changed: {error:#}");
            return Err(vec![format!("{error:#}")]);
        }
        let said = |postponed: Vec<Postponed>| -> Vec<String> {
            postponed.iter().map(ToString::to_string).collect()
        };
        let restart_needed = said(self.started.restart_needed(&newer));
        let channel_start_needed = said(newest.channel_start_needed(&newer));
        for change in &channel_start_needed {
            tracing::info!("not for channels that run: {change}");
        }
        for change in &restart_needed {
            tracing::warn!("needs a restart: {change}");
        }
        if let Err(error) = self
            .live
            .resolvers()
            .apply(newer.config.resolvers.clone())
            .await
        {
            tracing::warn!(%error, "resolvers of before may come back after a restart");
        }
        self.schedules.apply(newer.config.schedules.clone()).await;
        let change = self
            .live
            .apply(
                live_settings(&newer.config),
                &app::accounts(&newer.config),
                newer.config.channels.clone(),
            )
            .await;
        if let Err(error) = app::load_stored(&self.live).await {
            tracing::error!(%error, "stored channels that the file hid are not back");
        }
        tracing::info!(
            added = change.added.len(),
            changed = change.changed.len(),
            removed = change.removed.len(),
            "configuration reloaded"
        );
        *newest = newer;
        let Change {
            added,
            changed,
            removed,
        } = change;
        let names = |ids: Vec<base::ChannelId>| ids.into_iter().map(String::from).collect();
        Ok(Reloaded {
            added: names(added),
            changed: names(changed),
            removed: names(removed),
            restart_needed,
            channel_start_needed,
        })
    }
}

impl Reloader {
    async fn reload_libraries(&self, config: &Config) -> anyhow::Result<()> {
        let grants = app::grant_settings(config)?;
        self.vod.apply(app::library_specs(config))?;
        self.grants.apply(grants).await.map_err(app::with_hint)?;
        let need_grants = config.auth.viewers == Viewers::Grant;
        self.viewers_need_grants
            .store(need_grants, Ordering::Relaxed);
        Ok(())
    }
}

async fn reload_on_hangup(reloader: Arc<Reloader>) {
    let hangups = signal(SignalKind::hangup()).context("listening for SIGHUP");
    match hangups {
        Ok(mut hangups) => {
            while hangups.recv().await.is_some() {
                // What is wrong with the file is in the log.
                let _ = reloader.reload().await;
            }
        }
        Err(error) => tracing::warn!("{error:#}"),
    }
}
