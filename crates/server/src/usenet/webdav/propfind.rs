//! PROPFIND (RFC 4918 §9.1): the properties of a resource and of what is below it.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::NsReader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

use super::ROOT;
use super::tree::{self, Node};
use crate::body::Whole;
use crate::error::Problem;
use crate::state::App;

/// What is asked of each resource.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Names,
    /// Namespace and name of each.
    These(Vec<(String, String)>),
}

/// Of a request that names properties.
const BODY_BYTES_MAX: usize = 64 << 10;
const NAMES_MAX: usize = 100;
/// Of all names with their namespaces, since the answer repeats them for each entry.
const NAMES_BYTES_MAX: usize = 8 << 10;
/// More at once than anybody looks through: whoever wants them asks folder by folder, and for less of each.
const PAGE_BYTES_MAX: usize = 32 << 20;
const DAV: &str = "DAV:";
/// A path segment (RFC 3986 §3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');
const PROPERTIES: [&str; 6] = [
    "resourcetype",
    "displayname",
    "getcontentlength",
    "getcontenttype",
    "getlastmodified",
    "getetag",
];

pub(super) async fn answer(
    app: &App,
    path: &str,
    node: Node,
    mut request: Request,
) -> Result<Response, Problem> {
    let depth = request.headers().get("depth");
    let depth = match depth.map(|depth| depth.as_bytes()) {
        Some(b"0") => 0,
        Some(b"1") => 1,
        // RFC 4918 §9.1: without the header, all of it.
        None => usize::MAX,
        Some(text) if text.eq_ignore_ascii_case(b"infinity") => usize::MAX,
        Some(_) => return Err(invalid("Depth is 0, 1 or infinity")),
    };
    DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
    let Whole(body) = Whole::from_request(request, app).await?;
    let wanted = wanted(&body).ok_or_else(|| invalid("the body is no propfind"))?;
    let mut page = Page {
        xml: String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n",
        ),
        wanted,
    };
    let href = format!("{ROOT}/{path}");
    let complete = page.walk(app, href.trim_end_matches('/'), &node, depth);
    if !complete && depth == 1 {
        let detail = format!("the listing is longer than {PAGE_BYTES_MAX} bytes");
        return Err(Problem::new(ErrorKind::Denied, "too_long", detail)
            .hint("ask for fewer properties of each member"));
    }
    if !complete {
        let refusal = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>\n";
        return Ok(xml(StatusCode::FORBIDDEN, refusal.to_owned()));
    }
    page.xml.push_str("</D:multistatus>\n");
    Ok(xml(StatusCode::MULTI_STATUS, page.xml))
}

fn xml(status: StatusCode, body: String) -> Response {
    let kind = [(CONTENT_TYPE, "application/xml; charset=utf-8")];
    (status, kind, Body::from(body)).into_response()
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ErrorKind::Invalid, "invalid", detail)
}

/// How many properties a body names; `None` for what is no propfind. For the fuzzer.
pub fn properties_of(body: &[u8]) -> Option<usize> {
    wanted(body).map(|wanted| match wanted {
        Wanted::These(names) => names.len(),
        Wanted::All | Wanted::Names => PROPERTIES.len(),
    })
}

/// What a body asks for; nothing means everything. `None` for what is no propfind, or asks for too much.
fn wanted(body: &[u8]) -> Option<Wanted> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some(Wanted::All);
    }
    let mut reader = NsReader::from_reader(body);
    let mut names: Option<Vec<(String, String)>> = None;
    let mut names_bytes = 0;
    let mut depth = 0;
    let mut found = None;
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => return None,
        };
        let (start, is_empty) = match &event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::Eof if depth == 0 => {
                return found.or(names.map(Wanted::These));
            }
            Event::Eof | Event::DocType(_) => return None,
            _ => continue,
        };
        let name = start.local_name().as_ref().to_owned();
        match (depth, &*namespace, &*name) {
            (0, DAV, "propfind") => {}
            (0, ..) => return None,
            (1, DAV, "allprop") => found = Some(Wanted::All),
            (1, DAV, "propname") => found = Some(Wanted::Names),
            (1, DAV, "prop") => names = Some(Vec::new()),
            // Repeated in the answer, where it must be a name.
            (2, ..)
                if !name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "-_.".contains(c)) =>
            {
                return None;
            }
            (2, ..) => {
                names_bytes += namespace.len() + name.len();
                if let Some(names) = &mut names {
                    names.push((namespace, name));
                    if names.len() > NAMES_MAX || names_bytes > NAMES_BYTES_MAX {
                        return None;
                    }
                }
            }
            _ => {}
        }
        depth += i32::from(!is_empty);
    }
}

struct Page {
    xml: String,
    wanted: Wanted,
}

