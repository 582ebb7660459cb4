//! Grants at work: the gate with its state kept in the store, issuers' keys, and the secret of the
//! tokens of `/stream/hls`.
//!
//! What is revoked is in memory before it is answered, and in the store before that. What another
//! process revokes is seen within a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base::{Clock, Redacted};
use grant::hls_token::HlsToken;
use grant::issuer::Issuer;
use grant::{Gate, Grant, Key, KeyRing, Order, Rules, SavedSession, SessionId, ShareId, Subject};
use store::{Revocation, RevocationMark, Store, StoredEpoch, StoredSession, StoredShare};
use vod::Asset;

use crate::error::Problem;

/// The state of all grants. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Grants(Arc<Inner>);

/// `[grants]`.
#[derive(Clone, Debug)]
pub struct GrantSettings {
    /// Lives of grants.
    pub rules: Rules,
    /// The secret of `/stream/hls`, where others share it; else one is made.
    pub hls_secret: Option<Redacted<Vec<u8>>>,
    /// How long the tokens of others live, at most; `None` where nobody promises that.
    pub hls_lifetime: Option<Duration>,
    /// Whose tokens are exchanged.
    pub issuers: Vec<Issuer>,
}

#[derive(Debug)]
struct Inner {
    gate: Gate,
    store: Store,
    clock: Arc<dyn Clock>,
    hls_secret: RwLock<Redacted<Vec<u8>>>,
    hls_lifetime: RwLock<Option<Duration>>,
    issuers: RwLock<Arc<Vec<Issuer>>>,
    /// When each subject and each place was revoked last, as the store names them: for tokens that carry
    /// no epoch.
    revoked_ms: RwLock<HashMap<String, i64>>,
    mark: Mutex<RevocationMark>,
}

/// The purpose of the secrets that sign grants.
pub const GRANT_KEYS: &str = "grant";
const HLS_SECRET: &str = "hls";
const LOOK: Duration = Duration::from_secs(1);
/// Uses of sessions are saved in every so many looks.
const SAVE_EVERY: u32 = 5;

impl Default for GrantSettings {
    fn default() -> Self {
        Self {
            rules: Rules {
                ttl: Duration::from_secs(600),
                idle_max: Duration::from_secs(86_400),
            },
            hls_secret: None,
            hls_lifetime: None,
            issuers: Vec::new(),
        }
    }
}

