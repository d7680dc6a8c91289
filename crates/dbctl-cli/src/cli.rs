//! What can be typed.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::help;

mod history;
mod server;

pub(crate) use self::{
    history::History,
    server::{Server, Which},
};

/// The heading of what every command takes.
pub(crate) const GLOBAL: &str = "Global options";

/// One manifest, many databases, in dependency order.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "dbctl",
    version,
    arg_required_else_help = true,
    disable_help_flag = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before and after its name.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true, help_heading = GLOBAL)]
    pub(crate) directory: Option<PathBuf>,
    /// The manifest [default: workspace.yaml here or in a folder above]
    #[arg(long, value_name = "FILE", env = "DBCTL_MANIFEST", hide_env_values = true, global = true, help_heading = GLOBAL)]
    pub(crate) manifest: Option<PathBuf>,
    /// The environment [default: DBCTL_ENV, else NODE_ENV, else development]
    #[arg(long, value_name = "NAME", global = true, help_heading = GLOBAL)]
    pub(crate) env: Option<String>,
    /// How many databases are worked on at once [default: one per core, at least 4]
    #[arg(long, value_name = "N", value_parser = jobs, global = true, help_heading = GLOBAL)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// How results are written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Human, global = true, help_heading = GLOBAL)]
    pub(crate) format: Format,
    /// Whether to use colors; NO_COLOR, CLICOLOR_FORCE and CI are respected
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, global = true, help_heading = GLOBAL)]
    pub(crate) color: Color,
    /// Only errors and results
    #[arg(short, long, global = true, help_heading = GLOBAL, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Also the server's notices, and each step
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) verbose: bool,
    /// Do not ask before destroying
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) yes: bool,
    /// Leave out the targets' dependencies; they must be there and up to date
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_deps: bool,
    /// How long to wait for another run's lock, such as 10s, 2m or 500ms
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s", global = true, help_heading = GLOBAL)]
    pub(crate) wait: Duration,
    /// Start nothing more after the first failure
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) fail_fast: bool,
    /// Let a destroying command run in this protected environment
    #[arg(long, value_name = "ENVIRONMENT", global = true, help_heading = GLOBAL)]
    pub(crate) allow_protected: Option<String>,
    /// Print help
    #[arg(short, long, action = ArgAction::HelpShort, global = true, help_heading = GLOBAL)]
    pub(crate) help: Option<bool>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Human,
    /// One document at the end
    Json,
    /// One JSON object per line, as things happen
    Ndjson,
}

/// Whether to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Verb(Verb),
    /// Write a workspace.yaml from what a monorepo without one holds
    #[command(after_help = help::INIT)]
    Init(Init),
    /// Write the next migration file, in the folder's own format
    #[command(after_help = help::NEW)]
    New(New),
    /// Take over a database that exists: record what it has, run nothing
    #[command(after_help = help::BASELINE)]
    Baseline(Baseline),
    /// Show and mend what is recorded of migrations
    #[command(subcommand, after_help = help::HISTORY)]
    History(History),
    /// Show what is applied, pending, changed or missing
    #[command(after_help = help::STATUS)]
    Status(Status),
    /// Show the steps a command would run, without running them
    #[command(after_help = help::PLAN)]
    Plan(Plan),
    /// List the databases with package, server and dependencies
    #[command(after_help = help::LIST)]
    List(List),
    /// Draw which database depends on which
    #[command(after_help = help::GRAPH)]
    Graph(Graph),
    /// Open psql on a database, sqlite3 on a SQLite file
    #[command(after_help = help::PSQL)]
    Psql(Psql),
    /// Run a command that sees a database as DATABASE_URL and PG*
    #[command(after_help = help::EXEC)]
    Exec(Exec),
    /// Print a database's variables for a shell (they hold the password)
    #[command(after_help = help::ENV)]
    Env(EnvArgs),
    /// Manage the embedded server of this repository
    #[command(subcommand, after_help = help::SERVER)]
    Server(Server),
    /// Print a completion script
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the JSON schema of workspace.yaml
    Schema,
}

