//! All schedules: fetched every night and on request, kept on disk, served when their source is down.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Clock;
use fetch::{Client, Request, Timeouts};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Calendar, Place, ScheduleSpec, Status, read};

/// The schedules. Clones are handles to the same.
#[derive(Clone)]
pub struct Schedules(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Arc<dyn Clock>,
    /// Where copies are kept; `None`: nowhere.
    folder: Option<PathBuf>,
    specs: Mutex<Vec<ScheduleSpec>>,
    known: watch::Sender<Arc<BTreeMap<String, Snapshot>>>,
    /// One refresh at a time.
    refreshing: tokio::sync::Mutex<()>,
    stop: CancellationToken,
}

/// What is known of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What is on.
    pub calendar: Calendar,
    /// Channels that show it.
    pub channels: Vec<String>,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub fetched_ms: Option<i64>,
    /// Why the last attempt brought nothing.
    pub error: Option<String>,
}

/// A copy on disk.
#[derive(Serialize, Deserialize)]
struct Copy {
    fetched_ms: i64,
    /// From where: a sign of it, since it may be secret.
    #[serde(default)]
    place: u64,
    /// As it was read: what repeats is found anew each day.
    body: String,
}

const BODY_MAX: u64 = 4 << 20;
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 24 * 3_600_000;
/// 03:00 UTC.
const HOUR_MS: i64 = 3 * 3_600_000;
/// What repeats is taken from so long ago to so far ahead.
const BEHIND_MS: i64 = 366 * DAY_MS;
const AHEAD_MS: i64 = 400 * DAY_MS;
/// A source that was down is tried again.
const RETRY: Duration = Duration::from_secs(1800);