impl Page {
    /// Writes a resource and what is below it. False when there is too much.
    fn walk(&mut self, app: &App, href: &str, node: &Node, depth: usize) -> bool {
        self.entry(href, node);
        if self.xml.len() > PAGE_BYTES_MAX {
            return false;
        }
        if depth == 0 {
            return true;
        }
        let below = if depth == usize::MAX {
            depth
        } else {
            depth - 1
        };
        tree::members(app, node).iter().all(|(name, member)| {
            // The same files once more: not for who asks for everything.
            let is_again = matches!((node, member), (Node::Root, Node::Ids));
            let below = if is_again { 0 } else { below };
            self.walk(app, &format!("{href}/{name}"), member, below)
        })
    }

    fn entry(&mut self, href: &str, node: &Node) {
        let is_collection = !matches!(node, Node::File(_) | Node::Nzb(_));
        let slash = if is_collection { "/" } else { "" };
        let out = &mut self.xml;
        put(
            out,
            format_args!(
                "<D:response><D:href>{}{slash}</D:href>",
                utf8_percent_encode(href, SEGMENT)
            ),
        );
        let name = href.rsplit('/').next().unwrap_or_default();
        let value = |property: &str| value(property, node, name, is_collection);
        let mut known = String::new();
        let mut unknown = String::new();
        match &self.wanted {
            Wanted::All => {
                for property in PROPERTIES {
                    if let Some(value) = value(property) {
                        put(
                            &mut known,
                            format_args!("<D:{property}>{value}</D:{property}>"),
                        );
                    }
                }
            }
            Wanted::Names => {
                for property in PROPERTIES
                    .iter()
                    .filter(|property| value(property).is_some())
                {
                    put(&mut known, format_args!("<D:{property}/>"));
                }
            }
            Wanted::These(names) => {
                for (namespace, name) in names {
                    match value(name).filter(|_| namespace == DAV) {
                        Some(value) => {
                            put(&mut known, format_args!("<D:{name}>{value}</D:{name}>"));
                        }
                        None => put(
                            &mut unknown,
                            format_args!("<{name} xmlns=\"{}\"/>", escape(&**namespace)),
                        ),
                    }
                }
            }
        }
        for (properties, status) in [(known, "200 OK"), (unknown, "404 Not Found")] {
            if !properties.is_empty() {
                put(
                    out,
                    format_args!(
                        "<D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>"
                    ),
                );
            }
        }
        out.push_str("</D:response>\n");
    }
}

/// A property as XML; `None` where the resource has none of the kind.
fn value(property: &str, node: &Node, name: &str, is_collection: bool) -> Option<String> {
    let (length, modified_ms) = match node {
        Node::File(file) => (file.size(), file.mount().status().created_ms),
        Node::Nzb(nzb) => (nzb.bytes, nzb.at_ms),
        Node::Folder { mount, .. } => (0, mount.status().created_ms),
        _ => (0, 0),
    };
    match property {
        "resourcetype" if is_collection => Some("<D:collection/>".to_owned()),
        "resourcetype" => Some(String::new()),
        "displayname" => Some(escape(name).into_owned()),
        "getcontentlength" if !is_collection => Some(length.to_string()),
        "getcontenttype" => match node {
            Node::File(file) => Some(file.info().media_type.to_owned()),
            Node::Nzb(_) => Some("application/x-nzb".to_owned()),
            _ => None,
        },
        "getlastmodified" if modified_ms > 0 => {
            let since = Duration::from_millis(modified_ms.unsigned_abs());
            Some(httpdate::fmt_http_date(UNIX_EPOCH + since))
        }
        "getetag" => match node {
            Node::File(file) => Some(escape(file.etag()).into_owned()),
            _ => None,
        },
        _ => None,
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&Wanted>) {
        assert_eq!(wanted(body.as_bytes()).as_ref(), expected, "{body}");
    }

    #[test]
    fn a_request_names_properties_or_asks_for_all() {
        check("", Some(&Wanted::All));
        check(
            "<?xml version=\"1.0\"?><a:propfind xmlns:a=\"DAV:\"><a:allprop/></a:propfind>",
            Some(&Wanted::All),
        );
        check(
            "<propfind xmlns=\"DAV:\"><propname/></propfind>",
            Some(&Wanted::Names),
        );
        let these = [("DAV:", "getetag"), ("urn:x", "colour")];
        let these = these.map(|(ns, name)| (ns.to_owned(), name.to_owned()));
        check(
            "<propfind xmlns=\"DAV:\"><prop><getetag/><x:colour xmlns:x=\"urn:x\"/></prop></propfind>",
            Some(&Wanted::These(these.to_vec())),
        );
        for bad in [
            "<propfind",
            "text",
            "<propfind/>",
            "<propfind xmlns=\"DAV:\">",
            "<propfind xmlns=\"DAV:\"/>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><propfind xmlns=\"DAV:\"><allprop/></propfind>",
            "<x:propfind><x:allprop/></x:propfind>",
            &format!(
                "<propfind xmlns=\"DAV:\"><prop>{}</prop></propfind>",
                "<a/>".repeat(101)
            ),
            &format!(
                "<propfind xmlns=\"DAV:\"><prop><a xmlns=\"{}\"/></prop></propfind>",
                "n".repeat(9000)
            ),
        ] {
            check(bad, None);
        }
    }
}
