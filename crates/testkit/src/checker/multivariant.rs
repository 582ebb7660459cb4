//! Multivariant playlists (RFC 8216 §4.3.4).

use std::collections::BTreeMap;

use super::{Promises, Rule, Violation};
use crate::reader::{Attributes, Line, decode, lines};

/// Judges a multivariant playlist.
pub fn check_multivariant(body: &[u8], promises: Promises) -> Vec<Violation> {
    let (text, _) = decode(body);
    let mut reader = Reader {
        promises,
        found: super::text_rules(body),
        ..Reader::default()
    };
    for (number, line) in lines(&text) {
        reader.line = number;
        match line {
            Line::Uri(uri) => reader.variant_uri(uri),
            Line::Tag(name, value) => reader.tag(name, value),
        }
    }
    reader.finish()
}

/// `TYPE` and `GROUP-ID`.
type GroupId = (String, String);

#[derive(Default)]
struct Reader {
    promises: Promises,
    found: Vec<Violation>,
    line: usize,
    groups: BTreeMap<GroupId, Group>,
    /// The groups that variants name, with the line.
    wanted: Vec<(usize, GroupId)>,
    variants: usize,
    expects_uri: bool,
}

#[derive(Default)]
struct Group {
    names: Vec<String>,
    defaults: usize,
}

impl Reader {
    fn broken(&mut self, rule: Rule, detail: impl Into<String>) {
        self.found.push(Violation::new(rule, self.line, detail));
    }

    fn uri(&mut self, uri: &str) {
        if self.promises.relative_uris {
            self.found.extend(super::absolute(uri, self.line));
        }
    }

    fn variant_uri(&mut self, uri: &str) {
        if !std::mem::take(&mut self.expects_uri) {
            self.broken(Rule::UriMissing, format!("{uri:?} belongs to no variant"));
        }
        self.uri(uri);
    }

    fn tag(&mut self, name: &str, value: &str) {
        if std::mem::take(&mut self.expects_uri) {
            let detail = format!("{name} follows EXT-X-STREAM-INF");
            self.broken(Rule::UriMissing, detail);
        }
        match name {
            "EXT-X-STREAM-INF" => {
                let variant = self.attributes(name, value, &["BANDWIDTH"]);
                self.references(&variant);
                self.variants += 1;
                self.expects_uri = true;
            }
            "EXT-X-I-FRAME-STREAM-INF" => {
                let variant = self.attributes(name, value, &["BANDWIDTH", "URI"]);
                self.references(&variant);
            }
            "EXT-X-MEDIA" => {
                let media = self.attributes(name, value, &["TYPE", "GROUP-ID", "NAME"]);
                self.rendition(&media);
            }
            "EXT-X-TARGETDURATION"
            | "EXT-X-MEDIA-SEQUENCE"
            | "EXTINF"
            | "EXT-X-KEY"
            | "EXT-X-MAP" => self.broken(Rule::MixedPlaylist, name),
            _ => {}
        }
    }

    fn attributes(&mut self, name: &str, list: &str, required: &[&str]) -> Attributes {
        let mut wrong = Vec::new();
        let attributes = Attributes::read(list, |why| wrong.push(why));
        for why in wrong {
            self.broken(Rule::AttributeSyntax, why);
        }
        for missing in required.iter().filter(|name| !attributes.has(name)) {
            self.broken(Rule::AttributeMissing, format!("{name} without {missing}"));
        }
        if let Some(uri) = attributes.get("URI") {
            self.uri(uri);
        }
        attributes
    }

    fn rendition(&mut self, media: &Attributes) {
        let of = |name| media.get(name).unwrap_or_default().to_owned();
        let name = of("NAME");
        let group = self.groups.entry((of("TYPE"), of("GROUP-ID"))).or_default();
        group.defaults += usize::from(media.get("DEFAULT") == Some("YES"));
        let ambiguous = group.names.contains(&name) || group.defaults > 1;
        group.names.push(name.clone());
        if ambiguous {
            let detail = format!("{name:?} is there already, or is a second default");
            self.broken(Rule::GroupAmbiguous, detail);
        }
    }

    fn references(&mut self, variant: &Attributes) {
        for kind in ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"] {
            if let Some(id) = variant.get(kind).filter(|id| *id != "NONE") {
                let group = (kind.to_owned(), id.to_owned());
                self.wanted.push((self.line, group));
            }
        }
    }

    fn finish(mut self) -> Vec<Violation> {
        self.line = 0;
        if self.expects_uri || self.variants == 0 {
            self.broken(Rule::UriMissing, "no variant's URI at the end");
        }
        for (line, group) in std::mem::take(&mut self.wanted) {
            if !self.groups.contains_key(&group) {
                let detail = format!("{} group {:?}", group.0, group.1);
                let missing = Violation::new(Rule::GroupMissing, line, detail);
                self.found.push(missing);
            }
        }
        self.found
    }
}
