//! A table being walked: how the schema asks for keys, and what is recorded of each.

use std::path::PathBuf;

use super::kind::{Fault, optional, path};
use super::node::{Item, Member, Node};
use super::problem::{Place, Problem};
use super::reader::{Reader, Unknown};
use super::setting::{Applies, Origin, Setting, title, variable};

/// A table of the document, or one that could be there.
pub(super) struct Section<'r, 'd> {
    reader: &'r mut Reader<'d>,
    members: Option<&'d [Member]>,
    /// `server.tls`, `channel[0].source[1]`; empty at the root.
    path: String,
    at: usize,
    asked: Vec<&'static str>,
}

/// A key as the schema names it.
#[derive(Clone, Copy)]
pub(super) struct Key {
    name: &'static str,
    applies: Applies,
    show: fn(&Item) -> Item,
}

/// A key whose new value is taken over by a reload.
pub(super) const fn reload(name: &'static str) -> Key {
    Key {
        name,
        applies: Applies::AtReload,
        show: Item::clone,
    }
}

/// A key whose new value is taken over by channels that start after a reload.
pub(super) const fn channel_start(name: &'static str) -> Key {
    Key {
        name,
        applies: Applies::AtChannelStart,
        show: Item::clone,
    }
}

/// A key whose new value takes a restart.
pub(super) const fn restart(name: &'static str) -> Key {
    Key {
        name,
        applies: Applies::AtRestart,
        show: Item::clone,
    }
}

impl Key {
    /// Shows `show(value)` in place of the value: the walk keeps no secret.
    pub(super) const fn shown_as(self, show: fn(&Item) -> Item) -> Self {
        Self { show, ..self }
    }
}

impl<'r, 'd> Section<'r, 'd> {
    pub(super) fn open<T>(
        reader: &'r mut Reader<'d>,
        members: Option<&'d [Member]>,
        path: String,
        at: usize,
        walk: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        let mut section = Section {
            reader,
            members,
            path,
            at,
            asked: Vec::new(),
        };
        let value = walk(&mut section);
        section.close();
        value
    }

    /// Whether there is a file at all.
    pub(super) fn in_file(&self) -> bool {
        self.reader.source.is_some()
    }

    /// The value of `key`: of the environment, else of the file, else the default.
    pub(super) fn get<T>(
        &mut self,
        key: Key,
        default: impl Into<Item>,
        kind: impl Fn(&Node) -> Result<T, Fault>,
    ) -> T {
        let default = Node {
            at: self.at,
            item: default.into(),
        };
        let of_file = self.of_file(key.name, &kind);
        let of_variable = self.of_variable(key.name, &default.item, &kind);
        let (value, item, origin, at) = match (of_variable, of_file) {
            (Some((name, item, value)), _) => (value, item, Origin::Variable(name), self.at),
            (None, Some((node, value))) => {
                (value, node.item.clone(), self.origin(node.at), node.at)
            }
            (None, None) => {
                let value = kind(&default).expect("a default passes the check of its own key");
                (value, default.item.clone(), Origin::Default, self.at)
            }
        };
        self.record(&key, &item, Some(&default.item), origin, at);
        value
    }

    /// The value of a key that has no default; `None` is reported already.
    pub(super) fn need<T>(
        &mut self,
        key: Key,
        hint: &str,
        kind: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        let found = self.of_file(key.name, &kind);
        if let Some((node, value)) = found {
            self.record(&key, &node.item, None, self.origin(node.at), node.at);
            return Some(value);
        }
        if self.member(key.name).is_none() {
            self.missing("key", key.name, hint);
        }
        None
    }

    /// [`get`](Self::get) for a path, `""` for none. One that stands in the file is relative to the
    /// file's directory; one of the environment, to the working directory.
    pub(super) fn file(&mut self, key: Key) -> Option<PathBuf> {
        let path = self.get(key, "", optional(path))?;
        Some(self.beside_the_file(path))
    }

    /// Resolves `path`, the value of the key read last, against the file's directory, unless it came from
    /// the environment.
    pub(super) fn beside_the_file(&self, path: PathBuf) -> PathBuf {
        let origin = self.reader.settings.last().map(|setting| &setting.origin);
        match (origin, self.reader.source) {
            (Some(Origin::File { .. } | Origin::Default), Some(source)) => {
                source.directory().join(path)
            }
            _ => path,
        }
    }

    /// A table, walked whether it is there or not.
    pub(super) fn table<T>(
        &mut self,
        name: &'static str,
        walk: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        let path = self.child(name);
        let (members, at) = match self.ask(name).map(|member| &member.node) {
            None => (None, self.at),
            Some(Node {
                at,
                item: Item::Table(members),
            }) => (Some(members.as_slice()), *at),
            Some(node) => {
                self.misshapen(name, node, "a table", &format!("write [{path}]"));
                (None, self.at)
            }
        };
        Section::open(self.reader, members, path, at, walk)
    }

