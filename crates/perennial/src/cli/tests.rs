//! What each command accepts, and the screens of help.

use clap::CommandFactory;
use clap::error::ErrorKind;
use insta::assert_snapshot;

use super::*;

fn parse(line: &str) -> Result<Verb, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(Cli::verb)
}

#[track_caller]
fn refuse(line: &str, kind: ErrorKind, says: &str) {
    let error = parse(line).expect_err("the line is accepted");
    assert_eq!(
        (error.kind(), error.exit_code()),
        (kind, Exit::Usage.code().into()),
        "{line}"
    );
    assert!(error.to_string().contains(says), "{error}");
}

/// The help of `perennial` or of a command of it, as an 80-column terminal shows it.
fn help(path: &[&str]) -> String {
    let line = [&["perennial"], path, &["--help"]].concat();
    let error = Cli::command()
        .term_width(80)
        .try_get_matches_from(line)
        .expect_err("--help ends the run");
    error.to_string()
}

#[test]
fn the_command_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_verb_it_serves() {
    for line in ["perennial", "perennial serve"] {
        assert!(
            matches!(parse(line), Ok(Verb::Serve(file)) if file.path().is_none()),
            "{line}"
        );
    }
    for line in ["perennial -c x.toml", "perennial serve --config x.toml"] {
        let named = |file: &ConfigFile| file.path() == Some(Path::new("x.toml"));
        assert!(
            matches!(parse(line), Ok(Verb::Serve(file)) if named(&file)),
            "{line}"
        );
    }
}

/// Tokens of shares are base64url.
#[test]
fn a_share_may_begin_with_a_hyphen() {
    let verb = parse("perennial share revoke -Xq3_c --config x.toml").expect("a token and a file");
    let Verb::Share(ShareVerb::Revoke { token, file }) = verb else {
        panic!("{verb:?}");
    };
    assert_eq!(
        (token.as_str(), file.path()),
        ("-Xq3_c", Some(Path::new("x.toml")))
    );
}

#[test]
fn live_describes_a_channel() {
    let Ok(Verb::Live(live)) =
        parse("perennial live -u http://a/x -u https://b/y -c news --user-agent UA --debug")
    else {
        panic!("refused")
    };
    assert_eq!(
        (live.port, live.host.to_string().as_str(), live.debug),
        (5000, "127.0.0.1", true)
    );
    let channel = live.channel();
    assert_eq!(channel.id.as_str(), "news");
    let sources: Vec<_> = channel
        .sources
        .iter()
        .map(|s| (s.url.as_str(), s.user_agent.as_str()))
        .collect();
    assert_eq!(sources, [("http://a/x", "UA"), ("https://b/y", "UA")]);

    let Ok(Verb::Live(live)) =
        parse("perennial live -c a -p 0 -H localhost -u http://u:secret@a/?t=secret")
    else {
        panic!("refused")
    };
    assert_eq!(
        (live.port, live.host.to_string().as_str()),
        (0, "127.0.0.1")
    );
    assert!(!format!("{live:?}").contains("secret"));
}

#[test]
fn other_verbs_take_what_the_contract_says() {
    assert!(matches!(
        parse("perennial demo -p 81"),
        Ok(Verb::Demo(DemoArgs { port: 81 }))
    ));
    assert!(matches!(parse("perennial check -c x"), Ok(Verb::Check(_))));
    assert!(matches!(
        parse("perennial config print -c x"),
        Ok(Verb::Config(ConfigVerb::Print(_)))
    ));
    let create = parse("perennial key create --label tv");
    assert!(
        matches!(create, Ok(Verb::Key(KeyVerb::Create { label: Some(label), .. })) if label == "tv")
    );
    assert!(matches!(
        parse("perennial key list -c x"),
        Ok(Verb::Key(KeyVerb::List(_)))
    ));
    assert!(
        matches!(parse("perennial key revoke 3"), Ok(Verb::Key(KeyVerb::Revoke { id, .. })) if id == "3")
    );
}

#[test]
fn usage_errors_say_what_to_do() {
    refuse(
        "perennial live -u http://a",
        ErrorKind::MissingRequiredArgument,
        "--channel <ID>",
    );
    refuse(
        "perennial live -c a",
        ErrorKind::MissingRequiredArgument,
        "--url <URL>",
    );
    refuse(
        "perennial live -c hls -u http://a",
        ErrorKind::ValueValidation,
        "\"hls\" is reserved",
    );
    refuse(
        "perennial live -c a -u rtmp://a",
        ErrorKind::ValueValidation,
        "begins with http:// or https://",
    );
    refuse(
        "perennial live -c a -u x.m3u8",
        ErrorKind::ValueValidation,
        "begins with http:// or https://",
    );
    refuse(
        "perennial live -c a -u http://a -H me",
        ErrorKind::ValueValidation,
        "give an IP address",
    );
    refuse(
        "perennial live -c a -u http://a -p 99999",
        ErrorKind::ValueValidation,
        "0..=65535",
    );
    refuse("perennial serv", ErrorKind::InvalidSubcommand, "serve");
    refuse(
        "perennial key revoke",
        ErrorKind::MissingRequiredArgument,
        "<ID>",
    );
}

#[test]
fn help_fits_a_screen() {
    let screens: [&[&str]; 13] = [
        &[],
        &["serve"],
        &["live"],
        &["demo"],
        &["check"],
        &["config", "print"],
        &["asset"],
        &["share"],
        &["grant"],
        &["key"],
        &["key", "create"],
        &["key", "list"],
        &["key", "revoke"],
    ];
    for path in screens {
        let screen = help(path);
        assert!(screen.lines().count() < 24, "{screen}");
        assert!(
            screen.lines().all(|line| line.chars().count() <= 80),
            "{screen}"
        );
    }
    assert_snapshot!("perennial", help(&[]));
    assert_snapshot!("live", help(&["live"]));
    assert_snapshot!("key", help(&["key"]));
}
