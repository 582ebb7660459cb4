//! Passwords of shares: argon2id, a few at a time, away from the tasks that serve.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base::{ErrorKind, Redacted};
use tokio::sync::Semaphore;

use crate::error::Problem;

/// Each takes 19 MiB and tens of milliseconds of a core.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
/// Longer ones are no passwords, and would cost us the time of reading them.
const LENGTH_MAX: usize = 1024;

/// What is kept of a password.
pub(crate) async fn hash(password: Redacted<String>) -> Result<String, Problem> {
    if password.expose().is_empty() || password.expose().len() > LENGTH_MAX {
        return Err(Problem::new(
            ErrorKind::Invalid,
            "invalid",
            "a password must have 1 to 1024 bytes",
        ));
    }
    aside(move || {
        let hash = Argon2::default().hash_password(password.expose().as_bytes());
        hash.map(|hash| hash.to_string())
            .map_err(|_| Problem::new(ErrorKind::Internal, "hash", "the password cannot be hashed"))
    })
    .await?
}

/// Whether this is the password.
pub(crate) async fn fits(
    password: Redacted<String>,
    hash: Redacted<String>,
) -> Result<bool, Problem> {
    if password.expose().len() > LENGTH_MAX {
        return Ok(false);
    }
    aside(move || {
        PasswordHash::new(hash.expose()).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.expose().as_bytes(), &hash)
                .is_ok()
        })
    })
    .await
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let failed = || {
        Problem::new(
            ErrorKind::Internal,
            "hash",
            "the password cannot be checked",
        )
    };
    let _turn = AT_ONCE.acquire().await.map_err(|_| failed())?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| failed())
}
