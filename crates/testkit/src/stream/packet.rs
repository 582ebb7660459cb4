//! Transport packets, program tables and PES headers (ISO/IEC 13818-1 §2.4), read as strictly as they are
//! written. The kit's own on purpose: it judges `hls`.

pub(super) const PACKET_LEN: usize = 188;
pub(super) const NULL_PID: u16 = 0x1fff;
/// Timestamps count to 2^33 at 90 kHz.
pub(super) const WRAP: i64 = 1 << 33;

/// What a packet's four bytes of header say, and what follows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    pub(super) starts_unit: bool,
    pub(super) counter: u8,
    pub(super) payload: Option<&'a [u8]>,
    /// The discontinuity indicator.
    pub(super) jump: bool,
    /// The clock reference, in ticks of 90 kHz.
    pub(super) pcr: Option<i64>,
}

impl<'a> Packet<'a> {
    pub(super) fn read(bytes: &'a [u8; PACKET_LEN]) -> Result<Self, String> {
        if bytes[0] != 0x47 {
            return Err(format!("sync byte 0x{:02x}", bytes[0]));
        }
        if bytes[1] & 0x80 != 0 || bytes[3] & 0xc0 != 0 {
            return Err("a broken or scrambled packet".to_owned());
        }
        let mut packet = Self {
            pid: u16::from_be_bytes([bytes[1] & 0x1f, bytes[2]]),
            starts_unit: bytes[1] & 0x40 != 0,
            counter: bytes[3] & 0x0f,
            payload: None,
            jump: false,
            pcr: None,
        };
        let mut at = 4;
        if bytes[3] & 0x20 != 0 {
            let len = usize::from(bytes[4]);
            let field = bytes
                .get(5..5 + len)
                .ok_or("an adaptation field beyond the packet")?;
            at = 5 + len;
            packet.jump = field.first().is_some_and(|flags| flags & 0x80 != 0);
            if let [flags, a, b, c, d, e, ..] = field
                && flags & 0x10 != 0
            {
                let base = u32::from_be_bytes([*a, *b, *c, *d]);
                packet.pcr = Some(i64::from(base) << 1 | i64::from(e >> 7));
            }
        }
        if bytes[3] & 0x10 != 0 {
            packet.payload = Some(&bytes[at..]).filter(|payload| !payload.is_empty());
        }
        Ok(packet)
    }
}

/// How far `later` is after `earlier`, the shorter way round.
pub(super) const fn since(later: i64, earlier: i64) -> i64 {
    (later - earlier + WRAP / 2).rem_euclid(WRAP) - WRAP / 2
}

/// The content of the section that a packet starts with, its CRC checked; none of ours is longer.
pub(super) fn section(payload: &[u8], table: u8) -> Result<&[u8], String> {
    let pointer = usize::from(*payload.first().ok_or("an empty table")?);
    let section = payload
        .get(1 + pointer..)
        .ok_or("a table's pointer beyond the packet")?;
    let [id, high, low, ..] = section else {
        return Err("a table cut off".to_owned());
    };
    let len = 3 + usize::from(u16::from_be_bytes([high & 0x0f, *low]));
    let whole = section.get(..len).filter(|whole| whole.len() > 12);
    let whole = whole.ok_or("a table longer than a packet")?;
    if *id != table || crc(whole) != 0 {
        return Err(format!("table 0x{id:02x} with a bad CRC or out of place"));
    }
    Ok(&whole[8..len - 4])
}

/// The PMT's PID by a PAT.
pub(super) fn map_pid(association: &[u8]) -> Option<u16> {
    let mut programs = association.as_chunks::<4>().0.iter();
    let program = programs.find(|program| program[..2] != [0, 0])?;
    Some(u16::from_be_bytes([program[2] & 0x1f, program[3]]))
}

/// The PCR's PID and the streams, PID and type, by a PMT.
pub(super) fn streams(map: &[u8]) -> Option<(u16, Vec<(u16, u8)>)> {
    let [a, b, c, d, rest @ ..] = map else {
        return None;
    };
    let mut rest = rest.get(usize::from(u16::from_be_bytes([c & 0x0f, *d]))..)?;
    let mut streams = Vec::new();
    while let [kind, a, b, c, d, after @ ..] = rest {
        streams.push((u16::from_be_bytes([a & 0x1f, *b]), *kind));
        rest = after.get(usize::from(u16::from_be_bytes([c & 0x0f, *d]))..)?;
    }
    Some((u16::from_be_bytes([a & 0x1f, *b]), streams))
}

/// PTS, DTS and where the content begins in the payload that starts a PES packet.
pub(super) fn pes(payload: &[u8]) -> Result<(i64, i64, usize), String> {
    let [0, 0, 1, _, _, _, _, flags, len, ..] = payload else {
        return Err("a unit without PES header".to_owned());
    };
    let time = |at: usize| {
        let bytes: [u8; 5] = payload.get(at..at + 5)?.try_into().ok()?;
        let [a, b, c, d, e] = bytes.map(i64::from);
        Some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
    };
    let pts = time(9).filter(|_| flags & 0x80 != 0);
    let pts = pts.ok_or("a unit without a time")?;
    let dts = if flags & 0x40 != 0 {
        time(14)
    } else {
        Some(pts)
    };
    let dts = dts.ok_or("a unit's header cut off")?;
    Ok((pts, dts, 9 + usize::from(*len)))
}

/// CRC-32/MPEG-2: 0 over a section with its CRC.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}
