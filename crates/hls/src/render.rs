//! A timeline as text: the media playlist that players read.

use std::fmt::Write;

use crate::date::DateTime;
use crate::timeline::{Entry, EntryKey, KeyUri, Timeline};

impl Timeline {
    /// The media playlist, every URI of ours below `prefix` (empty, or ending in a slash).
    ///
    /// The same timeline renders to the same bytes: viewers share them.
    pub fn render(&self, prefix: &str) -> String {
        let mut out = String::with_capacity(256 + self.listed().len() * 96);
        self.write(prefix, &mut out)
            .expect("writing to a string does not fail");
        out
    }

    fn write(&self, prefix: &str, out: &mut String) -> std::fmt::Result {
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{}", self.version())?;
        if self.listed().len() > 0 && self.listed().all(|entry| entry.segment.independent) {
            writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        }
        let header = self.header();
        if let Some(start) = &header.start {
            writeln!(out, "{start}")?;
        }
        writeln!(out, "#EXT-X-TARGETDURATION:{}", self.target_duration_s())?;
        let first = self.listed().next();
        writeln!(
            out,
            "#EXT-X-MEDIA-SEQUENCE:{}",
            first.map_or(self.next_msn(), |entry| entry.msn)
        )?;
        let dsn = first.map_or(self.dsn(), |entry| {
            entry.dsn - u64::from(entry.segment.discontinuity)
        });
        if dsn > 0 {
            writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{dsn}")?;
        }
        if header.i_frames_only {
            writeln!(out, "#EXT-X-I-FRAMES-ONLY")?;
        }
        for tag in &header.tags {
            writeln!(out, "{tag}")?;
        }
        // A date range means nothing without a date to place it by (RFC 8216 §4.3.2.7).
        if self.listed().any(|entry| entry.segment.date.is_some()) {
            for range in self.date_ranges() {
                writeln!(out, "{}", range.line)?;
            }
        }
        let mut previous = None;
        for entry in self.listed() {
            write_entry(entry, previous, prefix, out)?;
            previous = Some(entry);
        }
        if self.ended() {
            writeln!(out, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }

    /// The lowest version that allows what is listed (RFC 8216 §7, RFC 8216bis §8).
    fn version(&self) -> u64 {
        let needs = |entry: &Entry| {
            let segment = &entry.segment;
            if segment.gap {
                8
            } else if segment.map.is_some() {
                6
            } else if segment
                .keys
                .iter()
                .any(|key| !key.rest.is_empty() || key.method != "AES-128")
            {
                5
            } else {
                3
            }
        };
        let i_frames = if self.header().i_frames_only { 4 } else { 3 };
        self.listed().map(needs).max().unwrap_or(3).max(i_frames)
    }
}

fn write_entry(
    entry: &Entry,
    previous: Option<&Entry>,
    prefix: &str,
    out: &mut String,
) -> std::fmt::Result {
    let segment = &entry.segment;
    // At the head, and after each discontinuity, everything is said anew.
    let before = previous
        .map(|entry| &entry.segment)
        .filter(|_| !segment.discontinuity);
    if segment.discontinuity {
        writeln!(out, "#EXT-X-DISCONTINUITY")?;
    }
    let keys_before = previous.map_or(&[][..], |entry| &entry.segment.keys);
    if *segment.keys != *keys_before || (segment.discontinuity && !segment.keys.is_empty()) {
        write_keys(&segment.keys, keys_before, prefix, out)?;
    }
    if let Some(map) = &segment.map
        && before.is_none_or(|before| before.map.as_ref() != Some(map))
    {
        writeln!(out, "#EXT-X-MAP:URI=\"{prefix}{}\"", map.0)?;
    }
    match (&segment.program_date_time, segment.date) {
        (Some(written), _) => writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{written}")?,
        // The source dated an earlier segment, which may be gone from the list.
        (None, Some(date))
            if before.is_none_or(|before| !follows(before.date, before.duration, date)) =>
        {
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{date}")?;
        }
        _ => {}
    }
    if let Some(bitrate) = segment.bitrate
        && previous.is_none_or(|previous| previous.segment.bitrate != Some(bitrate))
    {
        writeln!(out, "#EXT-X-BITRATE:{bitrate}")?;
    }
    for tag in &segment.tags {
        writeln!(out, "{tag}")?;
    }
    if segment.gap {
        writeln!(out, "#EXT-X-GAP")?;
    }
    writeln!(
        out,
        "#EXTINF:{}\n{prefix}{}.{}",
        segment.inf,
        entry.msn,
        segment.container.extension()
    )
}

fn follows(before: Option<DateTime>, duration: std::time::Duration, date: DateTime) -> bool {
    before.is_some_and(|before| before.unix_ms + duration.as_millis() as i64 == date.unix_ms)
}

fn write_keys(
    keys: &[EntryKey],
    before: &[EntryKey],
    prefix: &str,
    out: &mut String,
) -> std::fmt::Result {
    // A KEYFORMAT that is gone can only be ended by ending all (RFC 8216 §4.3.2.4).
    let ended = before
        .iter()
        .any(|old| !keys.iter().any(|key| key.rest == old.rest));
    if ended {
        writeln!(out, "#EXT-X-KEY:METHOD=NONE")?;
    }
    for key in keys {
        write!(out, "#EXT-X-KEY:METHOD={},URI=\"", key.method)?;
        match &key.uri {
            KeyUri::Object(name) => write!(out, "{prefix}{}\"", name.0)?,
            KeyUri::Foreign(uri) => write!(out, "{uri}\"")?,
        }
        if let Some(iv) = key.iv {
            write!(out, ",IV=0x{:032x}", u128::from_be_bytes(iv))?;
        }
        writeln!(out, "{}", key.rest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::Time;

    use super::*;
    use crate::container::Container;
    use crate::timeline::tests::draft;
    use crate::timeline::{Draft, Header, ObjectName, Window};

    fn timeline() -> Timeline {
        Timeline::new(
            Window {
                segments: 3,
                retain: 6,
                bytes_max: u64::MAX,
            },
            2,
            7,
            0,
        )
    }

    /// As if it had come when it should.
    fn push(timeline: &mut Timeline, draft: Draft) {
        let now = Time::from_ms(timeline.next_msn() * 2000);
        timeline.push(now, draft);
    }

    fn object(name: &str) -> ObjectName {
        ObjectName(name.into())
    }

    fn key(name: &str, iv: u8) -> Arc<[EntryKey]> {
        let uri = KeyUri::Object(object(name));
        let mut bytes = [0; 16];
        bytes[15] = iv;
        Arc::new([EntryKey {
            method: "AES-128".into(),
            uri,
            iv: Some(bytes),
            rest: String::new(),
        }])
    }

    #[test]
    fn a_plain_live_playlist() {
        let mut timeline = timeline();
        for _ in 0..2 {
            push(&mut timeline, draft(2000));
        }
        insta::assert_snapshot!(timeline.render("main/"), @r"
        #EXTM3U
        #EXT-X-VERSION:3
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-TARGETDURATION:2
        #EXT-X-MEDIA-SEQUENCE:7
        #EXTINF:2.000,
        main/7.ts
        #EXTINF:2.000,
        main/8.ts
        ");
    }

    #[test]
    fn keys_maps_and_dates_across_discontinuities() {
        let mut timeline = timeline();
        let date = DateTime::parse("2026-01-01T00:00:00Z");
        let mp4 = |draft: Draft| Draft {
            container: Container::Fmp4,
            map: Some(object("init-1.mp4")),
            ..draft
        };
        push(
            &mut timeline,
            Draft {
                keys: key("key-1.bin", 1),
                date,
                ..draft(2000)
            },
        );
        push(
            &mut timeline,
            mp4(Draft {
                discontinuity: true,
                keys: key("key-1.bin", 2),
                ..draft(2000)
            }),
        );
        push(
            &mut timeline,
            mp4(Draft {
                discontinuity: true,
                ..draft(2000)
            }),
        );
        push(
            &mut timeline,
            mp4(Draft {
                gap: true,
                ..draft(2000)
            }),
        );
        timeline.set_header(
            Header {
                tags: vec!["#EXT-X-FOO".into()],
                ..Header::default()
            },
            &[],
        );
        timeline.end();
        insta::assert_snapshot!(timeline.render(""), @r#"
        #EXTM3U
        #EXT-X-VERSION:8
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-TARGETDURATION:2
        #EXT-X-MEDIA-SEQUENCE:8
        #EXT-X-FOO
        #EXT-X-DISCONTINUITY
        #EXT-X-KEY:METHOD=AES-128,URI="key-1.bin",IV=0x00000000000000000000000000000002
        #EXT-X-MAP:URI="init-1.mp4"
        #EXTINF:2.000,
        8.m4s
        #EXT-X-DISCONTINUITY
        #EXT-X-KEY:METHOD=NONE
        #EXT-X-MAP:URI="init-1.mp4"
        #EXTINF:2.000,
        9.m4s
        #EXT-X-GAP
        #EXTINF:2.000,
        10.m4s
        #EXT-X-ENDLIST
        "#);
    }

    #[test]
    fn the_head_of_the_list_is_dated_when_the_source_dated_an_earlier_segment() {
        let mut timeline = timeline();
        let first = DateTime::parse("2026-01-01T00:00:00Z").unwrap();
        for index in 0..5_i64 {
            let date = Some(first.plus_ms(index * 2000));
            let program_date_time = (index == 0).then(|| "2026-01-01T00:00:00Z".to_owned());
            push(
                &mut timeline,
                Draft {
                    date,
                    program_date_time,
                    ..draft(2000)
                },
            );
        }
        let text = timeline.render("");
        assert_eq!(text.matches("PROGRAM-DATE-TIME").count(), 1);
        assert!(
            text.contains(
                "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z\n#EXTINF:2.000,\n9.ts"
            ),
            "{text}"
        );
    }

    #[test]
    fn removed_discontinuities_are_counted() {
        let mut timeline = timeline();
        for index in 0..6 {
            push(
                &mut timeline,
                Draft {
                    discontinuity: index % 2 == 1,
                    ..draft(2000)
                },
            );
        }
        let text = timeline.render("");
        assert!(
            text.contains(
                "#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-DISCONTINUITY\n"
            ),
            "{text}"
        );
    }
}
