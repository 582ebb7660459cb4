//! What people read on the terminal: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

/// Sets logging up: `RUST_LOG` if it is set, else changes of state, or with `debug` everything of ours.
pub(crate) fn start(debug: bool) {
    let default = if debug {
        "info,hls=debug,live=debug,server=debug,fetch=debug,perennial=debug"
    } else {
        "info,sqlx=warn"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // A second call, as tests make it, keeps the first one's settings.
    let _ = subscriber.try_init();
}

/// A result. A reader that has gone is no error.
pub(crate) fn say(text: &str) {
    let _ = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
}

/// Something a person should see.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}
