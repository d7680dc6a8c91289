//! `dbctl psql`.

use std::process::Command;

use dbctl_engine::embedded::client_tool;

use super::child;
use crate::{cli::Psql, context::Context, error::CliError, exit::Done};

pub(super) async fn run(args: &Psql, context: &Context) -> Result<Done, CliError> {
    let key = context.select_one(args.target.as_deref())?;
    let psql = client_tool("psql", &context.home).ok_or(CliError::NoPsql)?;
    let mut command = Command::new(psql);
    command.args(&args.args);
    child::run(context, &key, command).await
}
