//! What a run that was all or nothing has prepared and not finished is finished, in the direction that is recorded.

use dbctl_engine::{Decision, EngineError, Gid, Prepared, Target};

use crate::{StepError, action::StepContext};

impl StepContext<'_> {
    /// Finishes these transactions of the database. Whoever calls it has no place at any gate: the decision is looked up
    /// in another database. Waits for a run that is still at work.
    pub(crate) async fn settle(&self, prepared: &[Prepared]) -> Result<(), StepError> {
        for Prepared { gid, .. } in prepared {
            let decision = self.decision(gid, None).await?;
            self.conclude(gid, decision).await?;
            self.warn(settled(gid, decision));
        }
        Ok(())
    }

    /// What becomes of a transaction, and so of all of its run.
    async fn decision(&self, gid: &Gid, asked: Option<Decision>) -> Result<Decision, StepError> {
        let session = self.shared.session(&self.ear);
        let mut why = None;
        for target in self.ways_to(gid) {
            let _place = self.shared.gate.enter(&target, &self.shared.work).await?;
            match self.shared.engine.identity(&target, &session).await {
                Ok(identity) if identity == gid.decided_in => {}
                Ok(_) => continue,
                Err(EngineError::Cancelled) => return Err(EngineError::Cancelled.into()),
                Err(error) => {
                    why = Some(Box::new(error));
                    continue;
                }
            }
            match self.shared.engine.decision(&target, gid, asked, &session).await {
                Err(error @ (EngineError::Connect(_) | EngineError::NoDecisions { .. })) => {
                    why = Some(Box::new(error));
                }
                decided => return Ok(decided?),
            }
        }
        let (run, database) = (gid.run.clone(), gid.decided_in.database.clone());
        Err(StepError::Undecided { run, database, why })
    }

    /// Ways that may lead to where it is decided: those of databases of that name, and the one to this database, which may
    /// be on the same server.
    fn ways_to(&self, gid: &Gid) -> Vec<Target> {
        let name = &gid.decided_in.database;
        let run = &self.shared.run;
        let own = || [self.target].into_iter().chain(run.targets.values()).chain(run.elsewhere);
        let mut ways: Vec<Target> = own().filter(|target| target.name.as_str() == name).cloned().collect();
        if let (true, Ok(name)) = (ways.is_empty(), dbctl_migration::DatabaseName::parse(name)) {
            ways.push(Target { name, ..self.target.clone() });
        }
        ways
    }

    /// Does to one transaction of the database what was decided, on a session of its own.
    pub(crate) async fn conclude(&self, gid: &Gid, decision: Decision) -> Result<(), EngineError> {
        let _place = self.shared.gate.enter(self.target, &self.shared.work).await?;
        let session = self.shared.session(&self.ear);
        self.shared.engine.conclude(self.target, gid, decision, &session).await
    }

    /// What became of this run's own transactions, once the session that was to decide is gone.
    pub(crate) async fn decision_of_own(&self, gid: &Gid) -> Result<Decision, EngineError> {
        let _place = self.shared.gate.enter(self.target, &self.shared.work).await?;
        let session = self.shared.session(&self.ear);
        self.shared.engine.decision(self.target, gid, None, &session).await
    }
}

fn settled(gid: &Gid, decision: Decision) -> String {
    format!("what the run {} had prepared and not finished is {}", gid.run, decision.done())
}

/// Those that one run has prepared, by its id or how it begins.
pub(crate) fn of_run(open: Vec<Prepared>, run: &str) -> Result<Vec<Prepared>, StepError> {
    let mut found: Vec<Prepared> = open.into_iter().filter(|one| one.gid.run.starts_with(run)).collect();
    let several = found.iter().any(|one| one.gid.run != found[0].gid.run);
    if several {
        found.retain(|one| one.gid.run == run);
    }
    match found.is_empty() {
        true => Err(StepError::NothingPrepared { run: run.to_owned() }),
        false => Ok(found),
    }
}

/// Finishes what a run has prepared here as somebody says who has looked. Where it can be reached, that is recorded for
/// the run's other databases, and nothing is done against what is recorded already.
pub(crate) async fn by_hand(
    context: &StepContext<'_>,
    run: &str,
    asked: Decision,
) -> Result<bool, StepError> {
    let mut reader = context.open_reader().await?;
    let found = reader.two_phase().await;
    reader.close().await;
    for Prepared { gid, .. } in of_run(found?.open, run)? {
        match context.decision(&gid, Some(asked)).await {
            Ok(recorded) if recorded != asked => {
                return Err(StepError::Decided { run: gid.run, recorded });
            }
            Ok(_) => {}
            Err(StepError::Undecided { database, .. }) => context.warn(format!(
                "`{database}`, where it is decided what becomes of the run's databases, was not asked: see that the others \
                 are {} as well",
                asked.done()
            )),
            Err(error) => return Err(error),
        }
        context.conclude(&gid, asked).await?;
        context.warn(settled(&gid, asked));
    }
    Ok(true)
}
