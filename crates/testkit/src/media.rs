//! The demo's media (`media/make.sh`): two loops of H.264 and AAC in MPEG-TS, and the endless
//! streams made of them.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use hls::ts::{PACKET_LEN, Packet, Pid, Restamp, Ticks};

/// The time from one random-access point of a clip to the next.
pub const GOP: Duration = Duration::from_secs(2);

/// A 24-second loop of twelve closed groups of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Clip {
    /// The letter A on blue, a tone of 440 Hz.
    #[default]
    A,
    /// The letter B on a red grid, a tone of 880 Hz.
    B,
}

/// Continuity counters count to sixteen: after as many rounds a loop begins as it first did.
const ROUNDS: usize = 16;

struct Reel {
    gops: Vec<&'static [u8]>,
    /// Counters as they stand before each group of pictures of [`ROUNDS`] rounds.
    before: Vec<Restamp>,
}

impl Clip {
    /// The file as `media/make.sh` wrote it.
    pub const fn file(self) -> &'static [u8] {
        match self {
            Self::A => include_bytes!("../../../media/a.ts"),
            Self::B => include_bytes!("../../../media/b.ts"),
        }
    }

    /// `count` groups of pictures of the endless stream, from group `first` on. Timestamps and
    /// continuity counters go on round after round, so each group's bytes are unlike any other's and the
    /// same each time they are asked for.
    pub fn stream(self, first: u64, count: u64) -> Bytes {
        let reel = self.reel();
        let mut body = Vec::with_capacity(self.stream_len(first, count));
        for at in first..first + count {
            let start = body.len();
            body.extend_from_slice(reel.gop(at));
            let mut restamp = reel.before[(at % reel.before.len() as u64) as usize].clone();
            restamp.splice(offset(at / reel.gops.len() as u64, reel.gops.len()));
            restamp.apply(&mut body[start..]);
        }
        body.into()
    }

    /// The length of [`Clip::stream`], in bytes.
    pub fn stream_len(self, first: u64, count: u64) -> usize {
        let reel = self.reel();
        (first..first + count).map(|at| reel.gop(at).len()).sum()
    }

    fn reel(self) -> &'static Reel {
        static REELS: [OnceLock<Reel>; 2] = [const { OnceLock::new() }; 2];
        REELS[self as usize].get_or_init(|| Reel::cut(self.file()))
    }
}

impl Reel {
    /// Cuts a file where its program tables stand, which is only before key frames.
    fn cut(file: &'static [u8]) -> Self {
        let is_table = |packet: &[u8]| {
            packet
                .first_chunk()
                .is_some_and(|bytes| Packet::new(bytes).pid() == Pid::PAT)
        };
        let packets = file.chunks_exact(PACKET_LEN).enumerate();
        let mut cuts: Vec<_> = packets
            .filter(|(_, packet)| is_table(packet))
            .map(|(n, _)| n * PACKET_LEN)
            .collect();
        // The muxer's service table stands before the first program table.
        if let Some(first) = cuts.first_mut() {
            *first = 0;
        }
        cuts.push(file.len());
        let gops: Vec<_> = cuts.windows(2).map(|cut| &file[cut[0]..cut[1]]).collect();

        let mut restamp = Restamp::new();
        let mut before = Vec::with_capacity(ROUNDS * gops.len());
        for gop in (0..ROUNDS).flat_map(|_| &gops) {
            before.push(restamp.clone());
            restamp.splice(Ticks::new(0));
            restamp.apply(&mut gop.to_vec());
        }
        Self { gops, before }
    }

    fn gop(&self, at: u64) -> &'static [u8] {
        self.gops[(at % self.gops.len() as u64) as usize]
    }
}

/// How far the clocks of a round are ahead of the first round's.
fn offset(round: u64, gops: usize) -> Ticks {
    Ticks::new(round.wrapping_mul(gops as u64 * GOP.as_secs() * Ticks::PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_clip_has_twelve_groups_and_both_fit_the_budget() {
        for clip in [Clip::A, Clip::B] {
            assert_eq!(clip.reel().gops.len(), 12);
            assert_eq!(clip.stream(0, 12), clip.file());
        }
        assert!(Clip::A.file().len() + Clip::B.file().len() <= 1_400_000);
    }

    #[test]
    fn counters_go_on_for_more_rounds_than_they_can_count() {
        let mut last = BTreeMap::new();
        for at in 0..12 * 18 {
            for chunk in Clip::A.stream(at, 1).chunks_exact(PACKET_LEN) {
                let packet = Packet::new(chunk.first_chunk().unwrap());
                let Some(before) = last.insert(packet.pid(), packet.continuity()) else {
                    continue;
                };
                let step = u8::from(packet.has_payload());
                assert_eq!(
                    packet.continuity(),
                    (before + step) % 16,
                    "group {at}, PID {:?}",
                    packet.pid()
                );
            }
        }
    }

    #[test]
    fn a_range_of_groups_is_its_groups_joined() {
        let joined: Vec<u8> = (11..14).flat_map(|at| Clip::B.stream(at, 1)).collect();
        assert_eq!(Clip::B.stream(11, 3), joined);
        assert_eq!(Clip::B.stream_len(11, 3), joined.len());
        assert_ne!(Clip::B.stream(0, 1), Clip::B.stream(12, 1));
    }
}
