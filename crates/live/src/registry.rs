//! All channels: those of the configuration file and those of the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::{ChannelId, Clock, ErrorKind};
use fetch::Client;
use resolve::Resolvers;
use store::{Positions, Store};
use tokio_util::sync::CancellationToken;
use vod::Vod;

use crate::accounts::{Account, Accounts};
use crate::channel::{Channel, Origin};
use crate::events::{Event, Events};
use crate::settings::Settings;
use crate::slate::{self, BadSlate};
use crate::spec::{ChannelSpec, SourceSpec};

/// Live channels. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Live {
    pub(crate) shared: Arc<Shared>,
    channels: Arc<RwLock<BTreeMap<ChannelId, Arc<Channel>>>>,
    /// Channels of single entries, for those who know only the entry; by reference.
    pub(crate) entries: Arc<Mutex<BTreeMap<String, Arc<Channel>>>>,
    /// One change at a time: a channel's driver has ended before another may take its numbers.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// What every channel needs.
#[derive(Debug)]
pub(crate) struct Shared {
    settings: RwLock<Arc<Settings>>,
    pub(crate) client: Client,
    /// Whose assets may be slates.
    pub(crate) libraries: Vod,
    pub(crate) store: Store,
    pub(crate) positions: Positions,
    pub(crate) accounts: Accounts,
    pub(crate) resolvers: Resolvers,
    pub(crate) clock: Arc<dyn Clock>,
    events: Events,
    pub(crate) stop: CancellationToken,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// New channels.
    pub added: Vec<ChannelId>,
    /// Channels with other sources or names, which play on; and those that were stopped and begin anew with
    /// the next viewer.
    pub changed: Vec<ChannelId>,
    /// Channels that are gone.
    pub removed: Vec<ChannelId>,
}

