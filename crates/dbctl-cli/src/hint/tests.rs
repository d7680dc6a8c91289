use dbctl_engine::{
    Decision,
    clean::{CleanRefusal, Reference},
    libpq::ConnInfoError,
};
use dbctl_migration::TableName;
use dbctl_workspace::Key;

use super::*;
use crate::testing::{connect, holder, key, locked, sql, sql_error};

fn own(code: &str, message: &str) -> StepError {
    let mut error = sql_error();
    (error.code, error.message, error.location) = (code.to_owned(), message.to_owned(), None);
    sql(error)
}

fn on_disk(code: &str) -> StepError {
    let mut error = sql_error();
    error.code = code.to_owned();
    sql(error)
}

fn drift(drift: fn(Vec<String>) -> Drift) -> StepError {
    let drift = drift(vec!["1_a".to_owned()]);
    let redo = matches!(drift, Drift::Changed(_));
    StepError::Drift { source_name: "migrations".to_owned(), drift, redo }
}

fn hook(hook: Hook) -> StepError {
    let (command, outcome) = ("pnpm db:generate".to_owned(), "exited with 1".to_owned());
    StepError::Hook { hook, command, outcome, tail: vec![] }
}

fn exists(among: Option<&str>) -> StepError {
    let mut error = sql_error();
    error.code = "42P07".to_owned();
    StepError::Exists { error: Box::new(error), among: among.map(str::to_owned) }
}

fn unresolved(path: &str) -> StepError {
    let statement = "vacuum".to_owned();
    StepError::Engine(EngineError::Unresolved { path: path.into(), line: 7, statement })
}

fn rewritten(done: usize, started: bool) -> StepError {
    StepError::Engine(EngineError::Rewritten { path: "m/2_b.sql".into(), line: 3, done, started })
}

fn steps() -> Vec<StepError> {
    let (server, user, reason) = ("db:5432".to_owned(), "app".to_owned(), "no".to_owned());
    let text = str::to_owned;
    let other: fn() -> Key = || key("mextrack");
    let reference = Reference {
        constraint: "users_role_fkey".to_owned(),
        from: TableName::new("public", "roles"),
        to: TableName::new("public", "users"),
    };
    let in_use = EngineError::InUse { database: text("atriz_shared"), sessions: vec![holder()] };
    let lost = EngineError::Lost { database: text("atriz_shared"), message: text("eof"), between: false };
    let refused = |code: &str| {
        connect(ConnectFailure::Refused { server: text("db:5432"), code: text(code), message: text("no") })
    };
    let conn_info = ConnInfoError { message: text("bad port"), hint: Some(text("a number")) };
    vec![
        connect(ConnectFailure::Unreachable { server: server.clone(), reason: reason.clone() }),
        connect(ConnectFailure::WrongPassword { server: server.clone(), user: user.clone() }),
        connect(ConnectFailure::NoPassword { server: server.clone(), user }),
        connect(ConnectFailure::NoDatabase { database: text("atriz_shared"), server: server.clone() }),
        connect(ConnectFailure::Tls { server, reason, problem: dbctl_engine::TlsProblem::WrongHost }),
        refused("53300"),
        refused("57P03"),
        refused("28000"),
        refused("42501"),
        refused("XX000"),
        StepError::Engine(EngineError::ConnInfo(conn_info)),
        locked(),
        StepError::Engine(in_use),
        StepError::Engine(EngineError::Clean(CleanRefusal(vec![reference]))),
        StepError::Engine(lost),
        own("42501", "permission denied to create database"),
        own("42704", "role \"app\" does not exist"),
        own("58P01", "could not open extension control file"),
        own("53300", "too many clients"),
        own("57014", "canceling statement due to statement timeout"),
        StepError::Engine(EngineError::Locked { database: text("atriz_shared"), holder: None }),
        on_disk("42P01"),
        drift(Drift::Changed),
        StepError::Drift {
            source_name: text("m"),
            drift: Drift::Changed(vec![text("1_a copy"), text("2_it's")]),
            redo: false,
        },
        drift(Drift::OutOfOrder),
        drift(Drift::Failed),
        drift(Drift::Partial),
        drift(Drift::Reverting),
        drift(Drift::Missing),
        StepError::Rollback(RollbackError::Unknown { target: text("9") }),
        StepError::Rollback(RollbackError::Missing(vec![text("2_b")])),
        StepError::Rollback(RollbackError::NoDown(vec!["migrations/1_a.sql".into()])),
        StepError::Rollback(RollbackError::LaterApplied { name: text("1_a"), later: vec![text("2_b")] }),
        StepError::Rollback(RollbackError::LaterStay { name: text("1_a"), later: vec![text("2_b")] }),
        StepError::Rollback(RollbackError::Partial(vec![text("1_a")])),
        StepError::UnknownVersion { version: text("9"), sources: vec![text("migrations")], near: None },
        StepError::UnknownVersion {
            version: text("2"),
            sources: vec![text("migrations")],
            near: Some(text("002")),
        },
        StepError::AmbiguousVersion { version: text("9"), names: vec![text("a/9_x"), text("b/9_y")] },
        StepError::Environment { recorded: text("production"), current: text("development") },
        StepError::SameDatabase { other: other(), database: text("atriz_shared") },
        StepError::Dependency { dependency: other(), state: text("does not exist") },
        StepError::Dependency { dependency: other(), state: text("has 3 pending migrations") },
        StepError::Dependent { dependent: other() },
        StepError::RequirementUnmet {
            path: "migrations/2_b.sql".into(),
            line: 1,
            database: text("mextrack"),
            version: text("1_a"),
        },
        StepError::NoRunner { path: "seeds/1.ts".into(), extension: text("ts") },
        StepError::Runner {
            path: "seeds/1.ts".into(),
            command: text("tsx"),
            outcome: text("exited with 1"),
            tail: vec![],
        },
        hook(Hook::BeforeMigrate),
        hook(Hook::AfterCreate),
        hook(Hook::AfterMigrate),
        hook(Hook::AfterSeed),
        hook(Hook::AfterClean),
        StepError::Untold { dependent: other(), folder: text("db/migrations") },
        exists(None),
        exists(Some("sql")),
        StepError::NotEmpty {
            source_name: text("migrations"),
            belongings: ["public.a", "public.b", "public.c", "public.d"].map(text).to_vec(),
            through: text("2_b"),
        },
        StepError::Empty,
        StepError::HasHistory { source_name: text("migrations"), names: vec![text("2_b"), text("3_c")] },
        StepError::Unfinished { source_name: text("migrations"), names: vec![text("2_b")] },
        StepError::Connections { server: text("db:5432"), needed: 20, cap: 16 },
        StepError::PreparedTransactions { server: text("db:5432"), needed: 3, most: 0, taken: 0 },
        StepError::PreparedTransactions { server: text("db:5432"), needed: 3, most: 64, taken: 62 },
        StepError::Decides { run: text("01a1"), databases: vec![text("app_db"), text("shop_db")] },
        EngineError::NoDecisions { database: text("core_db"), reason: "is a standby" }.into(),
        StepError::InDoubt {
            run: text("01a1"),
            decision: Some(Decision::Commit),
            error: Box::new(EngineError::Lost {
                database: text("core_db"),
                message: text("gone"),
                between: false,
            }),
        },
        StepError::InDoubt {
            run: text("01a1"),
            decision: None,
            error: Box::new(EngineError::Unsupported(text("no"))),
        },
        StepError::Undecided { run: text("01a1"), database: text("core_db"), why: None },
        StepError::NothingPrepared { run: text("01a1") },
        StepError::Decided { run: text("01a1"), recorded: Decision::Rollback },
        EngineError::Prepared { database: text("core_db"), prepared: Vec::new() }.into(),
        not_committed(EngineError::Lost { database: text("core_db"), message: text("gone"), between: false }),
        not_committed(EngineError::Unsupported(text("no"))),
        EngineError::NotWhole { path: "migrations/2_b.sql".into(), line: 3, reason: "it cannot" }.into(),
        StepError::PlanMoved { moved: vec![] },
        StepError::NothingToResolve { name: text("2_b"), state: "applied" },
        StepError::NotApplied { name: text("2_b") },
        unresolved("prisma/migrations/2_b/migration.sql"),
        unresolved("migrations/2_b.down.sql"),
        rewritten(2, false),
        rewritten(0, true),
    ]
}

