use proptest::prelude::*;

use super::super::build::{AUDIO, MAP, Mux, VIDEO};
use super::super::{Packets, verify};
use super::*;

const SECOND: u64 = Ticks::PER_SECOND;

fn segmenter(target_s: u64, longest_s: u64) -> Segmenter {
    let seconds = Duration::from_secs;
    Segmenter::new(seconds(target_s), seconds(longest_s), 1 << 20)
}

/// All segments of a stream that ends.
fn cut(segmenter: &mut Segmenter, bytes: &[u8]) -> Vec<Segment> {
    let mut segments = segmenter.push(bytes).unwrap();
    segments.extend(segmenter.finish());
    segments
}

/// `frames` pictures a quarter of a second apart, every `gop`-th a key picture, with sound.
fn play(mux: &mut Mux, first_pts: u64, frames: u64, gop: u64) {
    for frame in 0..frames {
        let pts = first_pts + frame * SECOND / 4;
        if frame % gop == 0 {
            mux.tables();
        }
        mux.video(pts, frame % gop == 0, 600);
        mux.audio(pts, 100);
    }
}

fn stream(first_pts: u64, frames: u64, gop: u64) -> Vec<u8> {
    let mut mux = Mux::new();
    play(&mut mux, first_pts, frames, gop);
    mux.bytes
}

/// (seconds, discontinuity, independent)
fn shapes(segments: &[Segment]) -> Vec<(f64, bool, bool)> {
    segments
        .iter()
        .map(|segment| {
            let seconds = segment.duration.as_secs_f64();
            (seconds, segment.discontinuity, segment.independent)
        })
        .collect()
}

/// What is in the segments but for tables.
fn media(segments: &[Segment]) -> Vec<u8> {
    segments
        .iter()
        .flat_map(|segment| media_of(&segment.bytes))
        .collect()
}

fn media_of(body: &[u8]) -> Vec<u8> {
    Packets::new(body)
        .filter(|(_, packet)| ![Pid::PAT, MAP, Pid::NULL].contains(&packet.pid()))
        .flat_map(|(_, packet)| packet.bytes())
        .copied()
        .collect()
}

#[track_caller]
fn assert_playable(segments: &[Segment]) {
    let mut joined = Vec::new();
    for segment in segments {
        let mut pids = Packets::new(&segment.bytes).map(|(_, packet)| packet.pid());
        assert_eq!((pids.next(), pids.next()), (Some(Pid::PAT), Some(MAP)));
        let report = verify(&segment.bytes);
        assert_eq!((report.continuity_errors, report.lost_bytes), (0, 0));
        if segment.discontinuity {
            joined.clear();
        }
        joined.extend_from_slice(&segment.bytes);
        assert_eq!(verify(&joined).continuity_errors, 0);
    }
}

#[track_caller]
fn check(target_s: u64, longest_s: u64, stream: &[u8], expected: &[(f64, bool, bool)]) {
    let segments = cut(&mut segmenter(target_s, longest_s), stream);
    assert_eq!(shapes(&segments), expected);
    assert_eq!(media(&segments), media_of(stream));
    assert_playable(&segments);
}

const KEY: bool = true;
const JOINT: bool = true;

#[test]
fn segments_start_at_access_points() {
    check(
        2,
        6,
        &stream(0, 20, 4),
        &[(2., false, KEY), (2., false, KEY), (1., false, KEY)],
    );
    check(
        2,
        6,
        &stream(900, 24, 12),
        &[(3., false, KEY), (3., false, KEY)],
    );
    // The wrap is no jump.
    check(
        3,
        6,
        &stream((1 << 33) - SECOND, 24, 4),
        &[(3., false, KEY), (3., false, KEY)],
    );
}

#[test]
fn unmarked_key_pictures_are_found() {
    let mut mux = Mux::new();
    mux.marks = false;
    play(&mut mux, 0, 16, 8);
    check(2, 6, &mux.bytes, &[(2., false, KEY), (2., false, KEY)]);
}

#[test]
fn no_segment_passes_the_target_duration() {
    // Once rounded, 2.25 s are 2 s.
    let expected = [
        (2.25, false, KEY),
        (2.25, false, false),
        (0.5, false, false),
        (2.25, false, KEY),
        (0.75, false, false),
    ];
    check(2, 2, &stream(0, 32, 20), &expected);
}

