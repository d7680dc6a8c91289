//! A migration as it is on disk.

use std::{fmt, path::PathBuf};

use crate::{Checksum, Directives, ToolChecksum, split::split};

/// What orders and names a migration within its source, as the format spells it (`1700000000000`, `20260101120000`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    /// Takes the text as the format spells it; ordering between versions is the format's business, not this type's.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A migration on disk: what would run, never whether it did (that is [`crate::Applied`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What orders it, for people and for `--to`.
    pub version: Version,
    /// The whole name as the tool stores or shows it, usually the file's stem: `1700000000000_users`.
    pub name: String,
    /// What applying it runs.
    pub up: Script,
    /// What reverting it runs; `None` where there is no down part, or one without a statement.
    pub down: Option<Script>,
    /// dbctl's own, of the whole file; what the ledger keeps.
    pub checksum: Checksum,
    /// The tool's, where it keeps one.
    pub tool_checksum: Option<ToolChecksum>,
    /// What the comments at the top of the file ask for.
    pub directives: Directives,
}

impl Migration {
    /// Whether a recorded checksum, the tool's or the ledger's, is that of this file.
    pub fn has_checksum(&self, recorded: &Checksum) -> bool {
        self.checksum == *recorded || self.tool_checksum.as_ref().is_some_and(|tool| tool.covers(recorded))
    }

    /// Whether applying it runs no statement: a file that is empty, or has comments alone.
    pub fn is_empty(&self) -> bool {
        is_empty(&self.up)
    }

    /// What reverting it runs, where that is known; of one without a statement there is nothing to revert.
    pub fn reverted_by(&self) -> Option<&Script> {
        self.down.as_ref().or_else(|| self.is_empty().then_some(&self.up))
    }

    /// Takes a down part that has no statement for none, unless there is nothing to revert either: what a template left
    /// empty would record a migration as reverted whose tables are still there.
    pub(crate) fn reverting(mut self) -> Self {
        if self.down.as_ref().is_some_and(is_empty) && !is_empty(&self.up) {
            self.down = None;
        }
        self
    }
}

fn is_empty(script: &Script) -> bool {
    split(&script.sql).is_ok_and(|statements| statements.is_empty())
}

/// A piece of SQL and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The file, relative to the workspace, as errors show it.
    pub path: PathBuf,
    /// The line of `path` on which `sql` starts, from 1.
    pub first_line: usize,
    /// The SQL, decoded, without a byte order mark.
    pub sql: String,
    /// Whether it runs inside a transaction.
    pub transaction: Transaction,
}

/// How a script meets transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// The whole script and its history rows commit together.
    One,
    /// The script cannot run in a transaction: statement by statement, each committed with its progress.
    None,
}
