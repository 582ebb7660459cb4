//! Which set a volume belongs to and where it stands in it, by its name. Names lie: where headers
//! give a number, the number wins.

/// How the volumes of a set are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `.part01.rar`, or `.rar`, `.r00` … `.s00`.
    Rar,
    /// `.7z`, or `.7z.001` ….
    SevenZip,
    /// `.zip`, or `.zip.001` …. The volumes of a spanned `.z01` archive are no plain pieces and are
    /// not in this family.
    Zip,
    /// `.001` … of anything: pieces of a file.
    Split,
    /// `.par2`, `.vol00+01.par2`.
    Par2,
}

/// A volume's name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeName {
    /// How the set is named.
    pub family: Family,
    /// What the names of the set have in common, in lower case.
    pub set: String,
    /// Position in the set, from 0.
    pub index: u32,
}

impl VolumeName {
    /// `None` for a name that is no volume's.
    pub fn parse(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        let (stem, extension) = lower.rsplit_once('.')?;
        let volume = |family, set: &str, index| {
            Some(Self {
                family,
                set: set.to_owned(),
                index,
            })
        };
        let digits = number(extension);
        match (extension, extension.as_bytes()) {
            ("rar", _) => match stem.rsplit_once(".part").map(|(set, n)| (set, number(n))) {
                Some((set, Some(n))) => volume(Family::Rar, set, n.saturating_sub(1)),
                _ => volume(Family::Rar, stem, 0),
            },
            ("7z", _) => volume(Family::SevenZip, stem, 0),
            ("zip", _) => volume(Family::Zip, stem, 0),
            ("par2", _) => {
                let set = stem.rsplit_once(".vol").map_or(stem, |(set, _)| set);
                volume(Family::Par2, set, 0)
            }
            // `.r00` follows `.rar`; after `.r99` comes `.s00`.
            (_, [letter @ b'r'..=b'z', tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => {
                let [letter, tens, ones] = [letter - b'r', tens - b'0', ones - b'0'].map(u32::from);
                volume(Family::Rar, stem, letter * 100 + tens * 10 + ones + 1)
            }
            _ if extension.len() >= 3 && digits.is_some() => {
                let index = digits?.saturating_sub(1);
                match stem.rsplit_once('.') {
                    Some((set, "7z")) => volume(Family::SevenZip, set, index),
                    Some((set, "zip")) => volume(Family::Zip, set, index),
                    _ => volume(Family::Split, stem, index),
                }
            }
            _ => None,
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(Family, &str, u32)>) {
        let got = VolumeName::parse(name);
        let got = got.as_ref().map(|v| (v.family, &*v.set, v.index));
        assert_eq!(got, expected, "{name}");
    }

    #[test]
    fn takes_volume_names_apart() {
        check("A.b.part01.rar", Some((Family::Rar, "a.b", 0)));
        check("a.b.part120.RAR", Some((Family::Rar, "a.b", 119)));
        check("a.rar", Some((Family::Rar, "a", 0)));
        check("a.r00", Some((Family::Rar, "a", 1)));
        check("a.s05", Some((Family::Rar, "a", 106)));
        check("a.7z", Some((Family::SevenZip, "a", 0)));
        check("a.7z.002", Some((Family::SevenZip, "a", 1)));
        check("a.zip.010", Some((Family::Zip, "a", 9)));
        check("a.mkv.001", Some((Family::Split, "a.mkv", 0)));
        check("a.1080", Some((Family::Split, "a", 1079)));
        check("a.par2", Some((Family::Par2, "a", 0)));
        check("a.vol03+04.par2", Some((Family::Par2, "a", 0)));
        check("a.partx.rar", Some((Family::Rar, "a.partx", 0)));
        for other in ["a.mkv", "a", "", ".", "a.r0", "a.01", "a.q00", "a.9999999"] {
            check(other, None);
        }
    }
}
