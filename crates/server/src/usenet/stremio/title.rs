//! What an id is called, and whether a release is called so.

use serde::Deserialize;

use crate::state::App;
use crate::usenet::newznab;

/// The title of a film or series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Title {
    name: String,
    /// Of a film.
    year: Option<u16>,
    is_series: bool,
}

#[derive(Debug, Deserialize)]
struct Answer {
    meta: Meta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    release_info: Option<String>,
}

/// Words that follow a title where the year is left out.
const QUALITIES: [&str; 12] = [
    "2160p", "1080p", "1080i", "720p", "576p", "480p", "bluray", "web", "webrip", "hdtv", "dvdrip",
    "remux",
];

/// Asks Cinemeta, which Stremio itself takes its titles from; once for a day. Without an answer the
/// add-on goes on with ids.
pub(super) async fn of(app: &App, kind: &str, imdb: &str) -> Option<Title> {
    let base = app.usenet.settings.cinemeta_url.as_ref()?;
    let key = format!("{kind}/{imdb}");
    let asked = async {
        let mut url = base.clone();
        {
            let mut path = url.path_segments_mut().map_err(|()| "no base")?;
            let file = format!("{imdb}.json");
            path.pop_if_empty().extend(["meta", kind, &file]);
        }
        let body = newznab::ask(&app.usenet, &url).await;
        let body = body.map_err(|error| {
            tracing::debug!(%error, "no title for an id");
            "no answer"
        })?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| "no title")?;
        Ok::<_, &'static str>(title(answer.meta, kind == "series"))
    };
    let titles = &app.usenet.titles;
    titles.try_get_with(key, asked).await.ok()
}

fn title(meta: Meta, is_series: bool) -> Title {
    let year = meta.release_info.as_deref().unwrap_or_default();
    let year: String = year.chars().take(4).collect();
    Title {
        name: meta.name,
        year: year.parse().ok(),
        is_series,
    }
}

impl Title {
    /// For a search by words.
    pub(super) fn query(&self) -> String {
        match self.year.filter(|_| !self.is_series) {
            Some(year) => format!("{} {year}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether a release of this name is of this title: its words, then the year or what else follows a
    /// title in names of releases. Another word makes another title: not every Alien is Alien.
    pub(super) fn names(&self, release: &str) -> bool {
        let (title, release) = (words(&self.name), words(release));
        let Some(rest) = release.strip_prefix(&title[..]) else {
            return false;
        };
        let Some(next) = rest.first() else {
            return true;
        };
        let year: Option<u16> = next.parse().ok().filter(|year| (1880..2200).contains(year));
        if self.is_series {
            let is_season =
                next.starts_with('s') && next[1..].starts_with(|c: char| c.is_ascii_digit());
            return is_season || next == "season" || year.is_some();
        }
        match (year, self.year) {
            (Some(year), Some(of_title)) => year.abs_diff(of_title) <= 1,
            (Some(_), None) => true,
            (None, _) => QUALITIES.contains(&next.as_str()),
        }
    }
}

/// Lower-case words without what names of releases leave out.
fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace(['\'', '’'], "");
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && *word != "and");
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, year: Option<u16>, is_series: bool, release: &str, expected: bool) {
        let title = Title {
            name: name.to_owned(),
            year,
            is_series,
        };
        assert_eq!(title.names(release), expected, "{name} {release}");
    }

    #[test]
    fn a_release_is_told_from_others_of_a_similar_name() {
        let alien = ("Alien", Some(1979), false);
        for (release, expected) in [
            ("Alien.1979.2160p.mkv", true),
            ("alien (1979)", true),
            ("Alien.1080p.BluRay.mkv", true),
            ("Alien", true),
            ("Alien.Resurrection.1997.1080p.mkv", false),
            ("Aliens.1986.mkv", false),
            ("Alien.2017.mkv", false),
            ("The.Alien.1979.mkv", false),
        ] {
            check(alien.0, alien.1, alien.2, release, expected);
        }
        check(
            "Fast & Furious",
            Some(2009),
            false,
            "Fast.and.Furious.2009.mkv",
            true,
        );
        check(
            "Don't Look Up",
            Some(2021),
            false,
            "Dont.Look.Up.2021.mkv",
            true,
        );
        check("Severance", None, true, "Severance.S01E02.1080p.mkv", true);
        check("Severance", None, true, "Severance.2022.S01.1080p", true);
        check("Severance", None, true, "Severance.Extra.S01E02.mkv", false);
        check("Up", Some(2009), false, "s", false);
    }
}
