//! The example workspaces, each a small version of a kind of monorepo that is out there, from nothing to the end.

use crate::{
    support::{Sandbox, query},
    tools::npm,
};

/// Everything is applied, and a second run finds nothing to do.
fn check_settled(sandbox: &Sandbox) {
    sandbox.ok(&["status", "--all", "--check"]);
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 0, "{document}");
    for database in document["databases"].as_array().unwrap() {
        assert_eq!(database["outcome"], "unchanged", "{document}");
    }
}

/// The names of a database's migrations as `status` lists them, each with its state.
pub(crate) fn migrations(sandbox: &Sandbox, target: &str) -> Vec<String> {
    let (_, document) = sandbox.json(&["status", target]);
    let migrations = document["databases"][0]["migrations"].as_array().unwrap();
    migrations
        .iter()
        .map(|one| format!("{} {}", one["state"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect()
}

const ACME: &str = "a0000000-0000-4000-8000-000000000001";
const BOLT: &str = "b0000000-0000-4000-8000-000000000002";

#[test]
fn nexo_has_prisma_and_plain_sql_on_one_database_and_isolates_its_accounts() {
    let sandbox = Sandbox::example("nexo");
    sandbox.ok(&["up", "--all"]);
    check_settled(&sandbox);
    assert_eq!(
        migrations(&sandbox, "nexo"),
        [
            "applied 20260123120000_initial",
            "applied 20260124090000_add_deals",
            "applied 20260123_1800_row_level_security",
            "applied 20260123_1815_updated_at_triggers",
            "applied 20260124_0930_deals_search",
        ]
    );
    let rows = sandbox.query("nexo", "select migration_name from migration_history order by id");
    assert_eq!(
        rows,
        "20260123_1800_row_level_security\n20260123_1815_updated_at_triggers\n20260124_0930_deals_search\n"
    );
    let rows = sandbox.query(
        "nexo",
        "select migration_name, applied_steps_count from _prisma_migrations where finished_at is not null order by 1",
    );
    assert_eq!(rows, "20260123120000_initial|1\n20260124090000_add_deals|1\n");

    let policies =
        sandbox.query("nexo", "select count(*) from pg_policies where policyname like '%_account_isolation'");
    assert_eq!(policies, "7\n");
    let tables = ["users", "companies", "contacts", "deals", "activities", "notes", "api_keys"];
    let url = sandbox.url("nexo");
    let as_account = |account: &str, sql: &str| {
        query(&url, &format!("set role nexo_app; set app.current_account_id = '{account}'; {sql}"))
    };
    for table in tables {
        let all: u32 = query(&url, &format!("select count(*) from {table}")).unwrap().trim().parse().unwrap();
        let mut seen = 0;
        for account in [ACME, BOLT] {
            let sql =
                format!("select count(*), count(*) filter (where account_id = '{account}') from {table}");
            let rows = as_account(account, &sql).unwrap();
            let (visible, own) = rows.trim().split_once('|').unwrap();
            assert_eq!(visible, own, "{table} shows {account} rows of others");
            seen += visible.parse::<u32>().unwrap();
            assert!(visible != "0", "{table} shows {account} nothing");
        }
        assert_eq!(seen, all, "{table}");
        assert_eq!(as_account("", &format!("select count(*) from {table}")).unwrap(), "0\n", "{table}");
    }
    let foreign = format!("insert into notes (account_id, body) values ('{BOLT}', 'not mine')");
    let refused = as_account(ACME, &foreign).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501", "{refused}");
    assert_eq!(
        as_account(ACME, &format!("delete from notes where account_id = '{BOLT}' returning id")).unwrap(),
        ""
    );

    // What is cleaned keeps both tools' histories.
    sandbox.ok(&["clean", "nexo", "--yes"]);
    assert_eq!(sandbox.query("nexo", "select count(*) from users"), "0\n");
    sandbox.ok(&["status", "nexo", "--check"]);
    sandbox.ok(&["seed", "nexo"]);
    assert_eq!(sandbox.query("nexo", "select count(*) from users"), "3\n");
}

#[test]
fn hybrid_starts_from_the_consolidated_schema_and_never_runs_its_archive() {
    let sandbox = Sandbox::example("hybrid");
    sandbox.ok(&["up", "--all"]);
    check_settled(&sandbox);
    let versions = || {
        sandbox.query("hybrid", "select version from supabase_migrations.schema_migrations order by version")
    };
    assert_eq!(versions(), "20250110000000\n20250120000000\n99999999999999\n");
    assert_eq!(
        sandbox.query("hybrid", "select migration_name from _prisma_migrations"),
        "20250125120000_user_integrations\n"
    );
    let policies = sandbox.query("hybrid", "select count(*) from pg_policies where policyname = 'own_rows'");
    assert_eq!(policies, "9\n");

    // An increment that comes later sorts before the master file's number, and is not out of order for that.
    sandbox.write(
        "supabase/migrations/20250201000000_nps_source.sql",
        "ALTER TABLE nps_submissions ADD COLUMN source text;\n",
    );
    let ran = sandbox.dbctl(&["migrate", "hybrid"]);
    assert!(!ran.stderr.contains("sorts before"), "{ran}");
    ran.ok();
    check_settled(&sandbox);
    assert_eq!(versions(), "20250110000000\n20250120000000\n20250201000000\n99999999999999\n");

    // A database that went the long way has no row of the master file, and never runs it.
    sandbox.ok(&["reset", "hybrid", "--yes"]);
    sandbox.query(
        "hybrid",
        "delete from supabase_migrations.schema_migrations where version = '99999999999999'",
    );
    sandbox.query("hybrid", "delete from dbctl.migration_history where version = '99999999999999'");
    sandbox.query("hybrid", "drop function public.upsert_pattern");
    check_settled(&sandbox);
    assert_eq!(sandbox.query("hybrid", "select to_regproc('public.upsert_pattern') is null"), "t\n");
}

#[test]
fn hybrid_is_not_started_over_a_database_that_somebody_made_by_hand() {
    let sandbox = Sandbox::example("hybrid");
    sandbox.ok(&["create", "hybrid"]);
    sandbox.query("hybrid", "create table public.users (id int)");
    let refused = sandbox.dbctl(&["migrate", "hybrid"]).fails(1);
    assert!(refused.contains("dbctl baseline hybrid"), "{refused}");
    assert_eq!(sandbox.query("hybrid", "select count(*) from pg_tables where schemaname = 'public'"), "1\n");
}

#[test]
fn migrationpilot_is_a_drizzle_schema_with_tenants_and_row_level_security() {
    let sandbox = Sandbox::example("migrationpilot");
    sandbox.ok(&["up", "--all"]);
    check_settled(&sandbox);
    let recorded =
        sandbox.query("migrationpilot", "select created_at from drizzle.__drizzle_migrations order by id");
    let journal: serde_json::Value =
        serde_json::from_str(&sandbox.read("packages/database/drizzle/meta/_journal.json")).unwrap();
    let journal: String =
        journal["entries"].as_array().unwrap().iter().map(|entry| format!("{}\n", entry["when"])).collect();
    assert_eq!(recorded, journal);
    let enums = sandbox.query(
        "migrationpilot",
        "select t.typname, count(*) from pg_enum e join pg_type t on t.oid = e.enumtypid group by 1 order by 1",
    );
    assert_eq!(
        enums,
        "project_status|11\nreview_status|4\nrule_category|6\nsource_language|5\ntarget_language|5\n"
    );
    let indexes = sandbox
        .query("migrationpilot", "select indexname from pg_indexes where indexname like 'idx_%' order by 1");
    assert_eq!(
        indexes,
        "idx_audit_created\nidx_projects_org\nidx_rules_project_status\nidx_source_files_project\n"
    );

    let url = sandbox.url("migrationpilot");
    let as_user = |user: &str, sql: &str| {
        query(&url, &format!("set role migrationpilot_api; set app.user_id = '{user}'; {sql}")).unwrap()
    };
    let projects = "select name from projects";
    assert_eq!(as_user("30000000-0000-4000-8000-000000000001", projects), "Ledger\n");
    assert_eq!(as_user("30000000-0000-4000-8000-000000000002", projects), "Claims\n");
    assert_eq!(as_user("30000000-0000-4000-8000-000000000002", "select count(*) from business_rules"), "0\n");
}

#[test]
fn polyglot_has_six_databases_with_six_tools_and_seeds_in_typescript() {
    let sandbox = Sandbox::example("polyglot");
    // As `pnpm install` would.
    let modules = npm(&["tsx@4.20.6", "pg@8.23.1"]).join("node_modules");
    std::os::unix::fs::symlink(modules, sandbox.root().join("node_modules")).unwrap();
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 0, "{document}");
    check_settled(&sandbox);
    let users = "select u.email, r.role from users u join user_roles r on r.user_id = u.id";
    assert_eq!(sandbox.query("identity", users), "admin@polyglot.test|admin\n");
    assert_eq!(sandbox.query("catalog", "select title from products order by 1"), "A book, used\nPen\n");
    for (target, history) in [
        ("identity", "select count(*) from pgmigrations"),
        ("catalog", "select count(*) - 1 from _prisma_migrations"),
        ("orders", "select count(*) from drizzle.__drizzle_migrations where name is not null"),
        ("payments", "select count(*) from _sqlx_migrations where success"),
        ("audit", "select count(*) from schema_migrations"),
        ("insights", "select count(*) from supabase_migrations.schema_migrations"),
    ] {
        assert_eq!(sandbox.query(target, history), "2\n", "{target}");
    }
    // What the down parts undo comes back.
    sandbox.ok(&["rollback", "payments", "--to", "zero", "--yes"]);
    assert_eq!(sandbox.query("payments", "select to_regclass('payments') is null"), "t\n");
    sandbox.ok(&["redo", "audit", "--yes"]);
    sandbox.ok(&["migrate", "--all"]);
    check_settled(&sandbox);
}
