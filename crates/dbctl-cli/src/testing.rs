//! Values that the tests of several reports share.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use dbctl_engine::{
    ConnectError, ConnectFailure, EngineError, LockHolder, Mark, Notice, Severity, SqlError, SqlLocation,
};
use dbctl_migration::{State, Version};
use dbctl_runner::{
    DatabaseStatus, DatabaseSummary, Direction, Event, MigrationDone, MigrationRef, Outcome, RunOutcome,
    SeedDone, Skip, StatusEntry, StatusReport, StepError, Summary,
};
use dbctl_workspace::{Env, Hook, Key};

use crate::{
    cli::{Cli, Format},
    console::{Mode, Paint},
    context::Process,
};

/// A workspace on disk: `core` ← `shop` ← `stats`, `lone` apart; only `lone` needs a variable.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for package in ["core", "shop"] {
            std::fs::create_dir_all(folder.path().join(package).join("migrations")).unwrap();
        }
        let manifest = r#"
workspace: world
databases:
  core: { name: core_db, package: core, migrations: [{ path: migrations, format: native }], url: postgres://db.example/core_db }
  shop:
    package: shop
    depends_on: [core]
    tags: [app]
    migrations: [{ path: migrations, format: native }]
    seeds: { path: seeds, runners: { sh: "sh {file}" } }
    env: { LONE_URL: lone }
    url: postgres://u:hush@db.example:6432/shop
  stats: { depends_on: [shop], tags: [app, slow], url: postgres://db.example/stats }
  lone: { url: "${LONE_URL}" }
environments: { production: { protected: true } }
"#;
        std::fs::write(folder.path().join("workspace.yaml"), manifest).unwrap();
        Self { folder }
    }

    pub(crate) fn process(&self, vars: &[(&str, &str)]) -> Process {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // Its real path: temporary folders are symbolic links on some systems.
        Process { env: Env::new(vars), cwd: self.folder.path().canonicalize().unwrap() }
    }
}

