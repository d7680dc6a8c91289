//! `dbctl status`.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use dbctl_engine::{LockHolder, Notice, Observer, Prepared, Session, Severity};
use dbctl_migration::State;
use dbctl_runner::{DatabaseStatus, StatusEntry, StatusReport, status};
use dbctl_workspace::Key;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Format, Status},
    console::{Console, Mode, write_json},
    context::Context,
    diagnostic,
    error::CliError,
    exit::Done,
    report::{time, wire},
    signals::Signals,
    table,
};

pub(super) async fn run(
    args: &Status,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let keys = context.in_order(&context.select_or_all(&args.targets)?);
    let report = look(context, &keys, console).await?;
    match console.mode.format {
        Format::Human => {
            human(&report, console.out, console.mode)?;
            for database in &report.databases {
                if let Some(error) = database.error.as_ref().or(database.blocked.as_ref()) {
                    let text = diagnostic::failure(error, database.key.as_str(), console.mode.err);
                    console.err.write_all(text.as_bytes())?;
                }
            }
        }
        Format::Json => write_json(console.out, &wire::status(context.workspace.name(), &report), true)?,
        Format::Ndjson => {
            for database in &report.databases {
                write_json(console.out, &wire::status_of(database), false)?;
            }
        }
    }
    Ok(Done::Status { report, check: args.check })
}

/// Looks where databases stand, through sessions that cannot write; says what is to be minded on the way.
pub(super) async fn look(
    context: &Context,
    keys: &[Key],
    console: &mut Console<'_>,
) -> Result<StatusReport, CliError> {
    let targets = context.targets(keys)?;
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let heard = Heard::default();
    let session = Session {
        verb: "status",
        stamp: &context.stamp,
        cancel: stop.clone(),
        observer: &heard,
        wait: context.limits.wait,
    };
    let report = tokio::select! {
        biased;
        () = signals.twice(&stop) => return Err(CliError::Interrupted),
        report = status(&context.workspace, keys, &targets, &context.engine, &session, context.limits.jobs) => {
            report
        }
    };
    context.say_what_started(console)?;
    heard.tell(console)?;
    Ok(report)
}

/// Whoever only reads waits for nobody; of what it hears warnings are worth a line, each once for all databases.
#[derive(Default)]
pub(super) struct Heard(Mutex<BTreeSet<String>>);

impl Heard {
    pub(super) fn tell(&self, console: &mut Console<'_>) -> io::Result<()> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in heard.iter().filter(|_| !console.mode.quiet) {
            writeln!(console.err, "{} {warning}", console.mode.err.yellow("warning:"))?;
        }
        Ok(())
    }
}

impl Observer for Heard {
    fn notice(&self, notice: Notice) {
        if notice.severity == Severity::Warning {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(notice.message);
        }
    }

    fn waiting(&self, _: &LockHolder) {}
}

fn human(report: &StatusReport, out: &mut dyn Write, mode: Mode) -> io::Result<()> {
    let rows: Vec<_> = report.databases.iter().map(row).collect();
    let lines = table::lines(["DATABASE", "NAME", "SERVER", "APPLIED", "STATE"], &rows);
    for (at, line) in lines.iter().enumerate() {
        let paint = mode.out;
        let line = match at.checked_sub(1).map(|at| &report.databases[at]) {
            None => paint.bold(line),
            Some(database) if database.is_up_to_date() => line.clone(),
            Some(database) if database.error.is_some() || is_wrong(database) => paint.red(line),
            Some(_) => paint.yellow(line),
        };
        writeln!(out, "{line}")?;
    }
    for database in &report.databases {
        for one in database.prepared.iter().filter(|_| !mode.quiet) {
            writeln!(out, "\n{}", mode.out.red(&in_doubt(database, one)))?;
        }
    }
    for database in &report.databases {
        let shown: Vec<&StatusEntry> = database
            .migrations
            .iter()
            .filter(|entry| mode.verbose || (entry.state != State::Applied && !mode.quiet))
            .collect();
        if !shown.is_empty() {
            writeln!(out, "\n{}", mode.out.bold(database.key.as_str()))?;
            entries(&shown, out, mode)?;
        }
    }
    out.flush()
}

fn in_doubt(database: &DatabaseStatus, Prepared { gid, since, .. }: &Prepared) -> String {
    let (key, run) = (&database.key, &gid.run);
    format!(
        "{key}: the run {run} has prepared a transaction here, since {since}. If it is no longer at work, the next command \
         that writes finishes it as `{}` has recorded; by hand: `dbctl history resolve {key} --run {run} --commit` or \
         --rollback",
        gid.decided_in.database
    )
}

fn is_wrong(database: &DatabaseStatus) -> bool {
    !database.prepared.is_empty()
        || database.migrations.iter().any(|entry| match entry.state {
            State::Changed | State::Missing | State::Failed | State::Partial => true,
            State::Applied | State::Pending | State::OutOfOrder => false,
        })
}

