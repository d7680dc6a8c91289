//! The document of `status`.

use dbctl_engine::Prepared;
use dbctl_migration::State;
use dbctl_runner::{DatabaseStatus, StatusReport};
use serde::Serialize;

use super::{Error, error, ms};

/// Every state, in the order in which `counts` lists them.
pub(crate) const STATES: [State; 7] = [
    State::Applied,
    State::Pending,
    State::OutOfOrder,
    State::Changed,
    State::Missing,
    State::Failed,
    State::Partial,
];

/// The document of `status`.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'s> {
    workspace: &'s str,
    databases: Vec<StatusOf<'s>>,
}

/// Where one database stands.
#[derive(Debug, Serialize)]
pub(crate) struct StatusOf<'s> {
    key: &'s str,
    name: &'s str,
    server: &'s str,
    exists: Option<bool>,
    migrations: Vec<StatusEntry<'s>>,
    counts: Counts,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prepared: Vec<PreparedOf<'s>>,
    /// Why `migrate` would apply nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

/// A transaction that a run has prepared and not finished.
#[derive(Debug, Serialize)]
struct PreparedOf<'s> {
    run: &'s str,
    since: &'s str,
    owner: &'s str,
    /// The database where it is recorded what becomes of it.
    decided_in: &'s str,
    gid: String,
}

#[derive(Debug, Serialize)]
struct StatusEntry<'s> {
    source: &'s str,
    version: &'s str,
    name: &'s str,
    state: &'static str,
    applied_at: Option<String>,
    elapsed_ms: Option<u64>,
    /// The baseline that is to be run instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'s str>,
}

/// The number of migrations in each state; every state is there.
#[derive(Debug, Serialize)]
struct Counts {
    applied: usize,
    pending: usize,
    out_of_order: usize,
    changed: usize,
    missing: usize,
    failed: usize,
    partial: usize,
}

/// The document of `status`.
pub(crate) fn status<'s>(workspace: &'s str, report: &'s StatusReport) -> Status<'s> {
    Status { workspace, databases: report.databases.iter().map(status_of).collect() }
}

/// Where one database stands.
pub(crate) fn status_of(status: &DatabaseStatus) -> StatusOf<'_> {
    let counts = status.counts();
    let count = |state| counts.get(&state).copied().unwrap_or_default();
    StatusOf {
        key: status.key.as_str(),
        name: &status.name,
        server: &status.server,
        exists: status.exists,
        migrations: status
            .migrations
            .iter()
            .map(|entry| StatusEntry {
                source: &entry.source,
                version: &entry.version,
                name: &entry.name,
                state: entry.state.as_str(),
                applied_at: entry.applied_at.map(|at| at.to_string()),
                elapsed_ms: entry.elapsed.map(ms),
                held_by: entry.held_by.as_deref(),
            })
            .collect(),
        counts: Counts {
            applied: count(State::Applied),
            pending: count(State::Pending),
            out_of_order: count(State::OutOfOrder),
            changed: count(State::Changed),
            missing: count(State::Missing),
            failed: count(State::Failed),
            partial: count(State::Partial),
        },
        prepared: status
            .prepared
            .iter()
            .map(|Prepared { gid, owner, since }| PreparedOf {
                run: &gid.run,
                since,
                owner,
                decided_in: &gid.decided_in.database,
                gid: gid.to_string(),
            })
            .collect(),
        blocked: status.blocked.as_deref().map(|reason| error(reason, status.key.as_str())),
        error: status.error.as_deref().map(|failure| error(failure, status.key.as_str())),
    }
}
