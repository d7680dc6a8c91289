//! What `history` takes.

use std::num::NonZeroUsize;

use clap::{ArgGroup, Args, Subcommand};

use super::Shown;

/// What can be done with what is recorded.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum History {
    /// Show every row: when, by whom, in which run, and whether the file is what it was
    Show {
        /// The database: a key, database name, package name or package folder (`.`)
        #[arg(value_name = "TARGET")]
        target: String,
        /// Only this migration folder, relative to the package
        #[arg(long, value_name = "PATH")]
        source: Option<String>,
    },
    /// List the runs that were at work on databases, the last one first: when, who, what, and what came of it
    Runs {
        #[command(flatten)]
        targets: Shown,
        /// Only the last N
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroUsize>,
    },
    /// Record a migration as applied, or as pending, without running anything
    #[command(group = ArgGroup::new("as_what").required(true).args(["applied", "pending"]))]
    Mark {
        #[command(flatten)]
        which: WhichMigration,
        /// It is applied
        #[arg(long)]
        applied: bool,
        /// It is not: what is recorded of it is forgotten
        #[arg(long)]
        pending: bool,
    },
    /// Say what became of a migration that failed or stopped half-way, or of what --atomic=two-phase has prepared
    #[command(group = ArgGroup::new("how").required(true).multiple(true)
        .args(["applied", "rolled_back", "done", "commit", "rollback"]))]
    Resolve {
        /// The database: a key, database name, package name or package folder (`.`)
        #[arg(value_name = "TARGET")]
        target: String,
        /// The migration by version, name or file name; FOLDER/NAME where several folders have it
        #[arg(value_name = "VERSION", required_unless_present = "run")]
        version: Option<String>,
        /// The statement in which it stopped took effect; of one that is recorded as failed: all of it did
        #[arg(long, conflicts_with = "rolled_back")]
        applied: bool,
        /// The statement did not take effect; of one that is recorded as failed: nothing of it is left
        #[arg(long)]
        rolled_back: bool,
        /// So many statements of the file as it is now are done, and the next one is to be run
        #[arg(long, value_name = "N")]
        done: Option<usize>,
        /// Instead of a migration: what this run has prepared and not finished; its id, or how it begins
        #[arg(long, value_name = "ID", conflicts_with_all = ["version", "applied", "rolled_back", "done"])]
        run: Option<String>,
        /// Commit that
        #[arg(long, requires = "run", conflicts_with = "rollback")]
        commit: bool,
        /// Roll that back
        #[arg(long, requires = "run")]
        rollback: bool,
    },
    /// Take files that have changed since they were applied as they are now
    Repair {
        /// The database: a key, database name, package name or package folder (`.`)
        #[arg(value_name = "TARGET")]
        target: String,
        /// Only these, by version, name or file name [default: all that have changed]
        #[arg(value_name = "VERSION")]
        versions: Vec<String>,
    },
}

/// Which migration of which database.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhichMigration {
    /// The database: a key, database name, package name or package folder (`.`)
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// The migration by version, name or file name; FOLDER/NAME where several folders have it
    #[arg(value_name = "VERSION")]
    pub(crate) version: String,
}
