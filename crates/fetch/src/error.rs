//! What can go wrong, told apart as the channel machine needs it.
//!
//! An error names scheme, host, port and path of the URL that failed, never its query, its user, or
//! the value of a header.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::{ErrorKind, redact_url};
use url::Url;

use crate::guard::Scope;

/// A request that did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}{}: {fault}", after(*.redirects))]
pub struct Error {
    /// The URL that failed, without its secrets; after redirects it is the last one reached for.
    pub at: String,
    /// Redirects followed before the fault. A refused address with a count above zero is a redirect
    /// to a refused address.
    pub redirects: usize,
    /// What went wrong.
    pub fault: Fault,
}

/// The cause of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The URL cannot be fetched whatever the network does.
    #[error("the URL {0}")]
    Url(&'static str),
    /// A value that was given for this header is no header value.
    #[error("the value of header {0} cannot be sent")]
    Header(&'static str),
    /// The address guard refused the address.
    #[error("{}", refusal(*.address, *.scope))]
    Refused {
        /// The address that was named or that the host resolved to.
        address: IpAddr,
        /// What the request was allowed to reach.
        scope: Scope,
    },
    /// The address is one of the gateway's own listeners.
    #[error("{0} is this gateway itself")]
    Own(SocketAddr),
    /// The host's name did not resolve.
    #[error("name resolution failed: {0}")]
    Dns(String),
    /// Refused, unreachable or reset while connecting.
    #[error("connection failed: {0}")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("tls failed: {0}")]
    Tls(String),
    /// A phase took longer than it may.
    #[error("{phase} took longer than {limit:?}")]
    Timeout {
        /// Which one.
        phase: Phase,
        /// What it was allowed.
        limit: Duration,
    },
    /// The body came, but slower than the request's [`crate::Pace`].
    #[error("throughput below {bytes_per_s} bytes/s for {window:?}")]
    Slow {
        /// The least that was asked for.
        bytes_per_s: u64,
        /// For how long it was missed.
        window: Duration,
    },
    /// The connection ended before the response's headers.
    #[error("connection lost before the response: {0}")]
    Lost(String),
    /// What came back is no HTTP/1.1 response, or its headers are too large.
    #[error("broken response: {0}")]
    Protocol(String),
    /// The upstream answered with a status that carries no content for us.
    #[error("status {code}{}", retry_in(*.retry_after))]
    Status {
        /// The status code: any but 2xx.
        code: u16,
        /// `Retry-After`, both forms, at most an hour.
        retry_after: Option<Duration>,
    },
    /// The body is longer than the request's `body_max`, in bytes.
    #[error("body longer than {limit} bytes")]
    TooLarge {
        /// The request's `body_max`.
        limit: u64,
    },
    /// The body is compressed in a way that was not asked for, or its gzip is broken.
    #[error("content-encoding: {0}")]
    Encoding(&'static str),
    /// The body unpacks to more than the request's `body_max`, in bytes.
    #[error("gzip body unpacks to more than {limit} bytes")]
    GzipBomb {
        /// The request's `body_max`.
        limit: u64,
    },
    /// More redirects in a row than are followed.
    #[error("more than {max} redirects")]
    TooManyRedirects {
        /// How many are followed.
        max: usize,
    },
    /// A redirect to a URL that this request visited before.
    #[error("redirects in a loop")]
    RedirectLoop,
    /// A redirect without a usable target.
    #[error("redirect whose location {0}")]
    Location(&'static str),
    /// The answer to a byte range is not that range.
    #[error("byte range: {0}")]
    Range(String),
    /// The body ended early, in bytes.
    #[error("body cut short after {received}{} bytes", of(*.expected))]
    Cut {
        /// Bytes that arrived.
        received: u64,
        /// Bytes that were announced, if they were.
        expected: Option<u64>,
    },
    /// Too many requests of one channel already wait for their turn at this host.
    #[error("too many requests wait for this host")]
    Crowded,
    /// The client itself could not be set up.
    #[error("set-up failed: {0}")]
    Setup(String),
}

/// A part of a request that has a time limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for a turn at the host ([`crate::Manners`]).
    Turn,
    /// Resolving the name, TCP and TLS.
    Connect,
    /// From the start of a hop to its response's headers.
    FirstByte,
    /// Between two pieces of the body.
    Idle,
    /// The whole request.
    Total,
}

/// Characters of a URL that an error repeats.
const AT_LENGTH_MAX: usize = 256;

impl Error {
    /// The class of this error.
    pub const fn kind(&self) -> ErrorKind {
        self.fault.kind()
    }
}

impl Fault {
    /// The class of this fault.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Url(_) | Self::Header(_) => ErrorKind::Invalid,
            Self::Refused { .. } | Self::Own(_) => ErrorKind::Denied,
            Self::Dns(_) | Self::Connect(_) | Self::Tls(_) | Self::Lost(_) => {
                ErrorKind::Unavailable
            }
            Self::Timeout { .. } | Self::Slow { .. } => ErrorKind::Timeout,
            Self::Status { code, .. } => status_kind(*code),
            Self::TooLarge { .. } | Self::GzipBomb { .. } => ErrorKind::TooLarge,
            Self::Protocol(_) | Self::Encoding(_) | Self::Range(_) | Self::Cut { .. } => {
                ErrorKind::Corrupt
            }
            Self::TooManyRedirects { .. } | Self::RedirectLoop | Self::Location(_) => {
                ErrorKind::Corrupt
            }
            Self::Crowded => ErrorKind::RateLimited,
            Self::Setup(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn at(self, url: &Url, redirects: usize) -> Error {
        let at = redact_url(url).chars().take(AT_LENGTH_MAX).collect();
        Error {
            at,
            redirects,
            fault: self,
        }
    }

    /// Why no response came: a fault of our own resolver or connector where one lies in the chain,
    /// else what TLS, HTTP or the socket said.
    pub(crate) fn before_headers(error: &reqwest::Error) -> Self {
        let mut reason = String::from("unknown");
        for cause in causes(error) {
            if let Some(fault) = cause.downcast_ref::<Self>() {
                return fault.clone();
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls.to_string());
            }
            reason = cause.to_string();
            if cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_parse)
            {
                return Self::Protocol(reason);
            }
        }
        if error.is_builder() {
            Self::Url("is not one that HTTP can carry")
        } else if error.is_connect() {
            Self::Connect(reason)
        } else {
            Self::Lost(reason)
        }
    }
}

/// 509 is what IPTV providers answer when an account has too many streams.
const fn status_kind(code: u16) -> ErrorKind {
    match code {
        401 | 403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        429 | 509 => ErrorKind::RateLimited,
        500.. => ErrorKind::Unavailable,
        400.. => ErrorKind::Invalid,
        _ => ErrorKind::Corrupt,
    }
}

/// The causes below `error`, outermost first. `error` itself is left out because it prints the URL;
/// an `io::Error` is opened because it hides what it carries from `source()`.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(error.source(), |&cause: &Cause<'_>| {
        match cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(carried) => Some(carried as Cause<'_>),
            None => cause.source(),
        }
    })
}

type Cause<'a> = &'a (dyn StdError + 'static);

fn after(redirects: usize) -> String {
    match redirects {
        0 => String::new(),
        1 => " (after a redirect)".to_owned(),
        n => format!(" (after {n} redirects)"),
    }
}

fn retry_in(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| {
        format!(", retry after {} s", wait.as_secs())
    })
}

fn of(expected: Option<u64>) -> String {
    expected.map_or_else(String::new, |n| format!(" of {n}"))
}

fn refusal(address: IpAddr, scope: Scope) -> String {
    match Scope::needed_for(address) {
        Some(class) => {
            format!("{address} is a {class} address, which a {scope} source may not reach")
        }
        None => format!("{address} is an address that no source may reach"),
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turn => "waiting for a turn at the host",
            Self::Connect => "connecting",
            Self::FirstByte => "waiting for the response",
            Self::Idle => "waiting for more of the body",
            Self::Total => "the whole request",
        })
    }
}
