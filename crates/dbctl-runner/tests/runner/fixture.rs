//! Workspaces on disk, requests, and runs on the fake.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    future::{Future, pending},
    num::NonZeroUsize,
    path::Path,
    time::Duration,
};

use dbctl_engine::{
    LockHolder, Notice, Observer, Session, Target,
    embedded::EmbeddedHome,
    fake::{CallKind, Fake, Record},
};
use dbctl_migration::RunStamp;
use dbctl_runner::{
    Action, Event, Limits, Migrate, Outcome, Plan, Request, Run, Runs, Skip, Summary, execute, plan, runs,
    targets,
};
use dbctl_workspace::{Env, Key, LoadOptions, Workspace, load};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A workspace in a folder of its own: each database has two native migrations with downs, and one seed.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) workspace: Workspace,
    pub(crate) targets: BTreeMap<Key, Target>,
}

pub(crate) const FIRST: &str = "20260101000000_first";
pub(crate) const SECOND: &str = "20260102000000_second";

impl Fixture {
    /// Databases with what they depend on.
    pub(crate) fn new(databases: &[(&str, &[&str])]) -> Self {
        Self::with_extra(databases, "")
    }

    /// The same with more lines at the end of the manifest.
    pub(crate) fn with_extra(databases: &[(&str, &[&str])], extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = "workspace: test\ndatabases:\n".to_owned();
        for (key, depends_on) in databases {
            write!(
                manifest,
                "  {key}:\n    name: {key}_db\n    depends_on: [{}]\n    migrations: [{{ path: m/{key}, format: native }}]\n    seeds: {{ path: s/{key} }}\n",
                depends_on.join(", "),
            )
            .unwrap();
            let migrations = folder.path().join("m").join(key);
            fs::create_dir_all(&migrations).unwrap();
            for name in [FIRST, SECOND] {
                fs::write(migrations.join(format!("{name}.sql")), format!("select '{key} {name}';\n"))
                    .unwrap();
                fs::write(migrations.join(format!("{name}.down.sql")), "select 0;\n").unwrap();
            }
            let seeds = folder.path().join("s").join(key);
            fs::create_dir_all(&seeds).unwrap();
            fs::write(seeds.join("001_rows.sql"), "select 1;\n").unwrap();
        }
        manifest.push_str(extra);
        fs::write(folder.path().join("workspace.yaml"), manifest).unwrap();
        Self::open(folder, "development")
    }

