//! One line of a playlist (RFC 8216 §4.1), lexed by `quick-m3u8` with every tag left unparsed, so
//! that a line we do not touch stays as it was.

use quick_m3u8::HlsLine;
use quick_m3u8::config::ParsingOptions;
use quick_m3u8::custom_parsing::line::parse;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `#EXT…`: the name with its `#`, and what follows the first colon.
    Tag {
        name: &'a str,
        value: &'a str,
    },
    Uri(&'a str),
    /// Comments, blank lines and what is no line at all.
    Other,
}

/// Lexes the lines of a text; each with its number, from 1, and itself.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str, Line<'_>)> {
    let options = ParsingOptions::builder().build();
    text.lines()
        .enumerate()
        .map(move |(index, raw)| (index + 1, raw, lex(raw, &options)))
}

fn lex<'a>(raw: &'a str, options: &ParsingOptions) -> Line<'a> {
    match parse(raw, options).map(|line| line.parsed) {
        Ok(HlsLine::UnknownTag(_)) => {
            let (name, value) = raw.split_once(':').unwrap_or((raw, ""));
            Line::Tag {
                name: name.trim_end(),
                value: value.trim(),
            }
        }
        Ok(HlsLine::Uri(_)) if !raw.trim().is_empty() => Line::Uri(raw.trim()),
        _ => Line::Other,
    }
}
