//! A child process that sees one database.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use dbctl_runner::{child_env, set_env};
use dbctl_workspace::Key;
use secrecy::SecretString;

use crate::{context::Context, error::CliError, exit::Done};

/// What `env` prints and what `exec` and `psql` add to the environment.
pub(super) async fn variables(
    context: &Context,
    key: &Key,
) -> Result<BTreeMap<String, SecretString>, CliError> {
    let database = context.workspace.database(key);
    let mut keys: BTreeSet<&Key> = database.env.values().collect();
    keys.insert(key);
    let targets = context.targets(keys)?;
    Ok(child_env(&context.workspace, key, &targets, &context.engine).await?)
}

/// Runs a program in the package's folder with the database in its environment, in this process's place where the
/// system can do that. Its exit code is ours.
pub(super) async fn run(context: &Context, key: &Key, mut command: Command) -> Result<Done, CliError> {
    let variables = variables(context, key).await?;
    let program = command.get_program().to_string_lossy().into_owned();
    command.current_dir(context.workspace.database(key).folder());
    set_env(&mut command, &variables);
    replace(command).map_err(|source| CliError::Spawn { program, source })
}

#[cfg(unix)]
fn replace(mut command: Command) -> Result<Done, std::io::Error> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> Result<Done, std::io::Error> {
    let status = command.status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(Done::Child(code))
}
