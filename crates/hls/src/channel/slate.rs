//! What players see while no source brings anything: a card, looped in real time.

use std::time::Duration;

use base::Time;
use bytes::Bytes;

use super::ladder::Content;
use super::{Channel, TrackId};
use crate::container::{Container, sniff};
use crate::playlist::rounded_s;
use crate::ts::{self, Keep, Restamp, Segmenter, Ticks};

/// A loop of transport stream, cut into pieces that fit every target duration.
#[derive(Clone)]
pub struct Slate {
    pieces: Vec<Piece>,
}

#[derive(Clone)]
struct Piece {
    bytes: Bytes,
    duration: Duration,
    independent: bool,
}

/// The slate on air.
#[derive(Debug)]
pub(super) struct Showing {
    pub(super) generation: u64,
    /// When the next segment is due.
    pub(super) due: Time,
    /// Pieces shown.
    shown: usize,
    /// Its counters go on from round to round, and its clock is set on.
    restamp: Restamp,
}

/// A segment of the slate.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) container: Container,
    pub(super) body: Bytes,
    pub(super) duration: Duration,
    pub(super) independent: bool,
}

/// Why a clip is no slate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSlate {
    /// Something else.
    #[error("it is no MPEG transport stream")]
    NoStream,
    /// A stream that cannot be made into segments.
    #[error("it cannot be cut: {0}")]
    Uncut(#[from] ts::CannotSegment),
    /// It would not loop.
    #[error("its timestamps jump after {0:?}")]
    Jumps(Duration),
    /// A card that lasts longer gives nothing more, and stays in memory.
    #[error("it lasts longer than {LENGTH_MAX:?}")]
    TooLong,
    /// Nothing in it.
    #[error("it has no pictures and no sound")]
    Empty,
}

const LENGTH_MAX: Duration = Duration::from_secs(600);
/// Pieces are joined to segments of about so many seconds, where the target duration has room:
/// enough for players, and soon over when a source returns.
const SEGMENT_S: u64 = 2;
/// How far the slate may have to catch up, when nobody looked for a while.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

impl Slate {
    /// Cuts a clip of transport stream into pieces of about `piece`, which must fit every target
    /// duration: one second is safe.
    pub fn new(clip: &[u8], piece: Duration) -> Result<Self, BadSlate> {
        if sniff(clip) != Some(Container::Ts) {
            return Err(BadSlate::NoStream);
        }
        let mut segmenter = Segmenter::new(piece, piece, clip.len().saturating_mul(2));
        let mut segments = segmenter.push(clip)?;
        segments.extend(segmenter.finish());
        let (mut pieces, mut length) = (Vec::new(), Duration::ZERO);
        for segment in segments {
            if segment.discontinuity {
                return Err(BadSlate::Jumps(length));
            }
            length += segment.duration;
            pieces.push(Piece {
                bytes: Bytes::from(segment.bytes),
                duration: segment.duration,
                independent: segment.independent,
            });
        }
        match length {
            Duration::ZERO => Err(BadSlate::Empty),
            length if length > LENGTH_MAX => Err(BadSlate::TooLong),
            _ => Ok(Self { pieces }),
        }
    }

    /// The whole loop.
    pub fn length(&self) -> Duration {
        self.pieces.iter().map(|piece| piece.duration).sum()
    }

    /// The next segment of a showing, for a playlist of this target duration.
    fn card(&self, showing: &mut Showing, target_s: u64) -> Card {
        let (mut body, mut duration, mut independent) = (Vec::new(), Duration::ZERO, true);
        loop {
            let (round, index) = (
                showing.shown / self.pieces.len(),
                showing.shown % self.pieces.len(),
            );
            let piece = &self.pieces[index];
            let fits = rounded_s(duration + piece.duration) <= target_s.min(SEGMENT_S);
            if !body.is_empty() && !fits {
                break;
            }
            if body.is_empty() {
                independent = piece.independent;
            }
            let start = body.len();
            body.extend_from_slice(&piece.bytes);
            let rounds = u32::try_from(round).unwrap_or(u32::MAX);
            let offset = Ticks::from(self.length().saturating_mul(rounds));
            showing.restamp.splice(offset);
            showing.restamp.apply(&mut body[start..]);
            duration += piece.duration;
            showing.shown += 1;
        }
        Card {
            container: Container::Ts,
            body: Bytes::from(body),
            duration,
            independent,
        }
    }
}

impl std::fmt::Debug for Slate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slate")
            .field("pieces", &self.pieces.len())
            .finish()
    }
}

impl Showing {
    /// Begins `late`, so that players get so much more at once: what they hold is nearly played.
    pub(super) fn new(now: Time, generation: u64, late: Duration) -> Self {
        Self {
            generation,
            due: Time::from_ms(now.as_ms().saturating_sub(late.as_millis() as u64)),
            shown: 0,
            restamp: Restamp::new(),
        }
    }
}

impl Card {
    /// What a track that carries `content` can show of it; subtitles say nothing.
    fn of(&self, content: Content) -> Self {
        let (container, body) = match content {
            Content::Both => (self.container, self.body.clone()),
            Content::Video => (self.container, ts::select(&self.body, Keep::Video).into()),
            Content::Audio => (self.container, ts::select(&self.body, Keep::Audio).into()),
            Content::Subtitles => (Container::Vtt, Bytes::from_static(b"WEBVTT\n\n")),
        };
        Self {
            container,
            body,
            ..self.clone()
        }
    }
}

