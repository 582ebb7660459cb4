//! A feed's queue: what of it is asked for, published, waited for and given up.

use std::time::Duration;

use base::Time;

use super::{Feed, Joint, Published, Slot, SlotState, file_name, is_http};
use crate::channel::objects::Reference;
use crate::playlist::{Media, Method, Segment};

/// More lost segments in a row are a break.
const GAPS_MAX: usize = 3;

impl Feed {
    /// Whether the head of the queue can be published. A lost segment becomes a gap only when a later
    /// one is there: until then another source may take over without a hole.
    pub(in crate::channel) fn head_is_settled(&self) -> bool {
        match self.slots.front().map(|slot| &slot.state) {
            Some(SlotState::Ready { .. }) => true,
            Some(SlotState::Lost) => self.has_some_ready(),
            _ => false,
        }
    }

    /// Since when it has listed nothing new, or players got nothing of it.
    pub(in crate::channel) fn quiet_since(&self) -> Time {
        match self.placed && !self.head_is_settled() {
            true => self.progress.new_at.min(self.taken_at),
            false => self.progress.new_at,
        }
    }

    /// Whether nothing more can come of it.
    pub(in crate::channel) fn is_spent(&self) -> bool {
        let lost = |slot: &Slot| matches!(slot.state, SlotState::Lost);
        self.ended && self.slots.iter().all(lost)
    }

    /// Since when the source has listed a segment that is not here, and none has come.
    pub(in crate::channel) fn waiting_since(&self) -> Option<Time> {
        if let Some(flow) = &self.flow {
            return flow.due(self.target);
        }
        let head = self.slots.front()?;
        head.is_open().then_some(head.queued.max(self.taken_at))
    }

    /// Passes over lost segments that nobody needs to hear of: before the first one that is published,
    /// and where so many were lost in a row that a break says it better than gaps.
    pub(in crate::channel) fn pass_over_lost(&mut self) {
        let lost = self
            .slots
            .iter()
            .take_while(|slot| matches!(slot.state, SlotState::Lost))
            .count();
        if self.placed && lost <= GAPS_MAX {
            return;
        }
        self.slots.drain(..lost);
        if self.placed {
            self.missed += lost as u64;
        }
        if let Some(next) = self.slots.front_mut().filter(|_| self.missed > 0) {
            next.joint = Joint::Missed(std::mem::take(&mut self.missed));
        }
    }

    /// When the head of the queue was last taken, or the feed was opened.
    pub(in crate::channel) fn taken_at(&self) -> Time {
        self.taken_at
    }