/// Why a channel was not changed.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// The configuration file owns it.
    #[error("channel {0} is defined in the configuration file")]
    OfFile(ChannelId),
    /// It exists.
    #[error("channel {0} exists already")]
    Exists(ChannelId),
    /// It does not.
    #[error("there is no channel {0}")]
    Unknown(String),
    /// It has no source.
    #[error("channel {0} has no source")]
    NoSource(ChannelId),
    /// A source names an account that the configuration does not have.
    #[error("there is no account {0:?}")]
    UnknownAccount(String),
    /// Its slate cannot be shown.
    #[error(transparent)]
    Slate(#[from] BadSlate),
    /// A source names a resolver that the configuration does not have.
    #[error("there is no resolver {0:?}")]
    UnknownResolver(String),
    /// A channel of the store could not be read.
    #[error("stored channel {id} cannot be read: {reason}")]
    Unreadable {
        /** Which. */
        id: ChannelId,
        /** Why. */
        reason: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl NotChanged {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OfFile(_) | Self::Exists(_) => ErrorKind::Conflict,
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::NoSource(_)
            | Self::UnknownAccount(_)
            | Self::UnknownResolver(_)
            | Self::Slate(_) => ErrorKind::Invalid,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }
}

impl Shared {
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn emit(
        &self,
        channel: &ChannelId,
        code: &'static str,
        source: Option<usize>,
        text: String,
    ) {
        let at_ms = self.clock.unix_ms();
        self.events.send(Event {
            at_ms,
            channel: channel.clone(),
            code,
            source,
            text,
        });
    }
}

impl Live {
    /// No channels yet.
    pub fn new(
        settings: Settings,
        client: Client,
        store: Store,
        clock: Arc<dyn Clock>,
        libraries: Vod,
    ) -> Self {
        let shared = Shared {
            settings: RwLock::new(Arc::new(settings)),
            resolvers: Resolvers::new(client.clone(), store.clone(), clock.clone()),
            client,
            libraries,
            positions: store.positions(),
            accounts: Accounts::default(),
            store,
            clock,
            events: Events::new(),
            stop: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            channels: Arc::default(),
            entries: Arc::default(),
            changing: Arc::default(),
        }
    }

    /// State changes.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// The clock of all times here.
    pub fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// The client that sources are fetched with.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Who returns the links of sources that are entries.
    pub fn resolvers(&self) -> &Resolvers {
        &self.shared.resolvers
    }

    /// What all channels share.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.settings()
    }

    /// A channel by name.
    pub fn channel(&self, id: &str) -> Option<Arc<Channel>> {
        self.channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// All channels, by name.
    pub fn channels(&self) -> Vec<Arc<Channel>> {
        self.channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Adds the channels of the store that are not there yet. One that cannot be read is reported and left
    /// out; one that the configuration file defines too yields to it.
    pub async fn load_stored(&self) -> Result<Vec<NotChanged>, store::Error> {
        let _changing = self.changing.lock().await;
        let mut left_out = Vec::new();
        for stored in self.shared.store.channels().await? {
            let known = self.channel(stored.id.as_str());
            match ChannelSpec::from_json(stored.definition.expose()) {
                Ok(spec) if known.is_none() => self.insert(spec, Origin::Api),
                Ok(_) if known.is_some_and(|known| known.origin() == Origin::Api) => {}
                Ok(_) => left_out.push(NotChanged::OfFile(stored.id)),
                Err(reason) => left_out.push(NotChanged::Unreadable {
                    id: stored.id,
                    reason,
                }),
            }
        }
        Ok(left_out)
    }

    /// Makes the channels of the configuration file what `specs` says. Unchanged channels play on. What
    /// the file hid of the store and does not define any more is back with [`Live::load_stored`].
    pub async fn apply(
        &self,
        settings: Settings,
        accounts: &[Account],
        specs: Vec<ChannelSpec>,
    ) -> Change {
        let _changing = self.changing.lock().await;
        self.shared.accounts.configure(accounts);
        let settings_changed = *self.shared.settings() != settings;
        *self
            .shared
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        let mut change = Change::default();
        for channel in self.channels() {
            let of_file = channel.origin() == Origin::File;
            if of_file && !specs.iter().any(|spec| spec.id == *channel.id()) {
                change.removed.push(channel.id().clone());
                self.end(channel.id()).await;
                self.forget(channel.id());
            }
        }
        for spec in specs {
            match self.channel(spec.id.as_str()) {
                Some(known) if *known.spec() == spec && known.origin() == Origin::File => continue,
                Some(known)
                    if known.origin() == Origin::File && spec.plays_on_from(&known.spec()) =>
                {
                    change.changed.push(known.id().clone());
                    known.describe(spec).await;
                    continue;
                }
                Some(known) => {
                    change.changed.push(known.id().clone());
                    self.end(known.id()).await;
                }
                None => change.added.push(spec.id.clone()),
            }
            self.insert(spec, Origin::File);
        }
        self.report(&change);
        tracing::debug!(settings_changed, "configuration applied");
        change
    }

    /// Adds a channel, or with `replace` changes one, and keeps it in the store. One that only gets other
    /// sources or names plays on.
    pub async fn put(&self, spec: ChannelSpec, replace: bool) -> Result<(), NotChanged> {
        let id = spec.id.clone();
        if spec.sources.is_empty() {
            return Err(NotChanged::NoSource(id));
        }
        let stranger = spec.sources.iter().map(|source| &source.account);
        let mut stranger =
            stranger.filter(|name| !name.is_empty() && !self.shared.accounts.knows(name));
        if let Some(name) = stranger.next() {
            return Err(NotChanged::UnknownAccount(name.clone()));
        }
        slate::load(&spec.slate, &self.shared.libraries).await?;
        let mut entries = spec.sources.iter().filter_map(SourceSpec::entry);
        if let Some(entry) = entries.find(|entry| !self.shared.resolvers.knows(&entry.resolver)) {
            return Err(NotChanged::UnknownResolver(entry.resolver));
        }
        let _changing = self.changing.lock().await;
        let known = self.channel(id.as_str());
        match &known {
            Some(known) if known.origin() == Origin::File => return Err(NotChanged::OfFile(id)),
            Some(_) if !replace => return Err(NotChanged::Exists(id)),
            _ => {}
        }
        self.shared.store.put_channel(&id, &spec.to_json()).await?;
        let code = if known.is_some() { "changed" } else { "added" };
        match known.filter(|known| spec.plays_on_from(&known.spec())) {
            Some(known) => known.describe(spec).await,
            None => {
                self.end(&id).await;
                self.insert(spec, Origin::Api);
            }
        }
        self.shared
            .emit(&id, code, None, format!("channel {id} {code}"));
        Ok(())
    }

    /// Removes a channel that came through the API.
    pub async fn delete(&self, id: &str) -> Result<(), NotChanged> {
        let _changing = self.changing.lock().await;
        let channel = self
            .channel(id)
            .ok_or_else(|| NotChanged::Unknown(id.chars().take(64).collect()))?;
        if channel.origin() == Origin::File {
            return Err(NotChanged::OfFile(channel.id().clone()));
        }
        self.end(channel.id()).await;
        self.forget(channel.id());
        self.shared.store.delete_channel(channel.id()).await?;
        self.shared.emit(
            channel.id(),
            "removed",
            None,
            format!("channel {id} removed"),
        );
        Ok(())
    }

    /// Ends every channel and waits for its task.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        for channel in self.channels() {
            channel.close().await;
        }
        for channel in self.entry_channels() {
            channel.close().await;
        }
        self.shared.resolvers.shutdown().await;
    }

    fn insert(&self, spec: ChannelSpec, origin: Origin) {
        let channel = Arc::new(Channel::new(spec, origin, self.shared.clone()));
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        channels.insert(channel.id().clone(), channel);
    }

    /// Waits for the end of a channel's driver. The channel stays and answers "stopping" until it is
    /// replaced or removed: players try again after that, but not after "not found".
    async fn end(&self, id: &ChannelId) {
        if let Some(channel) = self.channel(id.as_str()) {
            channel.close().await;
        }
    }

    fn forget(&self, id: &ChannelId) {
        self.channels
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    fn report(&self, change: &Change) {
        for (code, ids) in [
            ("added", &change.added),
            ("changed", &change.changed),
            ("removed", &change.removed),
        ] {
            for id in ids {
                self.shared
                    .emit(id, code, None, format!("channel {id} {code}"));
            }
        }
    }
}
