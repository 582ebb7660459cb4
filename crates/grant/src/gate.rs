//! The gate: mints grants, admits who holds one, and ends them.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use uuid::Uuid;

use crate::key::KeyRing;
use crate::sessions::{SavedSession, Sessions};
use crate::text;
use crate::types::{Actions, Binding, Grant, SessionId, ShareId, Subject};
use crate::{Refused, TEXT_LENGTH_MAX};

/// Lives of grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A grant must be used for the first time within this.
    pub ttl: Duration,
    /// A session lives while it is used, and for this long idle.
    pub idle_max: Duration,
}

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What it is for.
    pub wanted: Wanted<'a>,
    /// What it would do.
    pub action: Actions,
    /// Where it comes from.
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub user_agent: &'a str,
}

/// What a grant is asked to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A live channel.
    Channel(&'a str),
    /// The list of all channels.
    Channels,
    /// An asset.
    Asset(Uuid),
    /// A file of a mount.
    File(&'a str),
    /// A share's page.
    Share(ShareId),
}

/// Proof that a request was admitted; a running transfer is asked about again with it.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// What was shown.
    pub grant: Arc<Grant>,
    revision: u64,
}

/// What a grant hangs on, as it stood when this was read ([`Gate::basis`]). It is read before whatever
/// decides that somebody gets a grant: what is revoked while that goes on ends the grant too.
#[derive(Clone, Debug)]
pub struct Basis {
    scope: Subject,
    share: Option<ShareId>,
    epoch: u64,
}

/// What to mint.
#[derive(Clone, Debug)]
pub struct Order {
    /// What it opens, and the share it comes from.
    pub basis: Basis,
    /// What for.
    pub actions: Actions,
    /// Its first use must come within the rules' `ttl`; else it lives until it is revoked.
    pub must_start: bool,
    /// It ends then, in seconds since the Unix epoch.
    pub until_s: Option<u64>,
    /// Where it may be used.
    pub binding: Binding,
}

/// Keys, epochs and sessions in memory. Every method is quick and safe to call from any thread.
#[derive(Debug)]
pub struct Gate {
    keys: RwLock<Arc<KeyRing>>,
    rules: RwLock<Rules>,
    /// Of subjects that were revoked at least once; all others are at zero.
    epochs: RwLock<HashMap<Subject, u64>>,
    sessions: Mutex<Sessions>,
    /// Goes up with every revocation, so that a running transfer looks closer only then.
    revision: AtomicU64,
}

impl Order {
    /// To play, anywhere, starting soon.
    pub fn play(basis: Basis) -> Self {
        Self {
            basis,
            actions: Actions::PLAY,
            must_start: true,
            until_s: None,
            binding: Binding::default(),
        }
    }
}

impl Grant {
    /// For further grants of who holds this one: they hang on what it hangs on, as it stood then.
    pub fn basis(&self) -> Basis {
        Basis {
            scope: self.scope.clone(),
            share: self.share,
            epoch: self.epoch,
        }
    }
}

impl Wanted<'_> {
    fn is(self, scope: &Subject) -> bool {
        match (self, scope) {
            (Self::Channel(_) | Self::Channels, Subject::Channels) => true,
            (Self::Channel(wanted), Subject::Channel(id)) => wanted == id,
            (Self::Asset(wanted), Subject::Asset(id)) => wanted == *id,
            (Self::File(wanted), Subject::File(id)) => wanted == id,
            (Self::Share(wanted), Subject::Share(id)) => wanted == *id,
            _ => false,
        }
    }
}

impl Gate {
    /// A gate that knows no session and no revocation yet.
    pub fn new(keys: KeyRing, rules: Rules) -> Self {
        Self {
            keys: RwLock::new(Arc::new(keys)),
            rules: RwLock::new(rules),
            epochs: RwLock::default(),
            sessions: Mutex::default(),
            revision: AtomicU64::new(0),
        }
    }

