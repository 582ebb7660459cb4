//! Transport packets (ISO/IEC 13818-1 §2.4.3) and finding them in a body whose sync may be lost.

use super::Ticks;

/// Bytes of a transport packet.
pub const PACKET_LEN: usize = 188;

/// What every transport packet starts with.
pub const SYNC_BYTE: u8 = 0x47;

/// A packet identifier: 13 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u16);

impl Pid {
    /// The program association table.
    pub const PAT: Self = Self(0);
    /// Null packets: stuffing that carries nothing.
    pub const NULL: Self = Self(0x1fff);
    /// How many there are.
    pub const COUNT: usize = 0x2000;

    /// The low 13 bits of `pid`.
    pub const fn new(pid: u16) -> Self {
        Self(pid & 0x1fff)
    }

    /// The 13 bits.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A view of one transport packet. Reading never fails: a field that is not there is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8; PACKET_LEN]);

impl<'a> Packet<'a> {
    /// Views `bytes`, whatever they start with.
    pub const fn new(bytes: &'a [u8; PACKET_LEN]) -> Self {
        Self(bytes)
    }

    /// The packet that stands at `offset` of `body`, if that many bytes are there.
    pub fn at(body: &'a [u8], offset: usize) -> Option<Self> {
        body.get(offset..)?.first_chunk().map(Self)
    }

    /// The packet's bytes.
    pub const fn bytes(&self) -> &'a [u8; PACKET_LEN] {
        self.0
    }

    /// `transport_error_indicator`: the packet was broken before it came here.
    pub const fn transport_error(&self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// `payload_unit_start_indicator`: a PES packet or a section starts here.
    pub const fn unit_start(&self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// Whose packet it is.
    pub const fn pid(&self) -> Pid {
        Pid::new(u16::from_be_bytes([self.0[1], self.0[2]]))
    }

    /// Whether the payload is scrambled by a conditional-access system.
    pub const fn is_scrambled(&self) -> bool {
        self.0[3] & 0xc0 != 0
    }

    /// `continuity_counter`, 0 to 15.
    pub const fn continuity(&self) -> u8 {
        self.0[3] & 0x0f
    }

    /// Whether the header announces a payload; only such packets advance the continuity counter.
    pub const fn has_payload(&self) -> bool {
        self.0[3] & 0x10 != 0
    }

    /// The adaptation field after its length byte; `None` without one or if its length is wrong.
    pub fn adaptation(&self) -> Option<Adaptation<'a>> {
        if self.0[3] & 0x20 == 0 {
            return None;
        }
        self.0.get(5..5 + usize::from(self.0[4])).map(Adaptation)
    }

    /// The payload; `None` without one or if the adaptation field leaves no room for it.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.payload_start().map(|start| &self.0[start..])
    }

    /// Where in the packet the payload starts.
    pub(super) fn payload_start(&self) -> Option<usize> {
        let start = if self.0[3] & 0x20 == 0 {
            4
        } else {
            5 + usize::from(self.0[4])
        };
        (self.has_payload() && start < PACKET_LEN).then_some(start)
    }
}

/// A view of an adaptation field (§2.4.3.4).
#[derive(Clone, Copy, Debug)]
pub struct Adaptation<'a>(&'a [u8]);

impl Adaptation<'_> {
    /// `discontinuity_indicator`: the clock or the continuity counter may jump here.
    pub fn discontinuity(&self) -> bool {
        self.flag(0x80)
    }

    /// `random_access_indicator`: a decoder can start with the access unit that starts here.
    pub fn random_access(&self) -> bool {
        self.flag(0x40)
    }

    /// The program clock reference's 90 kHz part.
    pub fn pcr(&self) -> Option<Ticks> {
        let base = self.0.get(1..7).filter(|_| self.flag(0x10))?;
        let high = u32::from_be_bytes([base[0], base[1], base[2], base[3]]);
        Some(Ticks::new(u64::from(high) << 1 | u64::from(base[4] >> 7)))
    }

    fn flag(&self, mask: u8) -> bool {
        self.0.first().is_some_and(|flags| flags & mask != 0)
    }
}

/// Walks the packets of a body, finding sync again where it is lost.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    body: &'a [u8],
    scan: Scan,
}

