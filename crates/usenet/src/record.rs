//! A mount as the store keeps it.

use base::Redacted;
use serde::{Deserialize, Serialize};
use store::StoredImport;

use crate::import::media_type;
use crate::{Code, Episode, Failure, FileInfo, MountId, Role, State, Status};

/// What a mount begins with.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: MountId,
    pub(crate) status: Status,
    pub(crate) password: Option<Redacted<String>>,
    pub(crate) used_ms: i64,
    pub(crate) is_kept: bool,
}

/// What is kept beside the state. Fields may be added, with defaults.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Detail {
    #[serde(default)]
    failure: Option<(String, String)>,
    #[serde(default)]
    files: Vec<KeptFile>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    articles: u64,
    #[serde(default)]
    missing: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptFile {
    path: String,
    size: u64,
    role: u8,
    #[serde(default)]
    episode: Option<(u32, u32, u32)>,
    #[serde(default)]
    failure: Option<(String, String)>,
}

const ROLES: [Role; 4] = [Role::Media, Role::Sample, Role::Subtitle, Role::Other];

/// What goes into the store beside the state.
pub(crate) fn detail(status: &Status) -> String {
    let failure = |failure: &Failure| (failure.code.as_str().to_owned(), failure.message.clone());
    let file = |info: &FileInfo| KeptFile {
        path: info.path.clone(),
        size: info.size,
        role: info.role as u8,
        episode: info.episode.map(|e| (e.season, e.first, e.last)),
        failure: info.failure.as_ref().map(failure),
    };
    let detail = Detail {
        failure: status.failure.as_ref().map(failure),
        files: status.files.iter().map(file).collect(),
        bytes: status.bytes,
        articles: status.articles,
        missing: status.missing,
    };
    serde_json::to_string(&detail).expect("numbers and texts can be written")
}

/// A mount as it was. One whose detail cannot be read is imported again.
pub(crate) fn restore(stored: StoredImport) -> Record {
    let detail = serde_json::from_str::<Detail>(&stored.detail);
    let state = State::parse(&stored.state).filter(|_| detail.is_ok());
    let detail = detail.unwrap_or_default();
    let failure =
        |(code, message): (String, String)| Some(Failure::new(Code::parse(&code)?, message));
    let file = |kept: KeptFile| FileInfo {
        media_type: media_type(&kept.path),
        path: kept.path,
        size: kept.size,
        role: ROLES
            .get(usize::from(kept.role))
            .copied()
            .unwrap_or(Role::Other),
        episode: kept.episode.map(|(season, first, last)| Episode {
            season,
            first,
            last,
        }),
        failure: kept.failure.and_then(failure),
    };
    let is_kept = stored.is_kept;
    Record {
        id: MountId(stored.id),
        status: Status {
            state: state.unwrap_or(State::Accepted),
            failure: detail.failure.and_then(failure),
            name: stored.name,
            category: stored.category,
            is_kept,
            files: detail.files.into_iter().map(file).collect(),
            bytes: detail.bytes,
            articles: detail.articles,
            missing: detail.missing,
            created_ms: stored.created_ms,
            updated_ms: stored.updated_ms,
        },
        password: stored.password,
        used_ms: stored.used_ms,
        is_kept,
    }
}
