//! Before a cold channel publishes its first segment, its other sources are asked for their playlists
//! once: `EXT-X-TARGETDURATION` is fixed for life, and must do for whichever of them plays later.
//!
//! Nothing waits for them. What has answered when the first segment is published counts. A source on
//! an account is not asked, since that would take one of its streams; nor is one whose link names no playlist:
//! most of those are transport streams, which have no target duration, and whose server would begin to send.

use std::collections::HashMap;
use std::time::Duration;

use base::Time;
use url::Url;

use super::event::Effect;
use super::feed::Lead;
use super::session::{Context, Session};
use super::{Channel, SourceDef, aim};

/// Sources that are asked. A channel may have more; their segments are cut, or they are refused.
const SCOUTS_MAX: usize = 7;
/// Who has not answered by then will not in time.
const PATIENCE: Duration = Duration::from_secs(10);

impl Channel {
    /// Sends scouts while the channel is cold, and ends them when it is not.
    pub(super) fn scout(&mut self, now: Time) {
        let old = |scout: &Session| now - scout.started > PATIENCE;
        if !self.tracks.is_empty() || self.scouts.first().is_some_and(old) {
            self.end_scouts();
            return;
        }
        if self.scouted || self.nexts.is_empty() {
            return;
        }
        self.scouted = true;
        if self.settings.target_duration_s > 0 || !self.positions.is_empty() {
            return;
        }
        let asked = |index: &usize| self.nexts.iter().any(|next| next.session.source == *index);
        let tells = |def: &SourceDef| def.account.is_none() && names_a_playlist(&def.url);
        let others: Vec<usize> = (0..self.sources.len())
            .filter(|index| !asked(index) && tells(&self.sources[*index].def))
            .take(SCOUTS_MAX)
            .collect();
        for index in others {
            self.generation += 1;
            let url = self.sources[index].def.url.clone();
            let start = Lead::AtMost(Duration::ZERO);
            let generation = self.generation;
            let mut scout = Session::new(now, generation, index, url, start, HashMap::new());
            scout.scout = true;
            self.scouts.push(scout);
        }
    }

    /// The longest target duration that scouts have seen.
    pub(super) fn scouted_s(&self) -> u64 {
        let seen = self.scouts.iter().map(Session::longest_s);
        seen.max().unwrap_or(0)
    }

    /// Lets `act` have a scout without letting it freeze the channel's ladder.
    pub(super) fn with_scouts(
        &mut self,
        now: Time,
        mut act: impl FnMut(&mut Session, &mut Context<'_>),
    ) {
        let aim = aim(self.target_duration_s, &self.settings);
        for scout in &mut self.scouts {
            let mut ladder = self.ladder.clone();
            let mut context = Context {
                now,
                out: &mut self.out,
                chance: &mut self.chance,
                serial: &mut self.serial,
                ladder: &mut ladder,
                filter: self.settings.variants,
                aim,
            };
            act(scout, &mut context);
        }
        // A stream has no target duration of its own: it is cut as the channel needs it.
        let streams = self.scouts.extract_if(.., |scout| scout.is_stream());
        self.out.extend(streams.map(|scout| Effect::Abandon {
            generation: scout.generation,
        }));
    }

    pub(super) fn end_scouts(&mut self) {
        for scout in self.scouts.drain(..) {
            let generation = scout.generation;
            self.out.push(Effect::Abandon { generation });
        }
    }
}

/// Whether a link looks like that of a playlist (RFC 8216 §4: `.m3u8` or `.m3u`). What a source is, its
/// content says; this is only about asking too soon.
fn names_a_playlist(url: &Url) -> bool {
    let ends = |name: &str| name.ends_with(".m3u8") || name.ends_with(".m3u");
    let asks = |query: &str| query.contains("m3u8");
    let lower = |text: &str| text.to_ascii_lowercase();
    ends(&lower(url.path())) || url.query().is_some_and(|query| asks(&lower(query)))
}
