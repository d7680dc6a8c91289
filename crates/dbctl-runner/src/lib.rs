//! Request → Plan → execute → Event* → Summary, with one file per action.
//!
//! [`plan()`] is pure and offline. [`execute()`] is one loop that starts what can start and waits for what runs. What
//! happens is said in [`Event`]s; the [`Summary`] is a fold over them, so a report and the summary cannot disagree.

mod action;
mod atomic;
mod baseline;
mod check;
mod child;
mod error;
mod event;
mod execute;
mod files;
mod frozen;
mod gate;
mod history;
mod hook;
mod of_run;
mod plan;
mod program;
mod record;
mod request;
mod requires;
mod runs;
mod settle;
mod stamp;
mod status;
mod summary;
mod target;
mod twins;
mod two_phase;
mod undo_order;

pub use check::needed;
pub use child::{child_env, set_env};
pub use error::{PlanError, StepError};
pub use event::{Direction, Event, MigrationRef};
pub use execute::{Foreseen, Run, execute, foresee};
pub use files::{SourceFiles, read_sources};
pub use frozen::{Frozen, FrozenDatabase, FrozenFile, FrozenRow, Moved, freeze};
pub use history::{ChecksumState, DatabaseHistory, HistoryRow, SourceHistory, history};
pub use hook::hooks;
pub use plan::{Plan, Step, StepId, plan};
pub use request::{Action, Adopt, Atomic, Edit, Flow, Limits, Migrate, Request, Through};
pub use requires::{Required, required_of};
pub use runs::{RunDatabase, RunEntry, RunState, Runs, WhichRun, runs};
pub use stamp::stamp;
pub use status::{DatabaseStatus, StatusEntry, StatusReport, status};
pub use summary::{DatabaseSummary, MigrationDone, Outcome, RunOutcome, SeedDone, Skip, Summary};
pub use target::{DEFAULT_MAX_CONNECTIONS, targets};
