//! What a channel is, as configuration, the API and the store describe it.

use base::ChannelId;
use percent_encoding::percent_decode_str;
use resolve::EntryKey;
use serde::{Deserialize, Serialize};
use url::Url;

/// A channel: one stable URL for players, and the sources behind it in order of preference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSpec {
    /// The name in every URL.
    pub id: ChannelId,
    /// For people; empty: the id.
    #[serde(default)]
    pub title: String,
    /// `group-title` of `/channels.m3u`.
    #[serde(default)]
    pub group: String,
    /// `tvg-logo` of `/channels.m3u`.
    #[serde(default)]
    pub logo: String,
    /// `tvg-id` of `/channels.m3u`.
    #[serde(default)]
    pub tvg_id: String,
    /// What plays when every source is down: `asset:<slug>` or a file; empty: the built-in card.
    #[serde(default)]
    pub slate: String,
    /// `EXT-X-TARGETDURATION` in seconds; 0: the longest of the sources known at the start.
    #[serde(default)]
    pub target_duration_s: u32,
    /// At least one, tried in order.
    pub sources: Vec<SourceSpec>,
}

/// Where a channel's media comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// An HLS playlist (media or multivariant) or an MPEG-TS stream, over http or https. What it is is
    /// told by its content. Or a resolver's entry, as [`SourceSpec::entry_url`] writes it.
    pub url: Url,
    /// Sent with every request to this source.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "header_map")]
    pub headers: Vec<(String, String)>,
    /// Empty: the default of `[live]`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// The `[[account]]` whose streams this source counts against; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
}

/// Sources of one channel.
const SOURCES_MAX: usize = 32;
/// Characters of a title, group, logo or id of a guide.
const TEXT_MAX: usize = 1024;
/// Of seconds: longer segments are no live stream.
const TARGET_DURATION_MAX_S: u32 = 120;

impl ChannelSpec {
    /// Checks what the types do not: there is a source, its headers can be sent, nothing is absurdly
    /// long. The error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.sources.is_empty() || self.sources.len() > SOURCES_MAX {
            return Err(format!("a channel needs 1 to {SOURCES_MAX} sources"));
        }
        for text in [
            &self.title,
            &self.group,
            &self.logo,
            &self.tvg_id,
            &self.slate,
        ] {
            if text.len() > TEXT_MAX {
                return Err(format!("a text is longer than {TEXT_MAX} bytes"));
            }
            if text.contains(char::is_control) {
                return Err("a text must be one line, without control characters".to_owned());
            }
        }
        let logo = Url::parse(&self.logo);
        let web = logo.is_ok_and(|logo| matches!(logo.scheme(), "http" | "https"));
        if !self.logo.is_empty() && !web {
            return Err("logo must be an http or https URL".to_owned());
        }
        if self.target_duration_s > TARGET_DURATION_MAX_S {
            return Err(format!(
                "target_duration_s must be 0 to {TARGET_DURATION_MAX_S}"
            ));
        }
        for source in &self.sources {
            if source.user_agent.contains(char::is_control) || source.user_agent.len() > TEXT_MAX {
                return Err(format!(
                    "user_agent must be one line of at most {TEXT_MAX} bytes"
                ));
            }
            let headers = source.headers.iter().map(|(name, value)| (name, value));
            fetch::Headers::new(headers).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Whether a channel that plays what `other` describes need not begin anew to be this one: they differ in
    /// their sources, which may come and go, and in what they are called.
    pub(crate) fn plays_on_from(&self, other: &Self) -> bool {
        self.id == other.id
            && self.slate == other.slate
            && self.target_duration_s == other.target_duration_s
    }

    /// As the store keeps it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists of them become JSON")
    }

    /// What [`ChannelSpec::to_json`] wrote; the error says where it is no channel.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// The scheme of a resolver's entry.
const ENTRY_SCHEME: &str = "resolver";
/// Before the name of an entry that could not stand in a URL by itself.
const ENTRY_MARK: char = ':';

impl SourceSpec {
    /// A resolver's entry as a URL: `resolver://club/cam-1`. It names the entry and tells no secret.
    pub fn entry_url(resolver: &str, entry: &str) -> Option<Url> {
        let mut url = Url::parse(&format!("{ENTRY_SCHEME}://{resolver}")).ok()?;
        // Alone in a path, `.` and `..` would mean places (RFC 3986 §5.2.4), however they are encoded.
        let segment = match entry {
            "." | ".." => format!("{ENTRY_MARK}{entry}"),
            _ if entry.starts_with(ENTRY_MARK) => format!("{ENTRY_MARK}{entry}"),
            _ => entry.to_owned(),
        };
        url.path_segments_mut().ok()?.push(&segment);
        Some(url)
    }

    /// The entry that this source is, if its links come from a resolver.
    pub fn entry(&self) -> Option<EntryKey> {
        if self.url.scheme() != ENTRY_SCHEME {
            return None;
        }
        let segment = self.url.path().strip_prefix('/')?;
        let entry = percent_decode_str(segment).decode_utf8().ok()?;
        let entry = entry.strip_prefix(ENTRY_MARK).unwrap_or(&entry).to_owned();
        Some(EntryKey {
            resolver: self.url.host_str()?.to_owned(),
            entry,
        })
    }

    /// Whether it is a playlist by a URL of its own.
    pub fn is_direct(&self) -> bool {
        self.url.scheme() != ENTRY_SCHEME
    }
}

impl std::fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("SourceSpec")
            .field("url", &base::redact_url(&self.url))
            .field("headers", &names)
            .field("user_agent", &self.user_agent)
            .field("account", &self.account)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_url_that_names_it() {
        for entry in [
            "cam-1",
            "720p60",
            "hls/live 1080p?x=1&é",
            "%41",
            "..",
            ".",
            ":..",
            "::",
        ] {
            let source = SourceSpec {
                url: SourceSpec::entry_url("club_tv", entry).unwrap(),
                headers: Vec::new(),
                user_agent: String::new(),
                account: String::new(),
            };
            let key = source.entry().unwrap();
            assert_eq!(
                (key.resolver.as_str(), key.entry.as_str()),
                ("club_tv", entry),
                "{}",
                source.url
            );
        }
    }
}

/// Headers as a table in TOML and an object in JSON, in the order they were written.
mod header_map {
    use serde::de::{MapAccess, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    type Headers = Vec<(String, String)>;

    pub(super) fn serialize<S: Serializer>(
        headers: &Headers,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(headers.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Headers, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of header names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    headers.push(pair);
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
