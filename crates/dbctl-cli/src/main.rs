//! The command `dbctl`: what is typed, what is printed, how it exits. All else is in the crates below it.

mod app;
mod cli;
mod command;
mod confirm;
mod console;
mod context;
mod diagnostic;
mod error;
mod exit;
mod explain;
mod help;
mod hint;
mod paths;
mod report;
mod run;
mod signals;
mod table;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(app::main(std::env::args_os()))
}
