//! TLS by rustls, with certificates that are read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, as files.
#[derive(Debug)]
pub struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    acceptor: RwLock<Arc<ServerConfig>>,
    stamp: RwLock<Stamp>,
}

type Stamp = (Option<SystemTime>, Option<SystemTime>);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate and the key do not belong together, or are of no kind that we know.
    #[error("certificate and key cannot be used: {0}")]
    Pair(rustls::Error),
}

/// How often the files are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

impl Tls {
    /// Reads both files.
    pub fn load(cert_file: PathBuf, key_file: PathBuf) -> Result<Self, TlsError> {
        let config = read(&cert_file, &key_file)?;
        let stamp = (modified(&cert_file), modified(&key_file));
        Ok(Self {
            cert_file,
            key_file,
            acceptor: RwLock::new(Arc::new(config)),
            stamp: RwLock::new(stamp),
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .into()
    }

    /// Takes the files again if they changed. Bad new files leave the old certificate in use.
    pub(crate) fn refresh(&self) {
        let stamp = (modified(&self.cert_file), modified(&self.key_file));
        if *self.stamp.read().unwrap_or_else(PoisonError::into_inner) == stamp {
            return;
        }
        *self.stamp.write().unwrap_or_else(PoisonError::into_inner) = stamp;
        match read(&self.cert_file, &self.key_file) {
            Ok(config) => {
                *self
                    .acceptor
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("certificate read again");
            }
            Err(error) => tracing::error!(%error, "new certificate is not used"),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn read(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsError> {
    let bad = |path: &Path, reason: String| TlsError::File {
        path: path.to_owned(),
        reason,
    };
    let certs: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert_file)
        .map_err(|e| bad(cert_file, e.to_string()))?
        .collect();
    let certs = certs.map_err(|error| bad(cert_file, error.to_string()))?;
    if certs.is_empty() {
        return Err(bad(cert_file, "holds no certificate".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad(key_file, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