/// Commands that change databases.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Verb {
    /// Create, migrate and seed: everything a fresh machine needs
    #[command(after_help = help::UP)]
    Up {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        hooks: HookArgs,
    },
    /// Create the databases that are missing
    #[command(after_help = help::CREATE)]
    Create {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        hooks: HookArgs,
    },
    /// Drop databases
    #[command(after_help = help::DROP)]
    Drop {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        drop: DropArgs,
    },
    /// Apply pending migrations
    #[command(after_help = help::MIGRATE)]
    Migrate {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        migrate: MigrateArgs,
        #[command(flatten)]
        hooks: HookArgs,
    },
    /// Revert the last migration
    #[command(after_help = help::ROLLBACK)]
    Rollback {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        rollback: RollbackArgs,
    },
    /// Revert the last migration and apply it again
    #[command(after_help = help::REDO)]
    Redo {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        hooks: HookArgs,
    },
    /// Run the seed files, all of them
    #[command(after_help = help::SEED)]
    Seed {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        hooks: HookArgs,
    },
    /// Empty the tables, keep structure and migration history
    #[command(after_help = help::CLEAN)]
    Clean {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        hooks: HookArgs,
    },
    /// Drop, then create, migrate and seed again
    #[command(after_help = help::RESET)]
    Reset {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        drop: DropArgs,
        #[command(flatten)]
        hooks: HookArgs,
    },
}

/// Which databases.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Targets {
    /// A key, database name, package name or package folder; `core...` adds what core depends on, `...core` what
    /// depends on it, `!core` removes it, `tag:x` picks by tag [default: those of the package you are in]
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Every database of the workspace
    #[arg(long)]
    pub(crate) all: bool,
}

/// What every verb takes that runs hooks.
#[derive(Debug, Clone, Args)]
pub(crate) struct HookArgs {
    /// Run none of the commands that the manifest has under `hooks`
    #[arg(long)]
    pub(crate) no_hooks: bool,
}

/// What `drop` and `reset` take.
#[derive(Debug, Clone, Args)]
pub(crate) struct DropArgs {
    /// End other sessions on the database first
    #[arg(long)]
    pub(crate) disconnect: bool,
    /// Drop although a database that depends on it still exists
    #[arg(long)]
    pub(crate) ignore_dependents: bool,
}

/// What `migrate` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct MigrateArgs {
    /// Up to and including this version or name; FOLDER/NAME where several folders have it (one target)
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<String>,
    /// Say what would run; the session cannot write
    #[arg(long, conflicts_with = "fake")]
    pub(crate) dry_run: bool,
    /// Record as applied without running, on the named databases alone
    #[arg(long)]
    pub(crate) fake: bool,
    /// All databases or none: each has one open transaction, and they are committed once all have succeeded. `two-phase`
    /// prepares them (PREPARE TRANSACTION), so that the next run finishes what a kill between two commits leaves
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        require_equals = true,
        num_args = 0..=1,
        default_missing_value = "one-phase",
        conflicts_with = "fake"
    )]
    pub(crate) atomic: Option<Atomic>,
    /// Do exactly what a plan says that `plan migrate -o FILE` has frozen, or nothing
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["targets", "all", "to", "fake", "out_of_order", "no_deps"]
    )]
    pub(crate) plan: Option<PathBuf>,
    /// What to do with a pending file that sorts before an applied one [default: warn; deny where the tool that owns
    /// the folder would fail afterwards; there applied files that are missing on disk stop it as well, short of allow]
    #[arg(long, value_name = "POLICY", value_enum)]
    pub(crate) out_of_order: Option<OutOfOrder>,
}

/// What to do with files that were merged late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutOfOrder {
    /// Apply them
    Allow,
    /// Apply them and say so
    Warn,
    /// Refuse
    Deny,
}

/// How the databases are committed that are all or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Atomic {
    /// One after the other, at once: what ends dbctl in between leaves some committed, and the next run goes on
    OnePhase,
    /// By PREPARE TRANSACTION: what ends dbctl in between is finished by the next run (takes max_prepared_transactions)
    TwoPhase,
}

