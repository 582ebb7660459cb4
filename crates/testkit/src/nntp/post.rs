//! Posts: files cut into yEnc articles, and the NZB that names them.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use nzb::yenc::{Part, encode};

/// How files are posted.
#[derive(Clone, Copy, Debug)]
pub struct Posting {
    /// Bytes of a file in each article but the last.
    pub part_bytes: usize,
    /// Neither the subject nor the article says what the file is called.
    pub is_obfuscated: bool,
}

impl Default for Posting {
    fn default() -> Self {
        Self {
            part_bytes: 100_000,
            is_obfuscated: false,
        }
    }
}

/// A post: articles by message-id, and its NZB.
#[derive(Clone, Debug)]
pub struct Post {
    /// Name, then the message-ids of its articles in order.
    files: Vec<(String, Vec<(String, usize)>)>,
    articles: BTreeMap<String, Bytes>,
    /// `<meta>` elements of the document.
    meta: Vec<(String, String)>,
}

impl Post {
    /// Posts `files`. `seed` goes into the message-ids: other seeds make other posts.
    pub fn new(seed: &str, files: &[(&str, &[u8])], part_bytes: usize) -> Self {
        let posting = Posting {
            part_bytes,
            ..Posting::default()
        };
        Self::with(seed, files, posting)
    }

    /// Posts a set of volumes: `x.part01.rar` and so on.
    pub fn volumes(seed: &str, volumes: &[Vec<u8>], part_bytes: usize) -> Self {
        let names: Vec<_> = (1..=volumes.len())
            .map(|number| format!("x.part{number:02}.rar"))
            .collect();
        let files = names.iter().zip(volumes);
        let files: Vec<_> = files.map(|(name, data)| (&**name, &**data)).collect();
        Self::new(seed, &files, part_bytes)
    }

    /// Posts `files` with more to say about how.
    pub fn with(seed: &str, files: &[(&str, &[u8])], posting: Posting) -> Self {
        let mut post = Self {
            files: Vec::new(),
            articles: BTreeMap::new(),
            meta: Vec::new(),
        };
        for (index, (name, data)) in files.iter().enumerate() {
            let shown = if posting.is_obfuscated {
                format!("{:016x}", fnv(&format!("{seed}{index}{name}")))
            } else {
                (*name).to_owned()
            };
            post.add(&format!("{seed}.{index}"), shown, data, posting.part_bytes);
        }
        post
    }

    fn add(&mut self, seed: &str, name: String, data: &[u8], part_bytes: usize) {
        let chunks: Vec<&[u8]> = if data.is_empty() {
            vec![&[]]
        } else {
            data.chunks(part_bytes).collect()
        };
        let total = u32::try_from(chunks.len()).expect("posts of tests are small");
        let mut begin = 0;
        let mut ids = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let end = begin + chunk.len() as u64;
            let number = u32::try_from(index).expect("counted above") + 1;
            let part = Part {
                name: name.clone(),
                file_size: data.len() as u64,
                number: Some(number),
                total: Some(total),
                begin,
                end,
            };
            begin = end;
            let body = encode(&part, chunk);
            let id = format!("{number}.{seed}@testkit");
            ids.push((id.clone(), body.len()));
            self.articles.insert(id, body.into());
        }
        self.files.push((name, ids));
    }

    /// Adds `<meta type="kind">value</meta>` to the document.
    #[must_use]
    pub fn meta(mut self, kind: &str, value: &str) -> Self {
        self.meta.push((kind.to_owned(), value.to_owned()));
        self
    }

    /// The document.
    pub fn nzb(&self) -> String {
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<nzb xmlns=\"http://www.newzbin.com/DTD/2003/nzb\">\n<head>\n",
        );
        let mut line = |text: std::fmt::Arguments<'_>| {
            xml.write_fmt(text).expect("a string takes everything");
        };
        for (kind, value) in &self.meta {
            line(format_args!(
                "<meta type=\"{kind}\">{}</meta>\n",
                escape(value)
            ));
        }
        line(format_args!("</head>\n"));
        let files = self.files.len();
        for (at, (name, articles)) in self.files.iter().enumerate() {
            let name = escape(name);
            let (at, total) = (at + 1, articles.len());
            line(format_args!(
                "<file poster=\"testkit\" date=\"1700000000\" subject=\"[{at}/{files}] - &quot;{name}&quot; yEnc (1/{total})\">\n<groups><group>alt.binaries.test</group></groups>\n<segments>\n"
            ));
            for (number, (id, bytes)) in articles.iter().enumerate() {
                let number = number + 1;
                line(format_args!(
                    "<segment bytes=\"{bytes}\" number=\"{number}\">{}</segment>\n",
                    escape(id)
                ));
            }
            line(format_args!("</segments>\n</file>\n"));
        }
        xml.push_str("</nzb>\n");
        xml
    }

    /// The message-ids of a file's articles, without brackets, in order.
    pub fn ids(&self, file: usize) -> Vec<&str> {
        self.files[file]
            .1
            .iter()
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// How many files it has.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// All articles: message-id without brackets, and the body with its terminating line.
    pub fn articles(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.articles.iter().map(|(id, body)| (id.as_str(), body))
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
