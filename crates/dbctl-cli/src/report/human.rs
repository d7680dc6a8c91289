//! For people: what happens on standard error as it happens, a table on standard output at the end.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use dbctl_engine::{
    Severity,
    embedded::{Reached, Running},
};
use dbctl_runner::{DatabaseSummary, Direction, Event, Outcome, RunOutcome, Skip, Summary};

use super::{Report, progress::Progress, terminal};
use crate::{console::Mode, diagnostic, explain::explain, table};

/// The longest error that the table shows; all of it stands further up.
const MAX_WHAT: usize = 60;

/// The table's column that gives way on a narrow terminal.
const WHAT: usize = 3;

pub(crate) struct Human<O: Write, E: Write> {
    out: O,
    screen: Screen<E>,
    mode: Mode,
}

/// Standard error: lines, or lines that move.
enum Screen<E: Write> {
    Lines(E),
    Bars(Progress),
}

impl<O: Write, E: Write> Human<O, E> {
    pub(crate) fn new(out: O, err: E, mode: Mode) -> Self {
        let screen = if mode.progress {
            Screen::Bars(Progress::new(terminal::stderr(), mode.err))
        } else {
            Screen::Lines(err)
        };
        Self { out, screen, mode }
    }

    /// Writes to standard error, above whatever moves there.
    fn print(&mut self, text: &str) -> io::Result<()> {
        match &mut self.screen {
            Screen::Lines(err) => {
                writeln!(err, "{}", text.trim_end())?;
                err.flush()
            }
            Screen::Bars(progress) => progress.print(text.trim_end()),
        }
    }

    /// What of an event is worth a line of its own.
    fn line(&self, event: &Event) -> Option<String> {
        if let Some(loud) = loud(event, self.mode) {
            return Some(loud);
        }
        if self.mode.quiet {
            return None;
        }
        let key = event.database().map(|key| self.mode.err.bold(&format!("{key}:"))).unwrap_or_default();
        if let Some(said) = said(event, self.mode) {
            return Some(format!("{key} {said}"));
        }
        // On a terminal the moving lines say these.
        let moving = matches!(self.screen, Screen::Bars(_));
        let text = if moving && !self.mode.verbose { None } else { told(event, self.mode.verbose) };
        text.map(|text| format!("{key} {text}"))
    }
}

impl<O: Write + Send, E: Write + Send> Report for Human<O, E> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Screen::Bars(progress) = &mut self.screen {
            progress.event(event);
        }
        match self.line(event) {
            Some(line) => self.print(&line),
            None => Ok(()),
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        if let Screen::Bars(progress) = &mut self.screen {
            progress.clear()?;
        }
        dry_runs(&mut self.out, summary)?;
        let rows: Vec<[String; 5]> = summary.databases.iter().map(row).collect();
        let header = ["DATABASE", "NAME", "OUTCOME", "WHAT", "TIME"];
        let lines = table::lines_within(header, &rows, WHAT, self.mode.width);
        for (at, line) in lines.iter().enumerate() {
            let paint = self.mode.out;
            let line = match at.checked_sub(1).map(|at| &summary.databases[at].outcome) {
                None => paint.bold(line),
                Some(Outcome::Done) => line.clone(),
                Some(Outcome::Unchanged) => paint.dim(line),
                Some(Outcome::Failed(_)) => paint.red(line),
                Some(Outcome::Skipped(_) | Outcome::Cancelled) => paint.yellow(line),
            };
            writeln!(self.out, "{line}")?;
        }
        let last = last_line(summary);
        let last = match summary.outcome {
            RunOutcome::Done => self.mode.out.green(&last),
            RunOutcome::Failed => self.mode.out.red(&last),
            RunOutcome::Cancelled => self.mode.out.yellow(&last),
        };
        writeln!(self.out, "\n{last}")?;
        self.out.flush()
    }

    fn server(&mut self, reached: &Reached) -> io::Result<()> {
        if self.mode.quiet {
            return Ok(());
        }
        let text = match &reached.server {
            server if reached.started => started(server),
            Running { version, host, port, .. } => {
                format!("on the private PostgreSQL {version} at {host}:{port}")
            }
        };
        self.print(&self.mode.err.dim(&text))
    }

    fn stopping(&mut self) -> io::Result<()> {
        self.print("stopping: cancelling running statements (Ctrl-C again leaves at once)")
    }
}

