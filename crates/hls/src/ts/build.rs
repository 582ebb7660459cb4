//! Small transport streams for the tests of this module: one H.264 and one AAC stream.

use std::collections::BTreeMap;

use super::psi::MapEntry;
use super::{PACKET_LEN, Pid, Ticks, pes, section};

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
        self.tables_at(MAP, streams);
    }

    /// The first stream has the clock.
    pub(crate) fn tables_at(&mut self, map_pid: Pid, streams: &[(u8, Pid)]) {
        let pat = section(0x00, &section::association(1, map_pid));
        let entries = streams.iter().map(|&(stream_type, pid)| MapEntry {
            stream_type,
            pid,
            descriptors: &[],
        });
        let map = section(0x02, &section::map(streams[0].1, &[], entries));
        for (pid, section) in [(Pid::PAT, pat), (map_pid, map)] {
            let counter = self.counters.entry(pid).or_insert(15);
            section::write(pid, &section, counter, &mut self.bytes);
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
        self.pes(VIDEO, 0xe0, pts, &field, &picture, false);
    }

    pub(crate) fn audio(&mut self, pts: u64, len: usize) {
        self.pes(AUDIO, 0xc0, pts, &[], &vec![0x55; len], false);
    }

    /// Sound whose PES packet says how long it is.
    pub(crate) fn bounded_audio(&mut self, pts: u64, len: usize) {
        self.pes(AUDIO, 0xc0, pts, &[], &vec![0x55; len], true);
    }

    pub(crate) fn null(&mut self) {
        self.packet(Pid::NULL, false, None, &[0xff; PACKET_LEN - 4]);
    }

    pub(crate) fn skip_counter(&mut self, pid: Pid) {
        self.count(pid);
    }

    fn pes(
        &mut self,
        pid: Pid,
        stream_id: u8,
        pts: u64,
        field: &[u8],
        content: &[u8],
        bounded: bool,
    ) {
        let [high, low] = if bounded {
            13 + content.len() as u16
        } else {
            0
        }
        .to_be_bytes();
        let mut pes = vec![0, 0, 1, stream_id, high, low, 0x80, 0xc0, 10];
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
    section::with_crc(section::section(table_id, 1, 0, content))
}

/// Wraps sections in packets, counted from 0.
pub(crate) fn section_packets(pid: Pid, sections: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    section::write(pid, sections, &mut 15, &mut packets);
    packets
}
