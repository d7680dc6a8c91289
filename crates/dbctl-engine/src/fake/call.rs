//! What was asked of the fake, and how it is to answer.

use crate::Decision;

/// One thing the runner asked of the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The database's name.
    pub database: String,
    /// What was asked.
    pub kind: CallKind,
}

/// The calls that matter to a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallKind {
    /// [`crate::Engine::exists`].
    Exists,
    /// [`crate::Engine::may_drop`].
    MayDrop,
    /// [`crate::Engine::may_create`].
    MayCreate,
    /// [`crate::Engine::create`].
    Create,
    /// [`crate::Engine::drop`].
    Drop,
    /// [`crate::Engine::open`].
    Open,
    /// [`crate::Engine::open_exclusive`].
    Lock,
    /// [`crate::Reader::applied`], of a source.
    Applied(String),
    /// [`crate::Applier::prepare`].
    Prepare,
    /// [`crate::Applier::begin_run`].
    BeginRun,
    /// [`crate::Writer::end_run`], with the outcome.
    EndRun(String),
    /// [`crate::Applier::apply`], of a migration by name.
    Apply(String),
    /// [`crate::Applier::baseline`], of a file by name.
    Baseline(String),
    /// [`crate::Applier::note`], each note in words.
    Note(Vec<String>),
    /// [`crate::Writer::revert`], of a migration by name.
    Revert(String),
    /// [`crate::Writer::seed`], of a file.
    Seed(String),
    /// [`crate::Writer::clean`].
    Clean,
    /// [`crate::Atomic::ready`].
    Ready,
    /// [`crate::Atomic::commit`].
    Commit,
    /// [`crate::Atomic::lead`].
    Lead,
    /// [`crate::Atomic::prepare_commit`].
    PrepareCommit,
    /// [`crate::Atomic::decide`].
    Decide,
    /// [`crate::Atomic::conclude`], or that of the engine.
    Conclude(Decision),
    /// [`crate::Engine::decision`].
    Decision,
    /// [`crate::Reader::close`].
    Close,
}

impl CallKind {
    /// Whether it is done even though the run is being stopped.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Close | Self::EndRun(_) | Self::Commit | Self::PrepareCommit | Self::Conclude(_))
    }
}

/// How a call behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// How often the call gives way to others before it answers.
    pub yields: usize,
    /// What goes wrong, after the yields.
    pub fault: Option<Fault>,
}

/// What can go wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A statement fails; nothing of the call remains.
    Error,
    /// The connection is lost before the call took effect.
    LostBefore,
    /// The same, and nothing of a file was under way: where files are run, before the first of its statements.
    LostBetween,
    /// The connection is lost after the call took effect.
    LostAfter,
    /// It never answers, until it is cancelled.
    Hang,
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A call came in.
    Started(Call),
    /// A call answered; `true` if it took effect.
    Ended(Call, bool),
}
