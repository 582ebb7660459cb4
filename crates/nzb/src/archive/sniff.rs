//! What a file is by its first bytes: posters' names are often no help.

/// A kind of file that Perennial treats in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RAR 1.5 to 4.
    Rar4,
    /// RAR 5 and later.
    Rar5,
    /// 7z, first volume.
    SevenZip,
    /// ZIP, first volume.
    Zip,
    /// PAR2.
    Par2,
    /// Matroska and WebM.
    Matroska,
    /// MP4, MOV and their kin.
    Mp4,
    /// AVI.
    Avi,
    /// MPEG transport stream.
    Ts,
    /// Transport stream with time codes, as on Blu-ray.
    M2ts,
    /// MPEG programme stream.
    Mpeg,
    /// ASF and WMV.
    Asf,
    /// Flash video.
    Flv,
    /// Ogg.
    Ogg,
}

impl Kind {
    /// Bytes that are looked at.
    pub const BYTES: usize = 400;

    /// The kind by the file's front: give it [`BYTES`](Self::BYTES) if there are so many.
    pub fn of(front: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| {
            front
                .get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        Some(match front {
            _ if at(0, b"Rar!\x1a\x07\x01\x00") => Self::Rar5,
            _ if at(0, b"Rar!\x1a\x07\x00") => Self::Rar4,
            _ if at(0, b"7z\xbc\xaf\x27\x1c") => Self::SevenZip,
            _ if at(0, b"PK\x03\x04") || at(0, b"PK\x07\x08PK\x03\x04") => Self::Zip,
            _ if at(0, b"PAR2\0PKT") => Self::Par2,
            _ if at(0, b"\x1a\x45\xdf\xa3") => Self::Matroska,
            _ if at(4, b"ftyp") || at(4, b"moov") || at(4, b"mdat") => Self::Mp4,
            _ if at(0, b"RIFF") && at(8, b"AVI ") => Self::Avi,
            _ if at(0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11") => Self::Asf,
            _ if at(0, b"FLV\x01") => Self::Flv,
            _ if at(0, b"OggS") => Self::Ogg,
            _ if at(0, b"\0\0\x01\xba") => Self::Mpeg,
            _ if at(0, b"G") && at(188, b"G") && at(376, b"G") => Self::Ts,
            _ if at(4, b"G") && at(196, b"G") && at(388, b"G") => Self::M2ts,
            _ => return None,
        })
    }

    /// Whether it is a video that can be played as it is.
    pub const fn is_video(self) -> bool {
        !matches!(
            self,
            Self::Rar4 | Self::Rar5 | Self::SevenZip | Self::Zip | Self::Par2
        )
    }

    /// The file name's usual end, for a file whose own name has none.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Rar4 | Self::Rar5 => "rar",
            Self::SevenZip => "7z",
            Self::Zip => "zip",
            Self::Par2 => "par2",
            Self::Matroska => "mkv",
            Self::Mp4 => "mp4",
            Self::Avi => "avi",
            Self::Ts => "ts",
            Self::M2ts => "m2ts",
            Self::Mpeg => "mpg",
            Self::Asf => "wmv",
            Self::Flv => "flv",
            Self::Ogg => "ogv",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(front: &[u8], expected: Option<Kind>) {
        assert_eq!(Kind::of(front), expected, "{}", front.escape_ascii());
    }

    #[test]
    fn knows_files_by_their_front() {
        check(b"Rar!\x1a\x07\x00rest", Some(Kind::Rar4));
        check(b"Rar!\x1a\x07\x01\x00rest", Some(Kind::Rar5));
        check(b"Rar!\x1a\x07\x01", None);
        check(b"\0\0\0\x20ftypisom", Some(Kind::Mp4));
        check(b"RIFF\0\0\0\0WAVE", None);
        check(b"", None);
        let mut packets = vec![0; 400];
        for at in [0, 188, 376] {
            packets[at] = b'G';
        }
        check(&packets, Some(Kind::Ts));
        check(&packets[..300], None);
    }
}
