//! What help says beyond the flags: groups of commands, and examples.

use clap::{Command, CommandFactory, builder::Styles};

use crate::cli::{Cli, GLOBAL};

/// The commands in groups, in the order in which help lists them. A test holds that every command is in one.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Databases", &["up", "create", "drop", "reset"]),
    ("Migrations and data", &["migrate", "rollback", "redo", "new", "seed", "clean", "baseline", "history"]),
    ("Looking", &["status", "plan", "list", "graph"]),
    ("Tools", &["init", "psql", "exec", "env", "server", "completions", "schema"]),
];

pub(crate) const INIT: &str = "\
Looks below the current folder for migration folders, packages, seeds and URLs in env files. Nothing is run and nothing \
is connected to; every guess is marked as one.

Examples:
  dbctl init --print                 what it would write
  dbctl init                         workspace.yaml in the current folder";

pub(crate) const UP: &str = "\
Examples:
  dbctl up --all             all databases, from nothing to seeded
  dbctl up mextrack          mextrack and what it depends on
  dbctl up --no-deps pshop   pshop alone";

pub(crate) const CREATE: &str = "\
Examples:
  dbctl create --all
  dbctl create tag:app       by tag, with what they depend on";

pub(crate) const DROP: &str = "\
Examples:
  dbctl drop mextrack                asks first
  dbctl drop ...core --yes           core and all that depends on it
  dbctl drop mextrack --disconnect   although somebody is connected";

pub(crate) const MIGRATE: &str = "\
Examples:
  dbctl migrate                      the databases of the package you are in
  dbctl migrate --all --dry-run      what would run
  dbctl migrate core --to 1700000000000
  dbctl migrate --all --atomic       all databases or none
  dbctl migrate legacy --fake --yes  record what is there already
  dbctl migrate --plan plan.json     what `plan migrate -o plan.json` froze";

pub(crate) const ROLLBACK: &str = "\
Examples:
  dbctl rollback core                the last migration
  dbctl rollback core --count 3
  dbctl rollback core --to zero      everything
  dbctl rollback --run 019a1f0c      what that run applied, wherever it did";

pub(crate) const REDO: &str = "\
Example:
  dbctl redo core                    after editing the last migration's file";

pub(crate) const SEED: &str = "\
Seeds run in byte order of their names, recorded or not; `dbctl up` runs only those not recorded yet.

Example:
  dbctl seed mextrack                mextrack and what it depends on";

pub(crate) const CLEAN: &str = "\
Examples:
  dbctl clean mextrack               mextrack alone, never what it depends on
  dbctl clean --all --yes            before a test run";

pub(crate) const RESET: &str = "\
Example:
  dbctl reset mextrack         from nothing to seeded, nothing else touched";

pub(crate) const NEW: &str = "\
Prints the path of the file it wrote. A database with several migration folders needs --source.

Examples:
  dbctl new core add users
  $EDITOR $(dbctl new . add_index)";

pub(crate) const BASELINE: &str = "\
Records everything up to and including VERSION as applied, in the folder's own history table, in one transaction. \
A database that has a history is left as it is, and an empty one is refused.

Examples:
  dbctl baseline legacy --through 20250301120000 --dry-run
  dbctl baseline legacy --through 20250301120000_add_invoices
  dbctl baseline legacy --through latest --yes
  dbctl baseline web --source supabase/migrations --through 20250301120000";

pub(crate) const HISTORY: &str = "\
Nothing is run: what these commands change is what the history tables say.

Examples:
  dbctl history show core
  dbctl history runs --limit 10
  dbctl history mark core 20250301120000 --applied
  dbctl history resolve core 20250301120000 --rolled-back
  dbctl history repair core            every file that has changed";

pub(crate) const STATUS: &str = "\
Without a target: the databases of the package you are in, else all.

Examples:
  dbctl status
  dbctl status --check         for CI: 0 up to date, 4 not, 1 unreadable
  dbctl status core --format json";

pub(crate) const PLAN: &str = "\
Offline but for --state, -o and `rollback --run`: no variable has to be set and no server has to run.

Examples:
  dbctl plan up --all
  dbctl plan migrate mextrack --state
  dbctl plan reset core --as mermaid
  dbctl plan migrate --all -o plan.json    for `dbctl migrate --plan plan.json`";

pub(crate) const LIST: &str = "\
Examples:
  dbctl list
  dbctl list tag:app --format json";

pub(crate) const GRAPH: &str = "\
In the tree, what a database depends on stands to its left, and what is drawn further up is not drawn again. A \
dependency that others imply is left out.

