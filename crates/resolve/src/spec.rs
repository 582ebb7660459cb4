//! A resolver as the configuration describes it.

use std::time::Duration;

use url::Url;

use crate::document::Format;
use crate::entry::Entry;

/// A resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverSpec {
    /// Its name in sources and, as `site_key`, in the compatible routes.
    pub id: String,
    /// For people; empty: the id.
    pub name: String,
    /// Where its result comes from.
    pub origin: Origin,
    /// How often it is asked what there is.
    pub interval: Duration,
    /// The least time between two runs.
    pub min_interval: Duration,
}

/// Where a resolver's result comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration itself.
    Static(Vec<Entry>),
    /// A document over HTTP.
    Http {
        /// Where it is.
        url: Url,
        /// Sent with the request.
        headers: Vec<(String, String)>,
        /// Its form.
        format: Format,
    },
    /// What a program prints.
    Exec {
        /// The program and its arguments, at least one; no shell sees them.
        argv: Vec<String>,
        /// The form of its output.
        format: Format,
    },
}

impl ResolverSpec {
    /// For people.
    pub fn title(&self) -> &str {
        if self.name.is_empty() {
            &self.id
        } else {
            &self.name
        }
    }

    /// The URL behind whose scope no link of this resolver may lead (`docs/adr/0007`). What a program
    /// of the operator's own prints, and what stands in his configuration, is his word.
    pub(crate) fn voucher(&self) -> Option<&Url> {
        match &self.origin {
            Origin::Http { url, .. } => Some(url),
            Origin::Static(_) | Origin::Exec { .. } => None,
        }
    }
}

/// Without URLs, headers and arguments: each may be a secret.
impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static",
            Self::Http { .. } => "Http",
            Self::Exec { .. } => "Exec",
        })
    }
}
