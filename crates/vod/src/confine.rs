//! Keys and paths, kept inside an asset's prefix (RFC 3986 §5.2 within a wall).
//!
//! A key is what a store knows an object by: any text of segments between slashes. A path is its
//! percent-encoded form in a URL. Whatever comes from outside, a request or a playlist, becomes a key
//! here and nowhere else; it is decoded once, and a segment that would be `.` or `..` after being decoded
//! again is refused too, for servers behind us may decode again.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The part of a library that an asset may show: whole segments, at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// A URI that stays inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    /// The object.
    pub key: String,
    /// What followed the `?`, as it was written.
    pub query: Option<String>,
}

/// Why a URI or a path is refused. What follows its name in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UriError {
    /// It has a scheme.
    #[error("is absolute")]
    Absolute,
    /// It begins with `//`.
    #[error("names another host")]
    OtherHost,
    /// It begins with `/`.
    #[error("begins at the root")]
    Root,
    /// It has a backslash, which some take for a slash.
    #[error("has a backslash")]
    Backslash,
    /// It has a control character.
    #[error("has a control character")]
    Control,
    /// What it decodes to is no UTF-8.
    #[error("is not utf-8")]
    Encoding,
    /// It has a segment without a character.
    #[error("has an empty segment")]
    EmptySegment,
    /// It has `.` or `..` where none may be, plain or encoded.
    #[error("has a dot segment")]
    Dots,
    /// It has an encoded slash, which some take for a slash and some do not.
    #[error("has an encoded slash")]
    EncodedSlash,
    /// It leads out of the prefix.
    #[error("leaves the prefix")]
    Outside,
    /// It has no character.
    #[error("is empty")]
    Empty,
    /// It is longer than a key may be.
    #[error("is longer than 1024 bytes")]
    TooLong,
    /// A playlist that names itself never ends.
    #[error("is the playlist itself")]
    Itself,
    /// It is to be a playlist, and its name does not say so.
    #[error("is to be a playlist and does not end in .m3u8")]
    NotAPlaylist,
}

