//! Publishing: a source's segment becomes the next of an output track.

use std::time::Duration;

use base::Time;
use bytes::Bytes;

use super::event::{Effect, Notice, Trouble};
use super::feed::{Feed, SlotState, file_name};
use super::objects::{Kind, Object, name};
use super::session::{APART_MAX, Offset, Session, Settled};
use super::slate::Card;
use super::{Position, TrackId};
use crate::aes128;
use crate::container::Container;
use crate::playlist::{Segment, rounded_s};
use crate::timeline::{Draft, EntryKey, KeyUri, ObjectName, Timeline};
use crate::ts;

/// An output track: what players see.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: TrackId,
    pub(super) timeline: Timeline,
    /// Of the newest segment; 0 before the first.
    generation: u64,
    /// Players may have seen segments before those that the timeline knows.
    has_past: bool,
    /// The number after the last that players got before a restart of ours.
    past_end: u64,
    /// When the list began, and until when the unluckiest player has something to play.
    began: Option<Time>,
    lasts_until: Option<Time>,
    /// Until when the list would last a player that began with it. It may come to be [`Track::ahead_max`]
    /// ahead of that; what goes beyond is what players hold from then on.
    level_until: Option<Time>,
    position: Option<Position>,
}

/// Why a segment could not be published as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unpublishable {
    #[error(
        "segment of {duration_s} s does not fit the target duration of {target_s} s and cannot be cut: {reason}"
    )]
    TooLong {
        duration_s: u64,
        target_s: u64,
        reason: String,
    },
}

/// Where a feed's first segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere: players have it already.
    Skip,
    /// After the newest.
    Follow,
    /// At the head of a list that begins anew.
    Fresh,
}

/// A piece of a source's segment, or all of it.
struct Piece {
    body: Bytes,
    duration: Duration,
    inf: String,
    /// It was not cut in the middle of a group of pictures.
    independent: bool,
}

impl Track {
    pub(super) fn new(id: TrackId, timeline: Timeline, position: Option<Position>) -> Self {
        Self {
            id,
            timeline,
            generation: 0,
            has_past: position.is_some(),
            past_end: position.as_ref().map_or(0, |position| position.next_msn),
            began: None,
            lasts_until: None,
            level_until: None,
            position,
        }
    }

    /// Where the numbers stand, for the store.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// When the list began.
    pub(super) fn began(&self) -> Option<Time> {
        self.began
    }

    /// How far behind the live edge players begin (RFC 8216 §6.3.3).
    pub(super) fn hold_back(&self) -> Duration {
        self.timeline.target_duration() * 3
    }

    /// How much more the unluckiest player has to play: one that began with the list, or joined just
    /// after it grew.
    pub(super) fn lead(&self, now: Time) -> Option<Duration> {
        self.lasts_until.map(|until| until - now)
    }

    /// Half a segment, which a switch to the nearest one may bring, less what it takes to fetch it: between
    /// two switches by hand players then never lack more than two target durations.
    fn ahead_max(&self) -> Duration {
        self.timeline.target_duration() * 3 / 8
    }

    /// How much less media was listed than time has passed: about a segment when the next one is due.
    pub(super) fn lag(&self, now: Time) -> Option<Duration> {
        self.level_until.map(|until| now + self.hold_back() - until)
    }

    /// Publishes a segment of the slate.
    pub(super) fn publish_slate(
        &mut self,
        now: Time,
        generation: u64,
        card: Card,
        out: &mut Vec<Effect>,
    ) {
        if self.generation != generation {
            self.leave_the_past(now);
        }
        let map = self.map_for(None, card.container, Some(&card.body), None, out);
        let draft = Draft {
            discontinuity: self.has_past && self.generation != generation,
            duration: card.duration,
            inf: format!("{:.3},", card.duration.as_secs_f64()),
            program_date_time: None,
            date: None,
            keys: std::sync::Arc::new([]),
            map,
            gap: false,
            bitrate: None,
            tags: Vec::new(),
            container: card.container,
            bytes: card.body.len() as u64,
            independent: card.independent,
        };
        self.push(now, draft, card.body, out);
        self.generation = generation;
        self.has_past = true;
        self.note_position("", 0, "");
    }

