//! The address guard: which classes of address a request may reach (design law 7).
//!
//! An operator or an authenticated administrator names a source; its own class, found once by
//! [`Guard::scope_of`], is as far inward as its children and redirects may ever lead. A public source
//! can so never reach into the home network, whatever its playlists, redirects or DNS answers say.
//!
//! Names are checked where they are resolved for connecting ([`crate::names`]), so that a second
//! answer cannot differ from the one that was checked; IP literals are checked here, because reqwest
//! asks no resolver about them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use url::{Host, Url};

use crate::error::Fault;
use crate::names::Names;

/// How far inward a request may reach; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Addresses of the public internet.
    Public,
    /// And those of private networks: RFC 1918, RFC 6598 (CGNAT), RFC 4193 (unique local).
    Private,
    /// And this machine.
    Loopback,
}

/// Where clouds answer with the machine's credentials, beyond link-local 169.254.169.254: AWS and
/// GCP over IPv6, Alibaba, Oracle, and Azure's WireServer, whose address is in public space.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

impl Scope {
    /// All scopes, outermost first.
    pub(crate) const ALL: [Self; 3] = [Self::Public, Self::Private, Self::Loopback];

    /// The outermost scope that reaches `address`; `None` for addresses that no request may reach:
    /// link-local, multicast, unspecified, reserved, documentation, cloud metadata.
    ///
    /// IPv4 inside IPv6 (mapped, compatible, NAT64 of RFC 6052, 6to4) is what the IPv4 address is.
    pub fn needed_for(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => v4_scope(v4),
            IpAddr::V6(v6) => v6_scope(v6),
        }
    }

    /// Whether a request of this scope may reach `address`.
    pub fn reaches(self, address: IpAddr) -> bool {
        Self::needed_for(address).is_some_and(|needed| needed <= self)
    }
}

/// IANA's IPv4 special-purpose registry (RFC 6890). 198.18.0.0/15 counts as private: transparent
/// proxies of home routers answer it for names of the internet.
fn v4_scope(address: Ipv4Addr) -> Option<Scope> {
    if METADATA_V4.contains(&address) {
        return None;
    }
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0 | 224..=255, _, _) | (169, 254, _) => None,
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => None,
        (127, _, _) => Some(Scope::Loopback),
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) => Some(Scope::Private),
        (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) => Some(Scope::Private),
        _ => Some(Scope::Public),
    }
}

/// IANA's IPv6 special-purpose registry. Public is what lies in 2000::/3 and has no special
/// purpose; what is not known to be good is refused.
fn v6_scope(address: Ipv6Addr) -> Option<Scope> {
    if METADATA_V6.contains(&address) {
        return None;
    }
    let s = address.segments();
    let inner =
        |high: u16, low: u16| v4_scope(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Scope::Loopback),
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => inner(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => None,
        [0x2000..=0x3fff, ..] => Some(Scope::Public),
        [0xfc00..=0xfdff, ..] => Some(Scope::Private),
        _ => None,
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
        })
    }
}

/// Checks URLs before anything is sent.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) own: Vec<SocketAddr>,
    pub(crate) names: Arc<Names>,
}

/// Longer URLs are attacks or accidents.
pub(crate) const URL_LENGTH_MAX: usize = 8 * 1024;

