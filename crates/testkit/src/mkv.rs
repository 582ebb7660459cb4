//! A [`Clip`] as a Matroska file (RFC 9559), so that there is a film to post: H.264 and AAC taken out of the
//! transport stream unchanged, a cluster for each group of pictures, cues at the end.

use std::collections::BTreeMap;

use hls::ts::PACKET_LEN;

use crate::{Clip, GOP};

/// Ticks of the transport stream's clock in a millisecond.
const TICKS: u64 = 90;
const VIDEO: u8 = 1;
const AUDIO: u8 = 2;
/// As `media/make.sh` makes the clips.
const SIZE: (u64, u64) = (640, 360);
const PICTURE_NS: u64 = 40_000_000;
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// In an AAC frame.
const SAMPLES: u64 = 1024;

/// One frame of one track.
struct Frame {
    track: u8,
    /// Milliseconds from the start of the file, shown and decoded.
    shown_ms: u64,
    decoded: u64,
    is_key: bool,
    data: Vec<u8>,
}

/// What decoders must know before the first frame.
#[derive(Default)]
struct Private {
    sps: Vec<u8>,
    pps: Vec<u8>,
    /// The first four bytes of an ADTS header.
    adts: [u8; 4],
}

/// The first `groups` groups of pictures of a clip, two seconds each.
pub fn film(clip: Clip, groups: u64) -> Vec<u8> {
    let (mut frames, private) = frames(&clip.stream(0, groups));
    frames.sort_by_key(|frame| frame.decoded);
    let tracks = tracks(&private);
    let duration_ms = groups as f64 * GOP.as_secs_f64() * 1000.0;
    let info = master(
        &[0x15, 0x49, 0xa9, 0x66],
        &[
            uint(&[0x2a, 0xd7, 0xb1], 1_000_000),
            float(&[0x44, 0x89], duration_ms),
            text(&[0x4d, 0x80], "testkit"),
            text(&[0x57, 0x41], "testkit"),
        ],
    );
    let head_len = seek_head(0).len() + info.len() + tracks.len();
    let mut clusters = Vec::new();
    let mut cues = Vec::new();
    let starts: Vec<usize> = (0..frames.len())
        .filter(|&at| frames[at].track == VIDEO && frames[at].is_key)
        .collect();
    for (index, &start) in starts.iter().enumerate() {
        // The sound before the first picture goes with it.
        let from = if index == 0 { 0 } else { start };
        let to = starts.get(index + 1).copied().unwrap_or(frames.len());
        let at = frames[start].shown_ms;
        let position = (head_len + clusters.len()) as u64;
        let track = [uint(&[0xf7], VIDEO.into()), uint(&[0xf1], position)];
        let point = [uint(&[0xb3], at), master(&[0xb7], &track)];
        cues.push(master(&[0xbb], &point));
        clusters.extend(cluster(at, &frames[from..to]));
    }
    let seek = seek_head((head_len + clusters.len()) as u64);
    let cues = master(&[0x1c, 0x53, 0xbb, 0x6b], &cues);
    let segment = [seek, info, tracks, clusters, cues];
    let mut file = header();
    file.extend(master(&[0x18, 0x53, 0x80, 0x67], &segment));
    file
}

fn header() -> Vec<u8> {
    let parts = [
        uint(&[0x42, 0x86], 1),
        uint(&[0x42, 0xf7], 1),
        uint(&[0x42, 0xf2], 4),
        uint(&[0x42, 0xf3], 8),
        text(&[0x42, 0x82], "matroska"),
        uint(&[0x42, 0x87], 4),
        uint(&[0x42, 0x85], 2),
    ];
    master(&[0x1a, 0x45, 0xdf, 0xa3], &parts)
}

/// Says where the cues are; as long for every place.
fn seek_head(cues_at: u64) -> Vec<u8> {
    let id = element(&[0x53, 0xab], &[0x1c, 0x53, 0xbb, 0x6b]);
    let position = element(&[0x53, 0xac], &cues_at.to_be_bytes());
    let seek = master(&[0x4d, 0xbb], &[id, position]);
    master(&[0x11, 0x4d, 0x9b, 0x74], &[seek])
}

