//! Transactions of the fake: a session's copy of its database, until it takes the database's place.

use async_trait::async_trait;

use super::{CallKind, FakeSession, failure::lost, lock};
use crate::{Atomic, EngineError};

#[async_trait]
impl Atomic for FakeSession<'_> {
    async fn ready(&mut self) -> Result<(), EngineError> {
        self.on_database(CallKind::Ready, |_| Ok(())).await
    }

    async fn commit(&mut self) -> Result<(), EngineError> {
        let (name, working) = (self.database.clone(), lock(&self.working).take());
        let committed = self.engine.play(&self.database, CallKind::Commit, &self.session, |state| {
            match (state.databases.get_mut(&name), working) {
                (Some(database), Some(working)) if database.incarnation == self.incarnation => {
                    *database = working;
                    Ok(())
                }
                _ => Err(lost(&name)),
            }
        });
        committed.await
    }
}
