//! Real peers as child processes: ffmpeg as a live encoder, nginx as the origin that serves what it
//! writes, INN as a provider of articles. Each is killed by its own id, and its folder removed, when its handle is dropped.
//!
//! ```no_run
//! # async fn example() -> Result<(), testkit::Error> {
//! use testkit::gear::{Format, Live};
//!
//! let live = Live::start(testkit::Clip::A, Format::Ts { segment_s: 2 }).await?;
//! println!("{}", live.url());
//! # Ok(())
//! # }
//! ```

mod ffmpeg;
mod ffprobe;
pub mod inn;
mod listen;
mod nginx;
mod process;
mod stream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

pub use ffmpeg::{Ffmpeg, Format};
pub use ffprobe::ffprobe;
pub use inn::Inn;
pub use listen::{ffmpeg_listens, vlc_listens};
pub use nginx::{Nginx, Request};
pub use stream::{Connections, Encoding, StreamFault, StreamServer};

use crate::wait::wait_until;
use crate::{Clip, Error};

/// A live origin of real gear: ffmpeg writes into a folder that nginx serves.
#[derive(Debug)]
pub struct Live {
    ffmpeg: Option<Ffmpeg>,
    nginx: Option<Nginx>,
    url: Url,
    clip: Clip,
    format: Format,
    folder: TempDir,
}

/// A segment of 6 s, and time to encode.
const FIRST_PLAYLIST: Duration = Duration::from_secs(20);
/// Four of them.
const WINDOW: Duration = Duration::from_secs(40);

impl Live {
    /// Starts both and waits until there is a playlist, which takes a segment's duration.
    ///
    /// # Errors
    /// [`Error::Missing`] names the Debian package of a program that is not installed;
    /// [`Error::Exited`] has the last lines of one that would not run.
    pub async fn start(clip: Clip, format: Format) -> Result<Self, Error> {
        let folder = TempDir::new().map_err(Error::io("making a folder"))?;
        let served = folder.path().join("www");
        std::fs::create_dir(&served).map_err(Error::io("making a folder"))?;
        let nginx = Nginx::start(&served).await?;
        let url = nginx.url("index.m3u8");
        let mut live = Self {
            ffmpeg: None,
            nginx: Some(nginx),
            url,
            clip,
            format,
            folder,
        };
        live.encode().await?;
        Ok(live)
    }

    /// Starts both and waits until there is a window of segments: an origin that has been on the air for
    /// a while, so that a player can stand back three target durations from the first moment.
    ///
    /// # Errors
    /// As [`Live::start`].
    pub async fn on_air(clip: Clip, format: Format) -> Result<Self, Error> {
        let live = Self::start(clip, format).await?;
        let playlists = live.playlists();
        wait_until(WINDOW, "a window of segments", async || {
            let is_long = |path: &PathBuf| {
                std::fs::read_to_string(path).is_ok_and(|text| {
                    // A multivariant playlist lists none.
                    text.contains("#EXT-X-STREAM-INF") || text.matches("#EXTINF").count() >= 4
                })
            };
            playlists.iter().all(is_long).then_some(())
        })
        .await?;
        Ok(live)
    }

    /// The playlist.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The folder that is served.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the encoder: the playlist stands still.
    pub fn kill_ffmpeg(&mut self) {
        self.ffmpeg = None;
    }

    /// Kills the encoder and starts another, which numbers from 0 and encodes `clip`.
    ///
    /// # Errors
    /// As [`Live::start`].
    pub async fn restart_ffmpeg(&mut self, clip: Clip) -> Result<(), Error> {
        self.ffmpeg = None;
        self.clip = clip;
        let playlist = self.folder.path().join("www/index.m3u8");
        std::fs::remove_file(&playlist).map_err(Error::io("removing the old playlist"))?;
        self.encode().await
    }

    /// Kills the server: connections are refused.
    pub fn kill_nginx(&mut self) {
        self.nginx = None;
    }

    /// The server, until it was killed.
    pub const fn nginx(&self) -> Option<&Nginx> {
        self.nginx.as_ref()
    }

    /// What nginx was asked so far; nothing after it was killed.
    ///
    /// # Errors
    /// [`Error::Io`] when its log cannot be read.
    pub fn requests(&self) -> Result<Vec<Request>, Error> {
        self.nginx
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), Nginx::requests)
    }

    fn playlists(&self) -> Vec<PathBuf> {
        let served = self.folder.path().join("www");
        let written = self.format.playlists().iter();
        written.map(|path| served.join(path)).collect()
    }

    async fn encode(&mut self) -> Result<(), Error> {
        let served = self.folder.path().join("www");
        let playlists = self.playlists();
        let ffmpeg = self
            .ffmpeg
            .insert(Ffmpeg::start(self.clip, self.format, self.folder.path(), &served).await?);
        let waited = wait_until(FIRST_PLAYLIST, "ffmpeg's first playlist", async || {
            let exists = playlists.iter().all(|playlist| playlist.exists());
            (exists || ffmpeg.process.exited().is_some()).then_some(exists)
        });
        match waited.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ffmpeg.process.failure()),
            Err(late) => Err(late),
        }
    }
}

#[cfg(test)]
mod tests;