    /// An array of at most `count_max` tables; `walk` returns `None` for one whose problems it has
    /// reported.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        count_max: usize,
        mut walk: impl FnMut(&mut Section<'_, 'd>) -> Option<T>,
    ) -> Vec<T> {
        let path = self.child(name);
        let hint = format!("write {}", title(&format!("{path}[0]")));
        let nodes = match self.ask(name).map(|member| &member.node) {
            None => &[][..],
            Some(Node {
                item: Item::List(nodes),
                ..
            }) => nodes,
            Some(node) => {
                self.misshapen(name, node, "an array of tables", &hint);
                &[]
            }
        };
        if let Some(node) = nodes.get(count_max) {
            let fault = Fault::new(format!("must be at most {count_max} tables"));
            self.fault(name, self.reader.place(node.at), fault);
        }
        let mut values = Vec::new();
        for (n, node) in nodes.iter().take(count_max).enumerate() {
            let Item::Table(members) = &node.item else {
                self.misshapen(name, node, "an array of tables", &hint);
                continue;
            };
            let path = format!("{path}[{n}]");
            values.extend(Section::open(
                self.reader,
                Some(members),
                path,
                node.at,
                &mut walk,
            ));
        }
        values
    }

    /// [`tables`](Self::tables), of which at least one must be there.
    pub(super) fn need_tables<T>(
        &mut self,
        name: &'static str,
        count_max: usize,
        hint: &str,
        walk: impl FnMut(&mut Section<'_, 'd>) -> Option<T>,
    ) -> Vec<T> {
        let values = self.tables(name, count_max, walk);
        let given = self.member(name).map(|member| &member.node.item);
        if given.is_none_or(|item| matches!(item, Item::List(nodes) if nodes.is_empty())) {
            self.missing("table", name, hint);
        }
        values
    }

    /// Reports what is wrong between keys, at the place of `key`, or of the section where the key
    /// stands nowhere.
    pub(super) fn report(&mut self, key: &str, message: String, hint: &str) {
        let path = self.child(key);
        let setting = self
            .reader
            .settings
            .iter()
            .rev()
            .find(|setting| setting.path == path);
        let place = match setting {
            Some(setting) => setting.place(self.reader.source),
            None => self.reader.place(self.at),
        };
        self.reader.doubtful.push(Problem {
            place,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    /// How many problems there are for certain.
    pub(super) fn problems(&self) -> usize {
        self.reader.problems.len()
    }

    /// The line, from 1, at which this section begins; zero where there is no file.
    pub(super) fn line(&self) -> usize {
        self.reader.source.map_or(0, |source| source.line(self.at))
    }

    fn child(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn member(&self, name: &str) -> Option<&'d Member> {
        self.members?.iter().find(|member| member.name == name)
    }

    fn ask(&mut self, name: &'static str) -> Option<&'d Member> {
        self.asked.push(name);
        self.reader.known.insert((title(&self.path), name));
        self.member(name)
    }

    fn of_file<T>(
        &mut self,
        name: &'static str,
        kind: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<(&'d Node, T)> {
        let node = &self.ask(name)?.node;
        match kind(node) {
            Ok(value) => Some((node, value)),
            Err(fault) => {
                let place = self.reader.place(fault.at.unwrap_or(node.at));
                self.fault(name, place, fault);
                None
            }
        }
    }

    fn of_variable<T>(
        &mut self,
        name: &str,
        default: &Item,
        kind: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<(String, Item, T)> {
        let variable = variable(&self.child(name))?;
        let text = self.reader.variables.get(&variable)?;
        let node = Node {
            at: 0,
            item: from_text(text, default),
        };
        match kind(&node) {
            Ok(value) => Some((variable, node.item, value)),
            Err(fault) => {
                self.fault(name, Place::Variable(variable), fault);
                None
            }
        }
    }

    fn origin(&self, at: usize) -> Origin {
        match self.reader.source {
            Some(source) => Origin::File {
                name: source.name().clone(),
                line: source.line(at),
            },
            None => Origin::Default,
        }
    }

    fn record(
        &mut self,
        key: &Key,
        item: &Item,
        default: Option<&Item>,
        origin: Origin,
        at: usize,
    ) {
        let path = self.child(key.name);
        let value = (key.show)(item).to_string();
        let default = default.map(Item::to_string);
        self.reader.settings.push(Setting {
            path,
            value,
            default,
            origin,
            applies: key.applies,
            at,
        });
    }

    fn fault(&mut self, name: &str, place: Place, fault: Fault) {
        let message = match self.path.as_str() {
            "" => format!("{name} {}", fault.message),
            path => format!("{name} in {} {}", title(path), fault.message),
        };
        self.reader.problems.push(Problem {
            place,
            message,
            hint: fault.hint,
        });
    }

    fn missing(&mut self, what: &str, name: &str, hint: &str) {
        let message = format!("missing {what} \"{name}\" in {}", title(&self.path));
        let place = self.reader.place(self.at);
        self.reader.doubtful.push(Problem {
            place,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    fn misshapen(&mut self, name: &str, node: &Node, expected: &str, hint: &str) {
        let place = self.reader.place(node.at);
        let message = format!("{name} {}", Fault::not(node, expected).message);
        self.reader.doubtful.push(Problem {
            place,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    fn close(self) {
        let section = title(&self.path);
        let members = self.members.unwrap_or_default().iter();
        self.reader.unknown(
            members
                .filter(|member| !self.asked.contains(&member.name.as_str()))
                .map(|member| Unknown {
                    at: member.at,
                    section: section.clone(),
                    name: member.name.clone(),
                }),
        );
    }
}

/// The text of a variable as the kind of thing that the key's default is; lists are separated by
/// commas. What cannot be read stays text, for the key's own check to refuse.
fn from_text(text: &str, default: &Item) -> Item {
    let as_text = || Item::Text(text.to_owned());
    match default {
        Item::Boolean(_) => text.parse().map_or_else(|_| as_text(), Item::Boolean),
        Item::Integer(_) => text.parse().map_or_else(|_| as_text(), Item::Integer),
        Item::List(_) => {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            Item::List(
                parts
                    .map(|part| Node {
                        at: 0,
                        item: part.into(),
                    })
                    .collect(),
            )
        }
        Item::Text(_) | Item::Table(_) | Item::Other(_) => as_text(),
    }
}
