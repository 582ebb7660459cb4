//! Bringing pictures and sound together that a source sends in playlists of their own (RFC 8216
//! §4.3.4.2.1): as one program, in the order of decoding.
//!
//! The two playlists may cut their segments where they like: what belongs together is told by
//! timestamps, which both take from one clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::psi::{MapEntry, MapTable, Tables};
use super::{PACKET_LEN, Packet, Packets, PesHeader, Pid, Ticks, section};

/// Sound that waits for its pictures: a minute of it is less.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Sound that begins so much before its pictures belongs to none.
const EARLY_MAX: i64 = Ticks::PER_SECOND as i64;

/// A unit of sound may last so long.
const UNIT_MAX: i64 = 8 * Ticks::PER_SECOND as i64 / 10;

/// Timestamps further apart are not of one clock.
const APART_MAX: i64 = 60 * Ticks::PER_SECOND as i64;

/// The first PID that is tried for the sound.
const SOUND_PID: u16 = 0x1f00;

/// Sound that waits for its pictures.
///
/// An era is what lies between two discontinuities; pictures and sound count them alike, as the
/// discontinuity sequence numbers of one ladder's playlists do.
#[derive(Clone, Debug, Default)]
pub struct Interleaver {
    waiting: VecDeque<Unit>,
    waiting_bytes: usize,
    /// `stream_type` and descriptors of the newest sound.
    kind: Option<(u8, Vec<u8>)>,
}

/// A PES packet in its transport packets.
#[derive(Clone, Debug)]
struct Unit {
    era: u64,
    dts: Ticks,
    packets: Vec<u8>,
}

impl Interleaver {
    /// Nothing waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next segment of the sound: the first audio stream of its program. What has no tables
    /// is no sound.
    pub fn push_sound(&mut self, era: u64, body: &[u8]) {
        let Some(pid) = self.read_kind(body) else {
            return;
        };
        let mut open = false;
        for packet in of_pid(body, pid) {
            if packet.unit_start() {
                let dts = packet.payload().and_then(dts);
                open = dts.is_some();
                if let Some(dts) = dts {
                    let packets = Vec::new();
                    self.waiting.push_back(Unit { era, dts, packets });
                }
            }
            if let Some(unit) = self.waiting.back_mut().filter(|_| open) {
                unit.packets.extend_from_slice(packet.bytes());
                self.waiting_bytes += PACKET_LEN;
            }
        }
        while self.waiting_bytes > WAITING_BYTES_MAX {
            self.next();
        }
    }

    /// Whether the sound of these pictures, which last for `duration`, is there to its end, or will
    /// not come any more.
    pub fn covers(&self, era: u64, pictures: &[u8], duration: Duration) -> bool {
        let Some((begin, _)) = Self::pictures(pictures) else {
            return true;
        };
        let end = begin + Ticks::from(duration);
        self.waiting.back().is_some_and(|last| {
            last.era > era || last.era == era && last.dts.since(end) >= -UNIT_MAX
        })
    }

    /// The pictures, which last for `duration`, with their sound: tables of both, then each picture
    /// behind the sound that is decoded before it. As they are if there is no sound, or no picture.
    pub fn interleave(&mut self, era: u64, pictures: &[u8], duration: Duration) -> Vec<u8> {
        let Some((begin, source)) = Self::pictures(pictures) else {
            return pictures.to_vec();
        };
        let Some((sound_pid, mut out)) = self.tables(&source) else {
            return pictures.to_vec();
        };
        let end = begin + Ticks::from(duration);
        while self
            .waiting
            .front()
            .is_some_and(|unit| unit.is_gone(era, begin))
        {
            self.next();
        }
        out.reserve(pictures.len());
        for (_, packet) in Packets::new(pictures) {
            if packet.pid() == Pid::PAT
                || packet.pid() == source.map_pid
                || packet.pid() == Pid::NULL
            {
                continue;
            }
            let due = packet
                .payload()
                .filter(|_| packet.unit_start())
                .and_then(dts);
            if let Some(due) = due {
                self.write_until(era, due, sound_pid, &mut out);
            }
            out.extend_from_slice(packet.bytes());
        }
        self.write_until(era, end, sound_pid, &mut out);
        out
    }

    /// Notes what the sound is, and says where.
    fn read_kind(&mut self, body: &[u8]) -> Option<Pid> {
        let tables = read_tables(body)?;
        let (_, map) = tables.sections()?;
        let map = MapTable::parse(map)?;
        let entry = map.entries.iter().find(|entry| entry.kind().is_audio())?;
        self.kind = Some((entry.stream_type, entry.descriptors.to_vec()));
        Some(entry.pid)
    }

