//! Playlist lines and attribute lists, read as strictly as RFC 8216 §4.1 and §4.2 write them. The kit's
//! own on purpose: it judges `hls`.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// One line that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// `#EXT…`: name without `#`, and what follows the colon.
    Tag(&'a str, &'a str),
    /// Not a comment and not blank.
    Uri(&'a str),
}

/// The text of a playlist: UTF-8 or, where that fails, Latin-1; `true` if it was UTF-8 without byte
/// order mark.
pub(crate) fn decode(body: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(body) {
        Ok(text) => match text.strip_prefix('\u{feff}') {
            Some(text) => (text.into(), false),
            None => (text.into(), true),
        },
        Err(_) => (body.iter().map(|byte| char::from(*byte)).collect(), false),
    }
}

/// The lines with their numbers, counted from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        if let Some(tag) = line.strip_prefix('#') {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            return name
                .starts_with("EXT")
                .then_some((number, Line::Tag(name, value)));
        }
        (!line.trim().is_empty()).then_some((number, Line::Uri(line)))
    })
}

/// Whether the text is a multivariant playlist.
pub(crate) fn is_multivariant(text: &str) -> bool {
    lines(text).any(|(_, line)| matches!(line, Line::Tag("EXT-X-STREAM-INF", _)))
}

/// The URI of the first variant.
pub(crate) fn first_variant(text: &str) -> Option<String> {
    let after =
        lines(text).skip_while(|(_, line)| !matches!(line, Line::Tag("EXT-X-STREAM-INF", _)));
    after.into_iter().find_map(|(_, line)| match line {
        Line::Uri(uri) => Some(uri.to_owned()),
        Line::Tag(..) => None,
    })
}

/// An attribute list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(BTreeMap<String, Value>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    text: String,
    quoted: bool,
}

/// Attributes that are quoted strings wherever they appear, and such that never are.
const QUOTED: [&str; 14] = [
    "URI",
    "KEYFORMAT",
    "KEYFORMATVERSIONS",
    "ID",
    "CLASS",
    "START-DATE",
    "END-DATE",
    "GROUP-ID",
    "NAME",
    "LANGUAGE",
    "CODECS",
    "AUDIO",
    "VIDEO",
    "SUBTITLES",
];
const UNQUOTED: [&str; 10] = [
    "METHOD",
    "IV",
    "BANDWIDTH",
    "AVERAGE-BANDWIDTH",
    "RESOLUTION",
    "FRAME-RATE",
    "TYPE",
    "DEFAULT",
    "AUTOSELECT",
    "DURATION",
];

impl Attributes {
    /// Reads a list; what is wrong with it goes to `wrong` and is left out.
    pub(crate) fn read(list: &str, mut wrong: impl FnMut(String)) -> Self {
        let mut attributes = BTreeMap::new();
        let mut rest = list;
        while !rest.is_empty() {
            let Some((name, after)) = rest.split_once('=') else {
                wrong(format!("{rest:?} has no value"));
                break;
            };
            let (text, quoted, after) = match after.strip_prefix('"') {
                Some(string) => match string.split_once('"') {
                    Some((text, after)) => (text, true, after),
                    None => {
                        wrong(format!("the quote of {name} does not end"));
                        break;
                    }
                },
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    (&after[..end], false, &after[end..])
                }
            };
            rest = match after.strip_prefix(',') {
                Some("") => {
                    wrong("the list ends in a comma".to_owned());
                    ""
                }
                Some(next) => next,
                None if after.is_empty() => after,
                None => {
                    wrong(format!("{after:?} follows the value of {name}"));
                    ""
                }
            };
            if let Some(why) = fault(name, text, quoted) {
                wrong(format!("{name}: {why}"));
            }
            let value = Value {
                text: text.to_owned(),
                quoted,
            };
            if attributes.insert(name.to_owned(), value).is_some() {
                wrong(format!("{name} stands twice"));
            }
        }
        Self(attributes)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.text.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn fault(name: &str, text: &str, quoted: bool) -> Option<&'static str> {
    let named = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    let hex = |text: &str| {
        let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"));
        digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    if !named {
        Some("names are of A-Z, 0-9 and -")
    } else if !quoted && (text.is_empty() || text.contains([' ', '\t', '"'])) {
        Some("an unquoted value is not empty and has no spaces and quotes")
    } else if QUOTED.contains(&name) && !quoted {
        Some("must be quoted")
    } else if UNQUOTED.contains(&name) && quoted {
        Some("must not be quoted")
    } else if name == "IV" && !hex(text) {
        Some("must be hexadecimal")
    } else if name.ends_with("BANDWIDTH") && text.parse::<u64>().is_err() {
        Some("must be a decimal integer")
    } else {
        None
    }
}

/// Replaces `{$name}` by its value; an unknown name stays.
pub(crate) fn substitute<'a>(text: &'a str, variables: &BTreeMap<String, String>) -> Cow<'a, str> {
    if variables.is_empty() || !text.contains("{$") {
        return text.into();
    }
    variables
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{${name}}}"), value)
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: &[(&str, &str)], faults: usize) {
        let mut wrong = Vec::new();
        let attributes = Attributes::read(list, |why| wrong.push(why));
        let got: Vec<_> = attributes
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.text.as_str()))
            .collect();
        assert_eq!(
            (got.as_slice(), wrong.len()),
            (expected, faults),
            "{list}: {wrong:?}"
        );
    }

    #[test]
    fn reads_attribute_lists_and_names_their_faults() {
        check(
            r#"METHOD=AES-128,URI="k,ey",IV=0x0A"#,
            &[("IV", "0x0A"), ("METHOD", "AES-128"), ("URI", "k,ey")],
            0,
        );
        check("", &[], 0);
        check("URI=key", &[("URI", "key")], 1);
        check(r#"METHOD="NONE""#, &[("METHOD", "NONE")], 1);
        check("IV=12", &[("IV", "12")], 1);
        check("A=1,A=2", &[("A", "2")], 1);
        check("a=1", &[("a", "1")], 1);
        check("A=1,", &[("A", "1")], 1);
        check("A", &[], 1);
        check(r#"URI="open"#, &[], 1);
        check(r#"URI="x"y,B=1"#, &[("URI", "x")], 1);
        check("BANDWIDTH=1.5", &[("BANDWIDTH", "1.5")], 1);
        check("X= 1", &[("X", " 1")], 1);
    }

    #[test]
    fn text_is_utf_8_or_latin_1() {
        assert_eq!(decode(b"#EXTM3U"), ("#EXTM3U".into(), true));
        assert_eq!(decode(b"\xef\xbb\xbf#EXTM3U"), ("#EXTM3U".into(), false));
        assert_eq!(decode(b"M\xe9t\xe9o"), ("Météo".into(), false));
    }
}
