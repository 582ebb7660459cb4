//! Changes of state, for whoever listens.

use serde::Serialize;
use tokio::sync::broadcast;

use crate::{MountId, State};

/// A change of a mount's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The mount it happened to.
    pub mount: MountId,
    /// A stable word: a [`State`]'s, `removed`, `renamed`, or `dead` for a mount whose articles are gone.
    pub code: &'static str,
    /// What happened, for people; without secrets.
    pub text: String,
}

/// Hands events to every listener; one that falls behind misses the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Events(broadcast::Sender<Event>);

/// Events kept for slow listeners.
const BACKLOG: usize = 256;

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    pub(crate) fn state(&self, mount: MountId, state: State, text: String) {
        self.send(mount, state.as_str(), text);
    }

    pub(crate) fn send(&self, mount: MountId, code: &'static str, text: String) {
        // Nobody listening is no error.
        let _ = self.0.send(Event {
            at_ms: crate::usenet::unix_ms(),
            mount,
            code,
            text,
        });
    }
}
