//! `dbctl exec`.

use std::process::Command;

use super::child;
use crate::{cli::Exec, context::Context, error::CliError, exit::Done};

pub(super) async fn run(args: &Exec, context: &Context) -> Result<Done, CliError> {
    let key = context.select_one(args.target.as_deref())?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(CliError::usage("no command was given", "`dbctl exec TARGET -- CMD`"));
    };
    let mut command = Command::new(program);
    command.args(rest);
    child::run(context, &key, command).await
}
