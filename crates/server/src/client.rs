//! Who is asking, and how they reach us: through trusted proxies or directly.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use live::ViewerKey;

use crate::state::App;

/// The peer of a connection, put into each request's extensions by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
}

/// The requester.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    /// For counting viewers.
    pub(crate) key: ViewerKey,
}

/// `http://host:port` as the requester reaches us.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl(pub(crate) String);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PLAYBACK_SESSION: HeaderName = HeaderName::from_static("x-playback-session-id");
const SESSION_MAX: usize = 64;
const USER_AGENT_MAX: usize = 200;
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Requester {
    pub(crate) fn new(headers: &HeaderMap, peer: Peer, app: &App) -> Self {
        let trusted = &app.settings.trusted_proxies;
        let address = peer.address.ip().to_canonical();
        let chain = text(headers, &FORWARDED_FOR).filter(|_| is_trusted(trusted, &address));
        let address = chain
            .and_then(|chain| forwarded(chain, trusted))
            .unwrap_or(address);
        let session = text(headers, &PLAYBACK_SESSION);
        let session = session.map(|session| session.chars().take(SESSION_MAX).collect());
        let user_agent = text(headers, &USER_AGENT).unwrap_or("");
        let user_agent = user_agent.chars().take(USER_AGENT_MAX).collect();
        Self {
            key: ViewerKey {
                address,
                user_agent,
                session,
            },
        }
    }
}

impl FromRequestParts<App> for Requester {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::new(&parts.headers, peer(parts), app))
    }
}

impl FromRequestParts<App> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(base_url(parts, peer(parts), app)))
    }
}

/// As [`BaseUrl`].
pub(crate) fn base_url(parts: &Parts, peer: Peer, app: &App) -> String {
    if let Some(url) = &app.settings.public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let by_proxy = is_trusted(
        &app.settings.trusted_proxies,
        &peer.address.ip().to_canonical(),
    );
    let scheme = text(&parts.headers, &FORWARDED_PROTO).filter(|_| by_proxy && !peer.tls);
    let scheme = scheme.filter(|scheme| matches!(*scheme, "https" | "http"));
    let scheme = scheme.unwrap_or(if peer.tls { "https" } else { "http" });
    let host = text(&parts.headers, &FORWARDED_HOST).filter(|_| by_proxy);
    let host = host.or_else(|| text(&parts.headers, &HOST));
    // It goes into lists of players: nothing but what a name and a port are made of.
    let host = host.filter(|host| Authority::from_str(host).is_ok() && !host.contains('@'));
    let host = host.unwrap_or("localhost");
    format!("{scheme}://{host}")
}

pub(crate) fn peer(parts: &Parts) -> Peer {
    parts.extensions.get().copied().unwrap_or(Peer {
        address: UNKNOWN,
        tls: false,
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_trusted(trusted: &[IpNet], address: &IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(address))
}

/// The last address in the chain that no trusted proxy has: what stands before it, anybody could have
/// written.
fn forwarded(chain: &str, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut last = None;
    for item in chain.rsplit(',') {
        let address: IpAddr = item.trim().parse().ok()?;
        let address = address.to_canonical();
        last = Some(address);
        if !trusted.iter().any(|net| net.contains(&address)) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chain: &str, expected: Option<&str>) {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(
            forwarded(chain, &trusted),
            expected.map(|ip| ip.parse().unwrap()),
            "{chain}"
        );
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        check("203.0.113.7", Some("203.0.113.7"));
        check("1.2.3.4, 203.0.113.7, 10.0.0.2", Some("203.0.113.7"));
        check("10.0.0.1", Some("10.0.0.1"));
        check("1.2.3.4, junk", None);
    }
}
