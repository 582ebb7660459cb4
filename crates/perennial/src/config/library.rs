//! `[[library]]` and `[grants]`: private libraries and who may see them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use base::Redacted;
use grant::issuer::Algorithm;
use url::Url;
use vod::Segments;

use super::kind;
use super::schema::{Table, first_of_its_name};
use super::section::reload;

/// `[[library]]`: a bucket or a directory that nobody but the gateway reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub id: String,
    /// Where it lies.
    pub place: Place,
    /// How segments reach viewers.
    pub segments: Segments,
    /// How long a presigned URL is good, at most.
    pub presign_ttl: Duration,
}

/// Where a library lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a bucket.
    S3(Box<Bucket>),
    /// In a directory.
    Dir(PathBuf),
}

/// A bucket and the files of its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// `None`: AWS, in the region.
    pub endpoint: Option<Url>,
    /// As the store wants it in signatures.
    pub region: String,
    /// Its name.
    pub bucket: String,
    /// `endpoint/bucket/key`.
    pub path_style: bool,
    /// The access key.
    pub access_key_id: Secret,
    /// Its secret.
    pub secret_access_key: Secret,
    /// Of temporary credentials.
    pub session_token: Option<Secret>,
}

/// A file and what it holds, once [`super::Config::load`] has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Where it lies.
    pub file: PathBuf,
    /// One line.
    pub value: Redacted<String>,
}

/// `[grants]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Until first used.
    pub ttl: Duration,
    /// Then, idle.
    pub max: Duration,
    /// Of the tokens of `/stream/hls`.
    pub jwt_secret: Option<Secret>,
    /// How long those of others live at most, where they do not say when they were made.
    pub jwt_lifetime: Option<Duration>,
    /// Whose tokens are exchanged, `kid`s unique.
    pub issuers: Vec<Issuer>,
}

/// `[[grants.issuer]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Names the key in tokens.
    pub kid: String,
    /// The only algorithm that it is for.
    pub algorithm: Algorithm,
    /// A public key in PEM, or a secret.
    pub key: Secret,
    /// Whom its tokens are for.
    pub audience: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    S3,
    Dir,
}

const LIBRARIES_MAX: usize = 100;
const ISSUERS_MAX: usize = 100;
const KINDS: &[(&str, Kind)] = &[("s3", Kind::S3), ("dir", Kind::Dir)];
const SEGMENTS: &[(&str, Segments)] = &[
    ("redirect", Segments::Redirect),
    ("presign", Segments::Presign),
    ("tunnel", Segments::Tunnel),
];
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("EdDSA", Algorithm::EdDsa),
    ("ES256", Algorithm::Es256),
    ("RS256", Algorithm::Rs256),
    ("HS256", Algorithm::Hs256),
];
/// SigV4's limit: seven days.
const PRESIGN_S: std::ops::RangeInclusive<u32> = 1..=604_800;

pub(super) fn libraries(s: &mut Table<'_, '_>) -> Vec<Library> {
    let mut lines = HashMap::new();
    s.tables("library", LIBRARIES_MAX, |s| {
        let id = s.need(reload("id"), "assets name their library by it", kind::name);
        if let Some(id) = &id {
            first_of_its_name(s, "id", id, &mut lines);
        }
        let kind = s.need(reload("kind"), "\"s3\" or \"dir\"", kind::word(KINDS));
        let path = s.file(reload("path"));
        let bucket = bucket(s, kind == Some(Kind::S3));
        let segments = s.get(reload("segments"), "redirect", kind::word(SEGMENTS));
        let presign_ttl = s.get(reload("presign_ttl_s"), 300, kind::seconds(PRESIGN_S));
        let place = match kind? {
            Kind::S3 => Place::S3(Box::new(bucket?)),
            Kind::Dir => match path {
                Some(path) => Place::Dir(path),
                None => {
                    let message = "a library of kind \"dir\" needs path".to_owned();
                    s.report("path", message, "name the directory");
                    return None;
                }
            },
        };
        Some(Library {
            id: id?,
            place,
            segments,
            presign_ttl,
        })
    })
}

fn bucket(s: &mut Table<'_, '_>, wanted: bool) -> Option<Bucket> {
    let endpoint = s.get(reload("endpoint"), "", kind::optional(kind::base_url));
    let region = s.get(reload("region"), "us-east-1", kind::not_empty(kind::line));
    let bucket = s.get(reload("bucket"), "", kind::line);
    let path_style = s.get(reload("path_style"), false, kind::boolean);
    let access_key_id = s.file(reload("access_key_id_file"));
    let secret_access_key = s.file(reload("secret_access_key_file"));
    let session_token = s.file(reload("session_token_file"));
    if !wanted {
        return None;
    }
    let absent = [
        ("bucket", bucket.is_empty()),
        ("access_key_id_file", access_key_id.is_none()),
        ("secret_access_key_file", secret_access_key.is_none()),
    ];
    for (key, _) in absent.into_iter().filter(|(_, absent)| *absent) {
        let message = format!("a library of kind \"s3\" needs {key}");
        s.report(key, message, "see the sample perennial.toml");
    }
    Some(Bucket {
        endpoint,
        region,
        bucket,
        path_style,
        access_key_id: Secret::at(access_key_id?),
        secret_access_key: Secret::at(secret_access_key?),
        session_token: session_token.map(Secret::at),
    })
}

pub(super) fn grants(s: &mut Table<'_, '_>) -> Grants {
    let ttl = s.get(reload("ttl_s"), 600, kind::seconds(1..=604_800));
    let max = s.get(reload("max_s"), 86_400, kind::seconds(1..=31_536_000));
    let jwt_secret = s.file(reload("jwt_secret_file")).map(Secret::at);
    let jwt_lifetime = s.get(reload("jwt_lifetime_s"), 0, kind::seconds(0..=31_536_000));
    let mut lines = HashMap::new();
    let issuers = s.tables("issuer", ISSUERS_MAX, |s| {
        let kid = s.need(
            reload("kid"),
            "tokens name the key by it",
            kind::not_empty(kind::line),
        );
        if let Some(kid) = &kid {
            first_of_its_name(s, "kid", kid, &mut lines);
        }
        let algorithm = s.need(
            reload("alg"),
            "EdDSA, ES256, RS256 or HS256",
            kind::word(ALGORITHMS),
        );
        let key = s.file(reload("key_file"));
        let audience = s.need(
            reload("audience"),
            "tokens must carry it as aud",
            kind::not_empty(kind::line),
        );
        if key.is_none() {
            let message = "missing key \"key_file\" in [[grants.issuer]]".to_owned();
            s.report(
                "key_file",
                message,
                "a public key in PEM, or for HS256 the secret",
            );
        }
        Some(Issuer {
            kid: kid?,
            algorithm: algorithm?,
            key: Secret::at(key?),
            audience: audience?,
        })
    });
    Grants {
        ttl,
        max,
        jwt_secret,
        jwt_lifetime: Some(jwt_lifetime).filter(|lifetime| !lifetime.is_zero()),
        issuers,
    }
}

impl Secret {
    pub(super) fn at(file: PathBuf) -> Self {
        Self {
            file,
            value: Redacted::default(),
        }
    }
}