    /// Puts other keys in place. What a key signed that is gone now ends, running transfers included.
    pub fn set_keys(&self, keys: KeyRing) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Puts other rules in place, for running sessions too.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The rules.
    pub fn rules(&self) -> Rules {
        *self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a grant for `scope` that comes from `share` hangs on, as it stands now.
    pub fn basis(&self, scope: Subject, share: Option<ShareId>) -> Basis {
        Basis {
            epoch: self.epoch_of(&scope, share),
            scope,
            share,
        }
    }

    /// Signs a grant for a session of its own. `None` where there is no key, an id is not one, or the
    /// system gives no random bytes.
    pub fn mint(&self, order: Order, now_ms: i64) -> Option<(Grant, String)> {
        let keys = self.keys();
        let key = keys.newest()?;
        let ttl_s = self.rules().ttl.as_secs();
        let grant = Grant {
            key: key.id(),
            session: SessionId::random().ok()?,
            epoch: order.basis.epoch,
            scope: order.basis.scope,
            share: order.basis.share,
            actions: order.actions,
            start_by_s: order.must_start.then_some(seconds(now_ms) + ttl_s),
            until_s: order.until_s,
            binding: order.binding,
        };
        let text = text::seal(&grant, key)?;
        debug_assert!(text.len() <= TEXT_LENGTH_MAX);
        Some((grant, text))
    }

    /// Lets a request in, and notes the use.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, text: &str, ask: &Ask<'_>, now_ms: i64) -> Result<Admitted, Refused> {
        // Read before the rest: a revocation in between makes the first look at it a close one.
        let revision = self.revision.load(Ordering::Acquire);
        let grant = text::open(text, &self.keys())?;
        if !ask.wanted.is(&grant.scope) {
            return Err(Refused::OtherScope);
        }
        if !grant.actions.allows(ask.action) {
            return Err(Refused::NotAllowed);
        }
        if !grant.binding.admits(ask.address, ask.user_agent) {
            return Err(Refused::OtherPlace);
        }
        self.alive(&grant, now_ms)?;
        Ok(Admitted {
            grant: Arc::new(grant),
            revision,
        })
    }

    /// What a grant opens, whether it is good for that any more or not.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn scope_of(&self, text: &str) -> Result<Subject, Refused> {
        Ok(text::open(text, &self.keys())?.scope)
    }

    /// Whether what was admitted may go on. Costs two comparisons as long as nothing was revoked.
    ///
    /// # Errors
    /// Why not.
    pub fn may_go_on(&self, admitted: &mut Admitted, now_ms: i64) -> Result<(), Refused> {
        let grant = &admitted.grant;
        ended(grant, now_ms)?;
        let revision = self.revision.load(Ordering::Acquire);
        if revision != admitted.revision {
            if self.keys().get(grant.key).is_none() {
                return Err(Refused::UnknownKey);
            }
            self.not_revoked(grant)?;
            admitted.revision = revision;
        }
        Ok(())
    }

    /// The subject's epoch; 0 until it is first revoked.
    pub fn epoch(&self, subject: &Subject) -> u64 {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        epochs.get(subject).copied().unwrap_or(0)
    }

    /// The epoch of a grant for `scope` that came from `share`.
    fn epoch_of(&self, scope: &Subject, share: Option<ShareId>) -> u64 {
        let share = share.map(Subject::Share).filter(|share| share != scope);
        self.epoch(scope) + share.map_or(0, |share| self.epoch(&share))
    }

    /// Takes over a subject's epoch as the store has it; never goes back.
    pub fn set_epoch(&self, subject: Subject, epoch: u64) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        let known = epochs.entry(subject).or_insert(0);
        *known = epoch.max(*known);
        drop(epochs);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Ends one session, whether it has begun or not. False when no more can be remembered.
    pub fn revoke(&self, session: SessionId) -> bool {
        let done = self.sessions().revoke(session);
        self.revision.fetch_add(1, Ordering::Release);
        done
    }

    /// Uses of sessions since this was last called.
    pub fn unsaved(&self, now_ms: i64) -> Vec<SavedSession> {
        let idle_ms = millis(self.rules().idle_max);
        self.sessions().unsaved(now_ms, idle_ms)
    }

    /// Takes back what was saved.
    pub fn restore(&self, sessions: &[SavedSession], revoked: &[SessionId]) {
        self.sessions().restore(sessions, revoked);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Sessions that are remembered.
    pub fn sessions_count(&self) -> usize {
        self.sessions().count()
    }

    fn alive(&self, grant: &Grant, now_ms: i64) -> Result<(), Refused> {
        ended(grant, now_ms)?;
        self.not_revoked(grant)?;
        let Some(start_by_s) = grant.start_by_s else {
            return Ok(());
        };
        // An entered password lasts as long as it says, however often it is used.
        if matches!(grant.scope, Subject::Share(_)) {
            return Ok(());
        }
        let may_start = seconds(now_ms) <= start_by_s;
        let idle_ms = millis(self.rules().idle_max);
        self.sessions()
            .touch(grant.session, now_ms, idle_ms, may_start)
    }

    fn not_revoked(&self, grant: &Grant) -> Result<(), Refused> {
        let same = self.epoch_of(&grant.scope, grant.share) == grant.epoch;
        if same && !self.sessions().is_revoked(grant.session) {
            Ok(())
        } else {
            Err(Refused::Revoked)
        }
    }

    fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended(grant: &Grant, now_ms: i64) -> Result<(), Refused> {
    match grant.until_s {
        Some(until_s) if seconds(now_ms) >= until_s => Err(Refused::Expired),
        _ => Ok(()),
    }
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or(0)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
