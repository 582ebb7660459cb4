use std::io::Write;

use proptest::prelude::*;

use super::*;

fn document(files: &str) -> Result<Document, BadDocument> {
    let text = format!(
        r#"<?xml version="1.0" encoding="iso-8859-1" ?>
<!DOCTYPE nzb PUBLIC "-//newzBin//DTD NZB 1.1//EN" "http://www.newzbin.com/DTD/nzb/nzb-1.1.dtd">
<nzb xmlns="http://www.newzbin.com/DTD/2003/nzb">{files}</nzb>"#
    );
    Document::read(text.as_bytes())
}

fn file(segments: &str) -> Document {
    document(&format!(
        r#"<file poster="p" date="1700000000" subject="&quot;a.mkv&quot; yEnc (1/3)">
        <groups><group>alt.b.test</group></groups><segments>{segments}</segments></file>"#
    ))
    .unwrap()
}

fn ids(segments: &[Segment]) -> Vec<(u32, &str, u32)> {
    segments
        .iter()
        .map(|s| (s.number, s.id.as_str(), s.bytes))
        .collect()
}

#[test]
fn reads_a_post() {
    let doc = document(
        r#"<head><meta type="Title">A &amp; B</meta><meta type="password">s&lt;3</meta>
        <meta type="password"><![CDATA[t&wo]]></meta><meta type="category">TV</meta></head>
        <!-- a comment -->
        <file poster="me &lt;me@x&gt;" date="1700000000" subject="[1/1] - &quot;a.mkv&quot; yEnc (1/2)">
          <groups><group>alt.b.one</group><group> alt.b.two </group></groups>
          <segments>
            <segment bytes="100" number="2">two@x</segment>
            <segment bytes="739067" number="1">one&amp;1@x</segment>
          </segments></file>"#,
    )
    .unwrap();
    assert_eq!(doc.title.as_deref(), Some("A & B"));
    assert_eq!(doc.category.as_deref(), Some("TV"));
    let passwords: Vec<_> = doc.passwords.iter().map(|p| p.expose().as_str()).collect();
    assert_eq!(passwords, ["s<3", "t&wo"]);
    let [file] = &doc.files[..] else {
        panic!("one file")
    };
    assert_eq!(file.name, "a.mkv");
    assert_eq!(file.posted_s, Some(1_700_000_000));
    assert_eq!(file.groups, ["alt.b.one", "alt.b.two"]);
    assert_eq!(
        ids(&file.segments),
        [(1, "one&1@x", 739_067), (2, "two@x", 100)]
    );
    assert_eq!(
        (file.bytes(), file.missing(), file.announced),
        (739_167, 0, Some(2))
    );
    assert!(
        !format!("{doc:?}").contains("s<3"),
        "a password is not shown"
    );
}

