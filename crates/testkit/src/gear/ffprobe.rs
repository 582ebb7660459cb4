//! ffprobe as a player that says what it found.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::process::Process;
use crate::Error;
use crate::wait::wait_until;

/// It reads five seconds of media, which takes so long when they are not there yet.
const PATIENCE: Duration = Duration::from_secs(60);

/// The codecs of the streams at `url`, in their order: `["h264", "aac"]`.
///
/// # Errors
/// [`Error::Missing`] without ffprobe; [`Error::Exited`] when it found nothing to play or complained;
/// [`Error::Deadline`] when it did not end within a minute.
pub async fn ffprobe(url: &Url) -> Result<Vec<String>, Error> {
    let folder = TempDir::new().map_err(Error::io("making a folder"))?;
    let (log, found) = (folder.path().join("log"), folder.path().join("found"));
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "stream=codec_name"]);
    command.args(["-of", "flat", "-o"]).arg(&found);
    command.arg(url.as_str());
    let process = Process::spawn(&mut command, "ffprobe", "ffmpeg", &log)?;
    let status = wait_until(PATIENCE, "ffprobe's end", async || process.exited()).await?;
    let complaints = std::fs::read(&log).map_err(Error::io("reading ffprobe's log"))?;
    if !status.success() || !complaints.is_empty() {
        return Err(process.failure());
    }
    let found = std::fs::read_to_string(&found).map_err(Error::io("reading ffprobe's answer"))?;
    // The same streams stand below `programs.` once more.
    let codecs = found
        .lines()
        .filter(|line| line.starts_with("streams.stream."));
    Ok(codecs
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect())
}
