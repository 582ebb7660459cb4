//! Holds `perennial.toml` and the reference of `docs/ref` to the schema and to the command line.
//!
//! `UPDATE_DOCS=1 cargo test -p perennial --test config_sample` writes the reference again.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;
use perennial::cli::Cli;
use perennial::config::{Applies, Config, Loaded, Origin, Setting, variable};

const SAMPLE: &str = include_str!("../../../perennial.toml");

fn load(text: &str) -> Loaded {
    Config::parse("perennial.toml", text, []).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The sample with its examples, the lines that begin with `#` and no space, uncommented.
fn uncommented() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    SAMPLE.lines().map(uncomment).collect()
}

/// The line of the sample, as it is or uncommented, that gives `setting`.
#[track_caller]
fn line<'t>(text: &'t str, setting: &Setting) -> &'t str {
    match setting.origin {
        Origin::File { line, .. } => text.lines().nth(line - 1).expect("the line is there"),
        _ => panic!("perennial.toml does not name {}", setting.path),
    }
}

/// What the sample says of a key, without the mark that the reference has a column for.
fn prose<'t>(text: &'t str, setting: &Setting) -> &'t str {
    let line = line(text, setting);
    let (_, prose) = line
        .split_once(" # ")
        .unwrap_or_else(|| panic!("no word on {}", setting.path));
    let prose = prose.trim_start_matches("(restart) ");
    prose.trim_start_matches("(start) ")
}

/// The settings of the uncommented sample but for those that only give other examples.
fn settings(loaded: &Loaded) -> impl Iterator<Item = &Setting> {
    loaded.settings.iter().filter(|setting| {
        let path = &setting.path;
        let other = path.starts_with("resolver[1]") && !path.contains(".entry[");
        !other && !path.contains("source[1]") && !path.contains("source[2]")
    })
}

#[test]
fn the_sample_is_the_default() {
    let sample = load(SAMPLE);
    assert_eq!(sample.config, Config::default());
    for setting in &sample.settings {
        line(SAMPLE, setting);
    }
}

#[test]
fn the_samples_examples_are_valid_and_name_every_key_with_its_default() {
    const GIVEN: &[&str] = &[
        "usenet.provider[0].host",
        "usenet.newznab[0].name",
        "usenet.newznab[0].url",
        "grants.issuer[0].kid",
        "grants.issuer[0].alg",
        "grants.issuer[0].key_file",
        "grants.issuer[0].audience",
        "library[0].id",
        "library[0].kind",
        "library[0].bucket",
        "library[0].access_key_id_file",
        "library[0].secret_access_key_file",
        "version",
        "account[0].name",
        "channel[0].id",
        "channel[0].source[0].url",
        "channel[0].source[0].account",
        "resolver[0].id",
        "resolver[0].kind",
        "resolver[0].url",
        "resolver[1].entry[0].id",
        "resolver[1].entry[0].url",
        "schedule[0].id",
        "schedule[0].kind",
        "schedule[0].url",
    ];
    let text = uncommented();
    let sample = load(&text);
    let [channel] = &sample.config.channels[..] else {
        panic!("not one channel")
    };
    assert_eq!(
        (sample.config.accounts.len(), channel.sources.len()),
        (1, 3)
    );
    for setting in settings(&sample) {
        assert!(!prose(&text, setting).is_empty());
        if !GIVEN.contains(&setting.path.as_str()) {
            assert_eq!(
                Some(&setting.value),
                setting.default.as_ref(),
                "{}",
                setting.path
            );
        }
    }
}

#[test]
fn the_sample_marks_what_is_not_taken_over_at_once() {
    for setting in load(SAMPLE)
        .settings
        .iter()
        .filter(|setting| setting.path != "version")
    {
        let line = line(SAMPLE, setting);
        let marked = match (line.contains("# (restart) "), line.contains("# (start) ")) {
            (true, _) => Applies::AtRestart,
            (_, true) => Applies::AtChannelStart,
            (false, false) => Applies::AtReload,
        };
        assert_eq!(marked, setting.applies, "{}", setting.path);
    }
}

#[test]
fn the_reference_of_the_configuration_is_current() {
    let text = uncommented();
    let sample = load(&text);
    let mut page = String::from(
        "# Configuration\n\n\
         Generated from the schema and from [`perennial.toml`](../../perennial.toml), which says how the file is\n\
         read. A variable of the environment goes before the file; lists in it are separated by commas.\n",
    );
    let mut open = String::new();
    for setting in settings(&sample).filter(|setting| setting.path != "version") {
        let (section, key) = setting.path.rsplit_once('.').unwrap();
        let section = section.replace("[0]", "").replace("[1]", "");
        if section != open {
            let header = if setting.path.contains('[') {
                format!("[[{section}]]")
            } else {
                format!("[{section}]")
            };
            write!(
                page,
                "\n## `{header}`\n\n| key | default | | applies |\n|---|---|---|---|\n"
            )
            .unwrap();
            open = section;
        }
        let default = setting
            .default
            .as_ref()
            .map_or("required".to_owned(), |default| format!("`{default}`"));
        let variable =
            variable(&setting.path).map_or(String::new(), |name| format!("<br>`{name}`"));
        let applies = match setting.applies {
            Applies::AtReload => "at reload",
            Applies::AtChannelStart => "when a channel starts",
            Applies::AtRestart => "at restart",
        };
        let prose = prose(&text, setting)
            .replace('|', "\\|")
            .replace('<', "&lt;");
        writeln!(
            page,
            "| `{key}` | {default} | {prose}{variable} | {applies} |"
        )
        .unwrap();
    }
    check("config.md", &page);
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    let mut page = String::from("# Command line\n\nGenerated from `--help`.\n");
    let mut root = Cli::command().term_width(80);
    root.build();
    add(&mut root, &mut page);
    check("cli.md", &page);
}

fn add(command: &mut clap::Command, page: &mut String) {
    let name = command
        .get_bin_name()
        .unwrap_or(command.get_name())
        .to_owned();
    write!(page, "\n## `{name}`\n\n```\n{}```\n", command.render_help())
        .expect("a String takes it");
    for verb in command.get_subcommands_mut() {
        add(verb, page);
    }
}

#[track_caller]
fn check(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/ref")
        .join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).expect("docs/ref is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/ref/{name} is stale: UPDATE_DOCS=1 cargo test -p perennial writes it"
    );
}