    /// Pushes a segment as it was cut: what marks its beginning goes with the first piece.
    fn push_pieces(&mut self, now: Time, whole: Draft, pieces: Vec<Piece>, out: &mut Vec<Effect>) {
        let mut rest = Some(whole);
        let mut pieces = pieces.into_iter().peekable();
        while let (Some(piece), Some(draft)) = (pieces.next(), rest.take()) {
            rest = pieces.peek().map(|_| Draft {
                discontinuity: false,
                program_date_time: None,
                date: draft
                    .date
                    .map(|date| date.plus_ms(piece.duration.as_millis() as i64)),
                tags: Vec::new(),
                ..draft.clone()
            });
            let bytes = piece.body.len() as u64;
            let independent = draft.independent && piece.independent;
            let draft = Draft {
                duration: piece.duration,
                inf: piece.inf,
                bytes,
                independent,
                ..draft
            };
            self.push(now, draft, piece.body, out);
        }
    }

    fn push(&mut self, now: Time, draft: Draft, body: Bytes, out: &mut Vec<Effect>) {
        let (gap, duration) = (draft.gap, draft.duration);
        let msn = self.timeline.push(now, draft);
        self.began.get_or_insert(now);
        let held = now + self.hold_back();
        let lasts_until = self.lasts_until.map_or(now, |until| until.max(now)) + duration;
        self.lasts_until = Some(lasts_until.min(held));
        let level_until = self
            .level_until
            .map_or(held, |until| until.max(now) + duration);
        self.level_until = Some(level_until.min(held + self.ahead_max()));
        let track = self.id.clone();
        out.push(match gap {
            true => Effect::Changed { track },
            false => Effect::Publish { track, msn, body },
        });
    }

    /// Publishes a settled segment of the session on air, or passes over one that players have got
    /// already. An error leaves the track as it was.
    pub(super) fn publish(
        &mut self,
        now: Time,
        session: &mut Session,
        settled: Settled,
        source: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), Unpublishable> {
        let inspection = settled.inspection();
        let Settled { slot, keys, map } = settled;
        let Some(feed) = session.feeds.get_mut(&self.id) else {
            return Ok(());
        };
        let mut body = match slot.state {
            SlotState::Ready { body, .. } => Some(body),
            _ => None,
        };
        // A list does not begin with a hole.
        if body.is_none() && self.timeline.kept().len() == 0 {
            return Ok(());
        }
        let segment = slot.segment;
        let container = inspection.map_or_else(|| self.container_of(&segment), |i| i.container);
        let pieces = match self.pieces(&segment, body.as_ref(), container) {
            Err(error) => {
                feed.lose_unfit(error, session.source, out)?;
                body = None;
                self.gaps(segment.duration)
            }
            Ok(pieces) => {
                feed.unfit = 0;
                pieces
            }
        };
        let cut = pieces.len() > 1;
        let place = self.place(now, feed, session.generation, session.offset, &segment, cut);
        match place {
            Place::Skip => return Ok(()),
            Place::Fresh => self.forget_players(),
            Place::Follow => {}
        }
        let is_break = segment.discontinuity || slot.joint.is_break();
        let discontinuity =
            place == Place::Follow && self.joins_broken(now, session.generation, is_break);
        feed.placed = true;
        let independent = feed.independent && slot.independent;
        self.timeline
            .set_header(feed.header.clone(), &feed.date_ranges);
        for object in keys.iter().flatten() {
            self.serve(object, out);
        }
        let whole = Draft {
            discontinuity,
            duration: segment.duration,
            inf: segment.inf.clone(),
            program_date_time: segment.program_date_time.clone(),
            date: segment.date,
            keys: entry_keys(&segment, &keys),
            map: self.map_for(map, container, body.as_ref(), cipher(&segment, &keys), out),
            gap: body.is_none(),
            bitrate: segment.bitrate,
            tags: segment.tags.clone(),
            container,
            bytes: 0,
            independent,
        };
        self.push_pieces(now, whole, pieces, out);
        self.note_published(session, source, &segment);
        Ok(())
    }

    /// A list that begins anew has none that began with the one before.
    fn forget_players(&mut self) {
        (self.began, self.lasts_until, self.level_until) = (None, None, None);
    }

    /// Whether a discontinuity stands between what players have and the next segment.
    fn joins_broken(&mut self, now: Time, generation: u64, is_break: bool) -> bool {
        let broken = self.has_past && (self.generation != generation || is_break);
        if broken {
            self.leave_the_past(now);
        }
        broken
    }

    fn note_published(&mut self, session: &mut Session, source: &str, segment: &Segment) {
        self.generation = session.generation;
        self.has_past = true;
        session.offset = Some(Offset {
            msn: difference(self.timeline.next_msn() - 1, segment.msn),
            dsn: difference(self.timeline.dsn(), segment.dsn),
        });
        self.note_position(source, segment.msn, file_name(&segment.uri));
    }

