//! The parts put together: store, client, channels, HTTP face.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use base::{ChannelId, Redacted};
use grant::Rules;
use hls::channel::VariantFilter;
use live::spec::ChannelSpec;
use live::{Live, SystemClock};
use schedule::Schedules;
use server::{Access, App, GrantSettings, Grants, Listener, Reload, Tls, UsenetFace};
use store::{Location, Store};
use tokio_util::sync::CancellationToken;
use url::Url;
use usenet::Usenet;
use vod::{LibrarySpec, S3Spec, Vod, Where};

use crate::cli::ConfigFile;
use crate::config::{Config, LibraryPlace, Secret, Variants, Viewers};
use crate::usenet_settings;

/// A gateway that is ready to serve.
#[derive(Debug)]
pub struct Gateway {
    /// The channels.
    pub live: Live,
    /// Private libraries.
    pub vod: Vod,
    /// Posts.
    pub usenet: Usenet,
    /// Who may see what.
    pub grants: Grants,
    /// State.
    pub store: Store,
    /// What is on when.
    pub schedules: Schedules,
    listener: Listener,
    settings: server::Settings,
    face: UsenetFace,
}

/// How often keys that another process made or revoked are looked for.
const KEYS_LOOK: Duration = Duration::from_secs(1);
/// To one store; more wait.
const LIBRARY_REQUESTS_MAX: usize = 32;
/// How often it is looked whether something on the schedule is live.
const SCHEDULE_LOOK: Duration = Duration::from_secs(15);

impl Gateway {
    /// Opens the store, binds the listener and knows the channels; nothing is served yet.
    pub async fn open(
        config: &Config,
        location: &Location,
        access: Access,
    ) -> anyhow::Result<Self> {
        let store = Store::open(location).await.map_err(with_hint)?;
        let tls = match &config.server.tls {
            Some(tls) => Some(Tls::load(tls.cert_file.clone(), tls.key_file.clone())?),
            None => None,
        };
        let listener = Listener::bind(config.server.listen, tls).await?;
        let own = vec![listener.address()];
        let client = fetch::Client::new(fetch::Settings {
            own: own.clone(),
            ..fetch::Settings::default()
        })?;
        let clock = Arc::new(SystemClock::new());
        let Libraries { vod, grants } = Libraries::open(config, &store, own, clock.clone()).await?;
        let live = Live::new(
            live_settings(config),
            client,
            store.clone(),
            clock,
            vod.clone(),
        );
        live.resolvers()
            .apply(config.resolvers.clone())
            .await
            .map_err(with_hint)?;
        live.apply(
            live_settings(config),
            &accounts(config),
            config.channels.clone(),
        )
        .await;
        load_stored(&live).await.map_err(with_hint)?;
        let folder = match location {
            Location::Directory(path) => Some(path.join("schedule")),
            Location::Postgres(_) | Location::Memory => None,
        };
        let clock = Arc::new(SystemClock::new());
        let schedules = Schedules::new(live.client().clone(), clock, folder);
        schedules.apply(config.schedules.clone()).await;
        let (usenet, face) =
            usenet_settings::open(config, location, &store, listener.address()).await?;
        let settings = server::Settings {
            schedules: schedules.clone(),
            public_url: config.server.public_url.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            access,
            viewers_need_grants: Arc::new(AtomicBool::new(config.auth.viewers == Viewers::Grant)),
            reload: None,
            stop: CancellationToken::new(),
        };
        Ok(Self {
            live,
            vod,
            usenet,
            grants,
            store,
            schedules,
            face,
            listener,
            settings,
        })
    }

    /// Whether viewers of live channels need grants; a reload changes it.
    pub fn viewers_need_grants(&self) -> Arc<AtomicBool> {
        self.settings.viewers_need_grants.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What `POST /api/v1/reload` does.
    pub fn set_reload(&mut self, reload: Reload) {
        self.settings.reload = Some(reload);
    }

    /// Serves, with `extra` routes beside the own, until `stop` is ready; then drains.
    pub async fn serve(self, extra: Router, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            live,
            vod,
            usenet,
            grants,
            store,
            schedules,
            listener,
            settings,
            face,
        } = self;
        let end = settings.stop.clone();
        let app = App::new(
            live.clone(),
            vod,
            face,
            grants.clone(),
            store.clone(),
            settings,
        );
        let router = server::router(app.clone()).merge(extra);
        let (announcing, rechecking) = (app.clone(), app.clone());
        let mounts = [
            tokio::spawn(async move { announcing.follow_mounts().await }),
            tokio::spawn(async move { rechecking.recheck_mounts().await }),
        ];
        let serving = tokio::spawn(listener.serve(app, router, end.clone()));
        let keys = tokio::spawn(follow_keys(store.clone()));
        let following = grants.clone();
        let revocations = tokio::spawn(async move { following.follow().await });
        schedules.start();
        let busy = tokio::spawn(follow_schedule(schedules.clone(), live.clone()));
        stop.await;
        tracing::info!("stopping: running responses get ten seconds");
        end.cancel();
        serving.await.context("the listener's task")?;
        live.shutdown().await;
        usenet.close().await;
        keys.abort();
        revocations.abort();
        busy.abort();
        schedules.shutdown();
        for task in mounts {
            task.abort();
        }
        grants.save().await;
        store.close().await.map_err(with_hint)
    }
}

