//! What Newznab APIs say.

use quick_xml::Reader;
use quick_xml::events::Event;

/// An error in a body that should be something else: `<error code="100" description="…"/>`.
pub(crate) fn error(body: &[u8]) -> Option<String> {
    let mut reader = Reader::from_reader(body);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                if start.name().as_ref() != "error" {
                    return None;
                }
                let text = |name: &str| {
                    let attribute = start.try_get_attribute(name).ok()??;
                    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
                    Some(value.ok()?.into_owned())
                };
                let code = text("code").unwrap_or_default();
                return Some(format!(
                    "{code} {}",
                    text("description").unwrap_or_default()
                ));
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}
