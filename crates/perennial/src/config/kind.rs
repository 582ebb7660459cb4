//! What a key may hold: each function turns a node into a value, or says what the value must be.
//!
//! Nothing here repeats what it was given, but for numbers: the text may be a secret.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use base::{ByteSize, ChannelId};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use url::Url;

use super::Variants;
use super::node::{Item, Node};
use super::problem::closest;

/// Why a node is not what its key takes.
#[derive(Debug)]
pub(super) struct Fault {
    /// Byte offset, where it is more exact than that of the node.
    pub(super) at: Option<usize>,
    /// What follows the key's name: `must be a boolean, not a string`.
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

type Read<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn not(node: &Node, expected: &str) -> Self {
        Self::new(format!("must be {expected}, not {}", node.item.describe()))
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub(super) fn at(self, at: usize) -> Self {
        Self {
            at: Some(at),
            ..self
        }
    }
}

fn string<'n>(node: &'n Node, expected: &str) -> Read<&'n str> {
    match &node.item {
        Item::Text(text) => Ok(text),
        _ => Err(Fault::not(node, expected)),
    }
}

pub(super) fn boolean(node: &Node) -> Read<bool> {
    match node.item {
        Item::Boolean(value) => Ok(value),
        _ => Err(Fault::not(node, "true or false").hint("write it without quotes")),
    }
}

pub(super) fn integer(range: RangeInclusive<u32>) -> impl Fn(&Node) -> Read<u32> {
    move |node| {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        let Item::Integer(value) = node.item else {
            return Err(Fault::not(node, &expected));
        };
        let value_in_range = u32::try_from(value)
            .ok()
            .filter(|value| range.contains(value));
        value_in_range.ok_or_else(|| Fault::new(format!("must be {expected}, not {value}")))
    }
}

/// The version of the file's format: there is one.
pub(super) fn version(node: &Node) -> Read<()> {
    match node.item {
        Item::Integer(1) => Ok(()),
        Item::Integer(_) => Err(Fault::new("must be 1, the only one this release knows")),
        _ => Err(Fault::not(node, "1")),
    }
}

pub(super) fn seconds(range: RangeInclusive<u32>) -> impl Fn(&Node) -> Read<Duration> {
    let integer = integer(range);
    move |node| integer(node).map(|s| Duration::from_secs(s.into()))
}

pub(super) fn size(range: RangeInclusive<ByteSize>) -> impl Fn(&Node) -> Read<ByteSize> {
    move |node| {
        let expected = format!("a size from {} to {}", range.start(), range.end());
        let size = string(node, &expected)?
            .parse()
            .ok()
            .filter(|size| range.contains(size));
        size.ok_or_else(|| {
            let hint = "write a number and B, KiB, MiB, GiB, KB, MB or GB, such as \"512MiB\"";
            Fault::new(format!("must be {expected}")).hint(hint)
        })
    }
}

/// One line of text: it ends up in an M3U line or a header.
pub(super) fn line(node: &Node) -> Read<String> {
    let text = string(node, "a string")?;
    if text.chars().any(char::is_control) {
        return Err(Fault::new("must be one line, without control characters"));
    }
    Ok(text.to_owned())
}

pub(super) fn path(node: &Node) -> Read<PathBuf> {
    line(node).map(PathBuf::from)
}

/// `""` for none.
pub(super) fn optional<T>(kind: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<Option<T>> {
    move |node| match &node.item {
        Item::Text(text) if text.is_empty() => Ok(None),
        _ => kind(node).map(Some),
    }
}

pub(super) fn not_empty<T>(kind: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<T> {
    move |node| match &node.item {
        Item::Text(text) if text.is_empty() => Err(Fault::new("must not be empty")),
        _ => kind(node),
    }
}

pub(super) fn socket_address(node: &Node) -> Read<SocketAddr> {
    const EXPECTED: &str = "an IP address and a port";
    let hint = "such as \"127.0.0.1:8080\", or \"[::]:8080\" for every interface";
    let text = string(node, EXPECTED)?;
    text.parse()
        .map_err(|_| Fault::new(format!("must be {EXPECTED}")).hint(hint))
}

pub(super) fn http_url(node: &Node) -> Read<Url> {
    const EXPECTED: &str = "an http or https URL";
    let fault = || Fault::new(format!("must be {EXPECTED}"));
    let url = string(node, EXPECTED)?.parse::<Url>().map_err(|error| {
        fault().hint(format!(
            "{error}; write it in full, with http:// or https://"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault());
    }
    Ok(url)
}

/// A URL that paths are put behind.
pub(super) fn base_url(node: &Node) -> Read<Url> {
    let url = http_url(node)?;
    let extras = url.query().is_some() || url.fragment().is_some();
    if extras || !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("must be a URL without user, query and fragment"));
    }
    Ok(url)
}

const NETWORKS_MAX: usize = 256;

pub(super) fn networks(node: &Node) -> Read<Vec<IpNet>> {
    const EXPECTED: &str = "an array of networks";
    let Item::List(nodes) = &node.item else {
        return Err(Fault::not(node, EXPECTED).hint("such as [\"10.0.0.0/8\"]"));
    };
    if nodes.len() > NETWORKS_MAX {
        return Err(Fault::new(format!(
            "must be at most {NETWORKS_MAX} networks"
        )));
    }
    nodes
        .iter()
        .map(|node| network(node).map_err(|fault| fault.at(node.at)))
        .collect()
}

fn network(node: &Node) -> Read<IpNet> {
    const EXPECTED: &str = "networks in CIDR notation";
    let text = string(node, EXPECTED)?;
    let network: IpNet = text.parse().map_err(|_| {
        let hint = "such as \"10.0.0.0/8\", or \"192.0.2.7/32\" for one address";
        Fault::new(format!("must be {EXPECTED}")).hint(hint)
    })?;
    Ok(network.trunc())
}

pub(super) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let names: Vec<_> = words
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let expected = names.join(" or ");
        let text = string(node, &expected)?;
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        let fault = Fault::new(format!("must be {expected}"));
        Err(match closest(text, words.iter().map(|(name, _)| *name)) {
            Some(name) => fault.hint(format!("did you mean \"{name}\"?")),
            None => fault,
        })
    }
}

