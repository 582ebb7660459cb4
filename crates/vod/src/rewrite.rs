//! A library's playlist as a viewer gets it: every URI resolved, kept inside the asset's prefix, and
//! named so that it leads back here, or to a presigned object. Every other byte stays as it was.

use hls::playlist::{Document, UriKind, UriRef};

use crate::confine::{Confined, Prefix, UriError, is_playlist, relative};
use crate::error::Error;

/// How URIs are to read.
#[derive(Clone, Copy, Default)]
pub struct Flavour<'a> {
    /// Goes behind the URIs of playlists, as `token=…`.
    pub token: Option<&'a str>,
    /// What stands before the path of everything that is no playlist; without it, all is named relative
    /// to the playlist.
    pub media_base: Option<&'a str>,
    /// Signs the URL of a media object by its key.
    pub presign: Option<&'a (dyn Fn(&str) -> String + Sync)>,
}

/// A fault before it is known where.
enum Fault {
    Playlist(hls::playlist::Error),
    Uri { line: usize, reason: UriError },
}

impl From<hls::playlist::Error> for Fault {
    fn from(error: hls::playlist::Error) -> Self {
        Self::Playlist(error)
    }
}

/// Rewrites `document`, whose variables are expanded, the playlist `key` of `library`.
///
/// # Errors
/// A URI that leaves `prefix` or is no relative path, by its line; a playlist that names itself.
pub fn render(
    document: &Document,
    library: &str,
    key: &str,
    prefix: &Prefix,
    flavour: Flavour<'_>,
) -> Result<Document, Error> {
    let rewritten = document.rewrite(|found: UriRef<'_>| {
        let refused = |reason| Fault::Uri {
            line: found.line,
            reason,
        };
        let target = prefix.resolve(key, found.uri).map_err(refused)?;
        if is_playlist(&target.key) {
            if target.key == key {
                return Err(refused(UriError::Itself));
            }
            return Ok(flavour.playlist(key, &target));
        }
        if must_be_playlist(found.kind) {
            return Err(refused(UriError::NotAPlaylist));
        }
        Ok(flavour.media(key, prefix, found.kind, &target))
    });
    rewritten.map_err(|fault| match fault {
        Fault::Playlist(reason) => Error::Playlist {
            library: library.to_owned(),
            key: key.to_owned(),
            reason,
        },
        Fault::Uri { line, reason } => Error::Uri {
            library: library.to_owned(),
            key: key.to_owned(),
            line,
            reason,
        },
    })
}

impl Flavour<'_> {
    fn playlist(&self, from: &str, target: &Confined) -> String {
        let mut uri = relative(from, &target.key);
        let token = self.token.map(|token| format!("token={token}"));
        let mut separator = '?';
        for part in target.query.iter().chain(token.iter()) {
            uri.push(separator);
            uri.push_str(part);
            separator = '&';
        }
        uri
    }

    fn media(&self, from: &str, prefix: &Prefix, kind: UriKind, target: &Confined) -> String {
        // Keys stay here, where a revoked grant does not get them: what was presigned before is then of
        // no use to anybody.
        let is_key = matches!(kind, UriKind::Key | UriKind::SessionKey);
        if let Some(presign) = self.presign.filter(|_| !is_key) {
            return presign(&target.key);
        }
        let mut uri = match self.media_base {
            Some(base) => format!("{base}{}", prefix.path_of(&target.key)),
            None => relative(from, &target.key),
        };
        if let Some(query) = &target.query {
            uri.push('?');
            uri.push_str(query);
        }
        uri
    }
}

impl std::fmt::Debug for Flavour<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flavour")
            .field("token", &self.token.is_some())
            .field("presign", &self.presign.is_some())
            .finish_non_exhaustive()
    }
}

/// What a player will read as a playlist; under another name it would reach the player as it is.
const fn must_be_playlist(kind: UriKind) -> bool {
    matches!(
        kind,
        UriKind::Variant | UriKind::IFrames | UriKind::RenditionReport | UriKind::Rendition
    )
}

#[cfg(test)]
mod tests;
