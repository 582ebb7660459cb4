//! Every key there is: its name, its default, what it may hold, and when a new value is taken over.
//!
//! The sample `perennial.toml` at the root of the repository says the same in prose; a test holds
//! the two together.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use base::{ByteSize, Redacted, redact_url};
use live::spec::{ChannelSpec, SourceSpec};
use resolve::ResolverSpec;

use super::kind;
use super::library;
use super::node::{Item, Member, Node};
use super::problem::closest;
use super::resolver;
use super::schedules;
use super::section::{Section, channel_start, reload, restart};
use super::usenet;
use super::{Account, Auth, Config, Live, Server, Tls, Viewers};

/// The user agent that sources see unless told otherwise: the player most of them are made for.
const USER_AGENT: &str = "VLC/3.0.20 LibVLC/3.0.20";
const BUFFER_BYTES: RangeInclusive<ByteSize> = ByteSize(1 << 20)..=ByteSize(64 << 30);
const ACCOUNTS_MAX: usize = 1000;
const CHANNELS_MAX: usize = 10_000;
const SOURCES_MAX: usize = 32;
const VIEWERS: &[(&str, Viewers)] = &[("open", Viewers::Open), ("grant", Viewers::Grant)];

pub(super) type Table<'r, 'd> = Section<'r, 'd>;

/// The whole configuration.
pub(super) fn config(s: &mut Table<'_, '_>) -> Config {
    if s.in_file() {
        s.need(
            restart("version"),
            "begin the file with: version = 1",
            kind::version,
        );
    }
    let server = s.table("server", server);
    let problems = s.problems();
    let auth = s.table("auth", auth);
    let understood = s.problems() == problems;
    if understood && auth.viewers == Viewers::Open && !auth.allow_open && !server.is_loopback() {
        let message = format!(
            "listening on {} with viewers = \"open\" lets everyone who can reach it watch",
            server.listen
        );
        let hint = "set allow_open = true in [auth] if that is meant, else viewers = \"grant\"";
        s.report("server.listen", message, hint);
    }
    let live = s.table("live", live);
    let grants = s.table("grants", library::grants);
    let usenet = s.table("usenet", usenet::usenet);
    let accounts = accounts(s);
    let resolvers = resolver::resolvers(s);
    let channels = channels(s, &accounts, &resolvers);
    Config {
        server,
        auth,
        live,
        grants,
        accounts,
        resolvers,
        schedules: schedules::schedules(s),
        channels,
        libraries: library::libraries(s),
        usenet,
    }
}

fn server(s: &mut Table<'_, '_>) -> Server {
    Server {
        listen: s.get(restart("listen"), "127.0.0.1:8080", kind::socket_address),
        public_url: s.get(reload("public_url"), "", kind::optional(kind::base_url)),
        trusted_proxies: s.get(
            reload("trusted_proxies"),
            Item::List(Vec::new()),
            kind::networks,
        ),
        data_dir: {
            let path = s.get(
                restart("data_dir"),
                "perennial-data",
                kind::not_empty(kind::path),
            );
            s.beside_the_file(path)
        },
        tls: s.table("tls", tls),
    }
}

fn tls(s: &mut Table<'_, '_>) -> Option<Tls> {
    let cert_file = s.file(restart("cert_file"));
    let key_file = s.file(restart("key_file"));
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(Tls {
            cert_file,
            key_file,
        }),
        (None, None) => None,
        (cert_file, _) => {
            let (given, absent) = if cert_file.is_some() {
                ("cert_file", "key_file")
            } else {
                ("key_file", "cert_file")
            };
            let message = format!("{given} in [server.tls] needs {absent}");
            s.report(
                given,
                message,
                "give both files, or neither to serve plain HTTP",
            );
            None
        }
    }
}

fn auth(s: &mut Table<'_, '_>) -> Auth {
    Auth {
        viewers: s.get(reload("viewers"), "open", kind::word(VIEWERS)),
        allow_open: s.get(reload("allow_open"), false, kind::boolean),
        api_key_file: s.file(reload("api_key_file")),
        api_key: None,
    }
}

fn live(s: &mut Table<'_, '_>) -> Live {
    let live = Live {
        window_segments: s.get(
            channel_start("window_segments"),
            12,
            kind::integer(3..=1000),
        ),
        retain_segments: s.get(
            channel_start("retain_segments"),
            16,
            kind::integer(3..=2000),
        ),
        buffer_bytes_max: s.get(
            channel_start("buffer_bytes_max"),
            "512MiB",
            kind::size(BUFFER_BYTES),
        ),
        prime_segments: s.get(channel_start("prime_segments"), 3, kind::integer(1..=1000)),
        start_timeout: s.get(reload("start_timeout_s"), 10, kind::seconds(1..=300)),
        idle_stop: s.get(reload("idle_stop_s"), 30, kind::seconds(1..=86_400)),
        variants: s.get(channel_start("variants"), "all", kind::variants),
        user_agent: s.get(
            channel_start("user_agent"),
            USER_AGENT,
            kind::not_empty(kind::header_value),
        ),
        warm_standby: s.get(channel_start("warm_standby"), false, kind::boolean),
        return_after: {
            let seconds = kind::seconds(0..=86_400);
            let after = s.get(channel_start("return_after_s"), 0, seconds);
            (!after.is_zero()).then_some(after)
        },
    };
    if live.prime_segments > live.window_segments {
        let message = "prime_segments in [live] must not be more than window_segments".to_owned();
        let hint = format!("the window lists {} segments", live.window_segments);
        s.report("prime_segments", message, &hint);
    }
    live
}