/// S3's limit.
const KEY_LENGTH_MAX: usize = 1024;
/// All but RFC 3986's unreserved characters, so that a `+` stays one and a `%` too.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Prefix {
    /// A prefix from its text, with or without a slash at its end.
    ///
    /// # Errors
    /// It is empty, begins with a slash, or has segments that no key of ours has.
    pub fn new(text: &str) -> Result<Self, UriError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.starts_with('/') {
            return Err(UriError::Root);
        }
        check_key(text)?;
        Ok(Self(text.to_owned()))
    }

    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` lies below.
    pub fn holds(&self, key: &str) -> bool {
        key.strip_prefix(&self.0)
            .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
    }

    /// The key of a file by its path below the prefix, as a request names it, percent-encoded. Players
    /// resolve dots before they ask, so that a path with dots is no player's.
    ///
    /// # Errors
    /// Why not.
    pub fn at_path(&self, path: &str) -> Result<String, UriError> {
        if path.is_empty() {
            return Err(UriError::Empty);
        }
        let mut key = self.0.clone();
        for segment in path.split('/') {
            let segment = decoded(segment)?;
            if is_dots(&segment) {
                return Err(UriError::Dots);
            }
            key.push('/');
            key.push_str(&segment);
        }
        check_key(&key)?;
        Ok(key)
    }

    /// What `uri`, written in the playlist `from`, refers to.
    ///
    /// # Errors
    /// Why it must not be followed.
    pub fn resolve(&self, from: &str, uri: &str) -> Result<Confined, UriError> {
        let (uri, _) = uri.split_once('#').unwrap_or((uri, ""));
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri, None),
        };
        check_reference(path)?;
        if query.is_some_and(|query| query.chars().any(char::is_control)) {
            return Err(UriError::Control);
        }
        let mut segments: Vec<String> = from.split('/').map(str::to_owned).collect();
        // The playlist's own name.
        segments.pop();
        let count = path.split('/').count();
        for (index, segment) in path.split('/').enumerate() {
            let segment = decoded(segment)?;
            match segment.as_str() {
                "." | ".." if index + 1 == count => return Err(UriError::Dots),
                "." => {}
                ".." => {
                    segments.pop().ok_or(UriError::Outside)?;
                }
                dots if is_dots(dots) => return Err(UriError::Dots),
                _ => segments.push(segment),
            }
        }
        let key = segments.join("/");
        check_key(&key)?;
        if !self.holds(&key) {
            return Err(UriError::Outside);
        }
        Ok(Confined {
            key,
            query: query.map(str::to_owned),
        })
    }

    /// The path of a key below the prefix, percent-encoded. The key must lie there.
    pub fn path_of(&self, key: &str) -> String {
        let below = key.strip_prefix(&self.0).unwrap_or(key);
        encode_path(below.strip_prefix('/').unwrap_or(below))
    }
}

/// A key as a path: each segment percent-encoded, the slashes kept.
pub fn encode_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len() + 16);
    for (index, segment) in key.split('/').enumerate() {
        if index > 0 {
            path.push('/');
        }
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    path
}

/// The reference from one key's folder to another key, percent-encoded: how a playlist names a file so
/// that it works wherever both are served.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    if let Some(below) = to
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        return encode_path(below);
    }
    let (from, to): (Vec<_>, Vec<_>) = (folder.split('/').collect(), to.split('/').collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(from.len() - common);
    format!("{up}{}", encode_path(&to[common..].join("/")))
}

/// The last segment of a key.
pub fn file_name(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

/// Whether a key's name is that of a playlist.
pub(crate) fn is_playlist(key: &str) -> bool {
    let name = file_name(key).to_ascii_lowercase();
    name.ends_with(".m3u8") || name.ends_with(".m3u")
}

/// What no key may have, wherever it comes from.
pub(crate) fn check_key(key: &str) -> Result<(), UriError> {
    if key.is_empty() {
        return Err(UriError::Empty);
    }
    if key.len() > KEY_LENGTH_MAX {
        return Err(UriError::TooLong);
    }
    if key.chars().any(char::is_control) {
        return Err(UriError::Control);
    }
    if key.contains('\\') {
        return Err(UriError::Backslash);
    }
    for segment in key.split('/') {
        if segment.is_empty() {
            return Err(UriError::EmptySegment);
        }
        if is_dots(segment) {
            return Err(UriError::Dots);
        }
    }
    Ok(())
}

/// Refuses what is no relative path reference.
fn check_reference(path: &str) -> Result<(), UriError> {
    if path.is_empty() {
        return Err(UriError::Empty);
    }
    if path.contains('\\') {
        return Err(UriError::Backslash);
    }
    if path.starts_with("//") {
        return Err(UriError::OtherHost);
    }
    if path.starts_with('/') {
        return Err(UriError::Root);
    }
    // RFC 3986 §4.2: a colon in the first segment makes what stands before it a scheme.
    let first = path.split('/').next().unwrap_or(path);
    if let Some((scheme, _)) = first.split_once(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    {
        return Err(UriError::Absolute);
    }
    Ok(())
}

fn decoded(segment: &str) -> Result<String, UriError> {
    let text = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| UriError::Encoding)?;
    if text.is_empty() {
        return Err(UriError::EmptySegment);
    }
    if text.contains('/') {
        return Err(UriError::EncodedSlash);
    }
    if text.contains('\\') {
        return Err(UriError::Backslash);
    }
    if text.chars().any(char::is_control) {
        return Err(UriError::Control);
    }
    Ok(text.into_owned())
}

/// `.` or `..`, also if that shows only when it is decoded once more, or twice.
fn is_dots(segment: &str) -> bool {
    let mut text = segment.to_owned();
    for _ in 0..3 {
        if matches!(text.as_str(), "." | "..") {
            return true;
        }
        if !text.contains('%') {
            return false;
        }
        let again = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        // `..%2f` and the like: dots that a slash follows.
        if again
            .split(['/', '\\'])
            .any(|part| matches!(part, "." | ".."))
        {
            return true;
        }
        text = again;
    }
    false
}

#[cfg(test)]
mod tests;