impl Channel {
    /// Publishes as much of the slate as is due.
    pub(super) fn publish_slate(&mut self, now: Time) {
        let (Some(slate), Some(mut showing)) = (self.settings.slate.clone(), self.slate.take())
        else {
            return;
        };
        if now - showing.due > CATCH_UP_MAX {
            showing.due = now;
        }
        while showing.due <= now {
            let card = slate.card(&mut showing, self.target_duration_s.unwrap_or(1));
            for (id, content) in self.slate_tracks() {
                if let Some(track) = self.tracks.get_mut(&id) {
                    let card = card.of(content);
                    track.publish_slate(now, showing.generation, card, &mut self.out);
                }
            }
            showing.due = showing.due + card.duration;
        }
        self.slate = Some(showing);
    }

    /// The watched tracks that can show it, and what they carry.
    fn slate_tracks(&self) -> Vec<(TrackId, Content)> {
        let Some(ladder) = &self.ladder else {
            return Vec::new();
        };
        let watched = self
            .tracks
            .keys()
            .filter(|id| self.demand.contains(id) || **id == TrackId::main());
        watched
            .filter_map(|id| Some((id.clone(), ladder.content(id)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ts::build::Mux;
    use crate::ts::{Packets, PesHeader, verify};

    /// `seconds` of pictures and sound, with a key frame every `gop` pictures.
    fn clip(seconds: u64, gop: u64) -> Vec<u8> {
        let mut mux = Mux::new();
        for frame in 0..seconds * 25 {
            if frame % gop == 0 {
                mux.tables();
            }
            mux.video(90_000 + frame * 3600, frame % gop == 0, 300);
            mux.audio(90_000 + frame * 3600, 100);
        }
        mux.bytes
    }

    /// Cards until `seconds` are shown.
    fn shown(slate: &Slate, target_s: u64, seconds: u64) -> Vec<Card> {
        let mut showing = Showing::new(Time::ZERO, 1, Duration::ZERO);
        let (mut cards, mut length) = (Vec::new(), Duration::ZERO);
        while length < Duration::from_secs(seconds) {
            cards.push(slate.card(&mut showing, target_s));
            length += cards[cards.len() - 1].duration;
        }
        cards
    }

    #[test]
    fn rounds_follow_each_other_without_a_seam() {
        let slate = Slate::new(&clip(5, 25), Duration::from_secs(1)).unwrap();
        assert_eq!(slate.length(), Duration::from_secs(5));
        let cards = shown(&slate, 6, 100_000);
        let body: Vec<u8> = cards[..60]
            .iter()
            .flat_map(|card| card.body.clone())
            .collect();
        let report = verify(&body);
        assert_eq!((report.continuity_errors, report.lost_bytes), (0, 0));
        let video = report.program.unwrap().video().unwrap().pid;
        let stamps =
            Packets::new(&body).filter(|(_, packet)| packet.pid() == video && packet.unit_start());
        let stamps = stamps.map(|(_, packet)| {
            PesHeader::parse(packet.payload().unwrap())
                .unwrap()
                .pts
                .unwrap()
        });
        let stamps: Vec<_> = stamps.collect();
        assert!(stamps.windows(2).all(|pair| pair[1].since(pair[0]) == 3600));
        // Also where 33 bits do not hold the clock any more.
        let last = verify(&cards[cards.len() - 1].body);
        assert_eq!(last.continuity_errors, 0);
    }

    #[track_caller]
    fn check_lengths(seconds: u64, gop: u64, target_s: u64, expected_ms: &[u128]) {
        let slate = Slate::new(&clip(seconds, gop), Duration::from_secs(1)).unwrap();
        let cards = shown(&slate, target_s, 30);
        let lengths: Vec<_> = cards.iter().map(|card| card.duration.as_millis()).collect();
        assert_eq!(lengths[..expected_ms.len()], *expected_ms);
    }

    #[test]
    fn segments_fit_the_target_duration_and_are_soon_over() {
        check_lengths(5, 25, 1, &[1000; 8]);
        check_lengths(5, 25, 2, &[2000; 8]);
        check_lengths(5, 25, 10, &[2000; 8]);
        check_lengths(4, 30, 2, &[2400, 1600, 2400, 1600]);
        // Without key frames it is cut all the same.
        check_lengths(5, 500, 1, &[1480, 1480, 1480, 560]);
    }

    #[test]
    fn what_is_no_slate_is_refused() {
        #[track_caller]
        fn check(clip: &[u8], expected: &str) {
            let refused = Slate::new(clip, Duration::from_secs(1)).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
        check(b"", "it is no MPEG transport stream");
        check(b"<html>", "it is no MPEG transport stream");
        let mut tables = Mux::new();
        tables.tables();
        tables.tables();
        check(&tables.bytes, "it has no pictures and no sound");
        let twice = [clip(3, 25), clip(3, 25)].concat();
        check(&twice, "its timestamps jump after 3s");
        check(&clip(601, 25), "it lasts longer than 600s");
    }

    #[test]
    fn a_track_gets_what_it_carries() {
        let slate = Slate::new(&clip(5, 25), Duration::from_secs(1)).unwrap();
        let card = &shown(&slate, 2, 2)[0];
        let streams = |content| {
            let program = verify(&card.of(content).body).program.unwrap();
            (program.video().is_some(), program.audio().is_some())
        };
        assert_eq!(streams(Content::Both), (true, true));
        assert_eq!(streams(Content::Video), (true, false));
        assert_eq!(streams(Content::Audio), (false, true));
        let silent = card.of(Content::Subtitles);
        assert_eq!(
            (silent.container, &silent.body[..]),
            (Container::Vtt, &b"WEBVTT\n\n"[..])
        );
    }
}