#[test]
fn gaps_duplicates_and_lies_are_told() {
    let doc = file(
        r#"<segment bytes="-5" number="4">d@x</segment><segment bytes="99999999999999" number="1">a@x</segment>
        <segment bytes="7" number="1">a2@x</segment><segment bytes="7" number="1">a@x</segment>
        <segment number="0" bytes="x">zero@x</segment><segment number="2">bad id</segment><segment/>"#,
    );
    let file = &doc.files[0];
    assert_eq!(
        ids(&file.segments),
        [(1, "a@x", 0), (2, "zero@x", 0), (4, "d@x", 0)]
    );
    assert_eq!(ids(&file.duplicates), [(1, "a2@x", 7)]);
    assert_eq!((file.missing(), doc.bad_segments), (1, 2));
    let cut = self::file(r#"<segment number="1">a@x</segment>"#);
    assert_eq!(cut.files[0].missing(), 2, "three are announced");
}

#[test]
fn takes_any_encoding() {
    let text = |subject: &str| {
        format!(
            r#"<nzb><file subject="{subject}"><segments><segment>a@x</segment></segments></file></nzb>"#
        )
    };
    let name = |bytes: &[u8]| Document::read(bytes).unwrap().files[0].name.clone();
    let utf8 = text("\u{e9}t\u{e9}\u{1f600}.mkv");
    assert_eq!(name(utf8.as_bytes()), "\u{e9}t\u{e9}\u{1f600}.mkv");
    assert_eq!(
        name(format!("\u{feff}{utf8}").as_bytes()),
        "\u{e9}t\u{e9}\u{1f600}.mkv"
    );
    let latin: Vec<u8> = text("\u{e9}t\u{e9}.mkv").chars().map(|c| c as u8).collect();
    assert_eq!(name(&latin), "\u{e9}t\u{e9}.mkv");
    let wide: Vec<u16> = format!("\u{feff}{utf8}").encode_utf16().collect();
    let le: Vec<u8> = wide.iter().flat_map(|u| u.to_le_bytes()).collect();
    let be: Vec<u8> = wide.iter().flat_map(|u| u.to_be_bytes()).collect();
    assert_eq!(name(&le), "\u{e9}t\u{e9}\u{1f600}.mkv");
    assert_eq!(name(&be), "\u{e9}t\u{e9}\u{1f600}.mkv");
    assert_eq!(
        name(text("Tom & Jerry &eacute; &#x41;&#66; &amp;.mkv").as_bytes()),
        "Tom & Jerry &eacute; AB &.mkv"
    );
}

#[test]
fn characters_may_be_cut_by_any_read() {
    let text = r#"<nzb><file subject="äöü😀.mkv"><segments><segment>a@x</segment></segments></file></nzb>"#;
    for size in 1..8 {
        let input = std::io::BufReader::with_capacity(size, text.as_bytes());
        let mut out = String::new();
        std::io::Read::read_to_string(&mut super::text::Utf8::new(input, 1000), &mut out).unwrap();
        assert_eq!(out, text);
    }
}

#[test]
fn unpacks_gzip() {
    let text =
        r#"<nzb><file subject="a.mkv"><segments><segment>a@x</segment></segments></file></nzb>"#;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let expected = Document::read(text.as_bytes()).unwrap();
    assert_eq!(Document::read(&*packed).unwrap(), expected);
    assert!(matches!(
        Document::read(&packed[..packed.len() / 2]),
        Err(BadDocument::Read(_))
    ));
}

#[track_caller]
fn check_bad(text: &str, expected: &str) {
    let error = Document::read(text.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn refuses_what_is_no_whole_nzb() {
    check_bad("", "root element is not <nzb>");
    check_bad("hello", "root element is not <nzb>");
    check_bad("<html></html>", "root element is not <nzb>");
    check_bad("<nzb></nzb>", "no file with a segment");
    check_bad("<nzb></nzb><nzb></nzb>", "root element is not <nzb>");
    check_bad(
        "<nzb><file subject='x'><segments><segment>a@x</segment>",
        "document ends before </nzb>",
    );
    check_bad("<nzb><file></nzb>", "not well-formed");
    check_bad("<nzb><file subject=", "not well-formed");
    check_bad(
        &format!("<nzb>{}", "<a>".repeat(100)),
        "more than 32 nested elements",
    );
    check_bad(&"<nzb/".repeat(3), "not well-formed");
}

#[test]
fn refuses_bombs() {
    check_bad(
        r#"<!DOCTYPE nzb [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><nzb>&b;</nzb>"#,
        "document type defines entities",
    );
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let line = vec![b' '; 1 << 20];
    packer.write_all(b"<nzb>").unwrap();
    for _ in 0..101 {
        packer.write_all(&line).unwrap();
    }
    let bomb = packer.finish().unwrap();
    let error = Document::read(&*bomb).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("more than {DOCUMENT_BYTES_MAX} bytes")
    );
    assert_eq!(error.kind(), base::ErrorKind::TooLarge);
}

#[test]
fn identity_is_the_set_of_articles() {
    let a = file(r#"<segment number="1">a@x</segment><segment number="2">b@x</segment>"#);
    let renamed = document(
        r#"<file subject="other"><segments><segment number="1">b@x</segment></segments></file>
        <file subject="c"><segments><segment number="7">a@x</segment></segments></file>"#,
    )
    .unwrap();
    let other = file(r#"<segment number="1">a@x</segment><segment number="2">c@x</segment>"#);
    assert_eq!(a.content_id(), renamed.content_id());
    assert_ne!(a.content_id(), other.content_id());
    // printf 'a@x\nb@x\n' | sha256sum
    assert_eq!(
        a.content_id().to_string(),
        "b9736b62cb68b49f13403d96dffdfc5a8d6046dd6f78986ad58bc5fb868da5b6"
    );
}

#[test]
fn finds_passwords_in_names() {
    #[track_caller]
    fn check(name: &str, expected: (&str, Option<&str>)) {
        let (stem, password) = password_in_name(name);
        assert_eq!(
            (stem, password.as_ref().map(|p| p.expose().as_str())),
            expected
        );
    }
    check("Show.S01{{secret}}.nzb", ("Show.S01", Some("secret")));
    check("Show {{a{{b}}.NZB", ("Show", Some("a{{b")));
    check("Show.S01.nzb", ("Show.S01", None));
    check("Show{{}}", ("Show{{}}", None));
    check("\u{e9}", ("\u{e9}", None));
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Document::read(&*bytes);
        let _ = document(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn odd_markup_does_no_harm(pieces in proptest::collection::vec(prop::sample::select(vec![
        "<file subject='x'>", "</file>", "<segments>", "</segments>", "<segment number='1'>", "</segment>", "a@x",
        "<segment/>", "<meta>", "</meta>", "&amp;", "&", "<![CDATA[", "]]>", "<!--", "-->", "<groups>", "<group>", "<", ">", "\"",
    ]), 0..20)) {
        let _ = document(&pieces.concat());
    }
}
