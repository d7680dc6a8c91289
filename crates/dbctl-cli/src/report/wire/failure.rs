//! The document of an error before a run.

use std::path::Path;

use dbctl_migration::FormatErrors;
use dbctl_runner::StepError;
use dbctl_workspace::Key;
use serde::Serialize;

use crate::{
    error::CliError,
    explain::{self, Explained},
    hint,
    paths::relative,
};

/// An error before a run.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    error: FailureOf,
}

#[derive(Debug, Serialize)]
struct FailureOf {
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

/// One of several things that are wrong.
#[derive(Debug, Serialize)]
struct Problem {
    /// Whose it is, where it is no file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A command line that cannot be read.
pub(crate) fn usage(message: String) -> Failure {
    Failure { error: FailureOf { kind: "usage", message, hint: None, problems: Vec::new() } }
}

/// Why a command ended without a summary; paths as seen from `cwd`.
pub(crate) fn failure(error: &CliError, cwd: &Path) -> Failure {
    let shown = |path: &Path| relative(path, cwd).display().to_string();
    let problems = match error {
        CliError::Manifest(errors) => errors
            .problems
            .iter()
            .map(|problem| Problem {
                database: None,
                path: shown(&errors.path),
                line: problem.span.as_ref().map(|_| problem.line),
                column: problem.span.as_ref().map(|_| problem.column),
                message: problem.message.clone(),
                hint: problem.hint.clone(),
            })
            .collect(),
        CliError::Format(errors) => formats(errors),
        CliError::PlanFile(unread) => vec![Problem {
            database: None,
            path: unread.path.display().to_string(),
            line: unread.place.map(|place| place.0),
            column: unread.place.map(|place| place.1),
            message: unread.message.clone(),
            hint: hint::command(error),
        }],
        CliError::Databases(errors) => {
            errors.iter().flat_map(|(key, error)| of_database(error, key.as_str())).collect()
        }
        CliError::Unreadable(errors) => {
            let of = |(key, error): &(Key, StepError)| {
                let named = Some(key.to_string());
                let problems = of_database(error, key.as_str()).into_iter();
                problems.map(move |problem| Problem { database: named.clone(), ..problem })
            };
            errors.iter().flat_map(of).collect()
        }
        _ => Vec::new(),
    };
    let message = match error {
        CliError::Manifest(_) => "the manifest is invalid".to_owned(),
        CliError::Format(_) | CliError::Databases(_) => "a migration folder is invalid".to_owned(),
        CliError::Unreadable(_) => "a database could not be read".to_owned(),
        _ => error.to_string(),
    };
    let hint = hint::command(error).filter(|_| problems.is_empty());
    Failure { error: FailureOf { kind: kind(error), message, hint, problems } }
}

fn formats(errors: &FormatErrors) -> Vec<Problem> {
    let problem = |problem: explain::Problem| Problem {
        database: None,
        path: problem.path.display().to_string(),
        line: problem.line,
        column: problem.column,
        message: problem.message,
        hint: problem.hint,
    };
    explain::problems(errors).into_iter().map(problem).collect()
}

/// What is wrong with the files of the database `key`.
fn of_database(error: &StepError, key: &str) -> Vec<Problem> {
    if let StepError::Format(errors) = error {
        return formats(errors);
    }
    let Explained { path, line, column, message, hint, .. } = explain::explain(error, key);
    let path = path.unwrap_or_default().display().to_string();
    vec![Problem { database: None, path, line, column, message, hint }]
}

/// A word for programs.
fn kind(error: &CliError) -> &'static str {
    match error {
        CliError::Usage { .. }
        | CliError::CannotAsk { .. }
        | CliError::Directory { .. }
        | CliError::NewFile(_) => "usage",
        CliError::Select(_) => "target",
        CliError::Plan(_) => "protected",
        CliError::NoManifest { .. } | CliError::Manifest(_) => "manifest",
        CliError::Format(_) | CliError::Databases(_) => "migrations",
        CliError::Unreadable(_)
        | CliError::Engine(_)
        | CliError::Embedded(_)
        | CliError::NoDatabase { .. } => "server",
        CliError::PlanFile(_) | CliError::PlanElsewhere { .. } => "plan",
        CliError::NoClient { .. } | CliError::Spawn { .. } => "program",
        CliError::Write { .. } | CliError::Output(_) => "io",
        CliError::Declined => "declined",
        CliError::Ask(_) | CliError::Interrupted => "interrupted",
    }
}
