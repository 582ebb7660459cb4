use proptest::prelude::*;

use super::super::build::{AUDIO, MAP, Mux, VIDEO};
use super::super::clocks::{Clocks, assert_continuous};
use super::super::{Segmenter, StreamKind, verify};
use super::*;
use Joint::{Continuous, Discontinuity};

const SECOND: u64 = Ticks::PER_SECOND;
const OUT_VIDEO: Pid = Pid::new(0x100);
const OUT_AUDIO: Pid = Pid::new(0x101);

/// Half a second: 25 pictures a second from `first_pts` on, the first a key picture, and sound that
/// is `audio_lag` ticks later than they are.
fn segment(mux: &mut Mux, first_pts: u64, audio_lag: u64) -> Vec<u8> {
    mux.bytes.clear();
    mux.tables();
    for frame in 0..12 {
        let pts = first_pts + frame * 3600;
        mux.video(pts, frame == 0, 500);
        mux.audio(pts + audio_lag, 200);
    }
    mux.bytes.clone()
}

const HALF: Duration = Duration::from_millis(480);
const HALF_TICKS: u64 = 12 * 3600;

/// The segment with other PIDs.
fn moved(body: &[u8], pids: [(Pid, u16); 3]) -> Vec<u8> {
    let mut tables = Mux::new();
    let [map, video, audio] = pids.map(|(_, to)| Pid::new(to));
    tables.tables_at(map, &[(0x1b, video), (0x0f, audio)]);
    let mut body = body.to_vec();
    body[..2 * PACKET_LEN].copy_from_slice(&tables.bytes);
    for packet in body[2 * PACKET_LEN..].as_chunks_mut::<PACKET_LEN>().0 {
        let pid = super::super::Packet::new(packet).pid();
        let (_, to) = pids.into_iter().find(|(from, _)| *from == pid).unwrap();
        let [high, low] = to.to_be_bytes();
        packet[1] = packet[1] & 0xe0 | high;
        packet[2] = low;
    }
    body
}

/// The streams of the last program.
fn streams(body: &[u8]) -> Vec<(u16, StreamKind)> {
    let program = verify(body).program.unwrap();
    assert_eq!((program.number, program.map_pid), (1, MAP_PID));
    let streams = program.streams.iter();
    streams
        .map(|stream| (stream.pid.get(), stream.kind))
        .collect()
}

fn map_version(body: &[u8]) -> u8 {
    let map = Packets::new(body).find(|(_, packet)| packet.pid() == MAP_PID);
    map.unwrap().1.payload().unwrap()[1 + 5] >> 1 & 0x1f
}

#[test]
fn sources_with_other_pids_and_clocks_become_one_stream() {
    let mut splicer = Splicer::new();
    let mut out = Vec::new();
    let (mut a, mut b) = (Mux::new(), Mux::new());
    for round in 0..20 {
        let at = round * 2 * HALF_TICKS;
        for half in [0, HALF_TICKS] {
            let body = segment(&mut a, at + half, 0);
            let joint = if half == 0 { Discontinuity } else { Continuous };
            out.extend(splicer.push(&body, joint, HALF));
        }
        let body = segment(&mut b, (1 << 33) - 90 * SECOND + at, 900);
        let body = moved(&body, [(MAP, 0x50), (VIDEO, 0x101), (AUDIO, 0x100)]);
        out.extend(splicer.push(&body, Discontinuity, HALF));
    }
    let clocks = assert_continuous(&out, 3600 + 900);
    assert_eq!(clocks.units[&OUT_VIDEO].len(), 60 * 12);
    assert_eq!(clocks.units[&OUT_AUDIO].len(), 60 * 12);
    assert_eq!(clocks.units[&OUT_VIDEO][0].dts, ORIGIN);
}

#[test]
fn the_clock_wraps_without_a_step() {
    let mut splicer = Splicer::new();
    let mut mux = Mux::new();
    let mut out = Vec::new();
    let first = (1 << 33) - 2 * HALF_TICKS;
    splicer.end = Some(Ticks::new(first));
    for half in 0..4 {
        let body = segment(&mut mux, half * HALF_TICKS, 0);
        let joint = if half == 2 { Discontinuity } else { Continuous };
        out.extend(splicer.push(&body, joint, HALF));
    }
    let clocks = assert_continuous(&out, 3600);
    assert_eq!(clocks.units[&OUT_VIDEO][24].dts, Ticks::new(0));
}

