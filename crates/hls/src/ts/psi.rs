//! Program-specific information (ISO/IEC 13818-1 §2.4.4): the association table (PAT) names the
//! programs, a map table (PMT) names a program's streams.

use super::{PACKET_LEN, Packet, Packets, Pid};

/// The longest section of a PAT or PMT: 3 bytes of header and a 10-bit length.
const SECTION_LEN_MAX: usize = 1024;

/// Maps of a PAT that are followed; a transport stream of HLS has one program (RFC 8216 §3.2).
const MAPS_MAX: usize = 16;

/// What a stream carries, as its `stream_type` and descriptors say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamKind {
    /// MPEG-1 or MPEG-2 video.
    Mpeg2,
    /// H.264, also under SAMPLE-AES.
    H264,
    /// H.265.
    H265,
    /// AAC in ADTS or LATM, also under SAMPLE-AES.
    Aac,
    /// MPEG audio (MP1, MP2, MP3).
    MpegAudio,
    /// AC-3 or E-AC-3, as ATSC, DVB or SAMPLE-AES mark them.
    Ac3,
    /// Anything else, with its `stream_type`.
    Other(u8),
}

impl StreamKind {
    fn new(stream_type: u8, descriptors: &[u8]) -> Self {
        match stream_type {
            0x01 | 0x02 => Self::Mpeg2,
            0x1b | 0xdb => Self::H264,
            0x24 => Self::H265,
            0x0f | 0x11 | 0xcf => Self::Aac,
            0x03 | 0x04 => Self::MpegAudio,
            0x81 | 0x87 | 0xc1 | 0xc2 => Self::Ac3,
            // Private data is AC-3 where DVB's descriptor says so (ETSI EN 300 468 annex D).
            0x06 if descriptor(descriptors, &[0x6a, 0x7a]).is_some() => Self::Ac3,
            other => Self::Other(other),
        }
    }

    /// Whether it is one of the video kinds.
    pub const fn is_video(self) -> bool {
        matches!(self, Self::Mpeg2 | Self::H264 | Self::H265)
    }

    /// Whether it is one of the audio kinds.
    pub const fn is_audio(self) -> bool {
        matches!(self, Self::Aac | Self::MpegAudio | Self::Ac3)
    }
}

/// A stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Where its packets are.
    pub pid: Pid,
    /// What they carry.
    pub kind: StreamKind,
}

/// A program, as its map table describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// `program_number`.
    pub number: u16,
    /// Where its map table is.
    pub map_pid: Pid,
    /// Whose packets carry its clock.
    pub pcr_pid: Pid,
    /// Its streams, in the map's order.
    pub streams: Vec<Stream>,
}

impl Program {
    /// The first video stream.
    pub fn video(&self) -> Option<Stream> {
        self.streams
            .iter()
            .copied()
            .find(|stream| stream.kind.is_video())
    }

    /// The first audio stream.
    pub fn audio(&self) -> Option<Stream> {
        self.streams
            .iter()
            .copied()
            .find(|stream| stream.kind.is_audio())
    }
}

/// The packets of the first program's PAT and PMT, which tell a player all that an initialisation
/// section can tell of a transport stream (RFC 8216 §3.2); their continuity counters are 0, so that the same
/// tables are the same bytes. `None` if they are not there.
pub fn tables(body: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Tables::default();
    let mut kept = Vec::new();
    for (offset, packet) in Packets::new(body) {
        reader.push(&packet);
        if packet.pid() == Pid::PAT || reader.maps.iter().any(|map| map.pid == packet.pid()) {
            kept.push((packet.pid(), offset));
        }
        let Some(program) = reader.program() else {
            continue;
        };
        let ours = kept
            .iter()
            .filter(|(pid, _)| *pid == Pid::PAT || *pid == program.map_pid);
        let packets = ours.map(|&(_, offset)| &body[offset..offset + PACKET_LEN]);
        let mut tables = packets.collect::<Vec<_>>().concat();
        for packet in tables.chunks_exact_mut(PACKET_LEN) {
            packet[3] &= 0xf0;
        }
        return Some(tables);
    }
    None
}

/// Reads tables until the first program is known.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pat: Sections,
    maps: Vec<Map>,
    /// The only program to follow, if the association table has it.
    preferred: Option<u16>,
    found: Option<Found>,
}

/// The first program and the sections that told of it, without their CRC.
#[derive(Debug)]
struct Found {
    program: Program,
    association: Vec<u8>,
    map: Vec<u8>,
}

#[derive(Debug)]
struct Map {
    number: u16,
    pid: Pid,
    sections: Sections,
    association: Vec<u8>,
}

impl Tables {
    /// Follows program `number` where there are several.
    pub(super) fn preferring(number: u16) -> Self {
        Self {
            preferred: Some(number),
            ..Self::default()
        }
    }

