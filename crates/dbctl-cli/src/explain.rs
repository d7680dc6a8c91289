//! What a failed step has to say, in the pieces that every report needs.

use std::path::PathBuf;

use dbctl_engine::{ConnectError, ConnectFailure, EngineError, SqlError, rewritten};
use dbctl_migration::{Drift, FormatError, FormatErrors};
use dbctl_runner::StepError;

use crate::hint;

/// A failure in pieces.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Explained {
    /// PostgreSQL's SQLSTATE where it said one, else a word.
    pub(crate) code: String,
    /// What went wrong, without the place.
    pub(crate) message: String,
    /// The file.
    pub(crate) path: Option<PathBuf>,
    /// Line, from 1.
    pub(crate) line: Option<usize>,
    /// Column in characters, from 1.
    pub(crate) column: Option<usize>,
    /// PostgreSQL's detail.
    pub(crate) detail: Option<String>,
    /// PostgreSQL's context, such as the line of a function.
    pub(crate) context: Option<String>,
    /// The last lines of the program that failed.
    pub(crate) output: Vec<String>,
    /// The statement that failed, cut to a length that can be shown.
    pub(crate) statement: Option<String>,
    /// Where the settings come from with which no connection came about.
    pub(crate) settings: Option<String>,
    /// PostgreSQL's hint, else our own.
    pub(crate) hint: Option<String>,
}

/// Takes a failure on the database `key` apart.
pub(crate) fn explain(error: &StepError, key: &str) -> Explained {
    let word = |code: &str| Explained {
        code: code.to_owned(),
        message: error.to_string(),
        hint: hint::step(error, key),
        ..Explained::default()
    };
    match error {
        StepError::Engine(inner) => explain_engine(inner, word),
        StepError::Format(errors) => match errors.0.as_slice() {
            [only] => {
                let (path, position, message) = place(only);
                Explained {
                    message,
                    path: Some(path),
                    line: position.map(|p| p.0),
                    column: position.map(|p| p.1),
                    ..word("invalid_migrations")
                }
            }
            _ => word("invalid_migrations"),
        },
        StepError::Drift { drift, .. } => word(match drift {
            Drift::Changed(_) => "changed",
            Drift::OutOfOrder(_) => "out_of_order",
            Drift::Failed(_) => "failed",
            Drift::Partial(_) | Drift::Reverting(_) => "partial",
            Drift::Missing(_) => "missing",
        }),
        StepError::Rollback(_) => word("rollback"),
        StepError::UnknownVersion { .. } => word("unknown_version"),
        StepError::AmbiguousVersion { .. } => word("ambiguous_version"),
        StepError::Environment { .. } => word("environment"),
        StepError::SameDatabase { .. } => word("same_database"),
        StepError::Dependency { .. } => word("dependency"),
        StepError::Dependent { .. } => word("dependent"),
        StepError::RequirementUnknown { path, line, problem } => Explained {
            message: problem.clone(),
            path: Some(path.clone()),
            line: Some(*line),
            ..word("requires")
        },
        StepError::RequirementUnmet { path, line, database, version } => Explained {
            message: format!("it requires {version} of `{database}`, which is not applied"),
            path: Some(path.clone()),
            line: Some(*line),
            ..word("requires")
        },
        StepError::Required { .. } => word("required"),
        StepError::Moved { .. } => word("moved"),
        StepError::NothingToKeep { .. } => word("nothing_to_keep"),
        StepError::Connections { .. } => word("connections"),
        StepError::PreparedTransactions { .. } => word("max_prepared_transactions"),
        StepError::InDoubt { .. } | StepError::Undecided { .. } => word("in_doubt"),
        StepError::Decides { .. } => word("decides"),
        StepError::NothingPrepared { .. } => word("nothing_prepared"),
        StepError::Decided { .. } => word("decided"),
        StepError::NotCommitted { error: inner, .. } => {
            Explained { message: error.to_string(), ..explain_engine(inner, word) }
        }
        StepError::Io { path, source } => Explained {
            message: format!("it cannot be read: {source}"),
            path: Some(path.clone()),
            ..word("io")
        },
        StepError::NoRunner { path, extension } => Explained {
            message: format!("no runner for `.{extension}` seeds"),
            path: Some(path.clone()),
            ..word("no_runner")
        },
        StepError::Runner { path, command, outcome, tail } => Explained {
            message: format!("`{command}` {outcome}"),
            path: Some(path.clone()),
            output: tail.clone(),
            ..word("runner")
        },
        StepError::Hook { tail, .. } => Explained { output: tail.clone(), ..word("hook") },
        StepError::Exists { error, .. } => explain_sql(error, word),
        StepError::NotEmpty { .. } => word("not_empty"),
        StepError::Empty => word("empty"),
        StepError::HasHistory { .. } => word("has_history"),
        StepError::Unfinished { .. } => word("partial"),
        StepError::NothingToResolve { .. } => word("nothing_to_resolve"),
        StepError::NotApplied { .. } => word("not_applied"),
        StepError::PlanMoved { .. } => word("plan_moved"),
        StepError::Untold { .. } => word("untold"),
    }
}

