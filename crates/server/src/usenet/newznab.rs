//! Newznab APIs: searches and what they say.

use std::time::Duration;

use bytes::Bytes;
use fetch::Request;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use url::Url;

use super::UsenetFace;
use super::settings::Indexer;

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    /// `tt0903747`.
    pub(crate) imdb: &'a str,
    pub(crate) episode: Option<(u32, u32)>,
    /// For indexers that know no ids.
    pub(crate) query: Option<String>,
}

/// A post that an indexer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) indexer: String,
    pub(crate) name: String,
    /// Where its NZB is; holds the account's key.
    pub(crate) url: String,
    pub(crate) bytes: Option<u64>,
}

pub(crate) const USER_AGENT: &str = concat!("Perennial/", env!("CARGO_PKG_VERSION"));
const TIMEOUT: Duration = Duration::from_secs(10);
const FOUND_MAX: usize = 100;
const TEXT_MAX: usize = 8 << 10;
/// Of an error, which goes to logs and people.
const SAID_CHARS_MAX: usize = 300;

/// Searches by id, and by words where that brings nothing.
///
/// # Errors
/// What keeps the indexer from answering, without secrets.
pub(crate) async fn search(
    face: &UsenetFace,
    indexer: &Indexer,
    search: &Search<'_>,
) -> Result<Vec<Found>, String> {
    let number = search.imdb.trim_start_matches("tt");
    let found = look(face, indexer, search, ("imdbid", number)).await?;
    match &search.query {
        Some(query) if found.is_empty() => look(face, indexer, search, ("q", query)).await,
        _ => Ok(found),
    }
}

async fn look(
    face: &UsenetFace,
    indexer: &Indexer,
    search: &Search<'_>,
    by: (&str, &str),
) -> Result<Vec<Found>, String> {
    let mut url = indexer.url.clone();
    {
        let mut query = url.query_pairs_mut();
        query.append_pair(by.0, by.1);
        match search.episode {
            Some((season, episode)) => {
                query.append_pair("t", "tvsearch");
                query.append_pair("season", &season.to_string());
                query.append_pair("ep", &episode.to_string());
            }
            None => drop(query.append_pair("t", "movie")),
        }
        query.append_pair("limit", "100");
        if !indexer.api_key.expose().is_empty() {
            query.append_pair("apikey", indexer.api_key.expose());
        }
    }
    let body = ask(face, &url).await?;
    if let Some(said) = error(&body) {
        return Err(said);
    }
    items(&body, &indexer.name).ok_or_else(|| "no search results".to_owned())
}

/// What an operator's own URL answers.
///
/// # Errors
/// What keeps it from answering, without secrets.
pub(crate) async fn ask(face: &UsenetFace, url: &Url) -> Result<Bytes, String> {
    let asked = async {
        let scope = face.client.scope_of(url).await?;
        let mut request = Request {
            user_agent: USER_AGENT.to_owned(),
            ..Request::new(url.clone(), scope, face.manners.clone())
        };
        request.timeouts.total = Some(TIMEOUT);
        face.client.get(&request).await
    };
    let answer = asked.await.map_err(|error: fetch::Error| error.to_string());
    Ok(answer?.body)
}

