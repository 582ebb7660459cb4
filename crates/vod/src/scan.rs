//! Scanning a library: every `master.m3u8` and every plain media file below a prefix becomes an asset,
//! once. Progress can be read while it runs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::asset::{Asset, ENTRY, Kind, NewAsset};
use crate::confine::{check_key, file_name};
use crate::error::Error;
use crate::library::{Library, Listed};
use crate::vod::Vod;

/// How a scan does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanStatus {
    /// Still at it.
    pub running: bool,
    /// Below what.
    pub prefix: String,
    /// Objects looked at.
    pub seen: u64,
    /// Assets registered.
    pub added: u64,
    /// Assets that were there before.
    pub known: u64,
    /// Assets registered that cannot be played as they are.
    pub unplayable: u64,
    /// Assets whose files are there no more.
    pub gone: u64,
    /// Why it stopped early.
    pub error: Option<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

/// The last scan of each library.
#[derive(Debug, Default)]
pub(crate) struct Scans(Mutex<HashMap<String, ScanStatus>>);

/// What one scan finds; a library with more is scanned by prefixes.
const FOUND_MAX: usize = 100_000;
const PAGES_MAX: usize = 10_000;

impl Scans {
    /// The last scan of a library.
    pub(crate) fn of(&self, library: &str) -> Option<ScanStatus> {
        self.lock().get(library).cloned()
    }

    fn begin(&self, library: &str, status: ScanStatus) -> Result<(), Error> {
        let mut all = self.lock();
        if all.get(library).is_some_and(|status| status.running) {
            return Err(Error::Scanning(library.to_owned()));
        }
        all.insert(library.to_owned(), status);
        Ok(())
    }

