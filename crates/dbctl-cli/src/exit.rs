//! The one place that decides exit codes.

use std::io;

use dbctl_engine::EngineError;
use dbctl_runner::{Outcome, RunOutcome, Runs, StatusReport, StepError, Summary};

use crate::error::CliError;

/// What a command came to.
#[derive(Debug)]
pub(crate) enum Done {
    /// It did what it was asked to.
    Well,
    /// It ran a plan.
    Run(Summary),
    /// It looked at databases.
    Status {
        /// What it saw.
        report: StatusReport,
        /// Whether anything that is not up to date is a finding.
        check: bool,
    },
    /// It read which runs there were.
    Runs(Runs),
    /// A check found something.
    Found,
    /// A child process ended with that code.
    #[cfg_attr(
        all(unix, not(test)),
        expect(dead_code, reason = "there the child takes this process's place")
    )]
    Child(u8),
}

const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INVALID: u8 = 3;
const FOUND: u8 = 4;
const LOCKED: u8 = 5;
const CANNOT_EXECUTE: u8 = 126;
const NOT_FOUND: u8 = 127;
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of a command, as the table in the README has it. Commands that run a program (`exec`, `psql`) pass its
/// code on, with a shell's 127 and 126 where it could not be started.
pub(crate) fn exit_code(result: &Result<Done, CliError>) -> u8 {
    match result {
        Ok(Done::Well) => DONE,
        Ok(Done::Run(summary)) => run_code(summary),
        Ok(Done::Status { report, check }) => status_code(report, *check),
        Ok(Done::Runs(runs)) if runs.failed.is_empty() => DONE,
        Ok(Done::Runs(runs)) => failures_code(runs.failed.iter().map(|(_, error)| error)),
        Ok(Done::Found) => FOUND,
        Ok(Done::Child(code)) => *code,
        Err(error) => error_code(error),
    }
}

fn run_code(summary: &Summary) -> u8 {
    let failures = summary.databases.iter().filter_map(|database| match &database.outcome {
        Outcome::Failed(error) => Some(&**error),
        Outcome::Done | Outcome::Unchanged | Outcome::Skipped(_) | Outcome::Cancelled => None,
    });
    match summary.outcome {
        RunOutcome::Done => DONE,
        RunOutcome::Cancelled => INTERRUPTED,
        RunOutcome::Failed => failures_code(failures),
    }
}

fn status_code(report: &StatusReport, check: bool) -> u8 {
    let mut failures = report.databases.iter().filter_map(|database| database.error.as_deref()).peekable();
    if report.databases.iter().filter_map(|d| d.error.as_deref()).any(StepError::is_cancelled) {
        INTERRUPTED
    } else if failures.peek().is_some() {
        failures_code(failures)
    } else if check && !report.databases.iter().all(dbctl_runner::DatabaseStatus::is_up_to_date) {
        FOUND
    } else {
        DONE
    }
}

/// Failures of one kind have that kind's code; mixed ones are simply failures.
fn failures_code<'e>(failures: impl Iterator<Item = &'e StepError>) -> u8 {
    failures.map(step_code).reduce(|first, next| if first == next { first } else { FAILED }).unwrap_or(FAILED)
}

fn step_code(error: &StepError) -> u8 {
    match error {
        StepError::Format(_) | StepError::RequirementUnknown { .. } => INVALID,
        StepError::Engine(EngineError::Locked { .. }) => LOCKED,
        StepError::PlanMoved { .. } => FOUND,
        _ => FAILED,
    }
}

