//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that no compiler knows: which crate may use which,
//! what a pure crate must not touch, how long a file may be, what must not be in the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// Which crates of ours each crate may use: arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("hls", &["base"]),
    ("nzb", &["base"]),
    ("grant", &["base"]),
    ("task", &[]),
    ("fetch", &["base", "hls"]),
    ("store", &["base", "hls"]),
    ("resolve", &["base", "fetch", "hls", "store", "task"]),
    ("schedule", &["base", "fetch", "task"]),
    (
        "live",
        &["base", "fetch", "hls", "resolve", "store", "task", "vod"],
    ),
    ("usenet", &["base", "fetch", "nzb", "store", "task"]),
    ("vod", &["base", "fetch", "hls", "store", "task"]),
    (
        "server",
        &[
            "base", "fetch", "grant", "hls", "live", "resolve", "schedule", "store", "usenet",
            "vod",
        ],
    ),
    ("testkit", &["base", "hls", "nzb"]),
    (
        "perennial",
        &[
            "base", "fetch", "grant", "hls", "live", "resolve", "schedule", "server", "store",
            "testkit", "usenet", "vod",
        ],
    ),
];

/// Any crate's tests may use the fakes.
const FAKES: &str = "testkit";

/// Crates that take bytes and `now` and return values, and what they must not reach for.
const PURE: &[&str] = &["base", "grant", "hls", "nzb"];
const IMPURE_CRATES: &[&str] = &["axum", "hyper", "mio", "reqwest", "sqlx", "tokio"];
const IMPURE_CALLS: &[&str] = &["std::fs", "std::net", "Instant::now", "SystemTime::now"];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const MEDIA_BYTES_MAX: u64 = 1_500_000;

/// Written in halves, so that this file does not hold them.
const FOREIGN: &[(&str, &str)] = &[
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/wo", "rk/"),
    ("/Us", "ers/"),
    ("arti", "factory"),
    ("regis", "try.npmjs"),
    ("index.cra", "tes.io"),
    ("anthro", "pic"),
    ("cla", "ude"),
    ("open", "ai"),
    ("chat", "gpt"),
];

#[test]
fn arrows_point_down() {
    let mut problems = Vec::new();
    for (name, manifest) in manifests() {
        let Some((_, below)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            problems.push(format!(
                "crates/{name} is new: say in ARROWS ({}) what it may use",
                file!()
            ));
            continue;
        };
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let own = keys(&manifest, kind).filter(|key| ARROWS.iter().any(|(of, _)| of == key));
            for used in own {
                let is_fake_in_tests = kind == "dev-dependencies" && used == FAKES;
                if !below.contains(&used.as_str()) && !is_fake_in_tests {
                    problems.push(format!(
                        "{name} uses {used}, which is not below it: move what it needs down into one of {below:?}"
                    ));
                }
            }
        }
    }
    report(&problems);
}