fn entries(entries: &[&StatusEntry], out: &mut dyn Write, mode: Mode) -> io::Result<()> {
    for entry in entries {
        let state = format!("{:<12}", entry.state.as_str().replace('_', " "));
        let state = match entry.state {
            State::Applied => mode.out.green(&state),
            State::Pending | State::OutOfOrder => mode.out.yellow(&state),
            State::Changed | State::Missing | State::Failed | State::Partial => mode.out.red(&state),
        };
        let at = entry.applied_at.filter(|_| mode.verbose).map(|at| format!("  {at:.0}")).unwrap_or_default();
        let elapsed =
            entry.elapsed.filter(|_| mode.verbose).map(|e| format!("  {}", time(e))).unwrap_or_default();
        let held = entry.held_by.as_ref().map(|file| format!("  held by {file}")).unwrap_or_default();
        writeln!(
            out,
            "  {state}  {}/{}{}",
            entry.source,
            entry.name,
            mode.out.dim(&(at + &elapsed + &held))
        )?;
    }
    Ok(())
}

fn row(database: &DatabaseStatus) -> [String; 5] {
    let counts = database.counts();
    let count = |state| counts.get(&state).copied().unwrap_or_default();
    let applied = count(State::Applied) + count(State::Changed) + count(State::Missing);
    [
        database.key.to_string(),
        database.name.clone(),
        database.server.clone(),
        if database.exists == Some(true) { applied.to_string() } else { "-".to_owned() },
        state(database),
    ]
}

/// `up to date`, or what is not.
fn state(database: &DatabaseStatus) -> String {
    if database.error.is_some() {
        return "cannot be read".to_owned();
    }
    let counts = database.counts();
    let mut parts: Vec<String> = Vec::new();
    if database.exists == Some(false) {
        parts.push("does not exist".to_owned());
    }
    if !database.prepared.is_empty() {
        parts.push("in doubt".to_owned());
    }
    for state in wire::STATES.into_iter().filter(|state| *state != State::Applied) {
        if let Some(number) = counts.get(&state) {
            parts.push(format!("{number} {}", state.as_str().replace('_', " ")));
        }
    }
    if parts.is_empty() { "up to date".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use dbctl_engine::{Gid, Identity};
    use dbctl_runner::StepError;

    use super::*;
    use crate::testing::{entry, mode, report};

    fn shown(report: &StatusReport, mode: Mode) -> String {
        let mut out = Vec::new();
        human(report, &mut out, mode).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_see_a_table_and_what_is_not_applied() {
        insta::assert_snapshot!(shown(&report(), mode()));
    }

    #[test]
    fn verbose_shows_what_is_applied_and_when() {
        let mut report = report();
        report.databases.truncate(1);
        insta::assert_snapshot!(shown(&report, Mode { verbose: true, ..mode() }));
    }

    #[test]
    fn programs_see_every_key() {
        let report = report();
        let document = serde_json::to_string_pretty(&wire::status("atriz", &report)).unwrap();
        insta::assert_snapshot!(document);
    }

    #[test]
    fn what_is_prepared_is_in_doubt() {
        let mut report = report();
        report.databases.truncate(1);
        let decided_in = Identity { system: "7".to_owned(), database: "core_db".to_owned() };
        report.databases[0].prepared = vec![Prepared {
            gid: Gid::new("01a1", 2, &decided_in, 16_384).unwrap(),
            owner: "app".to_owned(),
            since: "2026-11-20T08:00:00Z".to_owned(),
        }];
        assert!(!report.databases[0].is_up_to_date());
        insta::assert_snapshot!(shown(&report, mode()), @"
        DATABASE  NAME          SERVER          APPLIED  STATE
        core      atriz_shared  localhost:5432  1        in doubt

        core: the run 01a1 has prepared a transaction here, since 2026-11-20T08:00:00Z. If it is no longer at work, the next command that writes finishes it as `core_db` has recorded; by hand: `dbctl history resolve core --run 01a1 --commit` or --rollback
        ");
        let document = serde_json::to_value(wire::status("atriz", &report)).unwrap();
        insta::assert_snapshot!(
            document["databases"][0]["prepared"],
            @r#"[{"run":"01a1","since":"2026-11-20T08:00:00Z","owner":"app","decided_in":"core_db","gid":"dbctl_01a1_2_7_16384_core_db"}]"#
        );
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let mut database = report().databases.remove(0);
        database.exists = None;
        database.migrations.clear();
        database.error = Some(Arc::new(StepError::UnknownVersion {
            version: "1".to_owned(),
            sources: vec![],
            near: None,
        }));
        assert_eq!(row(&database)[3..], ["-", "cannot be read"]);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(Duration::from_millis(14)), "14 ms");
        assert_eq!(time(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(time(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(entry("m", State::Pending).applied_at, None);
    }
}
