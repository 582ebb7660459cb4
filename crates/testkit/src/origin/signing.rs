//! Links that expire, as providers make them: who asks without a token, or after its end, gets 403. What
//! a playlist refers to carries the token that the playlist was asked for with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use url::Url;

use crate::{Sha256, date};

/// How an origin signs its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Where the token stands.
    pub carrier: Carrier,
    /// How long a link works; whole seconds where its carrier knows no others.
    pub life: Duration,
    /// A new link ends all earlier ones.
    pub exclusive: bool,
}

/// Where a token stands in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// `?exp=…&sig=…`
    Query,
    /// Akamai's `?hdnts=exp=…~acl=/*~hmac=…`
    Akamai,
    /// CloudFront's `?Policy=…&Signature=…&Key-Pair-Id=…`
    CloudFront,
    /// `/expires/<milliseconds>/sig/<signature>/…`
    Path,
    /// `?token=<JWT>`
    Jwt,
    /// `?X-Amz-Date=…&X-Amz-Expires=…&X-Amz-Signature=…`
    S3,
}

impl Carrier {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Query,
        Self::Akamai,
        Self::CloudFront,
        Self::Path,
        Self::Jwt,
        Self::S3,
    ];
}

/// What a token admits to.
#[derive(Debug)]
pub(super) struct Ticket<'r> {
    /// The path without the token.
    pub(super) path: &'r str,
    /// What URIs of a playlist get as their query; empty where the path carries it, or nothing does.
    pub(super) query: &'r str,
}

impl Ticket<'_> {
    /// What is put behind each URI of a playlist.
    pub(super) fn as_suffix(&self) -> String {
        if self.query.is_empty() {
            String::new()
        } else {
            format!("?{}", self.query)
        }
    }
}

#[derive(Debug)]
pub(super) struct Signer {
    pub(super) signing: Signing,
    /// Links so far.
    links: AtomicU64,
}

/// What a token says.
struct Token {
    serial: u64,
    ends_ms: i64,
    signature: String,
}

const SECRET: &str = "perennial signs";

fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Of a link's number and end: hexadecimal, so that it may stand anywhere.
fn signature(serial: u64, ends_ms: i64) -> String {
    let hash = Sha256::of(format!("{SECRET} {serial} {ends_ms}").as_bytes());
    hash.to_string()[..16].to_owned()
}

impl Signer {
    pub(super) fn new(signing: Signing) -> Self {
        Self {
            signing,
            links: AtomicU64::new(0),
        }
    }

    /// A new link to `url`.
    pub(super) fn link(&self, url: &Url) -> Url {
        let serial = self.links.fetch_add(1, Ordering::Relaxed) + 1;
        let life_ms = self.signing.life.as_millis() as i64;
        let mut ends_ms = unix_ms() + life_ms;
        if self.signing.carrier != Carrier::Path {
            ends_ms = (ends_ms + 999) / 1000 * 1000;
        }
        let (mut url, ends_s) = (url.clone(), ends_ms / 1000);
        let sig = format!("{serial}.{}", signature(serial, ends_ms));
        let query = match self.signing.carrier {
            Carrier::Query => format!("exp={ends_s}&sig={sig}"),
            Carrier::Akamai => format!("hdnts=exp={ends_s}~acl=/*~hmac={sig}"),
            Carrier::CloudFront => {
                let policy = format!(
                    r#"{{"Statement":[{{"Resource":"*","Condition":{{"DateLessThan":{{"AWS:EpochTime":{ends_s}}}}}}}]}}"#
                );
                let policy = STANDARD
                    .encode(policy)
                    .replace('+', "-")
                    .replace('=', "_")
                    .replace('/', "~");
                format!("Policy={policy}&Signature={sig}&Key-Pair-Id=K{ends_s}")
            }
            Carrier::Path => {
                let path = format!("/expires/{ends_ms}/sig/{sig}{}", url.path());
                url.set_path(&path);
                return url;
            }
            Carrier::Jwt => {
                let claims = format!(r#"{{"sub":"{sig}","exp":{ends_s}}}"#);
                let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
                format!(
                    "token={}.{}.c2ln",
                    part(r#"{"alg":"HS256"}"#),
                    part(&claims)
                )
            }
            Carrier::S3 => {
                let lasts_s = life_ms / 1000 + 1;
                let signed: String = date::format((ends_s - lasts_s) * 1000);
                let signed = signed.replace(['-', ':'], "").replace(".000", "");
                format!("X-Amz-Date={signed}&X-Amz-Expires={lasts_s}&X-Amz-Signature={sig}")
            }
        };
        url.set_query(Some(&query));
        url
    }

    /// Reads the token of a request and judges it.
    pub(super) fn admit<'r>(&self, path: &'r str, query: Option<&'r str>) -> Option<Ticket<'r>> {
        let (token, ticket) = match self.signing.carrier {
            Carrier::Path => {
                let mut parts = path.strip_prefix("/expires/")?.splitn(4, '/');
                let (ends_ms, _, sig) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
                let rest = parts.next()?;
                let at = path.len() - rest.len() - 1;
                let ticket = Ticket {
                    path: &path[at..],
                    query: "",
                };
                (Token::new(sig, ends_ms)?, ticket)
            }
            carrier => {
                let query = query?;
                let ticket = Ticket { path, query };
                (Token::of_query(carrier, query)?, ticket)
            }
        };
        let newest = self.links.load(Ordering::Relaxed);
        let genuine = token.signature == signature(token.serial, token.ends_ms);
        let dead = self.signing.exclusive && token.serial < newest;
        (genuine && !dead && unix_ms() < token.ends_ms).then_some(ticket)
    }
}

impl Token {
    fn new(sig: &str, ends_ms: i64) -> Option<Self> {
        let (serial, signature) = sig.split_once('.')?;
        Some(Self {
            serial: serial.parse().ok()?,
            ends_ms,
            signature: signature.to_owned(),
        })
    }

    fn of_query(carrier: Carrier, query: &str) -> Option<Self> {
        let value = |wanted: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value)
        };
        let seconds = |text: &str| text.parse::<i64>().ok().map(|s| s * 1000);
        match carrier {
            Carrier::Query => Self::new(value("sig")?, seconds(value("exp")?)?),
            Carrier::Akamai => {
                let mut parts = value("hdnts")?.strip_prefix("exp=")?.split('~');
                let ends_ms = seconds(parts.next()?)?;
                Self::new(parts.next_back()?.strip_prefix("hmac=")?, ends_ms)
            }
            Carrier::CloudFront => Self::new(
                value("Signature")?,
                seconds(value("Key-Pair-Id")?.strip_prefix('K')?)?,
            ),
            Carrier::Jwt => {
                let claims = URL_SAFE_NO_PAD
                    .decode(value("token")?.split('.').nth(1)?)
                    .ok()?;
                let claims = String::from_utf8(claims).ok()?;
                let (sig, end) = claims
                    .strip_prefix(r#"{"sub":""#)?
                    .split_once(r#"","exp":"#)?;
                Self::new(sig, seconds(end.strip_suffix('}')?)?)
            }
            Carrier::S3 => {
                let signed = value("X-Amz-Date")?;
                let date = format!(
                    "{}-{}-{}:{}:{}",
                    signed.get(..4)?,
                    signed.get(4..6)?,
                    signed.get(6..11)?,
                    signed.get(11..13)?,
                    signed.get(13..)?
                );
                let signed_ms = date::parse(&date)?;
                Self::new(
                    value("X-Amz-Signature")?,
                    signed_ms + seconds(value("X-Amz-Expires")?)?,
                )
            }
            Carrier::Path => None,
        }
    }
}
