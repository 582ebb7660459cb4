//! What goes wrong with files, locks, schemas and servers: each has a name and a cure.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Place, channel, persistent, position};
use crate::{Error, Fault, Location, Store};

async fn refused(location: &Location) -> Error {
    let error = Store::open(location).await.unwrap_err();
    assert!(!error.hint().is_empty(), "{error}");
    error
}

/// Writes into the directory of an unopened store, then expects its opening to fail with the fault.
async fn check_damaged(damage: impl FnOnce(&Path), expected: Fault) {
    let place = Place::directory();
    let Location::Directory(dir) = &place.location else {
        panic!("a directory has a path")
    };
    std::fs::create_dir(dir).unwrap();
    damage(&dir.join("perennial.db"));
    let error = refused(&place.location).await;
    assert!(
        error.to_string().starts_with(&place.location.to_string()),
        "{error}"
    );
    assert!(
        matches!(error, Error::Database { fault, .. } if fault == expected),
        "{error}"
    );
}

#[tokio::test]
async fn a_path_that_is_no_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refused(&Location::Directory(path.clone())).await;
        assert_eq!(
            error.to_string(),
            format!("{} is not a directory", path.display())
        );
    }
}

/// Even root cannot make files there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    let error = refused(&Location::Directory("/proc/self".into())).await;
    let expected = "cannot open /proc/self/perennial.lock: ";
    assert!(error.to_string().starts_with(expected), "{error}");
    let error = refused(&Location::Directory("/proc/self/data".into())).await;
    let expected = "cannot create /proc/self/data: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    check_damaged(
        |db| std::fs::write(db, "no database".repeat(1000)).unwrap(),
        Fault::Corrupt,
    )
    .await;
    check_damaged(|db| std::fs::create_dir(db).unwrap(), Fault::Unwritable).await;
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let place = Place::directory();
    let store = place.open().await;
    store
        .put_channel(&channel("news"), &"x".repeat(10_000))
        .await
        .unwrap();
    store.close().await.unwrap();
    let file = place.location.to_string();
    let mut bytes = std::fs::read(&file).unwrap();
    // The header and the schema's page stay; whatever follows is overwritten.
    bytes[4096..].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let error = refused(&place.location).await;
    assert!(
        matches!(
            error,
            Error::Database {
                fault: Fault::Corrupt,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_empty_file_is_a_new_store() {
    let place = Place::directory();
    let Location::Directory(dir) = &place.location else {
        panic!("a directory has a path")
    };
    std::fs::create_dir(dir).unwrap();
    std::fs::write(dir.join("perennial.db"), "").unwrap();
    assert!(!place.open().await.has_keys());
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let place = Place::directory();
    let store = place.open().await;
    let error = refused(&place.location).await;
    let expected = format!(
        "is in use by another perennial (process {})",
        std::process::id()
    );
    assert!(error.to_string().ends_with(&expected), "{error}");

    store.close().await.unwrap();
    let store = place.open().await;
    drop(store);
    place.open().await.close().await.unwrap();
}

#[tokio::test]
async fn a_command_joins_a_running_owner() {
    let place = Place::directory();
    // Without an owner it is one.
    let first = Store::join(&place.location).await.unwrap();
    assert!(matches!(
        refused(&place.location).await,
        Error::InUse { .. }
    ));
    first.close().await.unwrap();

    let owner = place.open().await;
    let ring = owner.key_ring();
    let command = Store::join(&place.location).await.unwrap();
    let (info, key) = command.create_key("made beside").await.unwrap();
    command.close().await.unwrap();
    assert_eq!(ring.verify(key.expose()), None);
    owner.reload_keys().await.unwrap();
    assert_eq!(ring.verify(key.expose()), Some(info.id));

    owner.sql("DELETE FROM _sqlx_migrations").await;
    let error = Store::join(&place.location).await.unwrap_err();
    assert!(
        matches!(error, Error::OlderSchema { found: 0, .. }),
        "{error}"
    );
    assert!(!error.hint().is_empty());
}

#[tokio::test]
async fn a_schema_that_is_not_ours_to_use_is_named() {
    for place in persistent().await {
        let store = place.open().await;
        store
            .sql(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 9999, 'future', success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
            )
            .await;
        store.close().await.unwrap();
        let error = refused(&place.location).await;
        assert!(
            matches!(error, Error::NewerSchema { found: 9999, .. }),
            "{error}"
        );
        assert!(error.to_string().starts_with(&place.location.to_string()));
    }
    for place in persistent().await {
        let store = place.open().await;
        store
            .sql("UPDATE _sqlx_migrations SET checksum = substr(checksum, 2)")
            .await;
        store.close().await.unwrap();
        let error = refused(&place.location).await;
        assert!(
            matches!(error, Error::ForeignSchema { version: 1, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_a_visible_state_and_passes() {
    let place = Place::directory();
    let store = place.open().await;
    // Fewer pages than it has are not possible: it may not grow.
    store.sql("PRAGMA max_page_count = 1").await;
    let positions = store.positions();
    for n in 0..200 {
        positions.save(position("news", &format!("{n:0500}"), n));
    }
    store.health_is("full", |h| h.error.is_some()).await;
    let health = store.health();
    assert_eq!((health.saved, health.waiting), (0, 200));
    let error = health.error.unwrap();
    assert!(
        error.contains("perennial.db: no space left while saving positions"),
        "{error}"
    );

    let error = store
        .put_channel(&channel("news"), &"x".repeat(100_000))
        .await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Database {
                fault: Fault::Full,
                ..
            }
        ),
        "{error}"
    );

    store.sql("PRAGMA max_page_count = 100000").await;
    store
        .health_is("space again", |h| h.saved == 200 && h.error.is_none())
        .await;
}

#[tokio::test]
async fn a_database_that_may_not_be_written_is_named() {
    let place = Place::directory();
    let store = place.open().await;
    store.sql("PRAGMA query_only = 1").await;
    let error = store.create_key("").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Database {
                fault: Fault::Unwritable,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_writer_that_is_locked_out_says_so() {
    let place = Place::directory();
    let store = place.open().await;
    store.sql("PRAGMA busy_timeout = 10").await;
    let other = Store::join(&place.location).await.unwrap();
    let mut transaction = other.0.db.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = store.put_channel(&channel("news"), "{}").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Database {
                fault: Fault::Busy,
                ..
            }
        ),
        "{error}"
    );
    sqlx::raw_sql("SELECT 1")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    store.put_channel(&channel("news"), "{}").await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::directory();
    let store = place.open().await;
    store.put_channel(&channel("news"), "{}").await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let Location::Directory(dir) = &place.location else {
        panic!("a directory has a path")
    };
    assert_eq!(mode(dir), 0o700);
    for file in [
        "perennial.db",
        "perennial.db-wal",
        "perennial.db-shm",
        "perennial.lock",
    ] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn any_directory_name_will_do() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("elsewhere/below");
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(&target, dir.path().join("link")).unwrap();
    for name in ["a b?mode=memory#c%20d", "é:*\"", "link/../beside"] {
        let store = Store::open(&Location::Directory(dir.path().join(name)))
            .await
            .unwrap();
        store.create_key("").await.unwrap();
        store.close().await.unwrap();
        assert!(
            dir.path()
                .join(name)
                .join("perennial.db")
                .metadata()
                .unwrap()
                .len()
                > 0,
            "{name}"
        );
    }
    assert!(dir.path().join("elsewhere/beside/perennial.db").exists());
}

#[tokio::test]
async fn a_server_that_is_away_is_named_and_its_password_is_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("postgres://user:hunter2@{address}/db?sslmode=disable&password=hunter2");
    let location = Location::Postgres(url.parse().unwrap());
    let error = refused(&location).await;
    assert!(
        matches!(
            error,
            Error::Database {
                fault: Fault::Unreachable,
                ..
            }
        ),
        "{error}"
    );
    let printed = format!("{error} {error:?} {location} {location:?}");
    assert!(
        printed.contains(&address.to_string()) && !printed.contains("hunter2"),
        "{printed}"
    );

    let error = Store::open(&Location::Postgres(
        "mysql://user:hunter2@a/b".parse().unwrap(),
    ))
    .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "store.url must begin with postgres://"
    );
}

#[tokio::test]
async fn a_postgres_without_the_database_is_named() {
    let Some(place) = Place::postgres().await else {
        return;
    };
    let Location::Postgres(mut url) = place.location else {
        panic!("a postgres has a url")
    };
    url.set_path("/nowhere");
    let error = refused(&Location::Postgres(url)).await;
    assert!(
        matches!(
            error,
            Error::Database {
                fault: Fault::Missing,
                ..
            }
        ),
        "{error}"
    );
}

/// Set for the process that is to be killed, to its data directory.
const VICTIM: &str = "PERENNIAL_TEST_VICTIM";

/// Not a test of its own: what runs in the process that [`a_killed_process_leaves_its_state`] kills.
#[tokio::test]
async fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else {
        return;
    };
    let store = Store::open(&Location::Directory(dir.into())).await.unwrap();
    for n in 0..=50 {
        store.positions().save(position("news", "video", n));
    }
    store
        .health_is("written", |h| h.saved >= 1 && h.waiting == 0)
        .await;
    println!("\nready");
    // Until it is killed, or whoever should have done it is gone.
    std::io::stdin().lines().next();
}

#[tokio::test]
async fn a_killed_process_leaves_its_state() {
    let place = Place::directory();
    let Location::Directory(dir) = &place.location else {
        panic!("a directory has a path")
    };
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::faults::victim", "--nocapture"])
        .env(VICTIM, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(victim.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "ready"));
    assert!(
        matches!(refused(&place.location).await, Error::InUse { pid, .. } if pid == Some(victim.id()))
    );
    victim.kill().unwrap();
    victim.wait().unwrap();

    let store = place.open().await;
    let loaded = store.load_positions(&channel("news")).await.unwrap();
    assert_eq!(loaded, [position("news", "video", 50)]);
}
