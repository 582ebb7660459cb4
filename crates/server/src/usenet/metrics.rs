//! What Prometheus is told of mounts and providers.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use usenet::{Circuit, ProviderStatus, State, Usenet};

/// Reads the engine when Prometheus asks.
#[derive(Debug)]
pub(crate) struct Posts {
    pub(crate) engine: Usenet,
}

/// Name, help, kind, value.
type Figure = (
    &'static str,
    &'static str,
    MetricType,
    fn(&ProviderStatus) -> u64,
);

const STATES: [State; 6] = [
    State::Accepted,
    State::Probing,
    State::Streamable,
    State::Verified,
    State::Completed,
    State::Failed,
];

const FIGURES: [Figure; 11] = [
    (
        "provider_connections",
        "Connections that are signed in",
        MetricType::Gauge,
        |p| p.connections.into(),
    ),
    (
        "provider_connections_max",
        "Connections that the account may have, as configured or learned",
        MetricType::Gauge,
        |p| p.connections_max.into(),
    ),
    (
        "provider_in_flight",
        "Commands on their way",
        MetricType::Gauge,
        |p| p.in_flight.into(),
    ),
    (
        "provider_queued",
        "Commands that wait for a connection",
        MetricType::Gauge,
        |p| p.queued.into(),
    ),
    (
        "provider_usable",
        "1 while the provider is asked",
        MetricType::Gauge,
        |p| u64::from(p.circuit == Circuit::Closed),
    ),
    (
        "provider_round_trip_milliseconds",
        "From a command to its answer, smoothed",
        MetricType::Gauge,
        |p| p.round_trip_ms.unwrap_or_default() as u64,
    ),
    (
        "provider_articles",
        "Articles delivered",
        MetricType::Counter,
        |p| p.articles,
    ),
    (
        "provider_articles_missing",
        "Articles that the provider did not have",
        MetricType::Counter,
        |p| p.missing,
    ),
    (
        "provider_articles_damaged",
        "Articles that came damaged",
        MetricType::Counter,
        |p| p.damaged,
    ),
    (
        "provider_bytes",
        "Encoded bytes received",
        MetricType::Counter,
        |p| p.bytes,
    ),
    (
        "provider_failures",
        "Connections that broke, stalled or were refused",
        MetricType::Counter,
        |p| p.failures,
    ),
];

impl Collector for Posts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mounts = self.engine.mounts();
        let help = "Mounted posts by state";
        let mut family = encoder.encode_descriptor("mounts", help, None, MetricType::Gauge)?;
        for state in STATES {
            let count = mounts
                .iter()
                .filter(|mount| mount.status().state == state)
                .count();
            let labels = [("state", state.as_str())];
            let member = family.encode_family(&labels)?;
            ConstGauge::new(count as i64).encode(member)?;
        }
        let missing: u64 = mounts.iter().map(|mount| mount.status().missing).sum();
        let help = "Articles of mounted posts known to be missing at every provider";
        let gauge =
            encoder.encode_descriptor("mounts_articles_missing", help, None, MetricType::Gauge)?;
        ConstGauge::new(missing.cast_signed()).encode(gauge)?;
        let providers = self.engine.providers();
        for (name, help, kind, value) in FIGURES {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (at, provider) in providers.iter().enumerate() {
                // A host may have several accounts: told apart by number, their names are nobody's business.
                let before = providers[..at].iter();
                let account = 1 + before.filter(|other| other.host == provider.host).count();
                let labels = [
                    ("provider", provider.host.clone()),
                    ("account", account.to_string()),
                ];
                let member = family.encode_family(&labels)?;
                let value = value(provider);
                match kind {
                    MetricType::Counter => ConstCounter::new(value).encode(member)?,
                    _ => ConstGauge::new(value.cast_signed()).encode(member)?,
                }
            }
        }
        Ok(())
    }
}
