//! `dbctl psql`: psql, or sqlite3 where the database is a file.

use std::process::Command;

use dbctl_engine::{
    ConnectFailure, Endpoint, Engine, EngineError, LockHolder, Notice, Observer, Session,
    embedded::client_tool,
};
use dbctl_workspace::{Key, Way};
use tokio_util::sync::CancellationToken;

use super::child;
use crate::{cli::Psql, context::Context, error::CliError, exit::Done, signals::unless_stopped};

pub(super) async fn run(args: &Psql, context: &Context) -> Result<Done, CliError> {
    let key = context.select_one(args.target.as_deref())?;
    let file = match context.workspace.way(&key) {
        Some(Way::Sqlite(file)) => Some(file),
        Some(Way::Url(_) | Way::Libpq | Way::Embedded { .. }) | None => None,
    };
    let program = if file.is_some() { "sqlite3" } else { "psql" };
    let found =
        client_tool(program, &context.home).ok_or(CliError::NoClient { program, file: file.clone() })?;
    is_there(context, &key).await?;
    let mut command = Command::new(found);
    command.args(file).args(&args.args);
    child::run(context, &key, command).await
}

/// Sees that there is a database to talk to: psql would say neither how to make it nor where its address came from.
/// psql can log in where dbctl cannot, so that any other trouble is psql's to tell.
async fn is_there(context: &Context, key: &Key) -> Result<(), CliError> {
    let targets = context.targets([key])?;
    let session = Session {
        verb: "psql",
        stamp: &context.stamp,
        cancel: CancellationToken::new(),
        observer: &Deaf,
        wait: context.limits.wait,
    };
    match unless_stopped(context.engine.exists(&targets[key], &session)).await? {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::NoDatabase {
            key: key.clone(),
            name: targets[key].name.to_string(),
            place: match &targets[key].endpoint {
                Endpoint::Sqlite(file) => format!(": there is no file {}", file.display()),
                Endpoint::ConnInfo { .. } | Endpoint::Variables(_) | Endpoint::Embedded(_) => {
                    format!(" on {}", context.server(key))
                }
            },
        }),
        Err(EngineError::Connect(error)) if matches!(error.failure, ConnectFailure::Unreachable { .. }) => {
            Err(EngineError::Connect(error).into())
        }
        Err(EngineError::Embedded(error)) => Err(error.into()),
        Err(_) => Ok(()),
    }
}

/// Nothing is to be minded where it is only looked whether a database is there.
pub(super) struct Deaf;

impl Observer for Deaf {
    fn notice(&self, _: Notice) {}

    fn waiting(&self, _: &LockHolder) {}
}