#[test]
fn pure_crates_depend_on_nothing_that_acts() {
    let lock = Lock::read();
    let mut problems = Vec::new();
    for (name, manifest) in manifests().into_iter().filter(|(name, _)| is_pure(name)) {
        for direct in keys(&manifest, "dependencies") {
            let reached = lock.reached_from(&direct);
            for banned in IMPURE_CRATES
                .iter()
                .filter(|banned| reached.contains(**banned))
            {
                problems.push(format!(
                    "{name} reaches {banned} through {direct}: turn that dependency's features off, or do \
                     without it"
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn pure_crates_read_no_clock_and_no_file() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| is_pure(&source.owner)) {
        for (number, line) in source.code_lines() {
            for call in IMPURE_CALLS.iter().filter(|call| line.contains(**call)) {
                problems.push(format!(
                    "{}:{number}: {call} in a pure crate: take the value as an argument",
                    source.path
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn files_and_functions_are_short() {
    let mut problems = Vec::new();
    for source in sources() {
        let lines = source.length();
        if lines > FILE_LINES_MAX {
            problems.push(format!(
                "{}: {lines} lines without its tests, more than {FILE_LINES_MAX}: it holds two ideas, part them",
                source.path
            ));
        }
        for (number, name, lines) in functions(&source.code) {
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!(
                    "{}:{number}: {name} has {lines} lines, more than {FUNCTION_LINES_MAX}: give its parts names",
                    source.path
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut problems = Vec::new();
    for source in sources() {
        for (number, _) in source
            .code_lines()
            .filter(|(_, line)| line.contains(".unwrap()"))
        {
            problems.push(format!(
                "{}:{number}: .unwrap(): return the error, or say why it cannot be with .expect(\"…\")",
                source.path
            ));
        }
    }
    report(&problems);
}

#[test]
fn the_tree_names_no_machine_and_no_tool_of_its_makers() {
    let foreign: Vec<String> = FOREIGN
        .iter()
        .map(|(head, tail)| format!("{head}{tail}"))
        .collect();
    let mut problems = Vec::new();
    for path in files(&root()) {
        // What is not text holds no such word, and built pages hold whatever their libraries do.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if path.starts_with(root().join("web/dist")) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let lower = line.to_ascii_lowercase();
            for word in foreign
                .iter()
                .filter(|word| lower.contains(&word.to_ascii_lowercase()))
            {
                problems.push(format!(
                    "{}:{}: {word:?} must not be in the tree",
                    shown(&path),
                    index + 1
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn media_stay_small() {
    let is_media = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        matches!(
            ending,
            Some("ts" | "mp4" | "m4s" | "m4a" | "aac" | "mp3" | "webm")
        )
    };
    let media: Vec<PathBuf> = files(&root()).into_iter().filter(is_media).collect();
    let bytes: u64 = media
        .iter()
        .map(|path| path.metadata().expect("it was just listed").len())
        .sum();
    assert!(
        !media.is_empty(),
        "no media found: does this test look in the right place?"
    );
    assert!(
        bytes <= MEDIA_BYTES_MAX,
        "media take {bytes} bytes, more than {MEDIA_BYTES_MAX}: lower the bit rates in media/make.sh"
    );
}

#[track_caller]
fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn is_pure(name: &str) -> bool {
    PURE.contains(&name)
}

/// Each crate's manifest, by its folder's name.
fn manifests() -> BTreeMap<String, Table> {
    let folders = fs::read_dir(root().join("crates")).expect("crates is a folder");
    let manifest = |folder: PathBuf| {
        let name = folder.file_name()?.to_str()?.to_owned();
        let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        Some((name, text.parse().expect("cargo has read it too")))
    };
    folders
        .filter_map(|folder| manifest(folder.ok()?.path()))
        .collect()
}

fn keys(manifest: &Table, section: &str) -> impl Iterator<Item = String> {
    let table = manifest.get(section).and_then(|section| section.as_table());
    table.into_iter().flat_map(|table| table.keys().cloned())
}

/// Cargo.lock: what each package needs, by name.
struct Lock(BTreeMap<String, BTreeSet<String>>);

impl Lock {
    fn read() -> Self {
        let text = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is committed");
        let lock: Table = text.parse().expect("cargo wrote it");
        let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in lock["package"].as_array().expect("an array of packages") {
            let name = package["name"]
                .as_str()
                .expect("each package has a name")
                .to_owned();
            let listed = package.get("dependencies").and_then(|list| list.as_array());
            // Where there are several versions, the version follows the name.
            let names = listed
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.as_str()?.split(' ').next());
            needs
                .entry(name)
                .or_default()
                .extend(names.map(str::to_owned));
        }
        Self(needs)
    }

    fn reached_from(&self, package: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open = vec![package.to_owned()];
        while let Some(next) = open.pop() {
            if reached.insert(next.clone()) {
                open.extend(self.0.get(&next).into_iter().flatten().cloned());
            }
        }
        reached
    }
}

/// A file below a crate's `src`.
struct Source {
    owner: String,
    path: String,
    /// The text, with the lines of its test module left empty.
    code: String,
}

impl Source {
    fn new(owner: &str, path: &Path) -> Self {
        const TESTS: &str = "#[cfg(test)]\nmod tests {\n";
        let text = fs::read_to_string(path).expect("sources are UTF-8");
        let code = match text.split_once(TESTS) {
            Some((before, rest)) => {
                let (tests, after) = rest.split_once("\n}\n").unwrap_or((rest, ""));
                let empty = "\n".repeat(tests.lines().count() + 3);
                format!("{before}{empty}{after}")
            }
            None => text,
        };
        Self {
            owner: owner.to_owned(),
            path: shown(path),
            code,
        }
    }

    /// Numbered lines that are no comments.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Without its tests and what is empty at its end.
    fn length(&self) -> usize {
        self.code.trim_end().lines().count()
    }
}

fn sources() -> Vec<Source> {
    let crates = root().join("crates");
    let source = |path: PathBuf| {
        let below = path.strip_prefix(&crates).ok()?.to_str()?.to_owned();
        let (owner, inside) = below.split_once("/src/")?;
        let is_test = inside
            .split('/')
            .any(|part| matches!(part, "tests" | "tests.rs"));
        (inside.ends_with(".rs") && !is_test).then(|| Source::new(owner, &path))
    };
    files(&crates).into_iter().filter_map(source).collect()
}

/// First line, name and length of each function, as rustfmt lays them out: the brace that ends it
/// stands below its first letter.
fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line) else {
            continue;
        };
        let same_depth = |line: &&&str| line.len() > indent && !line[..=indent].ends_with(' ');
        let end = lines[index + 1..]
            .iter()
            .find(same_depth)
            .is_some_and(|line| line.ends_with(';'));
        let closing = lines[index..]
            .iter()
            .position(|line| line[..].trim_end() == format!("{:indent$}}}", ""));
        if let Some(last) = closing.filter(|_| !end && !line.ends_with([';', '}'])) {
            found.push((index + 1, name, last + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let qualifiers = before.split_whitespace().all(|word| {
        word.starts_with("pub") || matches!(word, "async" | "const" | "unsafe" | "in" | "extern")
    });
    let name = after.split(['(', '<']).next()?;
    (qualifiers && !name.is_empty()).then_some(name)
}

#[test]
fn functions_are_found_and_measured() {
    let code = "trait A {\n    fn a();\n    fn b(\n        x: u8,\n    );\n}\nimpl B {\n    pub(super) async fn c<T>(\n        x: T,\n    ) -> u8 {\n        if x {\n        }\n    }\n    fn d() {}\n}\nfn e() {\n}\n";
    assert_eq!(functions(code), [(8, "c", 6), (16, "e", 2)]);
}

/// All files of the tree that are ours: not what is built, fetched or found by fuzzing.
fn files(folder: &Path) -> Vec<PathBuf> {
    const SKIPPED: &[&str] = &[
        ".git",
        "artifacts",
        "node_modules",
        "perennial-data",
        "target",
    ];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the tree can be read") {
        let path = entry.expect("the tree can be read").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if SKIPPED.contains(&name) {
            continue; // in a second working tree, `.git` is a file
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/perennial lies in the root")
        .into()
}
