//! All or nothing: what a run over several databases asks of their sessions.

use async_trait::async_trait;

use crate::{Applier, EngineError};

/// A session whose work is one transaction. It stays open, and holds its locks, until it is told what becomes of it;
/// closing it before undoes everything.
#[async_trait]
pub trait Atomic: Applier {
    /// Sees that the transaction is still open and that what it has deferred holds, so that nothing but the loss of the
    /// server stands in the way of its commit.
    async fn ready(&mut self) -> Result<(), EngineError>;
    /// Commits, also while the run is being stopped: others may have committed already.
    async fn commit(&mut self) -> Result<(), EngineError>;
}
