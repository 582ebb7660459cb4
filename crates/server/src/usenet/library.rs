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
    /// Announces what can be played, from now on and from before; never ends.
    pub async fn follow_mounts(&self) {
        if self.usenet.settings.library.mode == Announce::None {
            return;
        }
        let mut events = self.usenet.engine.events();
        self.announce_all().await;
        loop {
            match events.recv().await {
                Ok(event) if event.code == "streamable" => {
                    if let Some(mount) = self.usenet.engine.mount(event.mount) {
                        self.announce(&mount).await;
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.announce_all().await,
                Err(RecvError::Closed) => return,
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
        for mount in self.usenet.engine.mounts() {
            self.announce(&mount).await;
        }
    }

    /// Announces a mount that was not yet.
    async fn announce(&self, mount: &Arc<Mount>) {
        let status = mount.status();
        if status.state.is_playable() && !status.is_kept {
            self.announce_again(mount).await;
        }
    }

    /// Announces a mount, also one whose files were taken away.
    pub(super) async fn announce_again(&self, mount: &Arc<Mount>) {
        let status = mount.status();
        let Some(folder) = self.usenet.settings.library.folder(&status) else {
            return;
        };
        match self.write(mount, &status, &folder).await {
            Ok(()) => {
                tracing::info!(mount = %mount.id(), folder = %folder.display(), "mount announced");
            }
            Err(error) => {
                tracing::warn!(mount = %mount.id(), %error, "a mount could not be announced");
            }
        }
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
        self.unannounce(mount).await;
        self.usenet.engine.delete(mount.id()).await?;
        Ok(())
    }

    /// Removes the files that stand for a mount, as far as they are still there.
    pub(super) async fn unannounce(&self, mount: &Arc<Mount>) {
        let status = mount.status();
        let library = &self.usenet.settings.library;
        let Some(folder) = library.folder(&status).filter(|_| status.is_kept) else {
            return;
        };
        let names = status.files.iter();
        let names = names.filter_map(|info| Some(library.entry(mount.id(), info)?.0));
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
