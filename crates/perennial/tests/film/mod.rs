//! Films on demand in HLS, as ffmpeg writes them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Command;

use testkit::Clip;

/// What ffmpeg makes of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Film {
    /// Transport stream, one variant.
    Single,
    /// Transport stream, two variants in folders of their own.
    Ladder,
    /// fMP4 with a rendition of sound and one of subtitles.
    Fmp4,
    /// Segments encrypted with AES-128.
    Aes128,
    /// One file, told apart by byte ranges.
    ByteRange,
}

/// Writes a film of 24 seconds to `folder`, its first playlist as `master.m3u8`.
pub(crate) async fn make(film: Film, folder: &Path) {
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let clip = work.path().join("clip.ts");
    std::fs::write(&clip, Clip::A.file()).unwrap();
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i"])
        .arg(&clip);
    command.args([
        "-f",
        "hls",
        "-hls_playlist_type",
        "vod",
        "-hls_time",
        "4",
        "-hls_list_size",
        "0",
    ]);
    let at = |name: &str| folder.join(name);
    match film {
        Film::Single => {
            command
                .args(["-c", "copy", "-hls_segment_filename"])
                .arg(at("seg %03d+.ts"));
            command.arg(at("index.m3u8"));
        }
        Film::Aes128 => {
            std::fs::write(at("film.key"), b"perennial film 1").unwrap();
            let info = work.path().join("key.info");
            std::fs::write(&info, format!("film.key\n{}\n", at("film.key").display())).unwrap();
            command.arg("-hls_key_info_file").arg(info);
            command
                .args(["-c", "copy", "-hls_segment_filename"])
                .arg(at("%03d.ts"));
            command.arg(at("index.m3u8"));
        }
        Film::ByteRange => {
            command
                .args([
                    "-c",
                    "copy",
                    "-hls_flags",
                    "single_file",
                    "-hls_segment_filename",
                ])
                .arg(at("all.ts"));
            command.arg(at("index.m3u8"));
        }
        Film::Ladder => {
            command.args([
                "-map", "0:v", "-map", "0:a", "-map", "0:v", "-map", "0:a", "-c", "copy",
            ]);
            command.args([
                "-var_stream_map",
                "v:0,a:0,name:high v:1,a:1,name:low",
                "-master_pl_name",
                "master.m3u8",
            ]);
            command
                .arg("-hls_segment_filename")
                .arg(at("%v/seg %03d.ts"))
                .arg(at("%v/index.m3u8"));
        }
        Film::Fmp4 => {
            command.args([
                "-map",
                "0:v",
                "-map",
                "0:a",
                "-c",
                "copy",
                "-bsf:a",
                "aac_adtstoasc",
            ]);
            command.args([
                "-hls_segment_type",
                "fmp4",
                "-master_pl_name",
                "master.m3u8",
            ]);
            command.args([
                "-var_stream_map",
                "v:0,agroup:sound,name:picture a:0,agroup:sound,name:sound,default:yes",
            ]);
            command
                .arg("-hls_segment_filename")
                .arg(at("%v/%03d.m4s"))
                .arg(at("%v/index.m3u8"));
        }
    }
    let output = command
        .output()
        .expect("ffmpeg is installed: scripts/install.sh test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    match film {
        Film::Single | Film::Aes128 | Film::ByteRange => {
            let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=400000\nindex.m3u8\n";
            std::fs::write(at("master.m3u8"), master).unwrap();
        }
        Film::Fmp4 => subtitles(folder),
        Film::Ladder => {}
    }
}

/// A rendition of subtitles beside what ffmpeg wrote.
fn subtitles(folder: &Path) {
    std::fs::create_dir(folder.join("text")).unwrap();
    let vtt =
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:01.000 --> 00:20.000\nGrüezi\n";
    std::fs::write(folder.join("text/de.vtt"), vtt).unwrap();
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:24\n#EXTINF:24,\nde.vtt\n#EXT-X-ENDLIST\n";
    std::fs::write(folder.join("text/index.m3u8"), media).unwrap();
    let master = std::fs::read_to_string(folder.join("master.m3u8")).unwrap();
    let tag = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"text\",NAME=\"Deutsch\",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE=\"de\",URI=\"text/index.m3u8\"";
    let master = master.replacen(
        "#EXT-X-STREAM-INF:",
        &format!("{tag}\n#EXT-X-STREAM-INF:SUBTITLES=\"text\","),
        1,
    );
    std::fs::write(folder.join("master.m3u8"), master).unwrap();
}
