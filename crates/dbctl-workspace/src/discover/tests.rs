use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{Env, LoadOptions, load};

/// A monorepo of these files.
fn monorepo(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What is found, as people see it; the manifest is one that loads.
fn check(files: &[(&str, &str)]) -> String {
    let folder = monorepo(files);
    let found = discover(folder.path()).unwrap();
    assert_eq!(found, discover(folder.path()).unwrap(), "same input, same output");
    fs::write(folder.path().join("workspace.yaml"), &found.manifest).unwrap();
    let options = LoadOptions {
        manifest: folder.path().join("workspace.yaml"),
        env: Env::default(),
        environment: Some("development".to_owned()),
    };
    let workspace = load(&options).unwrap_or_else(|errors| panic!("{errors}\n{}", found.manifest));
    let keys: std::collections::BTreeSet<_> = workspace.order().iter().map(ToString::to_string).collect();
    assert_eq!(keys, found.databases.iter().cloned().collect(), "{}", found.manifest);
    if let Err(errors) = workspace.check(workspace.order()) {
        panic!("{errors}\n{}", found.manifest);
    }
    let findings: String = found
        .findings
        .iter()
        .map(|finding| format!("{}: {}\n", finding.certainty.as_str(), finding.text))
        .collect();
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    format!("{}---\n{findings}", found.manifest).replace(&name, "shop")
}

const UP_AND_DOWN: &str = "-- Up Migration\nselect 1;\n-- Down Migration\nselect 1;\n";

#[test]
fn a_pnpm_monorepo_with_a_shared_database() {
    let files = [
        ("package.json", r#"{ "name": "@atriz/root" }"#),
        ("pnpm-workspace.yaml", "packages: [packages/*, apps/*]\n"),
        (".gitignore", "ignored\n.env\n"),
        ("packages/core/package.json", r#"{ "name": "@atriz/core" }"#),
        ("packages/core/.env", "SHARED_DATABASE_URL=postgresql://u:hush@localhost/atriz_shared\n"),
        ("packages/core/migrations/1700000000000_users.sql", UP_AND_DOWN),
        ("packages/core/seeds/001_users.ts", "export default async () => {};\n"),
        ("apps/mextrack/package.json", r#"{ "name": "@atriz/mextrack-api" }"#),
        (
            "apps/mextrack/env.example",
            "DATABASE_URL=postgresql://u:hush@localhost/mextrack_db\nSHARED_DATABASE_URL=postgresql://u:hush@localhost/atriz_shared\n",
        ),
        ("apps/mextrack/migrations/1700000001000_vehicles.sql", UP_AND_DOWN),
        (
            "apps/pshop/package.json",
            r#"{ "name": "pshop", "dependencies": { "@atriz/core": "workspace:*" } }"#,
        ),
        ("apps/pshop/migrations/1700000002000_products.sql", UP_AND_DOWN),
        ("apps/pshop/seeds/products.csv", "sku\n1\n"),
        ("apps/pshop/migrations_archive/1600000002000_products.sql", UP_AND_DOWN),
        ("ignored/migrations/1700000000000_users.sql", UP_AND_DOWN),
        ("apps/pshop/node_modules/x/migrations/1700000000000_users.sql", UP_AND_DOWN),
        ("apps/go/go.mod", ""),
        ("apps/go/migrations/00001_init.sql", "-- +goose Up\nselect 1;\n"),
    ];
    insta::assert_snapshot!(check(&files));
}

#[test]
fn home_grown_sql_beside_another_tool() {
    let files = [
        ("package.json", r#"{ "name": "nexo" }"#),
        (".env", "DATABASE_URL=postgresql://u:hush@localhost/nexo_db\n"),
        ("db/migrations/1700000000000_users.sql", UP_AND_DOWN),
        ("database/migrations/README.md", ""),
        ("database/migrations/sql/20260123_1800_rls.sql", "select 1;\n"),
        (
            "database/scripts/migrate.ts",
            "await client.query(`CREATE TABLE IF NOT EXISTS migration_history (id SERIAL PRIMARY KEY, \
             migration_name VARCHAR(255), applied_at TIMESTAMPTZ)`);\n",
        ),
    ];
    insta::assert_snapshot!(check(&files));
}

#[test]
fn one_package_with_several_databases_and_one_database_of_several_packages() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n"),
        ("crates/store/Cargo.toml", "[package]\nname = \"store\"\n"),
        ("crates/store/db/auth/migrations/20260101000000_users.sql", "select 1;\n"),
        ("crates/store/db/true/migrations/20260101000000_invoices.sql", "select 1;\n"),
        (
            "crates/api/Cargo.toml",
            "[package]\nname = \"api\"\n[dependencies]\nstore = { path = \"../store\" }\n",
        ),
        ("crates/api/.env", "DATABASE_URL=postgres://localhost/both\n"),
        ("crates/api/migrations/1700000000000_a.sql", UP_AND_DOWN),
        ("crates/jobs/Cargo.toml", "[package]\nname = \"jobs\"\n"),
        ("crates/jobs/.env", "DATABASE_URL=postgres://localhost/both\n"),
        ("crates/jobs/migrations/20260101000000_b.sql", "select 1;\n"),
    ];
    insta::assert_snapshot!(check(&files));
}

#[test]
fn nothing_to_be_found_is_a_manifest_to_begin_with() {
    insta::assert_snapshot!(check(&[("package.json", "{")]));
    assert!(discover(Path::new("/nowhere/at/all")).is_err());
}

#[test]
fn files_for_another_database_are_passed_over() {
    let found = check(&[
        ("package.json", r#"{ "name": "shop" }"#),
        ("db/mysql/migrations/migration_lock.toml", "# by hand\nprovider = \"mysql\" # not ours"),
        ("db/mysql/migrations/01_init/migration.sql", "select 1;\n"),
        ("db/postgresql/migrations/migration_lock.toml", "provider = \"postgresql\""),
        ("db/postgresql/migrations/01_init/migration.sql", "select 1;\n"),
        ("apps/edge/prisma/migrations/migration_lock.toml", "provider = \"sqlite\""),
        ("apps/edge/prisma/migrations/01_init/migration.sql", "select 1;\n"),
        ("apps/old/drizzle/meta/_journal.json", r#"{ "version": "5", "dialect": "pg", "entries": [] }"#),
        ("apps/old/drizzle/0000_notes.sql", "select 1;\n"),
    ]);
    let said: Vec<&str> = found.split_once("---\n").unwrap().1.lines().collect();
    assert_eq!(
        said,
        [
            "sure: old: apps/old/drizzle holds migrations of drizzle",
            "sure: postgresql: db/postgresql/migrations holds migrations of prisma",
            "guess: old: no URL names it, so it is called old",
            "guess: postgresql: no URL names it, so it is called postgresql",
            "passed over: apps/edge/prisma/migrations is for sqlite, by apps/edge/prisma/migrations/migration_lock.toml; dbctl does not run that tool's migrations on SQLite",
            "passed over: db/mysql/migrations is for mysql, by db/mysql/migrations/migration_lock.toml; dbctl runs PostgreSQL and SQLite",
        ]
    );
}

#[test]
fn sqlite_databases_are_files() {
    let cargo =
        "[package]\nname = \"api\"\n[dependencies]\nsqlx = { version = \"0.8\", features = [\"sqlite\"] }\n";
    let found = check(&[
        ("package.json", r#"{ "name": "shop" }"#),
        ("apps/api/Cargo.toml", cargo),
        ("apps/api/.env", "DATABASE_URL=sqlite://data/api.db?mode=rwc\n"),
        ("apps/api/migrations/20260101000000_a.sql", "select 1;\n"),
        ("apps/edge/package.json", r#"{ "name": "@shop/edge" }"#),
        ("apps/edge/drizzle/meta/_journal.json", r#"{ "dialect": "sqlite", "entries": [] }"#),
        ("apps/edge/drizzle/0000_notes.sql", "create table `notes` (`id` integer primary key);\n"),
        ("apps/edge/.env.example", "DATABASE_URL=file:./local.db\n"),
        (
            "apps/jobs/db/migrations/20260101000000_a.sql",
            "-- migrate:up\npragma foreign_keys = off;\n-- migrate:down\n",
        ),
        ("apps/jobs/.env", "DATABASE_URL=sqlite:../../../outside.db\n"),
        ("apps/web/package.json", r#"{ "name": "web", "dependencies": { "@shop/edge": "*" } }"#),
        ("apps/web/.env", "DATABASE_URL=postgres://localhost/web\n"),
        ("apps/web/migrations/1700000000000_a.sql", UP_AND_DOWN),
    ]);
    insta::assert_snapshot!(found, @r#"
    # Written by `dbctl init` from what it found. What it had to guess says so.
    # `dbctl plan up --all` shows what would happen, `dbctl status --all` where the databases stand.
    workspace: shop

    databases:
      api:
        package: apps/api
        url: "${DATABASE_URL:-sqlite://data/api.db?mode=rwc}"
        migrations:
          - path: migrations
            format: sqlx

      edge:
        package: apps/edge
        url: "${DATABASE_URL:-file:./local.db}"
        migrations:
          - path: drizzle
            format: drizzle

      jobs:
        package: apps/jobs
        url: "sqlite:data/jobs.db" # a guess: no URL names the file
        migrations:
          - path: db/migrations
            format: dbmate

      web:
        name: web # by DATABASE_URL
        package: apps/web
        url: ${DATABASE_URL:-} # unset: PG* variables, else a private server that dbctl starts
        depends_on: [edge] # a guess: its package uses @shop/edge
        migrations:
          - path: migrations
            format: node-pg-migrate

    environments:
      production:
        protected: true # what destroys asks twice, and seeds are skipped
    ---
    sure: api: apps/api/migrations holds migrations of sqlx
    sure: api: it is the SQLite file of sqlite://data/api.db?mode=rwc, by DATABASE_URL
    sure: edge: apps/edge/drizzle holds migrations of drizzle
    sure: edge: it is the SQLite file of file:./local.db, by DATABASE_URL
    sure: jobs: apps/jobs/db/migrations holds migrations of dbmate
    sure: web: apps/web/migrations holds migrations of node-pg-migrate
    sure: web: it is called web, by DATABASE_URL
    guess: jobs: no URL names its SQLite file, so it is sqlite:data/jobs.db
    guess: web: it depends on edge, since its package uses @shop/edge
    "#);
}

#[test]
fn migrations_that_are_programs_are_named() {
    let found = |files: &[&str]| -> Vec<String> {
        let root = monorepo(&files.iter().map(|file| (*file, "export {}")).collect::<Vec<_>>());
        let findings = discover(root.path()).unwrap().findings;
        let texts = findings.into_iter().filter(|finding| finding.certainty == Certainty::PassedOver);
        texts.map(|finding| finding.text).collect()
    };
    for file in [
        "apps/a/migrations/20240101120000_users.js",
        "apps/a/src/migration/1700000000000-Users.ts",
        "apps/a/db/migrations/Migration20240101120000.ts",
        "apps/a/migrations/001_init.mjs",
        "apps/a/migrations/20240101120000-create-users.cjs",
        "apps/a/migrations/1700000000000_users.js",
    ] {
        let folder = Path::new(file).parent().unwrap().display();
        let said = format!(
            "{folder} holds migrations that are programs; dbctl runs SQL, and a hook can call their tool"
        );
        assert_eq!(found(&[file]), [said], "{file}");
    }
    for file in [
        "apps/a/migrations/index.ts",
        "apps/a/src/001_init.ts",
        "apps/a/migrations/001_init.d.ts",
        "apps/a/migrations/v2.ts",
    ] {
        assert_eq!(found(&[file]), [""; 0], "{file}");
    }
}

#[test]
fn home_grown_names_are_read_as_most_are_written() {
    for (names, pattern) in [
        (vec!["000-init", "001-users_and_roles"], "{version}-{name}.sql"),
        (vec!["001_init", "002_2fa", "003-typo"], "{version}_{name}.sql"),
        (vec!["2025-11-05_telemetry", "2025-11-06_more-of-it"], "{version}_{name}.sql"),
    ] {
        let files: Vec<(String, &str)> =
            names.iter().map(|name| (format!("sql_migrations/{name}.sql"), "select 1;\n")).collect();
        let folder = monorepo(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>());
        let manifest = discover(folder.path()).unwrap().manifest;
        assert!(manifest.contains(&format!("pattern: \"{pattern}\"\n")), "{names:?}: {manifest}");
    }
}

#[test]
fn another_database_is_told_by_sql_and_by_what_stands_around() {
    let passed_over = |files: &[(&str, &str)]| -> Vec<String> {
        let folder = monorepo(files);
        let found = discover(folder.path()).unwrap();
        let is_ours = |finding: &Finding| finding.certainty != Certainty::PassedOver;
        assert_eq!(found.databases, ["main"], "{}", found.manifest);
        assert!(found.manifest.contains("path: migrations"), "{}", found.manifest);
        assert_eq!(
            found.findings.iter().filter(|finding| is_ours(finding)).count(),
            1,
            "{:?}",
            found.findings
        );
        let texts = found.findings.into_iter().map(|finding| finding.text);
        texts
            .filter_map(|text| Some(text.strip_suffix("; dbctl runs PostgreSQL and SQLite")?.to_owned()))
            .collect()
    };
    for (files, expected) in [
        (
            &[("migrations/001_a.sql", "create table a (id int primary key auto_increment);")][..],
            "migrations looks like MySQL, by `auto_increment` in migrations/001_a.sql",
        ),
        (
            &[(
                "db/migrations/20260101000000_a.sql",
                "-- migrate:up\ncreate table `a` (b int) engine=InnoDB;\n-- migrate:down\n",
            )],
            "db/migrations looks like MySQL, by `engine=InnoDB` in db/migrations/20260101000000_a.sql",
        ),
        (
            &[
                ("migrations/20260101000000_a.sql", "select 1;"),
                (".env.example", "DATABASE_URL=mysql://u:hush@h/a\n"),
            ],
            "migrations looks like MySQL, by DATABASE_URL in .env.example; its SQL would do for PostgreSQL, too",
        ),
        (
            &[
                ("prisma/migrations/20260101000000_a/migration.sql", "select 1;"),
                (
                    "prisma/schema.prisma",
                    "generator client {\n  provider = \"prisma-client-js\"\n}\ndatasource db {\n  provider = \"sqlserver\"\n}\n",
                ),
            ],
            "prisma/migrations is for sqlserver, by prisma/schema.prisma",
        ),
        (
            &[
                ("drizzle/0000_a.sql", "select 1;--> statement-breakpoint\nselect 2;"),
                ("drizzle.config.ts", "export default {\n  out: './drizzle',\n  dialect: 'turso',\n};\n"),
            ],
            "drizzle is for turso, by drizzle.config.ts",
        ),
    ] {
        assert_eq!(passed_over(files), [expected], "{files:?}");
    }
}

/// Names that detection looks for, and some that it should stumble over.
const NAMES: [&str; 25] = [
    "migrations/001_a.sql",
    "migrations/20260101000000_a.sql",
    "migrations/1700000000000_é.sql",
    "migrations/20260101000000_a/migration.sql",
    "migrations/20260101000000_a/snapshot.json",
    "migrations/migration_lock.toml",
    "migrations/meta/_journal.json",
    "migrations/9999.sql",
    "migrations/9_é-\"$\u{1}\n\u{85}.sql",
    "migrations/V1__a.sql",
    "supabase/config.toml",
    "supabase/migrations/1_a.sql",
    "prisma/schema.prisma",
    "prisma/migrations/a/migration.sql",
    "app s/é$/migrations/1_a.sql",
    "app s/é$/package.json",
    "app s/é$/.env",
    "a\u{7f}\u{85}\u{2028}\n/migrations/1700000000000_a.sql",
    "drizzle.config.ts",
    "Cargo.toml",
    "package.json",
    ".env",
    "seeds/1.ts",
    "scripts/migrate.ts",
    ".gitignore",
];

/// Pieces that detection looks for in files.
const PIECES: [&str; 26] = [
    "DATABASE_URL=",
    "postgres://h/é",
    "postgres://",
    "mysql://",
    "provider",
    "datasource",
    "dialect:",
    "=",
    "\"",
    "'",
    "`a",
    "`",
    "--",
    "/*",
    "-- migrate:up",
    "-- Up Migration",
    "create table _migrations (name",
    "create table \"é\".\"$migrations\"(é, \"",
    "{ \"name\": \"@/é\"",
    "{\"dialect\":\"",
    "sqlx",
    "features = [\"",
    "[dependencies]",
    "é",
    "\n",
    "\r",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in a folder, what is written of it loads.
    #[test]
    fn no_folder_is_too_strange(
        files in prop::collection::btree_map(
            prop::sample::select(&NAMES[..]),
            prop::collection::vec(prop_oneof![
                4 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..4),
            ], 0..8),
            0..8,
        ),
    ) {
        let folder = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
        for (path, pieces) in &files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, pieces.concat()).unwrap();
        }
        let found = discover(folder.path()).unwrap();
        fs::write(folder.path().join("workspace.yaml"), &found.manifest).unwrap();
        let manifest = folder.path().join("workspace.yaml");
        let loaded = load(&LoadOptions { manifest, env: Env::default(), environment: None });
        // What the project's own env file has wrong is told of that file.
        let is_of_env = |text: &str| text.contains(".env");
        if let Err(errors) = loaded {
            prop_assert!(is_of_env(&errors.to_string()), "{errors}\n{}", found.manifest);
        }
    }
}
