//! Every kind of error with its place, the overrides, the sample, and what is printed.

use std::fs;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

const FILE: &str = "perennial.toml";
const SAMPLE: &str = include_str!("../../../../perennial.toml");

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(text: &str) -> Loaded {
    Config::parse(FILE, text, []).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of a file that begins with `version = 1`, so that `text` begins at line 2.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_whole(&format!("version = 1\n{text}"), expected);
}

#[track_caller]
fn check_whole(text: &str, expected: &[&str]) {
    check_env(text, &[], expected);
}

#[track_caller]
fn check_env(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let errors = Config::parse(FILE, text, env(variables)).expect_err("the file is accepted");
    let lines: Vec<_> = errors.problems().iter().map(ToString::to_string).collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|l| l.replace("\n  hint: ", " | "))
        .collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|l| l.replace("perennial.toml:", ""))
        .collect();
    assert_eq!(lines, expected, "in:\n{text}");
}

/// A channel `a`, at line 2, whose source begins at line 4.
fn channel(rest: &str) -> String {
    format!("[[channel]]\nid = \"a\"\n[[channel.source]]\nurl = \"http://o/x.m3u8\"\n{rest}")
}

#[test]
fn the_version_is_required_and_known() {
    const MISSING: &str =
        "1:1: missing key \"version\" in the file | begin the file with: version = 1";
    check_whole("", &[MISSING]);
    check_whole("[server]\n", &[MISSING]);
    check_whole(
        "version = 2",
        &["1:11: version must be 1, the only one this release knows"],
    );
    check_whole(
        "version = \"1\"",
        &["1:11: version must be 1, not a string"],
    );
}

#[test]
fn unknown_keys_are_refused_with_what_was_meant() {
    check(
        "[[channel]]\nid = \"a\"\n  [[channel.soruces]]\n  url = \"http://o\"\n",
        &[
            "2:1: missing table \"source\" in [[channel]] | add [[channel.source]] with a url below it",
            "4:13: unknown key \"soruces\" in [[channel]] | did you mean \"source\"?",
        ],
    );
    check(
        "[sever]\n",
        &["2:2: unknown key \"sever\" in the file | did you mean \"server\"?"],
    );
    check(
        "listen = \"x\"\n",
        &["2:1: unknown key \"listen\" in the file | it belongs in [server]"],
    );
    check(
        "live.listn = 1\n",
        &[
            "2:6: unknown key \"listn\" in [live] | known here: buffer_bytes_max, idle_stop_s, prime_segments, retain_segments, return_after_s, start_timeout_s, user_agent, variants, warm_standby, window_segments",
        ],
    );
    check(
        "[server.tls]\ncert = 1\n",
        &["3:1: unknown key \"cert\" in [server.tls] | did you mean \"cert_file\"?"],
    );
    check(
        "\"a\\nb\" = 1\n",
        &[
            "2:1: unknown key \"a\\nb\" in the file | known here: account, auth, channel, grants, library, live, resolver, schedule, server, usenet, version",
        ],
    );
}

#[test]
fn wrong_types_are_named() {
    check(
        "[auth]\nallow_open = \"yes\"\n",
        &[
            "3:14: allow_open in [auth] must be true or false, not a string | write it without quotes",
        ],
    );
    check(
        "[live]\nidle_stop_s = 1.5\n",
        &["3:15: idle_stop_s in [live] must be an integer from 1 to 86400, not a float"],
    );
    check(
        "[live]\nuser_agent = 1979-05-27\n",
        &["3:14: user_agent in [live] must be a string, not a date"],
    );
    check(
        "[server]\ntrusted_proxies = \"10.0.0.0/8\"\n",
        &[
            "3:19: trusted_proxies in [server] must be an array of networks, not a string | such as [\"10.0.0.0/8\"]",
        ],
    );
    check(
        "server = 5\n",
        &["2:10: server must be a table, not an integer | write [server]"],
    );
    check(
        "[[server]]\n",
        &["2:1: server must be a table, not an array | write [server]"],
    );
    check(
        "[channel]\nid = \"a\"\n",
        &["2:1: channel must be an array of tables, not a table | write [[channel]]"],
    );
    check(
        "channel = [1]\n",
        &["2:12: channel must be an array of tables, not an integer | write [[channel]]"],
    );
    check(
        &channel("headers = []\n"),
        &[
            "6:11: headers in [[channel.source]] must be a table of header names and values, not an array | such as { Referer = \"https://example.org/\" }",
        ],
    );
}

