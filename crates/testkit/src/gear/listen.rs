//! ffmpeg and VLC as players of a continuous transport stream, and what they complain of.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::process::Process;
use crate::Error;
use crate::wait::wait_until;

/// Beyond the media's length: a player's start, and a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// VLC does not run as root.
const NOBODY: u32 = 65534;
/// Words of VLC's log about a stream that is not as it should be.
const COMPLAINTS: [&str; 6] = [
    "discontinuity",
    "libdvbpsi error",
    "lost",
    "error while decoding",
    "non-existing",
    "timestamp conversion failed",
];

/// Lets ffmpeg decode and copy so much of the stream at `url`. Returns what it warned of.
///
/// # Errors
/// [`Error::Missing`] without ffmpeg; [`Error::Exited`] when it failed; [`Error::Deadline`] when the media
/// did not come in time.
pub async fn ffmpeg_listens(url: &Url, length: Duration) -> Result<String, Error> {
    let folder = TempDir::new().map_err(Error::io("making a folder"))?;
    let log = folder.path().join("log");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "warning", "-nostdin", "-y"]);
    command.args(["-t", &length.as_secs().to_string(), "-i", url.as_str()]);
    command.args(["-map", "0", "-c", "copy", "-f", "mpegts", "/dev/null"]);
    command.args(["-map", "0", "-f", "null", "-"]);
    let process = Process::spawn(&mut command, "ffmpeg", "ffmpeg", &log)?;
    let ended = wait_until(length + PATIENCE, "ffmpeg's end", async || process.exited()).await?;
    if !ended.success() {
        return Err(process.failure());
    }
    std::fs::read_to_string(&log).map_err(Error::io("reading ffmpeg's log"))
}

/// Lets VLC play so much of the stream at `url` into a file. Returns the lines of its log that complain,
/// and how many seconds of media it wrote.
///
/// # Errors
/// [`Error::Missing`] without VLC; [`Error::Exited`] when it failed; [`Error::Deadline`] when it did not end.
pub async fn vlc_listens(url: &Url, length: Duration) -> Result<(Vec<String>, f64), Error> {
    let folder = TempDir::new().map_err(Error::io("making a folder"))?;
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).map_err(Error::io("opening a folder"))?;
    let (log, played) = (folder.path().join("log"), folder.path().join("played.ts"));
    let mut command = Command::new("cvlc");
    command.args(["-vv", "--no-color", "--network-caching=3000", "--run-time"]);
    command.args([length.as_secs().to_string(), "--sout".to_owned()]);
    command.arg(format!(
        "#std{{access=file,mux=ts,dst={}}}",
        played.display()
    ));
    command
        .args([url.as_str(), "vlc://quit"])
        .env("HOME", folder.path());
    let own = std::fs::metadata("/proc/self").map_err(Error::io("asking who we are"))?;
    if own.uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let process = Process::spawn(&mut command, "cvlc", "vlc-bin vlc-plugin-base", &log)?;
    let ended = wait_until(length + PATIENCE, "VLC's end", async || process.exited()).await?;
    if !ended.success() {
        return Err(process.failure());
    }
    let log = std::fs::read(&log).map_err(Error::io("reading VLC's log"))?;
    let log = String::from_utf8_lossy(&log);
    let complains = |line: &&str| COMPLAINTS.iter().any(|word| line.contains(word));
    let complaints = log.lines().filter(complains).map(str::to_owned).collect();
    let body = std::fs::read(&played).map_err(Error::io("reading what VLC wrote"))?;
    let length = hls::ts::duration(&body).unwrap_or_default();
    Ok((complaints, length.as_secs_f64()))
}
