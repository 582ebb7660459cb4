//! What a token of `/stream/hls` opens: the playlists below its prefix. Who minted it elsewhere knows the
//! library, and not what is registered of it here.

use std::sync::Arc;

use crate::asset::{Asset, ENTRY, Kind, NewAsset, Plays};
use crate::confine::{Prefix, file_name, is_playlist};
use crate::error::Error;
use crate::library::Library;
use crate::playlists::{Place, Rendered};
use crate::rewrite::Flavour;
use crate::vod::Vod;

/// Folders between a token's prefix and a playlist that are looked at.
const FOLDERS_MAX: usize = 16;
/// Of a path in a message.
const SHOWN_CHARS_MAX: usize = 256;

impl Asset {
    /// Where its playlists lie: its library and the folder. `None` where it has none.
    pub fn place(&self) -> Option<String> {
        let prefix = self.facts.prefix.as_ref()?;
        Some(format!("{}/{prefix}", self.library))
    }

    /// Its place and those around it, as far as a token for `below` reaches: what was registered at one of
    /// them had the playlists that are this asset's now.
    pub fn places(&self, below: &str) -> Vec<String> {
        let (Ok(below), Some(prefix)) = (Prefix::new(below), &self.facts.prefix) else {
            return Vec::new();
        };
        let inside = format!("{prefix}/{}", self.facts.entry);
        let around = folders(&below, &inside);
        around
            .map(|folder| format!("{}/{folder}", self.library))
            .collect()
    }
}

impl Vod {
    /// The asset that the playlist at `path` below a token's `prefix` belongs to: of those at or below
    /// the prefix the nearest around it. One that is not registered is registered now, in the first
    /// library that has the playlist.
    ///
    /// # Errors
    /// The path is no playlist's, or no library has it.
    pub async fn asset_of_token(&self, prefix: &str, path: &str) -> Result<Arc<Asset>, Error> {
        let prefix = Prefix::new(prefix).map_err(Error::Path)?;
        let key = prefix.at_path(path).map_err(Error::Path)?;
        if !is_playlist(&key) {
            return Err(Error::NotAPlaylistPath);
        }
        let folders: Vec<_> = folders(&prefix, &key).take(FOLDERS_MAX).collect();
        let libraries = self.libraries();
        // The playlist's own folder may have no other first playlist than itself.
        let mut locations: Vec<_> = folders.iter().map(|f| format!("{f}/{ENTRY}")).collect();
        locations.insert(locations.len().min(1), key.clone());
        for location in &locations {
            for library in &libraries {
                if let Some(asset) = self.asset_at(library.id(), location).await? {
                    return Ok(asset);
                }
            }
        }
        let mut last = no_playlist(path);
        for library in &libraries {
            match library.head(&key).await {
                Ok(_) => return self.register(library, &folders, &key).await,
                Err(error @ Error::Missing { .. }) => {
                    tracing::debug!(%error, "not in this library");
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The playlist at `path` below a token's prefix, `below`, for who holds it: playlists carry it on, media
    /// lies below `media_root` (as `/vod/{asset}/{grant}/` without its first slash, relative to the
    /// root).
    ///
    /// # Errors
    /// The path is no playlist's, nothing is there, or the store is unwell.
    pub async fn playlist_with_token(
        &self,
        asset: &Asset,
        below: &str,
        path: &str,
        token: &str,
        media_root: &str,
    ) -> Result<Arc<Rendered>, Error> {
        let library = self.library(&asset.library)?;
        let Plays::Hls { prefix, entry } = asset.plays() else {
            return Err(Error::NotReady(asset.id.to_string()));
        };
        let prefix = Prefix::new(prefix).map_err(Error::Path)?;
        let below = Prefix::new(below).map_err(Error::Path)?;
        let key = below.at_path(path).map_err(Error::Path)?;
        if !is_playlist(&key) {
            return Err(Error::NotAPlaylistPath);
        }
        if !prefix.holds(&key) {
            return Err(no_playlist(path));
        }
        let entry = format!("{}/{entry}", prefix.as_str());
        let place = Place {
            library: &library,
            prefix: &prefix,
            key: &key,
            entry: &entry,
        };
        // From /stream/hls/{path} up to the root: two folders and those of the path.
        let up = "../".repeat(2 + path.matches('/').count());
        let media_base = format!("{up}{media_root}");
        let flavour = Flavour {
            token: Some(token),
            media_base: Some(&media_base),
            presign: None,
        };
        let rendered = self.rendered(place, flavour).await;
        rendered.map_err(|error| match error {
            Error::Missing { .. } => no_playlist(path),
            error => error,
        })
    }

    /// As the nearest folder around `key` that has a first playlist; where none has, as its own.
    async fn register(
        &self,
        library: &Library,
        folders: &[&str],
        key: &str,
    ) -> Result<Arc<Asset>, Error> {
        let mut first = key.to_owned();
        for folder in folders {
            let entry = format!("{folder}/{ENTRY}");
            match library.head(&entry).await {
                Ok(_) => {
                    first = entry;
                    break;
                }
                Err(Error::Missing { .. }) => {}
                // It may well be there: what is registered without it would be another asset for good.
                Err(error) => return Err(error),
            }
        }
        let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
        let new = NewAsset {
            library: library.id().to_owned(),
            kind: Kind::Video,
            name: file_name(folder).to_owned(),
            processed_key: Some(first),
            prefix: None,
            raw_key: None,
            download_name: None,
            slug: None,
        };
        match self.add(new).await {
            Err(Error::Taken { id, .. }) => self.asset(&id).await,
            added => added,
        }
    }
}

/// The folders around `key` up to `prefix`, the nearest first.
fn folders<'a>(prefix: &Prefix, key: &'a str) -> impl Iterator<Item = &'a str> {
    let around = std::iter::successors(key.rsplit_once('/'), |(folder, _)| folder.rsplit_once('/'));
    around
        .map(|(folder, _)| folder)
        .take_while(|folder| prefix.as_str() == *folder || prefix.holds(folder))
}

fn no_playlist(path: &str) -> Error {
    Error::NoPlaylist(path.chars().take(SHOWN_CHARS_MAX).collect())
}