#[test]
fn values_out_of_range_are_named() {
    check(
        "[live]\nwindow_segments = 2\n",
        &["3:19: window_segments in [live] must be an integer from 3 to 1000, not 2"],
    );
    check(
        "[live]\nwindow_segments = -1\n",
        &["3:19: window_segments in [live] must be an integer from 3 to 1000, not -1"],
    );
    check(
        "[live]\nwindow_segments = 99999999999999999999\n",
        &[
            "3:19: window_segments in [live] must be an integer from 3 to 1000, not an integer of more than 64 bits",
        ],
    );
    check(
        "[live]\nbuffer_bytes_max = \"1KiB\"\n",
        &[
            "3:20: buffer_bytes_max in [live] must be a size from 1MiB to 64GiB | write a number and B, KiB, MiB, GiB, KB, MB or GB, such as \"512MiB\"",
        ],
    );
    check(
        "[live]\nbuffer_bytes_max = \"much\"\n",
        &[
            "3:20: buffer_bytes_max in [live] must be a size from 1MiB to 64GiB | write a number and B, KiB, MiB, GiB, KB, MB or GB, such as \"512MiB\"",
        ],
    );
    check(
        "[live]\nprime_segments = 6\nwindow_segments = 5\n",
        &[
            "3:18: prime_segments in [live] must not be more than window_segments | the window lists 5 segments",
        ],
    );
    check(
        "[[account]]\nname = \"a\"\nmax_streams = 0\n",
        &["4:15: max_streams in [[account]] must be an integer from 1 to 1000, not 0"],
    );
}

#[test]
fn words_addresses_networks_and_urls_are_checked() {
    check(
        "[auth]\nviewers = \"opne\"\n",
        &["3:11: viewers in [auth] must be \"open\" or \"grant\" | did you mean \"open\"?"],
    );
    check(
        "[auth]\nviewers = \"everyone\"\n",
        &["3:11: viewers in [auth] must be \"open\" or \"grant\""],
    );
    for bad in ["most", "<=p", "<=0p", "<=99999999999p", "1080p"] {
        let text = format!("[live]\nvariants = \"{bad}\"\n");
        check(
            &text,
            &[
                "3:12: variants in [live] must be \"all\", \"best\", \"worst\" or a limit such as \"<=1080p\"",
            ],
        );
    }
    check(
        "[server]\nlisten = \":8080\"\n",
        &[
            "3:10: listen in [server] must be an IP address and a port | such as \"127.0.0.1:8080\", or \"[::]:8080\" for every interface",
        ],
    );
    check(
        "[server]\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/33\",\n]\n",
        &[
            "5:3: trusted_proxies in [server] must be networks in CIDR notation | such as \"10.0.0.0/8\", or \"192.0.2.7/32\" for one address",
        ],
    );
    check(
        "[server]\npublic_url = \"tv.example\"\n",
        &[
            "3:14: public_url in [server] must be an http or https URL | relative URL without a base; write it in full, with http:// or https://",
        ],
    );
    check(
        "[server]\npublic_url = \"https://u:p@tv.example\"\n",
        &["3:14: public_url in [server] must be a URL without user, query and fragment"],
    );
    check(
        "[server]\ndata_dir = \"\"\n",
        &["3:12: data_dir in [server] must not be empty"],
    );
    check(
        "[server]\ntls.key_file = \"k\"\n",
        &[
            "3:16: key_file in [server.tls] needs cert_file | give both files, or neither to serve plain HTTP",
        ],
    );
}

