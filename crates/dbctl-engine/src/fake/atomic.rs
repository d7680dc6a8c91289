//! Transactions of the fake: a session's copy of its database, until it takes the database's place.

use async_trait::async_trait;

use super::{CallKind, Fake, FakeSession, State, failure::lost, lock};
use crate::{Atomic, Decision, EngineError, Gid, LockHolder, Part, Prepared, Session, Target};

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

    async fn lead(&mut self) -> Result<u32, EngineError> {
        let run = self.session.stamp.run.clone();
        let incarnation = u32::try_from(self.incarnation).unwrap_or_default();
        let leads = self.engine.play(&self.database, CallKind::Lead, &self.session, |state| {
            match state.leading.insert(run) {
                true => {
                    // Bound to the session at once, so that even a lost answer gives it back.
                    self.leads = true;
                    Ok(incarnation)
                }
                false => Err(EngineError::Locked { database: self.database.clone(), holder: None }),
            }
        });
        leads.await
    }

    async fn prepare_commit(&mut self, gid: &Gid) -> Result<(), EngineError> {
        let (name, working) = (self.database.clone(), lock(&self.working).take());
        let writer = &mut self.writer;
        let prepared =
            self.engine.play(&self.database, CallKind::PrepareCommit, &self.session, |state| match working {
                Some(working) => {
                    state.prepared.insert(gid.to_string(), (name, working));
                    *writer = false;
                    Ok(())
                }
                None => Err(lost(&name)),
            });
        prepared.await
    }

    async fn decide(&mut self, _parts: &[Part]) -> Result<(), EngineError> {
        let run = self.session.stamp.run.clone();
        let decided =
            self.engine.play(&self.database, CallKind::Decide, &self.session, |state| {
                match state.decisions.entry(run).or_insert(Decision::Commit) {
                    Decision::Commit => Ok(()),
                    Decision::Rollback => Err(EngineError::Unsupported("it is decided otherwise".to_owned())),
                }
            });
        decided.await
    }

    async fn conclude(&mut self, gid: &Gid, decision: Decision) -> Result<(), EngineError> {
        self.engine.conclude_part(&self.database, gid, decision, &self.session).await
    }
}

impl Fake {
    /// What is decided on a run, if anything is.
    pub fn decided(&self, run: &str) -> Option<Decision> {
        self.state().decisions.get(run).copied()
    }

    /// The databases with prepared transactions.
    pub fn prepared(&self) -> Vec<String> {
        self.state().prepared.values().map(|(database, _)| database.clone()).collect()
    }

    pub(super) async fn decision_of(
        &self,
        target: &Target,
        gid: &Gid,
        asked: Option<Decision>,
        session: &Session<'_>,
    ) -> Result<Decision, EngineError> {
        let _seat = self.seat(target);
        let name = target.name.as_str();
        let run = gid.run.as_str();
        let decided = self.play(name, CallKind::Decision, session, |state| {
            let is = state.databases.get(name).map(|database| u32::try_from(database.incarnation));
            if is != Some(Ok(gid.incarnation)) {
                let reason = "is not the database it was: it was dropped, and made anew";
                return Err(EngineError::NoDecisions { database: name.to_owned(), reason });
            }
            if state.leading.contains(run) {
                let holder = LockHolder { pid: 2, ..LockHolder::default() };
                return Err(EngineError::Locked { database: name.to_owned(), holder: Some(holder) });
            }
            let decision = asked.unwrap_or(Decision::Rollback);
            Ok(*state.decisions.entry(run.to_owned()).or_insert(decision))
        });
        decided.await
    }

    pub(super) async fn conclude_part(
        &self,
        database: &str,
        gid: &Gid,
        decision: Decision,
        session: &Session<'_>,
    ) -> Result<(), EngineError> {
        let concluded = self.play(database, CallKind::Conclude(decision), session, |state| {
            let Some((name, working)) = state.prepared.remove(&gid.to_string()) else { return Ok(()) };
            state.locked.remove(&(name.clone(), working.incarnation));
            if decision == Decision::Commit {
                state.databases.insert(name, working);
            }
            Ok(())
        });
        concluded.await
    }
}

impl State {
    pub(super) fn prepared_in(&self, database: &str) -> Vec<Prepared> {
        let here = self.prepared.iter().filter(|(_, (name, _))| name == database);
        let open = here.filter_map(|(gid, _)| Gid::parse(gid));
        open.map(|gid| Prepared { gid, owner: "fake".to_owned(), since: "2026-01-01T00:00:00Z".to_owned() })
            .collect()
    }

    /// Those in other databases that are decided in this one.
    pub(super) fn decided_in(&self, database: &str) -> Vec<(String, Gid)> {
        let all = self.prepared.iter().filter(|(_, (name, _))| name != database);
        let all = all.filter_map(|(gid, (name, _))| Some((name.clone(), Gid::parse(gid)?)));
        all.filter(|(_, gid)| gid.decided_in.database == database).collect()
    }

    pub(super) fn refuse_prepared(&self, database: &str) -> Result<(), EngineError> {
        match self.prepared_in(database) {
            open if open.is_empty() => Ok(()),
            prepared => Err(EngineError::Prepared { database: database.to_owned(), prepared }),
        }
    }
}
