//! Packed audio (RFC 8216 §3.4): an ID3 tag with the timestamp, then frames that follow each other.

/// How the frames are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// AAC in ADTS (ISO/IEC 13818-7 §6.2).
    Adts,
    /// MPEG audio, layers II and III (ISO/IEC 11172-3 §2.4.2.3, 13818-3).
    Mpeg,
    /// AC-3 and E-AC-3 (ETSI TS 102 366 §4.3, §E.1.2).
    Ac3,
}

/// The codec of packed audio and where its first frame starts; `None` if the first frame is not
/// followed by another.
pub(super) fn start(body: &[u8]) -> Option<(Codec, usize)> {
    let at = tags_len(body);
    [Codec::Adts, Codec::Mpeg, Codec::Ac3]
        .into_iter()
        .find(|codec| codec.is_followed(body, at))
        .map(|codec| (codec, at))
}

/// How many frames of packed audio are whole, and about how many are not.
pub(super) fn count_frames(body: &[u8]) -> (usize, usize) {
    let Some((codec, mut at)) = start(body) else {
        return (0, 0);
    };
    let typical = codec.frame_len(&body[at..]).unwrap_or(body.len());
    let (mut whole, mut lost_bytes) = (0, 0);
    while at < body.len() {
        match codec.frame_len(&body[at..]) {
            Some(len) if len <= body.len() - at => {
                whole += 1;
                at += len;
            }
            _ => {
                let found = (at + 1..body.len()).find(|&at| codec.is_followed(body, at));
                let found = found.unwrap_or(body.len());
                lost_bytes += found - at;
                at = found;
            }
        }
    }
    (whole, lost_bytes.div_ceil(typical))
}

impl Codec {
    /// Whether a frame starts at `at` and the next one where it ends, as far as the body goes.
    fn is_followed(self, body: &[u8], at: usize) -> bool {
        let frame_len = |at: usize| body.get(at..).and_then(|rest| self.frame_len(rest));
        frame_len(at).is_some_and(|len| at + len >= body.len() || frame_len(at + len).is_some())
    }

    /// The length of the frame whose header `bytes` start with.
    fn frame_len(self, bytes: &[u8]) -> Option<usize> {
        match (self, bytes) {
            (Self::Adts, &[0xff, sync, rates, a, b, c, _, ..])
                if sync & 0xf6 == 0xf0 && rates >> 2 & 0x0f < 13 =>
            {
                let len = usize::from(a & 3) << 11 | usize::from(b) << 3 | usize::from(c >> 5);
                (len >= 7).then_some(len)
            }
            (Self::Mpeg, &[0xff, sync, rates, _, ..]) if sync & 0xe0 == 0xe0 => {
                mpeg_len(sync, rates)
            }
            (Self::Ac3, &[0x0b, 0x77, a, b, rates, bsid, ..]) => match bsid >> 3 {
                0..=10 => ac3_len(rates),
                11..=16 => Some((usize::from(a & 7) << 8 | usize::from(b)) * 2 + 2),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Bytes of the ID3v2 tags in front (id3.org, ID3v2.4 §3.1): sizes in groups of seven bits.
fn tags_len(body: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&[b'I', b'D', b'3', _, _, flags, a, b, c, d]) =
        body.get(at..).and_then(|rest| rest.first_chunk())
    {
        let size = [a, b, c, d]
            .iter()
            .fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        at += 10 + size + footer;
    }
    at
}

fn mpeg_len(sync: u8, rates: u8) -> Option<usize> {
    const KBITS: [[usize; 14]; 3] = [
        [
            32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
        ],
        [
            32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    // Version 1 samples at these rates, version 2 at half and 2.5 at a quarter of them.
    let (is_version_1, halvings) = match sync >> 3 & 3 {
        3 => (true, 0),
        2 => (false, 1),
        0 => (false, 2),
        _ => return None,
    };
    let (table, samples) = match (is_version_1, sync >> 1 & 3) {
        (true, 2) => (0, 1152),
        (true, 1) => (1, 1152),
        (false, 2) => (2, 1152),
        (false, 1) => (2, 576),
        _ => return None,
    };
    let kbits = KBITS[table].get(usize::from(rates >> 4).checked_sub(1)?)?;
    let hertz = [44_100, 48_000, 32_000].get(usize::from(rates >> 2 & 3))? >> halvings;
    Some(samples / 8 * kbits * 1000 / hertz + usize::from(rates >> 1 & 1))
}

fn ac3_len(rates: u8) -> Option<usize> {
    const KBITS: [usize; 19] = [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
    ];
    let code = usize::from(rates & 0x3f);
    let kbits = KBITS.get(code / 2)?;
    // A frame holds 1,536 samples; at 44.1 kHz the low bit of the code evens out the fraction.
    match rates >> 6 {
        0 => Some(kbits * 4),
        1 => Some((kbits * 320 / 147 + code % 2) * 2),
        2 => Some(kbits * 6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(codec: Codec, header: &[u8], expected: Option<usize>) {
        assert_eq!(codec.frame_len(header), expected);
    }

    #[test]
    fn frame_lengths_are_those_of_the_standards() {
        check(
            Codec::Adts,
            &[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc],
            Some(0x173),
        );
        check(
            Codec::Adts,
            &[0xff, 0xf1, 0x50, 0x80, 0x00, 0x7f, 0xfc],
            None,
        );
        check(
            Codec::Adts,
            &[0xff, 0xf1, 0x7c, 0x80, 0x2e, 0x7f, 0xfc],
            None,
        );
        check(Codec::Mpeg, &[0xff, 0xfb, 0x90, 0x00], Some(417));
        check(Codec::Mpeg, &[0xff, 0xfb, 0x92, 0x00], Some(418));
        check(Codec::Mpeg, &[0xff, 0xfd, 0xa4, 0x00], Some(576));
        check(Codec::Mpeg, &[0xff, 0xf3, 0x84, 0x00], Some(192));
        check(Codec::Mpeg, &[0xff, 0xfb, 0xf0, 0x00], None);
        check(Codec::Mpeg, &[0xff, 0xfb, 0x00, 0x00], None);
        check(Codec::Ac3, &[0x0b, 0x77, 0, 0, 0x14, 0x40], Some(768));
        check(Codec::Ac3, &[0x0b, 0x77, 0, 0, 0x55, 0x40], Some(836));
        check(
            Codec::Ac3,
            &[0x0b, 0x77, 0x05, 0xff, 0x3f, 0x80],
            Some(3072),
        );
        check(Codec::Ac3, &[0x0b, 0x77, 0, 0, 0xc0, 0x40], None);
    }
}