/// What is said even where only errors are wanted.
fn loud(event: &Event, mode: Mode) -> Option<String> {
    match event {
        Event::StepFinished { database, outcome: Outcome::Failed(error), .. } => {
            Some(diagnostic::failure(error, database.as_str(), mode.err))
        }
        _ => None,
    }
}

/// What others say, and what people should know.
fn said(event: &Event, mode: Mode) -> Option<String> {
    match event {
        Event::Warning { message, .. } => Some(format!("{} {message}", mode.err.yellow("warning:"))),
        Event::Notice { notice, .. } => match notice.severity {
            Severity::Warning => Some(format!("{} {}", mode.err.yellow("WARNING:"), notice.message)),
            Severity::Notice | Severity::Debug if mode.verbose => Some(format!("NOTICE: {}", notice.message)),
            Severity::Notice | Severity::Debug => None,
        },
        Event::Output { line, .. } => Some(line.clone()),
        Event::Waiting { holder, .. } => Some(format!("waiting for another run ({holder})")),
        _ => None,
    }
}

/// What dbctl does.
fn told(event: &Event, verbose: bool) -> Option<String> {
    match event {
        Event::Created { new: true, extensions, .. } if extensions.is_empty() => Some("created".to_owned()),
        Event::Created { new: true, extensions, .. } => {
            Some(format!("created, with {}", extensions.join(", ")))
        }
        Event::Created { new: false, extensions, .. } => Some(format!("installed {}", extensions.join(", "))),
        Event::Dropped { .. } => Some("dropped".to_owned()),
        Event::MigrationStarted { migration, index, total, .. } if verbose => {
            Some(format!("{} {} ({index} of {total})", doing(migration.direction), migration.name))
        }
        Event::MigrationFinished { migration, elapsed, .. } => match migration.direction {
            Direction::Up => Some(format!("applied {} ({})", migration.name, time(*elapsed))),
            Direction::Down => Some(format!("reverted {} ({})", migration.name, time(*elapsed))),
            Direction::Fake => Some(format!("recorded {} without running it", migration.name)),
            // A dry run's result stands on standard output.
            Direction::Dry | Direction::DryFake => None,
            Direction::Forget => Some(format!("forgot {}, which is pending now", migration.name)),
            Direction::Resolve => Some(format!("recorded how far {} got", migration.name)),
            Direction::Repair => Some(format!("recorded {} as its file is now", migration.name)),
        },
        Event::RolledBack { .. } => Some("rolled back".to_owned()),
        Event::SeedStarted { file, index, total, .. } if verbose => {
            Some(format!("seeding {file} ({index} of {total})"))
        }
        Event::HookStarted { hook, command, .. } if verbose => Some(format!("running {hook}: {command}")),
        Event::HookFinished { hook, command, elapsed, .. } => {
            Some(format!("ran {hook}: {command} ({})", time(*elapsed)))
        }
        Event::SeedFinished { file, elapsed, .. } => Some(format!("seeded {file} ({})", time(*elapsed))),
        Event::Cleaned { tables, sequences, .. } => {
            Some(format!("cleaned {}, restarted {}", count(*tables, "table"), count(*sequences, "sequence")))
        }
        Event::StepStarted { action, .. } if verbose => Some((*action).to_owned()),
        Event::DatabaseFinished { outcome: Outcome::Skipped(skip), .. } => {
            Some(format!("skipped: {}", because(skip)))
        }
        Event::DatabaseFinished { outcome: Outcome::Cancelled, .. } => Some("cancelled".to_owned()),
        Event::DatabaseFinished { outcome, elapsed, .. } if verbose => {
            Some(format!("{} ({})", outcome.as_str(), time(*elapsed)))
        }
        Event::RunStarted { .. }
        | Event::StepStarted { .. }
        | Event::MigrationStarted { .. }
        | Event::SeedStarted { .. }
        | Event::HookStarted { .. }
        | Event::DatabaseFinished { .. }
        | Event::StepFinished { .. }
        | Event::Waiting { .. }
        | Event::Warning { .. }
        | Event::Notice { .. }
        | Event::Output { .. }
        | Event::RunFinished { .. } => None,
    }
}