#[test]
fn sound_and_picture_keep_their_distance() {
    let mut splicer = Splicer::new();
    let mut mux = Mux::new();
    for (index, lag) in [0, 40_000, 20, 9000].into_iter().enumerate() {
        let body = segment(&mut mux, index as u64 * 77 * SECOND, lag);
        let out = splicer.push(&body, Discontinuity, HALF);
        assert_eq!(Clocks::of(&out).distance(OUT_AUDIO, OUT_VIDEO), lag as i64);
    }
}

#[test]
fn a_segment_lies_where_the_one_before_ended_by_its_duration() {
    /// The ticks from the first picture of a segment of 0.48 s to that of the next.
    #[track_caller]
    fn check(joint: Joint, duration_ms: u64, next_pts: u64, expected: u64) {
        let mut splicer = Splicer::new();
        let mut mux = Mux::new();
        let body = segment(&mut mux, 0, 0);
        let out = splicer.push(&body, Discontinuity, Duration::from_millis(duration_ms));
        let first = Clocks::of(&out).units[&OUT_VIDEO][0].dts;
        let out = splicer.push(&segment(&mut mux, next_pts, 0), joint, HALF);
        let second = Clocks::of(&out).units[&OUT_VIDEO][0].dts;
        assert_eq!(second - first, Ticks::new(expected));
    }
    check(Discontinuity, 480, 77, HALF_TICKS);
    check(Discontinuity, 900, 77, HALF_TICKS);
    check(Discontinuity, 0, 77, HALF_TICKS);
    check(Discontinuity, 2000, 77, 2 * SECOND);
    check(Continuous, 480, HALF_TICKS, HALF_TICKS);
    // A segment of the same source is missing: its time passes.
    check(Continuous, 480, 3 * SECOND, 3 * SECOND);
    // Nobody marked a jump.
    check(Continuous, 480, 30 * SECOND, HALF_TICKS);
    check(Continuous, 480, (1 << 33) - 30 * SECOND, HALF_TICKS);
}

#[test]
fn what_a_source_repeats_is_left_out() {
    let mut splicer = Splicer::new();
    let mut mux = Mux::new();
    let mut out = splicer.push(&segment(&mut mux, 0, 0), Discontinuity, HALF);
    out.extend(splicer.push(&segment(&mut mux, 6 * 3600, 0), Continuous, HALF));
    let clocks = assert_continuous(&out, 3600);
    assert_eq!(clocks.units[&OUT_VIDEO].len(), 18);
}

#[test]
fn the_map_says_what_is_there() {
    let mut splicer = Splicer::new();
    let mut mux = Mux::new();
    let both = segment(&mut mux, 0, 0);
    let out = splicer.push(&both, Discontinuity, HALF);
    assert_eq!(
        streams(&out),
        [(0x100, StreamKind::H264), (0x101, StreamKind::Aac)]
    );
    assert_eq!(map_version(&out), 0);

    let mut radio = Mux::new();
    radio.tables_at(Pid::new(0x64), &[(0x81, Pid::new(0x31)), (0x15, AUDIO)]);
    radio.audio(0, 100);
    let out = splicer.push(&radio.bytes, Discontinuity, HALF);
    assert_eq!(streams(&out), [(0x101, StreamKind::Ac3)]);
    assert_eq!(map_version(&out), 1);
    assert!(
        !Clocks::of(&out).units.contains_key(&OUT_AUDIO),
        "metadata is not sound"
    );

    for version in [2, 2, 2] {
        let out = splicer.push(&both, Discontinuity, HALF);
        assert_eq!(map_version(&out), version);
    }
}

