//! Providers' accounts: how many streams each allows at once, over all channels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Time;

/// A provider's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name that sources give.
    pub name: String,
    /// Streams at once.
    pub max_streams: u32,
}

/// All accounts of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<String, Arc<Mutex<Use>>>>);

#[derive(Debug, Default)]
struct Use {
    max: u32,
    streams: u32,
    rest_until: Time,
}

/// A stream that counts against an account until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Mutex<Use>>);

/// How long an account is left alone that does not say how long it wants to be.
const REST: Duration = Duration::from_secs(10);

impl Accounts {
    /// Takes the limits of the configuration. Streams that run go on, also above a lowered limit.
    pub(crate) fn configure(&self, accounts: &[Account]) {
        let mut known = lock(&self.0);
        for account in accounts {
            lock(known.entry(account.name.clone()).or_default()).max = account.max_streams;
        }
        known.retain(|name, _| accounts.iter().any(|account| account.name == *name));
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        lock(&self.0).contains_key(name)
    }

    /// A slot, unless all are taken or the account rests. An account that was removed from the
    /// configuration has no limit.
    pub(crate) fn acquire(&self, name: &str, now: Time) -> Option<Slot> {
        let account = lock(&self.0).get(name).cloned().unwrap_or_else(|| {
            Arc::new(Mutex::new(Use {
                max: u32::MAX,
                ..Use::default()
            }))
        });
        {
            let mut account = lock(&account);
            if account.streams >= account.max || now < account.rest_until {
                return None;
            }
            account.streams += 1;
        }
        Some(Slot(account))
    }

    /// The provider asked to be left alone.
    pub(crate) fn rest(&self, name: &str, now: Time, wish: Option<Duration>) {
        if let Some(account) = lock(&self.0).get(name) {
            let mut account = lock(account);
            account.rest_until = account.rest_until.max(now + wish.unwrap_or(REST));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.0).streams -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_and_given_back() {
        let accounts = Accounts::default();
        accounts.configure(&[Account {
            name: "a".into(),
            max_streams: 1,
        }]);
        let slot = accounts.acquire("a", Time::ZERO);
        assert!(slot.is_some() && accounts.acquire("a", Time::ZERO).is_none());
        drop(slot);
        assert!(accounts.acquire("a", Time::ZERO).is_some());
        assert!(accounts.knows("a") && !accounts.knows("b"));
    }

    #[test]
    fn a_resting_account_gives_none() {
        let accounts = Accounts::default();
        accounts.configure(&[Account {
            name: "a".into(),
            max_streams: 5,
        }]);
        accounts.rest("a", Time::ZERO, Some(Duration::from_secs(3)));
        assert!(accounts.acquire("a", Time::from_ms(2999)).is_none());
        assert!(accounts.acquire("a", Time::from_ms(3000)).is_some());
    }
}
