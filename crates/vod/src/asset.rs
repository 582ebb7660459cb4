//! An asset: what was registered of a library, and what it offers.

use serde::{Deserialize, Serialize};
use store::StoredAsset;
use uuid::Uuid;

use crate::confine::{Prefix, UriError, check_key, file_name, is_playlist};
use crate::error::Error;

/// Something that can be watched, seen or heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name in URLs.
    pub id: Uuid,
    /// Its library's id.
    pub library: String,
    /// Its short name, unique.
    pub slug: Option<String>,
    /// When it was registered, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// All else.
    pub facts: Facts,
}

/// What is kept of an asset beside its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// For people.
    pub name: String,
    /// What it is saved as.
    pub download_name: Option<String>,
    /// The folder of its playlists, without a slash at its end.
    pub prefix: Option<String>,
    /// The path of its first playlist below `prefix`.
    pub entry: String,
    /// The file to play, where it is no playlist.
    pub processed_key: Option<String>,
    /// The original.
    pub raw_key: Option<String>,
    /// What was found out about it.
    pub probe: Option<Probe>,
}

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Moving pictures.
    Video,
    /// A picture.
    Image,
    /// Sound.
    Audio,
}

/// What was found out about an asset; unknown where it could not be known for certain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The sum of all segments, of a playlist that has ended.
    pub duration_ms: Option<u64>,
    /// Of all that lies below its prefix, or of its file.
    pub bytes: Option<u64>,
    /// The ladder, in the playlist's order.
    pub variants: Vec<Size>,
    /// Of all variants, once each.
    pub codecs: Vec<String>,
    /// Why it cannot be played, if so.
    pub error: Option<String>,
    /// Its files are at fault, and not a store that was unwell just then.
    #[serde(default)]
    pub broken: bool,
    /// When it was looked at, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub looked_ms: i64,
}

/// A variant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Bits each second.
    pub bandwidth: u64,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
}

/// An asset to register.
#[derive(Clone, Debug)]
pub struct NewAsset {
    /// Its library's id.
    pub library: String,
    /// What it is.
    pub kind: Kind,
    /// The file to play; for video, its playlist or the folder of it.
    pub processed_key: Option<String>,
    /// The folder of its playlists.
    pub prefix: Option<String>,
    /// The original.
    pub raw_key: Option<String>,
    /// For people.
    pub name: String,
    /// What it is saved as.
    pub download_name: Option<String>,
    /// Its short name.
    pub slug: Option<String>,
}

/// A change: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// The file to play; for video, its playlist or the folder of it.
    pub processed_key: Option<String>,
    /// The original; `Some(None)` takes it away, here and below.
    pub raw_key: Option<Option<String>>,
    /// For people.
    pub name: Option<String>,
    /// What it is saved as.
    pub download_name: Option<Option<String>>,
    /// Its short name; an empty one takes it away.
    pub slug: Option<String>,
}

/// What an asset plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plays<'a> {
    /// A playlist, at this path below the prefix.
    Hls { prefix: &'a str, entry: &'a str },
    /// A file.
    File(&'a str),
    /// Nothing yet.
    Nothing,
}

/// What first playlists are called.
pub(crate) const ENTRY: &str = "master.m3u8";
const NAME_CHARS_MAX: usize = 256;
const SLUG_LENGTH_MAX: usize = 64;

