//! What `server` takes.

use clap::{Args, Subcommand};

/// What can be done with the embedded server.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Server {
    /// Start it where it does not run
    Start {
        #[command(flatten)]
        which: Which,
    },
    /// Stop it; its data stays
    Stop {
        #[command(flatten)]
        which: Which,
    },
    /// Say whether it runs, where, and which databases are on it and which elsewhere
    Status {
        #[command(flatten)]
        which: Which,
        /// Exit with 4 if it does not run
        #[arg(long)]
        check: bool,
    },
    /// Stop it and delete its data, with every database on it
    Remove {
        #[command(flatten)]
        which: Which,
    },
    /// Print its URL (which holds the password), starting it where it does not run
    Url {
        #[command(flatten)]
        which: Which,
    },
}

/// Which embedded server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// The major version [default: every one that the manifest asks for; `stop`, `status` and `remove` take in
    /// whatever else is on disk for this repository]
    #[arg(long, value_name = "MAJOR")]
    pub(crate) postgres: Option<u32>,
}