#[test]
fn channels_are_checked() {
    const SOURCE: &str = "source = [{ url = \"http://o/\" }]\n";
    for bad in ["hls", "g", "News", "", "a b"] {
        let text = format!("[[channel]]\nid = \"{bad}\"\n{SOURCE}");
        check(
            &text,
            &[
                "3:6: id in [[channel]] must be 1 to 64 of a-z, 0-9, _ and -, and neither \"hls\" nor \"g\"",
            ],
        );
    }
    check(
        &format!("[[channel]]\n{SOURCE}"),
        &["2:1: missing key \"id\" in [[channel]] | it names the channel in every URL"],
    );
    check(
        "[[channel]]\nid = \"a\"\n",
        &[
            "2:1: missing table \"source\" in [[channel]] | add [[channel.source]] with a url below it",
        ],
    );
    check(
        &format!("{}[[channel]]\nid = \"a\"\n{SOURCE}", channel("")),
        &["7:6: id \"a\" is taken by the table at line 2 | choose another"],
    );
    check(
        &channel("[[channel]]\ntitle = \"a\\nb\"\nlogo = \"x\"\n"),
        &[
            "6:1: missing key \"id\" in [[channel]] | it names the channel in every URL",
            "6:1: missing table \"source\" in [[channel]] | add [[channel.source]] with a url below it",
            "7:9: title in [[channel]] must be one line, without control characters",
            "8:8: logo in [[channel]] must be an http or https URL | relative URL without a base; write it in full, with http:// or https://",
        ],
    );
    check(
        "[[account]]\nname = \"a\"\n[[account]]\nname = \"a\"\n",
        &["5:8: name \"a\" is taken by the table at line 2 | choose another"],
    );
}

#[test]
fn sources_are_checked_and_never_quoted() {
    check(
        "[[channel]]\nid = \"a\"\n[[channel.source]]\n",
        &["4:1: missing key \"url\" in [[channel.source]] | an HLS playlist or an MPEG-TS stream"],
    );
    check(
        "[[channel]]\nid = \"a\"\nsource = [{ url = \"rtmp://u:secret@o/x\" }]\n",
        &["4:19: url in [[channel.source]] must be an http or https URL"],
    );
    check(
        &channel("account = \"prov-b\"\n[[account]]\nname = \"prov-a\"\n"),
        &["6:11: there is no [[account]] named \"prov-b\" | did you mean \"prov-a\"?"],
    );
    check(
        &channel("account = \"x\"\n"),
        &["6:11: there is no [[account]] named \"x\" | add one, with name = \"x\" and max_streams"],
    );
    check(
        &channel("headers = { Referer = \"a\\nsecret\" }\n"),
        &["6:23: headers in [[channel.source]] must be one line, without control characters"],
    );
    check(
        &channel("headers = { \"a b\" = \"\" }\n"),
        &["6:13: headers in [[channel.source]] must hold names that HTTP allows"],
    );
    check(
        &channel("headers = { A = \"1\", a = \"2\" }\n"),
        &["6:22: headers in [[channel.source]] must not set a twice"],
    );
    check(
        &channel("headers = { User-Agent = \"x\" }\n"),
        &["6:13: headers in [[channel.source]] must not set user-agent | use the key user_agent"],
    );
    check(
        &channel("headers = { Host = \"x\" }\n"),
        &["6:13: headers in [[channel.source]] must not set host"],
    );
}

#[test]
fn open_to_other_machines_must_be_meant() {
    let error = |listen: &str| {
        format!(
            "3:10: listening on {listen} with viewers = \"open\" lets everyone who can reach it watch | set allow_open = true in [auth] if that is meant, else viewers = \"grant\""
        )
    };
    for listen in ["0.0.0.0:8080", "[::]:80", "192.168.1.2:8080"] {
        let text = format!("[server]\nlisten = \"{listen}\"\n");
        check(&text, &[&error(listen)]);
        load(&format!("version = 1\n{text}[auth]\nallow_open = true\n"));
        load(&format!("version = 1\n{text}[auth]\nviewers = \"grant\"\n"));
    }
    for listen in [
        "127.0.0.1:80",
        "127.8.8.8:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
    ] {
        load(&format!("version = 1\n[server]\nlisten = \"{listen}\"\n"));
    }
}

