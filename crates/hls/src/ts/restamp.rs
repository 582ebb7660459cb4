//! Rewriting clocks and counters, so that pieces of different origin become one continuous stream.
//!
//! Owns the timestamps (PTS, DTS, PCR), the continuity counters and the PIDs in packet headers. It
//! does not touch tables: whoever maps PIDs writes a PAT and a PMT that say so.

use std::collections::BTreeMap;

use super::packet::Scan;
use super::pes;
use super::{PACKET_LEN, Packet, Pid, Ticks};

/// Rewrites transport packets in place. The counters live across calls of [`Restamp::apply`].
///
/// ```
/// use hls::ts::{Restamp, Ticks};
///
/// let mut segment = vec![0u8; 0];
/// let mut restamp = Restamp::new();
/// for round in 0..3 {
///     restamp.splice(Ticks::new(round * 10 * Ticks::PER_SECOND));
///     restamp.apply(&mut segment);
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Restamp {
    offset: Ticks,
    pids: BTreeMap<Pid, Pid>,
    counters: BTreeMap<Pid, Counter>,
}

/// A PID's counter on the way out.
#[derive(Clone, Copy, Debug)]
struct Counter {
    last: u8,
    /// What is added to the counters of the piece at hand; `None` until its first packet.
    shift: Option<u8>,
}

impl Restamp {
    /// Changes nothing until [`Restamp::splice`] or [`Restamp::map_pid`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a new piece: what is applied from here on is shifted by `offset` (modulo 2³³, so `a -
    /// b` takes `b` to `a` also backwards) and its counters go on from the last packet. Inside a
    /// piece counters keep their distances: a gap upstream stays a gap that a decoder can see.
    pub fn splice(&mut self, offset: Ticks) {
        self.offset = offset;
        for counter in self.counters.values_mut() {
            counter.shift = None;
        }
    }

    /// Gives the packets of PID `from` the PID `to`.
    pub fn map_pid(&mut self, from: Pid, to: Pid) {
        self.pids.insert(from, to);
    }

    /// Rewrites the packets of `body`, which may be any number of whole ones; bytes out of sync
    /// stay as they are. A timestamp that is split over two packets stays too (no muxer is known to
    /// split one).
    pub fn apply(&mut self, body: &mut [u8]) {
        let mut scan = Scan::default();
        while let Some(offset) = scan.next(body) {
            if let Some(packet) = body[offset..].first_chunk_mut() {
                self.rewrite(packet);
            }
        }
    }

    fn rewrite(&mut self, bytes: &mut [u8; PACKET_LEN]) {
        let packet = Packet::new(bytes);
        let pid = packet.pid();
        // Nothing in a packet that is marked as broken can be believed, its PID included.
        if packet.transport_error() || pid == Pid::NULL {
            return;
        }
        let (continuity, has_payload) = (packet.continuity(), packet.has_payload());
        let pcr = packet.adaptation().and_then(|field| field.pcr());
        let start = packet
            .payload_start()
            .filter(|_| packet.unit_start() && !packet.is_scrambled());

        let pid = self.pids.get(&pid).copied().unwrap_or(pid);
        let [high, low] = pid.get().to_be_bytes();
        bytes[1] = bytes[1] & 0xe0 | high;
        bytes[2] = low;
        bytes[3] = bytes[3] & 0xf0 | self.count(pid, continuity, has_payload);
        if let Some(pcr) = pcr {
            write_pcr(bytes, pcr + self.offset);
        }
        if let Some(start) = start {
            pes::shift(&mut bytes[start..], self.offset);
        }
    }

    /// The counter that goes out for one that came in.
    fn count(&mut self, pid: Pid, continuity: u8, has_payload: bool) -> u8 {
        let counter = self.counters.entry(pid).or_insert(Counter {
            last: continuity,
            shift: Some(0),
        });
        let shift = *counter.shift.get_or_insert_with(|| {
            // A packet without payload repeats the counter of the one before.
            let expected = counter.last.wrapping_add(u8::from(has_payload));
            expected.wrapping_sub(continuity)
        });
        counter.last = continuity.wrapping_add(shift) & 0x0f;
        counter.last
    }
}

/// The 90 kHz part of a clock reference's six bytes starts after the adaptation field's length and
/// flags.
const PCR_AT: usize = 6;

/// A packet that has nothing of `packet` but its PID and its clock reference.
pub(super) fn clock_only(packet: &Packet<'_>) -> Option<[u8; PACKET_LEN]> {
    packet.adaptation()?.pcr()?;
    let [high, low] = packet.pid().get().to_be_bytes();
    let mut bytes = [0xff; PACKET_LEN];
    bytes[..PCR_AT].copy_from_slice(&[0x47, high, low, 0x20, 183, 0x10]);
    bytes[PCR_AT..PCR_AT + 6].copy_from_slice(&packet.bytes()[PCR_AT..PCR_AT + 6]);
    Some(bytes)
}

/// Writes the 90 kHz part of the clock reference that is there.
pub(super) fn write_pcr(bytes: &mut [u8; PACKET_LEN], pcr: Ticks) {
    let high = (pcr.get() >> 1) as u32;
    bytes[PCR_AT..10].copy_from_slice(&high.to_be_bytes());
    bytes[10] = bytes[10] & 0x7f | ((pcr.get() & 1) as u8) << 7;
}

#[cfg(test)]
mod tests {
    use super::super::build::{AUDIO, MAP, Mux, VIDEO};
    use super::super::{Packets, PesHeader, verify};
    use super::*;
    use proptest::prelude::*;

