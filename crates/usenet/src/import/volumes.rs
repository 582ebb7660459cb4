//! Which files of a layer belong together: volumes of archives, pieces of files, or each for itself.

use std::collections::{BTreeMap, HashSet};

use nzb::archive::{Family, Kind, VolumeName, rar};

/// Files that make one thing, by their indices in the layer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Volumes of one RAR set, in an order that names vouch for.
    Rar(Vec<usize>),
    /// RAR volumes of one set or several; only their headers know the order.
    Loose(Vec<usize>),
    /// Pieces of one file, which is an archive if `family` says so.
    Joined {
        family: Family,
        name: String,
        pieces: Vec<usize>,
        /// No piece is missing by the names.
        is_whole: bool,
    },
    /// A file by itself.
    Leaf(usize),
}

/// Sorts a layer's files. A kind is what the first bytes say, where they are known; it wins over a name.
pub(super) fn group(files: &[(&str, Option<Kind>)]) -> Vec<Group> {
    let mut rar: BTreeMap<String, Vec<(u32, usize)>> = BTreeMap::new();
    let mut joined: BTreeMap<(u8, String), Vec<(u32, usize)>> = BTreeMap::new();
    let (mut loose, mut groups) = (Vec::new(), Vec::new());
    for (at, (name, kind)) in files.iter().enumerate() {
        let volume = VolumeName::parse(name);
        match (volume, kind) {
            (Some(volume), _) if volume.family == Family::Par2 => {}
            (_, Some(Kind::Par2)) => {}
            (Some(volume), _) if volume.family == Family::Rar => {
                rar.entry(volume.set).or_default().push((volume.index, at));
            }
            (Some(volume), Some(kind)) if kind.is_video() && volume.family != Family::Split => {
                groups.push(Group::Leaf(at));
            }
            (Some(volume), _) => {
                let key = (volume.family as u8, volume.set);
                joined.entry(key).or_default().push((volume.index, at));
            }
            (None, Some(Kind::Rar4 | Kind::Rar5)) => loose.push(at),
            (None, Some(kind @ (Kind::SevenZip | Kind::Zip))) => groups.push(Group::Joined {
                family: if *kind == Kind::Zip {
                    Family::Zip
                } else {
                    Family::SevenZip
                },
                name: (*name).to_owned(),
                pieces: vec![at],
                is_whole: true,
            }),
            (None, _) => groups.push(Group::Leaf(at)),
        }
    }
    // Many sets of one volume each are one set whose names say nothing.
    let lonely = rar.values().filter(|volumes| volumes.len() == 1).count();
    for volumes in rar.into_values() {
        let (order, is_whole) = in_order(volumes);
        if !is_whole || (order.len() == 1 && lonely > 1) {
            loose.extend(order);
        } else {
            groups.push(Group::Rar(order));
        }
    }
    for ((family, name), pieces) in joined {
        let family = match family {
            f if f == Family::SevenZip as u8 => Family::SevenZip,
            f if f == Family::Zip as u8 => Family::Zip,
            _ => Family::Split,
        };
        let (pieces, is_whole) = in_order(pieces);
        if family == Family::Split && pieces.len() == 1 {
            groups.push(Group::Leaf(pieces[0]));
        } else {
            groups.push(Group::Joined {
                family,
                name,
                pieces,
                is_whole,
            });
        }
    }
    if !loose.is_empty() {
        groups.push(Group::Loose(loose));
    }
    groups
}

/// Sorted by index, and whether the indices run from 0 without gaps and doubles.
fn in_order(mut volumes: Vec<(u32, usize)>) -> (Vec<usize>, bool) {
    volumes.sort_unstable();
    let is_whole = volumes.iter().zip(0..).all(|((index, _), at)| *index == at);
    (volumes.into_iter().map(|(_, at)| at).collect(), is_whole)
}

/// Orders volumes by what their headers say: sets, each first to last. Volumes that continue nothing are
/// left out.
pub(super) fn chain(volumes: &[(usize, &rar::Volume)]) -> Vec<Vec<usize>> {
    let mut left: HashSet<usize> = (0..volumes.len()).collect();
    let mut sets = Vec::new();
    for (start, (at, volume)) in volumes.iter().enumerate() {
        if volume.is_volume() && volume.number() != Some(0) {
            continue;
        }
        left.remove(&start);
        let mut set = vec![*at];
        let mut last = *volume;
        for number in 1.. {
            let next = left.iter().copied().find(|&other| {
                let candidate = volumes[other].1;
                candidate.number() == Some(number) && follows(last, candidate)
            });
            let Some(next) = next.filter(|_| volume.is_volume()) else {
                break;
            };
            left.remove(&next);
            last = volumes[next].1;
            set.push(volumes[next].0);
        }
        sets.push(set);
    }
    sets
}

fn follows(before: &rar::Volume, after: &rar::Volume) -> bool {
    match (before.entries().last(), after.entries().first()) {
        (Some(last), Some(first)) if last.continues => {
            first.is_continued && first.name == last.name
        }
        (_, Some(first)) => !first.is_continued,
        (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_told_by_their_names() {
        let files = [
            "b.part2.rar",
            "a.nfo",
            "b.part1.rar",
            "c.7z.002",
            "c.7z.001",
            "d.mkv.001",
            "b.par2",
        ];
        let files: Vec<_> = files.iter().map(|name| (*name, None)).collect();
        let joined = |family, name: &str, pieces: &[usize], is_whole| Group::Joined {
            family,
            name: name.to_owned(),
            pieces: pieces.to_vec(),
            is_whole,
        };
        assert_eq!(
            group(&files),
            [
                Group::Leaf(1),
                Group::Rar(vec![2, 0]),
                joined(Family::SevenZip, "c", &[4, 3], true),
                Group::Leaf(5),
            ]
        );
    }

    #[test]
    fn names_that_say_nothing_leave_it_to_the_headers() {
        let rar = Some(Kind::Rar5);
        let files = [
            ("x1.rar", rar),
            ("x2.rar", rar),
            ("abc", rar),
            ("d.part3.rar", None),
            ("d.part1.rar", None),
        ];
        assert_eq!(group(&files), [Group::Loose(vec![2, 4, 3, 0, 1])]);
        assert_eq!(group(&[("only.rar", rar)]), [Group::Rar(vec![0])]);
        assert_eq!(group(&[("film.mkv", rar)]), [Group::Loose(vec![0])]);
        assert_eq!(group(&[("film", Some(Kind::Par2))]), []);
    }
}
