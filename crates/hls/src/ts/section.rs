//! Writing program tables (ISO/IEC 13818-1 §2.4.4).

use super::psi::{MapEntry, crc32};
use super::{PACKET_LEN, Pid, SYNC_BYTE};

/// A long section that is in force, without its CRC: `extension` is a transport stream's id in a
/// PAT, a program's number in a PMT.
pub(super) fn section(table_id: u8, extension: u16, version: u8, content: &[u8]) -> Vec<u8> {
    let [len_high, len_low] = (5 + content.len() as u16 + 4).to_be_bytes();
    let [high, low] = extension.to_be_bytes();
    let version = 0xc1 | (version & 0x1f) << 1;
    let mut section = vec![table_id, 0xb0 | len_high, len_low, high, low, version, 0, 0];
    section.extend_from_slice(content);
    section
}

/// The content of a PAT with one program.
pub(super) fn association(number: u16, map_pid: Pid) -> Vec<u8> {
    [number, 0xe000 | map_pid.get()]
        .map(u16::to_be_bytes)
        .concat()
}

/// The content of a PMT.
pub(super) fn map<'a>(
    pcr_pid: Pid,
    info: &[u8],
    entries: impl Iterator<Item = MapEntry<'a>>,
) -> Vec<u8> {
    let mut content = (0xe000 | pcr_pid.get()).to_be_bytes().to_vec();
    let describe = |content: &mut Vec<u8>, descriptors: &[u8]| {
        content.extend((0xf000 | descriptors.len() as u16).to_be_bytes());
        content.extend_from_slice(descriptors);
    };
    describe(&mut content, info);
    for entry in entries {
        content.push(entry.stream_type);
        content.extend((0xe000 | entry.pid.get()).to_be_bytes());
        describe(&mut content, entry.descriptors);
    }
    content
}

/// Completes a section.
pub(super) fn with_crc(mut section: Vec<u8>) -> Vec<u8> {
    section.extend(crc32(&section).to_be_bytes());
    section
}

/// Appends the packets of `pid` that hold complete `sections`. `counter` is the PID's last
/// continuity counter.
pub(super) fn write(pid: Pid, sections: &[u8], counter: &mut u8, out: &mut Vec<u8>) {
    let [high, low] = pid.get().to_be_bytes();
    // The pointer field: the first section starts right after it.
    let content = [&[0], sections].concat();
    for (index, chunk) in content.chunks(PACKET_LEN - 4).enumerate() {
        *counter = (*counter + 1) & 0x0f;
        let start = u8::from(index == 0) << 6;
        out.extend([SYNC_BYTE, high | start, low, 0x10 | *counter]);
        out.extend_from_slice(chunk);
        out.resize(out.len() + PACKET_LEN - 4 - chunk.len(), 0xff);
    }
}
