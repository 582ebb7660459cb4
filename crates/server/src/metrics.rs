//! `GET /metrics`: Prometheus text, made from what the channels count anyway.

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

use crate::state::App;

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
    pub(crate) fn new(live: Live, store: Store) -> Self {
        let mut registry = Registry::with_prefix("perennial");
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

impl Collector for Channels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let channels = self.live.channels();
        let now = self.live.clock().now();
        let mut each =
            |name: &str, help: &str, kind: MetricType, value: &dyn Fn(&live::Channel) -> u64| {
                let mut family = encoder.encode_descriptor(name, help, None, kind)?;
                for channel in &channels {
                    let labels = [("channel", channel.id().as_str())];
                    let member = family.encode_family(&labels)?;
                    match kind {
                        MetricType::Counter => ConstCounter::new(value(channel)).encode(member)?,
                        _ => ConstGauge::new(value(channel).cast_signed()).encode(member)?,
                    }
                }
                Ok::<_, std::fmt::Error>(())
            };
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        each(
            "channel_bytes_in",
            "Bytes taken from sources",
            counter,
            &|c| c.bytes_in(),
        )?;
        each(
            "channel_bytes_out",
            "Bytes sent to viewers",
            counter,
            &|c| c.bytes_out(),
        )?;
        each(
            "channel_upstream_requests",
            "Requests sent to sources",
            counter,
            &|c| c.requests_upstream(),
        )?;
        each("channel_viewers", "Viewers at this moment", gauge, &|c| {
            c.viewers.count(now, c.viewer_idle()) as u64
        })?;
        each(
            "channel_generation",
            "Runs of sources so far",
            gauge,
            &|c| c.view().status.generation,
        )?;
        each(
            "channel_running",
            "1 while the channel pulls from a source",
            gauge,
            &|c| u64::from(c.view().status.state != "idle"),
        )?;
        each(
            "channel_live",
            "1 while players get what the source sends",
            gauge,
            &|c| u64::from(c.view().status.state == "live"),
        )?;
        each(
            "channel_ring_bytes",
            "Bytes of segments kept",
            gauge,
            &|c| c.view().status.tracks.iter().map(|track| track.bytes).sum(),
        )?;
        let mut responses = encoder.encode_descriptor(
            "http_responses",
            "Responses by class of status",
            None,
            counter,
        )?;
        for (class, count) in REQUESTS.0.iter().enumerate().skip(1) {
            let labels = [("class", format!("{class}xx"))];
            let member = responses.encode_family(&labels)?;
            ConstCounter::new(count.load(Ordering::Relaxed)).encode(member)?;
        }
        let health = self.store.health();
        let failing = encoder.encode_descriptor(
            "store_failing",
            "1 while the store cannot write",
            None,
            gauge,
        )?;
        ConstGauge::new(i64::from(health.error.is_some())).encode(failing)
    }
}