#[test]
fn the_last_access_point_in_reach_is_taken() {
    let mut mux = Mux::new();
    mux.tables();
    for frame in 0..40 {
        mux.video(frame * SECOND / 4, [0, 6, 30].contains(&frame), 300);
    }
    let expected = [(1.5, false, KEY), (6., false, KEY), (2.5, false, KEY)];
    check(4, 6, &mux.bytes, &expected);
}

#[test]
fn what_comes_before_the_first_access_point_is_dropped() {
    let mut mux = Mux::new();
    mux.video(0, false, 300);
    mux.tables();
    mux.video(SECOND, false, 300);
    mux.audio(SECOND, 100);
    let start = mux.bytes.len();
    play(&mut mux, 2 * SECOND, 8, 4);
    let segments = cut(&mut segmenter(1, 6), &mux.bytes);
    assert_eq!(shapes(&segments), [(1., false, KEY), (1., false, KEY)]);
    assert_eq!(media(&segments), media_of(&mux.bytes[start..]));
}

#[test]
fn a_stream_without_access_points_is_cut_between_pictures() {
    let mut mux = Mux::new();
    mux.tables();
    for frame in 0..40 {
        mux.video(frame * SECOND / 4, false, 300);
    }
    check(
        2,
        4,
        &mux.bytes,
        &[
            (4.25, false, false),
            (4.25, false, false),
            (1.5, false, false),
        ],
    );
}

#[test]
fn the_radio_is_cut_between_its_packets() {
    let mut mux = Mux::new();
    mux.tables_of(&[(0x0f, AUDIO)]);
    for frame in 0..20 {
        mux.audio(frame * SECOND / 2, 400);
    }
    check(
        4,
        6,
        &mux.bytes,
        &[(4., false, KEY), (4., false, KEY), (2., false, KEY)],
    );
}

#[test]
fn a_jump_of_the_timestamps_is_a_discontinuity() {
    for later in [0, 4 * SECOND, 60 * SECOND, 1 << 32] {
        let mut mux = Mux::new();
        play(&mut mux, 10 * SECOND, 6, 4);
        play(&mut mux, later, 4, 4);
        check(4, 6, &mux.bytes, &[(1.5, false, KEY), (1., JOINT, KEY)]);
    }
}

#[test]
fn an_announced_jump_is_a_discontinuity() {
    let mut mux = Mux::new();
    play(&mut mux, 0, 4, 4);
    mux.tables();
    let marked = mux.bytes.len();
    for frame in 4..8 {
        mux.video(frame * SECOND / 4, frame == 4, 300);
    }
    mux.bytes[marked + 5] |= 0x80;
    check(4, 6, &mux.bytes, &[(1., false, KEY), (1., JOINT, KEY)]);
}

#[test]
fn a_change_of_the_program_is_a_discontinuity() {
    let mut mux = Mux::new();
    play(&mut mux, 0, 6, 4);
    mux.tables_of(&[(0x1b, VIDEO), (0x81, AUDIO)]);
    for frame in 6..10 {
        mux.video(frame * SECOND / 4, frame == 6, 300);
    }
    check(4, 6, &mux.bytes, &[(1.5, false, KEY), (1., JOINT, KEY)]);
}

#[test]
fn a_new_connection_starts_with_a_discontinuity() {
    let mut segmenter = segmenter(1, 6);
    assert_eq!(segmenter.finish(), None);
    let first = cut(&mut segmenter, &stream(0, 8, 4));
    assert_eq!(shapes(&first), [(1., JOINT, KEY), (1., false, KEY)]);
    let second = cut(&mut segmenter, &stream(0, 8, 4));
    assert_eq!(shapes(&second), [(1., JOINT, KEY), (1., false, KEY)]);
}

#[track_caller]
fn check_error(bytes: &[u8], expected: &str) {
    let mut segmenter = segmenter(2, 6);
    let error = (0..20_000).find_map(|_| segmenter.push(bytes).err());
    assert_eq!(error.unwrap().to_string(), expected);
    assert!(segmenter.part.bytes.len() <= (1 << 20) + 3 * PACKET_LEN);
}