    /// Takes the head of the queue.
    pub(in crate::channel) fn take(&mut self, now: Time) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        (self.taken_at, self.passed) = (now, Some(slot.segment.msn));
        Some(slot)
    }

    /// Whether a segment is being tried again, or was lost.
    pub(in crate::channel) fn is_struggling(&self) -> bool {
        self.slots.iter().any(|slot| slot.attempts > 0)
    }

    /// Whether the head of the queue has bytes.
    pub(in crate::channel) fn head_is_ready(&self) -> bool {
        matches!(
            self.slots.front(),
            Some(Slot {
                state: SlotState::Ready { .. },
                ..
            })
        )
    }

    /// How many of the queue may be asked for: one after the other while it is in doubt whether any of
    /// them is media, or when the source does not keep up. One that hangs does not count.
    pub(in crate::channel) fn worth_asking(&self, now: Time, wary: bool) -> usize {
        let unproven = (wary && !self.proven) || self.is_struggling();
        let slow = self
            .waiting_since()
            .is_some_and(|since| now - since > self.target * 9 / 10);
        if !slow && (!unproven || self.has_some_ready()) {
            return self.slots.len();
        }
        let hanging = self
            .slots
            .iter()
            .filter(|slot| self.hangs(now, slot))
            .count();
        let mut open = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.is_open());
        open.nth(hanging)
            .or(open.last())
            .map_or(self.slots.len(), |(at, _)| at + 1)
    }

    /// Whether a segment has been asked for and has not come when players need it.
    fn hangs(&self, now: Time, slot: &Slot) -> bool {
        let patience = segment_patience(self.target);
        matches!(slot.state, SlotState::Fetching { since } if since + patience <= now)
    }

    /// A segment is there: those before it that hang are not waited for.
    pub(in crate::channel) fn overtake(&mut self, now: Time, id: u64) {
        let before = self.slots.iter().take_while(|slot| slot.id != id);
        let hanging: Vec<u64> = before
            .filter(|slot| self.hangs(now, slot))
            .map(|slot| slot.id)
            .collect();
        for id in hanging {
            if let Some(slot) = self.slot(id) {
                slot.state = SlotState::Lost;
            }
        }
        self.pass_over_lost();
    }

    /// Number of the first segment that is left when the oldest are passed over as long as all of them are
    /// more than the list lacked, by `lag`, when the newest was listed; half a segment more may be. It is one
    /// with which a decoder can begin.
    pub(in crate::channel) fn first_level(&self, lag: impl Fn(Time) -> Duration) -> Option<u64> {
        let newest = self.slots.back()?;
        let lag = lag(newest.queued);
        let mut length: Duration = self.slots.iter().map(|slot| slot.segment.duration).sum();
        let mut slots = self.slots.iter().peekable();
        while let Some(oldest) = slots.next() {
            let stays = length <= lag + oldest.segment.duration / 2;
            if stays || slots.peek().is_some_and(|next| !next.independent) {
                return Some(oldest.segment.msn);
            }
            length -= oldest.segment.duration;
        }
        newest.segment.msn.checked_add(1)
    }

    /// Forgets what comes before that number.
    pub(in crate::channel) fn pass_over(&mut self, number: u64) {
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.segment.msn < number) {
            self.passed = Some(slot.segment.msn);
        }
    }

    /// Asks for nothing more until then.
    pub(in crate::channel) fn hold_off(&mut self, until: Time) {
        for slot in &mut self.slots {
            if let SlotState::Due(at) = &mut slot.state {
                *at = until.max(*at);
            }
        }
    }

    /// Segments that are on their way.
    pub(in crate::channel) fn fetching(&self) -> usize {
        let fetching = |slot: &&Slot| matches!(slot.state, SlotState::Fetching { .. });
        self.slots.iter().filter(fetching).count()
    }

    /// Segments that are here and not published.
    pub(in crate::channel) fn ready(&self) -> usize {
        let ready = |slot: &&Slot| matches!(slot.state, SlotState::Ready { .. });
        self.slots.iter().filter(ready).count()
    }

    /// Whether a segment has bytes, if not the head.
    pub(in crate::channel) fn has_some_ready(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| matches!(slot.state, SlotState::Ready { .. }))
    }

    /// Forgets what comes before the segment after `known`. Pieces of a stream have no names to know
    /// them by.
    pub(in crate::channel) fn skip_to(&mut self, known: &Published) {
        let same = |slot: &Slot| {
            slot.segment.msn == known.msn && file_name(&slot.segment.uri) == known.name
        };
        if let Some(at) = self.slots.iter().position(same)
            && !self.is_stream()
            && !self.resumed
        {
            self.slots.drain(..=at);
        }
    }

    /// Forgets all but the newest `count` that are here; what is left begins where a decoder can.
    pub(in crate::channel) fn keep_newest(&mut self, count: usize) {
        let begins = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.independent);
        let old = self.ready().saturating_sub(count);
        let dropped = (0..=old).rev().find(begins).unwrap_or(0);
        self.slots.drain(..dropped);
    }

    pub(in crate::channel) fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    /// What failed before and is not listed any more will not come, and a source that fell behind its
    /// own list is not caught up with. What is listed at another place is asked for there: with a fresh
    /// token, and at once if the whole playlist `moved`, since the place before is likely to be dead.
    pub(in crate::channel) fn look_again(&mut self, now: Time, media: &Media, moved: bool) {
        let behind = self.slots.len() > media.segments.len();
        for slot in self.slots.iter_mut().filter(|slot| slot.is_open()) {
            let same = |s: &&Segment| {
                s.msn == slot.segment.msn && file_name(&s.uri) == file_name(&slot.segment.uri)
            };
            let waits = matches!(slot.state, SlotState::Due(_));
            match media.segments.iter().find(same) {
                Some(listed) if waits || moved => {
                    let url = self.base.join(&listed.uri).ok().filter(is_http);
                    slot.url = url.unwrap_or_else(|| slot.url.clone());
                    if moved {
                        (slot.state, slot.attempts) = (SlotState::Due(now), 0);
                    }
                }
                None if waits && (slot.attempts > 0 || behind) => slot.state = SlotState::Lost,
                _ => {}
            }
        }
        self.pass_over_lost();
    }
}

impl Slot {
    /// Whether its bytes are still to come.
    pub(in crate::channel) fn is_open(&self) -> bool {
        matches!(self.state, SlotState::Due(_) | SlotState::Fetching { .. })
    }

    /// The key that hides the whole segment, if one does.
    pub(in crate::channel) fn aes128(&self) -> Option<(&crate::playlist::Key, Option<&Reference>)> {
        let index = self
            .segment
            .keys
            .iter()
            .position(|key| key.method == Method::Aes128)?;
        Some((&self.segment.keys[index], self.keys[index].as_ref()))
    }
}

/// By then a source that keeps up with real time has sent it.
pub(in crate::channel) fn segment_patience(target: Duration) -> Duration {
    target.max(Duration::from_millis(1500))
}
