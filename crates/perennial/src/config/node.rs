//! A TOML document as a tree whose nodes know where they stand, and the text they stand in.
//!
//! Environment variables and defaults are nodes too, so that one reader serves all three.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and the byte offset at which it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) item: Item,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Member>),
    /// What no key takes, named as messages name it.
    Other(&'static str),
}

/// A key of a table, where it stands, and its value.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) node: Node,
}

impl Item {
    /// What it is, as messages say it.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Item {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Item {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Item {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

/// As TOML, on one line.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{}", Quoted(text)),
            Self::List(nodes) => {
                f.write_str("[")?;
                for (n, node) in nodes.iter().enumerate() {
                    write!(f, "{}{}", if n == 0 { "" } else { ", " }, node.item)?;
                }
                f.write_str("]")
            }
            Self::Table(members) if members.is_empty() => f.write_str("{}"),
            Self::Table(members) => {
                for (n, member) in members.iter().enumerate() {
                    let lead = if n == 0 { "{ " } else { ", " };
                    write!(f, "{lead}{} = {}", Quoted(&member.name), member.node.item)?;
                }
                f.write_str(" }")
            }
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// A basic string of TOML, which is a key as well.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A file's name and where its lines begin.
#[derive(Debug)]
pub(super) struct Source<'t> {
    name: Arc<str>,
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(super) fn new(name: &str, text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0)
            .chain(ends.map(|(end, _)| end + 1))
            .collect();
        Self {
            name: name.into(),
            text,
            lines,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What paths in the file are relative to.
    pub(super) fn directory(&self) -> &Path {
        Path::new(self.name.as_ref())
            .parent()
            .unwrap_or(Path::new(""))
    }

    /// The line, from 1, of a byte offset.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.line(at);
        let start = self.lines[line - 1];
        let before = self.text.as_bytes().get(start..at).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        Place::Position {
            file: Arc::clone(&self.name),
            line,
            column,
        }
    }

    /// [`place`](Self::place) where there may be no file.
    pub(super) fn place_in(source: Option<&Self>, at: usize) -> Place {
        source.map_or_else(
            || Place::File("configuration".into()),
            |source| source.place(at),
        )
    }

    /// The document, as far as it can be made out, and what is wrong with its syntax: at most one
    /// problem a line, because one slip makes the parser stumble several times.
    pub(super) fn document(&self) -> (Vec<Member>, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let mut problems = Vec::new();
        let mut last_line = 0;
        let mut errors: Vec<_> = errors
            .iter()
            .map(|e| (e.span().map_or(0, |s| s.start), e))
            .collect();
        errors.sort_by_key(|(at, _)| *at);
        for (at, error) in errors {
            let line = self.line(at);
            if line != last_line {
                let message = error.message().to_owned();
                problems.push(Problem {
                    place: self.place(at),
                    message,
                    hint: None,
                });
            }
            last_line = line;
        }
        (members(table.get_ref()), problems)
    }
}

fn members(table: &DeTable<'_>) -> Vec<Member> {
    let member = |(name, value): (&Spanned<_>, &_)| {
        let text: &std::borrow::Cow<'_, str> = name.get_ref();
        Member {
            at: name.span().start,
            name: text.to_string(),
            node: node(value),
        }
    };
    let mut members: Vec<_> = table.iter().map(member).collect();
    members.sort_by_key(|member| member.at);
    members
}

/// The parser bounds the depth of nesting, so this may recurse.
fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let item = match value.get_ref() {
        DeValue::Boolean(value) => Item::Boolean(*value),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) => Item::Integer(value),
            Err(_) => Item::Other("an integer of more than 64 bits"),
        },
        DeValue::String(text) => Item::Text(text.to_string()),
        DeValue::Array(values) => Item::List(values.iter().map(node).collect()),
        DeValue::Table(table) => Item::Table(members(table)),
        DeValue::Float(_) => Item::Other("a float"),
        DeValue::Datetime(_) => Item::Other("a date"),
    };
    Node {
        at: value.span().start,
        item,
    }
}