fn accounts(s: &mut Table<'_, '_>) -> Vec<Account> {
    let mut lines = HashMap::new();
    s.tables("account", ACCOUNTS_MAX, |s| {
        let name = s.need(
            reload("name"),
            "sources refer to the account by it",
            kind::name,
        );
        let max_streams = s.get(reload("max_streams"), 1, kind::integer(1..=1000));
        let name = name?;
        first_of_its_name(s, "name", &name, &mut lines);
        Some(Account { name, max_streams })
    })
}

fn channels(
    s: &mut Table<'_, '_>,
    accounts: &[Account],
    resolvers: &[ResolverSpec],
) -> Vec<ChannelSpec> {
    let mut lines = HashMap::new();
    s.tables("channel", CHANNELS_MAX, |s| {
        let id = s.need(
            reload("id"),
            "it names the channel in every URL",
            kind::channel_id,
        );
        if let Some(id) = &id {
            first_of_its_name(s, "id", id.as_str(), &mut lines);
        }
        let channel = ChannelSpec {
            title: s.get(reload("title"), "", kind::line),
            group: s.get(reload("group"), "", kind::line),
            logo: s
                .get(reload("logo"), "", kind::optional(kind::http_url))
                .map(String::from)
                .unwrap_or_default(),
            tvg_id: s.get(reload("tvg_id"), "", kind::line),
            slate: slate(s),
            target_duration_s: s.get(reload("target_duration_s"), 0, kind::integer(0..=120)),
            sources: sources(s, accounts, resolvers),
            id: id?,
        };
        Some(channel)
    })
}

fn slate(s: &mut Table<'_, '_>) -> String {
    let name = s.get(reload("slate"), "", kind::line);
    if !live::slate::is_file(&name) {
        return name;
    }
    let path = s.beside_the_file(name.into());
    if let Err(error) = live::slate::read(&path) {
        s.report("slate", error.to_string(), error.hint());
    }
    path.to_string_lossy().into_owned()
}

fn sources(
    s: &mut Table<'_, '_>,
    accounts: &[Account],
    resolvers: &[ResolverSpec],
) -> Vec<SourceSpec> {
    let hint = "add [[channel.source]] with a url below it";
    s.need_tables("source", SOURCES_MAX, hint, |s| {
        source(s, accounts, resolvers)
    })
}

fn source(
    s: &mut Table<'_, '_>,
    accounts: &[Account],
    resolvers: &[ResolverSpec],
) -> Option<SourceSpec> {
    let entry = resolver::entry_of_source(s, resolvers);
    let url = reload("url").shown_as(without_secrets);
    let url = match entry {
        None => s.need(url, "an HLS playlist or an MPEG-TS stream", kind::http_url),
        Some(entry) => {
            if s.get(url, "", kind::optional(kind::http_url)).is_some() {
                let message =
                    "url and resolver in [[channel.source]] exclude each other".to_owned();
                s.report("url", message, "the resolver's entry has a url of its own");
            }
            Some(entry)
        }
    };
    let headers = reload("headers").shown_as(without_values);
    let headers = s.get(headers, Item::Table(Vec::new()), kind::headers);
    let user_agent = s.get(reload("user_agent"), "", kind::header_value);
    let account = s.get(reload("account"), "", kind::optional(kind::name));
    let account = account.unwrap_or_default();
    if !account.is_empty() && !accounts.iter().any(|known| known.name == account) {
        let message = format!("there is no [[account]] named \"{account}\"");
        let names = accounts.iter().map(|known| known.name.as_str());
        let hint = match closest(&account, names) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("add one, with name = \"{account}\" and max_streams"),
        };
        s.report("account", message, &hint);
    }
    Some(SourceSpec {
        url: url?,
        headers,
        user_agent,
        account,
    })
}

/// Reports `name` if an earlier table took it; `lines` says which.
pub(super) fn first_of_its_name(
    s: &mut Table<'_, '_>,
    key: &str,
    name: &str,
    lines: &mut HashMap<String, usize>,
) {
    if let Some(line) = lines.get(name) {
        let message = format!("{key} \"{name}\" is taken by the table at line {line}");
        s.report(key, message, "choose another");
    } else {
        lines.insert(name.to_owned(), s.line());
    }
}

/// A URL as it may be shown.
pub(super) fn without_secrets(item: &Item) -> Item {
    match item {
        Item::Text(text) => match text.parse() {
            Ok(url) => Item::Text(redact_url(&url)),
            Err(_) => hidden(),
        },
        _ => hidden(),
    }
}

/// A table's keys, and nothing of its values.
pub(super) fn without_values(item: &Item) -> Item {
    let Item::Table(members) = item else {
        return hidden();
    };
    let hide = |member: &Member| Member {
        node: Node {
            at: 0,
            item: hidden(),
        },
        ..member.clone()
    };
    Item::Table(members.iter().map(hide).collect())
}

pub(super) fn hidden() -> Item {
    Item::Text(Redacted::new(()).to_string())
}
