//! Mounts as files for Plex, Jellyfin, Sonarr and Radarr: text files with a URL, or links to where
//! `/webdav/` is mounted. Written once a mount can be played, beside playing; what is announced stays
//! mounted whatever its age.
//!
//! Whoever took the files away (Sonarr does, into its own folders) is not given them again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::fs;
use tokio::sync::broadcast::error::RecvError;
use usenet::{FileInfo, Mount, MountId, Role, Status};

use super::address;
use super::settings::{Announce, LibrarySettings};
use super::webdav::IDS;
use crate::error::Problem;
use crate::state::App;

/// How often what could not be announced is tried again.
const ROUND: Duration = Duration::from_secs(10);
/// However many mounts there are.
const RECHECK_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Why a mount is not announced.
#[derive(Debug, thiserror::Error)]
enum NotAnnounced {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Grant(String),
    #[error(transparent)]
    Keep(#[from] usenet::Error),
}

impl LibrarySettings {
    /// Where a mount's files are written; `None` where none are.
    pub(super) fn folder(&self, status: &Status) -> Option<PathBuf> {
        let dir = self.dir.as_ref().filter(|_| self.mode != Announce::None)?;
        Some(dir.join(&status.category).join(&status.name))
    }

    /// Where a mount shows for programs of this machine: its folder, or where `/webdav/` is mounted.
    pub(super) fn place(&self, status: &Status) -> Option<PathBuf> {
        let mounted = || {
            let content = self.mount_dir.as_ref()?.join("content");
            Some(content.join(&status.category).join(&status.name))
        };
        self.folder(status).or_else(mounted)
    }

