//! A resolver's output, read: entries, or why there are none.
//!
//! Three forms: Perennial's own, what `streamlink --json` prints and what `yt-dlp -J` prints. An entry
//! without an id is refused and said so; it is never matched by its title or its place.

mod native;
mod streamlink;
mod yt_dlp;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::entry::Entry;

/// The form of a resolver's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `{"entries":[…]}` or `{"error":{…}}`.
    #[default]
    Native,
    /// `streamlink --json URL`; an entry's id is the name of its quality.
    Streamlink,
    /// `yt-dlp -J URL`; an entry's id is its `format_id`.
    YtDlp,
}

/// What a resolver returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Ids are unique.
    pub entries: Vec<Entry>,
    /// Why some were not taken, for people.
    pub refused: Vec<String>,
}

/// Why a resolver returned nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}{detail}", if .detail.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// The class.
    pub code: Code,
    /// Its own wish.
    pub retry_after: Option<Duration>,
    /// What it said, without secrets.
    pub detail: String,
}

/// The classes of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// There is nothing on now.
    NotLive,
    /// It wants to know who asks.
    Auth,
    /// Not from here.
    Geo,
    /// Asked too often.
    RateLimited,
    /// It will not come back.
    Gone,
    /// Anything that may pass.
    Transient,
}

/// Entries of one result; further ones are refused.
pub const ENTRIES_MAX: usize = 1000;
/// Bytes of a resolver's output.
pub(crate) const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Bytes of an id.
const ID_BYTES_MAX: usize = 200;
/// Characters of a text for people.
const TEXT_MAX: usize = 500;
/// Messages about refused entries.
const REFUSED_MAX: usize = 20;

/// Reads `output`, which came at `now_ms`.
///
/// # Errors
/// What the resolver said, or [`Code::Transient`] for what is no such document.
pub fn read(format: Format, output: &[u8], now_ms: i64) -> Result<Answer, Refusal> {
    let document: Value = serde_json::from_slice(output)
        .map_err(|error| Refusal::transient(format!("output is no JSON: {error}")))?;
    let entries = match format {
        Format::Native => native::entries(&document, now_ms)?,
        Format::Streamlink => streamlink::entries(&document)?,
        Format::YtDlp => yt_dlp::entries(&document)?,
    };
    Ok(Answer::of(entries))
}

impl Answer {
    /// Keeps what can be used, and says of the rest why not.
    pub(crate) fn of(entries: impl IntoIterator<Item = Result<Entry, String>>) -> Self {
        let mut answer = Self::default();
        let mut ids = HashSet::new();
        for entry in entries {
            let entry =
                entry
                    .and_then(check)
                    .and_then(|entry| match ids.insert(entry.id.clone()) {
                        true => Ok(entry),
                        false => Err(format!(
                            "id {:?} is there twice: the second entry is left out",
                            entry.id
                        )),
                    });
            match entry {
                Ok(_) if answer.entries.len() == ENTRIES_MAX => {
                    answer.refuse(format!(
                        "more than {ENTRIES_MAX} entries: the rest is left out"
                    ));
                    break;
                }
                Ok(entry) => answer.entries.push(entry),
                Err(reason) => answer.refuse(reason),
            }
        }
        answer
    }

    fn refuse(&mut self, reason: String) {
        if self.refused.len() < REFUSED_MAX {
            self.refused.push(reason);
        }
    }
}

fn check(mut entry: Entry) -> Result<Entry, String> {
    if entry.id.is_empty()
        || entry.id.len() > ID_BYTES_MAX
        || entry.id.chars().any(char::is_control)
    {
        return Err(format!(
            "an id must be 1 to {ID_BYTES_MAX} bytes without control characters"
        ));
    }
    if !matches!(entry.url.scheme(), "http" | "https") {
        return Err(format!(
            "entry {:?}: its url is neither http nor https",
            entry.id
        ));
    }
    for text in [&mut entry.title, &mut entry.quality, &mut entry.language] {
        *text = text
            .chars()
            .filter(|c| !c.is_control())
            .take(TEXT_MAX)
            .collect();
    }
    // Programs report every header that they would send, also those that belong to the connection.
    entry
        .headers
        .retain(|pair| fetch::Headers::new([(&pair.0, &pair.1)]).is_ok());
    Ok(entry)
}

impl Refusal {
    pub(crate) fn transient(detail: impl Into<String>) -> Self {
        Self::new(Code::Transient, detail)
    }

    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            retry_after: None,
            detail: without_links(&detail.into()),
        }
    }
}

impl Code {
    const ALL: [Self; 6] = [
        Self::NotLive,
        Self::Auth,
        Self::Geo,
        Self::RateLimited,
        Self::Gone,
        Self::Transient,
    ];

    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotLive => "not_live",
            Self::Auth => "auth",
            Self::Geo => "geo",
            Self::RateLimited => "rate_limited",
            Self::Gone => "gone",
            Self::Transient => "transient",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One short line in which every URL is cut to what may be shown.
fn without_links(text: &str) -> String {
    let words = text.split_whitespace().map(|word| match word.find("http") {
        Some(at) if word[at..].contains("://") => {
            let url = Url::parse(word[at..].trim_end_matches(['"', '\'', ')', ',', ';', '.']));
            url.map_or_else(|_| "…".to_owned(), |url| base::redact_url(&url))
        }
        _ => word.to_owned(),
    });
    let line: String = words.collect::<Vec<_>>().join(" ");
    line.chars().take(TEXT_MAX).collect()
}

/// A member that is a string, or empty.
fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A member that is an object of strings.
fn headers(value: &Value, name: &str) -> Vec<(String, String)> {
    let members = value.get(name).and_then(Value::as_object);
    let pairs = members.into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn link(value: &Value, name: &str) -> Result<Url, String> {
    let link = value
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("has no {name}"))?;
    link.parse()
        .map_err(|error| format!("its {name} is none: {error}"))
}

#[cfg(test)]
mod tests;
