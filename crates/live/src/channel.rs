//! A channel's handle: what requests and administrators hold. It starts the driver for the first
//! viewer; viewers never message it, they leave a mark and read the newest snapshot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base::ChannelId;
use bytes::Bytes;
use hls::container::Container;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::continuous::Programs;
use crate::demand::Demand;
use crate::driver::{Command, Driver};
use crate::registry::Shared;
use crate::sealed::Sealed;
use crate::spec::{ChannelSpec, SourceSpec};
use crate::status::Status;
use crate::stopwatch::Stopwatch;
use crate::view::{Rendered, Shape, View};
use crate::viewers::Viewers;

/// Where a channel was defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file: the API may not change it.
    File,
    /// Through the API, kept in the store.
    Api,
}

/// Why a request gets nothing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// There is no such track, segment or object, or not any more.
    #[error("not found")]
    NotFound,
    /// No source brought a segment in time.
    #[error("no source brought a segment within {0:?}")]
    NotStarted(Duration),
    /// The channel was removed or Perennial is stopping.
    #[error("the channel is stopping")]
    Stopping,
    /// It plays, but not as one transport stream; why.
    #[error("the channel cannot be sent as one transport stream: {0}")]
    NotCarried(&'static str),
}

/// A segment to send.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Shared with every other viewer.
    pub body: Bytes,
    /// The file that the body lies in, unless it is small.
    pub sealed: Option<Sealed>,
    /// What it is.
    pub container: Container,
}

/// One channel.
pub struct Channel {
    id: ChannelId,
    spec: RwLock<Arc<ChannelSpec>>,
    origin: Origin,
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: watch::Sender<Arc<View>>,
    pub(crate) demand: Demand,
    /// Who watches.
    pub viewers: Viewers,
    pub(crate) counters: Counters,
    pub(crate) programs: Programs,
    sources: Mutex<Sources>,
    running: Mutex<Running>,
    pub(crate) stop: CancellationToken,
}

/// Bytes through a channel since the start of Perennial.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) requests_upstream: AtomicU64,
    pub(crate) generation: AtomicU64,
    pub(crate) ts_joined: AtomicU64,
    pub(crate) ts_moved: AtomicU64,
    pub(crate) ts_closed: AtomicU64,
    pub(crate) failovers: AtomicU64,
    pub(crate) damaged_packets: AtomicU64,
    pub(crate) slate: Stopwatch,
}

/// The configured sources, then the last two URLs that were switched to by hand.
#[derive(Debug)]
struct Sources {
    all: Vec<SourceSpec>,
    start_with: usize,
}

#[derive(Debug, Default)]
struct Running {
    driver: Option<JoinHandle<()>>,
    commands: Option<mpsc::Sender<Command>>,
}

const COMMANDS_MAX: usize = 16;
/// The name under which requests for the channel's own playlist are noted.
pub(crate) const INDEX: &str = "";

impl Channel {
    pub(crate) fn new(spec: ChannelSpec, origin: Origin, shared: Arc<Shared>) -> Self {
        let all = spec.sources.clone();
        Self {
            stop: shared.stop.child_token(),
            view: watch::Sender::new(Arc::new(View::idle())),
            demand: Demand::default(),
            viewers: Viewers::default(),
            counters: Counters::default(),
            programs: Programs::default(),
            sources: Mutex::new(Sources { all, start_with: 0 }),
            running: Mutex::default(),
            id: spec.id.clone(),
            spec: RwLock::new(Arc::new(spec)),
            origin,
            shared,
        }
    }