    /// What stands for a file: its name in the folder, and what a link leads to.
    fn entry(&self, mount: MountId, info: &FileInfo) -> Option<(PathBuf, Option<PathBuf>)> {
        let path = Path::new(&info.path);
        match self.mode {
            Announce::Strm if info.role == Role::Media => Some((path.with_extension("strm"), None)),
            Announce::Symlink if matches!(info.role, Role::Media | Role::Subtitle) => {
                // By number, so that the link outlives another name.
                let root = self.mount_dir.as_ref()?.join(IDS);
                Some((
                    path.to_owned(),
                    Some(root.join(mount.to_string()).join(path)),
                ))
            }
            _ => None,
        }
    }
}

impl App {
    /// Announces what can be played, from now on and from before, and tries again what could not be
    /// announced; never ends.
    pub async fn follow_mounts(&self) {
        if self.usenet.settings.library.mode == Announce::None {
            return;
        }
        let mut events = self.usenet.engine.events();
        let mut rounds = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) if event.code == "streamable" => {
                        if let Some(mount) = self.usenet.engine.mount(event.mount)
                            && self.is_unannounced(&mount)
                        {
                            self.announce(&mount).await;
                        }
                    }
                    // What was missed the next round finds.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                _ = rounds.tick() => self.announce_all().await,
            }
        }
    }

    /// Asks after each mount's articles, one mount at a time, so that a round takes as long as the operator
    /// says; never ends.
    pub async fn recheck_mounts(&self) {
        let Some(round) = self.usenet.settings.library.recheck else {
            return;
        };
        let mut last = MountId(0);
        loop {
            let mounts = self.usenet.engine.mounts();
            let share = u32::try_from(mounts.len().max(1)).unwrap_or(u32::MAX);
            tokio::time::sleep((round / share).max(RECHECK_PAUSE_MIN)).await;
            let later = mounts.iter().find(|mount| mount.id() > last);
            let Some(mount) = later.or(mounts.first()) else {
                continue;
            };
            last = mount.id();
            if let Err(failure) = self.usenet.engine.recheck(last).await {
                let name = &mount.status().name;
                tracing::warn!(mount = %last, name, code = %failure.code, %failure, "recheck");
            }
        }
    }

    async fn announce_all(&self) {
        let mounts = self.usenet.engine.mounts();
        for mount in mounts.iter().filter(|mount| self.is_unannounced(mount)) {
            self.announce(mount).await;
        }
    }

    /// Whether the files of a mount are still to be written.
    pub(super) fn is_unannounced(&self, mount: &Mount) -> bool {
        !mount.status().is_kept || self.usenet.is_owed(mount.id())
    }

    /// Writes the files that stand for a mount, also those that were taken away. What fails is tried again
    /// later.
    pub(super) async fn announce(&self, mount: &Arc<Mount>) {
        let _turn = self.usenet.library_turn.lock().await;
        self.announce_in_turn(mount).await;
    }

    async fn announce_in_turn(&self, mount: &Arc<Mount>) {
        let status = mount.status();
        let folder = self.usenet.settings.library.folder(&status);
        let is_there = self.usenet.engine.mount(mount.id()).is_some();
        let Some(folder) = folder.filter(|_| is_there) else {
            return;
        };
        if !status.state.is_playable() {
            // Announced before, it would else not be once it plays.
            self.usenet.set_owed(mount.id(), status.is_kept);
            return;
        }
        match self.write(mount, &status, &folder).await {
            Ok(()) => {
                self.usenet.set_owed(mount.id(), false);
                tracing::info!(mount = %mount.id(), folder = %folder.display(), "mount announced");
            }
            Err(error) if self.usenet.set_owed(mount.id(), true) => {
                tracing::warn!(mount = %mount.id(), %error, "a mount could not be announced");
            }
            Err(error) => {
                tracing::debug!(mount = %mount.id(), %error, "a mount can still not be announced");
            }
        }
    }

    /// Gives a mount another category and name; its files move with it.
    pub(super) async fn rename(
        &self,
        mount: &Arc<Mount>,
        category: &str,
        name: &str,
    ) -> Result<(), usenet::Error> {
        let _turn = self.usenet.library_turn.lock().await;
        let before = mount.status();
        if (&*before.category, &*before.name) == (category, name) {
            return Ok(());
        }
        let engine = &self.usenet.engine;
        engine.rename(mount.id(), category, name).await?;
        if before.is_kept {
            self.announce_in_turn(mount).await;
            self.remove_files(mount.id(), &before).await;
        }
        Ok(())
    }

    async fn write(
        &self,
        mount: &Arc<Mount>,
        status: &Status,
        folder: &Path,
    ) -> Result<(), NotAnnounced> {
        let library = &self.usenet.settings.library;
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| NotAnnounced::File { path, error }
        };
        for info in status.files.iter().filter(|info| info.failure.is_none()) {
            let Some((name, target)) = library.entry(mount.id(), info) else {
                continue;
            };
            let path = folder.join(name);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).await.map_err(at(parent))?;
            let written = match target {
                Some(target) => link(&target, &path).await,
                None => {
                    let url = address::url(self, &library.base_url, mount.id(), &info.path, false);
                    let url = url.map_err(|problem: Problem| {
                        NotAnnounced::Grant(problem.detail().to_owned())
                    })?;
                    replace(&path, format!("{url}\n").as_bytes()).await
                }
            };
            written.map_err(at(&path))?;
        }
        self.usenet.engine.keep(mount.id(), true).await?;
        Ok(())
    }

    /// Forgets a mount and the files that stand for it.
    pub(crate) async fn forget(&self, mount: &Arc<Mount>) -> Result<(), usenet::Error> {
        let _turn = self.usenet.library_turn.lock().await;
        self.usenet.engine.delete(mount.id()).await?;
        self.usenet.set_owed(mount.id(), false);
        self.remove_files(mount.id(), &mount.status()).await;
        Ok(())
    }

    /// Removes the files that stand for a mount.
    pub(super) async fn unannounce(&self, mount: &Arc<Mount>) {
        let _turn = self.usenet.library_turn.lock().await;
        self.usenet.set_owed(mount.id(), false);
        self.remove_files(mount.id(), &mount.status()).await;
    }

    /// As far as they are still there.
    async fn remove_files(&self, mount: MountId, status: &Status) {
        let library = &self.usenet.settings.library;
        let Some(folder) = library.folder(status).filter(|_| status.is_kept) else {
            return;
        };
        let names = status.files.iter();
        let names = names.filter_map(|info| Some(library.entry(mount, info)?.0));
        for name in names {
            // Somebody else may have moved it; empty folders go, others stay.
            if fs::remove_file(folder.join(&name)).await.is_ok() {
                let folders = name.ancestors().skip(1).map(|above| folder.join(above));
                for above in folders {
                    let _ = fs::remove_dir(above).await;
                }
            }
        }
    }
}

async fn link(target: &Path, path: &Path) -> io::Result<()> {
    match fs::symlink(target, path).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path).await?;
            fs::symlink(target, path).await
        }
        linked => linked,
    }
}

/// Whole or not at all: a media server may look at any moment.
async fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("strm.part");
    fs::write(&part, bytes).await?;
    fs::rename(&part, path).await
}