    /// When the pictures begin, and their program.
    fn pictures(body: &[u8]) -> Option<(Ticks, Source)> {
        let tables = read_tables(body)?;
        let program = tables.program()?;
        let video = program.video()?.pid;
        let mut starts = of_pid(body, video).filter(Packet::unit_start);
        let begin = starts.find_map(|packet| dts(packet.payload()?))?;
        let source = Source {
            map_pid: program.map_pid,
            map: tables.sections()?.1.to_vec(),
        };
        Some((begin, source))
    }

    /// The packets of PAT and PMT of pictures with the sound, and the sound's PID there.
    fn tables(&self, source: &Source) -> Option<(Pid, Vec<u8>)> {
        let (stream_type, descriptors) = self.kind.as_ref()?;
        let mut map = MapTable::parse(&source.map)?;
        map.entries.retain(|entry| !entry.kind().is_audio());
        let taken = |pid: Pid| {
            pid == map.pcr_pid
                || pid == source.map_pid
                || map.entries.iter().any(|entry| entry.pid == pid)
        };
        let pid = (SOUND_PID..).map(Pid::new).find(|pid| !taken(*pid))?;
        map.entries.push(MapEntry {
            stream_type: *stream_type,
            pid,
            descriptors,
        });
        let content = section::map(map.pcr_pid, map.info, map.entries.into_iter());
        let association = section::section(0x00, 1, 0, &section::association(1, source.map_pid));
        let map = section::section(0x02, 1, 0, &content);
        let mut out = Vec::new();
        for (pid, section) in [(Pid::PAT, association), (source.map_pid, map)] {
            section::write(pid, &section::with_crc(section), &mut 15, &mut out);
        }
        Some((pid, out))
    }

    /// Writes the sound of this era that is decoded before `due`.
    fn write_until(&mut self, era: u64, due: Ticks, pid: Pid, out: &mut Vec<u8>) {
        let is_due = |unit: &Unit| unit.era == era && unit.dts.since(due) < 0;
        while self.waiting.front().is_some_and(is_due) {
            let unit = self.next().expect("there is a first");
            for packet in unit.packets.as_chunks::<PACKET_LEN>().0 {
                let mut packet = *packet;
                let [high, low] = pid.get().to_be_bytes();
                packet[1] = packet[1] & 0xe0 | high;
                packet[2] = low;
                out.extend(packet);
            }
        }
    }

    fn next(&mut self) -> Option<Unit> {
        let unit = self.waiting.pop_front()?;
        self.waiting_bytes -= unit.packets.len();
        Some(unit)
    }
}

struct Source {
    map_pid: Pid,
    /// The section, without its CRC.
    map: Vec<u8>,
}

impl Unit {
    /// Whether no picture of this era from `begin` on has this sound.
    fn is_gone(&self, era: u64, begin: Ticks) -> bool {
        let apart = self.dts.since(begin);
        self.era < era || self.era == era && !(-EARLY_MAX..=APART_MAX).contains(&apart)
    }
}

fn read_tables(body: &[u8]) -> Option<Tables> {
    let mut tables = Tables::default();
    for (_, packet) in Packets::new(body).filter(|(_, packet)| !packet.transport_error()) {
        tables.push(&packet);
        if tables.program().is_some() {
            return Some(tables);
        }
    }
    None
}

fn of_pid(body: &[u8], pid: Pid) -> impl Iterator<Item = Packet<'_>> {
    let whole = Packets::new(body).map(|(_, packet)| packet);
    whole.filter(move |packet| {
        packet.pid() == pid && packet.has_payload() && !packet.transport_error()
    })
}

/// When the unit that a payload begins with is decoded.
fn dts(payload: &[u8]) -> Option<Ticks> {
    let header = PesHeader::parse(payload)?;
    header.dts.or(header.pts)
}

#[cfg(test)]
mod tests {
    use super::super::build::{AUDIO, Mux, VIDEO};
    use super::super::clocks::{Clocks, assert_continuous};
    use super::super::{Joint, Keep, Splicer, select, verify};
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = Ticks::PER_SECOND;

    fn second(mux: &mut Mux, at: u64) -> Vec<u8> {
        mux.bytes.clear();
        mux.tables();
        for frame in 0..25 {
            mux.video(at + frame * 3600, frame == 0, 500);
            mux.audio(at + frame * 3600 + 900, 200);
        }
        mux.bytes.clone()
    }