#[test]
fn what_only_follows_from_another_error_is_not_told() {
    let open = "[server]\nlisten = \"0.0.0.0:80\"\n";
    check(
        &format!("{open}[auth]\nviewers = \"grnt\"\n"),
        &["5:11: viewers in [auth] must be \"open\" or \"grant\" | did you mean \"grant\"?"],
    );
    check(
        &format!("{open}[auth\nallow_open = true\n"),
        &["4:6: unclosed table, expected `]`"],
    );
    check(
        &channel("account = \"a\"\n[[account]\nname = \"a\"\n"),
        &["7:11: unclosed array table, expected `]`"],
    );
    check(
        "[[channel]]\nid = \n[[channel.source]]\nurl = http://o\n",
        &[
            "3:6: string values must be quoted, expected literal string",
            "5:7: string values must be quoted, expected literal string",
        ],
    );
}

#[test]
fn slips_of_the_syntax_are_told_with_the_rest() {
    check(
        "[server\nlisten = \"x\"\n",
        &["2:8: unclosed table, expected `]`"],
    );
    check(
        "[live]\nvariants = \nvariants = all\nchannels = 1\n",
        &[
            "3:12: string values must be quoted, expected literal string",
            "4:1: duplicate key",
            "5:1: unknown key \"channels\" in [live] | known here: buffer_bytes_max, idle_stop_s, prime_segments, retain_segments, return_after_s, start_timeout_s, user_agent, variants, warm_standby, window_segments",
        ],
    );
    check(
        "title = \"ü\" x\n",
        &["2:13: unexpected key or value, expected newline, `#`"],
    );
}

#[test]
fn all_errors_come_at_once_in_order() {
    let errors = Config::parse(
        FILE,
        "version = 1\n[server]\nlisten = \"localhost\"\nlisen = 1\n[auth]\nviewers = 1\n[live]\nidle_stop_s = 0\n",
        env(&[("PERENNIAL_LIVE__VARIANTS", "x"), ("PERENNIAL_SERVR__LISTEN", "x")]),
    )
    .unwrap_err();
    assert_snapshot!(errors.to_string());
}

#[test]
fn many_errors_are_counted() {
    let text: String = (0..150).map(|n| format!("k{n} = 1\n")).collect();
    let errors = Config::parse(FILE, &text, []).unwrap_err();
    assert_eq!(errors.problems().len(), 100);
    assert!(errors.to_string().ends_with("\nand 51 more"), "{errors}");
}