pub(super) fn doing(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "applying",
        Direction::Down => "reverting",
        Direction::Fake => "recording",
        Direction::Dry | Direction::DryFake => "looking at",
        Direction::Forget => "forgetting",
        Direction::Resolve => "resolving",
        Direction::Repair => "repairing",
    }
}

/// Why a database was skipped.
pub(super) fn because(skip: &Skip) -> String {
    match skip {
        Skip::Needs(key) => format!("needs {key}"),
        Skip::Halted(key) => format!("the run stopped after {key} failed"),
    }
}

/// What a dry run would apply and record, as a result.
fn dry_runs(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    for database in &summary.databases {
        for (direction, what, how) in
            [(Direction::Dry, "apply", ""), (Direction::DryFake, "record", " without running them")]
        {
            let dry: Vec<&str> = database
                .migrations
                .iter()
                .filter(|done| done.migration.direction == direction)
                .map(|done| done.migration.name.as_str())
                .collect();
            if !dry.is_empty() {
                writeln!(out, "{} would {what} {}{how}:", database.key, count(dry.len(), "migration"))?;
                for name in dry {
                    writeln!(out, "  {name}")?;
                }
                writeln!(out)?;
            }
        }
    }
    Ok(())
}

fn row(database: &DatabaseSummary) -> [String; 5] {
    let never_started = database.elapsed.is_zero();
    [
        database.key.to_string(),
        database.name.clone(),
        database.outcome.as_str().to_owned(),
        what(database),
        if never_started { String::new() } else { time(database.elapsed) },
    ]
}

/// What was done to a database, and why it went no further.
fn what(database: &DatabaseSummary) -> String {
    let mut parts = Vec::new();
    if database.dropped {
        parts.push("dropped".to_owned());
    }
    if database.created {
        parts.push("created".to_owned());
    } else if !database.extensions.is_empty() {
        parts.push(format!("installed {}", database.extensions.join(", ")));
    }
    for (direction, suffix) in [
        (Direction::Down, " reverted"),
        (Direction::Up, ""),
        (Direction::Fake, " recorded"),
        (Direction::Dry, " pending"),
        (Direction::DryFake, " to record"),
        (Direction::Forget, " forgotten"),
        (Direction::Resolve, " resolved"),
        (Direction::Repair, " repaired"),
    ] {
        let number = database.migrations.iter().filter(|done| done.migration.direction == direction).count();
        // What was applied after something was reverted was applied anew.
        let anew = direction == Direction::Up && parts.last().is_some_and(|last| last.ends_with(" reverted"));
        match (number, anew) {
            (0, _) => {}
            (_, true) => parts.push(format!("{number} applied again")),
            (_, false) => parts.push(format!("{}{suffix}", count(number, "migration"))),
        }
    }
    if database.rolled_back {
        parts.push("rolled back".to_owned());
    }
    if !database.seeds.is_empty() {
        parts.push(count(database.seeds.len(), "seed"));
    }
    if database.cleaned > 0 {
        parts.push(format!("cleaned {}", count(database.cleaned, "table")));
    }
    match &database.outcome {
        Outcome::Failed(error) => {
            parts.push(table::shorten(&explain(error, database.key.as_str()).message, MAX_WHAT))
        }
        Outcome::Skipped(skip) => parts.push(because(skip)),
        Outcome::Done | Outcome::Unchanged | Outcome::Cancelled => {}
    }
    parts.join(", ")
}