    /// A manifest of its own, with the files it speaks of.
    pub(crate) fn written(manifest: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("workspace.yaml"), manifest).unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self::open(folder, "development")
    }

    fn open(folder: TempDir, environment: &str) -> Self {
        let options = LoadOptions {
            manifest: folder.path().join("workspace.yaml"),
            env: Env::default(),
            environment: Some(environment.to_owned()),
        };
        let workspace = load(&options).unwrap();
        let home = EmbeddedHome::from_vars(|name| (name == "HOME").then(|| "/nonexistent".to_owned()));
        let targets = targets(&workspace, workspace.order(), &home).unwrap();
        Self { folder, workspace, targets }
    }

    /// The same folder under another environment.
    pub(crate) fn under(self, environment: &str) -> Self {
        Self::open(self.folder, environment)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn keys(&self, names: &[&str]) -> BTreeSet<Key> {
        names.iter().map(|name| key(name)).collect()
    }

    pub(crate) fn request(&self, actions: Vec<Action>, names: &[&str]) -> Request {
        Request {
            command: "test",
            actions,
            targets: self.keys(names),
            no_deps: false,
            ignore_dependents: false,
            no_hooks: false,
            allow_protected: None,
            limits: Limits { jobs: NonZeroUsize::new(8).unwrap(), wait: Duration::ZERO, fail_fast: false },
        }
    }

    pub(crate) fn plan(&self, request: &Request) -> Plan {
        plan(&self.workspace, request).unwrap()
    }

    /// Runs a request on the fake, undisturbed.
    pub(crate) fn run(&self, fake: &Fake, request: &Request) -> (Summary, Vec<Event>) {
        self.run_until(fake, request, pending())
    }

    /// Runs a request on the fake, undisturbed, as the run with that id.
    pub(crate) fn run_as(&self, fake: &Fake, request: &Request, run: &str) -> (Summary, Vec<Event>) {
        self.run_as_until(fake, request, run, pending())
    }

    /// Runs a request on the fake until `stop` resolves.
    pub(crate) fn run_until(
        &self,
        fake: &Fake,
        request: &Request,
        stop: impl Future<Output = ()> + Send,
    ) -> (Summary, Vec<Event>) {
        self.run_as_until(fake, request, "r1", stop)
    }

    fn run_as_until(
        &self,
        fake: &Fake,
        request: &Request,
        run: &str,
        stop: impl Future<Output = ()> + Send,
    ) -> (Summary, Vec<Event>) {
        let plan = self.plan(request);
        let stamp = RunStamp { run: run.to_owned(), dbctl_version: "0".to_owned() };
        let run = Run {
            workspace: &self.workspace,
            plan: &plan,
            targets: &self.targets,
            elsewhere: &[],
            stamp: &stamp,
        };
        let mut events = Vec::new();
        let mut on_event = |event| events.push(event);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = sendable(execute(run, fake, stop, &mut on_event));
        let summary = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), ended)
                .await
                .expect("no step waits for another's place")
        });
        assert_eq!(fake.open_sessions(), 0, "every session is closed");
        (summary, events)
    }

    /// The runs that the databases tell of.
    pub(crate) fn runs(&self, fake: &Fake) -> Runs {
        let stamp = RunStamp { run: "look".to_owned(), dbctl_version: "0".to_owned() };
        let session = Session {
            verb: "history",
            stamp: &stamp,
            cancel: CancellationToken::new(),
            observer: &Deaf,
            wait: Duration::ZERO,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let jobs = NonZeroUsize::new(8).unwrap();
        runtime.block_on(runs(self.workspace.order(), &self.targets, fake, &session, jobs))
    }

    /// `up --all`, undisturbed.
    pub(crate) fn up_all(&self, fake: &Fake) -> Summary {
        let all: Vec<&str> = self.workspace.order().iter().map(Key::as_str).collect();
        self.run(fake, &self.request(Request::up_actions(), &all)).0
    }
}

/// Hears nothing.
struct Deaf;

impl Observer for Deaf {
    fn notice(&self, _: Notice) {}

    fn waiting(&self, _: &LockHolder) {}
}

/// An application that embeds dbctl may spawn a run: its future has to be `Send`.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

pub(crate) fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

pub(crate) fn migrate() -> Vec<Action> {
    vec![Action::Migrate(Migrate::default())]
}

/// Why a database failed.
pub(crate) fn error(summary: &Summary, key: &str) -> String {
    let database = summary.databases.iter().find(|db| db.key.as_str() == key).unwrap();
    match &database.outcome {
        Outcome::Failed(error) => error.to_string(),
        outcome => panic!("{key} is {}", outcome.as_str()),
    }
}

/// Whether anything was asked of the fake but to look.
pub(crate) fn touched(fake: &Fake) -> bool {
    fake.log().iter().any(|record| {
        matches!(record, Record::Started(call)
            if !matches!(call.kind, CallKind::Exists | CallKind::MayCreate | CallKind::Open | CallKind::Applied(_) | CallKind::Close))
    })
}

/// Each database with how it ended, in the summary's order.
pub(crate) fn outcomes(summary: &Summary) -> String {
    let one = |db: &dbctl_runner::DatabaseSummary| match &db.outcome {
        Outcome::Skipped(Skip::Needs(key)) => format!("{}: skipped, needs {key}", db.key),
        Outcome::Skipped(Skip::Halted(key)) => format!("{}: skipped, halted by {key}", db.key),
        outcome => format!("{}: {}", db.key, outcome.as_str()),
    };
    summary.databases.iter().map(one).collect::<Vec<_>>().join(", ")
}