#[test]
fn columns_are_characters_after_the_mark_of_byte_order() {
    check_whole(
        "\u{feff}version = 2",
        &["1:11: version must be 1, the only one this release knows"],
    );
    check(
        "lives = \"\"\r\n[live]\r\nvariants = \"ü\" # ü\r\n",
        &[
            "2:1: unknown key \"lives\" in the file | did you mean \"live\"?",
            "4:12: variants in [live] must be \"all\", \"best\", \"worst\" or a limit such as \"<=1080p\"",
        ],
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "version = 1\n[live]\nwindow_segments = 20\n[auth]\nallow_open = false\n";
    let variables = env(&[
        ("PERENNIAL_LIVE__WINDOW_SEGMENTS", "30"),
        ("PERENNIAL_AUTH__ALLOW_OPEN", "true"),
        ("PERENNIAL_SERVER__LISTEN", "[::]:80"),
        ("PERENNIAL_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8"),
        ("PERENNIAL_SERVER__TLS__CERT_FILE", "c.pem"),
        ("PERENNIAL_SERVER__TLS__KEY_FILE", "k.pem"),
        ("PERENNIAL_SERVICE_HOST", "10.1.1.1"),
        ("HOME", "/root"),
    ]);
    let Loaded {
        config, warnings, ..
    } = Config::parse("/etc/perennial.toml", text, variables).unwrap();
    assert_eq!(config.live.window_segments, 30);
    assert!(config.auth.allow_open);
    assert_eq!(config.server.listen.to_string(), "[::]:80");
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(
        config.server.tls.unwrap().cert_file,
        PathBuf::from("c.pem"),
        "relative to the working directory"
    );
    assert_eq!(warnings, []);
}

#[test]
fn the_environment_is_checked() {
    let check =
        |variable: (&str, &str), expected: &str| check_env("version = 1", &[variable], &[expected]);
    check(
        ("PERENNIAL_LIVE__IDLE_STOP_S", "soon"),
        "PERENNIAL_LIVE__IDLE_STOP_S: idle_stop_s in [live] must be an integer from 1 to 86400, not a string",
    );
    check(
        ("PERENNIAL_SERVER__LISTEN", "0.0.0.0:80"),
        "PERENNIAL_SERVER__LISTEN: listening on 0.0.0.0:80 with viewers = \"open\" lets everyone who can reach it watch | set allow_open = true in [auth] if that is meant, else viewers = \"grant\"",
    );
    check(
        ("PERENNIAL_SERVER__LISTN", "x"),
        "PERENNIAL_SERVER__LISTN: names no key | did you mean PERENNIAL_SERVER__LISTEN?",
    );
    check(
        ("PERENNIAL_CHANNEL__0__ID", "x"),
        "PERENNIAL_CHANNEL__0__ID: names no key | write PERENNIAL_, the section, __ and the key, such as PERENNIAL_SERVER__LISTEN; arrays of tables belong in the file",
    );
    for name in ["PERENNIAL_LISTEN", "PERENNIAL_SERVER_LISTEN"] {
        let loaded = Config::without_file(env(&[(name, "x")])).unwrap();
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [format!(
                "{name}: is not read\n  hint: did you mean PERENNIAL_SERVER__LISTEN?"
            )]
        );
    }
}

#[test]
fn paths_of_the_file_are_relative_to_its_directory() {
    let text = "version = 1\n[auth]\napi_key_file = \"key\"\n[[channel]]\nid = \"a\"\nsource = [{ url = \"http://o/\" }]\n";
    let config = Config::parse("/etc/tv/perennial.toml", text, [])
        .unwrap()
        .config;
    assert_eq!(config.auth.api_key_file, Some(PathBuf::from("/etc/tv/key")));
    let data_dir = |text: &str, env: &[(&str, &str)]| {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = Config::parse("/etc/tv/perennial.toml", text, env).unwrap();
        loaded.config.server.data_dir
    };
    for (text, env, expected) in [
        (text, &[][..], "/etc/tv/perennial-data"),
        (
            "version = 1\n[server]\ndata_dir = \"state\"\n",
            &[],
            "/etc/tv/state",
        ),
        (
            "version = 1\n[server]\ndata_dir = \"/srv/tv\"\n",
            &[],
            "/srv/tv",
        ),
        // Who sets a variable stands in the working directory.
        (text, &[("PERENNIAL_SERVER__DATA_DIR", "here")], "here"),
    ] {
        assert_eq!(data_dir(text, env), PathBuf::from(expected));
    }
}