/// What `rollback` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct RollbackArgs {
    /// Revert the last N migrations (one target)
    #[arg(long, value_name = "N", group = "how_far")]
    pub(crate) count: Option<NonZeroUsize>,
    /// Revert what was applied after this version or name (or FOLDER/NAME); `zero` reverts everything (one target)
    #[arg(long, value_name = "VERSION", group = "how_far")]
    pub(crate) to: Option<String>,
    /// Revert this migration (or FOLDER/NAME) alone; refused if a later one is applied (one target)
    #[arg(long, value_name = "NAME", group = "how_far")]
    pub(crate) only: Option<String>,
    /// Revert what this run applied, in every database of the workspace unless some are named; an id, or how it
    /// begins; refused if later migrations stay (`dbctl history runs` lists runs)
    #[arg(long, value_name = "ID", group = "how_far")]
    pub(crate) run: Option<String>,
    /// Revert although an applied migration of another database requires it
    #[arg(long)]
    pub(crate) ignore_dependents: bool,
}

/// What `init` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// Write over a manifest that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Print the manifest and write nothing
    #[arg(long, conflicts_with = "force")]
    pub(crate) print: bool,
}

/// What `new` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct New {
    /// The database: a key, database name, package name or package folder (`.`)
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// What the migration does, in words
    #[arg(value_name = "NAME", required = true)]
    pub(crate) name: Vec<String>,
    /// The migration folder, relative to the package; needed where a database has several
    #[arg(long, value_name = "PATH")]
    pub(crate) source: Option<String>,
}

/// What `baseline` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Baseline {
    /// The database: a key, database name, package name or package folder (`.`)
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// The last migration that it has, by version, name or file name; `latest` for all there are
    #[arg(long, value_name = "VERSION")]
    pub(crate) through: String,
    /// The migration folder, relative to the package; needed where several have that version
    #[arg(long, value_name = "PATH")]
    pub(crate) source: Option<String>,
    /// Say what would be recorded; the session cannot write
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What `status` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Exit with 4 if anything is not up to date
    #[arg(long)]
    pub(crate) check: bool,
}

/// What `plan` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    /// Also say what is pending: connects, and only reads
    #[arg(long, global = true)]
    pub(crate) state: bool,
    /// How the plan is drawn
    #[arg(long = "as", value_name = "SHAPE", value_enum, default_value_t = PlanShape::Tree, global = true)]
    pub(crate) shape: PlanShape,
    /// Freeze what `migrate` would do in a file, for `migrate --plan FILE`: connects, and only reads
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is no plan
    #[arg(long, global = true, requires = "output")]
    pub(crate) force: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// How a plan is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanShape {
    /// What runs first on the left
    Tree,
    /// A Mermaid flowchart
    Mermaid,
    /// For Graphviz
    Dot,
    /// Every step and edge
    Json,
}

/// Which databases, where all of them are shown unless some are named.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shown {
    /// Only these [default: all]
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Every database of the workspace, as without a target
    #[arg(long)]
    pub(crate) all: bool,
}

/// What `list` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) targets: Shown,
}

/// What `graph` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) targets: Shown,
    /// How the graph is drawn
    #[arg(long = "as", value_name = "SHAPE", value_enum, default_value_t = GraphShape::Tree)]
    pub(crate) shape: GraphShape,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphShape {
    /// What others depend on on the left
    Tree,
    /// A Mermaid flowchart
    Mermaid,
    /// For Graphviz
    Dot,
}

/// What `psql` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Psql {
    /// The database [default: that of the package you are in]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Arguments for psql or sqlite3
    #[arg(value_name = "ARGS", last = true)]
    pub(crate) args: Vec<OsString>,
}

/// What `exec` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Exec {
    /// The database [default: that of the package you are in]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// What `env` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct EnvArgs {
    /// The database [default: that of the package you are in]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// For which shell
    #[arg(long = "as", value_name = "SHELL", value_enum, default_value_t = Shell::Sh)]
    pub(crate) shell: Shell,
}

/// How variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// export NAME='value', for sh, bash and zsh
    Sh,
    /// set -gx NAME 'value'
    Fish,
    /// $env:NAME = 'value'
    Powershell,
    /// NAME="value", for a .env file
    Dotenv,
}

/// The most databases that may be worked on at once.
pub(crate) const MAX_JOBS: usize = 64;

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|jobs| jobs.get() <= MAX_JOBS)
        .ok_or_else(|| format!("a number from 1 to {MAX_JOBS} is wanted"))
}

fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "a duration such as 10s, 2m or 500ms is wanted".to_owned())
}
