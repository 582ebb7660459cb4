//! Finding packets in bytes that arrive in pieces of any size.

use super::super::{PACKET_LEN, SYNC_BYTE};

/// Sync bytes in a row that prove a packet where sync was lost.
const PROOF: usize = 3;

/// Bytes to look at for that.
const PROOF_LEN: usize = (PROOF - 1) * PACKET_LEN + 1;

/// A stream that has no packets for so long is none.
const LOST_MAX: usize = 1 << 20;

/// So many bytes belonged to no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost(pub(super) usize);

/// Holds what has arrived and is not a whole packet yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Framer {
    buffer: Vec<u8>,
    at: usize,
    in_sync: bool,
    lost: usize,
}

impl Framer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet; `None` until more bytes arrive.
    pub(super) fn next_packet(&mut self) -> Result<Option<[u8; PACKET_LEN]>, Lost> {
        loop {
            let rest = &self.buffer[self.at..];
            if self.in_sync {
                let Some(packet) = rest.first_chunk() else {
                    return Ok(None);
                };
                if packet[0] == SYNC_BYTE {
                    self.at += PACKET_LEN;
                    self.lost = 0;
                    return Ok(Some(*packet));
                }
                self.in_sync = false;
            } else if rest.len() < PACKET_LEN + PROOF_LEN {
                return Ok(None);
            } else {
                let found = find(rest);
                let skipped = found.unwrap_or(rest.len() - PROOF_LEN + 1);
                self.in_sync = found.is_some();
                self.at += skipped;
                self.lost += skipped;
                if self.lost > LOST_MAX {
                    return Err(Lost(self.lost));
                }
            }
        }
    }
}

/// Where packets stand in sync. Right here is best; else one packet further on is tried first: a
/// broken sync byte is likelier than missing bytes.
fn find(bytes: &[u8]) -> Option<usize> {
    let proven = |at: &usize| {
        (0..PROOF).all(|packet| bytes.get(at + packet * PACKET_LEN) == Some(&SYNC_BYTE))
    };
    [0, PACKET_LEN]
        .into_iter()
        .chain(1..=bytes.len() - PROOF_LEN)
        .find(proven)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: u8) -> Vec<u8> {
        let packet = |n| {
            let mut packet = [n; PACKET_LEN];
            packet[0] = SYNC_BYTE;
            packet
        };
        (0..count).flat_map(packet).collect()
    }

    /// The second byte of each packet that is found, whatever size the pieces have.
    #[track_caller]
    fn check(bytes: &[u8], expected: &[u8]) {
        for size in [1, 7, 188, 500, bytes.len()] {
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                framer.push(piece);
                while let Some(packet) = framer.next_packet().unwrap() {
                    found.push(packet[1]);
                }
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn finds_packets_behind_junk_and_faults() {
        check(&packets(5), &[0, 1, 2, 3, 4]);
        check(
            &[b"HTTP/1.1 200 OK", &packets(5)[..]].concat(),
            &[0, 1, 2, 3, 4],
        );
        check(&packets(9)[100..], &[1, 2, 3, 4, 5, 6, 7, 8]);

        let mut broken = packets(9);
        broken[4 * PACKET_LEN] = 0;
        check(&broken, &[0, 1, 2, 3, 5, 6, 7, 8]);

        let mut missing = packets(9);
        missing.drain(3 * PACKET_LEN + 50..3 * PACKET_LEN + 90);
        check(&missing, &[0, 1, 2, 3, 5, 6, 7, 8]);
    }

    #[test]
    fn bytes_without_packets_are_given_up() {
        let mut framer = Framer::default();
        let mut pushed = 0;
        let lost = loop {
            framer.push(&[0x48; 5000]);
            pushed += 5000;
            match framer.next_packet() {
                Ok(packet) => assert_eq!(packet, None),
                Err(Lost(bytes)) => break bytes,
            }
            assert!(framer.buffer.len() <= 5000 + PACKET_LEN + PROOF_LEN);
        };
        assert!(lost > LOST_MAX && pushed <= LOST_MAX + 10_000);
    }
}
