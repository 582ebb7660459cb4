//! TLS: rustls with ring, the system's roots, and Mozilla's bundled ones where the system has none.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Fault;

/// What every TLS connection that Perennial makes begins with.
///
/// A configuration without client certificates and without ALPN: upstreams are spoken to in HTTP/1.1.
pub fn config() -> Result<ClientConfig, Fault> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate could not be read");
    }
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if unusable > 0 {
        tracing::debug!(unusable, "some system certificates are not understood");
    }
    if roots.is_empty() {
        tracing::info!(
            "the system has no certificates, as in an empty container: using the bundled ones"
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