#[test]
fn a_slate_is_looked_at_before_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let parse = |slate: &str| {
        let file = folder.path().join("perennial.toml");
        let text = format!(
            "version = 1\n[[channel]]\nid = \"a\"\nslate = \"{slate}\"\nsource = [{{ url = \"http://o/\" }}]\n"
        );
        let parsed = Config::parse(file.to_str().unwrap(), &text, []);
        parsed.map_err(|errors| {
            errors
                .to_string()
                .replace(folder.path().to_str().unwrap(), "DIR")
        })
    };
    let card = include_bytes!("../../../../media/slate.ts");
    std::fs::write(folder.path().join("card.ts"), card).unwrap();
    std::fs::write(folder.path().join("page.html"), "<html>").unwrap();
    let slate = parse("card.ts").unwrap().config.channels[0].slate.clone();
    assert_eq!(slate, folder.path().join("card.ts").to_str().unwrap());
    // Libraries are asked when it is needed, and by `perennial check`.
    let slate = parse("asset:x").unwrap().config.channels[0].slate.clone();
    assert_eq!(slate, "asset:x");
    for (slate, expected) in [
        (
            "page.html",
            "DIR/perennial.toml:4:9: slate DIR/page.html cannot be shown: it is no MPEG transport stream",
        ),
        (
            "gone.ts",
            "DIR/perennial.toml:4:9: slate DIR/gone.ts cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let said = parse(slate).unwrap_err();
        assert!(said.starts_with(expected), "{said}");
    }
}

const FULL: &str = r#"
version = 1
[server]
listen = "0.0.0.0:8080"
public_url = "https://tv.example/"
trusted_proxies = ["10.1.2.3/8"]
[auth]
allow_open = true
[live]
buffer_bytes_max = "1 GB"
variants = "<=720p"
[[account]]
name = "prov-a"
max_streams = 2
[[channel]]
id = "news"
title = "The \"News\""
logo = "https://cdn.example/n.png"
target_duration_s = 6
[[channel.source]]
url = "http://user:secret@origin.example/live.m3u8?token=secret"
user_agent = "x"
account = "prov-a"
headers = { Referer = "https://secret.example/", X-Token = "secret" }
[[channel.source]]
url = "http://backup.example/live.ts"
"#;

#[test]
fn a_full_file_means_what_it_says() {
    let config = load(FULL).config;
    assert_eq!(config.server.trusted_proxies[0].to_string(), "10.0.0.0/8");
    assert_eq!(config.live.buffer_bytes_max.0, 1_000_000_000);
    assert_eq!(config.live.variants, Variants::UpTo(720));
    assert_eq!(
        config.accounts,
        [Account {
            name: "prov-a".into(),
            max_streams: 2
        }]
    );
    let channel = &config.channels[0];
    assert_eq!(
        (channel.id.as_str(), channel.title.as_str()),
        ("news", "The \"News\"")
    );
    assert_eq!(channel.target_duration_s, 6);
    let headers = &channel.sources[0].headers;
    assert_eq!(
        headers[0],
        ("Referer".to_owned(), "https://secret.example/".to_owned()),
        "in the order written"
    );
    assert_eq!(headers[1].0, "X-Token");
    assert_eq!(
        channel.sources[1].url.as_str(),
        "http://backup.example/live.ts"
    );
    assert!(!shows_secret(&format!("{config:?}")));
}

/// Whether a text has one of the secrets of [`FULL`]; a key has the word in its name.
fn shows_secret(text: &str) -> bool {
    text.replace("jwt_secret", "").contains("secret")
}

#[test]
fn what_is_printed_is_toml_with_origins_and_no_secrets() {
    let variables = env(&[("PERENNIAL_LIVE__IDLE_STOP_S", "60")]);
    let loaded = Config::parse(FILE, FULL, variables).unwrap();
    let printed = loaded.print();
    assert!(!shows_secret(&printed), "{printed}");
    assert!(!shows_secret(&format!("{loaded:?}")));
    assert_snapshot!(printed);
    let again = load(&printed).config;
    assert_eq!((again.server, again.auth, again.accounts), {
        let config = loaded.config;
        (config.server, config.auth, config.accounts)
    });
}

