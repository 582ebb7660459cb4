//! Where in a segment a decoder can start.

use super::psi::{Stream, StreamKind, Tables};
use super::{Packet, Packets, PesHeader, Pid, Program, Ticks};

/// How much of an unmarked picture is searched for its first slice: parameter sets and SEI come
/// before it.
const HEAD_MAX: usize = 4096;

/// The start of an access unit that needs none before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessPoint {
    /// Byte offset of the packet that it starts in.
    pub offset: usize,
    /// Whose packet that is: the program's video or, without one, its audio.
    pub pid: Pid,
    /// When it is shown.
    pub pts: Ticks,
}

/// The access points of `body` in their order: pictures marked by `random_access_indicator` or,
/// unmarked, by what starts in them (an IDR or IRAP picture with its SPS, an MPEG-2 sequence).
/// Without video each audio PES packet is one. Empty if there are no tables or no timestamps.
pub fn access_points(body: &[u8]) -> Vec<AccessPoint> {
    find_program(body)
        .and_then(|program| Timing::of(body, &program))
        .map_or_else(Vec::new, |timing| timing.points)
}

/// The first program that the tables in `body` describe.
pub(super) fn find_program(body: &[u8]) -> Option<Program> {
    let mut tables = Tables::default();
    for (_, packet) in Packets::new(body).filter(|(_, packet)| !packet.transport_error()) {
        tables.push(&packet);
        if tables.program().is_some() {
            break;
        }
    }
    tables.into_program()
}

/// When a segment begins and where it can be entered, by the clock of one stream.
#[derive(Debug)]
pub(super) struct Timing {
    /// The first timestamp of the stream.
    pub(super) begin: Ticks,
    pub(super) points: Vec<AccessPoint>,
}

impl Timing {
    /// `None` if the stream that leads the program has no timestamp.
    pub(super) fn of(body: &[u8], program: &Program) -> Option<Self> {
        let stream = program.video().or(program.audio())?;
        let mut timing: Option<Self> = None;
        let mut head = Head::default();
        for (offset, packet) in Packets::new(body) {
            if packet.pid() != stream.pid || packet.transport_error() {
                continue;
            }
            let Some(payload) = packet.payload() else {
                continue;
            };
            let found = if packet.unit_start() {
                head.clear();
                let Some((pts, content)) = access_unit(payload) else {
                    continue;
                };
                let point = AccessPoint {
                    offset,
                    pid: stream.pid,
                    pts,
                };
                timing.get_or_insert_with(|| Self {
                    begin: pts,
                    points: Vec::new(),
                });
                if is_marked(&packet, stream) {
                    Some(point)
                } else {
                    head.start(point, content, stream.kind)
                }
            } else {
                head.extend(payload, stream.kind)
            };
            if let (Some(point), Some(timing)) = (found, &mut timing) {
                timing.points.push(point);
            }
        }
        timing
    }
}

/// The presentation time of a PES packet and the part of its content that `payload` holds.
fn access_unit(payload: &[u8]) -> Option<(Ticks, &[u8])> {
    let header = PesHeader::parse(payload)?;
    Some((header.pts?, &payload[header.len..]))
}

/// Whether the packet, which starts an access unit, says that a decoder can start there.
pub(super) fn is_marked(packet: &Packet<'_>, stream: Stream) -> bool {
    stream.kind.is_audio()
        || packet
            .adaptation()
            .is_some_and(|field| field.random_access())
}

/// The beginning of a picture that nobody marked, gathered until its kind is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    point: Option<AccessPoint>,
    bytes: Vec<u8>,
}

impl Head {
    pub(super) fn clear(&mut self) {
        self.point = None;
        self.bytes.clear();
    }

    pub(super) fn start(
        &mut self,
        point: AccessPoint,
        content: &[u8],
        kind: StreamKind,
    ) -> Option<AccessPoint> {
        self.point = Some(point);
        self.extend(content, kind)
    }

    /// The picture's access point, once it proves to be one.
    pub(super) fn extend(&mut self, content: &[u8], kind: StreamKind) -> Option<AccessPoint> {
        let point = self.point?;
        self.bytes.extend_from_slice(content);
        let verdict = starts_decoding(kind, &self.bytes);
        if verdict.is_some() || self.bytes.len() > HEAD_MAX {
            self.clear();
        }
        verdict.unwrap_or(false).then_some(point)
    }
}

