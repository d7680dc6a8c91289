//! What `--format json` and `--format ndjson` are made of: a public contract. A change here is an entry in the
//! changelog and a changed snapshot. Fields that may be left out say nothing by being there empty.

mod event;
mod failure;
mod run;
mod status;

use std::time::Duration;

use dbctl_runner::{Direction, Outcome, Skip, StepError};
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
    /// The last lines of the program that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output: Vec<String>,
    /// Where the settings come from with which no connection came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Why the database `key` failed.
pub(crate) fn error(error: &StepError, key: &str) -> Error {
    let explain::Explained {
        code,
        message,
        path,
        line,
        column,
        detail,
        context,
        output,
        statement,
        settings,
        hint,
    } = explain(error, key);
    let path = path.map(|path| path.display().to_string());
    Error { code, message, path, line, column, statement, detail, context, output, settings, hint }
}

/// Why a step or a database came to nothing.
struct Why<'o> {
    error: Option<Error>,
    needs: Option<&'o str>,
    halted_by: Option<&'o str>,
}

fn why<'o>(outcome: &'o Outcome, key: &str) -> Why<'o> {
    let nothing = Why { error: None, needs: None, halted_by: None };
    match outcome {
        Outcome::Failed(failure) => Why { error: Some(error(failure, key)), ..nothing },
        Outcome::Skipped(Skip::Needs(other)) => Why { needs: Some(other.as_str()), ..nothing },
        Outcome::Skipped(Skip::Halted(other)) => Why { halted_by: Some(other.as_str()), ..nothing },
        Outcome::Done | Outcome::Unchanged | Outcome::Cancelled => nothing,
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Fake => "fake",
        Direction::Dry => "dry_run",
        Direction::DryFake => "dry_run_fake",
        Direction::Forget => "forget",
        Direction::Resolve => "resolve",
        Direction::Repair => "repair",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
