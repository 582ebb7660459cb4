//! State changes, for whoever listens: the page, the API, a test.

use base::ChannelId;
use serde::Serialize;
use tokio::sync::broadcast;

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The channel it happened to.
    pub channel: ChannelId,
    /// A stable word: `state`, `on_air`, `added`, `changed`, `removed`, `ts_moved`, `ts_closed`, `ts_ended`,
    /// or the code of an error.
    pub code: &'static str,
    /// The source it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<usize>,
    /// What happened, for people; without secrets.
    pub text: String,
}

/// Hands events to every listener. A listener that falls behind by 256 misses the oldest,
/// and is told how many.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

/// Events kept for slow listeners.
const BACKLOG: usize = 256;

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }

    /// Everything from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    pub(crate) fn send(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.0.send(event);
    }
}