    /// Takes a packet of any PID.
    pub(super) fn push(&mut self, packet: &Packet<'_>) {
        if self.found.is_some() {
            return;
        }
        let pid = packet.pid();
        if pid == Pid::PAT {
            let (maps, preferred) = (&mut self.maps, self.preferred);
            self.pat.push(packet, |section| {
                read_association(section, maps);
                if maps.iter().any(|map| Some(map.number) == preferred) {
                    maps.retain(|map| Some(map.number) == preferred);
                }
            });
        } else if let Some(map) = self.maps.iter_mut().find(|map| map.pid == pid) {
            let (number, association) = (map.number, &map.association);
            let found = &mut self.found;
            map.sections.push(packet, |section| {
                if found.is_none() {
                    *found = read_map(section, number, pid).map(|program| Found {
                        program,
                        association: association.clone(),
                        map: section.to_vec(),
                    });
                }
            });
        }
    }

    /// Whether an association table was read.
    pub(super) fn has_association(&self) -> bool {
        !self.maps.is_empty()
    }

    /// The first program whose map was read.
    pub(super) fn program(&self) -> Option<&Program> {
        self.found.as_ref().map(|found| &found.program)
    }

    /// The sections of the first program's PAT and PMT, without their CRC.
    pub(super) fn sections(&self) -> Option<(&[u8], &[u8])> {
        let found = self.found.as_ref()?;
        Some((&found.association, &found.map))
    }

    pub(super) fn into_program(self) -> Option<Program> {
        self.found.map(|found| found.program)
    }
}

/// Puts the sections of one PID together out of packets and passes on those whose CRC is right.
#[derive(Debug, Default)]
pub(super) struct Sections {
    partial: Vec<u8>,
    /// Before the first unit start nothing can be told apart.
    started: bool,
}

impl Sections {
    /// Takes the PID's next packet; `complete` gets each whole section without its CRC.
    pub(super) fn push(&mut self, packet: &Packet<'_>, mut complete: impl FnMut(&[u8])) {
        let Some(payload) = packet.payload() else {
            return;
        };
        if !packet.unit_start() {
            if self.started {
                self.extend(payload, &mut complete);
            }
            return;
        }
        // The pointer field tells how many bytes still belong to the section before.
        let Some((tail, fresh)) = payload
            .split_first()
            .and_then(|(&pointer, rest)| rest.split_at_checked(pointer.into()))
        else {
            return;
        };
        if self.started {
            self.extend(tail, &mut complete);
        }
        self.partial.clear();
        self.started = true;
        self.extend(fresh, &mut complete);
    }

    fn extend(&mut self, bytes: &[u8], complete: &mut impl FnMut(&[u8])) {
        self.partial.extend_from_slice(bytes);
        let mut rest = &self.partial[..];
        let stop = loop {
            let &[table_id, high, low, ..] = rest else {
                break false;
            };
            let len = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
            // 0xff is stuffing up to the end of the packet; a longer section is none of ours.
            if table_id == 0xff || len > SECTION_LEN_MAX {
                break true;
            }
            let Some((section, after)) = rest.split_at_checked(len) else {
                break false;
            };
            if let Some((content, _crc)) = section.split_last_chunk::<4>()
                && crc32(section) == 0
            {
                complete(content);
            }
            rest = after;
        };
        let done = self.partial.len() - rest.len();
        self.partial.drain(..done);
        if stop {
            self.partial.clear();
            self.started = false;
        }
    }
}

/// The eight bytes that all long sections start with, checked for a table that is in force.
fn content(section: &[u8], table_id: u8) -> Option<(u16, &[u8])> {
    let (header, content) = section.split_first_chunk::<8>()?;
    let current = header[5] & 1 != 0;
    let extension = u16::from_be_bytes([header[3], header[4]]);
    (header[0] == table_id && current).then_some((extension, content))
}

fn read_association(section: &[u8], maps: &mut Vec<Map>) {
    let Some((_, entries)) = content(section, 0x00) else {
        return;
    };
    for entry in entries.as_chunks::<4>().0 {
        let number = u16::from_be_bytes([entry[0], entry[1]]);
        let pid = Pid::new(u16::from_be_bytes([entry[2], entry[3]]));
        // Program 0 is the network information table.
        if number != 0 && maps.len() < MAPS_MAX && maps.iter().all(|map| map.pid != pid) {
            let sections = Sections::default();
            maps.push(Map {
                number,
                pid,
                sections,
                association: section.to_vec(),
            });
        }
    }
}

fn read_map(section: &[u8], number: u16, map_pid: Pid) -> Option<Program> {
    let (extension, _) = content(section, 0x02)?;
    if extension != number {
        return None;
    }
    let map = MapTable::parse(section)?;
    let stream = |entry: &MapEntry<'_>| Stream {
        pid: entry.pid,
        kind: entry.kind(),
    };
    Some(Program {
        number,
        map_pid,
        pcr_pid: map.pcr_pid,
        streams: map.entries.iter().map(stream).collect(),
    })
}