impl Grants {
    /// Reads keys, sessions and revocations; makes the first key where there is none.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        settings: GrantSettings,
    ) -> Result<Self, store::Error> {
        let grants = Self(Arc::new(Inner {
            gate: Gate::new(KeyRing::default(), settings.rules),
            store,
            clock,
            hls_secret: RwLock::default(),
            hls_lifetime: RwLock::default(),
            issuers: RwLock::default(),
            revoked_ms: RwLock::default(),
            mark: Mutex::default(),
        }));
        grants.apply(settings).await?;
        grants.reload().await?;
        Ok(grants)
    }

    /// Takes other settings.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn apply(&self, settings: GrantSettings) -> Result<(), store::Error> {
        let secret = match settings.hls_secret {
            Some(secret) => secret,
            None => {
                let made = self.0.store.secrets(HLS_SECRET).await?;
                let made = made.first().map(|made| made.secret.expose().to_vec());
                Redacted::new(made.unwrap_or_default())
            }
        };
        *self
            .0
            .hls_secret
            .write()
            .unwrap_or_else(PoisonError::into_inner) = secret;
        *self
            .0
            .hls_lifetime
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings.hls_lifetime;
        *self
            .0
            .issuers
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings.issuers);
        self.0.gate.set_rules(settings.rules);
        Ok(())
    }

    /// Follows what other processes revoke, and saves which sessions are used; never ends.
    pub async fn follow(&self) {
        let mut interval = tokio::time::interval(LOOK);
        let mut looks = 0_u32;
        loop {
            interval.tick().await;
            looks = looks.wrapping_add(1);
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "revocations cannot be read");
            }
            if looks.is_multiple_of(SAVE_EVERY) {
                self.save().await;
            }
        }
    }

    /// Saves which sessions are used.
    pub async fn save(&self) {
        let now_ms = self.now_ms();
        let used = self.0.gate.unsaved(now_ms);
        if used.is_empty() {
            return;
        }
        let used: Vec<_> = used
            .iter()
            .map(|session| StoredSession {
                id: session.id.to_string(),
                used_ms: session.used_ms,
            })
            .collect();
        let idle_ms = i64::try_from(self.gate().rules().idle_max.as_millis()).unwrap_or(i64::MAX);
        let forget_ms = now_ms.saturating_sub(idle_ms);
        if let Err(error) = self.0.store.save_sessions(&used, forget_ms).await {
            tracing::warn!(%error, "sessions cannot be saved; after a restart some may have ended");
        }
    }

    /// The gate.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Signs a grant.
    ///
    /// # Errors
    /// There is no key, or no random bytes.
    pub fn mint(&self, order: Order) -> Result<(Grant, String), Problem> {
        let minted = self.0.gate.mint(order, self.now_ms());
        minted.ok_or_else(|| {
            Problem::new(base::ErrorKind::Internal, "mint", "no grant can be signed")
        })
    }

    /// Ends one session.
    ///
    /// # Errors
    /// A store that fails, then it goes on; or too many were ended one by one.
    pub async fn revoke_session(&self, session: SessionId) -> Result<(), Problem> {
        let revocation = self.0.store.revoke_session(&session.to_string()).await?;
        let remembered = self.0.gate.revoke(session);
        self.mark().follow(revocation);
        if remembered {
            return Ok(());
        }
        Err(Problem::new(
            base::ErrorKind::TooLarge,
            "too_many_revoked",
            "no more grants can be revoked one by one",
        )
        .hint("revoke the asset or the share instead"))
    }

    /// Ends everything that hangs on `subject`.
    ///
    /// # Errors
    /// A store that fails; then it goes on.
    pub async fn revoke(&self, subject: Subject) -> Result<(), store::Error> {
        self.raise(&subject.to_string()).await
    }

    /// Ends the tokens of other minters for what lies at an asset's place: they would open whatever is
    /// registered there next.
    ///
    /// # Errors
    /// A store that fails; then they go on.
    pub async fn revoke_place(&self, asset: &Asset) -> Result<(), store::Error> {
        match asset.place() {
            Some(place) => self.raise(&at_place(&place)).await,
            None => Ok(()),
        }
    }

    /// Takes a share away, and ends what came from it; `false` if there is none.
    ///
    /// # Errors
    /// A store that fails; then it goes on.
    pub async fn end_share(&self, token: &str) -> Result<bool, store::Error> {
        let subject = Subject::Share(ShareId::of(token)).to_string();
        let ended = self.0.store.delete_share(token, &subject).await?;
        Ok(ended.map(|revoked| self.note(revoked)).is_some())
    }

    /// Changes a share, and ends what came from it before; `false` if there is none.
    ///
    /// # Errors
    /// A store that fails; then it is as it was.
    pub(crate) async fn narrow_share(&self, share: &StoredShare) -> Result<bool, store::Error> {
        let subject = Subject::Share(ShareId::of(share.token.expose())).to_string();
        let ended = self.0.store.narrow_share(share, &subject).await?;
        Ok(ended.map(|revoked| self.note(revoked)).is_some())
    }

    /// Whether a token of another minter was certainly made after what it opens was last revoked. One that
    /// does not say when it was made might be from before, however late it is first seen: without a
    /// promise of how long such tokens live, none of them outlives a revocation.
    pub(crate) fn outlives(&self, token: &HlsToken, asset: &Asset) -> bool {
        let Some(revoked_ms) = self.revoked_ms(token, asset) else {
            return true;
        };
        let lifetime = *self
            .0
            .hls_lifetime
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let made_s = token.made_s.or_else(|| {
            let lifetime_s = i64::try_from(lifetime?.as_secs()).ok()?;
            Some(token.expires_s.saturating_sub(lifetime_s))
        });
        made_s.is_some_and(|s| s.saturating_mul(1000) > revoked_ms)
    }

    /// When an asset was revoked last, or whatever else lay where the token leads to it, in milliseconds since
    /// the Unix epoch.
    fn revoked_ms(&self, token: &HlsToken, asset: &Asset) -> Option<i64> {
        let places = asset.places(&token.prefix);
        let mut subjects: Vec<_> = places.iter().map(|place| at_place(place)).collect();
        subjects.push(Subject::Asset(asset.id).to_string());
        let all = self
            .0
            .revoked_ms
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        subjects.iter().filter_map(|of| all.get(of)).max().copied()
    }

    pub(crate) fn hls_secret(&self) -> Redacted<Vec<u8>> {
        self.0
            .hls_secret
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn issuers(&self) -> Arc<Vec<Issuer>> {
        Arc::clone(
            &self
                .0
                .issuers
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.clock.unix_ms()
    }

    async fn look(&self) -> Result<(), store::Error> {
        let mark = self.0.store.revocation_mark().await?;
        let known = *self.mark();
        if mark != known {
            self.reload().await?;
        }
        Ok(())
    }

    async fn reload(&self) -> Result<(), store::Error> {
        // Read first: what changes meanwhile is read again at the next look.
        let mark = self.0.store.revocation_mark().await?;
        let secrets = self.0.store.secrets(GRANT_KEYS).await?;
        let keys = secrets.iter().filter_map(|secret| {
            let id = u32::try_from(secret.id).ok()?;
            Some(Key::new(id, secret.secret.expose()))
        });
        self.0.gate.set_keys(KeyRing::new(keys.collect()));
        for epoch in self.0.store.epochs().await? {
            self.learn(epoch);
        }
        let (sessions, revoked) = self.0.store.sessions().await?;
        let sessions: Vec<_> = sessions
            .iter()
            .filter_map(|session| {
                let id = session.id.parse().ok()?;
                Some(SavedSession {
                    id,
                    used_ms: session.used_ms,
                })
            })
            .collect();
        let revoked: Vec<_> = revoked.iter().filter_map(|id| id.parse().ok()).collect();
        self.0.gate.restore(&sessions, &revoked);
        *self.mark() = mark;
        Ok(())
    }

    async fn raise(&self, subject: &str) -> Result<(), store::Error> {
        self.note(self.0.store.raise_epoch(subject).await?);
        Ok(())
    }

    /// One of our own.
    fn note(&self, (epoch, revocation): (StoredEpoch, Revocation)) {
        self.learn(epoch);
        self.mark().follow(revocation);
    }

    fn learn(&self, revoked: StoredEpoch) {
        if let Ok(subject) = revoked.subject.parse() {
            let epoch = revoked.epoch.unsigned_abs();
            self.0.gate.set_epoch(subject, epoch);
        }
        let mut all = self
            .0
            .revoked_ms
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(revoked.subject, revoked.changed_ms);
    }

    fn mark(&self) -> std::sync::MutexGuard<'_, RevocationMark> {
        self.0.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the store names a place, beside the subjects of grants.
fn at_place(place: &str) -> String {
    format!("place:{place}")
}
