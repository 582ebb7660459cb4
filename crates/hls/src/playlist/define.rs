//! `EXT-X-DEFINE` (RFC 8216bis §4.4.2.3, §4.3): variables, expanded before anything else is read.

use std::borrow::Cow;
use std::collections::HashMap;

use url::Url;

use super::Error;
use super::attributes::Attributes;
use super::line::{Line, lines};

/// Names and values. A media playlist imports from the multivariant playlist that led to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(HashMap<String, String>);

const VARIABLES_MAX: usize = 256;
/// Bounds what repeated references can grow a line to.
const EXPANDED_LINE_MAX: usize = 64 * 1024;

impl Variables {
    /// Collects the definitions of `text`. `url` is where the playlist came from: its query serves
    /// `QUERYPARAM`. `imports` are the variables of the multivariant playlist.
    pub(super) fn collect(text: &str, url: &Url, imports: &Self) -> Result<Self, Error> {
        let mut variables = Self::default();
        if !text.contains("#EXT-X-DEFINE") {
            return Ok(variables);
        }
        for (number, _, line) in lines(text) {
            let Line::Tag {
                name: "#EXT-X-DEFINE",
                value,
            } = line
            else {
                continue;
            };
            let list = Attributes::parse(value).ok_or(Error::Attributes { line: number })?;
            let (name, value) = if let Some(name) = list.get("NAME") {
                (name, list.get("VALUE").map(str::to_owned))
            } else if let Some(name) = list.get("IMPORT") {
                (name, imports.0.get(name).cloned())
            } else if let Some(name) = list.get("QUERYPARAM") {
                let found = url.query_pairs().find(|(key, _)| key == name);
                (name, found.map(|(_, value)| value.into_owned()))
            } else {
                return Err(Error::Attributes { line: number });
            };
            let value = value.ok_or_else(|| Error::UndefinedVariable {
                line: number,
                name: brief(name),
            })?;
            if variables.0.len() == VARIABLES_MAX {
                return Err(Error::TooManyVariables { max: VARIABLES_MAX });
            }
            if variables.0.insert(name.to_owned(), value).is_some() {
                return Err(Error::RedefinedVariable {
                    line: number,
                    name: brief(name),
                });
            }
        }
        Ok(variables)
    }

    /// `text` with every reference expanded and the definitions gone. Text without definitions comes
    /// back as it is: there, `{$name}` means nothing.
    pub(super) fn expand<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Error> {
        if self.0.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        for (number, raw, line) in lines(text) {
            match line {
                Line::Tag {
                    name: "#EXT-X-DEFINE",
                    ..
                } => continue,
                Line::Tag { .. } | Line::Uri(_) => out.push_str(&self.expand_line(raw, number)?),
                Line::Other => out.push_str(raw),
            }
            out.push('\n');
        }
        if !text.ends_with('\n') {
            out.pop();
        }
        Ok(Cow::Owned(out))
    }

    fn expand_line<'a>(&self, raw: &'a str, number: usize) -> Result<Cow<'a, str>, Error> {
        let Some(first) = raw.find("{$") else {
            return Ok(Cow::Borrowed(raw));
        };
        let mut out = raw[..first].to_owned();
        let mut rest = &raw[first..];
        while let Some(open) = rest.find("{$") {
            out.push_str(&rest[..open]);
            let reference = &rest[open + 2..];
            let Some(close) = reference.find('}') else {
                break;
            };
            let name = &reference[..close];
            let value = self.0.get(name).ok_or_else(|| Error::UndefinedVariable {
                line: number,
                name: brief(name),
            })?;
            out.push_str(value);
            if out.len() > EXPANDED_LINE_MAX {
                return Err(Error::LongLine {
                    line: number,
                    bytes: out.len(),
                    max: EXPANDED_LINE_MAX,
                });
            }
            rest = &reference[close + 1..];
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }
}

fn brief(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let url = "http://a.example/l.m3u8?token=t%2B1".parse().unwrap();
        let imports = Variables(HashMap::from([("host".to_owned(), "h.example".to_owned())]));
        let got = Variables::collect(text, &url, &imports)
            .and_then(|variables| variables.expand(text).map(Cow::into_owned))
            .map_err(|error| error.to_string());
        assert_eq!(got, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn expands_each_kind_of_definition_and_drops_it() {
        check(
            "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"x/y\"\n{$p}/1.ts?{$p}\n",
            Ok("x/y/1.ts?x/y\n"),
        );
        check(
            "#EXT-X-DEFINE:IMPORT=\"host\"\nhttp://{$host}/1.ts",
            Ok("http://h.example/1.ts"),
        );
        check(
            "#EXT-X-DEFINE:QUERYPARAM=\"token\"\n1.ts?t={$token}\n",
            Ok("1.ts?t=t+1\n"),
        );
    }

    #[test]
    fn leaves_text_without_definitions_alone() {
        check("{$p}.ts\n", Ok("{$p}.ts\n"));
    }

    #[test]
    fn names_what_is_missing_or_doubled() {
        check(
            "#EXT-X-DEFINE:IMPORT=\"x\"\n",
            Err("line 1: variable \"x\" is not defined"),
        );
        check(
            "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"1\"\n{$q}.ts\n",
            Err("line 2: variable \"q\" is not defined"),
        );
        check(
            "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"1\"\n#EXT-X-DEFINE:NAME=\"p\",VALUE=\"1\"\n",
            Err("line 2: variable \"p\" is defined twice"),
        );
    }
}