fn tracks(private: &Private) -> Vec<u8> {
    let Private { sps, pps, adts } = private;
    let mut avc = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    avc.extend((sps.len() as u16).to_be_bytes());
    avc.extend(sps);
    avc.push(1);
    avc.extend((pps.len() as u16).to_be_bytes());
    avc.extend(pps);
    let (object, rate, channels) = aac(*adts);
    let aac =
        (u16::from(object) << 11 | (rate as u16) << 7 | u16::from(channels) << 3).to_be_bytes();
    let size = [uint(&[0xb0], SIZE.0), uint(&[0xba], SIZE.1)];
    let video = [
        uint(&[0xd7], VIDEO.into()),
        uint(&[0x73, 0xc5], VIDEO.into()),
        uint(&[0x83], 1),
        uint(&[0x9c], 0),
        text(&[0x86], "V_MPEG4/ISO/AVC"),
        element(&[0x63, 0xa2], &avc),
        uint(&[0x23, 0xe3, 0x83], PICTURE_NS),
        master(&[0xe0], &size),
    ];
    let sound = [
        float(&[0xb5], RATES[rate].into()),
        uint(&[0x9f], channels.into()),
    ];
    let audio = [
        uint(&[0xd7], AUDIO.into()),
        uint(&[0x73, 0xc5], AUDIO.into()),
        uint(&[0x83], 2),
        uint(&[0x9c], 0),
        text(&[0x86], "A_AAC"),
        element(&[0x63, 0xa2], &aac),
        master(&[0xe1], &sound),
    ];
    let entries = [master(&[0xae], &video), master(&[0xae], &audio)];
    master(&[0x16, 0x54, 0xae, 0x6b], &entries)
}

fn cluster(at_ms: u64, frames: &[Frame]) -> Vec<u8> {
    let mut parts = vec![uint(&[0xe7], at_ms)];
    for frame in frames {
        let offset = frame.shown_ms.cast_signed() - at_ms.cast_signed();
        let offset = i16::try_from(offset).expect("a cluster is a few seconds");
        let mut block = vec![0x80 | frame.track];
        block.extend(offset.to_be_bytes());
        block.push(if frame.is_key { 0x80 } else { 0 });
        block.extend(&frame.data);
        parts.push(element(&[0xa3], &block));
    }
    master(&[0x1f, 0x43, 0xb6, 0x75], &parts)
}

/// The frames of a transport stream of one picture and one sound.
fn frames(stream: &[u8]) -> (Vec<Frame>, Private) {
    let mut open: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    let mut whole = Vec::new();
    for packet in stream.chunks_exact(PACKET_LEN) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let has_adaptation = packet[3] & 0x20 != 0;
        let skip = if has_adaptation {
            5 + usize::from(packet[4])
        } else {
            4
        };
        let payload = packet.get(skip..).unwrap_or_default();
        let begins = packet[1] & 0x40 != 0;
        if begins && payload.starts_with(&[0, 0, 1]) {
            whole.extend(open.insert(pid, payload.to_vec()));
        } else if let Some(pes) = open.get_mut(&pid).filter(|_| !begins) {
            pes.extend(payload);
        }
    }
    whole.extend(open.into_values());
    let first = whole.iter().map(|pes| times(pes).0).min().unwrap_or(0);
    let mut private = Private::default();
    let mut frames = Vec::new();
    for pes in &whole {
        let (shown, decoded) = times(pes);
        let shown_ms = (shown - first) / TICKS;
        let data = &pes[9 + usize::from(pes[8])..];
        match pes[3] {
            0xe0..=0xef => frames.push(picture(data, shown_ms, decoded, &mut private)),
            0xc0..=0xdf => sounds(data, shown - first, decoded, &mut frames, &mut private),
            _ => {}
        }
    }
    (frames, private)
}

