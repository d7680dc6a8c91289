//! One loop: settle what can no longer run, start what can, wait for a step or the order to stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dbctl_engine::{Engine, Identity, Session, Target};
use dbctl_migration::RunStamp;
use dbctl_workspace::{Key, Workspace};
use futures::{FutureExt, StreamExt, future::FusedFuture, stream::FuturesUnordered};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Event, Outcome, Plan, Step, StepError, StepId, Summary,
    action::{self, Ran, StepContext},
    atomic::{self, Held, Looked},
    check::{self, Checked},
    event::{Ear, Events, Sink},
    files::Rows,
    gate::Gate,
    summary::{Fold, Skip},
};

/// A plan with all it takes to carry it out.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The workspace the plan was made for.
    pub workspace: &'a Workspace,
    /// What to do.
    pub plan: &'a Plan,
    /// How to reach every database of the plan, every dependency and dependent of one, and every database that
    /// another's `env` names.
    pub targets: &'a BTreeMap<Key, Target>,
    /// Ways to other databases of the workspace, as far as they are known. Only asked for what a run over several
    /// databases has left.
    pub elsewhere: &'a [Target],
    /// Who is at work.
    pub stamp: &'a RunStamp,
}

/// What all steps of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) run: Run<'a>,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) events: &'a dyn Sink,
    /// The run is to stop.
    pub(crate) cancel: CancellationToken,
    /// What is under way is to stop: as `cancel`, and where nothing can come of it any more.
    pub(crate) work: CancellationToken,
    pub(crate) gate: Gate,
    /// Which key reached which database first; two keys on one database are an error.
    claims: Mutex<BTreeMap<Identity, Key>>,
    /// How many databases of a run that is all or nothing have their locks, in the plan's order, or have failed to get them.
    pub(crate) locked: watch::Sender<usize>,
    /// Whether nothing may be done, only looked at.
    pub(crate) foresees: bool,
    /// What the checks of a run that is all or nothing have found.
    looked: Mutex<BTreeMap<Key, Looked>>,
    /// What is applied where a transaction is still open.
    rows: Mutex<BTreeMap<Key, Vec<Rows>>>,
    /// What databases have recorded that the run came to.
    recorded: Mutex<BTreeMap<Key, &'static str>>,
}

