//! The streaming reader.

use std::io::{self, BufRead, BufReader};

use flate2::bufread::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::text::{Utf8, unescape};
use super::{Document, File, Segment, subject};
use crate::nntp::MessageId;

/// Bytes of a document, unpacked.
pub const DOCUMENT_BYTES_MAX: u64 = 100 << 20;

/// Files of a document: more than any post has.
const FILES_MAX: usize = 50_000;
/// Segments of all its files; at the usual 700 KB one post of a terabyte.
const SEGMENTS_MAX: usize = 1_500_000;
/// Bytes of a subject, a group or a meta value. What is longer is cut.
const TEXT_BYTES_MAX: usize = 4096;
/// Newsgroups of a file, and passwords of a post.
const VALUES_MAX: usize = 32;
/// Depth of elements; a document needs five.
const DEPTH_MAX: usize = 32;

/// Not an NZB, or one that we refuse.
#[derive(Debug, thiserror::Error)]
pub enum BadDocument {
    /// The XML is broken.
    #[error("not well-formed at byte {at}: {source}")]
    Xml {
        /// Position in the document as UTF-8.
        at: u64,
        /// What the parser says.
        source: quick_xml::Error,
    },
    /// The root element is another one.
    #[error("root element is not <nzb>")]
    NotNzb,
    /// It ends within an element.
    #[error("document ends before </nzb>")]
    Truncated,
    /// It defines entities: nobody needs them here but to make a small document large.
    #[error("document type defines entities")]
    Entities,
    /// It holds no usable segment.
    #[error("no file with a segment")]
    Empty,
    /// One of the limits.
    #[error("more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The bytes could not be read, or are no gzip though they begin like it.
    #[error("unreadable: {0}")]
    Read(#[source] io::Error),
}

impl BadDocument {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        match self {
            Self::TooLarge { .. } => base::ErrorKind::TooLarge,
            _ => base::ErrorKind::Invalid,
        }
    }

    fn read(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::FileTooLarge {
            Self::TooLarge {
                what: "bytes",
                limit: DOCUMENT_BYTES_MAX,
            }
        } else {
            Self::Read(error)
        }
    }
}

impl Document {
    /// Reads a document, packed by gzip or not.
    pub fn read(mut input: impl BufRead) -> Result<Self, BadDocument> {
        let is_packed = input
            .fill_buf()
            .map_err(BadDocument::read)?
            .starts_with(&[0x1f, 0x8b]);
        if is_packed {
            read_xml(BufReader::new(MultiGzDecoder::new(input)))
        } else {
            read_xml(input)
        }
    }
}

fn read_xml(input: impl BufRead) -> Result<Document, BadDocument> {
    let mut reader = Reader::from_reader(Utf8::new(input, DOCUMENT_BYTES_MAX));
    reader.config_mut().allow_dangling_amp = true;
    reader.config_mut().expand_empty_elements = true;
    let mut builder = Builder::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) => {
                return Err(BadDocument::read(io::Error::new(error.kind(), error)));
            }
            Err(source) => {
                let at = reader.error_position();
                return Err(BadDocument::Xml { at, source });
            }
        };
        match event {
            Event::Start(start) => builder.start(&start)?,
            Event::End(_) => builder.end()?,
            Event::Text(text) => builder.text(&text.into_inner()),
            Event::CData(text) => builder.literal(&text.into_inner()),
            Event::GeneralRef(name) => builder.text(&format!("&{};", &*name)),
            Event::DocType(text) if text.contains("<!ENTITY") => return Err(BadDocument::Entities),
            Event::Eof => return builder.finish(),
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

/// The elements that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Nzb,
    Head,
    Meta,
    File,
    Groups,
    Group,
    Segments,
    Segment,
    Other,
}

impl Element {
    fn of(name: &str) -> Self {
        match name {
            "nzb" => Self::Nzb,
            "head" => Self::Head,
            "meta" => Self::Meta,
            "file" => Self::File,
            "groups" => Self::Groups,
            "group" => Self::Group,
            "segments" => Self::Segments,
            "segment" => Self::Segment,
            _ => Self::Other,
        }
    }
}

#[derive(Default)]
struct Builder {
    path: Vec<Element>,
    was_closed: bool,
    document: Document,
    file: File,
    segments: usize,
    /// The text of the innermost element that has some.
    text: String,
    meta: String,
    number: Option<u32>,
    bytes: u32,
}