fn not_committed(error: EngineError) -> StepError {
    StepError::NotCommitted { error: Box::new(error), committed: vec![Key::parse("mextrack").unwrap()] }
}

#[test]
fn what_helps() {
    let lines: Vec<String> = steps()
        .iter()
        .map(|error| {
            let explained = crate::explain::explain(error, "core");
            let hint = step(error, "core").unwrap_or_else(|| "-".to_owned());
            format!("{}: {}\n  {hint}", explained.code, explained.message)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_only_supabase_has() {
    let hint = |path: &str, message: &str| {
        let mut error = sql_error();
        error.message = message.to_owned();
        if let Some(location) = &mut error.location {
            location.path = path.into();
        }
        step(&sql(error), "core").is_some()
    };
    for (path, message, expected) in [
        ("db/1.sql", r#"role "anon" does not exist"#, true),
        ("db/1.sql", r#"role "app" does not exist"#, false),
        ("db/1.sql", r#"schema "auth" does not exist"#, false),
        ("supabase/migrations/1.sql", r#"schema "auth" does not exist"#, true),
        ("supabase/migrations/1.sql", r#"relation "storage.buckets" does not exist"#, true),
        ("supabase/migrations/1.sql", "function auth.uid() does not exist", true),
        ("supabase/migrations/1.sql", r#"type "extensions.citext" does not exist"#, true),
        ("supabase/migrations/1.sql", r#"relation "auth" already exists"#, false),
        ("supabase/migrations/1.sql", r#"relation "users" does not exist"#, false),
        ("supabase/migrations/1.sql", r#"column "auth.a" does not exist"#, false),
    ] {
        assert_eq!(hint(path, message), expected, "{path} {message}");
    }
}

#[test]
fn what_helps_before_a_run() {
    let keys = || vec!["atriz".to_owned(), "core".to_owned()];
    let protected = |given: Option<&str>| PlanError::Protected {
        environment: "production".to_owned(),
        command: "drop",
        effect: "destroys data",
        given: given.map(str::to_owned),
    };
    let errors: Vec<CliError> = vec![
        SelectError::NoTarget { keys: keys() }.into(),
        SelectError::Unknown { target: "coer".to_owned(), suggestion: Some("core".to_owned()), keys: keys() }
            .into(),
        SelectError::AllAndTargets.into(),
        protected(None).into(),
        protected(Some("staging")).into(),
        CliError::CannotAsk { command: "drop", effect: "destroys data" },
        CliError::NoManifest { start: "/w".into() },
        CliError::NoClient { program: "psql", file: None },
        CliError::NoClient { program: "sqlite3", file: Some("/w/a.db".into()) },
        CliError::Declined,
    ];
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("{error}\n  {}", command(error).unwrap_or_else(|| "-".to_owned())))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