/// Carries out a plan: each database starts the moment its own needs are done, at most `limits.jobs` at once, and
/// never more sessions are open on a server than its cap. What cannot run is skipped with the reason. When `stop` resolves, running
/// statements are cancelled and rolled back, and nothing more starts. Every step ends exactly once.
pub async fn execute(
    run: Run<'_>,
    engine: &dyn Engine,
    stop: impl Future<Output = ()> + Send,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> Summary {
    let events = Events::new(Fold::new(), on_event);
    let request = &run.plan.request;
    let name = |key: &Key| run.workspace.database(key).name.to_string();
    events.emit(Event::RunStarted {
        command: request.command,
        workspace: run.workspace.name().to_owned(),
        run: run.stamp.run.clone(),
        databases: run.plan.databases.iter().map(|key| (key.clone(), name(key))).collect(),
    });
    let shared = Shared::new(run, engine, &events);
    let stop = pin!(stop.fuse());
    carry_out(&shared, stop).await;
    drop(shared);
    events.finish()
}

async fn carry_out(shared: &Shared<'_>, mut stop: Pin<&mut (impl FusedFuture<Output = ()> + Send)>) {
    let plan = shared.run.plan;
    let checked = heeding(&mut stop, &shared.cancel, check::check(shared)).await;
    let contexts: Vec<StepContext<'_>> =
        plan.steps.iter().map(|step| shared.context(&step.database)).collect();
    let mut ledger = Ledger::new(shared, checked);
    if plan.request.atomic().is_some() && !ledger.refused {
        let hooks = atomic::hooks_before(&contexts, &plan.steps);
        if let Some((id, outcome, elapsed)) = heeding(&mut stop, &shared.cancel, hooks).await {
            ledger.waiting.remove(&id);
            ledger.end(id, outcome, elapsed);
        }
    }
    let mut running = FuturesUnordered::new();
    loop {
        ledger.settle();
        for id in ledger.startable() {
            ledger.start(id);
            running.push(run_step(&contexts[id.0], plan.step(id)));
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = &mut stop, if !shared.cancel.is_cancelled() => shared.cancel.cancel(),
            Some(ran) = running.next() => ledger.hear(ran),
        }
    }
    let held = std::mem::take(&mut ledger.held);
    let conclusion = atomic::conclude(shared, &contexts, held, ledger.halted_by.clone());
    for (id, outcome, elapsed) in heeding(&mut stop, &shared.cancel, conclusion).await {
        heeding(&mut stop, &shared.cancel, contexts[id.0].finish_late(&outcome)).await;
        ledger.end(id, outcome, elapsed);
    }
}

/// What carrying out a plan that destroys would come to, as far as that shows without touching anything.
#[derive(Debug, Default)]
pub struct Foreseen {
    /// The databases of which it is known that they would fail, in the plan's order: nothing would be done.
    pub failed: Vec<(Key, StepError)>,
    /// The migrations that would be reverted, in that order.
    pub reverts: BTreeMap<Key, Vec<String>>,
}

/// Looks at everything that [`execute`] looks at before it begins; dropping it leaves nothing behind.
pub async fn foresee(run: Run<'_>, engine: &dyn Engine) -> Foreseen {
    let mut unheard = |_| {};
    let events = Events::new(Fold::new(), &mut unheard);
    let Checked { failed, reverts, .. } =
        check::check(&Shared { foresees: true, ..Shared::new(run, engine, &events) }).await;
    Foreseen { failed, reverts }
}

/// Does something to its end, and has the run stop when it is to.
async fn heeding<T>(
    stop: &mut Pin<&mut (impl FusedFuture<Output = ()> + Send)>,
    cancel: &CancellationToken,
    work: impl Future<Output = T> + Send,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            () = &mut *stop, if !cancel.is_cancelled() => cancel.cancel(),
            done = &mut work => break done,
        }
    }
}

/// What became of a step that ran: over, or held.
type StepRan<'a> = (StepId, Result<Outcome, Held<'a>>, Duration);

async fn run_step<'a>(context: &'a StepContext<'a>, step: &'a Step) -> StepRan<'a> {
    let started = Instant::now();
    context.emit(Event::StepStarted { database: step.database.clone(), action: step.action.name() });
    let outcome = match action::run(context, &step.action).await {
        Ok(Ran::Over(true)) => Outcome::Done,
        Ok(Ran::Over(false)) => Outcome::Unchanged,
        Ok(Ran::Open { session, changed }) => {
            let elapsed = started.elapsed();
            return (step.id, Err(Held { session: Some(session), changed, elapsed }), elapsed);
        }
        Err(error) if error.is_cancelled() => Outcome::Cancelled,
        Err(error) => Outcome::Failed(Arc::new(error)),
    };
    context.finish_late(&outcome).await;
    (step.id, Ok(outcome), started.elapsed())
}

impl<'a> Shared<'a> {
    pub(crate) fn new(run: Run<'a>, engine: &'a dyn Engine, events: &'a dyn Sink) -> Self {
        let cancel = CancellationToken::new();
        Self {
            run,
            engine,
            events,
            work: cancel.child_token(),
            cancel,
            gate: Gate::new(run.targets.values().chain(run.elsewhere)),
            claims: Mutex::default(),
            locked: watch::Sender::new(0),
            foresees: false,
            looked: Mutex::default(),
            rows: Mutex::default(),
            recorded: Mutex::default(),
        }
    }
}

