//! `[usenet]`: providers, memory, where NZBs may come from, and who is told of what was mounted.

use std::path::PathBuf;
use std::time::Duration;

use base::ByteSize;
use server::{Announce, NzbHost};
use url::Url;

use super::kind::{self, Fault};
use super::library::Secret;
use super::node::{Item, Node};
use super::schema::{Table, first_of_its_name, without_secrets};
use super::section::restart;

/// `[usenet]`. All of it is taken over at the next start: connections and mounts hang on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usenet {
    /// Decoded articles kept in memory.
    pub article_cache_memory: ByteSize,
    /// Decoded articles kept on disk; 0 for none.
    pub article_cache_disk: ByteSize,
    /// What a reader fetches ahead; `None`: by measured bandwidth and delay.
    pub read_ahead: Option<ByteSize>,
    /// How long a mount is kept unused; `None`: for ever.
    pub nzb_ttl: Option<Duration>,
    /// Private addresses that `nzb_url` may name.
    pub nzb_url_allow: Vec<NzbHost>,
    /// Who is asked for an id's title; `None`: nobody.
    pub cinemeta_url: Option<Url>,
    /// `[[usenet.newznab]]`, names unique.
    pub newznab: Vec<Newznab>,
    /// `[[usenet.provider]]`, host and account together unique.
    pub providers: Vec<Provider>,
    /// `[usenet.library]`
    pub library: UsenetLibrary,
}

/// `[[usenet.provider]]`: an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS from the first byte.
    pub tls: bool,
    /// Account; empty for a server that asks for none.
    pub username: String,
    /// Its password.
    pub password: Option<Secret>,
    /// At once.
    pub connections: u16,
    /// Lower is asked first.
    pub priority: i32,
    /// Asked only for what the others do not have.
    pub backup: bool,
    /// Providers of one group have the same articles; empty for none.
    pub storage_group: String,
}

/// `[[usenet.newznab]]`: an indexer that the add-on asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newznab {
    /// As the add-on shows it.
    pub name: String,
    /// Of the API.
    pub url: Url,
    /// The account's key.
    pub api_key: Option<Secret>,
}

/// `[usenet.library]`: mounts announced as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsenetLibrary {
    /// Where the files are written.
    pub dir: Option<PathBuf>,
    /// As what.
    pub mode: Announce,
    /// Where `/webdav/` is mounted.
    pub mount_dir: Option<PathBuf>,
    /// How often the articles of each mount are asked for; `None`: never.
    pub recheck: Option<Duration>,
}

const PROVIDERS_MAX: usize = 16;
const NEWZNAB_MAX: usize = 20;
const HOSTS_MAX: usize = 256;
const MEMORY: std::ops::RangeInclusive<ByteSize> = ByteSize(8 << 20)..=ByteSize(64 << 30);
const DISK: std::ops::RangeInclusive<ByteSize> = ByteSize(0)..=ByteSize(16 << 40);
const READ_AHEAD: std::ops::RangeInclusive<ByteSize> = ByteSize(1 << 20)..=ByteSize(1 << 30);
const HOUR_S: u64 = 3600;
const MODES: &[(&str, Announce)] = &[
    ("none", Announce::None),
    ("strm", Announce::Strm),
    ("symlink", Announce::Symlink),
];
/// The ports of RFC 3977 and RFC 8143.
const PORT_TLS: i64 = 563;

pub(super) fn usenet(s: &mut Table<'_, '_>) -> Usenet {
    Usenet {
        article_cache_memory: s.get(
            restart("article_cache_memory"),
            "256MiB",
            kind::size(MEMORY),
        ),
        article_cache_disk: s.get(restart("article_cache_disk"), "0", kind::size(DISK)),
        read_ahead: s.get(restart("read_ahead"), "auto", read_ahead),
        nzb_ttl: hours(s, "nzb_ttl_h", 24),
        nzb_url_allow: s.get(restart("nzb_url_allow"), Item::List(Vec::new()), hosts),
        cinemeta_url: s.get(
            restart("cinemeta_url"),
            "https://v3-cinemeta.strem.io",
            kind::optional(kind::base_url),
        ),
        newznab: newznab(s),
        providers: providers(s),
        library: s.table("library", library),
    }
}