Examples:
  dbctl graph
  dbctl graph --as dot | dot -Tsvg > graph.svg";

pub(crate) const PSQL: &str = "\
Runs in the package's folder. The password travels in the environment, not in the arguments.

Examples:
  dbctl psql core
  dbctl psql core -- -c 'select 1'";

pub(crate) const EXEC: &str = "\
Runs in the package's folder and ends with the command's own exit code.

Examples:
  dbctl exec core -- npm run migrate
  dbctl exec core -- sh -c 'pg_dump > core.sql'";

pub(crate) const ENV: &str = "\
Examples:
  eval \"$(dbctl env core)\"
  dbctl env core --as dotenv > .env.local";

pub(crate) const SERVER: &str = "\
Databases without a url, a server or PGHOST live on a private PostgreSQL that dbctl starts on demand. There is \
one per repository and major version.

Examples:
  dbctl server status          which databases are on it, and which elsewhere
  dbctl server stop            its data stays; asks where somebody is at work
  dbctl server remove          stops it and deletes its data";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  dbctl completions bash > ~/.local/share/bash-completion/completions/dbctl
  dbctl completions zsh > \"${fpath[1]}/_dbctl\"
  dbctl completions fish > ~/.config/fish/completions/dbctl.fish";

/// The end of the help of `dbctl` itself.
const AFTER: &str = "\
Examples:
  dbctl up --all                     all databases, from nothing to seeded
  dbctl migrate mextrack --dry-run   what would run, dependencies included
  dbctl status --check               for CI

Exit codes:
  0 done · 1 a database failed · 2 usage, or no leave to destroy
  3 the manifest or a migration folder is invalid · 4 a check found something
  5 another run holds the lock · 130 interrupted";

/// The command line, with its commands in groups.
pub(crate) fn command() -> Command {
    // It shows everything where the verbs, which take the same targets, want one.
    let command = Cli::command().mut_subcommand("status", |status| {
        status.mut_arg("targets", |targets| {
            let shared = targets.get_help().map(ToString::to_string).unwrap_or_default();
            let (what, _) = shared.split_once(" [default:").unwrap_or((&shared, ""));
            targets.help(format!("{what} [default: those of the package you are in, else all]"))
        })
    });
    let template = template(&command);
    command.help_template(template).after_help(AFTER)
}

fn template(command: &Command) -> String {
    let styles: &Styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = String::from("{about}\n\n{usage-heading} {usage}\n");
    for (group, names) in GROUPS {
        text.push_str(&format!("\n{header}{group}:{header:#}\n"));
        for name in names {
            let about =
                command.find_subcommand(name).and_then(Command::get_about).cloned().unwrap_or_default();
            text.push_str(&format!("  {literal}{name:<12}{literal:#} {about}\n"));
        }
    }
    text.push_str(&format!("\n{header}{GLOBAL}:{header:#}\n{{options}}{{after-help}}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        grouped.sort_unstable();
        let command = Cli::command();
        let mut all: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn what_follows_the_flags_fits_every_terminal() {
        let mut texts = vec![("dbctl".to_owned(), AFTER.to_owned())];
        for command in Cli::command().get_subcommands() {
            texts.extend(
                command.get_after_help().map(|text| (command.get_name().to_owned(), text.to_string())),
            );
        }
        for (name, text) in texts {
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                if line.starts_with("  ") {
                    assert!(line.chars().count() <= 80, "{name}: {line}");
                } else if !line.is_empty() {
                    // Prose is one line, which clap wraps to the terminal: a second would be wrapped in the middle.
                    let next = lines.get(at + 1).copied().unwrap_or_default();
                    let is_heading = line.ends_with(':') && next.starts_with("  ");
                    assert!(next.is_empty() || is_heading, "{name}: {line}");
                }
            }
        }
    }

    #[test]
    fn help_of_every_command() {
        let mut command = command().term_width(100);
        command.build();
        let mut text = String::new();
        render(&mut command, &mut text);
        insta::assert_snapshot!("help", text);
    }

    fn render(command: &mut Command, text: &mut String) {
        let name = command.get_bin_name().unwrap_or("dbctl").to_owned();
        text.push_str(&format!("━━━ {name} --help\n\n{}\n\n", command.render_help().to_string().trim_end()));
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for sub in names.iter().filter(|sub| *sub != "help") {
            // The verbs below `plan` take what the verbs themselves take.
            if name == "dbctl plan" && sub != "migrate" {
                continue;
            }
            render(command.find_subcommand_mut(sub).unwrap(), text);
        }
    }
}
