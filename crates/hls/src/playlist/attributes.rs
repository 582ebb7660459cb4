//! Attribute lists (RFC 8216 §4.2) with the place of each value, so that one value can be replaced
//! and every other byte kept.
//!
//! More tolerant than the grammar, because encoders are: spaces after a comma, a trailing comma, and
//! `=` inside an unquoted value are read as they were meant. An unclosed quote is an error.

use std::ops::Range;

/// One attribute: its name, its value without quotes, and where that value stands in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) span: Range<usize>,
    pub(super) quoted: bool,
}

/// A parsed list. Look-ups are linear: a list has a handful of attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes<'a>(pub(super) Vec<Attribute<'a>>);

impl<'a> Attributes<'a> {
    /// `None` when a quote is not closed or a value has no name.
    pub(super) fn parse(list: &'a str) -> Option<Self> {
        let mut attributes = Vec::new();
        let mut at = 0;
        loop {
            at += list[at..].len() - list[at..].trim_start_matches([' ', '\t', ',']).len();
            if at == list.len() {
                return Some(Self(attributes));
            }
            let equals = at + list[at..].find('=')?;
            let name = list[at..equals].trim_end();
            if name.is_empty() || name.contains(['"', ',']) {
                return None;
            }
            let start = equals + 1;
            let quoted = list[start..].starts_with('"');
            let span = if quoted {
                start + 1..start + 1 + list[start + 1..].find('"')?
            } else {
                start
                    ..list[start..]
                        .find(',')
                        .map_or(list.len(), |comma| start + comma)
            };
            at = span.end + usize::from(quoted);
            attributes.push(Attribute {
                name,
                value: list[span.clone()].trim(),
                span,
                quoted,
            });
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|a| a.name == name).map(|a| a.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: Option<&[(&str, &str)]>) {
        let got = Attributes::parse(list)
            .map(|list| list.0.iter().map(|a| (a.name, a.value)).collect::<Vec<_>>());
        assert_eq!(got.as_deref(), expected, "{list}");
    }

    #[test]
    fn reads_the_grammar_and_what_encoders_make_of_it() {
        check(
            "A=1,B=\"x,y=z\",C=0xAB",
            Some(&[("A", "1"), ("B", "x,y=z"), ("C", "0xAB")]),
        );
        check("A=1, B=\"\",", Some(&[("A", "1"), ("B", "")]));
        check("A=b64==,C=d", Some(&[("A", "b64=="), ("C", "d")]));
        check("", Some(&[]));
        check("A=\"open", None);
        check("A,B=1", None);
        check("=1", None);
    }

    #[test]
    fn a_value_can_be_found_again_by_its_span() {
        let list = "METHOD=AES-128,URI=\"k?a=1,b\",IV=0x1";
        let uri = Attributes::parse(list).unwrap().0.remove(1);
        assert_eq!((&list[uri.span], uri.quoted), ("k?a=1,b", true));
    }
}
