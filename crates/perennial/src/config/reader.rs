//! One walk over a document reads every key, and remembers what it asked for.
//!
//! From what it remembers come the unknown keys and what they were meant to be, the names of the
//! environment variables, `config print`, and the comparison of two configurations.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Member, Source};
use super::problem::{Place, Problem, closest};
use super::section::Section;
use super::setting::{PREFIX, Setting, title, variable};

/// What the walk reads from, and what it learns.
pub(super) struct Reader<'d> {
    /// `None`: there is no file, only the environment and the defaults.
    pub(super) source: Option<&'d Source<'d>>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
    /// Problems that a slip of the syntax may have caused: dropped when there is one.
    pub(super) doubtful: Vec<Problem>,
    unknown: Vec<Unknown>,
    /// Section and key, for every key asked for.
    pub(super) known: BTreeSet<(String, &'static str)>,
}

/// What a walk has learned.
pub(super) struct Walked {
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<Problem>,
    pub(super) problems: Vec<Problem>,
}

/// A key that the schema did not ask for.
pub(super) struct Unknown {
    pub(super) at: usize,
    /// As `setting::title` writes it.
    pub(super) section: String,
    pub(super) name: String,
}

/// More are not looked at; far fewer are listed.
const UNKNOWN_KEYS_MAX: usize = 1000;

impl<'d> Reader<'d> {
    pub(super) fn new(source: Option<&'d Source<'d>>, variables: BTreeMap<String, String>) -> Self {
        Self {
            source,
            variables,
            settings: Vec::new(),
            problems: Vec::new(),
            doubtful: Vec::new(),
            unknown: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    pub(super) fn read<T>(
        &mut self,
        document: Option<&'d [Member]>,
        walk: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        Section::open(self, document, String::new(), 0, walk)
    }

    pub(super) fn unknown(&mut self, keys: impl Iterator<Item = Unknown>) {
        let room = UNKNOWN_KEYS_MAX.saturating_sub(self.unknown.len());
        self.unknown.extend(keys.take(room));
    }

    /// What the walk learned; `syntax` are the problems found before it.
    pub(super) fn finish(mut self, syntax: Vec<Problem>) -> Walked {
        for unknown in std::mem::take(&mut self.unknown) {
            let problem = self.unknown_key(&unknown);
            // Below a broken header keys land at the root.
            let stray = unknown.section == title("");
            let list = if stray {
                &mut self.doubtful
            } else {
                &mut self.problems
            };
            list.push(problem);
        }
        let warnings = self.leftover_variables();
        if syntax.is_empty() {
            self.problems.append(&mut self.doubtful);
        } else {
            let broken: BTreeSet<_> = syntax.iter().map(|problem| line(&problem.place)).collect();
            self.problems
                .retain(|problem| !broken.contains(&line(&problem.place)));
            self.problems.extend(syntax);
        }
        Walked {
            settings: self.settings,
            warnings,
            problems: self.problems,
        }
    }

    fn unknown_key(&self, unknown: &Unknown) -> Problem {
        let Unknown { at, section, name } = unknown;
        let here: Vec<_> = self
            .known
            .iter()
            .filter(|(s, _)| s == section)
            .map(|(_, key)| *key)
            .collect();
        let elsewhere = self
            .known
            .iter()
            .find(|(s, key)| s != section && key == name);
        let hint = match (elsewhere, closest(name, here.iter().copied())) {
            (Some((section, _)), _) => format!("it belongs in {section}"),
            (None, Some(key)) => format!("did you mean \"{key}\"?"),
            (None, None) => format!("known here: {}", here.join(", ")),
        };
        let name: String = name.chars().take(64).collect();
        let message = format!("unknown key \"{}\" in {section}", name.escape_debug());
        Problem {
            place: self.place(*at),
            message,
            hint: Some(hint),
        }
    }

    /// Refuses variables of our form that name no key; warns of those that only lack the section.
    /// Others may be there for other reasons: Kubernetes sets `PERENNIAL_SERVICE_HOST`.
    fn leftover_variables(&mut self) -> Vec<Problem> {
        let names: Vec<_> = self
            .settings
            .iter()
            .filter_map(|setting| variable(&setting.path))
            .collect();
        let mut warnings = Vec::new();
        for left in self.variables.keys().filter(|left| !names.contains(left)) {
            let place = Place::Variable(left.clone());
            if left.contains("__") {
                let tails = names.iter().map(|name| name.trim_start_matches(PREFIX));
                let hint = match closest(left.trim_start_matches(PREFIX), tails) {
                    Some(tail) => format!("did you mean {PREFIX}{tail}?"),
                    None => "write PERENNIAL_, the section, __ and the key, such as \
                             PERENNIAL_SERVER__LISTEN; arrays of tables belong in the file"
                        .to_owned(),
                };
                let message = "names no key".to_owned();
                self.problems.push(Problem {
                    place,
                    message,
                    hint: Some(hint),
                });
                continue;
            }
            let last = left.trim_start_matches(PREFIX);
            let meant = |name: &&String| {
                name.ends_with(&format!("__{last}")) || name.replace("__", "_") == *left
            };
            if let Some(name) = names.iter().find(meant) {
                let message = "is not read".to_owned();
                warnings.push(Problem {
                    place,
                    message,
                    hint: Some(format!("did you mean {name}?")),
                });
            }
        }
        warnings
    }

    pub(super) fn place(&self, at: usize) -> Place {
        Source::place_in(self.source, at)
    }
}

/// A line to compare by; zero for what stands in no file.
fn line(place: &Place) -> usize {
    match place {
        Place::Position { line, .. } => *line,
        Place::File(_) | Place::Variable(_) => 0,
    }
}