impl<'a> Packets<'a> {
    /// Starts at the beginning of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            scan: Scan::default(),
        }
    }

    /// Bytes so far that belonged to no packet.
    pub fn lost_bytes(&self) -> usize {
        self.scan.lost_bytes
    }
}

impl<'a> Iterator for Packets<'a> {
    /// Byte offset and packet.
    type Item = (usize, Packet<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.scan.next(self.body)?;
        Packet::at(self.body, offset).map(|packet| (offset, packet))
    }
}

/// The position of a walk over packets, apart from the body so that the body may be rewritten
/// while walking.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    at: usize,
    lost_bytes: usize,
}

impl Scan {
    /// The offset of the next whole packet.
    pub(super) fn next(&mut self, body: &[u8]) -> Option<usize> {
        if body.get(self.at) != Some(&SYNC_BYTE) || body.len() - self.at < PACKET_LEN {
            let found = resync(body, self.at).unwrap_or(body.len());
            self.lost_bytes += found - self.at;
            self.at = found;
        }
        (self.at < body.len()).then(|| {
            let offset = self.at;
            self.at += PACKET_LEN;
            offset
        })
    }
}

/// The first place after `lost` where packets stand in sync. One packet further on is tried first:
/// a broken sync byte is likelier than missing bytes.
#[cold]
fn resync(body: &[u8], lost: usize) -> Option<usize> {
    let grid = lost + PACKET_LEN;
    if in_sync(body, grid) {
        return Some(grid);
    }
    (lost..body.len()).find(|&at| in_sync(body, at))
}

/// Whether a whole packet starts at `at` and two more follow it, as far as the body goes. The
/// body's last packet has to end with it, for a lone sync byte proves little.
pub(crate) fn in_sync(body: &[u8], at: usize) -> bool {
    let sync = |packet: usize| {
        body.get(at + packet * PACKET_LEN)
            .map(|&byte| byte == SYNC_BYTE)
    };
    match (sync(0), sync(1), sync(2)) {
        (Some(true), Some(true), third) => third != Some(false),
        (Some(true), None, _) => at + PACKET_LEN == body.len(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{access_points, cut, verify};
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn reads_the_fields_of_a_packet() {
        let mut bytes = [0xff; PACKET_LEN];
        bytes[..12].copy_from_slice(&[
            0x47, 0x41, 0x00, 0x3a, 7, 0x50, 0, 0, 0x02, 0x58, 0xfe, 0x01,
        ]);
        let packet = Packet::new(&bytes);
        assert_eq!((packet.pid(), packet.continuity()), (Pid::new(0x100), 10));
        assert!(packet.unit_start() && !packet.transport_error() && !packet.is_scrambled());
        assert_eq!(packet.payload().map(<[u8]>::len), Some(176));
        let field = packet.adaptation().unwrap();
        assert!(field.random_access() && !field.discontinuity());
        assert_eq!(field.pcr(), Some(Ticks::new(1201)));
    }

    #[test]
    fn an_adaptation_field_longer_than_the_packet_is_none() {
        let mut bytes = [0; PACKET_LEN];
        bytes[..5].copy_from_slice(&[0x47, 0x40, 0x64, 0x30, 184]);
        let packet = Packet::new(&bytes);
        assert!(packet.adaptation().is_none() && packet.payload().is_none());
    }

    proptest! {
        #[test]
        fn any_packets_are_read_without_panicking(
            mut packets in prop::collection::vec(
                prop::collection::vec(any::<u8>(), PACKET_LEN),
                0..20,
            ),
            pids in prop::collection::vec(0u8..4, 20),
        ) {
            for (packet, pid) in packets.iter_mut().zip(pids) {
                (packet[0], packet[1], packet[2]) = (SYNC_BYTE, packet[1] & 0x40, pid);
            }
            let body = packets.concat();
            prop_assert_eq!(verify(&body).packets, packets.len());
            access_points(&body);
            let _ = cut(&body, Duration::from_secs(9), Duration::from_secs(1));
            for (_, packet) in Packets::new(&body) {
                if let Some(field) = packet.adaptation() {
                    field.pcr();
                }
                prop_assert!(packet.payload().is_none_or(|payload| !payload.is_empty()));
            }
        }
    }
}
