//! Lines that move: one per database, on a terminal.

use std::{collections::BTreeMap, io, time::Duration};

use dbctl_runner::{Event, Outcome};
use dbctl_workspace::Key;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human::{because, doing, time};
use crate::console::Paint;

/// How often a running database's line moves.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Progress {
    lines: MultiProgress,
    databases: BTreeMap<Key, ProgressBar>,
    paint: Paint,
}

impl Progress {
    pub(super) fn new(target: ProgressDrawTarget, paint: Paint) -> Self {
        Self { lines: MultiProgress::with_draw_target(target), databases: BTreeMap::new(), paint }
    }

    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        self.lines.println(text)
    }

    /// Takes the lines away, so that the table stands in their place.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        for line in self.databases.values() {
            line.finish_and_clear();
        }
        self.lines.clear()
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Event::RunStarted { databases, .. } = event {
            self.start(databases);
        }
        let Some(line) = event.database().and_then(|key| self.databases.get(key)) else { return };
        match event {
            Event::StepStarted { action, .. } => {
                line.set_style(style("{spinner} {prefix}  {elapsed:>3}  {wide_msg}"));
                line.reset_elapsed();
                line.enable_steady_tick(TICK);
                line.set_message((*action).to_owned());
            }
            Event::Waiting { holder, .. } => line.set_message(format!("waiting for pid {}", holder.pid)),
            Event::MigrationStarted { migration, index, total, .. } => line.set_message(format!(
                "migration {index} of {total}: {} {}",
                doing(migration.direction),
                migration.name
            )),
            Event::SeedStarted { file, index, total, .. } => {
                line.set_message(format!("seed {index} of {total}: {file}"));
            }
            Event::HookStarted { hook, command, .. } => line.set_message(format!("{hook}: {command}")),
            Event::StepFinished { .. } => line.disable_steady_tick(),
            Event::DatabaseFinished { outcome, elapsed, .. } => self.end(line, outcome, *elapsed),
            Event::Created { .. }
            | Event::Dropped { .. }
            | Event::MigrationFinished { .. }
            | Event::RolledBack { .. }
            | Event::SeedFinished { .. }
            | Event::HookFinished { .. }
            | Event::Cleaned { .. }
            | Event::Warning { .. }
            | Event::Notice { .. }
            | Event::Output { .. }
            | Event::RunStarted { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    fn start(&mut self, databases: &[(Key, String)]) {
        let width = databases.iter().map(|(key, _)| key.as_str().len()).max().unwrap_or_default();
        for (key, _) in databases {
            let line = self.lines.add(ProgressBar::new_spinner().with_style(style("  {prefix}  {wide_msg}")));
            line.set_prefix(self.paint.bold(&format!("{:<width$}", key.as_str())));
            line.set_message(self.paint.dim("waiting"));
            self.databases.insert(key.clone(), line);
        }
    }

    fn end(&self, line: &ProgressBar, outcome: &Outcome, elapsed: Duration) {
        let (sign, text) = match outcome {
            Outcome::Done => (self.paint.green("✓"), format!("done in {}", time(elapsed))),
            Outcome::Unchanged => (self.paint.green("✓"), self.paint.dim("unchanged")),
            Outcome::Failed(_) => (self.paint.red("✗"), self.paint.red("failed")),
            Outcome::Skipped(skip) => {
                (self.paint.yellow("-"), self.paint.yellow(&format!("skipped: {}", because(skip))))
            }
            Outcome::Cancelled => (self.paint.yellow("-"), self.paint.yellow("cancelled")),
        };
        line.set_style(style("{prefix}  {wide_msg}"));
        line.set_prefix(format!("{sign} {}", line.prefix()));
        line.finish_with_message(text);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use dbctl_runner::RunOutcome;

    use super::*;

    #[test]
    fn lines_follow_the_events() {
        let mut progress = Progress::new(ProgressDrawTarget::hidden(), Paint(false));
        let key = Key::parse("core").unwrap();
        progress.event(&Event::RunStarted {
            command: "seed",
            workspace: "w".to_owned(),
            run: "r".to_owned(),
            databases: vec![(key.clone(), "c".to_owned())],
        });
        let line = progress.databases[&key].clone();
        assert_eq!((line.prefix(), line.message()), ("core".to_owned(), "waiting".to_owned()));
        let database = key.clone();
        progress.event(&Event::SeedStarted { database, file: "a.sql".to_owned(), index: 1, total: 2 });
        assert_eq!(line.message(), "seed 1 of 2: a.sql");
        let elapsed = Duration::from_millis(1_234);
        progress.event(&Event::DatabaseFinished { database: key, outcome: Outcome::Done, elapsed });
        assert_eq!((line.prefix(), line.message()), ("✓ core".to_owned(), "done in 1.2 s".to_owned()));
        assert!(line.is_finished());
        progress.event(&Event::RunFinished { outcome: RunOutcome::Done, elapsed });
        progress.clear().unwrap();
    }
}
