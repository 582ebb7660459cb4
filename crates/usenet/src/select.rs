//! Which files of a post are meant.

use crate::{Code, Failure, FileInfo, Role, Selector};

/// Indices of the files that `selector` asks for.
pub(crate) fn pick(files: &[FileInfo], selector: Selector) -> Vec<usize> {
    let media = || {
        let is_media = |info: &FileInfo| info.role == Role::Media && info.failure.is_none();
        (0..files.len()).filter(move |&index| is_media(&files[index]))
    };
    let Some((season, episode)) = selector.episode else {
        return media().collect();
    };
    let holds = |index: &usize| {
        files[*index].episode.is_some_and(|found| {
            found.season == season && (found.first..=found.last).contains(&episode)
        })
    };
    let found: Vec<usize> = media().filter(holds).collect();
    if !found.is_empty() {
        return found;
    }
    // A single episode is often posted under a name that does not say which.
    let mut all = media();
    match (all.next(), all.next()) {
        (Some(only), None) if files[only].episode.is_none() => vec![only],
        _ => Vec::new(),
    }
}

/// Why nothing was found.
pub(crate) fn nothing(files: &[FileInfo], selector: Selector) -> Failure {
    let first_failure = files
        .iter()
        .filter(|info| info.role == Role::Media)
        .find_map(|info| info.failure.clone());
    match (selector.episode, first_failure) {
        (_, Some(failure)) => failure,
        (Some((season, episode)), None) => Failure::new(
            Code::NoMedia,
            format!("the post has no file of season {season} episode {episode}"),
        ),
        (None, None) => Failure::new(Code::NoMedia, "the post holds nothing that can be played"),
    }
}
