//! What all channels share.

use std::sync::Arc;
use std::time::Duration;

use hls::channel::{Slate, VariantFilter};
use hls::timeline::Window;

/// The `[live]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Segments listed in a playlist.
    pub window_segments: usize,
    /// Segments kept at least.
    pub retain_segments: usize,
    /// Bytes of segments that a channel keeps.
    pub buffer_bytes_max: u64,
    /// Segments in the first playlist of a cold channel.
    pub prime_segments: usize,
    /// How long a request waits for a cold channel.
    pub start_timeout: Duration,
    /// How long a channel runs on after its last viewer.
    pub idle_stop: Duration,
    /// Which variants are offered.
    pub variants: VariantFilter,
    /// Where a source has none of its own.
    pub user_agent: String,
    /// Keep the next source ready all the time.
    pub warm_standby: bool,
    /// Go back to a preferred source once it was healthy for so long.
    pub return_after: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window_segments: 12,
            retain_segments: 16,
            buffer_bytes_max: 512 << 20,
            prime_segments: 3,
            start_timeout: Duration::from_secs(10),
            idle_stop: Duration::from_secs(30),
            variants: VariantFilter::All,
            user_agent: fetch::USER_AGENT.to_owned(),
            warm_standby: false,
            return_after: None,
        }
    }
}

impl Settings {
    pub(crate) fn machine(
        &self,
        target_duration_s: u32,
        slate: Arc<Slate>,
        seed: u64,
    ) -> hls::channel::Settings {
        hls::channel::Settings {
            window: Window {
                segments: self.window_segments,
                retain: self.retain_segments,
                bytes_max: self.buffer_bytes_max,
            },
            prime_segments: self.prime_segments,
            variants: self.variants,
            target_duration_s: u64::from(target_duration_s),
            slate: Some(slate),
            warm_standby: self.warm_standby,
            return_after: self.return_after,
            seed,
        }
    }
}