impl Builder {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), BadDocument> {
        let element = Element::of(start.local_name().as_ref());
        if self.path.is_empty() && (element != Element::Nzb || self.was_closed) {
            return Err(BadDocument::NotNzb);
        }
        if self.path.len() == DEPTH_MAX {
            return Err(BadDocument::TooLarge {
                what: "nested elements",
                limit: DEPTH_MAX as u64,
            });
        }
        self.text.clear();
        match element {
            Element::Meta => self.meta = attribute(start, "type").unwrap_or_default(),
            Element::File => {
                let subject = attribute(start, "subject").unwrap_or_default();
                self.file = File {
                    name: subject::file_name(&subject),
                    announced: subject::announced(&subject),
                    posted_s: attribute(start, "date").and_then(|date| date.trim().parse().ok()),
                    subject,
                    ..File::default()
                };
            }
            Element::Segment => {
                let number = |key| attribute(start, key)?.trim().parse().ok();
                self.number = number("number").filter(|&n| n > 0);
                self.bytes = number("bytes").unwrap_or(0);
            }
            _ => {}
        }
        self.path.push(element);
        Ok(())
    }

    fn end(&mut self) -> Result<(), BadDocument> {
        // The parser has checked that it closes what is open.
        let element = self.path.pop().unwrap_or(Element::Other);
        match (self.path.last(), element) {
            (None, _) => self.was_closed = true,
            (_, Element::Meta) => self.end_meta(),
            (Some(Element::Groups), Element::Group) if self.file.groups.len() < VALUES_MAX => {
                self.file.groups.push(self.text.trim().to_owned());
            }
            (Some(Element::Segments), Element::Segment) => self.end_segment()?,
            (_, Element::File) => self.end_file()?,
            _ => {}
        }
        self.text.clear();
        Ok(())
    }

    fn end_meta(&mut self) {
        let value = self.text.trim().to_owned();
        if value.is_empty() {
            return;
        }
        let kind = self.meta.to_ascii_lowercase();
        let document = &mut self.document;
        match &*kind {
            "title" => document.title = Some(value),
            "name" => document.title = document.title.take().or(Some(value)),
            "category" => document.category = document.category.take().or(Some(value)),
            "password" if document.passwords.len() < VALUES_MAX => {
                document.passwords.push(base::Redacted::new(value));
            }
            _ => {}
        }
    }

    fn end_segment(&mut self) -> Result<(), BadDocument> {
        if self.segments == SEGMENTS_MAX {
            return Err(BadDocument::TooLarge {
                what: "segments",
                limit: SEGMENTS_MAX as u64,
            });
        }
        self.segments += 1;
        // Without a number: the next one, as the document's order says.
        let next = self
            .file
            .segments
            .last()
            .map_or(1, |s| s.number.saturating_add(1));
        match MessageId::new(&self.text) {
            Ok(id) => self.file.segments.push(Segment {
                id,
                number: self.number.unwrap_or(next),
                bytes: self.bytes,
            }),
            Err(_) => self.document.bad_segments += 1,
        }
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), BadDocument> {
        let mut file = std::mem::take(&mut self.file);
        // Stable: of two with the same number the first in the document stays.
        file.segments.sort_by_key(|segment| segment.number);
        let mut kept: Vec<Segment> = Vec::with_capacity(file.segments.len());
        for segment in file.segments {
            match kept.last() {
                Some(last) if last.number == segment.number => {
                    if last.id != segment.id {
                        file.duplicates.push(segment);
                    }
                }
                _ => kept.push(segment),
            }
        }
        file.segments = kept;
        if file.segments.is_empty() {
            return Ok(());
        }
        if self.document.files.len() == FILES_MAX {
            return Err(BadDocument::TooLarge {
                what: "files",
                limit: FILES_MAX as u64,
            });
        }
        self.document.files.push(file);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.literal(&unescape(text));
    }

    fn literal(&mut self, text: &str) {
        let room = TEXT_BYTES_MAX.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
    }

    fn finish(self) -> Result<Document, BadDocument> {
        if !self.was_closed {
            return Err(if self.path.is_empty() {
                BadDocument::NotNzb
            } else {
                BadDocument::Truncated
            });
        }
        if self.document.files.is_empty() {
            return Err(BadDocument::Empty);
        }
        Ok(self.document)
    }
}

fn attribute(start: &BytesStart<'_>, key: &str) -> Option<String> {
    let mut attributes = start.attributes();
    let found = attributes
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.as_ref() == key)?;
    let mut value = unescape(&found.value);
    value.truncate(value.floor_char_boundary(TEXT_BYTES_MAX));
    Some(value)
}