#[test]
fn each_segment_starts_with_tables_and_a_lost_one_is_bridged() {
    let mut splicer = Splicer::new();
    let mut mux = Mux::new();
    let body = segment(&mut mux, 0, 0);
    assert!(splicer.push(b"<html>", Discontinuity, HALF).is_empty());
    assert!(
        splicer
            .push(&body[2 * PACKET_LEN..], Discontinuity, HALF)
            .is_empty()
    );
    let mut all = Vec::new();
    for (pts, tables) in [(0, true), (HALF_TICKS, false), (2 * HALF_TICKS, true)] {
        let body = segment(&mut mux, pts, 0);
        let from = if tables { 0 } else { 2 * PACKET_LEN };
        let out = splicer.push(&body[from..], Continuous, HALF);
        let pids: Vec<_> = Packets::new(&out).map(|(_, packet)| packet.pid()).collect();
        assert_eq!(pids[..3], [Pid::PAT, MAP_PID, OUT_VIDEO]);
        all.extend(out);
    }
    let clocks = assert_continuous(&all, 3600);
    assert_eq!(clocks.units[&OUT_VIDEO].len(), 36);
    assert_eq!(
        clocks.units[&OUT_VIDEO][0].dts,
        ORIGIN + Ticks::new(2 * HALF_TICKS)
    );
}

/// A segment whose sound says how long its PES packets are: the picture, then 4 packets of sound.
fn bounded(mux: &mut Mux, pts: u64) -> Vec<u8> {
    mux.bytes.clear();
    mux.tables();
    mux.video(pts, true, 100);
    mux.bounded_audio(pts, 700);
    mux.bytes.clone()
}

fn audio_bytes(body: &[u8]) -> usize {
    Packets::new(body)
        .filter(|(_, packet)| packet.pid() == OUT_AUDIO)
        .filter_map(|(_, packet)| packet.payload())
        .map(<[u8]>::len)
        .sum()
}

#[test]
fn sound_that_goes_on_in_the_next_segment_is_whole() {
    let mut mux = Mux::new();
    let body = bounded(&mut mux, 0);
    let tables = &body[..2 * PACKET_LEN];
    for cut in 4..7 {
        let mut splicer = Splicer::new();
        let (before, after) = body.split_at(cut * PACKET_LEN);
        let first = splicer.push(before, Discontinuity, HALF);
        assert_eq!(audio_bytes(&first), 0, "held back");
        let second = splicer.push(&[tables, after].concat(), Continuous, HALF);
        assert_eq!(audio_bytes(&second), 719);
        assert_continuous(&[first, second].concat(), 3600);
    }
}

#[test]
fn sound_that_is_cut_off_by_a_switch_is_dropped() {
    let mut mux = Mux::new();
    let body = bounded(&mut mux, 0);
    let mut splicer = Splicer::new();
    let first = splicer.push(&body[..5 * PACKET_LEN], Discontinuity, HALF);
    // The new source starts in the middle of another one.
    let stale = [&body[..2 * PACKET_LEN], &body[5 * PACKET_LEN..]].concat();
    let second = splicer.push(&stale, Discontinuity, HALF);
    let third = splicer.push(&bounded(&mut mux, 3600), Discontinuity, HALF);
    assert_eq!(
        [&first, &second, &third].map(|out| audio_bytes(out)),
        [0, 0, 719]
    );
    assert_continuous(&[first, second, third].concat(), 2 * HALF_TICKS as i64);
}

#[test]
fn what_was_held_back_goes_on_with_nothing_but_its_rest() {
    let mut mux = Mux::new();
    let body = bounded(&mut mux, 0);
    let tables = &body[..2 * PACKET_LEN];
    let mut splicer = Splicer::new();
    splicer.push(&body[..5 * PACKET_LEN], Discontinuity, HALF);
    // A packet between the two is lost.
    let rest = [tables, &body[6 * PACKET_LEN..], &bounded(&mut mux, 3600)].concat();
    assert_eq!(audio_bytes(&splicer.push(&rest, Continuous, HALF)), 719);
}

#[test]
fn a_picture_that_is_cut_off_by_a_switch_is_dropped() {
    let mut mux = Mux::new();
    let body = segment(&mut mux, 0, 0);
    let last = Packets::new(&body)
        .filter(|(_, packet)| packet.pid() == VIDEO)
        .last();
    let cut = last.unwrap().0;
    for (joint, pictures, packets) in [
        (Discontinuity, 11 + 1, 33 + 1 + 3),
        (Continuous, 12 + 1, 36 + 3),
    ] {
        let mut splicer = Splicer::new();
        let mut out = splicer.push(&body[..cut], Discontinuity, HALF);
        let mut next = body[..2 * PACKET_LEN].to_vec();
        next.extend_from_slice(&body[cut..]);
        mux.bytes.clear();
        mux.video(HALF_TICKS, true, 500);
        next.extend_from_slice(&mux.bytes);
        out.extend(splicer.push(&next, joint, HALF));
        let clocks = assert_continuous(&out, 7200);
        assert_eq!(clocks.units[&OUT_VIDEO].len(), pictures);
        let video = Packets::new(&out).filter(|(_, packet)| packet.pid() == OUT_VIDEO);
        assert_eq!(video.count(), packets);
    }
}

