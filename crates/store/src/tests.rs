//! One suite for both backends, and the faults of each.

mod faults;
mod suite;
mod vod;

use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use base::ChannelId;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use crate::{Location, Position, Store};

/// Names the Postgres to test on; see `tests/with-postgres.sh`.
const POSTGRES: &str = "PERENNIAL_TEST_POSTGRES";
const DEADLINE: Duration = Duration::from_secs(20);

/// An empty store to be, of one backend.
struct Place {
    location: Location,
    _dir: Option<TempDir>,
}

impl Place {
    fn directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            location: Location::Directory(dir.path().join("data")),
            _dir: Some(dir),
        }
    }

    fn memory() -> Self {
        Self {
            location: Location::Memory,
            _dir: None,
        }
    }

    /// A schema of its own in the Postgres of the environment, if one is named.
    async fn postgres() -> Option<Self> {
        static TOLD: Once = Once::new();
        let Ok(url) = std::env::var(POSTGRES) else {
            // Not by a macro, whose output the harness keeps to itself.
            TOLD.call_once(|| {
                writeln!(
                    std::io::stderr(),
                    "store: not tested on Postgres, {POSTGRES} is not set"
                )
                .unwrap();
            });
            return None;
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let schema = format!("test_{:016x}", u64::from_ne_bytes(random));
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let mut url: url::Url = url.parse().unwrap();
        url.query_pairs_mut()
            .append_pair("options[search_path]", &schema);
        Some(Self {
            location: Location::Postgres(url),
            _dir: None,
        })
    }

    async fn open(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }
}

/// Every backend whose state outlives its `Store`.
async fn persistent() -> Vec<Place> {
    let mut places = vec![Place::directory()];
    places.extend(Place::postgres().await);
    places
}

async fn every() -> Vec<Place> {
    let mut places = persistent().await;
    places.push(Place::memory());
    places
}

impl Store {
    async fn sql(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&self.0.db.pool)
            .await
            .unwrap();
    }

    /// Waits until the health is as wanted.
    async fn health_is(&self, what: &str, wanted: impl Fn(&crate::Health) -> bool) {
        let waiting = async {
            while !wanted(&self.health()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(reached.is_ok(), "{what}: {:?}", self.health());
    }
}

fn channel(id: &str) -> ChannelId {
    id.parse().unwrap()
}

fn position(id: &str, track: &str, next_msn: u64) -> Position {
    Position {
        channel: channel(id),
        track: track.to_owned(),
        next_msn,
        head_msn: next_msn.saturating_sub(12),
        dsn: 3,
        discontinuity_msn: 7,
        source: "5f2c".to_owned(),
        source_msn: 1_000_000 + next_msn,
        source_name: format!("segment{next_msn}.ts"),
        target_duration_s: 6,
        updated_ms: 1_700_000_000_000,
    }
}