impl Asset {
    pub(crate) fn new(new: NewAsset) -> Result<Self, Error> {
        let mut asset = Self {
            id: Uuid::new_v4(),
            library: new.library,
            slug: None,
            created_ms: 0,
            facts: Facts {
                kind: new.kind,
                name: String::new(),
                download_name: None,
                prefix: None,
                entry: ENTRY.to_owned(),
                processed_key: None,
                raw_key: None,
                probe: None,
            },
        };
        let processed_key = match (new.prefix, new.processed_key) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "prefix",
                    "and processed_key name the same thing: give one",
                ));
            }
            (Some(_), None) if new.kind != Kind::Video => {
                return Err(invalid("prefix", "is for video only"));
            }
            (prefix, key) => prefix.or(key),
        };
        asset.change(Patch {
            processed_key,
            raw_key: new.raw_key.map(Some),
            name: Some(new.name),
            download_name: new.download_name.map(Some),
            slug: new.slug,
        })?;
        Ok(asset)
    }

    pub(crate) fn change(&mut self, patch: Patch) -> Result<(), Error> {
        if let Some(key) = patch.processed_key {
            self.set_processed(&key)?;
        }
        if let Some(key) = patch.raw_key {
            let key = key.map(|key| match check_key(&key) {
                Ok(()) => Ok(key),
                Err(_) => Err(invalid("raw_key", KEY_REASON)),
            });
            self.facts.raw_key = key.transpose()?;
        }
        if let Some(name) = patch.name {
            self.facts.name = checked_name("name", &name)?;
        }
        if let Some(name) = patch.download_name {
            let name = name.map(|name| checked_name("download_name", &name));
            self.facts.download_name = name.transpose()?;
        }
        if let Some(slug) = patch.slug {
            self.slug = if slug.is_empty() {
                None
            } else {
                Some(checked_slug(slug)?)
            };
        }
        Ok(())
    }

    /// The name that it is saved under: that of the file `key`, or the one that it was given, with the
    /// ending of that file.
    pub fn save_as(&self, key: &str) -> String {
        let Some(name) = &self.facts.download_name else {
            return file_name(key).to_owned();
        };
        match file_name(key).rsplit_once('.') {
            Some((_, ending))
                if !name
                    .to_lowercase()
                    .ends_with(&format!(".{}", ending.to_lowercase())) =>
            {
                format!("{name}.{ending}")
            }
            _ => name.clone(),
        }
    }

    /// The prefix of its playlists, if it has any.
    pub fn prefix(&self) -> Option<Prefix> {
        Prefix::new(self.facts.prefix.as_deref()?).ok()
    }

    /// Whether there is something to play.
    pub fn is_ready(&self) -> bool {
        self.plays() != Plays::Nothing && self.broken().is_none()
    }

    /// What was found out if its files cannot be played, and will not be until they are others.
    pub(crate) fn broken(&self) -> Option<&Probe> {
        self.facts.probe.as_ref().filter(|probe| probe.broken)
    }

    /// That it has something to play, as far as is known.
    pub(crate) fn check_sound(&self) -> Result<(), Error> {
        match self.broken() {
            None => Ok(()),
            Some(probe) => Err(Error::Broken {
                id: self.id.to_string(),
                reason: probe.error.clone().unwrap_or_default(),
            }),
        }
    }

    /// Whether it plays as HLS.
    pub fn is_hls(&self) -> bool {
        matches!(self.plays(), Plays::Hls { .. })
    }

    pub(crate) fn plays(&self) -> Plays<'_> {
        let facts = &self.facts;
        match (&facts.prefix, &facts.processed_key, facts.kind) {
            (Some(prefix), ..) => Plays::Hls {
                prefix,
                entry: &facts.entry,
            },
            (None, Some(key), _) => Plays::File(key),
            // The original of a video waits for its playlists; a picture or a sound is shown as it came.
            (None, None, Kind::Image | Kind::Audio) => {
                facts.raw_key.as_deref().map_or(Plays::Nothing, Plays::File)
            }
            (None, None, Kind::Video) => Plays::Nothing,
        }
    }

    /// Whether all it has is its original.
    pub fn is_original_only(&self) -> bool {
        self.facts.prefix.is_none() && self.facts.processed_key.is_none()
    }

    /// What a second scan finds it by.
    pub(crate) fn location(&self) -> String {
        match self.plays() {
            Plays::Hls { prefix, entry } => format!("{prefix}/{entry}"),
            Plays::File(key) => key.to_owned(),
            Plays::Nothing => self
                .facts
                .raw_key
                .clone()
                .unwrap_or_else(|| self.id.to_string()),
        }
    }

    pub(crate) fn stored(&self) -> StoredAsset {
        StoredAsset {
            id: self.id.to_string(),
            library: self.library.clone(),
            location: self.location(),
            slug: self.slug.clone(),
            name: self.facts.name.clone(),
            definition: serde_json::to_string(&self.facts).expect("facts are plain data"),
            created_ms: self.created_ms,
        }
    }

    pub(crate) fn read(stored: StoredAsset) -> Result<Self, Error> {
        let unreadable = invalid("a stored asset", "cannot be read");
        Ok(Self {
            id: stored.id.parse().map_err(|_| unreadable.clone())?,
            library: stored.library,
            slug: stored.slug,
            created_ms: stored.created_ms,
            facts: serde_json::from_str(&stored.definition).map_err(|_| unreadable)?,
        })
    }

    /// A video's key is its folder, or a playlist in it, or a plain file; of the others it is the file.
    fn set_processed(&mut self, key: &str) -> Result<(), Error> {
        let refused = |error: UriError| match error {
            UriError::Empty => invalid("processed_key", "must name a folder or a file"),
            _ => invalid("processed_key", KEY_REASON),
        };
        let facts = &mut self.facts;
        let is_file = facts.kind != Kind::Video || crate::scan::kind_of(key).is_some();
        if is_file {
            check_key(key).map_err(refused)?;
            (facts.prefix, facts.processed_key) = (None, Some(key.to_owned()));
            return Ok(());
        }
        let (folder, entry) = match key.rsplit_once('/') {
            Some((folder, name)) if is_playlist(name) => (folder, name),
            None if is_playlist(key) => {
                return Err(invalid(
                    "processed_key",
                    "must lie in a folder: only what is below it is shown",
                ));
            }
            _ => (key, ENTRY),
        };
        let prefix = Prefix::new(folder).map_err(refused)?;
        facts.prefix = Some(prefix.as_str().to_owned());
        facts.entry = entry.to_owned();
        facts.processed_key = None;
        Ok(())
    }
}

impl Kind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Image => "image",
            Self::Audio => "audio",
        }
    }
}

const KEY_REASON: &str = "must be a key: no slash at its beginning, no empty segment, no dots, no backslash, at most 1024 bytes";

pub(crate) const fn invalid(what: &'static str, reason: &'static str) -> Error {
    Error::Invalid { what, reason }
}

fn checked_name(what: &'static str, name: &str) -> Result<String, Error> {
    let name = name.trim().to_owned();
    if name.is_empty()
        || name.chars().count() > NAME_CHARS_MAX
        || name.chars().any(char::is_control)
    {
        return Err(invalid(what, "must be one line of 1 to 256 characters"));
    }
    Ok(name)
}

fn checked_slug(slug: String) -> Result<String, Error> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    let fits = slug.len() <= SLUG_LENGTH_MAX && slug.bytes().all(allowed);
    if !fits || slug.parse::<Uuid>().is_ok() {
        return Err(invalid(
            "slug",
            "must be 1 to 64 of a-z, 0-9, _ and -, and no uuid",
        ));
    }
    Ok(slug)
}