/// Whether a decoder can start with the picture at the beginning of `stream`; `None` if its first
/// slice is not in sight yet. NAL unit types: H.264 table 7-1, H.265 table 7-1; start codes: H.262
/// table 6-1.
fn starts_decoding(kind: StreamKind, stream: &[u8]) -> Option<bool> {
    let mut parameters = false;
    for code in stream
        .windows(4)
        .filter(|window| window.starts_with(&[0, 0, 1]))
    {
        match (kind, code[3]) {
            (StreamKind::H264, byte) => match byte & 0x1f {
                7 => parameters = true,
                5 => return Some(parameters),
                1..=4 => return Some(false),
                _ => {}
            },
            (StreamKind::H265, byte) => match byte >> 1 & 0x3f {
                33 => parameters = true,
                16..=21 => return Some(parameters),
                0..=9 => return Some(false),
                _ => {}
            },
            (StreamKind::Mpeg2, 0xb3) => return Some(true),
            (StreamKind::Mpeg2, 0x00..=0xaf) => return Some(false),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::build::{AUDIO, Mux, VIDEO};
    use super::*;
    use proptest::prelude::*;

    fn pts_of(body: &[u8]) -> Vec<u64> {
        let points = access_points(body);
        assert!(points.iter().all(|point| {
            let packet = Packet::at(body, point.offset).unwrap();
            packet.unit_start() && packet.pid() == point.pid
        }));
        points.iter().map(|point| point.pts.get()).collect()
    }

    #[test]
    fn key_pictures_are_found_with_and_without_marks() {
        for marks in [true, false] {
            let mut mux = Mux::new();
            mux.marks = marks;
            mux.tables();
            for frame in 0..9u64 {
                mux.video(frame * 3600, frame % 4 == 0, 500);
                mux.audio(frame * 3600, 100);
            }
            assert_eq!(
                pts_of(&mux.bytes),
                [0, 4 * 3600, 8 * 3600],
                "marks: {marks}"
            );
            assert!(
                access_points(&mux.bytes)
                    .iter()
                    .all(|point| point.pid == VIDEO)
            );
        }
    }

    #[test]
    fn each_audio_packet_is_one_where_there_is_no_video() {
        let mut mux = Mux::new();
        mux.tables_of(&[(0x0f, AUDIO)]);
        for frame in 0..3 {
            mux.audio(frame * 1920, 400);
        }
        assert_eq!(pts_of(&mux.bytes), [0, 1920, 3840]);
    }

    #[test]
    fn there_are_none_without_tables() {
        let mut mux = Mux::new();
        mux.video(0, true, 500);
        assert_eq!(pts_of(&mux.bytes), [0; 0]);
    }

    #[track_caller]
    fn check(kind: StreamKind, stream: &[u8], expected: Option<bool>) {
        assert_eq!(starts_decoding(kind, stream), expected);
    }

    #[test]
    fn pictures_are_told_by_their_first_slice() {
        use StreamKind::{H264, H265, Mpeg2};
        check(H264, &[0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65], Some(true));
        check(H264, &[0, 0, 1, 0x65], Some(false));
        check(H264, &[0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x41], Some(false));
        check(H264, &[0, 0, 1, 0x67, 1, 2, 3], None);
        check(
            H265,
            &[0, 0, 1, 33 << 1, 1, 0, 0, 1, 21 << 1, 1],
            Some(true),
        );
        check(
            H265,
            &[0, 0, 1, 35 << 1, 1, 0, 0, 1, 1 << 1, 1],
            Some(false),
        );
        check(Mpeg2, &[0, 0, 1, 0xb3], Some(true));
        check(Mpeg2, &[0, 0, 1, 0xb8, 0, 0, 1, 0x00], Some(false));
    }

    proptest! {
        #[test]
        fn a_head_split_anywhere_is_judged_alike(filler in 0usize..1000, packet in 1usize..184) {
            let mut picture = vec![0, 0, 1, 0x67, 0x64, 0, 0, 1, 0x06];
            picture.resize(picture.len() + filler, 0xaa);
            picture.extend([0, 0, 1, 0x65, 0xaa]);
            let point = AccessPoint { offset: 0, pid: VIDEO, pts: Ticks::default() };
            let mut head = Head::default();
            let mut chunks = picture.chunks(packet);
            let first = head.start(point, chunks.next().unwrap(), StreamKind::H264);
            let found = chunks.fold(first, |found, chunk| found.or(head.extend(chunk, StreamKind::H264)));
            prop_assert_eq!(found, Some(point));
        }
    }
}