    /// A list that is being built up again after a restart holds numbers that players know. What comes
    /// from elsewhere must not take the numbers of what is still missing of it.
    fn leave_the_past(&mut self, now: Time) {
        if self.timeline.next_msn() < self.past_end {
            self.timeline.jump(now, self.past_end, self.timeline.dsn());
        }
    }

    /// Finds the number for the first segment of a feed.
    fn place(
        &mut self,
        now: Time,
        feed: &Feed,
        session: u64,
        offset: Option<Offset>,
        segment: &Segment,
        cut: bool,
    ) -> Place {
        if feed.placed {
            return Place::Follow;
        }
        let empty = self.timeline.listed().len() == 0;
        if let Some(position) = self.position.as_ref().filter(|_| feed.resumed && empty) {
            // What is cut into several segments has no number of its own.
            if cut {
                return if segment.msn <= position.source_msn {
                    Place::Skip
                } else {
                    Place::Fresh
                };
            }
            let newest = position.next_msn.saturating_sub(1);
            let delta = difference(newest, position.source_msn);
            // Nothing is listed again that players saw leave, that lies before a discontinuity, or before
            // the channel's first segment, which would have a number below 0.
            let first = position.head_msn.max(position.discontinuity_msn);
            let ours = segment.msn.checked_add_signed(delta);
            let Some(ours) = ours.filter(|ours| *ours >= first) else {
                return Place::Skip;
            };
            self.timeline.begin_at(ours);
            return Place::Fresh;
        }
        // Another track, or this one before nobody watched it, was numbered from the same source.
        let Some(offset) = offset else {
            return Place::Follow;
        };
        let ours = shift(segment.msn, offset.msn);
        let next = self.timeline.next_msn();
        let reopened = self.generation == session;
        if reopened && ours < next {
            return Place::Skip;
        }
        // A switch may catch tracks a few segments apart; a wider hole comes from not being watched.
        if ours > next && (reopened || empty || ours - next > APART_MAX) {
            self.timeline
                .jump(now, ours, shift(segment.dsn, offset.dsn));
            return Place::Fresh;
        }
        Place::Follow
    }

    fn container_of(&self, segment: &Segment) -> Container {
        let ending = file_name(&segment.uri)
            .rsplit('.')
            .next()
            .unwrap_or("")
            .to_ascii_lowercase();
        match ending.as_str() {
            "m4s" | "mp4" | "m4v" | "m4a" | "cmfv" | "cmfa" => Container::Fmp4,
            "aac" => Container::Aac,
            "vtt" | "webvtt" => Container::Vtt,
            _ if segment.map.is_some() => Container::Fmp4,
            _ => self
                .timeline
                .listed()
                .last()
                .map_or(Container::Ts, |entry| entry.segment.container),
        }
    }

    /// The segment, cut where it is longer than the target duration allows (RFC 8216 §4.3.3.1).
    fn pieces(
        &self,
        segment: &Segment,
        body: Option<&Bytes>,
        container: Container,
    ) -> Result<Vec<Piece>, Unpublishable> {
        let target_s = self.timeline.target_duration_s();
        let duration_s = rounded_s(segment.duration);
        let whole = |body: Bytes| Piece {
            body,
            duration: segment.duration,
            inf: segment.inf.clone(),
            independent: true,
        };
        if duration_s <= target_s {
            return Ok(vec![whole(body.cloned().unwrap_or_default())]);
        }
        let too_long = |reason: &str| Unpublishable::TooLong {
            duration_s,
            target_s,
            reason: reason.to_owned(),
        };
        let body = body.ok_or_else(|| too_long("it has no bytes"))?;
        if !segment.keys.is_empty() {
            return Err(too_long("it is encrypted"));
        }
        if container != Container::Ts {
            return Err(too_long("it is no transport stream"));
        }
        let pieces = ts::cut(body, segment.duration, self.timeline.target_duration());
        let pieces = pieces.map_err(|error| too_long(&error.to_string()))?;
        Ok(pieces.into_iter().map(Piece::from).collect())
    }

    /// The time of a segment that does not fit, as gaps that do.
    fn gaps(&self, duration: Duration) -> Vec<Piece> {
        let target = self.timeline.target_duration();
        let count = duration.div_duration_f64(target).ceil().max(1.0) as u32;
        let duration = duration / count;
        let inf = format!("{:.3},", duration.as_secs_f64());
        let gap = || Piece {
            body: Bytes::new(),
            duration,
            inf: inf.clone(),
            independent: true,
        };
        (0..count).map(|_| gap()).collect()
    }

    fn serve(&self, object: &Object, out: &mut Vec<Effect>) {
        let (track, name, body) = (self.id.clone(), object.name.clone(), object.body.clone());
        out.push(Effect::Serve { track, name, body });
    }

