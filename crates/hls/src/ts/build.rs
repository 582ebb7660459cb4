//! Small transport streams for the tests of this module: one H.264 and one AAC stream.

use std::collections::BTreeMap;

use super::psi::crc32;
use super::{PACKET_LEN, Pid, Ticks, pes};

pub(crate) const MAP: Pid = Pid::new(0x1000);
pub(crate) const VIDEO: Pid = Pid::new(0x100);
pub(crate) const AUDIO: Pid = Pid::new(0x101);

/// Writes packets one after the other.
pub(crate) struct Mux {
    pub(crate) bytes: Vec<u8>,
    /// Whether key frames are marked by `random_access_indicator`.
    pub(crate) marks: bool,
    counters: BTreeMap<Pid, u8>,
}

impl Mux {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            marks: true,
            counters: BTreeMap::new(),
        }
    }

    pub(crate) fn tables(&mut self) {
        self.tables_of(&[(0x1b, VIDEO), (0x0f, AUDIO)]);
    }

    pub(crate) fn tables_of(&mut self, streams: &[(u8, Pid)]) {
        let pat = section(0x00, &[&[0, 1], &MAP.get().to_be_bytes()[..]].concat());
        let mut map = streams[0].1.get().to_be_bytes().to_vec();
        map.extend([0xf0, 0]);
        for (kind, pid) in streams {
            map.push(*kind);
            map.extend(pid.get().to_be_bytes());
            map.extend([0xf0, 0]);
        }
        for (pid, section) in [(Pid::PAT, pat), (MAP, section(0x02, &map))] {
            let mut packets = section_packets(pid, &section);
            for packet in packets.chunks_mut(PACKET_LEN) {
                packet[3] = 0x10 | self.count(pid);
            }
            self.bytes.extend(packets);
        }
    }

    /// A picture of `len` bytes with PCR; a key picture carries SPS and IDR.
    pub(crate) fn video(&mut self, pts: u64, key: bool, len: usize) {
        let mut picture: Vec<u8> = if key {
            [0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x67, 0x64, 0, 0, 1, 0x65].into()
        } else {
            [0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x41].into()
        };
        picture.resize(len.max(picture.len()), 0xaa);
        let marked = key && self.marks;
        let mut field = vec![0x10 | u8::from(marked) << 6];
        field.extend((((pts % (1 << 33)) >> 1) as u32).to_be_bytes());
        field.extend([(pts as u8) << 7 | 0x7e, 0]);
        self.pes(VIDEO, 0xe0, pts, &field, &picture);
    }

    pub(crate) fn audio(&mut self, pts: u64, len: usize) {
        self.pes(AUDIO, 0xc0, pts, &[], &vec![0x55; len]);
    }

    pub(crate) fn null(&mut self) {
        self.packet(Pid::NULL, false, None, &[0xff; PACKET_LEN - 4]);
    }

    pub(crate) fn skip_counter(&mut self, pid: Pid) {
        self.count(pid);
    }

    fn pes(&mut self, pid: Pid, stream_id: u8, pts: u64, field: &[u8], content: &[u8]) {
        let mut pes = vec![0, 0, 1, stream_id, 0, 0, 0x80, 0xc0, 10];
        pes.extend([0x30, 0, 0, 0, 0, 0x10, 0, 0, 0, 0]);
        pes::write(&mut pes[9..], Ticks::new(pts));
        pes::write(&mut pes[14..], Ticks::new(pts));
        pes.extend(content);
        let mut rest = &pes[..];
        let mut field = field.to_vec();
        while !rest.is_empty() {
            let start = rest.len() == pes.len();
            // The field's length takes a byte; stuffing begins with a byte of flags.
            let room = PACKET_LEN - 4 - if field.is_empty() { 0 } else { 1 + field.len() };
            let now;
            (now, rest) = rest.split_at(room.min(rest.len()));
            if now.len() < PACKET_LEN - 4 {
                if field.is_empty() && now.len() < PACKET_LEN - 5 {
                    field.push(0);
                }
                field.resize(PACKET_LEN - 5 - now.len(), 0xff);
                self.packet(pid, start, Some(&field), now);
            } else {
                self.packet(pid, start, None, now);
            }
            field.clear();
        }
    }

    fn packet(&mut self, pid: Pid, start: bool, field: Option<&[u8]>, payload: &[u8]) {
        let [high, low] = pid.get().to_be_bytes();
        let before = self.bytes.len();
        let control = if field.is_some() { 0x30 } else { 0x10 };
        let counter = self.count(pid);
        self.bytes
            .extend([0x47, high | u8::from(start) << 6, low, control | counter]);
        if let Some(field) = field {
            self.bytes.push(field.len() as u8);
            self.bytes.extend(field);
        }
        self.bytes.extend(payload);
        assert_eq!(self.bytes.len() - before, PACKET_LEN);
    }

    fn count(&mut self, pid: Pid) -> u8 {
        let counter = self.counters.entry(pid).or_insert(15);
        *counter = (*counter + 1) & 0x0f;
        *counter
    }
}

/// A section of program or stream 1, with its CRC.
pub(crate) fn section(table_id: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (5 + content.len() as u16 + 4).to_be_bytes();
    let mut section = vec![table_id, 0xb0 | high, low, 0, 1, 0xc1, 0, 0];
    section.extend(content);
    section.extend(crc32(&section).to_be_bytes());
    section
}

/// Wraps sections in packets.
pub(crate) fn section_packets(pid: Pid, sections: &[u8]) -> Vec<u8> {
    let bytes = [&[0], sections].concat();
    let mut packets = Vec::new();
    for (index, chunk) in bytes.chunks(PACKET_LEN - 4).enumerate() {
        let [high, low] = pid.get().to_be_bytes();
        let start = u8::from(index == 0) << 6;
        packets.extend([0x47, high | start, low, 0x10 | index as u8 & 0x0f]);
        packets.extend(chunk);
        packets.resize((index + 1) * PACKET_LEN, 0xff);
    }
    packets
}
