//! What the machine says of its sources: for the log, the channel's state and those who listen to events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hls::channel::{Notice, State};

use super::Driver;
use crate::status::{ErrorNote, note};

/// How often the log says the like of one source again: what is down is asked twice a second.
const WARN_EVERY: Duration = Duration::from_secs(60);

impl Driver {
    /// Logs it, keeps it, and sends it to those who listen to events.
    pub(super) fn tell(&mut self, notice: Notice) {
        let (code, source, text) = match notice {
            Notice::State(state) => {
                tracing::info!(state = state.as_str(), "channel state");
                let slate = &self.channel.counters.slate;
                slate.set(state == State::Slate, self.channel.shared.clock.now());
                ("state", None, state.as_str().to_owned())
            }
            Notice::OnAir { source, generation } => {
                let by_hand = self.by_hand.take() == Some(source);
                if self
                    .was_on_air
                    .replace(source)
                    .is_some_and(|was| was != source)
                    && !by_hand
                {
                    self.channel
                        .counters
                        .failovers
                        .fetch_add(1, Ordering::Relaxed);
                }
                let name = self.source_name(source);
                tracing::info!(source, generation, name, "source on air");
                ("on_air", Some(source), format!("{name} is on air"))
            }
            Notice::Health {
                source,
                health,
                why,
            } => {
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                let text = format!("{} is {}{why}", self.source_name(source), health.as_str());
                tracing::info!(source, health = health.as_str(), "{text}");
                ("source_health", Some(source), text)
            }
            Notice::Trouble(trouble) => {
                let (code, source, detail) = (trouble.code, trouble.source, &trouble.detail);
                if self.is_news(source, code) {
                    tracing::warn!(source, code, detail, "source trouble");
                } else {
                    tracing::debug!(source, code, detail, "source trouble");
                }
                let (code, source, detail) = (trouble.code, trouble.source, trouble.detail.clone());
                let at_ms = self.channel.shared.clock.unix_ms();
                note(
                    &mut self.errors,
                    ErrorNote {
                        at_ms,
                        code,
                        source,
                        detail,
                        count: 1,
                    },
                );
                (trouble.code, Some(trouble.source), trouble.detail)
            }
        };
        self.channel
            .shared
            .emit(self.channel.id(), code, source, text);
    }

    /// Whether the log has not said the like for a while: what is down is asked again and again.
    fn is_news(&mut self, source: usize, code: &'static str) -> bool {
        let now = self.now();
        let said = self.warned.get(&(source, code));
        let news = said.is_none_or(|at| now - *at >= WARN_EVERY);
        if news {
            self.warned.insert((source, code), now);
        }
        news
    }
}
