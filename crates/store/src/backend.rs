//! The two databases behind one pool: how to connect, which schema, and what their errors mean.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, SqlSafeStr};
use tokio::time::timeout;

use crate::{Error, Fault, Location, location};

/// In order; never edited once released.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "keys, channels, positions",
        include_str!("../migrations/0001_keys_channels_positions.sql"),
    ),
    (2, "imports", include_str!("../migrations/0002_imports.sql")),
    (
        3,
        "assets, shares, grants",
        include_str!("../migrations/0003_assets_shares_grants.sql"),
    ),
    (
        4,
        "resolvers",
        include_str!("../migrations/0004_resolvers.sql"),
    ),
    (
        5,
        "import notes",
        include_str!("../migrations/0005_import_notes.sql"),
    ),
    (
        6,
        "revocations",
        include_str!("../migrations/0006_revocations.sql"),
    ),
];
const SCHEMA: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;
/// The name that sqlx gives it.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// With WAL, `NORMAL` loses nothing to a kill and at worst the last commits to a power cut.
const SQLITE_PRAGMAS: &str = "PRAGMA busy_timeout = 5000; \
     PRAGMA journal_mode = WAL; \
     PRAGMA synchronous = NORMAL";

/// SQLite has one writer. Reads here are few and short, so they share its connection, and nothing is
/// ever locked against itself.
const SQLITE_CONNECTIONS: u32 = 1;
const POSTGRES_CONNECTIONS_MAX: u32 = 4;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that hangs must not hang its callers.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// On Postgres this includes waiting for another node that is at it.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// What to do about the schema when connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// Bring it up to date.
    Migrate,
    /// Leave it alone, and refuse one that is not up to date.
    Check,
}

/// The database. Clones share it.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) pool: AnyPool,
    pub(crate) place: Location,
}

impl Db {
    pub(crate) async fn open(location: &Location, schema: Schema) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let url = match location {
            Location::Directory(path) => location::sqlite_url(path)?,
            Location::Memory => "sqlite::memory:".to_owned(),
            Location::Postgres(url) => match url.scheme() {
                "postgres" | "postgresql" => url.as_str().to_owned(),
                _ => {
                    return Err(Error::Invalid {
                        what: "store.url",
                        reason: "must begin with postgres://",
                    });
                }
            },
        };
        let sqlite = !matches!(location, Location::Postgres(_));
        let connections = if sqlite {
            SQLITE_CONNECTIONS
        } else {
            POSTGRES_CONNECTIONS_MAX
        };
        let options = url
            .parse::<AnyConnectOptions>()
            .map_err(|error| database_error(location, "reading its address", &error))?
            .disable_statement_logging();
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // What lies in memory ends with its connection.
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                Box::pin(async move { configure(connection, sqlite).await })
            })
            .connect_lazy_with(options.clone());
        let db = Self {
            pool,
            place: location.clone(),
        };
        if *location == Location::Memory {
            let mut first = db.run("opening it", db.pool.acquire()).await?;
            db.prepare(&mut first, schema).await?;
        } else {
            // The pool takes any failure for a server that is still starting, and says only that time
            // ran out. A first connection of our own says what is wrong.
            let mut first = db
                .run("opening it", async {
                    let mut first = AnyConnection::connect_with(&options).await?;
                    configure(&mut first, sqlite).await?;
                    Ok(first)
                })
                .await?;
            db.prepare(&mut first, schema).await?;
            db.run("opening it", first.close()).await?;
        }
        Ok(db)
    }

    /// Waits for `work`, within [`OPERATION_TIMEOUT`], and says what its failure means. `doing` is a
    /// participle, as in `saving positions`.
    pub(crate) fn run<'a, T: 'a>(
        &'a self,
        doing: &'static str,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Error>> + Send + 'a {
        self.within(OPERATION_TIMEOUT, doing, work)
    }

    /// The work is boxed because sqlx's futures are too large to nest, and because the compiler proves
    /// them `Send` only where they are made.
    async fn within<'a, T: 'a>(
        &'a self,
        limit: Duration,
        doing: &'static str,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'a,
    ) -> Result<T, Error> {
        let work: Pin<Box<dyn Future<Output = _> + Send + 'a>> = Box::pin(work);
        match timeout(limit, work).await {
            Ok(result) => result.map_err(|error| database_error(&self.place, doing, &error)),
            Err(_) => Err(Error::Database {
                place: self.place.to_string(),
                fault: Fault::Busy,
                doing,
                detail: format!("no answer within {} s", limit.as_secs()),
            }),
        }
    }

    async fn prepare(&self, connection: &mut AnyConnection, schema: Schema) -> Result<(), Error> {
        if schema == Schema::Check {
            let found = self
                .run("reading its schema", async {
                    let applied = connection.list_applied_migrations(MIGRATIONS_TABLE).await?;
                    Ok(applied.last().map_or(0, |migration| migration.version))
                })
                .await?;
            if found < SCHEMA {
                return Err(Error::OlderSchema {
                    place: self.place.to_string(),
                    found,
                    known: SCHEMA,
                });
            }
        }
        // Applies nothing when all is applied, and then still tells a newer or foreign schema.
        self.within(MIGRATION_TIMEOUT, "bringing its schema up to date", async {
            // What `run` calls, whose future the compiler cannot prove `Send`.
            Ok(migrator().run_direct(None, connection, false).await?)
        })
        .await
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.place).finish()
    }
}

