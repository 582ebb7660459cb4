use proptest::prelude::*;

use super::super::build::{AUDIO, Mux};
use super::super::verify;
use super::*;

const SECOND: u64 = 90_000;

/// `frames` pictures a quarter of a second apart, every `gop`-th a key picture, with audio between
/// them; tables in front and, if `repeated`, before each key picture.
fn segment(first_pts: u64, frames: u64, gop: u64, repeated: bool) -> (Vec<u8>, Duration) {
    let mut mux = Mux::new();
    for frame in 0..frames {
        let pts = first_pts + frame * SECOND / 4;
        let key = frame % gop == 0;
        if frame == 0 || (key && repeated) {
            mux.tables();
        }
        mux.video(pts, key, 700);
        mux.audio(pts, 150);
    }
    (mux.bytes, Duration::from_millis(frames * 250))
}

fn seconds(pieces: &[Piece]) -> Vec<f64> {
    pieces
        .iter()
        .map(|piece| piece.duration.as_secs_f64())
        .collect()
}

fn begins_with_tables(bytes: &[u8]) -> bool {
    let mut packets = Packets::new(bytes).map(|(_, packet)| packet.pid());
    packets.next() == Some(Pid::PAT) && packets.next() == Some(super::super::build::MAP)
}

/// The durations of the pieces, or the error as text.
#[track_caller]
fn check(frames: u64, gop: u64, target_s: u64, expected: Result<&[f64], &str>) {
    for repeated in [true, false] {
        for first_pts in [0, (1 << 33) - 2 * SECOND] {
            let (body, duration) = segment(first_pts, frames, gop, repeated);
            let got = cut(&body, duration, Duration::from_secs(target_s));
            let got = got
                .as_ref()
                .map(|pieces| seconds(pieces))
                .map_err(ToString::to_string);
            let expected = expected.map(<[_]>::to_vec).map_err(str::to_owned);
            assert_eq!(got, expected, "repeated {repeated} from {first_pts}");
        }
    }
}

#[test]
fn takes_as_few_pieces_as_the_target_allows() {
    check(16, 4, 4, Ok(&[4.0]));
    check(40, 4, 6, Ok(&[6.0, 4.0]));
    check(40, 6, 4, Ok(&[3.0, 3.0, 4.0]));
    // 4.25 s are 4 s once rounded.
    check(34, 17, 4, Ok(&[4.25, 4.25]));
    check(9, 4, 1, Ok(&[1.0, 1.25]));
}

#[test]
fn refuses_what_no_access_point_divides() {
    check(
        40,
        20,
        4,
        Err("no access point for 5s after 0ns, target duration 4s"),
    );
    check(
        30,
        10,
        2,
        Err("no access point for 2.5s after 0ns, target duration 2s"),
    );
}

#[test]
fn names_what_is_missing() {
    let long = Duration::from_secs(10);
    let target = Duration::from_secs(6);
    assert_eq!(cut(b"", long, target), Err(CannotCut::NoProgram));
    let mut mux = Mux::new();
    mux.tables();
    assert_eq!(cut(&mux.bytes, long, target), Err(CannotCut::NoTimestamps));
    let (body, _) = segment(0, 80, 4, true);
    let error = cut(&body, long, target).unwrap_err().to_string();
    assert_eq!(
        error,
        "access point 11000 ms after the first timestamp, segment lasts 10s"
    );
}

#[test]
fn an_integer_duration_may_fall_short_of_the_timestamps() {
    let (body, _) = segment(0, 39, 2, true);
    let pieces = cut(&body, Duration::from_secs(9), Duration::from_secs(6)).unwrap();
    assert_eq!(seconds(&pieces), [6.0, 3.0]);
}

#[test]
fn a_segment_that_starts_inside_a_group_of_pictures_is_timed_from_its_first_picture() {
    let mut mux = Mux::new();
    mux.tables();
    for frame in 0..32 {
        mux.video(frame * SECOND / 4, frame % 8 == 4, 300);
    }
    let pieces = cut(&mux.bytes, Duration::from_secs(8), Duration::from_secs(3)).unwrap();
    assert_eq!(seconds(&pieces), [3.0, 2.0, 3.0]);
}

