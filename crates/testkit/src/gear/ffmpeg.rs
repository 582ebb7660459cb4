//! ffmpeg as a live encoder. Media is encoded once at most; live it is only copied, at the speed of the
//! wall clock, so that a channel costs next to no CPU and every segment has timestamps of its own.

use std::path::Path;
use std::process::Command;

use super::process::Process;
use crate::wait::wait_until;
use crate::{Clip, Error};

/// What ffmpeg makes of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Transport-stream segments of this many seconds (a multiple of 2).
    Ts {
        /// Seconds.
        segment_s: u32,
    },
    /// Two-second transport-stream segments with PIDs from 0x200 on and a clock that comes to its end and
    /// begins again after 40 s.
    Moved,
    /// Two-second segments with AES-128, whose IVs are the media sequence numbers. ffmpeg writes them down all the
    /// same; [`super::Nginx`] renames the attribute to `X-IV`, which no player knows.
    Aes128,
    /// Three video variants and an audio rendition in fMP4, two-second segments.
    Fmp4,
    /// Transport stream with pictures and sound in playlists of their own, two-second segments.
    Apart,
    /// Transport stream in one growing file, told apart by `EXT-X-BYTERANGE`.
    ByteRange,
    /// Sound alone, as ADTS without a container, two-second segments.
    PackedAac,
    /// Transport-stream segments of two seconds with picture and sound, and WebVTT beside them.
    Subtitles,
}

impl Format {
    /// The playlists that ffmpeg writes, relative to the folder served.
    pub(super) const fn playlists(self) -> &'static [&'static str] {
        match self {
            Self::Fmp4 => &[
                "index.m3u8",
                "360p/index.m3u8",
                "240p/index.m3u8",
                "144p/index.m3u8",
                "sound/index.m3u8",
            ],
            Self::Apart => &["index.m3u8", "pictures/index.m3u8", "sound/index.m3u8"],
            Self::Subtitles => &["index.m3u8", "main.m3u8", "main_vtt.m3u8"],
            _ => &["index.m3u8"],
        }
    }
}

/// A running encoder.
#[derive(Debug)]
pub struct Ffmpeg {
    pub(super) process: Process,
}

/// Removed segments that ffmpeg keeps: more than RFC 8216 §6.2.2 asks for a window of six.
const KEPT: &str = "9";
/// An encoder that outlives its test by accident ends after an hour.
pub(super) const SECONDS_MAX: &str = "3600";

impl Ffmpeg {
    /// Plays `clip` round and round into the folder `served`, as `index.m3u8`; files that are not to be served
    /// go to `work`.
    ///
    /// # Errors
    /// [`Error::Missing`] without ffmpeg; [`Error::Exited`] when it cannot prepare the source.
    pub async fn start(
        clip: Clip,
        format: Format,
        work: &Path,
        served: &Path,
    ) -> Result<Self, Error> {
        let source = prepare(clip, format, work).await?;
        let mut command = ffmpeg();
        command
            .args(["-re", "-stream_loop", "-1", "-i"])
            .arg(source);
        if format == Format::PackedAac {
            packed(&mut command, served);
        } else {
            command.args(["-map", "0", "-c", "copy", "-t", SECONDS_MAX]);
            command.args(["-f", "hls", "-hls_list_size", "6"]);
            command.args(["-hls_delete_threshold", KEPT]);
            output(&mut command, format, work, served)?;
        }
        let process = Process::spawn(&mut command, "ffmpeg", "ffmpeg", &work.join("ffmpeg.log"))?;
        Ok(Self { process })
    }
}

