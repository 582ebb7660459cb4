//! PES packet headers (ISO/IEC 13818-1 §2.4.3.6): where an access unit starts and when it is shown.

use super::Ticks;

/// What a PES packet's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesHeader {
    /// `stream_id`.
    pub stream_id: u8,
    /// Presentation time.
    pub pts: Option<Ticks>,
    /// Decoding time, where it differs from `pts`.
    pub dts: Option<Ticks>,
    /// Length of the header in bytes: the elementary stream starts there.
    pub len: usize,
}

/// Where the timestamps stand in a PES header, PTS before DTS.
const PTS_AT: usize = 9;
const DTS_AT: usize = 14;

impl PesHeader {
    /// Reads the header at the start of `payload`; `None` if there is no PES start code or the
    /// header does not fit.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[0, 0, 1, stream_id, _, _, ..] = payload else {
            return None;
        };
        if !has_optional_header(stream_id) {
            return Some(Self {
                stream_id,
                pts: None,
                dts: None,
                len: 6,
            });
        }
        let len = 9 + usize::from(*payload.get(8)?);
        let header = payload.get(..len)?;
        let flags = header[7];
        let pts = if flags & 0x80 != 0 {
            Some(read(header.get(PTS_AT..)?)?)
        } else {
            None
        };
        let dts = if flags & 0xc0 == 0xc0 {
            Some(read(header.get(DTS_AT..)?)?)
        } else {
            None
        };
        Some(Self {
            stream_id,
            pts,
            dts,
            len,
        })
    }
}

/// Moves the timestamps of the PES header at the start of `payload`, if there is one, by `offset`.
pub(super) fn shift(payload: &mut [u8], offset: Ticks) {
    let Some(header) = PesHeader::parse(payload) else {
        return;
    };
    for (at, ticks) in [(PTS_AT, header.pts), (DTS_AT, header.dts)] {
        if let (Some(ticks), Some(field)) = (ticks, payload.get_mut(at..at + 5)) {
            write(field, ticks + offset);
        }
    }
}

/// Table 2-21: the stream ids whose PES packets carry bare data.
const fn has_optional_header(stream_id: u8) -> bool {
    !matches!(
        stream_id,
        0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff
    )
}

/// The 33 bits lie in 3 + 15 + 15, each group followed by a marker bit.
fn read(field: &[u8]) -> Option<Ticks> {
    let &[a, b, c, d, e] = field.first_chunk()?;
    let middle = u16::from_be_bytes([b, c]) >> 1;
    let low = u16::from_be_bytes([d, e]) >> 1;
    Some(Ticks::new(
        u64::from(a >> 1 & 0x07) << 30 | u64::from(middle) << 15 | u64::from(low),
    ))
}

/// Writes the three groups and their markers; the prefix that tells PTS from DTS stays.
pub(super) fn write(field: &mut [u8], ticks: Ticks) {
    let ticks = ticks.get();
    let group = |bits: u64| ((bits as u16) << 1 | 1).to_be_bytes();
    field[0] = field[0] & 0xf0 | ((ticks >> 30) as u8) << 1 | 1;
    field[1..3].copy_from_slice(&group(ticks >> 15));
    field[3..5].copy_from_slice(&group(ticks));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn timestamps_round_trip(ticks: u64, prefix in 0u8..16) {
            let ticks = Ticks::new(ticks);
            let mut field = [prefix << 4, 0, 0, 0, 0];
            write(&mut field, ticks);
            prop_assert_eq!(read(&field), Some(ticks));
            prop_assert_eq!(field[0] >> 4, prefix);
            prop_assert_eq!([field[0] & 1, field[2] & 1, field[4] & 1], [1, 1, 1]);
        }

        #[test]
        fn reads_any_bytes_without_panicking(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for (at, byte) in [0, 0, 1].into_iter().enumerate().take(bytes.len()) {
                bytes[at] = byte;
            }
            shift(&mut bytes, Ticks::new(1));
            if let Some(header) = PesHeader::parse(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
        }
    }

    #[test]
    fn knows_the_timestamps_and_where_the_stream_starts() {
        let mut header = vec![
            0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x30, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0x65,
        ];
        write(&mut header[9..], Ticks::new(183_003));
        write(&mut header[14..], Ticks::new(180_000));
        let expected = PesHeader {
            stream_id: 0xe0,
            pts: Some(Ticks::new(183_003)),
            dts: Some(Ticks::new(180_000)),
            len: 19,
        };
        assert_eq!(PesHeader::parse(&header), Some(expected));
        assert_eq!(PesHeader::parse(&header[..18]), None);
        assert_eq!(PesHeader::parse(&header[1..]), None);
    }

    #[test]
    fn padding_streams_have_no_timestamps() {
        let header = PesHeader::parse(&[0, 0, 1, 0xbe, 0, 4, 0xff, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!((header.pts, header.len), (None, 6));
    }
}