    const LASTS: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_taken_apart_is_together_again() {
        let mut mux = Mux::new();
        let mut interleaver = Interleaver::new();
        let mut splicer = Splicer::new();
        // Eras with clocks of their own, one of which wraps.
        let mut out = Vec::new();
        for (era, start) in [(0, 0), (1, (1 << 33) - 2 * SECOND), (2, 7 * SECOND)] {
            for n in 0..4 {
                let whole = second(&mut mux, (start + n * SECOND) % (1 << 33));
                let pictures = select(&whole, Keep::Video);
                assert!(!interleaver.covers(era, &pictures, LASTS));
                interleaver.push_sound(era, &select(&whole, Keep::Audio));
                assert!(interleaver.covers(era, &pictures, LASTS));
                let together = interleaver.interleave(era, &pictures, LASTS);
                let program = verify(&together).program.unwrap();
                assert_eq!(
                    (program.video().unwrap().pid, program.streams.len()),
                    (VIDEO, 2)
                );
                let clocks = Clocks::of(&together);
                assert_eq!(
                    clocks.units[&program.audio().unwrap().pid],
                    Clocks::of(&whole).units[&AUDIO]
                );
                let joint = if n == 0 {
                    Joint::Discontinuity
                } else {
                    Joint::Continuous
                };
                out.extend(splicer.push(&together, joint, LASTS));
            }
        }
        let clocks = assert_continuous(&out, 3600 + 900);
        assert_eq!(clocks.distance(Pid::new(0x101), Pid::new(0x100)), 900);
        assert_eq!(clocks.units[&Pid::new(0x101)].len(), 300);
    }

    #[test]
    fn sound_may_be_cut_elsewhere() {
        let mut mux = Mux::new();
        let seconds: Vec<_> = (0..6).map(|n| second(&mut mux, n * SECOND)).collect();
        let mut interleaver = Interleaver::new();
        for three in seconds.chunks(3) {
            interleaver.push_sound(0, &select(&three.concat(), Keep::Audio));
        }
        for whole in &seconds {
            let together = interleaver.interleave(0, &select(whole, Keep::Video), LASTS);
            let program = verify(&together).program.unwrap();
            let sound = Clocks::of(&together).units[&program.audio().unwrap().pid].len();
            assert_eq!(sound, 25);
        }
    }

    #[test]
    fn sound_of_before_or_of_another_clock_is_left_out() {
        let mut mux = Mux::new();
        let mut interleaver = Interleaver::new();
        let pictures = select(&second(&mut mux, 100 * SECOND), Keep::Video);
        for (era, at) in [(0, 100), (1, 90), (1, 300), (2, 100)] {
            interleaver.push_sound(era, &select(&second(&mut mux, at * SECOND), Keep::Audio));
        }
        assert!(
            interleaver.covers(1, &pictures, LASTS),
            "the sound has gone on"
        );
        let together = interleaver.interleave(1, &pictures, LASTS);
        let pids: Vec<_> = Clocks::of(&together).units.into_keys().collect();
        assert_eq!(pids, [VIDEO]);
        let waiting: Vec<_> = interleaver.waiting.iter().map(|unit| unit.era).collect();
        assert_eq!(waiting, [2; 25]);
    }

    #[test]
    fn pictures_alone_stay_as_they_are() {
        let whole = second(&mut Mux::new(), 0);
        assert_eq!(Interleaver::new().interleave(0, &whole, LASTS), whole);
        assert_eq!(Interleaver::new().interleave(0, b"x", LASTS), b"x");
        assert!(Interleaver::new().covers(0, b"x", LASTS));
    }

    proptest! {
        #[test]
        fn any_bytes_are_interleaved(at in 0usize..20_000, noise in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut mux = Mux::new();
            let mut spoil = |at| {
                let mut body = second(&mut mux, at);
                let cut = (at as usize + 5).min(body.len());
                let end = (cut + noise.len()).min(body.len());
                body.splice(cut..end, noise.iter().copied());
                body
            };
            let (pictures, sound) = (spoil(at as u64), spoil(at as u64 / 2));
            let mut interleaver = Interleaver::new();
            interleaver.push_sound(0, &sound);
            let out = interleaver.interleave(0, &pictures, LASTS);
            prop_assert_eq!(Splicer::new().push(&out, Joint::Continuous, LASTS).len() % PACKET_LEN, 0);
        }
    }
}
