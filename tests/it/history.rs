//! What is recorded of migrations: shown, and mended by hand.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// Files in no transaction, the second of which stops in its second statement.
const STEPS: &str =
    "-- dbctl:no-transaction\nCREATE TABLE b (id int);\nCALL slow();\nCREATE TABLE c (id int);\n";

fn error(document: &Value) -> (&str, &str) {
    let error = &document["databases"][0]["error"];
    (error["message"].as_str().unwrap_or_default(), error["hint"].as_str().unwrap_or_default())
}

fn rows(sandbox: &Sandbox, target: &str) -> Vec<Value> {
    let (code, document) = sandbox.json(&["history", "show", target]);
    assert_eq!(code, 0, "{document}");
    document["sources"][0]["rows"].as_array().unwrap().clone()
}

/// The command that a hint has between backticks after these words.
fn command<'h>(hint: &'h str, begins: &str) -> Vec<&'h str> {
    let start = hint.find(&format!("`dbctl {begins}")).unwrap_or_else(|| panic!("{hint}")) + "`dbctl ".len();
    let end = start + hint[start..].find('`').unwrap();
    hint[start..end].split(' ').collect()
}

#[test]
fn what_is_recorded_is_shown() {
    let manifest = "workspace: w\ndatabases:\n  a: { migrations: [{ path: m, format: node-pg-migrate }, { path: n, format: native }] }\n";
    let sandbox = Sandbox::new(
        manifest,
        &[
            ("m/1_a.sql", "CREATE TABLE a (id int);"),
            ("m/2_b.sql", "SELECT 2;"),
            ("n/20250101000000_n.sql", "SELECT 3;"),
        ],
    );
    assert!(sandbox.dbctl(&["history", "show", "a"]).fails(1).contains("does not exist"));
    sandbox.ok(&["create", "a"]);
    assert_eq!(sandbox.ok(&["history", "show", "a"]).matches("nothing is recorded").count(), 2);
    sandbox.ok(&["migrate", "a"]);
    // Somebody else has applied one, and taken its file away; another file has changed.
    sandbox.query("a", "insert into pgmigrations (name, run_on) values ('3_theirs', now())");
    sandbox.write("m/2_b.sql", "SELECT 22;");
    let (code, document) = sandbox.json(&["history", "show", "a"]);
    assert_eq!(code, 0);
    let source = &document["sources"][0];
    assert_eq!((&source["source"], &source["format"]), (&json!("m"), &json!("node-pg-migrate")));
    assert_eq!(source["table"], "\"public\".\"pgmigrations\"");
    let shown = rows(&sandbox, "a");
    let brief: Vec<_> =
        shown.iter().map(|row| (row["name"].as_str().unwrap(), row["checksum"].as_str().unwrap())).collect();
    assert_eq!(brief, [("1_a", "same"), ("2_b", "changed"), ("3_theirs", "no_file")]);
    assert_eq!((&shown[1]["state"], &shown[2]["state"]), (&json!("changed"), &json!("missing")));
    assert!(shown[0]["applied_at"].is_string() && shown[0]["run"].as_str().unwrap().len() == 20);
    assert_eq!(shown[0]["applied_by"].as_str(), Some(sandbox.query("a", "select session_user").trim()));
    assert_eq!((&shown[2]["run"], &shown[2]["applied_by"]), (&json!(null), &json!(null)));
    let one = sandbox.ok(&["history", "show", "a", "--source", "n"]);
    assert!(
        one.starts_with("n (native, \"dbctl\".\"migration_history\")\n")
            && one.contains("20250101000000_n  applied"),
        "{one}"
    );
    assert!(!one.contains("pgmigrations"));
    let wrong = sandbox.dbctl(&["history", "show", "a", "--source", "x"]).fails(2);
    assert!(wrong.contains("`x` is no migration folder of `a`"), "{wrong}");
}