/// A map table as it stands in its section.
#[derive(Debug)]
pub(super) struct MapTable<'a> {
    pub(super) pcr_pid: Pid,
    /// The program's descriptors.
    pub(super) info: &'a [u8],
    pub(super) entries: Vec<MapEntry<'a>>,
}

/// A stream in a map table.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapEntry<'a> {
    pub(super) stream_type: u8,
    pub(super) pid: Pid,
    pub(super) descriptors: &'a [u8],
}

impl<'a> MapTable<'a> {
    /// Reads a section without its CRC.
    pub(super) fn parse(section: &'a [u8]) -> Option<Self> {
        let (_, map) = content(section, 0x02)?;
        let (&[pcr_high, pcr_low, info_high, info_low], rest) = map.split_first_chunk()?;
        let info_len = u16::from_be_bytes([info_high & 0x0f, info_low]);
        let (info, mut rest) = rest.split_at_checked(info_len.into())?;
        let mut entries = Vec::new();
        while let Some((&[stream_type, pid_high, pid_low, len_high, len_low], after)) =
            rest.split_first_chunk()
        {
            let len = u16::from_be_bytes([len_high & 0x0f, len_low]);
            let (descriptors, after) = after.split_at_checked(len.into())?;
            entries.push(MapEntry {
                stream_type,
                pid: Pid::new(u16::from_be_bytes([pid_high, pid_low])),
                descriptors,
            });
            rest = after;
        }
        Some(Self {
            pcr_pid: Pid::new(u16::from_be_bytes([pcr_high, pcr_low])),
            info,
            entries,
        })
    }
}

impl<'a> MapEntry<'a> {
    pub(super) fn kind(&self) -> StreamKind {
        StreamKind::new(self.stream_type, self.descriptors)
    }

    /// The content of the first descriptor with one of `tags`.
    pub(super) fn descriptor(&self, tags: &[u8]) -> Option<&'a [u8]> {
        descriptor(self.descriptors, tags)
    }
}

fn descriptor<'a>(mut descriptors: &'a [u8], tags: &[u8]) -> Option<&'a [u8]> {
    while let &[tag, len, ref rest @ ..] = descriptors {
        let (content, after) = rest.split_at_checked(len.into())?;
        if tags.contains(&tag) {
            return Some(content);
        }
        descriptors = after;
    }
    None
}

/// CRC-32/MPEG-2 (annex A). Over a section that ends with its own CRC it is 0. A table is read once
/// a segment, so bit by bit is fast enough.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::build::{MAP, Mux, VIDEO, section, section_packets};
    use super::*;

    fn tables(packets: &[u8]) -> Tables {
        let mut tables = Tables::default();
        for packet in packets.as_chunks().0 {
            tables.push(&Packet::new(packet));
        }
        tables
    }

    #[test]
    fn crc_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn finds_the_program_and_its_streams() {
        let mut mux = Mux::new();
        mux.tables();
        let program = tables(&mux.bytes).into_program().unwrap();
        assert_eq!(
            (program.number, program.map_pid, program.pcr_pid),
            (1, MAP, VIDEO)
        );
        assert_eq!(program.video().unwrap().kind, StreamKind::H264);
        assert_eq!(program.audio().unwrap().kind, StreamKind::Aac);
    }

    #[test]
    fn a_wrong_crc_is_no_table() {
        let mut mux = Mux::new();
        mux.tables();
        mux.bytes[5 + 10] ^= 1;
        assert!(!tables(&mux.bytes).has_association());
    }

    #[test]
    fn reads_a_map_that_spans_packets_and_follows_another_section() {
        let pat = section(0x00, &[0, 1, 0xf0, 0x00]);
        let ac3 = [0x06, 0xe1, 0x01, 0xf0, 4, 0x52, 0, 0x6a, 0];
        let private = [0x06, 0xe1, 0x02, 0xf0, 200];
        let mut map = [&[0xe1, 0x00, 0xf0, 0][..], &ac3, &private].concat();
        map.extend([0x05, 198].iter().chain([&0x6b; 198]));
        let map = section(0x02, &map);
        // Another table stands before the map in the same PID.
        let other = section(0x80, &[]);
        let mut packets = section_packets(Pid::PAT, &pat);
        packets.extend(section_packets(Pid::new(0x1000), &[other, map].concat()));
        assert_eq!(packets.len(), 3 * 188);
        let kinds: Vec<_> = tables(&packets).into_program().unwrap().streams;
        let kinds: Vec<_> = kinds.iter().map(|stream| stream.kind).collect();
        assert_eq!(kinds, [StreamKind::Ac3, StreamKind::Other(6)]);
    }
}