    /// A second of pictures and sound.
    fn piece(first_pts: u64) -> Vec<u8> {
        let mut mux = Mux::new();
        mux.tables();
        for frame in 0..25 {
            mux.video(first_pts + frame * 3600, frame == 0, 400);
            mux.audio(first_pts + frame * 3600, 90);
        }
        mux.bytes
    }

    /// (PID, PTS, DTS, PCR) of each packet that has any.
    fn clocks(body: &[u8]) -> Vec<(Pid, [Option<Ticks>; 3])> {
        let clock = |packet: Packet<'_>| {
            let pes = packet
                .payload()
                .filter(|_| packet.unit_start())
                .and_then(PesHeader::parse);
            let pcr = packet.adaptation().and_then(|field| field.pcr());
            [
                pes.and_then(|pes| pes.pts),
                pes.and_then(|pes| pes.dts),
                pcr,
            ]
        };
        Packets::new(body)
            .map(|(_, packet)| (packet.pid(), clock(packet)))
            .filter(|(_, clock)| clock.iter().any(Option::is_some))
            .collect()
    }

    #[test]
    fn a_loop_becomes_one_continuous_stream() {
        let body = piece(126_000);
        let mut restamp = Restamp::new();
        let mut out = Vec::new();
        for round in 0..40 {
            restamp.splice(Ticks::new(round * Ticks::PER_SECOND));
            let mut copy = body.clone();
            restamp.apply(&mut copy);
            out.extend(copy);
        }
        assert_eq!(verify(&out).continuity_errors, 0);
        let pictures: Vec<_> = clocks(&out)
            .into_iter()
            .filter(|(pid, _)| *pid == VIDEO)
            .map(|(_, clock)| clock)
            .collect();
        assert_eq!(pictures.len(), 40 * 25);
        for (frame, clock) in pictures.into_iter().enumerate() {
            assert_eq!(clock, [Some(Ticks::new(126_000 + frame as u64 * 3600)); 3]);
        }
    }

    #[test]
    fn a_loss_inside_a_piece_stays_a_loss_and_a_repeat_stays_a_repeat() {
        let mut body = piece(0);
        body.drain(10 * PACKET_LEN..11 * PACKET_LEN);
        let twice = body[20 * PACKET_LEN..21 * PACKET_LEN].to_vec();
        body.splice(20 * PACKET_LEN..20 * PACKET_LEN, twice);
        let errors = verify(&body).continuity_errors;
        let mut restamp = Restamp::new();
        restamp.apply(&mut body.clone());
        restamp.splice(Ticks::new(7));
        restamp.apply(&mut body);
        assert_eq!((errors, verify(&body).continuity_errors), (1, 1));
        assert_eq!(
            body[20 * PACKET_LEN..][..PACKET_LEN],
            body[21 * PACKET_LEN..][..PACKET_LEN]
        );
    }

    #[test]
    fn mapped_pids_count_on_where_the_target_stopped() {
        let body = piece(0);
        let mut restamp = Restamp::new();
        let mut out = body.clone();
        restamp.apply(&mut out);
        let mut other = body;
        for packet in other.chunks_mut(PACKET_LEN) {
            if packet[2] == AUDIO.get() as u8 {
                packet[2] = 0x77;
            }
        }
        restamp.splice(Ticks::new(Ticks::PER_SECOND));
        restamp.map_pid(Pid::new(0x177), AUDIO);
        restamp.apply(&mut other);
        out.extend(other);
        assert_eq!(verify(&out).continuity_errors, 0);
        let pids: std::collections::BTreeSet<_> =
            Packets::new(&out).map(|(_, packet)| packet.pid()).collect();
        assert_eq!(
            pids.into_iter().collect::<Vec<_>>(),
            [Pid::PAT, VIDEO, AUDIO, MAP]
        );
    }

    #[test]
    fn broken_and_null_packets_stay_as_they_are() {
        for header in [[0x47, 0x81, 0x00, 0x15], [0x47, 0x1f, 0xff, 0x15]] {
            let mut body = piece(0);
            body[3 * PACKET_LEN..][..4].copy_from_slice(&header);
            let mut restamp = Restamp::new();
            restamp.apply(&mut body.clone());
            restamp.splice(Ticks::new(1));
            restamp.apply(&mut body);
            assert_eq!(body[3 * PACKET_LEN..][..4], header);
        }
    }

    proptest! {
        #[test]
        fn every_clock_moves_by_the_offset_and_nothing_else_changes(first: u64, offset: u64, back: u64) {
            let (offset, back) = (Ticks::new(offset), Ticks::new(back));
            let body = piece(first % (1 << 33));
            let mut moved = body.clone();
            let mut restamp = Restamp::new();
            restamp.splice(offset);
            restamp.apply(&mut moved);
            let expected: Vec<_> = clocks(&body)
                .into_iter()
                .map(|(pid, clock)| (pid, clock.map(|ticks| ticks.map(|ticks| ticks + offset))))
                .collect();
            prop_assert_eq!(clocks(&moved), expected);

            let mut restamp = Restamp::new();
            restamp.splice(back - offset);
            restamp.apply(&mut moved);
            restamp = Restamp::new();
            restamp.splice(Ticks::default() - back);
            restamp.apply(&mut moved);
            prop_assert!(moved == body, "not the same after moving back");
        }

        #[test]
        fn any_bytes_keep_their_length_and_sync(mut body in prop::collection::vec(any::<u8>(), 0..1500)) {
            for packet in body.chunks_mut(PACKET_LEN) {
                packet[0] = 0x47;
            }
            let before = verify(&body);
            let mut restamp = Restamp::new();
            restamp.splice(Ticks::new(90_000));
            restamp.apply(&mut body);
            let after = verify(&body);
            prop_assert_eq!((before.packets, before.lost_bytes), (after.packets, after.lost_bytes));
        }
    }
}