#[test]
fn tables_before_a_cut_are_used_and_not_copied() {
    let (body, duration) = segment(0, 24, 8, true);
    let pieces = cut(&body, duration, Duration::from_secs(2)).unwrap();
    let joined: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece.bytes.clone())
        .collect();
    assert_eq!(joined, body);
    assert!(pieces.iter().all(|piece| begins_with_tables(&piece.bytes)));
}

#[test]
fn null_packets_do_not_part_tables_from_their_picture() {
    let mut mux = Mux::new();
    let mut seam = 0;
    mux.null();
    for pts in [0, 2 * SECOND] {
        seam = mux.bytes.len();
        mux.tables();
        mux.null();
        mux.video(pts, true, 300);
    }
    let pieces = cut(&mux.bytes, Duration::from_secs(4), Duration::from_secs(2)).unwrap();
    assert_eq!(pieces[0].bytes, mux.bytes[..seam]);
    assert_eq!(pieces[1].bytes, mux.bytes[seam..]);
}

#[test]
fn copied_tables_are_the_newest_and_count_as_sent_twice() {
    let mut mux = Mux::new();
    mux.tables();
    mux.video(0, true, 300);
    mux.tables();
    mux.audio(0, 100);
    mux.video(2 * SECOND, true, 300);
    mux.tables();
    let body = mux.bytes;
    let pieces = cut(&body, Duration::from_secs(4), Duration::from_secs(2)).unwrap();
    let copies = &pieces[1].bytes[..2 * PACKET_LEN];
    assert_eq!(copies[3] & 0x0f, 1, "the second PAT's counter");
    let joined: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece.bytes.clone())
        .collect();
    assert_eq!(verify(&joined).continuity_errors, 0);
    assert_eq!(joined.len(), body.len() + copies.len());
}

#[test]
fn tables_that_come_late_are_put_in_front() {
    let mut mux = Mux::new();
    mux.video(0, true, 300);
    mux.tables();
    mux.video(2 * SECOND, true, 300);
    let pieces = cut(&mux.bytes, Duration::from_secs(4), Duration::from_secs(2)).unwrap();
    assert!(pieces.iter().all(|piece| begins_with_tables(&piece.bytes)));
}

#[test]
fn audio_alone_is_cut_between_its_packets() {
    let mut mux = Mux::new();
    mux.tables_of(&[(0x0f, AUDIO)]);
    for frame in 0..20 {
        mux.audio(frame * SECOND / 2, 400);
    }
    let pieces = cut(&mux.bytes, Duration::from_secs(10), Duration::from_secs(4)).unwrap();
    assert_eq!(seconds(&pieces), [4.0, 4.0, 2.0]);
}

proptest! {
    #[test]
    fn pieces_hold_everything_once_and_never_pass_the_target(
        first_pts: u64,
        frames in 4u64..80,
        gop in 1u64..30,
        target in 1u64..8,
        repeated: bool,
    ) {
        let (body, duration) = segment(first_pts % (1 << 33), frames, gop, repeated);
        let target = Duration::from_secs(target);
        let Ok(pieces) = cut(&body, duration, target) else {
            // It may fail only if some group of pictures is too long in itself.
            prop_assert!(!fits(Duration::from_millis(250 * gop.min(frames)), target));
            return Ok(());
        };
        let mut joined = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            prop_assert!(fits(piece.duration, target));
            prop_assert!(begins_with_tables(&piece.bytes));
            let copied = if index > 0 && !repeated { 2 * PACKET_LEN } else { 0 };
            joined.extend_from_slice(&piece.bytes[copied..]);
            prop_assert_eq!(verify(&piece.bytes).continuity_errors, 0);
        }
        prop_assert_eq!(joined, body);
        prop_assert_eq!(pieces.iter().map(|piece| piece.duration).sum::<Duration>(), duration);
    }

    #[test]
    fn any_bytes_are_cut_or_refused(
        at in 0usize..4000,
        noise in prop::collection::vec(any::<u8>(), 1..40),
        duration_ms in 0u64..20_000,
    ) {
        let (mut body, _) = segment(0, 16, 4, false);
        let end = (at + noise.len()).min(body.len());
        body.splice(at..end, noise);
        let duration = Duration::from_millis(duration_ms);
        if let Ok(pieces) = cut(&body, duration, Duration::from_secs(1)) {
            prop_assert_eq!(pieces.iter().map(|piece| piece.duration).sum::<Duration>(), duration);
        }
    }
}