impl Shared<'_> {
    /// What one database's steps and checks work with.
    pub(crate) fn context(&self, key: &Key) -> StepContext<'_> {
        let database = self.run.workspace.database(key);
        let target = self.run.targets.get(key).expect("targets hold every database of the plan");
        StepContext {
            shared: self,
            database,
            target,
            ear: Ear { events: self.events, database: Arc::new(key.clone()) },
        }
    }

    /// A session's view of the run.
    pub(crate) fn session<'s>(&'s self, ear: &'s Ear<'_>) -> Session<'s> {
        Session {
            verb: self.run.plan.request.command,
            stamp: self.run.stamp,
            cancel: self.work.clone(),
            observer: ear,
            wait: self.run.plan.request.limits.wait,
        }
    }

    /// Notes what is applied to a database, its open transaction included.
    pub(crate) fn keep_rows(&self, key: &Key, rows: Vec<Rows>) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), rows);
    }

    /// What is applied to a database whose transaction is open.
    pub(crate) fn rows(&self, key: &Key) -> Option<Vec<Rows>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Notes what a database has recorded that the run came to.
    pub(crate) fn recorded(&self, key: &Key, came_to: &'static str) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.insert(key.clone(), came_to);
    }

    /// What that is so far.
    pub(crate) fn recorded_so_far(&self, key: &Key) -> Option<&'static str> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// Notes what the checks have found in a database.
    pub(crate) fn keep_looked(&self, key: &Key, looked: Looked) {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), looked);
    }

    /// What the checks have found.
    pub(crate) fn looked(&self) -> BTreeMap<Key, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a key leads to a database; an error if another key led there before.
    pub(crate) fn claim(&self, identity: Identity, key: &Key) -> Result<(), StepError> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let database = identity.database.clone();
        let first = claims.entry(identity).or_insert_with(|| key.clone());
        if first == key { Ok(()) } else { Err(StepError::SameDatabase { other: first.clone(), database }) }
    }
}

/// Which step is where; the only state of the loop.
struct Ledger<'a> {
    shared: &'a Shared<'a>,
    waiting: BTreeSet<StepId>,
    running: BTreeSet<StepId>,
    held: BTreeMap<StepId, Held<'a>>,
    ended: BTreeMap<StepId, Outcome>,
    /// The first database that failed, where that stops everything else.
    halted_by: Option<Key>,
    /// Whether that was before anything started.
    refused: bool,
}

impl<'a> Ledger<'a> {
    /// With the databases that failed their checks.
    fn new(shared: &'a Shared<'a>, Checked { failed, refused, .. }: Checked) -> Self {
        let steps = &shared.run.plan.steps;
        let halted_by = failed.first().filter(|_| refused).map(|(key, _)| key.clone());
        let mut ledger = Self {
            shared,
            waiting: steps.iter().map(|step| step.id).collect(),
            running: BTreeSet::new(),
            held: BTreeMap::new(),
            ended: BTreeMap::new(),
            refused: halted_by.is_some(),
            halted_by,
        };
        for (key, error) in failed {
            let first =
                steps.iter().find(|step| step.database == key).expect("checks are of the plan's databases");
            let outcome =
                if error.is_cancelled() { Outcome::Cancelled } else { Outcome::Failed(Arc::new(error)) };
            ledger.waiting.remove(&first.id);
            ledger.end(first.id, outcome, Duration::ZERO);
        }
        ledger
    }

    /// Ends every waiting step that can no longer run.
    fn settle(&mut self) {
        for id in self.waiting.clone() {
            let outcome = if self.shared.cancel.is_cancelled() {
                Outcome::Cancelled
            } else if let Some(skip) = self.skip(self.shared.run.plan.step(id)) {
                Outcome::Skipped(skip)
            } else {
                continue;
            };
            self.waiting.remove(&id);
            self.end(id, outcome, Duration::ZERO);
        }
    }

