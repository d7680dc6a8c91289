//! A child process that sees one database.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use dbctl_runner::{child_env, set_env};
use dbctl_workspace::Key;
use secrecy::SecretString;

use crate::{context::Context, error::CliError, exit::Done, signals::unless_stopped};

/// What `env` prints and what `exec` and `psql` add to the environment.
pub(super) async fn variables(
    context: &Context,
    key: &Key,
) -> Result<BTreeMap<String, SecretString>, CliError> {
    let database = context.workspace.database(key);
    let mut keys: BTreeSet<&Key> = database.env.values().collect();
    keys.insert(key);
    let targets = context.targets(keys)?;
    Ok(unless_stopped(child_env(&context.workspace, key, &targets, &context.engine)).await??)
}

/// Runs a program in the package's folder with the database in its environment, in this process's place where the
/// system can do that. Its exit code is ours.
pub(super) async fn run(context: &Context, key: &Key, mut command: Command) -> Result<Done, CliError> {
    let variables = variables(context, key).await?;
    let program = command.get_program().to_string_lossy().into_owned();
    enter(&mut command, context.workspace.database(key).folder());
    set_env(&mut command, &variables);
    replace(command).map_err(|source| CliError::Spawn { program, source })
}

/// Has the program start in a folder. Some believe `PWD` rather than ask the system.
fn enter(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("PWD", folder);
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_child_knows_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let mut command = Command::new("env");
        enter(&mut command, &folder);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(said.lines().any(|line| line == format!("PWD={}", folder.display())), "{said}");
    }
}