#[test]
fn a_stream_that_cannot_be_cut_is_named() {
    check_error(&[b'<'; 4096], "no transport packets in 1052296 bytes");
    let mut mux = Mux::new();
    mux.video(0, true, 900);
    check_error(&mux.bytes, "no program map table in 1048664 bytes");
    let mut data = Mux::new();
    data.tables_of(&[(0x06, VIDEO)]);
    check_error(&data.bytes, "program 1 has neither video nor audio");

    let mut scrambled = Mux::new();
    scrambled.tables();
    let tables = scrambled.bytes.len();
    scrambled.video(0, true, 900);
    for packet in scrambled.bytes[tables..].chunks_mut(PACKET_LEN) {
        packet[3] |= 0x80;
    }
    check_error(&scrambled.bytes, "the stream is scrambled");

    // The timestamps stand still.
    let mut still = Mux::new();
    play(&mut still, 0, 1, 1);
    check_error(&still.bytes, "no place to cut in 1048664 bytes");

    let mut timeless = Mux::new();
    timeless.tables();
    for _ in 0..9 {
        timeless.null();
        timeless.audio(0, 300);
    }
    check_error(&timeless.bytes, "no timestamps in 1048664 bytes");
}

#[test]
fn segments_before_a_fault_are_given_first() {
    let mut mux = Mux::new();
    play(&mut mux, 0, 12, 4);
    mux.tables_of(&[(0x06, VIDEO)]);
    let mut segmenter = segmenter(1, 6);
    assert_eq!(segmenter.push(&mux.bytes).unwrap().len(), 2);
    let none = CannotSegment::NoStreams(1);
    assert_eq!(segmenter.push(&[]), Err(none.clone()));
    assert_eq!(segmenter.push(&stream(0, 4, 4)), Err(none));
    assert_eq!(shapes(segmenter.finish().as_slice()), [(1., false, KEY)]);
    assert_eq!(cut(&mut segmenter, &stream(0, 4, 4)).len(), 1);
}

#[test]
fn many_bytes_are_cut_before_they_are_too_many() {
    let mut segmenter = Segmenter::new(Duration::from_secs(4), Duration::from_secs(6), 20_000);
    let segments = cut(&mut segmenter, &stream(0, 64, 8));
    assert!(
        segments
            .iter()
            .all(|segment| segment.bytes.len() <= 20_000 + PACKET_LEN)
    );
    assert_eq!(media(&segments), media_of(&stream(0, 64, 8)));
}

#[test]
fn the_demo_clip_is_cut_at_its_key_pictures() {
    let clip = include_bytes!("../../../../../media/a.ts");
    let segments = cut(&mut segmenter(2, 2), clip);
    assert_eq!(shapes(&segments), [(2., false, KEY); 12]);
}

proptest! {
    #[test]
    fn everything_comes_out_once_however_it_comes_in(
        first_pts: u64,
        frames in 4u64..60,
        gop in 1u64..30,
        target in 1u64..5,
        sizes in prop::collection::vec(1usize..3000, 1..50),
        junk in prop::collection::vec(0u8..0x47, 0..300),
    ) {
        let stream = stream(first_pts % (1 << 33), frames, gop);
        let bytes = [&junk, &stream[..]].concat();
        let mut segmenter = segmenter(target, target + 1);
        let mut segments = Vec::new();
        let mut rest = &bytes[..];
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            segments.extend(segmenter.push(piece).unwrap());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        segments.extend(segmenter.finish());
        prop_assert_eq!(media(&segments), media_of(&stream));
        assert_playable(&segments);
        let total: Duration = segments.iter().map(|segment| segment.duration).sum();
        // The last picture's time is left out where the segment would get too long with it.
        let whole = Duration::from_millis(250 * frames);
        prop_assert!(total == whole || total + Duration::from_millis(250) == whole);
        let longest = Duration::from_secs(target + 1);
        prop_assert!(segments.iter().all(|segment| super::super::cut::fits(segment.duration, longest)));
        prop_assert!(segments[0].independent && segments.iter().all(|segment| !segment.discontinuity));
    }

    #[test]
    fn any_bytes_are_cut_or_refused(
        noise in prop::collection::vec((0usize..30_000, prop::collection::vec(any::<u8>(), 1..400)), 0..6),
        size in 1usize..5000,
    ) {
        let mut bytes = stream(0, 40, 6);
        for (at, noise) in noise {
            let at = at.min(bytes.len());
            let end = (at + noise.len()).min(bytes.len());
            bytes.splice(at..end, noise);
        }
        let mut segmenter = segmenter(2, 3);
        for piece in bytes.chunks(size) {
            let Ok(segments) = segmenter.push(piece) else { return Ok(()) };
            for segment in segments {
                prop_assert!(segment.duration < Duration::from_secs(4));
            }
        }
    }
}
