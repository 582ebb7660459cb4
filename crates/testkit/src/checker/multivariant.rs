//! Multivariant playlists (RFC 8216 §4.3.4).

use std::collections::BTreeMap;

use super::{Promises, Rule, Violation};
use crate::reader::{Attributes, Line, decode, lines};

/// Judges a multivariant playlist.
pub fn check_multivariant(body: &[u8], promises: Promises) -> Vec<Violation> {
    let (text, _) = decode(body);
    let mut found = super::text_rules(body);
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let mut wanted = Vec::new();
    let mut expects_uri: Option<usize> = None;
    let mut variants = 0;
    for (number, line) in lines(&text) {
        let mut broken = |rule, detail: String| found.push(Violation::new(rule, number, detail));
        match line {
            Line::Uri(uri) => {
                if expects_uri.take().is_none() {
                    broken(Rule::UriMissing, format!("{uri:?} belongs to no variant"));
                }
                check_uri(uri, number, promises, &mut found);
            }
            Line::Tag(name, value) => {
                if let Some(tag) = expects_uri.take() {
                    broken(
                        Rule::UriMissing,
                        format!("{name} follows EXT-X-STREAM-INF of line {tag}"),
                    );
                }
                let required: &[&str] = match name {
                    "EXT-X-STREAM-INF" => &["BANDWIDTH"],
                    "EXT-X-I-FRAME-STREAM-INF" => &["BANDWIDTH", "URI"],
                    "EXT-X-MEDIA" => &["TYPE", "GROUP-ID", "NAME"],
                    "EXT-X-TARGETDURATION"
                    | "EXTINF"
                    | "EXT-X-MEDIA-SEQUENCE"
                    | "EXT-X-KEY"
                    | "EXT-X-MAP" => {
                        broken(Rule::MixedPlaylist, name.to_owned());
                        continue;
                    }
                    _ => continue,
                };
                let mut wrong = Vec::new();
                let attributes = Attributes::read(value, |why| wrong.push(why));
                wrong
                    .into_iter()
                    .for_each(|why| broken(Rule::AttributeSyntax, why));
                for missing in required.iter().filter(|name| !attributes.has(name)) {
                    broken(Rule::AttributeMissing, format!("{name} without {missing}"));
                }
                if let Some(uri) = attributes.get("URI") {
                    check_uri(uri, number, promises, &mut found);
                }
                match name {
                    "EXT-X-STREAM-INF" => {
                        expects_uri = Some(number);
                        variants += 1;
                        wanted.extend(references(&attributes).map(|group| (number, group)));
                    }
                    "EXT-X-MEDIA" => Group::add(&mut groups, &attributes, number, &mut found),
                    _ => wanted.extend(references(&attributes).map(|group| (number, group))),
                }
            }
        }
    }
    if expects_uri.is_some() || variants == 0 {
        found.push(Violation::new(
            Rule::UriMissing,
            0,
            "no variant's URI at the end".to_owned(),
        ));
    }
    for (line, group) in wanted
        .into_iter()
        .filter(|(_, group)| !groups.contains_key(group))
    {
        found.push(Violation::new(
            Rule::GroupMissing,
            line,
            format!("{} group {:?}", group.0, group.1),
        ));
    }
    found
}

#[derive(Default)]
struct Group {
    names: Vec<String>,
    defaults: usize,
}

impl Group {
    fn add(
        groups: &mut BTreeMap<(String, String), Self>,
        media: &Attributes,
        line: usize,
        found: &mut Vec<Violation>,
    ) {
        let of = |name| media.get(name).unwrap_or_default().to_owned();
        let group = groups.entry((of("TYPE"), of("GROUP-ID"))).or_default();
        group.defaults += usize::from(media.get("DEFAULT") == Some("YES"));
        let (name, defaults) = (of("NAME"), group.defaults);
        if group.names.contains(&name) || defaults > 1 {
            found.push(Violation::new(
                Rule::GroupAmbiguous,
                line,
                format!("{name:?}, {defaults} defaults"),
            ));
        }
        group.names.push(name);
    }
}

/// The groups that a variant names, as type and id.
fn references(variant: &Attributes) -> impl Iterator<Item = (String, String)> {
    let types = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];
    types.into_iter().filter_map(|kind| {
        let id = variant.get(kind).filter(|id| *id != "NONE")?;
        Some((kind.to_owned(), id.to_owned()))
    })
}

fn check_uri(uri: &str, line: usize, promises: Promises, found: &mut Vec<Violation>) {
    if promises.relative_uris {
        found.extend(super::absolute(uri, line));
    }
}
