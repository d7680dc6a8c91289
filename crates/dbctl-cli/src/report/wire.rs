//! What `--format json` and `--format ndjson` are made of: a public contract. A change here is an entry in the
//! changelog and a changed snapshot. Fields that may be left out say nothing by being there empty.

mod event;
mod failure;
mod run;
mod status;

use std::time::Duration;

use dbctl_runner::{Direction, Outcome, StepError};
use serde::Serialize;

use crate::explain::{self, explain};

pub(crate) use self::{
    event::event,
    failure::{failure, usage},
    run::run,
    status::{STATES, status, status_of},
};

/// Why a database failed.
#[derive(Debug, Serialize)]
pub(crate) struct Error {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Why the database `key` failed.
pub(crate) fn error(error: &StepError, key: &str) -> Error {
    let explain::Explained { code, message, path, line, column, detail, context, statement, hint } =
        explain(error, key);
    let path = path.map(|path| path.display().to_string());
    Error { code, message, path, line, column, statement, detail, context, hint }
}

fn why<'o>(outcome: &'o Outcome, key: &str) -> (Option<Error>, Option<&'o str>) {
    match outcome {
        Outcome::Failed(failure) => (Some(error(failure, key)), None),
        Outcome::Skipped { needs } => (None, Some(needs.as_str())),
        Outcome::Done | Outcome::Unchanged | Outcome::Cancelled => (None, None),
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Fake => "fake",
        Direction::Dry => "dry_run",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