/// Adds the channels made through the API, but for those that the file hides.
pub(crate) async fn load_stored(live: &Live) -> Result<(), store::Error> {
    for left_out in live.load_stored().await? {
        tracing::warn!(reason = %left_out, "a stored channel is left out");
    }
    Ok(())
}

/// Private libraries and the grants to them: also beside a running gateway.
#[derive(Debug)]
pub(crate) struct Libraries {
    pub(crate) vod: Vod,
    pub(crate) grants: Grants,
}

impl Libraries {
    /// Over a store; nothing is asked of the libraries yet. `own` are addresses not to fetch from.
    pub(crate) async fn open(
        config: &Config,
        store: &Store,
        own: Vec<SocketAddr>,
        clock: Arc<SystemClock>,
    ) -> anyhow::Result<Self> {
        let vod = Vod::new(library_client(own)?, store.clone(), clock.clone());
        vod.apply(library_specs(config))?;
        let grants = Grants::open(store.clone(), clock, grant_settings(config)?).await;
        let grants = grants.map_err(with_hint)?;
        Ok(Self { vod, grants })
    }
}

/// What a command works on, beside a running gateway or alone.
#[derive(Debug)]
pub(crate) struct Beside {
    public_url: Option<Url>,
    channels: Vec<ChannelId>,
    pub(crate) store: Store,
    pub(crate) vod: Vod,
    pub(crate) grants: Grants,
}

impl Beside {
    /// A path of the gateway as players reach it, where the configuration says how.
    pub(crate) fn link(&self, path: &str) -> String {
        let base = self.public_url.as_ref().map_or("", Url::as_str);
        format!("{}{path}", base.trim_end_matches('/'))
    }

    /// Whether the configuration or the API made a channel.
    pub(crate) async fn has_channel(&self, id: &ChannelId) -> anyhow::Result<bool> {
        if self.channels.contains(id) {
            return Ok(true);
        }
        let stored = self.store.channels().await.map_err(with_hint)?;
        Ok(stored.iter().any(|stored| stored.id == *id))
    }
}

/// Runs a command on the state of the configuration `file`.
pub(crate) fn beside(
    file: &ConfigFile,
    work: impl AsyncFnOnce(Beside) -> anyhow::Result<crate::Exit>,
) -> crate::Exit {
    crate::with_config(file.path(), |loaded| {
        run(async move {
            let config = &loaded.config;
            let location = Location::Directory(config.server.data_dir.clone());
            let store = Store::join(&location).await.map_err(with_hint)?;
            let clock = Arc::new(SystemClock::new());
            let Libraries { vod, grants } =
                Libraries::open(config, &store, Vec::new(), clock).await?;
            let state = store.clone();
            let channels = config.channels.iter().map(|channel| channel.id.clone());
            let beside = Beside {
                public_url: config.server.public_url.clone(),
                channels: channels.collect(),
                store,
                vod,
                grants,
            };
            let done = work(beside).await;
            state.close().await.map_err(with_hint)?;
            done
        })
    })
}

/// A client for stores: many requests at once, none held back.
pub(crate) fn library_client(own: Vec<SocketAddr>) -> Result<fetch::Client, fetch::Error> {
    fetch::Client::new(fetch::Settings {
        own,
        spacing: Duration::ZERO,
        at_once: LIBRARY_REQUESTS_MAX,
        ..fetch::Settings::default()
    })
}

