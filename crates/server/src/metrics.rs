//! `GET /metrics`: Prometheus text, made from what the channels count anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use live::Live;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use store::Store;
use usenet::Usenet;
use vod::Vod;

use crate::state::App;
use crate::usenet::metrics::Posts;
use crate::vod::metrics::Libraries;

/// The registry, and what requests count.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: &'static Requests,
}

/// Responses by class of status.
#[derive(Debug, Default)]
pub(crate) struct Requests([AtomicU64; 6]);

impl Requests {
    pub(crate) fn count(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).min(5);
        self.0[class].fetch_add(1, Ordering::Relaxed);
    }
}

/// One for the process: the counters of requests outlive every router.
static REQUESTS: Requests = Requests([const { AtomicU64::new(0) }; 6]);

impl Metrics {
    pub(crate) fn new(live: Live, vod: Vod, engine: Usenet, store: Store) -> Self {
        let mut registry = Registry::with_prefix("perennial");
        registry.register_collector(Box::new(Libraries { vod }));
        registry.register_collector(Box::new(Posts { engine }));
        registry.register_collector(Box::new(Channels { live, store }));
        Self {
            registry,
            requests: &REQUESTS,
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let mut out = String::new();
    match text::encode(&mut out, &app.metrics.registry) {
        Ok(()) => {
            let mime = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, mime)], out).into_response()
        }
        Err(_) => crate::Problem::new(
            base::ErrorKind::Internal,
            "metrics",
            "metrics cannot be written",
        )
        .into_response(),
    }
}

/// Reads the channels when Prometheus asks.
#[derive(Debug)]
struct Channels {
    live: Live,
    store: Store,
}

/// What is told of each channel: name, help, kind, value.
type Figure = (
    &'static str,
    &'static str,
    MetricType,
    fn(&Live, &live::Channel) -> u64,
);

const FIGURES: [Figure; 15] = [
    (
        "channel_bytes_in",
        "Bytes taken from sources",
        MetricType::Counter,
        |_, c| c.bytes_in(),
    ),
    (
        "channel_bytes_out",
        "Bytes sent to viewers",
        MetricType::Counter,
        |_, c| c.bytes_out(),
    ),
    (
        "channel_upstream_requests",
        "Requests sent to sources",
        MetricType::Counter,
        |_, c| c.requests_upstream(),
    ),
    (
        "channel_viewers",
        "Viewers at this moment",
        MetricType::Gauge,
        |live, c| c.viewers.count(live.clock().now(), c.viewer_idle()) as u64,
    ),
    (
        "channel_generation",
        "Runs of sources so far",
        MetricType::Gauge,
        |_, c| c.view().status.generation,
    ),
    (
        "channel_running",
        "1 while the channel pulls from a source",
        MetricType::Gauge,
        |_, c| u64::from(c.view().status.state != "idle"),
    ),
    (
        "channel_live",
        "1 while players get what the source sends",
        MetricType::Gauge,
        |_, c| u64::from(c.view().status.state == "live"),
    ),
    (
        "channel_failovers",
        "Changes of the source on air that nobody asked for",
        MetricType::Counter,
        |_, c| c.failovers(),
    ),
    (
        "channel_slate_seconds",
        "Whole seconds for which players got the slate",
        MetricType::Counter,
        |_, c| c.slate().as_secs(),
    ),
    (
        "channel_damaged_packets",
        "Damaged packets in segments that were passed on",
        MetricType::Counter,
        |_, c| c.damaged_packets(),
    ),
    (
        "channel_ring_bytes",
        "Bytes of segments kept",
        MetricType::Gauge,
        |_, c| c.view().status.tracks.iter().map(|track| track.bytes).sum(),
    ),
    (
        "channel_ts_listeners",
        "Listeners to continuous transport streams at this moment",
        MetricType::Gauge,
        |_, c| c.listeners(),
    ),
    (
        "channel_ts_joined",
        "Segments joined for continuous transport streams",
        MetricType::Counter,
        |_, c| c.ts_joined(),
    ),
    (
        "channel_ts_moved",
        "Listeners moved ahead because they were too slow",
        MetricType::Counter,
        |_, c| c.ts_moved(),
    ),
    (
        "channel_ts_closed",
        "Listeners closed because they were too slow time and again",
        MetricType::Counter,
        |_, c| c.ts_closed(),
    ),
];

/// What a source's health can be.
const HEALTHS: [&str; 5] = ["unknown", "healthy", "suspect", "failed", "ended"];

/// One series for each source and word, 1 where it is so, as Prometheus likes its states.
fn encode_health(
    encoder: &mut DescriptorEncoder<'_>,
    channels: &[Arc<live::Channel>],
) -> Result<(), std::fmt::Error> {
    let help = "1 for the health that a source is in";
    let mut family =
        encoder.encode_descriptor("channel_source_health", help, None, MetricType::Gauge)?;
    for channel in channels {
        for (index, source) in channel.view().status.sources.iter().enumerate() {
            for health in HEALTHS {
                let labels = [
                    ("channel", channel.id().to_string()),
                    ("source", index.to_string()),
                    ("health", health.to_owned()),
                ];
                let is_so = i64::from(source.health == health);
                ConstGauge::new(is_so).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

impl Collector for Channels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let channels = self.live.channels();
        for (name, help, kind, value) in FIGURES {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for channel in &channels {
                let labels = [("channel", channel.id().as_str())];
                let member = family.encode_family(&labels)?;
                let value = value(&self.live, channel);
                match kind {
                    MetricType::Counter => ConstCounter::new(value).encode(member)?,
                    _ => ConstGauge::new(value.cast_signed()).encode(member)?,
                }
            }
        }
        encode_health(&mut encoder, &channels)?;
        let help = "Responses by class of status";
        let mut responses =
            encoder.encode_descriptor("http_responses", help, None, MetricType::Counter)?;
        for (class, count) in REQUESTS.0.iter().enumerate().skip(1) {
            let labels = [("class", format!("{class}xx"))];
            let member = responses.encode_family(&labels)?;
            ConstCounter::new(count.load(Ordering::Relaxed)).encode(member)?;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let help = "Tasks that are alive";
            let gauge = encoder.encode_descriptor("tasks", help, None, MetricType::Gauge)?;
            ConstGauge::new(runtime.metrics().num_alive_tasks() as i64).encode(gauge)?;
        }
        let failing = self.store.health().error.is_some();
        let help = "1 while the store cannot write";
        let gauge = encoder.encode_descriptor("store_failing", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(failing)).encode(gauge)
    }
}
