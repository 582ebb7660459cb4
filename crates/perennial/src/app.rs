//! The parts put together: store, client, channels, HTTP face.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hls::channel::VariantFilter;
use live::spec::ChannelSpec;
use live::{Live, SystemClock};
use server::{Access, App, Listener, Reload, Tls};
use store::{Location, Store};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Variants};

/// A gateway that is ready to serve.
#[derive(Debug)]
pub struct Gateway {
    /// The channels.
    pub live: Live,
    /// State.
    pub store: Store,
    listener: Listener,
    settings: server::Settings,
}

/// How often keys that another process made or revoked are looked for.
const KEYS_LOOK: Duration = Duration::from_secs(1);

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
            own,
            ..fetch::Settings::default()
        })?;
        let live = Live::new(
            live_settings(config),
            client,
            store.clone(),
            Arc::new(SystemClock::new()),
        );
        live.apply(
            live_settings(config),
            &accounts(config),
            config.channels.clone(),
        )
        .await;
        load_stored(&live).await.map_err(with_hint)?;
        let settings = server::Settings {
            public_url: config.server.public_url.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            access,
            reload: None,
            stop: CancellationToken::new(),
        };
        Ok(Self {
            live,
            store,
            listener,
            settings,
        })
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
            store,
            listener,
            settings,
        } = self;
        let end = settings.stop.clone();
        let app = App::new(live.clone(), store.clone(), settings);
        let router = server::router(app.clone()).merge(extra);
        let serving = tokio::spawn(listener.serve(app, router, end.clone()));
        let keys = tokio::spawn(follow_keys(store.clone()));
        stop.await;
        tracing::info!("stopping: running responses get ten seconds");
        end.cancel();
        serving.await.context("the listener's task")?;
        live.shutdown().await;
        keys.abort();
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