/// 0 for never.
fn hours(s: &mut Table<'_, '_>, key: &'static str, default: i64) -> Option<Duration> {
    let hours = s.get(restart(key), default, kind::integer(0..=87_600));
    (hours > 0).then(|| Duration::from_secs(u64::from(hours) * HOUR_S))
}

fn read_ahead(node: &Node) -> Result<Option<ByteSize>, Fault> {
    match &node.item {
        Item::Text(text) if text == "auto" => Ok(None),
        _ => kind::size(READ_AHEAD)(node).map(Some),
    }
}

fn hosts(node: &Node) -> Result<Vec<NzbHost>, Fault> {
    const EXPECTED: &str = "an array of networks and hosts";
    let Item::List(nodes) = &node.item else {
        return Err(Fault::not(node, EXPECTED).hint("such as [\"10.0.0.0/8\", \"prowlarr\"]"));
    };
    if nodes.len() > HOSTS_MAX {
        return Err(Fault::new(format!("must be at most {HOSTS_MAX} hosts")));
    }
    let host = |node: &Node| {
        let text = kind::not_empty(kind::line)(node)?;
        text.parse().map_err(|_| {
            Fault::new("must be networks in CIDR notation and host names")
                .hint("such as [\"10.0.0.0/8\", \"prowlarr\"], without http:// and port")
        })
    };
    nodes
        .iter()
        .map(|node| host(node).map_err(|fault| fault.at(node.at)))
        .collect()
}

fn newznab(s: &mut Table<'_, '_>) -> Vec<Newznab> {
    let mut lines = std::collections::HashMap::new();
    s.tables("newznab", NEWZNAB_MAX, |s| {
        let name = s.need(
            restart("name"),
            "the add-on shows it",
            kind::not_empty(kind::line),
        );
        if let Some(name) = &name {
            first_of_its_name(s, "name", name, &mut lines);
        }
        let url = restart("url").shown_as(without_secrets);
        let url = s.need(
            url,
            "the indexer's API: https://indexer.example/api",
            kind::base_url,
        );
        let api_key = s.file(restart("api_key_file")).map(Secret::at);
        Some(Newznab {
            name: name?,
            url: url?,
            api_key,
        })
    })
}

fn providers(s: &mut Table<'_, '_>) -> Vec<Provider> {
    let mut lines = std::collections::HashMap::new();
    s.tables("provider", PROVIDERS_MAX, |s| {
        let host = s.need(
            restart("host"),
            "the provider's news server",
            kind::not_empty(kind::line),
        );
        let port = s.get(restart("port"), PORT_TLS, kind::integer(1..=65_535));
        let tls = s.get(restart("tls"), true, kind::boolean);
        let username = s.get(restart("username"), "", kind::line);
        let password = s.file(restart("password_file")).map(Secret::at);
        if username.is_empty() != password.is_none() {
            let message = "username and password_file belong together".to_owned();
            s.report(
                "username",
                message,
                "give both, or neither to a server that asks for none",
            );
        }
        let connections = s.get(restart("connections"), 20, kind::integer(1..=500));
        let priority = s.get(restart("priority"), 0, kind::integer(0..=1000));
        let backup = s.get(restart("backup"), false, kind::boolean);
        let storage_group = s.get(restart("storage_group"), "", kind::line);
        let host = host?;
        first_of_its_name(s, "host", &format!("{username}@{host}:{port}"), &mut lines);
        Some(Provider {
            host,
            port: u16::try_from(port).expect("checked against its range"),
            tls,
            username,
            password,
            connections: u16::try_from(connections).expect("checked against its range"),
            priority: priority.cast_signed(),
            backup,
            storage_group,
        })
    })
}

fn library(s: &mut Table<'_, '_>) -> UsenetLibrary {
    let dir = s.file(restart("dir"));
    let mode = s.get(restart("mode"), "none", kind::word(MODES));
    let mount_dir = s.file(restart("mount_dir"));
    let recheck = hours(s, "recheck_h", 24);
    if mode != Announce::None && dir.is_none() {
        s.report(
            "mode",
            "files need a dir to be written to".to_owned(),
            "set dir in [usenet.library]",
        );
    }
    if mode == Announce::Symlink && mount_dir.is_none() {
        let hint = "set mount_dir to where rclone mounts /webdav/";
        s.report("mode", "symlinks need a mount_dir".to_owned(), hint);
    }
    UsenetLibrary {
        dir,
        mode,
        mount_dir,
        recheck,
    }
}