pub(crate) fn cli(line: &str) -> Cli {
    let args: Vec<OsString> =
        std::iter::once("dbctl").chain(line.split_whitespace()).map(OsString::from).collect();
    crate::app::parse(&args).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Piped, without colors, for people.
pub(crate) fn mode() -> Mode {
    Mode {
        format: Format::Human,
        quiet: false,
        verbose: false,
        out: Paint(false),
        err: Paint(false),
        progress: false,
        width: None,
        can_ask: false,
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn sql_error() -> SqlError {
    SqlError {
        code: "42P01".to_owned(),
        message: "relation \"vehicle\" does not exist".to_owned(),
        detail: None,
        hint: None,
        context: None,
        statement: Some("CREATE TABLE tracking (\n  vehicle_id int\n  REFERENCES vehicle (id)\n)".to_owned()),
        location: Some(SqlLocation {
            path: PathBuf::from("apps/mextrack/migrations/1700000001000_tracking.sql"),
            line: 12,
            column: 14,
            source_line: "  REFERENCES vehicle (id)".to_owned(),
            mark: Mark::Error,
        }),
    }
}

pub(crate) fn sql(error: SqlError) -> StepError {
    StepError::Engine(EngineError::Sql(Box::new(error)))
}

pub(crate) fn connect(failure: ConnectFailure) -> StepError {
    let (server, database, user) = ("db:5432".to_owned(), "atriz_shared".to_owned(), "app".to_owned());
    StepError::Engine(ConnectError { server, database, user, origin: None, failure }.into())
}

pub(crate) fn holder() -> LockHolder {
    LockHolder {
        pid: 4711,
        application: "dbctl migrate 0198f".to_owned(),
        client: Some("10.0.0.7".to_owned()),
        since: Some("2026-11-20T08:00:00Z".to_owned()),
        query_since: None,
        is_process: false,
    }
}

pub(crate) fn locked() -> StepError {
    StepError::Engine(EngineError::Locked { database: "atriz_shared".to_owned(), holder: Some(holder()) })
}

fn migration(version: &str, name: &str, direction: Direction) -> MigrationRef {
    MigrationRef {
        source: "migrations".to_owned(),
        version: Version::new(version),
        name: format!("{version}_{name}"),
        direction,
    }
}

fn database(name: &str, database: &str, outcome: Outcome, elapsed: u64) -> DatabaseSummary {
    DatabaseSummary {
        key: key(name),
        name: database.to_owned(),
        outcome,
        elapsed: ms(elapsed),
        extensions: Vec::new(),
        created: false,
        dropped: false,
        migrations: Vec::new(),
        rolled_back: false,
        seeds: Vec::new(),
        cleaned: 0,
        warnings: Vec::new(),
    }
}

pub(crate) fn summary_of(outcome: RunOutcome, databases: Vec<DatabaseSummary>) -> Summary {
    Summary {
        command: "migrate",
        workspace: "atriz".to_owned(),
        run: "0198f3a1b2c3d4e5f607".to_owned(),
        outcome,
        elapsed: ms(412),
        databases,
    }
}

pub(crate) fn failed(error: StepError) -> DatabaseSummary {
    database("mextrack", "mextrack_db", Outcome::Failed(Arc::new(error)), 80)
}

/// The run of the design: one done, one failed, two skipped for either reason.
pub(crate) fn summary() -> Summary {
    let done = |version, name, direction| MigrationDone {
        migration: migration(version, name, direction),
        elapsed: ms(14),
    };
    let mut core = database("core", "atriz_shared", Outcome::Done, 120);
    core.migrations = vec![done("1700000000000", "users", Direction::Up)];
    summary_of(
        RunOutcome::Failed,
        vec![
            core,
            failed(sql(sql_error())),
            database("pshop", "pshop_db", Outcome::Skipped(Skip::Needs(key("core"))), 0),
            database("lone", "lone", Outcome::Skipped(Skip::Halted(key("mextrack"))), 0),
        ],
    )
}

/// A run in which everything that can be said of a database is said of one.
pub(crate) fn eventful() -> Summary {
    let done = |version, name, direction| MigrationDone {
        migration: migration(version, name, direction),
        elapsed: ms(14),
    };
    let mut core = database("core", "atriz_shared", Outcome::Done, 1_234);
    core.created = true;
    core.dropped = true;
    core.cleaned = 7;
    core.seeds = vec![SeedDone { file: "01_roles.sql".to_owned(), elapsed: ms(3) }];
    core.warnings = vec!["1_old is applied, but its file is no longer in migrations".to_owned()];
    core.migrations = vec![
        done("1", "up", Direction::Up),
        done("2", "down", Direction::Down),
        done("3", "fake", Direction::Fake),
        done("4", "dry", Direction::Dry),
        done("5", "dry", Direction::Dry),
    ];
    let databases = vec![
        core,
        database("atriz", "atriz_db", Outcome::Unchanged, 10),
        database("pshop", "pshop_db", Outcome::Cancelled, 5),
    ];
    summary_of(RunOutcome::Cancelled, databases)
}

/// One event of every kind.
pub(crate) fn events() -> Vec<Event> {
    let core = || key("core");
    let up = || migration("1700000000000", "users", Direction::Up);
    vec![
        Event::RunStarted {
            command: "up",
            workspace: "atriz".to_owned(),
            run: "0198f3a1b2c3d4e5f607".to_owned(),
            databases: vec![(core(), "atriz_shared".to_owned()), (key("mextrack"), "mextrack_db".to_owned())],
        },
        Event::StepStarted { database: core(), action: "create" },
        Event::Waiting { database: core(), holder: holder() },
        Event::Created { database: core(), new: true, extensions: vec!["pgcrypto".to_owned()] },
        Event::Created { database: core(), new: true, extensions: vec![] },
        Event::Created { database: core(), new: false, extensions: vec!["citext".to_owned()] },
        Event::Dropped { database: core() },
        Event::MigrationStarted { database: core(), migration: up(), index: 1, total: 2 },
        Event::MigrationFinished { database: core(), migration: up(), elapsed: ms(14) },
        Event::MigrationFinished {
            database: core(),
            migration: migration("2", "b", Direction::Down),
            elapsed: ms(7),
        },
        Event::MigrationFinished {
            database: core(),
            migration: migration("3", "c", Direction::Fake),
            elapsed: ms(0),
        },
        Event::MigrationFinished {
            database: core(),
            migration: migration("4", "d", Direction::Dry),
            elapsed: ms(0),
        },
        Event::SeedStarted { database: core(), file: "01_roles.sql".to_owned(), index: 1, total: 1 },
        Event::SeedFinished { database: core(), file: "01_roles.sql".to_owned(), elapsed: ms(3) },
        Event::HookStarted {
            database: core(),
            hook: Hook::AfterMigrate,
            command: "pnpm db:generate".to_owned(),
        },
        Event::HookFinished {
            database: core(),
            hook: Hook::AfterMigrate,
            command: "pnpm db:generate".to_owned(),
            elapsed: ms(420),
        },
        Event::Cleaned { database: core(), tables: 7, sequences: 1 },
        Event::Warning { database: core(), message: "1_old sorts before others".to_owned() },
        Event::Notice {
            database: core(),
            notice: Notice { severity: Severity::Notice, message: "table exists, skipping".to_owned() },
        },
        Event::Notice {
            database: core(),
            notice: Notice { severity: Severity::Warning, message: "there is no transaction".to_owned() },
        },
        Event::Output { database: core(), line: "from a runner".to_owned() },
        Event::StepFinished { database: core(), action: "create", outcome: Outcome::Done, elapsed: ms(120) },
        Event::DatabaseFinished { database: core(), outcome: Outcome::Done, elapsed: ms(120) },
        Event::StepFinished {
            database: key("mextrack"),
            action: "migrate",
            outcome: Outcome::Failed(Arc::new(sql(sql_error()))),
            elapsed: ms(80),
        },
        Event::DatabaseFinished {
            database: key("mextrack"),
            outcome: Outcome::Failed(Arc::new(sql(sql_error()))),
            elapsed: ms(80),
        },
        Event::DatabaseFinished {
            database: key("pshop"),
            outcome: Outcome::Skipped(Skip::Needs(key("core"))),
            elapsed: ms(0),
        },
        Event::DatabaseFinished {
            database: key("lone"),
            outcome: Outcome::Skipped(Skip::Halted(key("mextrack"))),
            elapsed: ms(0),
        },
        Event::DatabaseFinished { database: key("atriz"), outcome: Outcome::Cancelled, elapsed: ms(0) },
        Event::RunFinished { outcome: RunOutcome::Failed, elapsed: ms(412) },
    ]
}

pub(crate) fn entry(name: &str, state: State) -> StatusEntry {
    StatusEntry {
        source: "migrations".to_owned(),
        version: name.split('_').next().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        state,
        applied_at: None,
        elapsed: None,
        held_by: None,
    }
}

pub(crate) fn status_of(name: &str, database: &str, exists: Option<bool>) -> DatabaseStatus {
    DatabaseStatus {
        key: key(name),
        name: database.to_owned(),
        server: "localhost:5432".to_owned(),
        exists,
        migrations: Vec::new(),
        prepared: Vec::new(),
        blocked: None,
        error: None,
    }
}

/// One database up to date, one with every state, one missing, one out of reach.
pub(crate) fn report() -> StatusReport {
    let mut core = status_of("core", "atriz_shared", Some(true));
    core.migrations = vec![StatusEntry {
        applied_at: Some("2026-11-20T08:00:00.123456Z".parse().unwrap()),
        elapsed: Some(ms(14)),
        ..entry("1700000000000_users", State::Applied)
    }];
    let mut mextrack = status_of("mextrack", "mextrack_db", Some(true));
    mextrack.migrations = vec![
        entry("1_a", State::Applied),
        entry("2_b", State::Changed),
        entry("3_c", State::OutOfOrder),
        entry("4_d", State::Missing),
        entry("5_e", State::Failed),
        entry("6_f", State::Partial),
        entry("7_g", State::Pending),
        entry("8_h", State::Pending),
    ];
    let mut pshop = status_of("pshop", "pshop_db", Some(false));
    pshop.migrations = vec![entry("1_a", State::Pending)];
    let mut away = status_of("away", "away_db", None);
    away.error = Some(Arc::new(connect(ConnectFailure::Unreachable {
        server: "db:5432".to_owned(),
        reason: "connection refused".to_owned(),
    })));
    StatusReport { databases: vec![core, mextrack, pshop, away] }
}