    /// The segment's map. RFC 8216 has no way to end one, so a transport stream that follows fMP4
    /// carries a map of its own program tables, encrypted as the segment is (§4.3.2.5).
    fn map_for(
        &self,
        map: Option<Object>,
        container: Container,
        body: Option<&Bytes>,
        cipher: Option<Cipher>,
        out: &mut Vec<Effect>,
    ) -> Option<ObjectName> {
        if let Some(object) = map {
            self.serve(&object, out);
            return Some(object.name);
        }
        let before = self.timeline.listed().last()?.segment.map.clone()?;
        if container != Container::Ts {
            return Some(before);
        }
        let tables = match cipher {
            None => ts::tables(body?)?,
            Some((key, iv)) => {
                let clear = aes128::decrypt(body?, &key, &iv).ok()?;
                aes128::encrypt(&ts::tables(&clear)?, &key, &iv)
            }
        };
        let body = Bytes::from(tables);
        let object = Object {
            name: name(Kind::Tables, &body),
            body,
        };
        self.serve(&object, out);
        Some(object.name)
    }

    /// Remembers where the numbers stand; the slate is no source that could be resumed.
    fn note_position(&mut self, source: &str, source_msn: u64, source_name: &str) {
        let last = self
            .timeline
            .listed()
            .filter(|entry| entry.segment.discontinuity)
            .last();
        let before = self
            .position
            .as_ref()
            .map_or(0, |position| position.discontinuity_msn);
        self.position = Some(Position {
            next_msn: self.timeline.next_msn(),
            head_msn: self.timeline.listed().next().map_or(0, |entry| entry.msn),
            dsn: self.timeline.dsn(),
            discontinuity_msn: last.map_or(before, |entry| entry.msn),
            source: source.to_owned(),
            source_msn,
            source_name: source_name.to_owned(),
            target_duration_s: self.timeline.target_duration_s(),
        });
    }
}

impl From<ts::Piece> for Piece {
    fn from(piece: ts::Piece) -> Self {
        let inf = format!("{:.3},", piece.duration.as_secs_f64());
        Self {
            body: Bytes::from(piece.bytes),
            duration: piece.duration,
            inf,
            independent: true,
        }
    }
}

/// So many segments in a row that do not fit are the end of their source.
const UNFIT_MAX: u32 = 2;

impl Feed {
    /// A source that begins with a segment that does not fit is refused, and one that goes on so; one
    /// that grew a segment too long loses it.
    fn lose_unfit(
        &mut self,
        error: Unpublishable,
        source: usize,
        out: &mut Vec<Effect>,
    ) -> Result<(), Unpublishable> {
        self.unfit += 1;
        if !self.placed || self.unfit >= UNFIT_MAX {
            return Err(error);
        }
        out.push(Effect::Notice(Notice::Trouble(Trouble {
            code: "segment_too_long",
            source,
            detail: error.to_string(),
        })));
        Ok(())
    }
}

/// Key and initialization vector of a segment that is encrypted as a whole.
type Cipher = ([u8; aes128::BLOCK_LEN], [u8; aes128::BLOCK_LEN]);

fn cipher(segment: &Segment, objects: &[Option<Object>]) -> Option<Cipher> {
    let mut pairs = segment.keys.iter().zip(objects);
    let (key, object) = pairs.find(|(key, _)| key.method.as_str() == "AES-128")?;
    let iv = key
        .iv
        .unwrap_or_else(|| aes128::iv_from_sequence(segment.msn));
    Some((object.as_ref()?.body.as_ref().try_into().ok()?, iv))
}

fn entry_keys(segment: &Segment, objects: &[Option<Object>]) -> std::sync::Arc<[EntryKey]> {
    let explicit_iv = |key: &crate::playlist::Key| {
        let implicit = || {
            key.is_identity()
                .then(|| crate::aes128::iv_from_sequence(segment.msn))
        };
        key.iv.or_else(implicit)
    };
    let pairs = segment.keys.iter().zip(objects);
    pairs
        .map(|(key, object)| EntryKey {
            method: key.method.as_str().to_owned(),
            uri: match object {
                Some(object) => KeyUri::Object(object.name.clone()),
                None => KeyUri::Foreign(key.uri.clone()),
            },
            iv: explicit_iv(key),
            rest: key.rest.clone(),
        })
        .collect()
}

fn difference(ours: u64, theirs: u64) -> i64 {
    ours.cast_signed().wrapping_sub(theirs.cast_signed())
}

fn shift(number: u64, delta: i64) -> u64 {
    number.saturating_add_signed(delta)
}
