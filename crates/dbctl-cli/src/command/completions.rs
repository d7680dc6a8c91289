//! `dbctl completions`.

use clap_complete::Shell;

use crate::{console::Console, error::CliError, exit::Done, help};

pub(super) fn run(shell: Shell, console: &mut Console<'_>) -> Result<Done, CliError> {
    // By way of a buffer: clap_complete panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "dbctl", &mut script);
    console.out.write_all(&script)?;
    console.out.flush()?;
    Ok(Done::Well)
}
