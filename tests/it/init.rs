//! `dbctl init` on monorepos that have no manifest: what it writes is valid, and does what the files ask for.

use std::fs;

use crate::support::Sandbox;

/// Takes the manifest away and has another one written.
fn init(sandbox: &Sandbox) -> String {
    fs::remove_file(sandbox.root().join("workspace.yaml")).unwrap();
    sandbox.ok(&["init"])
}

/// Each database with its folders' formats.
fn formats(sandbox: &Sandbox) -> Vec<String> {
    let (code, document) = sandbox.json(&["list", "--all"]);
    assert_eq!(code, 0, "{document}");
    let databases = document["databases"].as_array().unwrap();
    databases
        .iter()
        .map(|database| {
            let sources = database["migrations"].as_array().unwrap();
            let sources: Vec<&str> =
                sources.iter().map(|source| source["format"].as_str().unwrap()).collect();
            format!("{} {}", database["key"].as_str().unwrap(), sources.join(", "))
        })
        .collect()
}

#[test]
fn the_atriz_monorepo_comes_up_from_what_init_wrote() {
    let sandbox = Sandbox::atriz();
    let said = init(&sandbox);
    assert!(said.starts_with("wrote workspace.yaml with 4 databases: "), "{said}");
    assert_eq!(
        formats(&sandbox),
        ["core", "atriz", "mextrack", "pshop"].map(|key| format!("{key} node-pg-migrate"))
    );
    // What the folders do not say, and PostgreSQL 13 and newer do not need.
    sandbox.ok(&["create", "--all"]);
    for key in ["core", "atriz", "mextrack", "pshop"] {
        sandbox.query(key, "create extension if not exists pgcrypto");
    }
    sandbox.ok(&["up", "--all"]);
    sandbox.ok(&["status", "--all", "--check"]);
    assert_ne!(sandbox.query("core", "select count(*) from users"), "0\n");
}

#[test]
fn every_tool_is_known_by_its_files() {
    let polyglot = Sandbox::example("polyglot");
    init(&polyglot);
    assert_eq!(
        formats(&polyglot),
        [
            "audit dbmate",
            "catalog prisma",
            "identity node-pg-migrate",
            "insights supabase",
            "orders drizzle",
            "payments sqlx"
        ]
    );
    let manifest = polyglot.read("workspace.yaml");
    assert!(manifest.contains("runners: { ts: \"npx tsx scripts/run-seed.ts {file}\" }"), "{manifest}");
    let nexo = Sandbox::example("nexo");
    init(&nexo);
    assert_eq!(formats(&nexo), ["nexo-prj prisma, custom"]);
    let hybrid = Sandbox::example("hybrid");
    let said = init(&hybrid);
    assert_eq!(formats(&hybrid), ["hybrid supabase, prisma"]);
    assert!(
        said.contains("99999999999999_master_consolidated_schema.sql looks like a consolidated schema"),
        "{said}"
    );
    assert!(said.contains("supabase/migrations_archive looks like an archive"), "{said}");
    let pilot = Sandbox::example("migrationpilot");
    init(&pilot);
    assert_eq!(formats(&pilot), ["database drizzle"]);
}

#[test]
fn nothing_is_written_over_unasked() {
    let sandbox = Sandbox::new(
        "workspace: mine\ndatabases: { a: {} }\n",
        &[("migrations/1700000000000_a.sql", "-- Up Migration\n")],
    );
    let refused = sandbox.dbctl(&["init"]).fails(2);
    assert!(refused.contains("workspace.yaml is there already") && refused.contains("--force"), "{refused}");
    assert!(sandbox.read("workspace.yaml").contains("mine"));
    sandbox.write("go/migrations/001_a.up.sql", "SELECT 1;\n");
    sandbox.write("go/migrations/001_a.down.sql", "SELECT 1;\n");
    sandbox.write("old/migrations_archive/1700000000000_a.sql", "-- Up Migration\n");
    let ran = sandbox.dbctl(&["init", "--print"]);
    assert!(ran.stderr.contains("passed over  old/migrations_archive looks like an archive"), "{ran}");
    assert_eq!(sandbox.dbctl(&["-q", "init", "--print"]).stderr, "");
    let printed = ran.ok();
    assert!(sandbox.read("workspace.yaml").contains("mine"));
    let (code, document) = sandbox.json(&["init", "--force"]);
    assert_eq!((code, document["manifest"].as_str()), (0, Some("workspace.yaml")), "{document}");
    assert_eq!(sandbox.read("workspace.yaml"), printed);
}