    /// What it is.
    pub fn spec(&self) -> Arc<ChannelSpec> {
        let spec = self.spec.read();
        spec.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its name.
    pub fn id(&self) -> &ChannelId {
        &self.id
    }

    /// Where it was defined.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The newest snapshot.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Bytes taken from sources.
    pub fn bytes_in(&self) -> u64 {
        self.counters.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes sent to viewers.
    pub fn bytes_out(&self) -> u64 {
        self.counters.bytes_out.load(Ordering::Relaxed)
    }

    /// Requests sent to sources.
    pub fn requests_upstream(&self) -> u64 {
        self.counters.requests_upstream.load(Ordering::Relaxed)
    }

    /// Segments joined for continuous streams.
    pub fn ts_joined(&self) -> u64 {
        self.counters.ts_joined.load(Ordering::Relaxed)
    }

    /// Packets of transport streams that came damaged, in segments that could be passed on.
    pub fn damaged_packets(&self) -> u64 {
        self.counters.damaged_packets.load(Ordering::Relaxed)
    }

    /// Listeners to continuous streams that were moved ahead because they were too slow.
    pub fn ts_moved(&self) -> u64 {
        self.counters.ts_moved.load(Ordering::Relaxed)
    }

    /// Listeners that were closed because they were too slow time and again.
    pub fn ts_closed(&self) -> u64 {
        self.counters.ts_closed.load(Ordering::Relaxed)
    }

    /// Changes of the source on air that nobody asked for.
    pub fn failovers(&self) -> u64 {
        self.counters.failovers.load(Ordering::Relaxed)
    }

    /// For how long players got the slate, in all.
    pub fn slate(&self) -> Duration {
        self.counters.slate.read(self.shared.clock.now())
    }

    /// Counts bytes that a viewer is sent.
    pub fn count_out(&self, bytes: u64) {
        self.counters.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How long a viewer may be silent and still counts: players pause and buffer.
    pub fn viewer_idle(&self) -> Duration {
        let target = self
            .view
            .borrow()
            .tracks
            .values()
            .map(|track| track.timeline().target_duration())
            .max();
        target
            .map_or(Duration::ZERO, |target| target * 3)
            .max(Duration::from_secs(15))
    }

    /// The channel's own playlist: multivariant, or of its only track. Starts a cold channel and
    /// waits for its first segment.
    pub async fn index(self: &Arc<Self>) -> Result<Arc<Rendered>, Unavailable> {
        self.want(INDEX);
        self.wait(|view| match &view.multivariant {
            Some(playlist) => Some(Ok(playlist.clone())),
            None => {
                let track = view.track("main").filter(|track| track.is_ready())?;
                Some(Ok(track.playlist(
                    self.id().as_str(),
                    "main",
                    Shape::Channel,
                )))
            }
        })
        .await
    }

    /// A track's playlist. Starts the channel, and the track, if nobody watched them.
    pub async fn playlist(self: &Arc<Self>, track: &str) -> Result<Arc<Rendered>, Unavailable> {
        self.want(track);
        self.wait_for_track(track, Shape::Track).await
    }

    /// A track's playlist for those who know the channel as a resolver's entry of this reference.
    pub async fn relayed(
        self: &Arc<Self>,
        reference: &str,
        track: &str,
    ) -> Result<Arc<Rendered>, Unavailable> {
        self.want(track);
        self.wait_for(track, reference, Shape::Relayed).await
    }

    /// The playlist of the one track that `/stream/{channel}` offers: the first.
    pub async fn compatible(self: &Arc<Self>) -> Result<Arc<Rendered>, Unavailable> {
        self.want(INDEX);
        let track = self.first_track().await?;
        self.want(&track);
        self.wait_for_track(&track, Shape::Compatible).await
    }

    /// The name of the track that `/stream/{channel}` offers, if the channel runs.
    pub fn compatible_track(&self) -> Option<String> {
        let view = self.view.borrow();
        if view.multivariant.is_some() {
            Some("v0".to_owned())
        } else {
            view.track("main").map(|_| "main".to_owned())
        }
    }

    /// A segment that is listed, or was a moment ago.
    pub fn segment(&self, track: &str, msn: u64) -> Option<Segment> {
        let view = self.view.borrow();
        let body = view.track(track)?.segment(msn)?;
        let segment = Segment {
            body: body.bytes.clone(),
            sealed: body.sealed.clone(),
            container: body.container,
        };
        drop(view);
        self.demand.touch(track, self.shared.clock.now());
        Some(segment)
    }

    /// A key or an initialisation section that listed segments need.
    pub fn object(&self, track: &str, name: &str) -> Option<Bytes> {
        self.view.borrow().track(track)?.object(name).cloned()
    }

    /// What `extra-{index}.bin` of the multivariant playlist stands for.
    pub async fn extra(&self, index: usize) -> Result<Bytes, Unavailable> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.command(Command::Extra { index, answer }).await;
        answered.await.ok().flatten().ok_or(Unavailable::NotFound)
    }

    /// The URL that is on air, or would be if the channel were started.
    pub fn current_url(&self) -> Url {
        let sources = self.sources();
        let index = self
            .view
            .borrow()
            .status
            .on_air
            .unwrap_or(sources.start_with);
        sources.all.get(index).or(sources.all.first()).map_or_else(
            || self.spec().sources[0].url.clone(),
            |source| source.url.clone(),
        )
    }

    /// Puts a configured source on air. False if there is none of that index.
    pub async fn switch_to_source(&self, index: usize) -> bool {
        let source = {
            let mut sources = self.sources();
            let Some(source) = sources.all.get(index).cloned() else {
                return false;
            };
            sources.start_with = index;
            source
        };
        self.command(Command::Switch { index, source }).await;
        true
    }

    /// Puts a URL on air; it takes a place after the configured sources.
    pub async fn switch_to_url(&self, url: Url) {
        let known = self
            .sources()
            .all
            .iter()
            .position(|source| source.url == url);
        if let Some(index) = known {
            self.switch_to_source(index).await;
            return;
        }
        let (index, source) = {
            let on_air = self.view.borrow().status.on_air;
            let mut sources = self.sources();
            let spec = self.spec();
            let configured = spec.sources.len();
            // What is on air keeps its place, so that it is still there if the new one brings nothing.
            let index = match on_air {
                Some(on_air) if on_air == configured => configured + 1,
                _ => configured,
            };
            let first = &spec.sources[0];
            // Another link of the same provider, as far as we know: it gets the same manners.
            let source = SourceSpec {
                url,
                headers: Vec::new(),
                user_agent: first.user_agent.clone(),
                account: String::new(),
            };
            let index = index.min(sources.all.len());
            if index < sources.all.len() {
                sources.all[index] = source.clone();
            } else {
                sources.all.push(source.clone());
            }
            sources.start_with = index;
            (index, source)
        };
        self.command(Command::Switch { index, source }).await;
    }

    /// Makes it what `spec` says, of which [`ChannelSpec::plays_on_from`] holds: it keeps its list, its
    /// numbers, and the source on air if that is still there. What was switched to by hand stays as well.
    pub(crate) async fn describe(&self, spec: ChannelSpec) {
        let all = {
            let mut sources = self.sources();
            let configured = self.spec().sources.len();
            let by_hand = sources.all.iter().skip(configured);
            let named = |source: &&SourceSpec| spec.sources.iter().any(|of| of.url == source.url);
            let by_hand = by_hand.filter(|source| !named(source)).cloned();
            let all: Vec<_> = spec.sources.iter().cloned().chain(by_hand).collect();
            let first = sources.all.get(sources.start_with).map(|first| &first.url);
            let start_with = all.iter().position(|source| Some(&source.url) == first);
            *sources = Sources {
                all: all.clone(),
                // Without a switch by hand the first begins, whichever that is now.
                start_with: start_with.filter(|_| sources.start_with > 0).unwrap_or(0),
            };
            let mut described = self.spec.write().unwrap_or_else(PoisonError::into_inner);
            *described = Arc::new(spec);
            all
        };
        if self.running().commands.is_none() {
            // What the last run said is of other sources.
            self.view.send_replace(Arc::new(View::idle()));
            return;
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.command(Command::Sources { all, answer }).await;
        // A driver that ends meanwhile starts anew with all of this.
        let _ = answered.await;
    }

    /// Stops pulling. The next viewer starts it again.
    pub async fn stop(&self) {
        self.command(Command::Stop).await;
    }

    /// Ends the driver and waits for it.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let driver = self.running().driver.take();
        if let Some(driver) = driver {
            let _ = driver.await;
        }
    }

    /// Ends the driver's part unless somebody came in the last moment: with the lock held, a viewer
    /// either is seen here or starts a new driver. `last` is the driver's last deed.
    pub(crate) fn retire(&self, forced: bool, last: impl FnOnce()) -> bool {
        let mut running = self.running();
        let idle = self.shared.settings().idle_stop;
        if !forced && self.shared.clock.now() - self.demand.last() <= idle {
            return false;
        }
        *running = Running::default();
        last();
        true
    }

    pub(crate) fn all_sources(&self) -> (Vec<SourceSpec>, usize) {
        let sources = self.sources();
        (sources.all.clone(), sources.start_with)
    }

    /// Leaves a mark that a track is watched, and starts the driver if none runs.
    pub(crate) fn want(self: &Arc<Self>, track: &str) {
        self.demand.touch(track, self.shared.clock.now());
        if self.stop.is_cancelled() {
            return;
        }
        let mut running = self.running();
        if running.driver.as_ref().is_none_or(JoinHandle::is_finished) {
            let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
            running.commands = Some(sender);
            let span = tracing::info_span!("channel", channel = self.id().as_str());
            running.driver = Some(task::spawn(
                "channel",
                span,
                Driver::run(self.clone(), receiver),
            ));
        }
    }

    async fn first_track(&self) -> Result<String, Unavailable> {
        self.wait(|_| self.compatible_track().map(Ok)).await
    }

    async fn wait_for_track(
        &self,
        track: &str,
        shape: Shape,
    ) -> Result<Arc<Rendered>, Unavailable> {
        self.wait_for(track, self.id().as_str(), shape).await
    }

    async fn wait_for(
        &self,
        track: &str,
        name: &str,
        shape: Shape,
    ) -> Result<Arc<Rendered>, Unavailable> {
        self.wait(|view| {
            let known = !view.status.tracks.is_empty() || view.multivariant.is_some();
            match view.track(track) {
                Some(found)
                    if found.is_ready() && (found.primed || view.multivariant.is_none()) =>
                {
                    Some(Ok(found.playlist(name, track, shape)))
                }
                Some(_) => None,
                None if known && !view.offers(track) => Some(Err(Unavailable::NotFound)),
                None => None,
            }
        })
        .await
    }

    /// Waits until `ready` finds an answer in a snapshot.
    pub(crate) async fn wait<T>(
        &self,
        ready: impl Fn(&View) -> Option<Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let limit = self.shared.settings().start_timeout;
        let mut views = self.view.subscribe();
        let answered = async {
            loop {
                let answer = ready(&views.borrow_and_update());
                if let Some(answer) = answer {
                    return answer;
                }
                if views.changed().await.is_err() {
                    return Err(Unavailable::Stopping);
                }
            }
        };
        tokio::select! {
            answer = tokio::time::timeout(limit, answered) => answer.unwrap_or(Err(Unavailable::NotStarted(limit))),
            () = self.stop.cancelled() => Err(Unavailable::Stopping),
        }
    }

    async fn command(&self, command: Command) {
        let commands = self.running().commands.clone();
        if let Some(commands) = commands {
            // A driver that has just ended starts anew with what the handle remembers.
            let _ = commands.send(command).await;
        }
    }

    fn sources(&self) -> std::sync::MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Of a channel that has not run.
    fn idle() -> Self {
        let status = Status {
            state: "idle",
            ..Status::default()
        };
        Self {
            status,
            ..Self::default()
        }
    }

    /// Whether the channel has a track of that name.
    fn offers(&self, track: &str) -> bool {
        self.offered.iter().any(|id| id.as_str() == track)
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("id", self.id())
            .finish_non_exhaustive()
    }
}