#[test]
fn what_a_reload_cannot_take_over_is_named() {
    let running = load("version = 1\n");
    let same =
        load("version = 1\n[server]\nlisten = \"127.0.0.1:8080\"\n[live]\nidle_stop_s = 5\n");
    assert_eq!(running.restart_needed(&same), []);
    let newer = load(
        "version = 1\n[server]\nlisten = \"127.0.0.1:81\"\ndata_dir = \"d\"\npublic_url = \"http://x\"\n",
    );
    let changes: Vec<_> = running
        .restart_needed(&newer)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            "server.listen stays \"127.0.0.1:8080\" until the next start, which makes it \"127.0.0.1:81\"",
            "server.data_dir stays \"perennial-data\" until the next start, which makes it \"d\"",
        ]
    );
}

#[test]
fn what_only_channels_get_that_start_later_is_named() {
    let running = load("version = 1\n");
    let newer =
        load("version = 1\n[live]\nidle_stop_s = 5\nwarm_standby = true\nreturn_after_s = 60\n");
    assert_eq!(running.restart_needed(&newer), []);
    let changes = running.channel_start_needed(&newer);
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "live.warm_standby is true in channels that start from now on; those that run keep theirs",
            "live.return_after_s is 60 in channels that start from now on; those that run keep theirs",
        ]
    );
    let live = newer.config.live;
    let returns = live.return_after == Some(Duration::from_secs(60));
    assert!(live.warm_standby && returns, "{live:?}");
    assert_eq!(running.config.live.return_after, None);
}

#[test]
fn tables_are_counted() {
    let accounts: String = (0..1001)
        .map(|n| format!("[[account]]\nname = \"a{n}\"\n"))
        .collect();
    check(&accounts, &["2002:1: account must be at most 1000 tables"]);
    let sources = "[[channel.source]]\nurl = \"http://o\"\n".repeat(33);
    check(
        &format!("[[channel]]\nid = \"a\"\n{sources}"),
        &["68:1: source in [[channel]] must be at most 32 tables"],
    );
}

#[test]
fn secrets_are_read_from_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    fs::write(&file, "version = 1\nauth.api_key_file = \"key\"\n").unwrap();
    let load = || Config::load(Some(&file), []);
    let missing = load().unwrap_err();
    assert!(missing.to_string().contains(":2:21: "), "{missing}");

    let key = dir.path().join("key");
    fs::write(&key, "0123456789abcdef\n").unwrap();
    let loaded = load().unwrap();
    assert_eq!(
        loaded.config.auth.api_key.unwrap().expose(),
        "0123456789abcdef"
    );
    assert_eq!(loaded.file, Some(file.clone()));
    for bad in ["", "\n", "two lines\nof it\n", "ü"] {
        fs::write(&key, bad).unwrap();
        assert!(
            load()
                .unwrap_err()
                .to_string()
                .contains("one line of printable ASCII"),
            "{bad:?}"
        );
    }
    fs::write(&key, "short").unwrap();
    assert!(
        load()
            .unwrap()
            .warnings
            .iter()
            .any(|w| w.message.contains("shorter than 16"))
    );
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let key = dir.path().join("key");
    fs::write(&file, "version = 1\nauth.api_key_file = \"key\"\n").unwrap();
    fs::write(&key, "0123456789abcdef").unwrap();
    for (mode, warnings) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            Config::load(Some(&file), []).unwrap().warnings.len(),
            warnings,
            "{mode:o}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let error = || Config::load(Some(&file), []).unwrap_err().to_string();
    assert!(
        error().contains("perennial.toml: cannot be read: "),
        "{}",
        error()
    );
    fs::write(&file, b"version = 1\n# \xff\n").unwrap();
    assert!(
        error().contains("perennial.toml:2:3: this byte is not UTF-8"),
        "{}",
        error()
    );
    fs::write(&file, vec![b'#'; (4 << 20) + 1]).unwrap();
    assert!(error().contains("longer than"), "{}", error());
}

