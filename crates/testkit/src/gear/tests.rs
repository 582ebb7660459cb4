use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::checker::Promises;
use crate::player::Mode;
use crate::{Player, Report, Watch};

async fn play(clip: Clip, format: Format, segments: usize) -> (Live, Report) {
    let live = Live::start(clip, format).await.unwrap();
    let watch = Watch {
        promises: Promises::NONE,
        check_removed: false,
        ..Watch::new(live.url().clone())
    };
    let player = Player::start(Watch {
        mode: Mode::Greedy,
        ..watch
    });
    let fact = |report: &Report| report.segments.len() >= segments;
    player
        .until(Duration::from_secs(30), "segments", fact)
        .await
        .unwrap();
    (live, player.stop())
}

fn is_ts(live: &Live, report: &Report) {
    // nginx has logged exactly what the player asked.
    let logged = live.requests().unwrap();
    let segments = logged
        .iter()
        .filter(|request| request.uri.ends_with(".ts"))
        .count();
    assert!(segments >= report.segments.len(), "{logged:?}");
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_and_nginx_make_every_format() {
    let (ts, moved, slow, aes, fmp4, range) = tokio::join!(
        play(Clip::A, Format::Ts { segment_s: 2 }, 3),
        play(Clip::A, Format::Moved, 3),
        play(Clip::B, Format::Ts { segment_s: 6 }, 1),
        play(Clip::A, Format::Aes128, 3),
        play(Clip::B, Format::Fmp4, 2),
        play(Clip::A, Format::ByteRange, 2),
    );
    for (live, report) in [&ts, &moved, &slow, &aes, &range] {
        is_ts(live, report);
    }
    assert!(
        slow.1
            .segments
            .iter()
            .all(|segment| segment.duration == Duration::from_secs(6)),
        "{}",
        slow.1
    );
    assert!(fmp4.1.is_clean() && fmp4.1.maps.len() == 1, "{}", fmp4.1);
    // The same packets clear and decrypted: ffmpeg is the judge of our implicit IVs.
    let lengths = |report: &Report| {
        report
            .segments
            .iter()
            .map(|segment| segment.bytes)
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(&ts.1)[..3], lengths(&aes.1)[..3]);
    assert_eq!(ts.1.hashes()[..3], aes.1.hashes()[..3]);
}

#[tokio::test]
async fn a_killed_encoder_leaves_the_playlist_and_the_next_one_numbers_from_zero() {
    let mut live = Live::start(Clip::A, Format::Ts { segment_s: 2 })
        .await
        .unwrap();
    live.restart_ffmpeg(Clip::A).await.unwrap();
    live.kill_ffmpeg();
    let client = crate::http::Client::new(Duration::from_secs(5));
    let playlist = client.get(live.url()).await.unwrap();
    assert!(String::from_utf8_lossy(&playlist.body).contains("#EXT-X-MEDIA-SEQUENCE:0\n"));
    live.kill_nginx();
    assert!(client.get(live.url()).await.is_err());
}

#[test]
fn a_missing_program_names_its_package() {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new("no-such-encoder");
    let error = process::Process::spawn(
        &mut command,
        "no-such-encoder",
        "encoder",
        &folder.path().join("log"),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "no-such-encoder is not installed; on Debian: apt-get install encoder"
    );
}

/// Timestamps of one stream's packets, in ticks of 90 kHz.
fn dts(file: &Path, stream: &str) -> Vec<i64> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args([
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=dts",
        "-of",
        "csv=p=0",
    ]);
    let output = ffprobe.arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect()
}

#[test]
fn a_clip_plays_round_and_round_without_a_seam() {
    let folder = TempDir::new().unwrap();
    for clip in [Clip::A, Clip::B] {
        let file = folder.path().join("rounds.ts");
        std::fs::write(&file, clip.stream(5, 30)).unwrap();
        // 25 pictures a second, and 1024 samples of 48 kHz to an audio frame.
        for (stream, step, least) in [("v", 3600, 1500), ("a", 1920, 2800)] {
            let dts = dts(&file, stream);
            assert!(dts.len() >= least, "{} packets", dts.len());
            assert!(
                dts.windows(2).all(|pair| pair[1] - pair[0] == step),
                "{clip:?} {stream}"
            );
        }
        let mut ffmpeg = Command::new("ffmpeg");
        let output = ffmpeg
            .args(["-v", "warning", "-nostdin", "-i"])
            .arg(&file)
            .args(["-f", "null", "-"])
            .output()
            .unwrap();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
