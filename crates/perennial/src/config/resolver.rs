//! `[[resolver]]`, and sources that are a resolver's entry.

use std::collections::HashMap;
use std::time::Duration;

use live::spec::SourceSpec;
use resolve::document::Format;
use resolve::entry::{Entry, Kind, Refresh};
use resolve::{Origin, ResolverSpec};
use url::Url;

use super::kind;
use super::node::{Item, Node};
use super::problem::closest;
use super::schema::{Table, first_of_its_name, hidden, without_secrets, without_values};
use super::section::reload;

const RESOLVERS_MAX: usize = 256;
const ENTRIES_MAX: usize = resolve::document::ENTRIES_MAX;

const KINDS: &[(&str, Origins)] = &[
    ("static", Origins::Static),
    ("http", Origins::Http),
    ("exec", Origins::Exec),
];
const FORMATS: &[(&str, Format)] = &[
    ("native", Format::Native),
    ("streamlink", Format::Streamlink),
    ("yt-dlp", Format::YtDlp),
];
const ENTRY_KINDS: &[(&str, Kind)] = &[("hls", Kind::Hls), ("ts", Kind::Ts), ("file", Kind::File)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origins {
    Static,
    Http,
    Exec,
}

/// All `[[resolver]]` tables.
pub(super) fn resolvers(s: &mut Table<'_, '_>) -> Vec<ResolverSpec> {
    let mut lines = HashMap::new();
    s.tables("resolver", RESOLVERS_MAX, |s| {
        let id = s.need(
            reload("id"),
            "sources refer to the resolver by it",
            kind::name,
        );
        if let Some(id) = &id {
            first_of_its_name(s, "id", id, &mut lines);
        }
        let name = s.get(reload("name"), "", kind::line);
        let hint = "\"http\", \"exec\" or \"static\"";
        let origin = s.need(reload("kind"), hint, kind::word(KINDS));
        let origin = origin_of(s, origin);
        let resolver = ResolverSpec {
            name,
            interval: s.get(reload("interval_s"), 1800, kind::seconds(10..=86_400)),
            min_interval: s.get(reload("min_interval_s"), 10, kind::seconds(1..=3600)),
            origin: origin?,
            id: id?,
        };
        if resolver.min_interval > resolver.interval {
            let message =
                "min_interval_s in [[resolver]] must not be more than interval_s".to_owned();
            let hint = format!("interval_s is {}", seconds(resolver.interval));
            s.report("min_interval_s", message, &hint);
        }
        Some(resolver)
    })
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

/// Reads the keys of every kind, so that each is known, and takes those of the one that is given.
fn origin_of(s: &mut Table<'_, '_>, origin: Option<Origins>) -> Option<Origin> {
    let url = reload("url").shown_as(without_secrets);
    let url = s.get(url, "", kind::optional(kind::http_url));
    let headers = reload("headers").shown_as(without_values);
    let headers = s.get(headers, Item::Table(Vec::new()), kind::headers);
    let argv = reload("argv").shown_as(program_only);
    let argv = s.get(argv, Item::List(Vec::new()), kind::lines);
    let format = s.get(reload("format"), "native", kind::word(FORMATS));
    let mut lines = HashMap::new();
    let entries = s.tables("entry", ENTRIES_MAX, |s| entry(s, &mut lines));
    let given = [
        ("url", Origins::Http, url.is_some()),
        ("headers", Origins::Http, !headers.is_empty()),
        ("argv", Origins::Exec, !argv.is_empty()),
        ("entry", Origins::Static, !entries.is_empty()),
    ];
    let origin = origin?;
    for (key, of, _) in given
        .into_iter()
        .filter(|(_, of, given)| *given && *of != origin)
    {
        let message = format!("{key} in [[resolver]] is for kind = \"{}\"", word_of(of));
        s.report(key, message, "leave it out, or choose the other kind");
    }
    let missing = |s: &mut Table<'_, '_>, key, hint| {
        let kind = word_of(origin);
        s.report(
            key,
            format!("a resolver of kind \"{kind}\" needs {key}"),
            hint,
        );
        None
    };
    match origin {
        Origins::Static if entries.is_empty() => {
            missing(s, "entry", "add [[resolver.entry]] with an id and a url")
        }
        Origins::Static => Some(Origin::Static(entries)),
        Origins::Http => match url {
            Some(url) => Some(Origin::Http {
                url,
                headers,
                format,
            }),
            None => missing(s, "url", "where the document is"),
        },
        Origins::Exec if argv.is_empty() => missing(s, "argv", "the program and its arguments"),
        Origins::Exec => Some(Origin::Exec { argv, format }),
    }
}

fn word_of(origin: Origins) -> &'static str {
    let found = KINDS.iter().find(|(_, kind)| *kind == origin);
    found.map_or("", |(word, _)| word)
}

fn entry(s: &mut Table<'_, '_>, lines: &mut HashMap<String, usize>) -> Option<Entry> {
    let id = s.need(
        reload("id"),
        "sources name the entry by it",
        kind::not_empty(kind::line),
    );
    if let Some(id) = &id {
        first_of_its_name(s, "id", id, lines);
    }
    let url = reload("url").shown_as(without_secrets);
    let url = s.need(url, "the link", kind::http_url);
    let headers = reload("headers").shown_as(without_values);
    Some(Entry {
        title: s.get(reload("title"), "", kind::line),
        kind: s.get(reload("kind"), "hls", kind::word(ENTRY_KINDS)),
        headers: s.get(headers, Item::Table(Vec::new()), kind::headers),
        quality: s.get(reload("quality"), "", kind::line),
        language: s.get(reload("language"), "", kind::line),
        live: None,
        expires_ms: None,
        refresh: Refresh::Overlap,
        url: url?,
        id: id?,
    })
}

/// The URL of the entry that a source names, if it names one.
pub(super) fn entry_of_source(s: &mut Table<'_, '_>, resolvers: &[ResolverSpec]) -> Option<Url> {
    let resolver = s.get(reload("resolver"), "", kind::optional(kind::name));
    let entry = s.get(reload("entry"), "", kind::line);
    let Some(resolver) = resolver else {
        if !entry.is_empty() {
            let message = "entry in [[channel.source]] needs resolver".to_owned();
            s.report("entry", message, "name the [[resolver]] that lists it");
        }
        return None;
    };
    if entry.is_empty() {
        let message = "resolver in [[channel.source]] needs entry".to_owned();
        s.report("resolver", message, "the id of one of its entries");
    }
    if !resolvers.iter().any(|known| known.id == resolver) {
        let message = format!("there is no [[resolver]] with the id \"{resolver}\"");
        let ids = resolvers.iter().map(|known| known.id.as_str());
        let hint = match closest(&resolver, ids) {
            Some(id) => format!("did you mean \"{id}\"?"),
            None => format!("add one, with id = \"{resolver}\" and a kind"),
        };
        s.report("resolver", message, &hint);
    }
    SourceSpec::entry_url(&resolver, &entry)
}

/// The program, and nothing of its arguments.
fn program_only(item: &Item) -> Item {
    match item {
        Item::List(nodes) if nodes.len() > 1 => {
            let hidden = Node {
                at: 0,
                item: hidden(),
            };
            Item::List(vec![nodes[0].clone(), hidden])
        }
        item => item.clone(),
    }
}
