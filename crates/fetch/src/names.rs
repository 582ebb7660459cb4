//! Names to addresses: the system's resolver, bounded, and the filter that connects each lookup to
//! the scope of the request it is for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::{Fault, Phase};
use crate::guard::Scope;

/// Lookups at a time. Each holds a thread of the blocking pool until the system answers, even when
/// nobody waits for the answer any more.
const LOOKUPS_MAX: usize = 16;
/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;
/// A lookup inside a connection attempt is held to that attempt's limit as well.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Resolves names.
#[derive(Debug)]
pub(crate) struct Names {
    fixed: HashMap<String, Vec<IpAddr>>,
    allow: Vec<IpNet>,
    lookups: Arc<Semaphore>,
}

impl Names {
    pub(crate) fn new(fixed: Vec<(String, Vec<IpAddr>)>, allow: Vec<IpNet>) -> Self {
        Self {
            fixed: fixed.into_iter().collect(),
            allow,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }

    /// Whether a request of `scope` may connect to `address`: what no request may reach is never allowed.
    pub(crate) fn reaches(&self, scope: Scope, address: IpAddr) -> bool {
        let is_allowed = |net: &IpNet| net.contains(&address.to_canonical());
        let is_anyones = Scope::needed_for(address).is_some();
        scope.reaches(address) || is_anyones && self.allow.iter().any(is_allowed)
    }

    /// The addresses of `name` in the system's order, at least one.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        let found = match self.fixed.get(name) {
            Some(fixed) => fixed.clone(),
            None => timeout(LOOKUP_TIMEOUT, self.ask(name.to_owned()))
                .await
                .map_err(|_| Fault::Timeout {
                    phase: Phase::Connect,
                    limit: LOOKUP_TIMEOUT,
                })??,
        };
        if found.is_empty() {
            Err(Fault::Dns("the name has no address".to_owned()))
        } else {
            Ok(found)
        }
    }

    async fn ask(&self, name: String) -> Result<Vec<IpAddr>, Fault> {
        let permit = Arc::clone(&self.lookups)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let lookup = tokio::task::spawn_blocking(move || {
            let _held_until_answered = permit;
            (name.as_str(), 0).to_socket_addrs()
        });
        let answer = lookup
            .await
            .map_err(|error| Fault::Dns(error.to_string()))?;
        let addresses = answer.map_err(|error| Fault::Dns(error.to_string()))?;
        Ok(addresses
            .map(|address| address.ip())
            .take(ADDRESSES_MAX)
            .collect())
    }
}

/// reqwest's resolver for one scope: what lies beyond it is never connected to.
pub(crate) struct Scoped {
    pub(crate) names: Arc<Names>,
    pub(crate) scope: Scope,
}

impl Resolve for Scoped {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, scope) = (Arc::clone(&self.names), self.scope);
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await?;
            let first = addresses[0];
            let reached: Vec<_> = addresses
                .into_iter()
                .filter(|address| names.reaches(scope, *address))
                // Port 0: reqwest puts the URL's port.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if reached.is_empty() {
                return Err(Fault::Refused {
                    address: first,
                    scope,
                }
                .into());
            }
            Ok(Box::new(reached.into_iter()) as Addrs)
        })
    }
}