async fn configure(connection: &mut AnyConnection, sqlite: bool) -> Result<(), sqlx::Error> {
    if sqlite {
        sqlx::raw_sql(SQLITE_PRAGMAS).execute(connection).await?;
    }
    Ok(())
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        let name = Cow::Borrowed(name);
        Migration::new(
            version,
            name,
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

fn database_error(place: &Location, doing: &'static str, error: &sqlx::Error) -> Error {
    let (fault, detail) = match error {
        sqlx::Error::Migrate(error) => match **error {
            MigrateError::Execute(ref error) | MigrateError::ExecuteMigration(ref error, _) => {
                return database_error(place, doing, error);
            }
            MigrateError::VersionMissing(found) if found > SCHEMA => {
                return Error::NewerSchema {
                    place: place.to_string(),
                    found,
                    known: SCHEMA,
                };
            }
            MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
                return Error::ForeignSchema {
                    place: place.to_string(),
                    version,
                };
            }
            ref other => (Fault::Other, other.to_string()),
        },
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            let fault = match place {
                Location::Postgres(_) => postgres_fault(&code),
                Location::Directory(_) | Location::Memory => sqlite_fault(&code),
            };
            (fault, error.message().to_owned())
        }
        sqlx::Error::PoolTimedOut => (Fault::Busy, "no connection became free".to_owned()),
        sqlx::Error::PoolClosed => (Fault::Closed, "it was closed".to_owned()),
        // How a refused certificate comes up through the handshake.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            (Fault::Tls, error.to_string())
        }
        sqlx::Error::Io(error) => (Fault::Unreachable, error.to_string()),
        sqlx::Error::Tls(error) => (Fault::Tls, error.to_string()),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (Fault::Corrupt, error.to_string())
        }
        other => (Fault::Other, other.to_string()),
    };
    Error::Database {
        place: place.to_string(),
        fault,
        doing,
        detail,
    }
}

/// The primary result code is the low byte of the extended one: <https://sqlite.org/rescode.html>.
fn sqlite_fault(code: &str) -> Fault {
    match code.parse::<i32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Fault::Busy,
        Ok(8 | 14) => Fault::Unwritable,
        Ok(11 | 26) => Fault::Corrupt,
        Ok(13) => Fault::Full,
        _ => Fault::Other,
    }
}

/// SQLSTATE, Postgres' appendix A: two characters of class, three of condition.
fn postgres_fault(code: &str) -> Fault {
    match code {
        "3D000" => Fault::Missing,
        "25006" => Fault::Unwritable,
        "42501" => Fault::Denied,
        "53100" => Fault::Full,
        _ => match code.get(..2) {
            Some("08" | "57") => Fault::Unreachable,
            Some("28") => Fault::Denied,
            Some("40" | "53" | "55") => Fault::Busy,
            Some("XX") => Fault::Corrupt,
            _ => Fault::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_the_manuals_say() {
        for (code, fault) in [
            ("5", Fault::Busy),
            ("517", Fault::Busy),
            ("8", Fault::Unwritable),
            ("13", Fault::Full),
            ("26", Fault::Corrupt),
            ("1", Fault::Other),
            ("", Fault::Other),
        ] {
            assert_eq!(sqlite_fault(code), fault, "{code}");
        }
        for (code, fault) in [
            ("28P01", Fault::Denied),
            ("42501", Fault::Denied),
            ("3D000", Fault::Missing),
            ("53100", Fault::Full),
            ("53300", Fault::Busy),
            ("57P03", Fault::Unreachable),
            ("42P01", Fault::Other),
            ("", Fault::Other),
        ] {
            assert_eq!(postgres_fault(code), fault, "{code}");
        }
    }

    #[tokio::test]
    async fn a_database_that_never_answers_is_named() {
        let db = Db::open(&Location::Memory, Schema::Migrate).await.unwrap();
        let never = std::future::pending::<Result<(), sqlx::Error>>();
        let error = db
            .within(Duration::ZERO, "waiting", never)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "memory: busy while waiting: no answer within 0 s"
        );
    }
}