/// Pieces of configurations, so that the walk is reached more often than by chance.
fn pieces() -> impl Strategy<Value = String> {
    let keys: Vec<_> = SAMPLE
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .collect();
    let keys: Vec<_> = keys
        .iter()
        .map(|(key, _)| key.trim_start_matches('#'))
        .collect();
    const HEADERS: &[&str] = &[
        "[server]",
        "[server.tls]",
        "[auth]",
        "[live]",
        "[[account]]",
        "[[channel]]",
        "[[channel.source]]",
        "[channel]",
        "[[server]]",
    ];
    const VALUES: &[&str] = &[
        "1",
        "-1",
        "true",
        "\"\"",
        "\"open\"",
        "\"http://o/\"",
        "[]",
        "[1, \"x\"]",
        "{}",
        "{ a = \"b\" }",
        "[{ url = 1 }]",
        "1.5",
        "1979-05-27",
        "\"\\u0000\"",
        "\"ü\"",
        "0x",
        "[",
        "{",
    ];
    let line = prop_oneof![
        3 => (proptest::sample::select(keys), proptest::sample::select(VALUES)).prop_map(|(k, v)| format!("{k} = {v}\n")),
        1 => proptest::sample::select(HEADERS).prop_map(|h| format!("{h}\n")),
    ];
    proptest::collection::vec(line, 0..20).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(FILE, &text, []);
        let _ = Config::parse(FILE, &String::from_utf8_lossy(&bytes), []);
    }

    #[test]
    fn no_document_makes_it_panic(text in pieces(), value in any::<String>()) {
        for text in [text.clone(), format!("version = 1\n{text}")] {
            match Config::parse(FILE, &text, env(&[("PERENNIAL_SERVER__LISTEN", &value)])) {
                Ok(loaded) => drop(load(&loaded.print().replace("[redacted]", ""))),
                Err(errors) => prop_assert!(!errors.problems().is_empty()),
            }
        }
    }
}

#[test]
fn usenet_names_what_is_missing_and_what_does_not_go_together() {
    check(
        "[[usenet.provider]]\nusername = \"me\"\nconnections = 0\n",
        &[
            "2:1: missing key \"host\" in [[usenet.provider]] | the provider's news server",
            "3:12: username and password_file belong together | give both, or neither to a server that asks for none",
            "4:15: connections in [[usenet.provider]] must be an integer from 1 to 500, not 0",
        ],
    );
    check(
        "[usenet]\nread_ahead = \"fast\"\nnzb_url_allow = [\"10.0.0.0/8\", \"http://prowlarr\"]\n",
        &[
            "3:14: read_ahead in [usenet] must be a size from 1MiB to 1GiB | write a number and B, KiB, MiB, GiB, KB, MB or GB, such as \"512MiB\"",
            "4:32: nzb_url_allow in [usenet] must be networks in CIDR notation and host names | such as [\"10.0.0.0/8\", \"prowlarr\"], without http:// and port",
        ],
    );
    check(
        "[usenet.library]\nmode = \"symlink\"\n",
        &[
            "3:8: files need a dir to be written to | set dir in [usenet.library]",
            "3:8: symlinks need a mount_dir | set mount_dir to where rclone mounts /webdav/",
        ],
    );
    check(
        "[[usenet.provider]]\nhost = \"news.example\"\n[[usenet.provider]]\nhost = \"news.example\"\n",
        &["5:8: host \"@news.example:563\" is taken by the table at line 2 | choose another"],
    );
}

#[test]
fn a_provider_that_comes_or_goes_needs_a_restart() {
    let provider = |host: &str| format!("version = 1\n[[usenet.provider]]\nhost = \"{host}\"\n");
    let (none, one) = (load("version = 1\n"), load(&provider("a.example")));
    let said = |before: &Loaded, after: &Loaded| -> Vec<String> {
        let postponed = before.restart_needed(after);
        postponed.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        said(&none, &one),
        ["usenet.provider[0].host stays absent until the next start, which makes it \"a.example\""]
    );
    assert_eq!(
        said(&one, &none),
        ["usenet.provider[0].host stays \"a.example\" until the next start, which makes it absent"]
    );
    assert_eq!(said(&one, &one), [""; 0]);
}
