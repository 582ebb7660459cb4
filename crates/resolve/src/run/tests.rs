use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use testkit::wait_until;

use super::*;

const NOW_MS: i64 = 1_795_176_000_000;
const SOON: Duration = Duration::from_secs(10);

fn exec(argv: &[&str], format: Format) -> ResolverSpec {
    ResolverSpec {
        id: "cam".into(),
        name: String::new(),
        origin: Origin::Exec {
            argv: argv.iter().map(ToString::to_string).collect(),
            format,
        },
        interval: Duration::from_secs(1800),
        min_interval: Duration::from_secs(10),
    }
}

async fn ran(argv: &[&str], format: Format) -> Result<Answer, Refusal> {
    let client = Client::new(fetch::Settings::default()).unwrap();
    run(&exec(argv, format), &client, NOW_MS).await
}

async fn script(text: &str) -> Result<Answer, Refusal> {
    ran(&["sh", "-c", text], Format::Native).await
}

#[tokio::test]
async fn a_programs_output_is_its_result() {
    let printed = r#"{"entries":[{"id":"a","url":"https://o.example/x.m3u8"}]}"#;
    let answer = ran(&["printf", "%s", printed], Format::Native)
        .await
        .unwrap();
    assert_eq!(answer.entries[0].id, "a");
    // As streamlink does when there is nothing.
    let argv = [
        "sh",
        "-c",
        r#"echo '{"error":"No playable streams found on this URL: x"}'; exit 1"#,
    ];
    assert_eq!(
        ran(&argv, Format::Streamlink).await.unwrap_err().code,
        Code::NotLive
    );
}

#[tokio::test]
async fn no_shell_reads_the_arguments_and_no_environment_is_passed_on() {
    let odd = "$(touch /tmp/never) ; `x` * \"'";
    let printed = format!(
        r#"{{"error":{{"code":"geo","detail":{}}}}}"#,
        serde_json::json!(odd)
    );
    let refusal = ran(&["printf", "%s", &printed], Format::Native)
        .await
        .unwrap_err();
    assert_eq!((refusal.code, refusal.detail.as_str()), (Code::Geo, odd));
    let refusal = script(
        r#"printf '{"error":{"code":"auth","detail":"%s"}}' "$(env | cut -d= -f1 | sort | tr '\n' ' ')""#,
    );
    let seen = refusal.await.unwrap_err().detail;
    let names: Vec<_> = seen
        .split(' ')
        .filter(|name| !["PWD", "SHLVL", "_", "OLDPWD", "PPID"].contains(name))
        .collect();
    assert_eq!(names, ["LANG", "PATH"]);
}

#[tokio::test]
async fn failures_say_why_and_show_no_link() {
    let check = async |text: &str, expected: &str| {
        let refusal = script(text).await.unwrap_err();
        assert_eq!(refusal.code, Code::Transient, "{refusal}");
        assert!(refusal.detail.contains(expected), "{refusal}");
        assert!(!refusal.detail.contains("secret"), "{refusal}");
    };
    check(
        "echo warming up >&2; echo 'ERROR: https://o.example/?k=secret is down' >&2; exit 3",
        "exit status: 3: ERROR: https://o.example/?… is down",
    )
    .await;
    check("echo nonsense", "output is no JSON").await;
    check("head -c 1100000 /dev/zero", "more than 1048576 bytes").await;
    let missing = ran(&["no-such-program"], Format::Native).await.unwrap_err();
    assert!(
        missing.detail.contains("cannot start no-such-program"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_program_may_talk_as_much_as_it_likes_beside_its_result() {
    let chatter = "head -c 2000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last words >&2; ";
    let result = r#"echo '{"entries":[{"id":"a","url":"https://o.example/x.m3u8"}]}'"#;
    let answer = script(&format!("{chatter}{result}")).await.unwrap();
    assert_eq!(answer.entries[0].id, "a");
    let refusal = script(&format!("{chatter} exit 3")).await.unwrap_err();
    assert_eq!(refusal.detail, "exit status: 3: last words");
}

fn alive(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

#[tokio::test]
async fn what_a_program_started_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let text = format!("sleep 1000 & echo $! > {}; exit 0", pid.display());
    let refusal = script(&text).await.unwrap_err();
    assert!(
        refusal.detail.contains("holds its output open"),
        "{refusal}"
    );
    let pid = fs::read_to_string(pid).unwrap();
    wait_until(SOON, "the end of the child", async || {
        (!alive(&pid)).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_run_that_is_given_up_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let program = folder.path().join("slow");
    fs::write(
        &program,
        format!(
            "#!/bin/sh\nsleep 1000 &\necho $! > {}\nwait\n",
            pid.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.display().to_string();
    let running = tokio::spawn(async move { ran(&[&program], Format::Native).await });
    let child = wait_until(SOON, "the child", async || {
        fs::read_to_string(&pid)
            .ok()
            .filter(|pid| pid.ends_with('\n'))
    });
    let child = child.await.unwrap();
    assert!(alive(&child));
    running.abort();
    wait_until(SOON, "the end of the child", async || {
        (!alive(&child)).then_some(())
    })
    .await
    .unwrap();
}