/// An error in a body that should be something else: `<error code="100" description="…"/>`.
pub(crate) fn error(body: &[u8]) -> Option<String> {
    let mut reader = Reader::from_reader(body);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                if start.name().as_ref() != "error" {
                    return None;
                }
                let code = attribute(&start, "code").unwrap_or_default();
                let said = attribute(&start, "description").unwrap_or_default();
                let said = format!("{code} {said}");
                return Some(said.chars().take(SAID_CHARS_MAX).collect());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// What a search came to: names and URLs, or `None`. For the fuzzer.
pub fn results_of(body: &[u8]) -> Option<Vec<(String, String)>> {
    if error(body).is_some() {
        return None;
    }
    let found = items(body, "")?.into_iter();
    Some(found.map(|found| (found.name, found.url)).collect())
}

/// The items of an RSS feed; `None` for what is none.
fn items(body: &[u8], indexer: &str) -> Option<Vec<Found>> {
    let mut reader = Reader::from_reader(body);
    let mut found = Vec::new();
    let mut item: Option<Item> = None;
    let mut text = String::new();
    let mut is_feed = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                text.clear();
                match start.name().as_ref() {
                    "rss" => is_feed = true,
                    "item" => item = Some(Item::default()),
                    _ => item.iter_mut().for_each(|item| item.read(&start)),
                }
            }
            Event::Empty(start) => item.iter_mut().for_each(|item| item.read(&start)),
            Event::Text(piece) => add(&mut text, &piece),
            Event::CData(piece) => add(&mut text, &quick_xml::escape::escape(&*piece)),
            Event::GeneralRef(name) => add(&mut text, &format!("&{};", &*name)),
            Event::End(end) => {
                let value =
                    || unescape(&text).map_or_else(|_| String::new(), |v| v.trim().to_owned());
                match (end.name().as_ref(), &mut item) {
                    ("title", Some(item)) => item.title = value(),
                    ("link", Some(item)) => item.link = value(),
                    ("item", Some(_)) => {
                        found.extend(item.take().and_then(|item| item.found(indexer)));
                        if found.len() == FOUND_MAX {
                            return Some(found);
                        }
                    }
                    _ => {}
                }
                text.clear();
            }
            Event::DocType(_) => return None,
            Event::Eof => return is_feed.then_some(found),
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Item {
    title: String,
    link: String,
    enclosure: Option<String>,
    bytes: Option<u64>,
}

impl Item {
    fn read(&mut self, start: &BytesStart<'_>) {
        match start.name().as_ref() {
            "enclosure" => {
                self.enclosure = attribute(start, "url");
                let length = attribute(start, "length").and_then(|text| text.parse().ok());
                self.bytes = self.bytes.or(length.filter(|bytes| *bytes > 0));
            }
            name if name.ends_with(":attr")
                && attribute(start, "name").as_deref() == Some("size") =>
            {
                self.bytes = attribute(start, "value").and_then(|text| text.parse().ok());
            }
            _ => {}
        }
    }

    fn found(self, indexer: &str) -> Option<Found> {
        let url = self.enclosure.unwrap_or(self.link);
        let is_url = url.starts_with("http://") || url.starts_with("https://");
        (is_url && !self.title.is_empty()).then(|| Found {
            indexer: indexer.to_owned(),
            name: self.title,
            url,
            bytes: self.bytes,
        })
    }
}

fn add(text: &mut String, piece: &str) {
    if text.len() + piece.len() <= TEXT_MAX {
        text.push_str(piece);
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    let value = value.ok().filter(|value| value.len() <= TEXT_MAX)?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_indexers_write_them() {
        let feed = r#"<?xml version="1.0"?><rss version="2.0" xmlns:newznab="urn:n"><channel><title>x</title>
            <item><title>Film &amp; Co.2024</title><link>https://i.example/get?id=1&amp;apikey=k</link>
            <enclosure url="https://i.example/nzb/1?apikey=k&amp;a=b" length="5" type="application/x-nzb"/>
            <newznab:attr name="size" value="4294967296"/></item>
            <item><title><![CDATA[Other <2>]]></title><link>https://i.example/get?id=2&amp;a=b</link></item>
            <item><title>Nowhere</title><link>magnet:?x</link></item>
            </channel></rss>"#;
        let found = items(feed.as_bytes(), "i").unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|found| (&*found.name, &*found.url, found.bytes))
            .collect();
        assert_eq!(
            seen,
            [
                (
                    "Film & Co.2024",
                    "https://i.example/nzb/1?apikey=k&a=b",
                    Some(1 << 32)
                ),
                ("Other <2>", "https://i.example/get?id=2&a=b", None),
            ]
        );
        assert_eq!(items(b"<html></html>", "i"), None);
        assert_eq!(items(b"<rss><channel/></rss>", "i"), Some(Vec::new()));
        let refused = "<?xml version=\"1.0\"?><error code=\"100\" description=\"Incorrect user credentials\"/>";
        assert_eq!(
            error(refused.as_bytes()).as_deref(),
            Some("100 Incorrect user credentials")
        );
        for (length, said) in [(8000, 300), (9000, 2)] {
            let long = "x".repeat(length);
            let long = format!("<error code=\"9\" description=\"{long}\"/>");
            assert_eq!(error(long.as_bytes()).unwrap().len(), said);
        }
        let long = "x".repeat(9000);
        let long =
            format!("<rss><item><title>x</title><enclosure url=\"http://i/{long}\"/></item></rss>");
        assert_eq!(items(long.as_bytes(), "i"), Some(Vec::new()));
    }
}