#[test]
fn damage_costs_the_sound_that_it_hits_and_no_more() {
    let mut mux = Mux::new();
    let mut body = bounded(&mut mux, 0);
    for pts in [3600, 7200] {
        body.extend_from_slice(&bounded(&mut mux, pts)[2 * PACKET_LEN..]);
    }
    let broken = 2 + 5 + 2;
    body[broken * PACKET_LEN + 1] |= 0x80;
    // A packet that is sent twice does not make up for one that is lost.
    let twice = body[(broken + 1) * PACKET_LEN..][..PACKET_LEN].to_vec();
    body.splice(broken * PACKET_LEN..broken * PACKET_LEN, twice);
    let out = Splicer::new().push(&body, Discontinuity, HALF);
    let clocks = assert_continuous(&out, 7200);
    assert_eq!(audio_bytes(&out), 2 * 719);
    assert_eq!(clocks.units[&OUT_AUDIO].len(), 2);
    assert_eq!(clocks.units[&OUT_VIDEO].len(), 3);
}

#[test]
fn pictures_that_need_the_source_before_are_not_shown() {
    let mut mux = Mux::new();
    mux.tables();
    for (pts, key) in [
        (0, false),
        (3600, false),
        (14_400, true),
        (7200, false),
        (18_000, false),
    ] {
        mux.video(pts, key, 300);
    }
    let mut splicer = Splicer::new();
    let out = splicer.push(&mux.bytes, Discontinuity, HALF);
    let shown: Vec<_> = Clocks::of(&out).units[&OUT_VIDEO]
        .iter()
        .map(|unit| (unit.pts - ORIGIN).get())
        .collect();
    assert_eq!(shown, [0, 3600]);
}

#[test]
fn a_clock_that_is_ahead_stands_still_after_a_switch() {
    let mut mux = Mux::new();
    let a = segment(&mut mux, SECOND, 0);
    // This source is sent 0.7 s ahead of its time.
    let mut b = segment(&mut mux, SECOND, 0);
    for packet in b.as_chunks_mut::<PACKET_LEN>().0 {
        let pcr = super::super::Packet::new(packet)
            .adaptation()
            .and_then(|field| field.pcr());
        if let Some(pcr) = pcr {
            super::super::restamp::write_pcr(packet, pcr - Ticks::new(63_000));
        }
    }
    let mut splicer = Splicer::new();
    let mut out = splicer.push(&a, Discontinuity, HALF);
    for half in 0..4 {
        let joint = if half == 0 { Discontinuity } else { Continuous };
        let mut b = b.clone();
        let mut restamp = super::super::Restamp::new();
        restamp.splice(Ticks::new(half * HALF_TICKS));
        restamp.apply(&mut b);
        out.extend(splicer.push(&b, joint, HALF));
    }
    let clocks = assert_continuous(&out, 3600);
    let last = clocks.units[&OUT_VIDEO].last().unwrap().dts;
    assert_eq!(last.since(*clocks.pcrs.last().unwrap()), 63_000);
}

#[test]
fn null_packets_are_whole() {
    let packets = Splicer::null_packets(3);
    let report = verify(&packets);
    assert_eq!((report.packets, report.lost_bytes), (3, 0));
    assert!(Packets::new(&packets).all(|(_, packet)| packet.pid() == Pid::NULL));
}

/// The demo's clips as segments of two seconds.
fn clips() -> [Vec<super::super::Segment>; 2] {
    let two = Duration::from_secs(2);
    [
        &include_bytes!("../../../../../media/a.ts")[..],
        include_bytes!("../../../../../media/b.ts"),
    ]
    .map(|clip| {
        let mut segmenter = Segmenter::new(two, two, 1 << 20);
        let mut segments = segmenter.push(clip).unwrap();
        segments.extend(segmenter.finish());
        segments
    })
}

