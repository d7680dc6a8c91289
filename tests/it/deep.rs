//! What nests thousands deep, in every file that dbctl reads: a report with an exit code, never the end of the process.

use crate::support::Sandbox;

const DEEP: usize = 5_000;
const MANIFEST: &str =
    "workspace: w\ndatabases:\n  a: { migrations: [{ path: m, format: native }], seeds: { path: s } }\n";

/// Scripts that nest, and whether PostgreSQL takes them; it has a stack, too.
fn scripts() -> [(&'static str, String, bool); 9] {
    let deep = |text: &str| text.repeat(DEEP);
    let quotes: String = (0..DEEP).map(|level| format!("$q{level}$ ")).collect();
    let unquotes: String = (0..DEEP).rev().map(|level| format!("$q{level}$ ")).collect();
    [
        ("parentheses", format!("select {}1{};\n", deep("("), deep(")")), true),
        ("parentheses never closed", format!("select {}1;\n", deep("(")), false),
        ("parentheses never opened", format!("select 1{};\n", deep(")")), false),
        ("brackets", format!("select array{}1{};\n", deep("["), deep("]")), false),
        ("comments", format!("{}a{} select 1;\n", deep("/*"), deep("*/")), true),
        ("comments never closed", format!("select 1; {}\n", deep("/*")), false),
        ("dollar quotes", format!("select {quotes}a{unquotes};\n"), true),
        (
            "a body",
            format!(
                "create function f() returns int begin atomic select {}1{}; end;\n",
                deep("case when true then "),
                deep(" end")
            ),
            false,
        ),
        ("selects", format!("select {}1{};\n", deep("(select "), deep(")")), false),
    ]
}

#[test]
fn deep_migrations_and_seeds_are_run_or_reported() {
    let sandbox =
        Sandbox::new(MANIFEST, &[("m/20260101000000_t.sql", "create table t (id int);\n"), ("s/.keep", "")]);
    sandbox.ok(&["up", "--all"]);
    for (at, (what, sql, is_taken)) in scripts().into_iter().enumerate() {
        let migration = format!("m/202602010000{at:02}_deep.sql");
        for path in [migration, format!("s/{at}_deep.sql")] {
            sandbox.write(&path, &sql);
            let (code, document) = sandbox.json(&["up", "--all"]);
            assert_eq!(code, if is_taken { 0 } else { 1 }, "{what} in {path}: {document}");
            if !is_taken {
                let error = &document["databases"][0]["error"];
                assert_eq!(error["path"], *path, "{what}: {document}");
                assert!(error["line"].is_number(), "{what}: {document}");
                std::fs::remove_file(sandbox.root().join(&path)).unwrap();
            }
            sandbox.ok(&["status", "--all", "--check"]);
        }
    }
}

#[test]
fn deep_manifests_and_settings_of_tools_are_refused() {
    let deep = |text: &str| text.repeat(DEEP);
    let sandbox = Sandbox::new(MANIFEST, &[]);
    for manifest in [deep("["), deep("{a: "), deep("- "), deep("? "), format!("{MANIFEST}x: {}", deep("[{"))]
    {
        sandbox.write("workspace.yaml", manifest);
        for verb in ["up", "status", "migrate"] {
            let said = sandbox.dbctl(&[verb, "--all"]).fails(3);
            assert!(said.contains("nested deeper than 32 levels"), "{said}");
        }
    }
    for (format, file, text, word) in [
        ("drizzle", "m/meta/_journal.json", deep("["), "a list in place of an object"),
        (
            "drizzle",
            "m/meta/_journal.json",
            format!("{{\"entries\": [], \"x\": {}", deep("[")),
            "not what drizzle-kit writes",
        ),
        ("drizzle", "m/meta/_journal.json", deep("{\"entries\":"), "not what drizzle-kit writes"),
        ("sqlx", "sqlx.toml", format!("[migrate]\nignored-chars = {}", deep("[")), "sqlx.toml"),
    ] {
        let sandbox =
            Sandbox::new(&MANIFEST.replace("native", format), &[("m/1_t.sql", "select 1;\n"), (file, &text)]);
        for verb in ["migrate", "status"] {
            let said = sandbox.dbctl(&[verb, "a"]).fails(3);
            assert!(said.contains(word), "{said}");
        }
        assert!(!sandbox.has_server());
    }
    // What only tells the name of a package tells none.
    let sandbox = Sandbox::new(
        &MANIFEST.replace("seeds:", "package: p, seeds:"),
        &[
            ("p/package.json", &deep("{\"name\":")),
            ("p/s/.keep", ""),
            ("p/m/20260101000000_t.sql", "select 1;\n"),
        ],
    );
    sandbox.ok(&["up", "--all"]);
}