impl Schedules {
    /// None yet; copies are kept in `folder`.
    pub fn new(client: Client, clock: Arc<dyn Clock>, folder: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            client,
            clock,
            folder,
            specs: Mutex::default(),
            known: watch::Sender::new(Arc::default()),
            refreshing: tokio::sync::Mutex::default(),
            stop: CancellationToken::new(),
        }))
    }

    /// Makes the schedules what `specs` says: first from their copies, then from their sources.
    pub async fn apply(&self, specs: Vec<ScheduleSpec>) {
        let changed = std::mem::replace(&mut *self.specs(), specs.clone()) != specs;
        if !changed {
            return;
        }
        let mut known = BTreeMap::new();
        for spec in &specs {
            known.insert(spec.id.clone(), self.of_copy(spec).await);
        }
        self.0.known.send_replace(Arc::new(known));
        if self.is_any_stale() {
            let this = self.clone();
            let span = tracing::Span::current();
            task::spawn(
                "schedule refresh",
                span,
                async move { this.refresh().await },
            );
        }
    }

    /// Adds a calendar of one's own making, which comes from nowhere and is not fetched again.
    pub fn put(&self, id: &str, calendar: Calendar, channels: Vec<String>) {
        let snapshot = Snapshot {
            calendar,
            channels,
            fetched_ms: Some(self.0.clock.unix_ms()),
            error: None,
        };
        self.0.known.send_modify(|known| {
            Arc::make_mut(known).insert(id.to_owned(), snapshot);
        });
    }

    /// Starts the nightly round.
    pub fn start(&self) {
        let this = self.clone();
        let nightly = async move {
            loop {
                let now_ms = this.0.clock.unix_ms();
                let next = next_round(now_ms);
                let wait = Duration::from_millis((next - now_ms).unsigned_abs());
                let wait = if this.is_any_stale() {
                    wait.min(RETRY)
                } else {
                    wait
                };
                tokio::select! {
                    () = this.0.stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => this.refresh().await,
                }
            }
        };
        task::spawn("schedule", tracing::info_span!("schedule"), nightly);
    }

    /// Ends the nightly round.
    pub fn shutdown(&self) {
        self.0.stop.cancel();
    }

    /// Fetches every source now. One that is down leaves what is known of it.
    pub async fn refresh(&self) {
        let _turn = self.0.refreshing.lock().await;
        let mut fetches = JoinSet::new();
        for spec in self.specs().clone() {
            let this = self.clone();
            fetches.spawn(async move {
                let fresh = this.fetched(&spec).await;
                (spec, fresh)
            });
        }
        // One that panicked has been logged, and is tried again in the next round.
        while let Some(fetched) = fetches.join_next().await {
            let Ok((spec, fresh)) = fetched else { continue };
            // The configuration may have changed meanwhile.
            if !self.specs().contains(&spec) {
                continue;
            }
            self.0.known.send_modify(|known| {
                let known = Arc::make_mut(known).entry(spec.id.clone()).or_default();
                match fresh {
                    Ok(snapshot) => *known = snapshot,
                    Err(error) => {
                        tracing::warn!(schedule = spec.id, error, "the schedule cannot be fetched");
                        known.error = Some(error);
                    }
                }
            });
        }
    }

    /// What is known of each schedule, by id.
    pub fn known(&self) -> Arc<BTreeMap<String, Snapshot>> {
        self.0.known.borrow().clone()
    }

    /// Whether a session of any schedule is on.
    pub fn is_live(&self) -> bool {
        let now_ms = self.0.clock.unix_ms();
        let known = self.known();
        let races = known.values().flat_map(|snapshot| &snapshot.calendar.races);
        let mut sessions = races.flat_map(|race| &race.sessions);
        sessions.any(|session| session.status(now_ms) == Status::Live)
    }

    fn is_any_stale(&self) -> bool {
        let now_ms = self.0.clock.unix_ms();
        let known = self.known();
        let specs = self.specs();
        let fetched = specs.iter().filter_map(|spec| known.get(&spec.id));
        fetched.into_iter().any(|snapshot| {
            snapshot.error.is_some()
                || snapshot
                    .fetched_ms
                    .is_none_or(|fetched| now_ms - fetched > DAY_MS)
        })
    }

    async fn fetched(&self, spec: &ScheduleSpec) -> Result<Snapshot, String> {
        let body = match &spec.place {
            Place::File(path) => file(path).await?,
            Place::Url(url) => {
                let get = async {
                    let scope = self.0.client.scope_of(url).await?;
                    let request = Request {
                        body_max: BODY_MAX,
                        user_agent: concat!("Perennial/", env!("CARGO_PKG_VERSION")).to_owned(),
                        timeouts: Timeouts {
                            total: Some(FETCH_TIMEOUT),
                            ..Timeouts::default()
                        },
                        ..Request::new(url.clone(), scope, self.0.client.manners())
                    };
                    self.0.client.get(&request).await
                };
                let response = tokio::time::timeout(FETCH_TIMEOUT, get).await;
                let response =
                    response.map_err(|_| format!("no answer within {FETCH_TIMEOUT:?}"))?;
                response.map_err(|error| error.to_string())?.body.to_vec()
            }
        };
        let now_ms = self.0.clock.unix_ms();
        let (snapshot, body) = snapshot(spec, body, now_ms, now_ms).await?;
        let copy = Copy {
            fetched_ms: now_ms,
            place: sign_of(spec),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        if let Err(error) = self.keep(&spec.id, &copy).await {
            tracing::warn!(schedule = spec.id, %error, "the copy of the schedule cannot be kept");
        }
        Ok(snapshot)
    }

    async fn keep(&self, id: &str, copy: &Copy) -> std::io::Result<()> {
        let Some(path) = self.path(id) else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        // A reader, or a crash, never sees half of it.
        let part = path.with_extension("part");
        let text = serde_json::to_vec(copy).map_err(std::io::Error::other)?;
        tokio::fs::write(&part, text).await?;
        tokio::fs::rename(&part, &path).await
    }

    /// What the last copy says.
    async fn of_copy(&self, spec: &ScheduleSpec) -> Snapshot {
        let empty = Snapshot {
            channels: spec.channels.clone(),
            ..Snapshot::default()
        };
        let Some(path) = self.path(&spec.id) else {
            return empty;
        };
        let Ok(text) = tokio::fs::read(&path).await else {
            return empty;
        };
        let now_ms = self.0.clock.unix_ms();
        let read = async {
            let copy: Copy = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let body = copy.body.into_bytes();
            let (mut snapshot, _) = snapshot(spec, body, copy.fetched_ms, now_ms).await?;
            if copy.place != sign_of(spec) {
                // Better than nothing, until the new place has answered.
                snapshot.error = Some("its source has changed".to_owned());
            }
            Ok(snapshot)
        };
        read.await.unwrap_or_else(|error: String| {
            tracing::warn!(
                schedule = spec.id,
                error,
                "the copy of the schedule cannot be read"
            );
            empty
        })
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        Some(self.0.folder.as_ref()?.join(format!("{id}.json")))
    }

    fn specs(&self) -> std::sync::MutexGuard<'_, Vec<ScheduleSpec>> {
        self.0.specs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn file(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("{} cannot be read: {error}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(cannot)?;
    let mut body = Vec::new();
    let read = file.take(BODY_MAX + 1).read_to_end(&mut body).await;
    if read.map_err(cannot)? as u64 > BODY_MAX {
        return Err(format!(
            "{} is longer than {BODY_MAX} bytes",
            path.display()
        ));
    }
    Ok(body)
}

/// By which a copy from elsewhere is told; that it may differ in another release costs a fetch.
fn sign_of(spec: &ScheduleSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &spec.place {
        Place::Url(url) => url.as_str().hash(&mut hasher),
        Place::File(path) => path.hash(&mut hasher),
    }
    hasher.finish()
}

/// Reads a source, and gives its body back. A large calendar takes a while, in which nobody else should have
/// to wait for its thread.
async fn snapshot(
    spec: &ScheduleSpec,
    body: Vec<u8>,
    fetched_ms: i64,
    now_ms: i64,
) -> Result<(Snapshot, Vec<u8>), String> {
    let window = now_ms - BEHIND_MS..now_ms + AHEAD_MS;
    let (kind, time_zone) = (spec.kind, spec.time_zone.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let read = read(kind, &body, window, time_zone.as_ref());
        read.map(|read| (read, body))
    });
    let read = reading.await.map_err(|error| error.to_string())?;
    let ((calendar, troubles), body) = read.map_err(|error| error.to_string())?;
    for trouble in troubles {
        tracing::warn!(schedule = spec.id, "left out: {trouble}");
    }
    let snapshot = Snapshot {
        calendar,
        channels: spec.channels.clone(),
        fetched_ms: Some(fetched_ms),
        error: None,
    };
    Ok((snapshot, body))
}

/// The next 03:00 UTC.
fn next_round(now_ms: i64) -> i64 {
    let today = now_ms.div_euclid(DAY_MS) * DAY_MS + HOUR_MS;
    if now_ms < today {
        today
    } else {
        today + DAY_MS
    }
}

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedules").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Standing;

    impl Clock for Standing {
        fn now(&self) -> base::Time {
            base::Time::ZERO
        }

        fn unix_ms(&self) -> i64 {
            20_000 * DAY_MS
        }
    }

    fn spec(path: PathBuf) -> ScheduleSpec {
        ScheduleSpec {
            id: "cup".to_owned(),
            kind: crate::Kind::Json,
            place: Place::File(path),
            channels: Vec::new(),
            time_zone: None,
        }
    }

    #[tokio::test]
    async fn another_source_is_asked_at_once_and_the_copy_serves_until_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, season: &str| {
            let path = folder.path().join(name);
            let text = format!(r#"{{"season":"{season}","races":[]}}"#);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (old, new) = (write("old", "2025"), write("new", "2026"));
        let client = Client::new(fetch::Settings::default()).unwrap();
        let clock = Arc::new(Standing);
        let copies = Some(folder.path().join("copies"));
        let schedules = Schedules::new(client, clock, copies);
        let season = || schedules.known()["cup"].calendar.season.clone();
        schedules.apply(vec![spec(old.clone())]).await;
        schedules.refresh().await;
        assert_eq!(season(), "2025");

        schedules
            .apply(vec![spec(folder.path().join("missing"))])
            .await;
        assert_eq!(season(), "2025", "better than nothing");
        assert!(schedules.is_any_stale(), "but not for a day");

        schedules.apply(vec![spec(new)]).await;
        let mut known = schedules.0.known.subscribe();
        let fresh = known.wait_for(|known| known["cup"].calendar.season == "2026");
        let fresh = tokio::time::timeout(Duration::from_secs(10), fresh);
        let in_time = fresh.await.is_ok();
        assert!(in_time, "nobody waits until three in the morning");

        schedules.apply(vec![spec(old)]).await;
        schedules.apply(Vec::new()).await;
        schedules.refresh().await;
        assert!(schedules.known().is_empty(), "what was removed stays away");
    }

    #[test]
    fn rounds_are_at_three_in_the_morning() {
        let midnight = 20_000 * DAY_MS;
        for (now_ms, expected) in [
            (midnight, midnight + HOUR_MS),
            (midnight + HOUR_MS - 1, midnight + HOUR_MS),
            (midnight + HOUR_MS, midnight + DAY_MS + HOUR_MS),
        ] {
            assert_eq!(next_round(now_ms), expected);
        }
    }
}