#[test]
fn the_demo_clips_take_turns() {
    let clips = clips();
    let mut splicer = Splicer::new();
    let mut out = Vec::new();
    let turns = [
        (0, 0..3),
        (1, 4..8),
        (0, 7..9),
        (1, 0..5),
        (0, 1..2),
        (1, 9..12),
        (0, 4..7),
    ];
    for (clip, range) in turns {
        let clip: &Vec<_> = &clips[clip];
        for (index, segment) in clip[range].iter().enumerate() {
            let joint = if index == 0 {
                Discontinuity
            } else {
                Continuous
            };
            let source = Clocks::of(&segment.bytes);
            let spliced = splicer.push(&segment.bytes, joint, segment.duration);
            let clocks = Clocks::of(&spliced);
            let moved = clocks.units[&OUT_VIDEO][0].dts - source.units[&VIDEO][0].dts;
            let sound = clocks.units[&OUT_AUDIO][0].dts - moved;
            assert!(source.units[&AUDIO].iter().any(|unit| unit.dts == sound));
            out.extend(spliced);
        }
    }
    // Sound comes in PES packets of up to 0.34 s.
    let clocks = assert_continuous(&out, 75_000);
    assert_eq!(clocks.units[&OUT_VIDEO].len(), 21 * 50);
    assert_eq!(
        streams(&out),
        [(0x100, StreamKind::H264), (0x101, StreamKind::Aac)]
    );
}

proptest! {
    #[test]
    fn any_joints_of_any_clocks_are_continuous(
        turns in prop::collection::vec((any::<u64>(), 0u64..40_000, 1usize..4, 0u16..0x400, any::<bool>()), 1..8),
        first: u64,
    ) {
        let mut splicer = Splicer::new();
        splicer.end = Some(Ticks::new(first));
        let mut out = Vec::new();
        let mut segments = 0;
        let mut last_end = None;
        for (start, audio_lag, count, pid, marked) in turns {
            let mut mux = Mux::new();
            let pids = [(MAP, 0x30 + pid), (VIDEO, 0x500 + pid), (AUDIO, 0xa00 + pid)];
            // Clocks that meet by chance look as if the source went on, and partly repeated itself.
            let is_near = last_end.is_some_and(|end| {
                Ticks::new(start).since(end).unsigned_abs() < 20 * SECOND
            });
            last_end = Some(Ticks::new(start) + Ticks::new(count as u64 * HALF_TICKS));
            for half in 0..count {
                let at = start % (1 << 33) + half as u64 * HALF_TICKS;
                let body = moved(&segment(&mut mux, at, audio_lag), pids);
                let joint = if half == 0 && (marked || is_near) { Discontinuity } else { Continuous };
                out.extend(splicer.push(&body, joint, HALF));
                segments += 1;
            }
        }
        let clocks = assert_continuous(&out, 10 * SECOND as i64);
        prop_assert_eq!(clocks.units[&OUT_VIDEO].len(), 12 * segments);
        prop_assert_eq!(clocks.units[&OUT_AUDIO].len(), 12 * segments);
    }

    #[test]
    fn any_bytes_are_joined(
        noise in prop::collection::vec((0usize..14_000, prop::collection::vec(any::<u8>(), 1..400)), 1..6),
        headers in prop::collection::vec((0usize..70, any::<[u8; 3]>()), 0..20),
        marked: bool,
    ) {
        let mut splicer = Splicer::new();
        let mut mux = Mux::new();
        let mut out = splicer.push(&segment(&mut mux, 0, 0), Discontinuity, HALF);
        let mut body = segment(&mut mux, HALF_TICKS, 0);
        for (packet, header) in headers {
            if let Some(bytes) = body.get_mut(packet * PACKET_LEN + 3..packet * PACKET_LEN + 6) {
                bytes.copy_from_slice(&header);
            }
        }
        for (at, noise) in noise {
            let at = at.min(body.len());
            let end = (at + noise.len()).min(body.len());
            body.splice(at..end, noise);
        }
        out.extend(splicer.push(&body, if marked { Discontinuity } else { Continuous }, HALF));
        out.extend(splicer.push(&segment(&mut mux, 2 * HALF_TICKS, 0), Continuous, HALF));
        prop_assert_eq!(out.len() % PACKET_LEN, 0);
        prop_assert_eq!(verify(&out).continuity_errors, 0);
    }
}
