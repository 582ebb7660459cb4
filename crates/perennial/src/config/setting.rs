//! What became of each key: its value as it may be shown, and where it came from.

use std::fmt;
use std::sync::Arc;

use super::node::Source;
use super::problem::Place;

/// One key of the effective configuration. Carries no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Sections and key: `server.tls.cert_file`, `channel[0].source[1].url`.
    pub path: String,
    /// TOML, secrets redacted.
    pub value: String,
    /// TOML; `None` where the key must be given.
    pub default: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// When a new value is taken over.
    pub applies: Applies,
    /// Byte offset in the file of the value, or of the section it would stand in.
    pub(super) at: usize,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A line of the file, counted from 1.
    File {
        /// The name the file was opened with.
        name: Arc<str>,
        /// Counts from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Variable(String),
}

/// When a new value of a key is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// When the configuration is read again.
    AtReload,
    /// When a channel starts after that; those that run go on as they are.
    AtChannelStart,
    /// When Perennial starts the next time.
    AtRestart,
}

/// A changed key that a reload does not take over at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// The key: `server.listen`.
    pub path: String,
    /// What runs, as TOML.
    pub running: String,
    /// What the file or the environment asks for, as TOML.
    pub wanted: String,
    /// Until when.
    pub applies: Applies,
}

impl Setting {
    /// Where the value was given, or would be.
    pub(super) fn place(&self, source: Option<&Source<'_>>) -> Place {
        match &self.origin {
            Origin::Variable(name) => Place::Variable(name.clone()),
            Origin::Default | Origin::File { .. } => Source::place_in(source, self.at),
        }
    }
}

/// The keys of which `newer` has another value than `running`, and that it is not taken over of before
/// `applies`.
pub(super) fn postponed(
    running: &[Setting],
    newer: &[Setting],
    applies: Applies,
) -> Vec<Postponed> {
    let find = |settings: &[Setting], path: &str| -> Option<String> {
        let found = settings.iter().find(|setting| setting.path == path)?;
        Some(found.value.clone())
    };
    let of_both = running.iter().filter_map(|old| {
        let wanted = find(newer, &old.path).or_else(|| gone(old))?;
        Some((old, old.value.clone(), wanted))
    });
    let added = newer
        .iter()
        .filter(|new| find(running, &new.path).is_none());
    let added = added.filter_map(|new| Some((new, gone(new)?, new.value.clone())));
    of_both
        .chain(added)
        .filter(|(setting, running, wanted)| setting.applies == applies && running != wanted)
        .map(|(setting, running, wanted)| Postponed {
            path: setting.path.clone(),
            running,
            wanted,
            applies,
        })
        .collect()
}

/// The value of a key whose table is not there; told once for a table, by a key that it must have.
fn gone(setting: &Setting) -> Option<String> {
    setting.default.is_none().then(|| "absent".to_owned())
}

/// The environment variable that overrides a key: none for those of arrays of tables, nor for
/// `version`, which describes the file.
pub fn variable(path: &str) -> Option<String> {
    let overridable = path.contains('.') && !path.contains('[');
    overridable.then(|| format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__")))
}

/// A path as people write its header: `[server.tls]`, `[[channel.source]]`.
pub(super) fn title(path: &str) -> String {
    if path.is_empty() {
        return "the file".to_owned();
    }
    let name: Vec<_> = path
        .split('.')
        .map(|part| part.split('[').next().unwrap_or(part))
        .collect();
    let name = name.join(".");
    if path.ends_with(']') {
        format!("[[{name}]]")
    } else {
        format!("[{name}]")
    }
}

/// What the name of every environment variable of ours begins with.
pub const PREFIX: &str = "PERENNIAL_";

/// Where the origins stand, unless the value is longer.
const ORIGIN_COLUMN: usize = 44;

/// The settings as a TOML file, each with its origin in a comment.
pub(super) fn print(settings: &[Setting]) -> String {
    let mut text = String::from("version = 1\n");
    let mut open = "";
    for setting in settings {
        let (section, key) = setting.path.rsplit_once('.').unwrap_or(("", &setting.path));
        if section.is_empty() {
            continue;
        }
        if section != open {
            text.push_str(&format!("\n{}\n", title(section)));
            open = section;
        }
        let line = format!("{key} = {}", setting.value);
        text.push_str(&format!("{line:ORIGIN_COLUMN$} # {}\n", setting.origin));
    }
    text
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Postponed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            running,
            wanted,
            applies,
        } = self;
        match applies {
            Applies::AtChannelStart => {
                write!(
                    f,
                    "{path} is {wanted} in channels that start from now on; those that run keep theirs"
                )
            }
            Applies::AtReload | Applies::AtRestart => {
                write!(
                    f,
                    "{path} stays {running} until the next start, which makes it {wanted}"
                )
            }
        }
    }
}
