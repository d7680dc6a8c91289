//! Repository chores: `cargo xtask tidy` holds what ARCHITECTURE.md promises.

mod tidy;

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let mut err = std::io::stderr().lock();
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => {
            let complaints = tidy::complaints(&tidy::root());
            for complaint in &complaints {
                // Nobody is left to tell if stderr is gone.
                drop(writeln!(err, "{complaint}"));
            }
            if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        _ => {
            drop(writeln!(err, "usage: cargo xtask tidy"));
            ExitCode::from(2)
        }
    }
}
