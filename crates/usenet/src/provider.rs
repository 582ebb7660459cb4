//! How a provider fares, for people and programs.

use serde::Serialize;

/// A provider as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProviderStatus {
    /// `host:port`.
    pub host: String,
    /// Whether it is asked.
    pub circuit: Circuit,
    /// Connections that are signed in.
    pub connections: u32,
    /// Connections that are being opened.
    pub opening: u32,
    /// Connections that the account may have, as configured or as learned.
    pub connections_max: u32,
    /// Commands on their way.
    pub in_flight: u32,
    /// Commands that wait for a connection.
    pub queued: u32,
    /// Articles delivered since start.
    pub articles: u64,
    /// Articles that it did not have.
    pub missing: u64,
    /// Articles that came damaged.
    pub damaged: u64,
    /// Encoded bytes received.
    pub bytes: u64,
    /// Connections that broke, stalled or were refused.
    pub failures: u64,
    /// Milliseconds from a command to its answer, smoothed; `None` before the first.
    pub round_trip_ms: Option<f64>,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// It is.
    Closed,
    /// Not until it has rested.
    Open,
    /// Not for some minutes: it refuses the account.
    Denied,
}
