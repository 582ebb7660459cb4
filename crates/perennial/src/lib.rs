//! The `perennial` command: its configuration, its command line, and the wiring of the other crates.

pub mod app;
mod assets;
mod check;
pub mod cli;
pub mod config;
mod demo;
mod demo_film;
mod demo_posts;
mod grants;
mod keys;
mod library_check;
mod log;
mod one;
mod probe;
mod serve;
mod shares;
mod usenet_check;
mod usenet_settings;

use cli::{Cli, ConfigVerb, Exit, Verb};
use config::{Config, Loaded, environment};

/// Does what the command line asks for.
pub fn run(cli: Cli) -> Exit {
    match cli.verb() {
        Verb::Serve(file) => with_config(file.path(), serve::run),
        Verb::Check(file) => with_config(file.path(), check::run),
        Verb::Live(args) => one::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Asset(verb) => assets::run(verb),
        Verb::Share(verb) => shares::run(verb),
        Verb::Grant(verb) => grants::run(verb),
        Verb::Key(verb) => keys::run(verb),
        Verb::Config(ConfigVerb::Print(file)) => with_config(file.path(), |loaded| {
            log::say(&loaded.print());
            Exit::Done
        }),
    }
}

/// Loads the configuration, or lists everything that is wrong with it.
fn with_config(path: Option<&std::path::Path>, then: impl FnOnce(Loaded) -> Exit) -> Exit {
    match Config::load(path, environment()) {
        Ok(loaded) => then(loaded),
        Err(errors) => {
            log::complain(&errors.to_string());
            Exit::Configuration
        }
    }
}