fn error_code(error: &CliError) -> u8 {
    match error {
        CliError::Usage { .. }
        | CliError::Select(_)
        | CliError::Plan(_)
        | CliError::CannotAsk { .. }
        | CliError::Declined
        | CliError::NewFile(_)
        | CliError::Directory { .. } => USAGE,
        CliError::NoManifest { .. } | CliError::Manifest(_) | CliError::Format(_) | CliError::PlanFile(_) => {
            INVALID
        }
        CliError::PlanElsewhere { .. } => FOUND,
        CliError::Databases(errors) => failures_code(errors.iter().map(|(_, error)| error)),
        CliError::Unreadable(errors) => failures_code(errors.iter().map(|(_, error)| error)),
        CliError::Engine(error) if matches!(**error, EngineError::Locked { .. }) => LOCKED,
        CliError::Engine(_)
        | CliError::Embedded(_)
        | CliError::NoDatabase { .. }
        | CliError::Write { .. }
        | CliError::Ask(_) => FAILED,
        CliError::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND,
        CliError::Spawn { .. } => CANNOT_EXECUTE,
        CliError::NoClient { .. } => NOT_FOUND,
        CliError::Interrupted => INTERRUPTED,
        CliError::Output(_) if error.is_closed_pipe() => DONE,
        CliError::Output(_) => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use dbctl_migration::{FormatError, FormatErrors};
    use dbctl_runner::PlanError;
    use dbctl_workspace::SelectError;

    use super::*;
    use crate::testing::{eventful, failed, key, locked, report, sql, sql_error, summary, summary_of};

    fn invalid() -> FormatErrors {
        FormatErrors(vec![FormatError::NoFolder { path: "apps/a/migrations".into() }])
    }

    fn run(errors: Vec<StepError>) -> Result<Done, CliError> {
        let outcome = if errors.is_empty() { RunOutcome::Done } else { RunOutcome::Failed };
        Ok(Done::Run(summary_of(outcome, errors.into_iter().map(failed).collect())))
    }

    fn status(which: &[usize], check: bool) -> Result<Done, CliError> {
        let mut report = report();
        let mut at = 0;
        report.databases.retain(|_| {
            at += 1;
            which.contains(&(at - 1))
        });
        Ok(Done::Status { report, check })
    }

    fn runs(errors: Vec<StepError>) -> Result<Done, CliError> {
        let failed = errors.into_iter().map(|error| (key("core"), error)).collect();
        Ok(Done::Runs(Runs { runs: Vec::new(), failed }))
    }

    fn io(kind: io::ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    #[test]
    fn one_function_decides() {
        let protected = PlanError::Protected {
            environment: "production".to_owned(),
            command: "drop",
            effect: "destroys data",
            given: None,
        };
        let spawn = |kind| Err(CliError::Spawn { program: "x".to_owned(), source: io(kind) });
        for (name, result, code) in [
            ("nothing to say", Ok(Done::Well), 0),
            ("a run that did it", run(vec![]), 0),
            ("a run in which a database failed", Ok(Done::Run(summary())), 1),
            ("a run that was stopped", Ok(Done::Run(eventful())), 130),
            ("a folder that is invalid", run(vec![StepError::Format(invalid())]), 3),
            ("another run's lock", run(vec![locked()]), 5),
            ("another run's lock, and a failure", run(vec![locked(), sql(sql_error())]), 1),
            ("status without --check", status(&[0, 1, 2], false), 0),
            ("status --check, up to date", status(&[0], true), 0),
            ("status --check, pending", status(&[0, 1], true), 4),
            ("status --check, no database", status(&[2], true), 4),
            ("status of an unreachable database", status(&[0, 3], false), 1),
            ("status --check of an unreachable database", status(&[1, 3], true), 1),
            ("a check that found something", Ok(Done::Found), 4),
            ("a child's code", Ok(Done::Child(7)), 7),
            ("wrong usage", Err(CliError::usage("x", "y")), 2),
            ("no target", Err(SelectError::AllAndTargets.into()), 2),
            ("a protected environment", Err(protected.into()), 2),
            ("nobody to ask", Err(CliError::CannotAsk { command: "drop", effect: "destroys data" }), 2),
            ("no manifest", Err(CliError::NoManifest { start: "/".into() }), 3),
            ("an invalid folder", Err(invalid().into()), 3),
            (
                "invalid files of databases",
                Err(CliError::Databases(vec![(key("core"), StepError::Format(invalid()))])),
                3,
            ),
            ("what is known to fail", Err(CliError::Databases(vec![(key("core"), locked())])), 5),
            ("databases that cannot be read", Err(CliError::Unreadable(vec![(key("core"), locked())])), 5),
            ("runs of databases that cannot be read", runs(vec![sql(sql_error()), locked()]), 1),
            ("runs", runs(vec![]), 0),
            ("a plan that no longer holds", run(vec![StepError::PlanMoved { moved: vec![] }]), 4),
            ("a plan of something else", Err(CliError::PlanElsewhere { path: "p".into(), moved: vec![] }), 4),
            ("a no", Err(CliError::Declined), 2),
            ("Ctrl-C twice", Err(CliError::Interrupted), 130),
            ("no psql", Err(CliError::NoClient { program: "psql", file: None }), 127),
            ("no such command", spawn(io::ErrorKind::NotFound), 127),
            ("a command that may not be run", spawn(io::ErrorKind::PermissionDenied), 126),
            ("nobody reads on", Err(io(io::ErrorKind::BrokenPipe).into()), 0),
            ("a full disk", Err(io(io::ErrorKind::StorageFull).into()), 1),
        ] {
            assert_eq!(exit_code(&result), code, "{name}");
        }
    }
}
