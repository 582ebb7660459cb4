//! Who is asking, and how they reach us: through trusted proxies or directly.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::FromRequestParts;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use ipnet::IpNet;
use live::ViewerKey;

use crate::error::Problem;
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
    /// `http://host:port`, as the requester wrote it.
    pub(crate) base_url: String,
    /// HEAD: nothing of the body is sent.
    pub(crate) head: bool,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PLAYBACK_SESSION: HeaderName = HeaderName::from_static("x-playback-session-id");
const SESSION_MAX: usize = 64;
const USER_AGENT_MAX: usize = 200;
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl FromRequestParts<App> for Requester {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = parts.extensions.get().copied().unwrap_or(Peer {
            address: UNKNOWN,
            tls: false,
        });
        Ok(Self {
            head: parts.method == Method::HEAD,
            ..Self::new(&parts.headers, peer, app)
        })
    }
}

impl Requester {
    fn new(headers: &HeaderMap, peer: Peer, app: &App) -> Self {
        let trusted = &app.settings.trusted_proxies;
        let peer_address = peer.address.ip().to_canonical();
        let by_proxy = trusted.iter().any(|net| net.contains(&peer_address));
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let address = match text(&FORWARDED_FOR).filter(|_| by_proxy) {
            Some(chain) => forwarded(chain, trusted).unwrap_or(peer_address),
            None => peer_address,
        };
        let session =
            text(&PLAYBACK_SESSION).map(|session| session.chars().take(SESSION_MAX).collect());
        let user_agent = text(&USER_AGENT)
            .unwrap_or("")
            .chars()
            .take(USER_AGENT_MAX)
            .collect();
        let base_url = match &app.settings.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => {
                let scheme = text(&FORWARDED_PROTO).filter(|_| by_proxy && !peer.tls);
                let scheme = scheme.filter(|s| *s == "https" || *s == "http");
                let host = text(&FORWARDED_HOST)
                    .filter(|_| by_proxy)
                    .or_else(|| text(&HOST));
                format!(
                    "{}://{}",
                    scheme.unwrap_or(if peer.tls { "https" } else { "http" }),
                    host.unwrap_or("localhost")
                )
            }
        };
        Self {
            key: ViewerKey {
                address,
                user_agent,
                session,
            },
            base_url,
            head: false,
        }
    }
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