/// The arguments in which the formats differ.
fn output(command: &mut Command, format: Format, work: &Path, served: &Path) -> Result<(), Error> {
    let (mut segment_s, mut playlist, mut segments) = (2, "index.m3u8", "%06d.ts");
    let mut flags = "program_date_time+independent_segments".to_owned();
    if format == Format::ByteRange {
        flags += "+single_file";
        segments = "index.ts";
    } else {
        flags += "+temp_file+delete_segments";
    }
    match format {
        Format::Ts { segment_s: asked } => segment_s = asked,
        Format::Aes128 => {
            let key = served.join("live.key");
            std::fs::write(&key, b"perennial test 2").map_err(Error::io("writing the key"))?;
            let info = work.join("key.info");
            let lines = format!("live.key\n{}\n", key.display());
            std::fs::write(&info, lines).map_err(Error::io("writing the key's place"))?;
            command.arg("-hls_key_info_file").arg(info);
            // Without it ffmpeg gives all segments the first one's IV.
            flags += "+periodic_rekey";
        }
        Format::Fmp4 => {
            command.args(["-hls_segment_type", "fmp4", "-var_stream_map", LADDER]);
            command.args(["-master_pl_name", "index.m3u8"]);
            (playlist, segments) = ("%v/index.m3u8", "%v/%06d.m4s");
        }
        Format::Apart => {
            command.args(["-var_stream_map", APART, "-master_pl_name", "index.m3u8"]);
            (playlist, segments) = ("%v/index.m3u8", "%v/%06d.ts");
        }
        Format::Subtitles => {
            // The subtitles' files take the name of the playlist.
            command.args(["-c:s", "webvtt", "-var_stream_map", SUBTITLED]);
            command.args(["-master_pl_name", "index.m3u8"]);
            (playlist, segments) = ("%v.m3u8", "%v-%06d.ts");
        }
        Format::Moved => {
            let pids = "mpegts_pmt_start_pid=0x1020:mpegts_start_pid=0x200";
            command.args(["-hls_segment_options", pids]);
            command.args(["-output_ts_offset", MOVED_S]);
        }
        Format::ByteRange | Format::PackedAac => {}
    }
    command.args(["-hls_time", &segment_s.to_string(), "-hls_flags", &flags]);
    command
        .arg("-hls_segment_filename")
        .arg(served.join(segments));
    command.arg(served.join(playlist));
    Ok(())
}

/// ffmpeg's HLS muxer knows no packed audio.
fn packed(command: &mut Command, served: &Path) {
    command.args(["-map", "0:a", "-c", "copy", "-t", SECONDS_MAX]);
    command.args(["-f", "segment", "-segment_format", "adts"]);
    command.args(["-segment_time", "2", "-segment_list_type", "m3u8"]);
    command.args(["-segment_list_size", "6", "-segment_list_flags", "+live"]);
    command.arg("-segment_list").arg(served.join("index.m3u8"));
    command.arg(served.join("%06d.aac"));
}

const SUBTITLED: &str = "v:0,a:0,s:0,sgroup:subtitles,language:en,name:main";

/// 2^33 ticks of 90 kHz are 95,443.7 s.
const MOVED_S: &str = "95402";

const APART: &str = "v:0,agroup:sound,name:pictures a:0,agroup:sound,name:sound,default:yes";
const LADDER: &str = "v:0,agroup:sound,name:360p v:1,agroup:sound,name:240p v:2,agroup:sound,name:144p \
                      a:0,agroup:sound,name:sound,language:en,default:yes";

/// The clip as an MP4 file, which ffmpeg loops more exactly than a transport stream, whose durations it guesses.
pub(super) async fn prepare(
    clip: Clip,
    format: Format,
    work: &Path,
) -> Result<std::path::PathBuf, Error> {
    let (input, output) = (work.join("clip.ts"), work.join("clip.mp4"));
    std::fs::write(&input, clip.file()).map_err(Error::io("writing the clip"))?;
    let mut command = ffmpeg();
    command.arg("-i").arg(input);
    if format == Format::Subtitles {
        let lines = work.join("lines.srt");
        std::fs::write(&lines, subtitles()).map_err(Error::io("writing the subtitles"))?;
        command.arg("-i").arg(lines);
        command.args(["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "copy"]);
        command.args(["-c:s", "mov_text"]);
    } else if format == Format::Fmp4 {
        let scaled = "[0:v]split=3[v0][b][c];[b]scale=426:240[v1];[c]scale=256:144[v2]";
        command.args([
            "-filter_complex",
            scaled,
            "-map",
            "[v0]",
            "-map",
            "[v1]",
            "-map",
            "[v2]",
            "-map",
            "0:a",
        ]);
        command.args(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy"]);
        command.args([
            "-x264-params",
            "keyint=50:min-keyint=50:scenecut=0:open-gop=0",
        ]);
        command.args(["-b:v:0", "500k", "-b:v:1", "250k", "-b:v:2", "120k"]);
    } else {
        command.args(["-c", "copy"]);
    }
    command.args(["-bsf:a", "aac_adtstoasc"]).arg(&output);
    let process = Process::spawn(&mut command, "ffmpeg", "ffmpeg", &work.join("prepare.log"))?;
    let status = wait_until(super::FIRST_PLAYLIST, "ffmpeg's end", async || {
        process.exited()
    })
    .await?;
    if status.success() {
        Ok(output)
    } else {
        Err(process.failure())
    }
}

/// A line a second for as long as the clips last, as SubRip has it.
fn subtitles() -> String {
    let line = |second: u32| {
        format!("{second}\n00:00:{second:02},000 --> 00:00:{second:02},900\nsecond {second}\n\n")
    };
    (0..24).map(line).collect()
}

pub(super) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "warning", "-nostdin", "-y"]);
    command
}