/// The `[[library]]` sections as the libraries want them.
pub(crate) fn library_specs(config: &Config) -> Vec<LibrarySpec> {
    let value = |secret: &Secret| secret.value.clone();
    let libraries = config.libraries.iter();
    libraries
        .map(|library| LibrarySpec {
            id: library.id.clone(),
            place: match &library.place {
                LibraryPlace::Dir(path) => Where::Dir(path.clone()),
                LibraryPlace::S3(bucket) => Where::S3(S3Spec {
                    endpoint: bucket.endpoint.clone(),
                    region: bucket.region.clone(),
                    bucket: bucket.bucket.clone(),
                    path_style: bucket.path_style,
                    access_key_id: value(&bucket.access_key_id),
                    secret_access_key: value(&bucket.secret_access_key),
                    session_token: bucket.session_token.as_ref().map(value),
                }),
            },
            segments: library.segments,
            presign_ttl: library.presign_ttl,
        })
        .collect()
}

/// The `[grants]` section as the grants want it.
pub(crate) fn grant_settings(config: &Config) -> anyhow::Result<GrantSettings> {
    let grants = &config.grants;
    let bytes = |secret: &Secret| secret.value.expose().as_bytes().to_vec();
    let issuers = grants.issuers.iter().map(|issuer| {
        let (kid, audience) = (issuer.kid.clone(), issuer.audience.clone());
        grant::issuer::Issuer::new(kid, issuer.algorithm, &bytes(&issuer.key), audience)
    });
    Ok(GrantSettings {
        rules: Rules {
            ttl: grants.ttl,
            idle_max: grants.max,
        },
        hls_lifetime: grants.jwt_lifetime,
        hls_secret: grants
            .jwt_secret
            .as_ref()
            .map(|secret| Redacted::new(bytes(secret))),
        issuers: issuers.collect::<Result<_, _>>()?,
    })
}

/// Keys made or revoked by `perennial key` take effect within a second.
async fn follow_keys(store: Store) {
    let mut interval = tokio::time::interval(KEYS_LOOK);
    loop {
        interval.tick().await;
        if let Err(error) = store.reload_keys().await {
            tracing::warn!(%error, "keys cannot be read again");
        }
    }
}

/// While something is live, resolvers are asked more often what there is.
async fn follow_schedule(schedules: Schedules, live: Live) {
    let mut interval = tokio::time::interval(SCHEDULE_LOOK);
    let mut busy = false;
    loop {
        interval.tick().await;
        let now = schedules.is_live();
        if now != busy {
            busy = now;
            tracing::info!(live = busy, "schedule");
            live.resolvers().set_busy(busy).await;
        }
    }
}

/// The `[[account]]` sections as the channels want them.
pub fn accounts(config: &Config) -> Vec<live::Account> {
    let accounts = config.accounts.iter();
    accounts
        .map(|account| live::Account {
            name: account.name.clone(),
            max_streams: account.max_streams,
        })
        .collect()
}

/// The `[live]` section as the channels want it.
pub fn live_settings(config: &Config) -> live::Settings {
    let live = &config.live;
    live::Settings {
        window_segments: live.window_segments as usize,
        retain_segments: live.retain_segments as usize,
        buffer_bytes_max: live.buffer_bytes_max.0,
        prime_segments: live.prime_segments as usize,
        start_timeout: live.start_timeout,
        idle_stop: live.idle_stop,
        variants: match live.variants {
            Variants::All => VariantFilter::All,
            Variants::Best => VariantFilter::Best,
            Variants::Worst => VariantFilter::Worst,
            Variants::UpTo(lines) => VariantFilter::Height(u64::from(lines)),
        },
        user_agent: live.user_agent.clone(),
        warm_standby: live.warm_standby,
        return_after: live.return_after,
    }
}

/// A configuration of one's own making: these channels on this address.
pub fn config_of(listen: SocketAddr, channels: Vec<ChannelSpec>) -> Config {
    let mut config = Config {
        channels,
        ..Config::default()
    };
    config.server.listen = listen;
    config
}

/// A store's error with its cure; by value, so that it can stand in `map_err`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub fn with_hint(error: store::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "{error}
  hint: {}",
        error.hint()
    )
}

/// Runs `future` on a runtime of its own; an error is printed with its causes.
pub(crate) fn run(future: impl Future<Output = anyhow::Result<crate::Exit>>) -> crate::Exit {
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(future));
    outcome.unwrap_or_else(|error| {
        crate::log::complain(&format!("perennial: {error:#}"));
        if error.is::<server::TlsError>() {
            return crate::Exit::Configuration;
        }
        crate::Exit::Failed
    })
}

/// Takes as many open files as the system allows: each connection is one, and each segment that is
/// kept. Shells and service managers give 1,024 to programs that do not ask.
fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, allowed = limit.current, "the limit of open files stays");
    }
}

/// Ready when the process is asked to end.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).expect("the runtime handles signals");
    let interrupt = tokio::signal::ctrl_c();
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt => {}
    }
}
