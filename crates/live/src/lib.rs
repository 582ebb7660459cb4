//! Live channels at work: one task owns each channel, fetches what its state machine asks for, and
//! publishes immutable snapshots that any number of viewers read.
//!
//! Decisions are made in [`hls::channel`]; this crate carries them out. It knows nothing of HTTP
//! routes or status codes.

mod accounts;
mod channel;
mod clock;
mod continuous;
mod demand;
mod driver;
mod entries;
mod events;
mod links;
mod numbers;
mod registry;
mod sealed;
mod settings;
pub mod slate;
pub mod spec;
mod status;
mod stopwatch;
mod stream;
mod upstream;
mod view;
mod viewers;

pub use accounts::Account;
pub use channel::{Channel, Origin, Segment, Unavailable};
pub use clock::SystemClock;
pub use continuous::Listener;
pub use events::{Event, Events};
pub use registry::{Change, Live, NotChanged};
pub use sealed::Sealed;
pub use settings::Settings;
pub use status::{ErrorNote, FailoverStatus, SourceStatus, Status, TrackStatus};
pub use stream::kind;
pub use view::{Form, Rendered, Shape, TrackView, View};
pub use viewers::{Viewer, ViewerKey, Viewers};