/// When a packet is shown and decoded.
fn times(pes: &[u8]) -> (u64, u64) {
    let at = |from: usize| {
        let b = &pes[from..from + 5];
        let high = u64::from(b[0] >> 1 & 7) << 30;
        high | u64::from(b[1]) << 22
            | u64::from(b[2] >> 1) << 15
            | u64::from(b[3]) << 7
            | u64::from(b[4] >> 1)
    };
    let shown = at(9);
    let has_both = pes[7] & 0x40 != 0;
    (shown, if has_both { at(14) } else { shown })
}

/// A picture, its units with their lengths in place of start codes.
fn picture(data: &[u8], shown_ms: u64, decoded: u64, private: &mut Private) -> Frame {
    let starts: Vec<usize> = (0..data.len().saturating_sub(3))
        .filter(|&at| data[at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let mut frame = Frame {
        track: VIDEO,
        shown_ms,
        decoded,
        is_key: false,
        data: Vec::new(),
    };
    for (&start, end) in starts.iter().zip(ends) {
        let unit = &data[start + 3..end];
        let len = unit
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |at| at + 1);
        let unit = &unit[..len];
        match unit.first().map(|byte| byte & 0x1f) {
            Some(7) => private.sps = unit.to_vec(),
            Some(8) => private.pps = unit.to_vec(),
            None | Some(9) => {}
            Some(kind) => {
                frame.is_key |= kind == 5;
                frame.data.extend((unit.len() as u32).to_be_bytes());
                frame.data.extend(unit);
            }
        }
    }
    frame
}

/// Frames of sound without their ADTS headers.
fn sounds(mut data: &[u8], shown: u64, decoded: u64, out: &mut Vec<Frame>, private: &mut Private) {
    let mut count = 0;
    while let Some(head) = data.first_chunk::<7>() {
        let len =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        let has_crc = head[1] & 1 == 0;
        private.adts.copy_from_slice(&head[..4]);
        let rate = RATES[aac(private.adts).1];
        let ticks = count * SAMPLES * TICKS * 1000 / u64::from(rate);
        let Some((frame, rest)) = data.split_at_checked(len).filter(|_| len > 0) else {
            return;
        };
        out.push(Frame {
            track: AUDIO,
            shown_ms: (shown + ticks) / TICKS,
            decoded: decoded + ticks,
            is_key: true,
            data: frame[if has_crc { 9 } else { 7 }..].to_vec(),
        });
        data = rest;
        count += 1;
    }
}

/// Object type, index of the rate, channels.
fn aac(adts: [u8; 4]) -> (u8, usize, u8) {
    let rate = usize::from(adts[2] >> 2 & 15);
    let channels = (adts[2] & 1) << 2 | adts[3] >> 6;
    ((adts[2] >> 6) + 1, rate, channels)
}

fn master(id: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    element(id, &parts.concat())
}

/// Lengths in eight bytes are always right and always as long.
fn element(id: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = id.to_vec();
    out.extend((data.len() as u64 | 1 << 56).to_be_bytes());
    out.extend(data);
    out
}

fn uint(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn float(id: &[u8], value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn text(id: &[u8], value: &str) -> Vec<u8> {
    element(id, value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gear::ffprobe;

    #[tokio::test]
    async fn a_film_is_one_for_ffprobe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.mkv");
        std::fs::write(&path, film(Clip::A, 3)).unwrap();
        let url = url::Url::from_file_path(&path).unwrap();
        assert_eq!(ffprobe(&url).await.unwrap(), ["h264", "aac"]);
    }

    #[test]
    fn every_picture_and_sound_is_in_it() {
        let (frames, _) = frames(Clip::B.file());
        let pictures: Vec<_> = frames.iter().filter(|frame| frame.track == VIDEO).collect();
        assert_eq!(pictures.len(), 600);
        assert_eq!(pictures.iter().filter(|frame| frame.is_key).count(), 12);
        let sounds = frames.iter().filter(|frame| frame.track == AUDIO).count();
        assert_eq!(sounds, 1125, "24 s at 48 kHz");
    }
}
