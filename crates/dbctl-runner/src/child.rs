//! Child processes: what they see of a database.

use std::{collections::BTreeMap, process::Command};

use dbctl_engine::{Engine, EngineError, Target, libpq};
use dbctl_workspace::{Key, Workspace};
use secrecy::{ExposeSecret, SecretString};

/// What `exec`, `env`, `psql` and seed runners add to the process environment: the package's own variables, the
/// manifest's `env` mapping, and the database as `DATABASE_URL` and `PG*`. `targets` holds the database and every
/// database its `env` names.
pub async fn child_env(
    workspace: &Workspace,
    key: &Key,
    targets: &BTreeMap<Key, Target>,
    engine: &dyn Engine,
) -> Result<BTreeMap<String, SecretString>, EngineError> {
    let database = workspace.database(key);
    // What libpq reads has been read: a `PGSERVICE` in an env file would win over all that stands here.
    let is_libpqs = |name: &str| libpq::variables().any(|variable| variable == name);
    let mut env: BTreeMap<String, SecretString> = workspace
        .child_vars(key)
        .into_iter()
        .filter(|(name, _)| !is_libpqs(name))
        .map(|(name, value)| (name, SecretString::from(value)))
        .collect();
    for (name, other) in &database.env {
        let target = targets.get(other).expect("targets hold every database that `env` names");
        env.insert(name.clone(), engine.access(target).await?.url);
    }
    let access = engine.access(targets.get(key).expect("targets hold the database itself")).await?;
    env.extend(access.vars);
    env.insert("DATABASE_URL".to_owned(), access.url);
    Ok(env)
}

/// Gives a child process these variables in place of every inherited one that libpq reads: a `PGSERVICE` or
/// `PGHOSTADDR` of the caller would lead it elsewhere.
pub fn set_env(command: &mut Command, env: &BTreeMap<String, SecretString>) {
    for name in libpq::variables() {
        command.env_remove(name);
    }
    command.envs(env.iter().map(|(name, value)| (name, value.expose_secret())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_libpqs_is_inherited() {
        let mut command = Command::new("x");
        command.env("PGHOSTADDR", "10.0.0.1").env("HOME", "/h");
        set_env(&mut command, &BTreeMap::from([("PGHOST".to_owned(), "h".into())]));
        let removed = |name: &str| command.get_envs().any(|(n, value)| n == name && value.is_none());
        for name in ["PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR", "PGSSLMODE", "PGPASSFILE", "PGOPTIONS"] {
            assert!(removed(name), "{name}");
        }
        assert!(command.get_envs().any(|(name, value)| name == "PGHOST" && value == Some("h".as_ref())));
        assert!(!removed("HOME"));
    }
}
