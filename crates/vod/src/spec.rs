//! A library as the configuration describes it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base::Redacted;
use url::Url;

/// `[[library]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibrarySpec {
    /// Its name.
    pub id: String,
    /// Where it lies.
    pub place: Where,
    /// How segments reach viewers; a directory's always by [`Segments::Tunnel`].
    pub segments: Segments,
    /// How long a presigned URL of a segment is good, at most.
    pub presign_ttl: Duration,
}

/// Where a library lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// In a bucket.
    S3(S3Spec),
    /// In a directory.
    Dir(PathBuf),
}

/// A bucket and how to reach it.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Spec {
    /// `None`: AWS, in the region.
    pub endpoint: Option<Url>,
    /// As the store wants it in signatures.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// `endpoint/bucket/key` rather than `bucket.endpoint/key`.
    pub path_style: bool,
    /// The access key.
    pub access_key_id: Redacted<String>,
    /// Its secret.
    pub secret_access_key: Redacted<String>,
    /// Of temporary credentials.
    pub session_token: Option<Redacted<String>>,
}

/// How segments reach viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Segments {
    /// Each GET is answered with a redirect to a presigned URL.
    Redirect,
    /// Playlists hold presigned URLs.
    Presign,
    /// Through the gateway.
    Tunnel,
}

impl fmt::Debug for S3Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Spec")
            .field("endpoint", &self.endpoint.as_ref().map(base::redact_url))
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}
