//! Who a post is, whatever its document is called.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Document, File};

/// SHA-256 over the sorted set of a post's message-ids, each followed by a line feed. Equal for the
/// same articles under any name and in any order; different for another post of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Document {
    /// The post's identity.
    pub fn content_id(&self) -> ContentId {
        let segments = |file: &'_ File| file.segments.len() + file.duplicates.len();
        let mut ids = Vec::with_capacity(self.files.iter().map(segments).sum());
        for file in &self.files {
            let all = file.segments.iter().chain(&file.duplicates);
            ids.extend(all.map(|segment| segment.id.as_str()));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut hash = Sha256::new();
        for id in ids {
            hash.update(id);
            hash.update(b"\n");
        }
        ContentId(hash.finalize().into())
    }
}

/// Splits `name{{password}}` (with or without `.nzb` behind it) into the name and the password.
pub fn password_in_name(name: &str) -> (&str, Option<base::Redacted<String>>) {
    let stem = match name
        .len()
        .checked_sub(4)
        .and_then(|at| name.split_at_checked(at))
    {
        Some((stem, extension)) if extension.eq_ignore_ascii_case(".nzb") => stem,
        _ => name,
    };
    let parts = stem
        .strip_suffix("}}")
        .and_then(|rest| rest.split_once("{{"))
        .filter(|(_, password)| !password.is_empty());
    match parts {
        Some((name, password)) => (
            name.trim_end(),
            Some(base::Redacted::new(password.to_owned())),
        ),
        None => (stem, None),
    }
}