fn last_line(summary: &Summary) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for database in &summary.databases {
        *counts.entry(database.outcome.as_str()).or_default() += 1;
    }
    let counts: Vec<String> = ["done", "unchanged", "failed", "skipped", "cancelled"]
        .iter()
        .filter_map(|outcome| counts.get(outcome).map(|number| format!("{number} {outcome}")))
        .collect();
    format!(
        "{} {}: {} in {}",
        summary.command,
        summary.outcome.as_str(),
        counts.join(", "),
        time(summary.elapsed)
    )
}

pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A duration for people: `14 ms`, `1.2 s`, `2 min 5 s`.
pub(crate) fn time(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// Says that dbctl has started a server.
pub(crate) fn started(Running { version, host, port, data, .. }: &Running) -> String {
    format!("started a private PostgreSQL {version} on {host}:{port}, its data in {}", data.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{eventful, events, mode, summary};

    fn told(mode: Mode, events: &[Event]) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut human = Human::new(&mut out, &mut err, mode);
        for event in events {
            human.event(event).unwrap();
        }
        assert!(out.is_empty(), "events are no results");
        String::from_utf8(err).unwrap()
    }

    fn table(mode: Mode, summary: &Summary) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        Human::new(&mut out, &mut err, mode).finish(summary).unwrap();
        assert!(err.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_become_lines() {
        insta::assert_snapshot!(told(mode(), &events()));
    }

    #[test]
    fn verbose_tells_of_beginnings_and_notices() {
        insta::assert_snapshot!(told(Mode { verbose: true, ..mode() }, &events()));
    }

    #[test]
    fn quiet_tells_of_errors_alone() {
        insta::assert_snapshot!(told(Mode { quiet: true, ..mode() }, &events()), @r#"
        error: mextrack: relation "vehicle" does not exist (42P01)
            ╭─[apps/mextrack/migrations/1700000001000_tracking.sql:12:14]
         12 │   REFERENCES vehicle (id)
            ·              ───────
            ╰────
        "#);
    }

    #[test]
    fn a_run_ends_with_a_table() {
        insta::assert_snapshot!(table(mode(), &summary()), @r#"
        DATABASE  NAME          OUTCOME  WHAT                                   TIME
        core      atriz_shared  done     1 migration                            120 ms
        mextrack  mextrack_db   failed   relation "vehicle" does not exist      80 ms
        pshop     pshop_db      skipped  needs core
        lone      lone          skipped  the run stopped after mextrack failed

        migrate failed: 1 done, 1 failed, 2 skipped in 412 ms
        "#);
    }

    #[test]
    fn the_table_fits_into_the_terminal() {
        insta::assert_snapshot!(table(Mode { width: Some(60), ..mode() }, &summary()), @r#"
        DATABASE  NAME          OUTCOME  WHAT                 TIME
        core      atriz_shared  done     1 migration          120 ms
        mextrack  mextrack_db   failed   relation "vehicle"…  80 ms
        pshop     pshop_db      skipped  needs core
        lone      lone          skipped  the run stopped af…

        migrate failed: 1 done, 1 failed, 2 skipped in 412 ms
        "#);
    }

    #[test]
    fn the_table_says_all_that_was_done() {
        insta::assert_snapshot!(table(mode(), &eventful()));
    }

    #[test]
    fn colors_are_only_around_lines() {
        let colored = table(Mode { out: crate::console::Paint(true), ..mode() }, &summary());
        assert!(colored.contains("\u{1b}[1m\u{1b}[31mmextrack"), "{colored:?}");
        assert!(!table(mode(), &summary()).contains('\u{1b}'));
    }
}