    /// Why a step can no longer run. What it needs itself says more than that the run was halted, unless nothing was
    /// to start in the first place.
    fn skip(&self, step: &Step) -> Option<Skip> {
        let halted = self.halted_by.clone().map(Skip::Halted);
        if self.refused {
            return halted;
        }
        let needs = step.needs.iter().find_map(|need| {
            let by = &self.shared.run.plan.step(*need).database;
            match self.ended.get(need)? {
                Outcome::Done | Outcome::Unchanged | Outcome::Skipped(Skip::Halted(_)) => None,
                Outcome::Failed(_) | Outcome::Cancelled => Some(by),
                Outcome::Skipped(Skip::Needs(root)) => {
                    Some(if *by == step.database || self.is_before(root, step) { root } else { by })
                }
            }
        });
        needs.cloned().map(Skip::Needs).or(halted)
    }

    /// Whether a database is one that the step's own depends on, or that depends on it.
    fn is_before(&self, key: &Key, step: &Step) -> bool {
        let workspace = self.shared.run.workspace;
        workspace.dependencies(&step.database).contains(key)
            || workspace.dependents(&step.database).contains(key)
    }

    /// Waiting steps whose needs are done, as many as the bounds allow, in the plan's order.
    fn startable(&self) -> Vec<StepId> {
        let plan = self.shared.run.plan;
        let target = |id: StepId| &self.shared.run.targets[&plan.step(id).database];
        let mut load: BTreeMap<&str, usize> = BTreeMap::new();
        for id in &self.running {
            *load.entry(&target(*id).server).or_default() += 1;
        }
        let mut free = plan.request.limits.jobs.get() - self.running.len();
        let mut startable = Vec::new();
        for id in &self.waiting {
            if free == 0 {
                break;
            }
            let over = |need: &StepId| self.ended.contains_key(need) || self.held.contains_key(need);
            let ready = plan.step(*id).needs.iter().all(over);
            let on_server = load.entry(&target(*id).server).or_default();
            if ready && *on_server < self.shared.gate.cap(target(*id)) {
                *on_server += 1;
                free -= 1;
                startable.push(*id);
            }
        }
        startable
    }

    fn start(&mut self, id: StepId) {
        self.waiting.remove(&id);
        self.running.insert(id);
    }

    fn hear(&mut self, (id, ran, elapsed): StepRan<'a>) {
        match ran {
            Ok(outcome) => self.end(id, outcome, elapsed),
            Err(held) => {
                self.running.remove(&id);
                self.held.insert(id, held);
            }
        }
    }

    fn end(&mut self, id: StepId, mut outcome: Outcome, elapsed: Duration) {
        let step = self.shared.run.plan.step(id);
        let request = &self.shared.run.plan.request;
        self.running.remove(&id);
        if matches!(outcome, Outcome::Failed(_)) && (request.limits.fail_fast || request.atomic().is_some()) {
            self.halted_by.get_or_insert_with(|| step.database.clone());
        }
        if request.atomic().is_some()
            && let Some(by) = &self.halted_by
        {
            // What others are doing is going to be rolled back anyway.
            self.shared.work.cancel();
            if matches!(outcome, Outcome::Cancelled) && !self.shared.cancel.is_cancelled() {
                outcome = Outcome::Skipped(Skip::Halted(by.clone()));
            }
        }
        self.shared.events.emit(Event::StepFinished {
            database: step.database.clone(),
            action: step.action.name(),
            outcome: outcome.clone(),
            elapsed,
        });
        self.ended.insert(id, outcome);
        let mut of_database =
            self.shared.run.plan.steps.iter().filter(|other| other.database == step.database);
        if of_database.all(|other| self.ended.contains_key(&other.id)) {
            let (outcome, elapsed) = self.shared.events.database_outcome(&step.database);
            self.shared.events.emit(Event::DatabaseFinished {
                database: step.database.clone(),
                outcome,
                elapsed,
            });
        }
    }
}
