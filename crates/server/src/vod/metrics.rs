//! What Prometheus is told of libraries in buckets.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use vod::{Traffic, Vod};

/// Reads the libraries when Prometheus asks.
#[derive(Debug)]
pub(crate) struct Libraries {
    pub(crate) vod: Vod,
}

/// Name, help, value.
type Figure = (&'static str, &'static str, fn(&Traffic) -> u64);

const FIGURES: [Figure; 3] = [
    (
        "library_requests",
        "Requests to the bucket; not those of redirected viewers",
        Traffic::requests,
    ),
    (
        "library_failures",
        "Requests without a sound answer, and bodies that broke",
        Traffic::failures,
    ),
    (
        "library_bytes_in",
        "Bytes taken from the bucket",
        Traffic::bytes_in,
    ),
];

impl Collector for Libraries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let libraries = self.vod.libraries();
        for (name, help, value) in FIGURES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for library in &libraries {
                if let Some(bucket) = library.bucket() {
                    let labels = [("library", library.id())];
                    let member = family.encode_family(&labels)?;
                    ConstCounter::new(value(bucket.traffic())).encode(member)?;
                }
            }
        }
        Ok(())
    }
}
