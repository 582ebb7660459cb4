//! Checking a transport-stream segment: one pass over the packet headers, no allocation but for the
//! tables.

use super::psi::Tables;
use super::{PACKET_LEN, Packet, Packets, Pid, Program};

/// What a walk over a segment's packets found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whole packets in sync, the broken ones among them.
    pub packets: usize,
    /// Packets with `transport_error_indicator`.
    pub transport_errors: usize,
    /// Jumps of a continuity counter: each tells of lost packets, or of a splice that nobody
    /// marked.
    pub continuity_errors: usize,
    /// Bytes that belonged to no packet.
    pub lost_bytes: usize,
    /// Whether a program association table was found.
    pub has_association: bool,
    /// The first program whose map was found.
    pub program: Option<Program>,
}

impl Report {
    /// Packets that were marked as broken or lost to sync. Continuity errors are not among them:
    /// many sources count wrongly and play well.
    pub fn damaged_packets(&self) -> usize {
        self.transport_errors + self.lost_bytes.div_ceil(PACKET_LEN)
    }
}

/// Walks all packets of `body`. Any bytes are allowed; none cost more than a few looks each.
pub fn verify(body: &[u8]) -> Report {
    let mut report = Report::default();
    let mut tables = Tables::default();
    let mut counters = Counters::new();
    let mut packets = Packets::new(body);
    for (_, packet) in &mut packets {
        report.packets += 1;
        if packet.transport_error() {
            report.transport_errors += 1;
            continue;
        }
        if !counters.follows(&packet) {
            report.continuity_errors += 1;
        }
        tables.push(&packet);
    }
    report.lost_bytes = packets.lost_bytes();
    report.has_association = tables.has_association();
    report.program = tables.into_program();
    report
}

/// The last continuity counter of each PID (ISO/IEC 13818-1 §2.4.3.3).
struct Counters([u8; Pid::COUNT]);

impl Counters {
    const UNSEEN: u8 = 0xff;
    /// Set once a counter came twice: a packet may be sent twice, not thrice.
    const REPEATED: u8 = 0x10;

    fn new() -> Self {
        Self([Self::UNSEEN; Pid::COUNT])
    }

    /// Whether the packet is the one that its PID's counter announces.
    fn follows(&mut self, packet: &Packet<'_>) -> bool {
        let pid = packet.pid();
        if pid == Pid::NULL || !packet.has_payload() {
            return true;
        }
        let now = packet.continuity();
        let last = &mut self.0[usize::from(pid.get())];
        let before = std::mem::replace(last, now);
        if before == Self::UNSEEN || now == before.wrapping_add(1) & 0x0f {
            return true;
        }
        if before == now {
            *last |= Self::REPEATED;
            return true;
        }
        packet
            .adaptation()
            .is_some_and(|field| field.discontinuity())
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Mux, VIDEO};
    use super::*;
    use proptest::prelude::*;

    /// Tables and 40 packets, most of them video.
    fn segment() -> Vec<u8> {
        let mut mux = Mux::new();
        mux.tables();
        for frame in 0..10 {
            mux.video(frame * 3600, frame == 0, 600);
        }
        mux.bytes
    }

    fn packet(body: &mut [u8], index: usize) -> &mut [u8] {
        &mut body[index * PACKET_LEN..][..PACKET_LEN]
    }

    /// (packets, transport errors, continuity errors, lost bytes)
    #[track_caller]
    fn check(body: &[u8], expected: (usize, usize, usize, usize)) {
        let report = verify(body);
        let got = (
            report.packets,
            report.transport_errors,
            report.continuity_errors,
            report.lost_bytes,
        );
        assert_eq!(got, expected);
        assert!(report.has_association);
        assert_eq!(report.program.unwrap().video().unwrap().pid, VIDEO);
    }

    #[test]
    fn a_whole_segment_has_no_faults() {
        check(&segment(), (42, 0, 0, 0));
    }

    #[test]
    fn finds_sync_again() {
        let mut broken_sync_byte = segment();
        packet(&mut broken_sync_byte, 20)[0] = 0;
        check(&broken_sync_byte, (41, 0, 1, 188));

        let mut missing_bytes = segment();
        missing_bytes.drain(20 * 188 + 50..20 * 188 + 60);
        check(&missing_bytes, (41, 0, 1, 178));

        let mut more_bytes = segment();
        more_bytes.splice(20 * 188..20 * 188, [0x46; 100]);
        check(&more_bytes, (42, 0, 0, 100));

        let mut leading = b"HTTP/1.1 200 OK".to_vec();
        leading.extend(segment());
        check(&leading, (42, 0, 0, 15));

        let mut cut_short = segment();
        cut_short.truncate(41 * 188 + 7);
        check(&cut_short, (41, 0, 0, 7));
    }

    #[test]
    fn counts_errors_that_the_packets_admit() {
        let mut body = segment();
        packet(&mut body, 7)[1] |= 0x80;
        check(&body, (42, 1, 1, 0));
    }

    #[test]
    fn a_packet_may_come_twice_but_not_thrice() {
        let mut twice = segment();
        let copy = packet(&mut twice, 9).to_vec();
        twice.splice(9 * 188..9 * 188, copy.clone());
        check(&twice, (43, 0, 0, 0));
        let mut thrice = twice;
        thrice.splice(9 * 188..9 * 188, copy);
        check(&thrice, (44, 0, 1, 0));
    }

    #[test]
    fn a_marked_jump_of_the_counter_is_no_error() {
        let mut mux = Mux::new();
        mux.tables();
        mux.video(0, true, 10);
        let marked = mux.bytes.len();
        mux.skip_counter(VIDEO);
        mux.video(3600, true, 10);
        check(&mux.bytes, (4, 0, 1, 0));
        mux.bytes[marked + 5] |= 0x80;
        check(&mux.bytes, (4, 0, 0, 0));
    }

    #[test]
    fn a_table_that_is_missing_is_told() {
        let body = segment();
        let report = verify(&body[188..]);
        assert_eq!((report.has_association, report.program), (false, None));
        let report = verify(&[&body[..188], &body[2 * 188..]].concat());
        assert_eq!((report.has_association, report.program), (true, None));
    }

    proptest! {
        #[test]
        fn every_byte_is_in_a_packet_or_lost(
            parts in prop::collection::vec((0usize..42, 0usize..300, any::<u8>()), 0..8),
        ) {
            let segment = segment();
            let mut body = Vec::new();
            for (index, len, byte) in parts {
                body.extend_from_slice(&segment[index * 188..][..188]);
                body.extend(std::iter::repeat_n(byte, len));
            }
            let report = verify(&body);
            prop_assert_eq!(report.packets * PACKET_LEN + report.lost_bytes, body.len());
        }

        #[test]
        fn one_broken_stretch_costs_no_more_than_itself(at in 0usize..41 * 188, len in 1usize..500) {
            let mut body = segment();
            let end = (at + len).min(body.len());
            body[at..end].fill(0);
            let touched = end.div_ceil(PACKET_LEN) - at / PACKET_LEN;
            prop_assert!(verify(&body).lost_bytes <= touched * PACKET_LEN);
        }
    }
}
