//! The client: one connection pool for each scope, one guard for all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use ipnet::IpNet;
use url::Url;

use crate::connect::LimitLayer;
use crate::error::{Error, Fault};
use crate::exchange::{Arrived, Exchange};
use crate::guard::{Guard, Scope};
use crate::manners::Manners;
use crate::names::{Names, Scoped};
use crate::patience::Total;
use crate::request::Request;
use crate::response::{Response, Streaming, Validators};
use crate::tls;

/// What all requests share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses that Perennial itself listens on; nothing is fetched from them. An unspecified
    /// address (`0.0.0.0`, `::`) stands for every address of this machine.
    pub own: Vec<SocketAddr>,
    /// Names with fixed addresses, which the system is not asked about. The guard judges these
    /// addresses like any others.
    pub hosts: Vec<(String, Vec<IpAddr>)>,
    /// Networks that every request may reach whatever its scope. Like a scope they are judged where a name
    /// is resolved for connecting, and at each redirect.
    pub allow: Vec<IpNet>,
    /// Least time between the starts of two requests of one channel to one host.
    pub spacing: Duration,
    /// Requests of one channel to one host that run at a time.
    pub at_once: usize,
    /// How long a request waits for its turn at a host.
    pub turn_timeout: Duration,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
}

/// Perennial's outbound HTTP client. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    guard: Guard,
    tls: rustls::ClientConfig,
    /// One for each scope: a connection that a private source opened must never serve a public one.
    http: [reqwest::Client; 3],
}

/// Idle connections to one host and scope that are kept.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// After how much silence TCP asks whether the other side still lives.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

fn setup(fault: Fault) -> Error {
    Error {
        at: "outbound http client".to_owned(),
        redirects: 0,
        fault,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            hosts: Vec::new(),
            allow: Vec::new(),
            spacing: Duration::from_millis(50),
            at_once: 4,
            turn_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
        }
    }
}

impl Client {
    /// Reads the system's certificates and sets up the pools. Blocks for the time of reading them.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let tls = tls::config().map_err(setup)?;
        Self::build(settings, tls)
    }

    /// A client of the same settings whose connections are its own: they are closed when its last
    /// clone is dropped. For sources whose provider counts connections.
    pub fn with_own_connections(&self) -> Result<Self, Error> {
        Self::build(self.0.settings.clone(), self.0.tls.clone())
    }

    fn build(settings: Settings, tls: rustls::ClientConfig) -> Result<Self, Error> {
        let names = Arc::new(Names::new(settings.hosts.clone(), settings.allow.clone()));
        let [public, private, loopback] = Scope::ALL.map(|scope| {
            let resolver = Scoped {
                names: Arc::clone(&names),
                scope,
            };
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(resolver)
                .connector_layer(LimitLayer)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .no_gzip()
                .pool_idle_timeout(settings.keep_alive)
                .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
                .tcp_keepalive(TCP_KEEPALIVE)
                .build()
                .map_err(|error| setup(Fault::Setup(error.without_url().to_string())))
        });
        let http = [public?, private?, loopback?];
        let guard = Guard {
            own: settings.own.clone(),
            names,
        };
        Ok(Self(Arc::new(Shared {
            settings,
            guard,
            tls,
            http,
        })))
    }

    /// A new place in the queues of all hosts: one for each channel.
    pub fn manners(&self) -> Manners {
        let Settings {
            spacing,
            at_once,
            turn_timeout,
            ..
        } = self.0.settings;
        Manners::new(spacing, at_once, turn_timeout)
    }

    /// The scope of a URL that an operator or an authenticated administrator named: wide enough for
    /// every address its host has now. What the source leads to is fetched within the same scope.
    pub async fn scope_of(&self, url: &Url) -> Result<Scope, Error> {
        self.0
            .guard
            .scope_of(url)
            .await
            .map_err(|fault| fault.at(url, 0))
    }

    /// Fetches `request` whole. Any status but 2xx is an error.
    pub async fn get(&self, request: &Request) -> Result<Response, Error> {
        let total = Total::starting_now(&request.timeouts);
        let arrived = self.exchange(request, None, total).await?;
        whole(arrived, request, total).await
    }

    /// As [`Self::get`]; `None` when the server says that nothing changed since `validators`.
    pub async fn get_if_modified(
        &self,
        request: &Request,
        validators: &Validators,
    ) -> Result<Option<Response>, Error> {
        let total = Total::starting_now(&request.timeouts);
        let arrived = self.exchange(request, Some(validators), total).await?;
        if arrived.conditional && arrived.response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        whole(arrived, request, total).await.map(Some)
    }

    /// Fetches the head of `request`; the body follows as it arrives, never packed. The request's
    /// turn at its host is held until the body ends or the result is dropped.
    pub async fn open(&self, request: &Request) -> Result<Streaming, Error> {
        let total = Total::starting_now(&request.timeouts);
        let arrived = self.exchange(request, None, total).await?;
        Streaming::accept(arrived, request, total)?.unpacked()
    }

    /// As [`Self::open`], of what may be a document or an endless stream. [`Streaming::start`] looks at
    /// its first bytes; then [`Streaming::document`] collects the one within its limits, or
    /// [`Streaming::endless`] lifts them for the other. `body_max` and gzip concern documents only.
    pub async fn open_either(&self, request: &Request) -> Result<Streaming, Error> {
        let total = Total::starting_now(&request.timeouts);
        let endless = Request {
            body_max: u64::MAX,
            ..request.clone()
        };
        let arrived = self.exchange(&endless, None, total).await?;
        Streaming::accept(arrived, &endless, total)
    }

    async fn exchange(
        &self,
        request: &Request,
        validators: Option<&Validators>,
        total: Total,
    ) -> Result<Arrived, Error> {
        let http = &self.0.http[request.scope as usize];
        let exchange = Exchange {
            http,
            guard: &self.0.guard,
            request,
            validators,
        };
        let arrived = total
            .bound(exchange.run())
            .await
            .map_err(|fault| fault.at(&request.url, 0))??;
        tracing::debug!(
            url = base::redact_url(&arrived.url),
            status = arrived.response.status().as_u16(),
            first_byte_ms = arrived.first_byte.as_millis(),
            redirects = arrived.redirects,
            "response"
        );
        Ok(arrived)
    }
}

async fn whole(arrived: Arrived, request: &Request, total: Total) -> Result<Response, Error> {
    Streaming::accept(arrived, request, total)?
        .collect(request.body_max)
        .await
}