pub(super) fn variants(node: &Node) -> Read<Variants> {
    const EXPECTED: &str = "\"all\", \"best\", \"worst\" or a limit such as \"<=1080p\"";
    match string(node, EXPECTED)? {
        "all" => Ok(Variants::All),
        "best" => Ok(Variants::Best),
        "worst" => Ok(Variants::Worst),
        text => text
            .strip_prefix("<=")
            .and_then(|text| text.strip_suffix('p'))
            .and_then(|height| height.parse().ok())
            .filter(|height| *height > 0)
            .map(Variants::UpTo)
            .ok_or_else(|| Fault::new(format!("must be {EXPECTED}"))),
    }
}

pub(super) fn channel_id(node: &Node) -> Read<ChannelId> {
    const EXPECTED: &str = "1 to 64 of a-z, 0-9, _ and -, and neither \"hls\" nor \"g\"";
    let text = string(node, EXPECTED)?;
    text.parse()
        .map_err(|_| Fault::new(format!("must be {EXPECTED}")))
}

/// A time zone by IANA's name.
pub(super) fn time_zone(node: &Node) -> Read<schedule::TimeZone> {
    let name = line(node)?;
    schedule::TimeZone::get(&name).map_err(|_| {
        let hint = "such as \"Europe/London\"";
        Fault::new("must be the name of a time zone").hint(hint)
    })
}

/// The name of an account: the alphabet of a channel id.
pub(super) fn name(node: &Node) -> Read<String> {
    const EXPECTED: &str = "1 to 64 of a-z, 0-9, _ and -";
    let text = string(node, EXPECTED)?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(Fault::new(format!("must be {EXPECTED}")))
    }
}

const STRINGS_MAX: usize = 256;

/// An array of lines of text.
pub(super) fn lines(node: &Node) -> Read<Vec<String>> {
    const EXPECTED: &str = "an array of strings";
    let Item::List(nodes) = &node.item else {
        return Err(Fault::not(node, EXPECTED).hint("such as [\"one\", \"two\"]"));
    };
    if nodes.len() > STRINGS_MAX {
        return Err(Fault::new(format!("must be at most {STRINGS_MAX} strings")));
    }
    let each = nodes.iter();
    each.map(|node| line(node).map_err(|fault| fault.at(node.at)))
        .collect()
}

/// What frames a request or is decided by the client itself.
const HEADERS_REFUSED: [&str; 5] = [
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "user-agent",
];

const HEADERS_MAX: usize = 64;

pub(super) fn headers(node: &Node) -> Read<Vec<(String, String)>> {
    const EXPECTED: &str = "a table of header names and values";
    let Item::Table(members) = &node.item else {
        return Err(
            Fault::not(node, EXPECTED).hint("such as { Referer = \"https://example.org/\" }")
        );
    };
    if members.len() > HEADERS_MAX {
        return Err(Fault::new(format!("must be at most {HEADERS_MAX} headers")));
    }
    let mut names = HashSet::new();
    let mut headers = Vec::with_capacity(members.len());
    for member in members {
        let name: HeaderName = member
            .name
            .parse()
            .map_err(|_| Fault::new("must hold names that HTTP allows").at(member.at))?;
        let value = header_value(&member.node).map_err(|fault| fault.at(member.node.at))?;
        if HEADERS_REFUSED.contains(&name.as_str()) {
            let fault = Fault::new(format!("must not set {name}")).at(member.at);
            return Err(if name == "user-agent" {
                fault.hint("use the key user_agent")
            } else {
                fault
            });
        }
        if !names.insert(name.clone()) {
            return Err(Fault::new(format!("must not set {name} twice")).at(member.at));
        }
        headers.push((member.name.clone(), value));
    }
    Ok(headers)
}

/// Text that may stand in a header.
pub(super) fn header_value(node: &Node) -> Read<String> {
    let text = string(node, "a string")?;
    match HeaderValue::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Fault::new("must be one line, without control characters")),
    }
}