#[test]
fn a_statement_of_which_nobody_knows_is_resolved() {
    let manifest = "workspace: w\ndatabases:\n  a: { migrations: [{ path: m, format: native }] }\n";
    let sandbox = Sandbox::new(
        manifest,
        &[
            (
                "m/20250101000000_a.sql",
                "CREATE TABLE called (id int);\nCREATE PROCEDURE slow() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO called \
                 VALUES (1); COMMIT; PERFORM 1 / (SELECT count(*) - 1 FROM called); END $$;\n",
            ),
            ("m/20250102000000_b.sql", STEPS),
        ],
    );
    sandbox.ok(&["create", "a"]);
    assert_eq!(error(&sandbox.json(&["migrate", "a"]).1).0, "division by zero");
    let unresolved = sandbox.json(&["migrate", "a"]).1;
    let (message, hint) = error(&unresolved);
    assert!(message.contains("nobody knows whether it took effect: CALL slow()"), "{message}");
    // Whoever only asks is told the same.
    for asking in [&["migrate", "a", "--dry-run"][..], &["plan", "migrate", "a", "-o", "p.json"]] {
        assert!(sandbox.dbctl(asking).fails(1).contains("nobody knows whether it took effect"), "{asking:?}");
    }
    let status = sandbox.json(&["status", "a"]).1;
    let blocked = status["databases"][0]["blocked"]["message"].as_str().unwrap_or_default();
    assert!(blocked.contains("nobody knows whether it took effect"), "{status}");
    let shown = rows(&sandbox, "a");
    assert_eq!((&shown[1]["statements_done"], &shown[1]["statement_started"]), (&json!(1), &json!(true)));
    assert!(sandbox.ok(&["history", "show", "a"]).contains("partial: stopped in statement 2"));

    // It did: what the hint says is what helps.
    let resolve = command(hint, "history resolve");
    assert!(resolve.contains(&"--applied"), "{resolve:?}");
    let asked = sandbox.dbctl(&resolve).fails(2);
    assert!(asked.contains("add --yes"), "{asked}");
    sandbox.ok(&[&resolve[..], &["--yes"]].concat());
    let (code, document) = sandbox.json(&["migrate", "a"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(sandbox.query("a", "select count(*), to_regclass('c') is null from called"), "1|f\n");
    let nothing = sandbox.dbctl(&[&resolve[..], &["--yes"]].concat()).fails(1);
    assert!(
        nothing.contains("there is nothing to resolve about 20250102000000_b: it is applied"),
        "{nothing}"
    );

    // It did not, and is run again; or people have seen to it, and say from where to go on.
    for (how, count) in [(&["--rolled-back"][..], "2\n"), (&["--done", "2"], "1\n")] {
        sandbox.dbctl(&["reset", "a", "--yes"]).fails(1);
        assert_eq!(sandbox.query("a", "select count(*) from called"), "1\n");
        let resolve = [&["history", "resolve", "a", "20250102000000_b"][..], how, &["--yes"]].concat();
        sandbox.ok(&resolve);
        sandbox.ok(&["migrate", "a"]);
        assert_eq!(sandbox.query("a", "select count(*) from called"), count, "{how:?}");
    }
}

#[test]
fn files_that_changed_are_taken_as_they_are() {
    let manifest =
        "workspace: w\ndatabases:\n  a: { migrations: [{ path: prisma/migrations, format: prisma }] }\n";
    let files = [
        ("prisma/migrations/1_a/migration.sql", "CREATE TABLE a (id int);"),
        ("prisma/migrations/2_b/migration.sql", "CREATE TABLE b (id int);"),
    ];
    let sandbox = Sandbox::new(manifest, &files);
    sandbox.ok(&["up", "a"]);
    for (path, text) in files {
        sandbox.write(path, format!("-- said better\n{text}"));
    }
    let changed = sandbox.json(&["migrate", "a"]).1;
    let (_, hint) = error(&changed);
    let repair = command(hint, "history repair");
    assert_eq!(repair, ["history", "repair", "a", "1_a", "2_b"]);
    let one = sandbox.json(&["history", "repair", "a", "1_a", "--yes"]).1;
    assert_eq!(one["databases"][0]["migrations"][0]["direction"], "repair");
    assert_eq!(sandbox.json(&["status", "a"]).1["databases"][0]["counts"]["changed"], 1);
    sandbox.ok(&[&repair[..], &["--yes"]].concat());
    sandbox.ok(&["status", "a", "--check"]);
    // Prisma's own checksums are those of the files again.
    let same = "select count(*) from _prisma_migrations where checksum = encode(sha256(convert_to(E'-- said better\\nCREATE \
                TABLE ' || right(migration_name, 1) || ' (id int);', 'UTF8')), 'hex')";
    assert_eq!(sandbox.query("a", same), "2\n");
    assert_eq!(sandbox.json(&["history", "repair", "a", "--yes"]).1["databases"][0]["outcome"], "unchanged");
}

/// `redo` takes back what was applied last of all sources, if it can: what helps with that file alone.
#[test]
fn only_the_last_one_can_be_run_anew() {
    let sandbox = Sandbox::new(
        "workspace: w\ndatabases:\n  a: { migrations: [{ path: m, format: native }, { path: n, format: native }] }\n",
        &[
            ("m/20250101000000_a.sql", "CREATE TABLE a ();"),
            ("m/20250102000000_b.sql", "CREATE TABLE b ();"),
            ("m/20250102000000_b.down.sql", "DROP TABLE b;"),
        ],
    );
    sandbox.write("n/.keep", "");
    sandbox.ok(&["up", "a"]);
    let offers = |file: &str| {
        let text = sandbox.read(file);
        sandbox.write(file, format!("-- anew\n{text}"));
        let (code, document) = sandbox.json(&["migrate", "a"]);
        let (message, hint) = error(&document);
        assert!(code == 1 && message.contains("changed on disk"), "{document}");
        command(hint, "new a");
        command(hint, "history repair a");
        let redo = hint.contains("`dbctl redo a`");
        if redo {
            sandbox.ok(&["redo", "a", "--yes"]);
            sandbox.ok(&["status", "a", "--check"]);
        }
        sandbox.write(file, text);
        redo
    };
    assert!(!offers("m/20250101000000_a.sql"), "an older one");
    assert!(offers("m/20250102000000_b.sql"));
    sandbox.ok(&["history", "repair", "a", "--yes"]);
    sandbox.write("n/20250101000000_c.sql", "CREATE TABLE c ();");
    sandbox.ok(&["migrate", "a"]);
    assert!(!offers("m/20250102000000_b.sql"), "the last of its folder, not of the database");
    assert!(!offers("n/20250101000000_c.sql"), "no way back");
    sandbox.write("n/20250101000000_c.down.sql", "DROP TABLE c;");
    assert!(offers("n/20250101000000_c.sql"));
}

#[test]
fn what_a_tool_recorded_as_failed_is_resolved() {
    let manifest = "workspace: w\ndatabases:\n  a: &a { migrations: [{ path: prisma/migrations, format: prisma }] }\n  b: *a\n";
    let sandbox =
        Sandbox::new(manifest, &[("prisma/migrations/1_a/migration.sql", "CREATE TABLE a (id int);")]);
    sandbox.ok(&["create", "--all"]);
    for (target, how, state) in [("a", "--applied", "applied"), ("b", "--rolled-back", "pending")] {
        sandbox.ok(&["status", target]);
        assert_eq!(sandbox.json(&["history", "mark", target, "1_a", "--applied", "--yes"]).0, 0);
        // As it is after `prisma migrate deploy` has failed.
        sandbox.query(
            target,
            "update _prisma_migrations set finished_at = null, applied_steps_count = 0, logs = 'no'",
        );
        let failed = sandbox.json(&["migrate", target]).1;
        let (message, hint) = error(&failed);
        assert!(message.contains("recorded as failed: 1_a"), "{message}");
        let mut resolve = command(hint, "history resolve");
        assert_eq!(resolve.pop(), Some("--applied"));
        sandbox.ok(&[&resolve[..], &[how, "--yes"]].concat());
        let status = sandbox.json(&["status", target]).1;
        assert_eq!(status["databases"][0]["migrations"][0]["state"], state, "{how}");
    }
    // The attempt that failed stays in Prisma's own record.
    assert_eq!(sandbox.query("b", "select rolled_back_at is not null from _prisma_migrations"), "t\n");
    assert_eq!(sandbox.json(&["migrate", "b"]).0, 0);
    assert_eq!(
        sandbox.query("b", "select count(*) from _prisma_migrations where finished_at is not null"),
        "1\n"
    );
}

#[test]
fn marks_change_what_is_recorded_and_nothing_else() {
    let manifest = "workspace: w\ndatabases:\n  a: { migrations: [{ path: m, format: native }] }\nenvironments:\n  \
                    production: { protected: true }\n";
    let sandbox = Sandbox::new(manifest, &[("m/20250101000000_a.sql", "CREATE TABLE a (id int);")]);
    sandbox.ok(&["up", "a"]);
    let version = "20250101000000";
    let pending = ["history", "mark", "a", version, "--pending"];
    let asked = sandbox.dbctl(&pending).fails(2);
    assert!(asked.contains("`history mark` changes what is recorded as applied"), "{asked}");
    let guarded = sandbox.dbctl(&[&pending[..], &["--yes", "--env", "production"]].concat()).fails(2);
    assert!(guarded.contains("--allow-protected production"), "{guarded}");
    let other = [&pending[..], &["--yes", "--env", "production", "--allow-protected", "production"]].concat();
    assert!(sandbox.dbctl(&other).fails(1).contains("belongs to the environment `development`"));
    let (_, marked) = sandbox.json(&[&pending[..], &["--yes"]].concat());
    assert_eq!(marked["databases"][0]["migrations"][0]["direction"], "forget");
    assert_eq!(sandbox.query("a", "select to_regclass('a') is null"), "f\n");
    assert_eq!(sandbox.json(&["status", "a"]).1["databases"][0]["counts"]["pending"], 1);
    let (_, marked) = sandbox.json(&["history", "mark", "a", "20250101000000_a.sql", "--applied", "--yes"]);
    assert_eq!(marked["databases"][0]["migrations"][0]["direction"], "fake");
    sandbox.ok(&["status", "a", "--check"]);
    for (args, expected) in [
        (&["history", "mark", "a", "7", "--applied", "--yes"][..], "no migration `7` in m"),
        (&["history", "mark", "a", version], "<--applied|--pending>"),
        (&["history", "resolve", "a", version], "--rolled-back"),
        (&["history", "resolve", "a", version, "--applied", "--rolled-back"], "cannot be used with"),
        (&["history", "repair", "a", "7", "--yes"], "no migration `7` in m"),
    ] {
        let ran = sandbox.dbctl(args);
        assert!(ran.code != 0 && ran.stderr.contains(expected), "{args:?}: {ran}");
    }
}