    fn note(&self, library: &str, change: impl FnOnce(&mut ScanStatus)) {
        if let Some(status) = self.lock().get_mut(library) {
            change(status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ScanStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vod {
    /// Begins to scan a library below `prefix`; an empty one is all of it.
    ///
    /// # Errors
    /// There is no such library, the prefix is none, or it is being scanned already.
    pub fn start_scan(&self, library: &str, prefix: &str) -> Result<ScanStatus, Error> {
        let library = self.library(library)?;
        if !prefix.is_empty() {
            check_key(prefix.trim_end_matches('/')).map_err(Error::Path)?;
        }
        let status = ScanStatus {
            running: true,
            prefix: prefix.to_owned(),
            started_ms: self.now_ms(),
            ..ScanStatus::default()
        };
        self.scans().begin(library.id(), status.clone())?;
        let (vod, prefix) = (self.clone(), prefix.to_owned());
        task::spawn("scan of a library", tracing::Span::current(), async move {
            let outcome = vod.scan(&library, &prefix).await;
            if let Err(error) = &outcome {
                tracing::warn!(%error, "a scan ended early");
            }
            let now_ms = vod.now_ms();
            vod.scans().note(library.id(), |status| {
                status.running = false;
                status.finished_ms = Some(now_ms);
                status.error = outcome.err().map(|error| error.told());
            });
        });
        Ok(status)
    }

    /// How the last scan of a library does, if there was one since the start.
    ///
    /// # Errors
    /// There is no such library.
    pub fn scan_status(&self, library: &str) -> Result<Option<ScanStatus>, Error> {
        let library = self.library(library)?;
        Ok(self.scans().of(library.id()))
    }

    async fn scan(&self, library: &Arc<Library>, prefix: &str) -> Result<(), Error> {
        let (mut found, mut after) = (Found::default(), None);
        for _ in 0..PAGES_MAX {
            let (page, next) = library.list(prefix, after).await?;
            found.take(&page)?;
            self.scans()
                .note(library.id(), |status| status.seen += page.len() as u64);
            after = next;
            if after.is_none() {
                break;
            }
        }
        let complete = after.is_none();
        let mut there = HashSet::new();
        for new in found.assets(library.id()) {
            there.extend(new.processed_key.clone());
            let mut added = self.add(new).await;
            if let Err(Error::Taken { id, .. }) = &added
                && let Err(error) = self.look_at_failed(id).await
            {
                added = Err(error);
            }
            self.scans().note(library.id(), |status| match &added {
                Ok(asset) => {
                    status.added += 1;
                    let probe = asset.facts.probe.as_ref();
                    status.unplayable += u64::from(probe.is_some_and(|p| p.error.is_some()));
                }
                Err(Error::Taken { .. }) => status.known += 1,
                Err(_) => status.unplayable += 1,
            });
            if let Err(error @ Error::Store(_)) = added {
                return Err(error);
            }
        }
        if complete {
            self.look_for_gone(library, prefix, &there).await?;
        }
        Ok(())
    }

    /// What could not be played before may have come since.
    async fn look_at_failed(&self, id: &str) -> Result<(), Error> {
        let asset = self.asset(id).await?;
        if asset
            .facts
            .probe
            .as_ref()
            .is_some_and(|probe| probe.error.is_some())
        {
            self.look_again(&asset).await?;
        }
        Ok(())
    }

    /// Looks at what is registered below `prefix` and was not found `there`.
    async fn look_for_gone(
        &self,
        library: &Library,
        prefix: &str,
        there: &HashSet<String>,
    ) -> Result<(), Error> {
        let is_missed = |asset: &Asset| {
            let location = asset.location();
            asset.library == library.id()
                && asset.is_ready()
                && location.starts_with(prefix)
                && !there.contains(&location)
        };
        let mut cursor = None;
        loop {
            let page = self.assets("", cursor.as_deref()).await?;
            for asset in page.assets.iter().filter(|asset| is_missed(asset)) {
                let looked = self.look_again(asset).await;
                if looked.is_ok_and(|asset| !asset.is_ready()) {
                    self.scans().note(library.id(), |status| status.gone += 1);
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// What a list holds that may become an asset.
#[derive(Debug, Default)]
struct Found {
    /// Folders that hold a first playlist.
    folders: BTreeSet<String>,
    files: Vec<(String, Kind)>,
}

impl Found {
    fn take(&mut self, page: &[Listed]) -> Result<(), Error> {
        for object in page {
            if self.folders.len() + self.files.len() >= FOUND_MAX {
                return Err(Error::Invalid {
                    what: "the library",
                    reason: "has more than 100000 assets here: scan it by prefixes",
                });
            }
            if check_key(&object.key).is_err() {
                continue;
            }
            match object.key.rsplit_once('/') {
                Some((folder, ENTRY)) => {
                    self.folders.insert(folder.to_owned());
                }
                _ => {
                    let kind = kind_of(&object.key);
                    self.files
                        .extend(kind.map(|kind| (object.key.clone(), kind)));
                }
            }
        }
        Ok(())
    }

    /// Files below a folder that has a first playlist are parts of that one.
    fn assets(self, library: &str) -> impl Iterator<Item = NewAsset> {
        let Self { folders, files } = self;
        let new = |kind, key: String, name: &str, raw_key| NewAsset {
            library: library.to_owned(),
            kind,
            processed_key: Some(key),
            prefix: None,
            raw_key,
            name: name.to_owned(),
            download_name: None,
            slug: None,
        };
        let is_part = |key: &str| {
            let mut folder = key;
            while let Some((parent, _)) = folder.rsplit_once('/') {
                if folders.contains(parent) {
                    return true;
                }
                folder = parent;
            }
            false
        };
        let nested: Vec<_> = folders.iter().filter(|folder| !is_part(folder)).collect();
        let videos = nested.into_iter().map(|folder| {
            new(
                Kind::Video,
                format!("{folder}/{ENTRY}"),
                file_name(folder),
                None,
            )
        });
        let files = files
            .iter()
            .filter(|(key, _)| !is_part(key))
            .map(|(key, kind)| {
                let name = file_name(key);
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                new(*kind, key.clone(), stem, Some(key.clone()))
            });
        videos.chain(files).collect::<Vec<_>>().into_iter()
    }
}

/// What a plain media file is, by its name. Transport streams and fragments are parts, not assets.
pub(crate) fn kind_of(key: &str) -> Option<Kind> {
    let (_, ending) = file_name(key).rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "mp4" | "m4v" | "mov" | "mkv" | "webm" => Kind::Video,
        "mp3" | "m4a" | "flac" | "wav" | "ogg" | "opus" => Kind::Audio,
        "jpg" | "jpeg" | "png" | "webp" | "avif" | "gif" => Kind::Image,
        _ => return None,
    })
}
