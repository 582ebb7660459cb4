//! The `[usenet]` section as the engine and its faces want it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base::Redacted;
use server::{Indexer, LibrarySettings, UsenetFace, UsenetSettings};
use store::{Location, Store};
use usenet::{ProviderSettings, Settings, Usenet};

use crate::app;
use crate::config::{Config, Provider};

/// Below the data directory.
const CACHE: &str = "articles";

/// Starts the engine and puts its faces before it.
pub(crate) async fn open(
    config: &Config,
    location: &Location,
    store: &Store,
    listening: SocketAddr,
) -> anyhow::Result<(Usenet, UsenetFace)> {
    let engine = Usenet::start(engine(config, location)?, store.clone()).await;
    let engine = engine.map_err(with_hint)?;
    let settings = face(config, listening);
    let client = fetch::Client::new(fetch::Settings {
        own: vec![listening],
        allow: settings.allowed_networks(),
        ..fetch::Settings::default()
    })?;
    let face = UsenetFace::open(engine.clone(), client, store, settings).await;
    Ok((engine, face.map_err(app::with_hint)?))
}

/// For the engine. Articles go to disk only where state does.
fn engine(config: &Config, location: &Location) -> anyhow::Result<Settings> {
    let section = &config.usenet;
    let cache_dir = match location {
        Location::Directory(folder) => Some(folder.join(CACHE)),
        Location::Postgres(_) | Location::Memory => None,
    };
    Ok(Settings {
        providers: providers(config)?,
        cache_memory_bytes: section.article_cache_memory.0,
        cache_disk_bytes: section.article_cache_disk.0,
        cache_dir,
        read_ahead_bytes: section.read_ahead.map(|size| size.0),
        mount_ttl: section.nzb_ttl,
    })
}

/// The accounts; those with TLS share one configuration and so their sessions.
pub(crate) fn providers(config: &Config) -> anyhow::Result<Vec<ProviderSettings>> {
    let providers = &config.usenet.providers;
    let tls = match providers.iter().any(|provider| provider.tls) {
        true => Some(usenet::tls().map_err(with_hint)?),
        false => None,
    };
    let settings = |provider: &Provider| ProviderSettings {
        host: provider.host.clone(),
        port: provider.port,
        tls: tls.clone().filter(|_| provider.tls),
        username: Some(provider.username.clone()).filter(|name| !name.is_empty()),
        password: provider
            .password
            .as_ref()
            .map_or_else(Redacted::default, |secret| secret.value.clone()),
        connections: provider.connections,
        priority: provider.priority,
        backup: provider.backup,
        storage_group: provider.storage_group.clone(),
    };
    Ok(providers.iter().map(settings).collect())
}

/// For the faces. What files of the library hold must lead back here from wherever they are read.
fn face(config: &Config, listening: SocketAddr) -> UsenetSettings {
    let section = &config.usenet;
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let address = match listening.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listening.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => listening,
    };
    let base_url = match &config.server.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{scheme}://{address}"),
    };
    let newznab = section.newznab.iter().map(|newznab| Indexer {
        name: newznab.name.clone(),
        url: newznab.url.clone(),
        api_key: newznab
            .api_key
            .as_ref()
            .map_or_else(Redacted::default, |secret| secret.value.clone()),
    });
    UsenetSettings {
        nzb_url_allow: section.nzb_url_allow.clone(),
        cinemeta_url: section.cinemeta_url.clone(),
        newznab: newznab.collect(),
        library: LibrarySettings {
            // Other programs are told of it, and they start elsewhere.
            dir: section.library.dir.as_deref().map(absolute),
            mode: section.library.mode,
            mount_dir: section.library.mount_dir.as_deref().map(absolute),
            recheck: section.library.recheck,
            base_url,
        },
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The engine's error with its cure.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(crate) fn with_hint(error: usenet::Error) -> anyhow::Error {
    match error.hint() {
        "" => anyhow::anyhow!("{error}"),
        hint => anyhow::anyhow!("{error}\n  hint: {hint}"),
    }
}