fn explain_sql(sql: &SqlError, word: impl Fn(&str) -> Explained) -> Explained {
    let base = word(&sql.code);
    let location = sql.location.as_ref();
    Explained {
        message: sql.message.clone(),
        path: location.map(|l| l.path.clone()),
        line: location.map(|l| l.line),
        column: location.map(|l| l.column),
        detail: sql.detail.clone(),
        context: sql.context.clone(),
        statement: sql.statement.clone(),
        output: Vec::new(),
        settings: None,
        hint: sql.hint.clone().or(base.hint),
        code: base.code,
    }
}

fn explain_engine(error: &EngineError, word: impl Fn(&str) -> Explained) -> Explained {
    match error {
        EngineError::Sql(sql) => explain_sql(sql, word),
        EngineError::Split { path, line, column, error, .. } => Explained {
            message: error.to_string(),
            path: Some(path.clone()),
            line: Some(*line),
            column: Some(*column),
            ..word("split")
        },
        EngineError::NotWhole { path, line, reason } => Explained {
            message: (*reason).to_owned(),
            path: Some(path.clone()),
            line: Some(*line),
            ..word("not_whole")
        },
        EngineError::Unresolved { path, line, statement } => Explained {
            message: format!(
                "an earlier run stopped in this statement, and nobody knows whether it took effect: {statement}"
            ),
            path: Some(path.clone()),
            line: Some(*line),
            ..word("unresolved")
        },
        EngineError::Rewritten { path, line, done, started } => Explained {
            message: rewritten(*done, *started),
            path: Some(path.clone()),
            line: Some(*line),
            ..word("rewritten")
        },
        EngineError::Seed { path, line, message } => {
            Explained { message: message.clone(), path: Some(path.clone()), line: *line, ..word("seed") }
        }
        EngineError::ConnInfo(_) => word("connection_settings"),
        EngineError::Connect(error) => {
            let code = match &error.failure {
                ConnectFailure::Unreachable { .. } => "unreachable",
                ConnectFailure::WrongPassword { .. } => "wrong_password",
                ConnectFailure::NoPassword { .. } => "no_password",
                ConnectFailure::NoDatabase { .. } | ConnectFailure::NoFile { .. } => "no_database",
                ConnectFailure::Tls { .. } => "tls",
                ConnectFailure::WrongRole { .. } => "wrong_role",
                ConnectFailure::Protocol { .. } => "protocol",
                ConnectFailure::Refused { code, .. } => code,
            };
            Explained { settings: settings(error).map(str::to_owned), ..word(code) }
        }
        EngineError::Embedded(_) => word("embedded"),
        EngineError::Locked { .. } => word("locked"),
        EngineError::Prepared { .. } | EngineError::NoDecisions { .. } => word("in_doubt"),
        EngineError::Pooled { .. } => word("pooled"),
        EngineError::Elsewhere { .. } => word("history_elsewhere"),
        EngineError::InUse { .. } => word("in_use"),
        EngineError::Clean(_) => word("clean_refused"),
        EngineError::File { path, .. } => Explained { path: Some(path.clone()), ..word("file") },
        EngineError::Lost { .. } => word("connection_lost"),
        EngineError::Unsupported(_) => word("unsupported"),
        EngineError::Cancelled => word("cancelled"),
    }
}

/// Where the settings come from that may be what is wrong.
pub(crate) fn settings(error: &ConnectError) -> Option<&str> {
    match error.failure {
        // Whoever says that got in.
        ConnectFailure::NoDatabase { .. } | ConnectFailure::NoFile { .. } => None,
        ConnectFailure::Unreachable { .. }
        | ConnectFailure::WrongPassword { .. }
        | ConnectFailure::NoPassword { .. }
        | ConnectFailure::Tls { .. }
        | ConnectFailure::WrongRole { .. }
        | ConnectFailure::Protocol { .. }
        | ConnectFailure::Refused { .. } => error.origin.as_deref(),
    }
}

/// One problem of a manifest, or of migration folders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: PathBuf,
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// All that is wrong with migration folders, in pieces.
pub(crate) fn problems(errors: &FormatErrors) -> Vec<Problem> {
    errors
        .0
        .iter()
        .map(|error| {
            let (path, position, message) = place(error);
            Problem {
                path,
                line: position.map(|p| p.0),
                column: position.map(|p| p.1),
                message,
                hint: hint::format(error),
            }
        })
        .collect()
}

/// The file, line and column, and what is wrong there.
fn place(error: &FormatError) -> (PathBuf, Option<(usize, usize)>, String) {
    match error {
        FormatError::Io { path, source } => (path.clone(), None, format!("cannot be read: {source}")),
        FormatError::NoFolder { path } => {
            (path.clone(), None, "this migration folder does not exist".to_owned())
        }
        FormatError::Encoding { path, line, column, guess } => {
            let guess = guess.map(|guess| format!(" (it looks like {guess})")).unwrap_or_default();
            (path.clone(), Some((*line, *column)), format!("the file is not UTF-8{guess}"))
        }
        FormatError::Duplicate { version, first, second } => {
            (second.clone(), None, format!("{} has the same version {version}", first.display()))
        }
        FormatError::Name { path, message } => (path.clone(), None, message.clone()),
        FormatError::Content { path, line, column, message } => {
            (path.clone(), Some((*line, *column)), message.clone())
        }
        FormatError::Directive { path, error } => {
            (path.clone(), Some((error.line, error.column)), error.message.clone())
        }
    }
}
