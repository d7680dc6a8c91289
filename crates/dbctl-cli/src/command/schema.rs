//! `dbctl schema`.

use crate::{
    console::{Console, write_json},
    error::CliError,
    exit::Done,
};

pub(super) fn run(console: &mut Console<'_>) -> Result<Done, CliError> {
    write_json(console.out, &dbctl_workspace::schema(), true)?;
    Ok(Done::Well)
}