impl Guard {
    /// Whether a request of `scope` may go to `url`. The addresses of a name are left to the
    /// resolver, unless the port is one of our own.
    pub(crate) async fn check(&self, url: &Url, scope: Scope) -> Result<(), Fault> {
        let (host, port) = target(url)?;
        let own_port = self.own.iter().any(|own| own.port() == port);
        let addresses = match host {
            Host::Domain(name) if own_port => self.names.addresses(name).await?,
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(v4) => vec![v4.into()],
            Host::Ipv6(v6) => vec![v6.into()],
        };
        // Of a name's addresses some may be refused; the resolver passes on the others only.
        if !matches!(host, Host::Domain(_))
            && let Some(&address) =
                (addresses.iter()).find(|address| !self.names.reaches(scope, **address))
        {
            return Err(Fault::Refused { address, scope });
        }
        let targets = addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip.to_canonical(), port));
        targets
            .into_iter()
            .find(|target| self.is_own(*target))
            .map_or(Ok(()), |own| Err(Fault::Own(own)))
    }

    /// The scope that reaches every address of `url`'s host that any scope reaches.
    pub(crate) async fn scope_of(&self, url: &Url) -> Result<Scope, Fault> {
        let (host, _) = target(url)?;
        let addresses = match host {
            Host::Domain(name) => self.names.addresses(name).await?,
            Host::Ipv4(v4) => vec![v4.into()],
            Host::Ipv6(v6) => vec![v6.into()],
        };
        let innermost = addresses
            .iter()
            .filter_map(|address| Scope::needed_for(*address))
            .max();
        innermost.ok_or_else(|| Fault::Refused {
            address: addresses[0],
            scope: Scope::Loopback,
        })
    }

    fn is_own(&self, target: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            own.port() == target.port()
                && (own.ip() == target.ip() || own.ip().is_unspecified() && is_here(target.ip()))
        })
    }
}

/// Whether `address` belongs to this machine. The system lets only such addresses be bound, which
/// spares us reading its list of interfaces.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

fn target(url: &Url) -> Result<(Host<&str>, u16), Fault> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Fault::Url("is neither http nor https"));
    }
    if url.as_str().len() > URL_LENGTH_MAX {
        return Err(Fault::Url("is longer than 8 KiB"));
    }
    url.host()
        .zip(url.port_or_known_default())
        .ok_or(Fault::Url("has no host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: Option<Scope>) {
        assert_eq!(
            Scope::needed_for(address.parse().unwrap()),
            expected,
            "{address}"
        );
    }

    #[test]
    fn public_addresses() {
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
        ] {
            check(address, Some(Scope::Public));
        }
        for address in [
            "2606:4700::1111",
            "2001:4860::1",
            "2001:200::1",
            "3fff:1000::1",
        ] {
            check(address, Some(Scope::Public));
        }
    }

    #[test]
    fn private_addresses() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.0.1",
        ] {
            check(address, Some(Scope::Private));
        }
        for address in [
            "192.0.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "fc00::1",
            "fdff:ffff::1",
        ] {
            check(address, Some(Scope::Private));
        }
    }

    #[test]
    fn loopback_addresses() {
        for address in ["127.0.0.1", "127.255.255.254", "::1"] {
            check(address, Some(Scope::Loopback));
        }
    }

    #[test]
    fn addresses_that_nothing_reaches() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            check(address, None);
        }
        for address in ["192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"] {
            check(address, None);
        }
        for address in [
            "::",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            check(address, None);
        }
        // Teredo hides its IPv4 address; local-use NAT64 (RFC 8215) is anyone's; metadata services.
        for address in [
            "2001::1",
            "64:ff9b:1::a00:1",
            "4000::1",
            "100.100.100.200",
            "168.63.129.16",
        ] {
            check(address, None);
        }
        check("fd00:ec2::254", None);
    }

    #[test]
    fn ipv4_inside_ipv6_is_what_the_ipv4_address_is() {
        for wrap in ["::ffff:", "::", "64:ff9b::"] {
            check(&format!("{wrap}1.1.1.1"), Some(Scope::Public));
            check(&format!("{wrap}192.168.1.1"), Some(Scope::Private));
            check(&format!("{wrap}127.0.0.1"), Some(Scope::Loopback));
            check(&format!("{wrap}169.254.169.254"), None);
        }
        check("2002:0101:0101::1", Some(Scope::Public));
        check("2002:c0a8:0101::1", Some(Scope::Private));
        check("2002:7f00:0001::1", Some(Scope::Loopback));
        check("2002:a9fe:a9fe::1", None);
    }

    #[test]
    fn a_scope_reaches_itself_and_what_is_more_public() {
        let addresses =
            ["1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.1.1"].map(|a| a.parse().unwrap());
        let reached = |scope: Scope| addresses.map(|address| scope.reaches(address));
        assert_eq!(reached(Scope::Public), [true, false, false, false]);
        assert_eq!(reached(Scope::Private), [true, true, false, false]);
        assert_eq!(reached(Scope::Loopback), [true, true, true, false]);
    }
}
