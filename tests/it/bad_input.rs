//! What people get wrong: each has a clear error and its exit code, and nothing is lost or made.

use crate::{
    held::hold,
    own_server::OwnServer,
    support::{Sandbox, query},
};

const MIGRATION: (&str, &str) = ("migrations/20260101000000_t.sql", "create table t (id int);\n");

/// `up --all` on that manifest is refused for these reasons, and starts no server.
#[track_caller]
fn refused(sandbox: &Sandbox, manifest: &str, words: &[&str]) -> String {
    sandbox.write("workspace.yaml", manifest);
    let said = sandbox.dbctl(&["up", "--all"]).fails(3);
    for word in words {
        assert!(said.contains(word), "{word:?} is missing\n{said}");
    }
    assert!(!sandbox.has_server(), "{said}");
    sandbox.redact(&said)
}

#[test]
fn manifests_that_are_none() {
    let sandbox = Sandbox::new("", &[MIGRATION]);
    insta::assert_snapshot!(refused(&sandbox, "", &[]), @"
    error: the manifest is empty
      in workspace.yaml:1:1
      help: it needs at least a name and a database: `workspace: shop` and `databases: { core: {} }`
    ");
    insta::assert_snapshot!(refused(&sandbox, "workspace: a\ndatabases:\n\tcore: {}\n", &[]), @"
    error: YAML forbids tabs here
       ╭─[workspace.yaml:3:1]
     2 │ databases:
     3 │     core: {}
       · ────
       ╰────
      help: indent with spaces
    ");
    let big = format!("workspace: a\ndatabases:\n  a: {{}}\n{}", "# padding\n".repeat(1024 * 1024));
    refused(&sandbox, &big, &["workspace.yaml", "larger than 1 MiB"]);
    refused(&sandbox, "workspace: a\ndatabases:\n  a: { depends_on: [b]\n", &["workspace.yaml:", "not YAML"]);
    sandbox.write("workspace.yaml", [0xff, 0xfe, b'w', 0]);
    let said = sandbox.dbctl(&["up", "--all"]).fails(3);
    assert!(said.contains("workspace.yaml") && said.contains("UTF-8"), "{said}");

    let said = sandbox.dbctl(&["--manifest", "nope.yaml", "up", "--all"]).fails(3);
    assert!(said.contains("nope.yaml") && said.contains("No such file"), "{said}");
    std::fs::remove_file(sandbox.root().join("workspace.yaml")).unwrap();
    let said = sandbox.dbctl(&["up", "--all"]).fails(3);
    assert!(said.contains("no workspace.yaml in") && said.contains("or any folder above"), "{said}");
}

#[test]
fn manifests_that_contradict_themselves() {
    let sandbox = Sandbox::new("", &[MIGRATION]);
    let databases = |text: &str| format!("workspace: a\ndatabases:\n{text}");
    let cycle = databases("  a: { depends_on: [b] }\n  b: { depends_on: [c] }\n  c: { depends_on: [a] }\n");
    refused(&sandbox, &cycle, &["a → b → c → a", "workspace.yaml:3:"]);
    let own = databases("  a: { depends_on: [a] }\n");
    refused(&sandbox, &own, &["`a` depends on itself", "workspace.yaml:3:"]);
    let package = databases("  a: { package: apps/a }\n");
    refused(&sandbox, &package, &["the package folder apps/a does not exist", "workspace.yaml:3:"]);
    let escape = databases("  a: { package: ../.. }\n");
    refused(&sandbox, &escape, &["workspace.yaml:3:", "leaves the workspace"]);
    for (name, why) in [
        ("postgres".to_owned(), "belongs to the server itself"),
        ("template1".to_owned(), "belongs to the server itself"),
        ("y".repeat(64), "64 bytes long"),
        ("ü".repeat(32), "64 bytes long"),
        ("''".to_owned(), "the name is empty"),
    ] {
        let manifest = databases(&format!("  a: {{ name: {name}, migrations: [{{ path: migrations }}] }}\n"));
        refused(&sandbox, &manifest, &["workspace.yaml:3:14", "`a` cannot have this name", why]);
        let said = sandbox.dbctl(&["drop", "--all", "--yes"]).fails(3);
        assert!(said.contains(why), "{said}");
    }
    let several = databases(
        "  core: { url: 'me:hushhush@h/core', nmae: x }\n  app: { depends_on: [cor] }\nenv_file: [.env]\n",
    );
    insta::assert_snapshot!(refused(&sandbox, &several, &[]), @"
    error: unknown key `nmae` in `databases.core`
       ╭─[workspace.yaml:3:38]
     2 │ databases:
     3 │   core: { url: 'me:****@h/core', nmae: x }
       ·                                  ────
     4 │   app: { depends_on: [cor] }
       ╰────
      help: did you mean `name`?

    error: there is no database `cor`
       ╭─[workspace.yaml:4:23]
     3 │   core: { url: 'me:****@h/core', nmae: x }
     4 │   app: { depends_on: [cor] }
       ·                       ───
     5 │ env_file: [.env]
       ╰────
      help: did you mean `core`?

    error: unknown key `env_file`
       ╭─[workspace.yaml:5:1]
     4 │   app: { depends_on: [cor] }
     5 │ env_file: [.env]
       · ────────
       ╰────
      help: did you mean `env_files`?
    ");
    // The same for programs, with every problem in its place.
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!((code, &document["error"]["kind"]), (3, &"manifest".into()), "{document}");
    let lines: Vec<_> =
        document["error"]["problems"].as_array().unwrap().iter().map(|p| &p["line"]).collect();
    assert_eq!(lines, [3, 4, 5], "{document}");
}

#[test]
fn environments_that_are_misspelt() {
    let mut sandbox = Sandbox::new(
        "workspace: a\ndatabases: { a: {} }\nenvironments: { production: { protected: true } }\n",
        &[],
    );
    for name in ["NODE_ENV", "DBCTL_ENV"] {
        sandbox.set(name, "prodution");
        let said = sandbox.dbctl(&["clean", "--all", "--yes"]).fails(3);
        assert!(said.contains(&format!("`prodution` (from {name}) is not declared")), "{said}");
        assert!(said.contains("did you mean `production`?"), "{said}");
    }
    sandbox.dbctl(&["list", "--env", "test"]).ok();
    let said = sandbox.dbctl(&["list", "--env", "stagin"]).fails(3);
    assert!(said.contains("use one of: development, production, test"), "{said}");
    assert!(!sandbox.has_server());
}

#[test]
fn words_that_mean_nothing() {
    let sandbox = Sandbox::new("workspace: a\ndatabases: { core: { name: core_db }, app: {} }\n", &[]);
    for (args, words) in [
        (&["up", "coer"][..], &["nothing is called `coer`", "did you mean `core`?"][..]),
        (&["up", "apps/nowhere"], &["apps/nowhere"]),
        (&["up"], &["no target", "core", "app", "--all"]),
        (&["up", "--all", "core"], &["--all"]),
        (&["up", "--al"], &["--al", "--all"]),
        (&["migrat", "--all"], &["migrat", "migrate"]),
        (&["up", "--all", "--jobs", "0"], &["a number from 1 to"]),
        (&["up", "--all", "--wait", "ten"], &["10s"]),
        (&["migrate", "--all", "--to", "1"], &["--to takes one database"]),
        (&["rollback", "--all", "--count", "2"], &["--count takes one database"]),
        (&["-C", "nowhere", "up", "--all"], &["nowhere", "No such file"]),
        (&["drop", "--all"], &["--yes"]),
        (&["exec", "core"], &["CMD"]),
        (&["psql", "tag:none"], &["tag"]),
        (&["new", "core", "x"], &["no migration folder"]),
    ] {
        let ran = sandbox.dbctl(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran}");
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is missing: {ran}");
        }
    }
    assert!(!sandbox.has_server());
}

#[test]
fn folders_that_cannot_be_run() {
    let manifest = "workspace: a\ndatabases: { a: { migrations: [{ path: migrations, format: native }] } }\n";
    let sandbox = Sandbox::new(manifest, &[]);
    let fails = |words: &[&str]| {
        for verb in ["up", "migrate", "status"] {
            let said = sandbox.dbctl(&[verb, "--all"]).fails(3);
            for word in words {
                assert!(said.contains(word), "{word:?} is missing: {said}");
            }
        }
        assert!(!sandbox.has_server());
    };
    fails(&["a: migrations: this migration folder does not exist", "mkdir -p migrations"]);
    sandbox.write(MIGRATION.0, MIGRATION.1);
    let second = "migrations/20260102000000_u.sql";
    sandbox.write(second, b"select 1;\nselect '\xe9';\n");
    fails(&["20260102000000_u.sql:2:9", "not UTF-8", "save the file as UTF-8"]);
    let utf16: Vec<u8> = "\u{feff}select 1;".encode_utf16().flat_map(u16::to_le_bytes).collect();
    sandbox.write(second, &utf16);
    fails(&["20260102000000_u.sql:1:1", "UTF-16 LE"]);
    let utf16: Vec<u8> = "select 1;".encode_utf16().flat_map(u16::to_be_bytes).collect();
    sandbox.write(second, &utf16);
    fails(&["20260102000000_u.sql:1:1", "UTF-16 BE"]);
    std::fs::remove_file(sandbox.root().join(second)).unwrap();
    sandbox.write("migrations/20260101000000_other.sql", "select 1;\n");
    fails(&["20260101000000_t.sql", "20260101000000_other.sql", "the same version 20260101000000"]);
}

#[test]
fn names_that_need_quotes_work_through_everything() {
    let sandbox = Sandbox::new("", &[MIGRATION, ("seeds/t.csv", "id\n1\n")]);
    let long = "x".repeat(63);
    for name in [r#"say "hi""#, "it's", "two words", "50%/a?b#c@d:e", "Größe", "-dash", &long] {
        let quoted = serde_json::to_string(name).unwrap();
        sandbox.write(
            "workspace.yaml",
            format!(
                "workspace: a\ndatabases:\n  a:\n    name: {quoted}\n    migrations: [{{ path: migrations, format: native }}]\n    seeds: {{ path: seeds }}\n"
            ),
        );
        sandbox.ok(&["up", "--all"]);
        assert_eq!(
            sandbox.query("a", "select current_database(), (select count(*) from t)"),
            format!("{name}|1\n")
        );
        sandbox.ok(&["status", "--all", "--check"]);
        assert_eq!(sandbox.ok(&["psql", "a", "--", "-XAtc", "select current_database()"]).trim_end(), name);
        sandbox.ok(&["clean", "a", "--yes"]);
        assert_eq!(sandbox.query("a", "select count(*) from t"), "0\n");
        let (code, dropped) = sandbox.json(&["drop", "a", "--yes"]);
        assert_eq!((code, &dropped["databases"][0]["dropped"]), (0, &true.into()), "{dropped}");
        let status = sandbox.json(&["status", "--all"]).1;
        assert_eq!(status["databases"][0]["exists"], false, "{status}");
    }
}

#[test]
fn nothing_is_dropped_while_somebody_uses_one_of_them() {
    let manifest = "workspace: a
databases:
  core: { migrations: [{ path: migrations, format: native }] }
  app: { migrations: [{ path: migrations, format: native }], depends_on: [core] }
";
    let sandbox = Sandbox::new(manifest, &[MIGRATION]);
    sandbox.ok(&["up", "--all"]);
    let session = hold(&sandbox.url("core"), "select 1");
    for verb in ["drop", "reset"] {
        let said = sandbox.dbctl(&[verb, "--all", "--yes"]).fails(1);
        assert!(said.contains("core: core is in use by 1 other session(s)"), "{said}");
        assert!(said.contains(&format!("pid {}", session.pid)) && !said.contains("dropped"), "{said}");
        sandbox.ok(&["status", "--all", "--check"]);
    }
    sandbox.ok(&["reset", "--all", "--yes", "--disconnect"]);
    assert!(session.was_ended());
}

#[test]
fn rights_and_sessions_that_are_in_the_way() {
    let server = OwnServer::start();
    server.query("postgres", "create role lame login password 'lame'");
    let sandbox = Sandbox::new("", &[MIGRATION]);
    let manifest = |url: &str| {
        sandbox.write(
            "workspace.yaml",
            format!("workspace: a\ndatabases:\n  a: {{ name: a_db, url: '{url}', migrations: [{{ path: migrations, format: native }}] }}\n"),
        );
    };
    manifest(&server.url_as("lame", "lame", "a_db"));
    insta::assert_snapshot!(sandbox.redact(&sandbox.dbctl(&["up", "a"]).fails(1)), @r#"
    error: a: permission denied to create database (42501)
      statement: CREATE DATABASE "a_db"
      hint: ALTER ROLE "lame" CREATEDB; or name a role that may create databases in `admin_url`
    "#);
    assert_eq!(server.databases(), "");

    manifest(&server.url("a_db"));
    sandbox.ok(&["up", "a"]);
    // Somebody else's database is neither dropped nor emptied.
    manifest(&server.url_as("lame", "lame", "a_db"));
    let said = sandbox.dbctl(&["drop", "a", "--yes"]).fails(1);
    assert!(said.contains("permission denied for schema dbctl"), "whose environment is it? {said}");
    server.query(
        "a_db",
        "grant usage on schema dbctl to lame; grant select on all tables in schema dbctl to lame",
    );
    let said = sandbox.dbctl(&["drop", "a", "--yes"]).fails(1);
    assert!(said.contains("must be owner of database a_db") && said.contains("admin_url"), "{said}");
    assert_eq!(server.databases(), "a_db");
    manifest(&server.url("a_db"));

    let url = format!("{}?application_name=my%20app", server.url("a_db"));
    let session = hold(&url, "select 1");
    let said = sandbox.dbctl(&["drop", "a", "--yes"]).fails(1);
    for word in ["in use by 1 other session", "my app", "127.0.0.1", "--disconnect"] {
        assert!(said.contains(word), "{word:?} is missing: {said}");
    }
    assert_eq!(server.databases(), "a_db");
    assert!(said.contains(&format!("pid {}", session.pid)), "{said}");
    let alive = format!("select count(*) from pg_stat_activity where pid = {}", session.pid);
    assert_eq!(server.query("postgres", &alive), "1\n", "its session is left alone");
    sandbox.ok(&["drop", "a", "--yes", "--disconnect"]);
    assert_eq!(server.databases(), "");
    assert!(session.was_ended());
}

#[test]
fn urls_that_lead_elsewhere() {
    let server = OwnServer::start();
    server.query("postgres", "create database other_db");
    let mut sandbox = Sandbox::new(
        "workspace: a\ndatabases:\n  a: { name: a_db, url: '${DATABASE_URL}', migrations: [{ path: migrations, format: native }] }\n",
        &[MIGRATION],
    );
    let said = sandbox.dbctl(&["up", "a"]).fails(3);
    assert!(said.contains("the variable `DATABASE_URL` is not set"), "{said}");
    sandbox.write(".env", format!("DATABASE_URL={}\n", server.url("a_db")));
    sandbox.set("DATABASE_URL", &server.url("other_db"));
    for args in [&["up", "a"][..], &["drop", "a", "--yes"], &["status", "a"], &["env", "a"]] {
        let said = sandbox.dbctl(args).fails(3);
        assert!(said.contains("`other_db`, not to `a_db`"), "{said}");
        assert!(said.contains("DATABASE_URL exported for another database"), "{said}");
        assert!(!said.contains(&server.password), "{said}");
    }
    assert_eq!(server.databases(), "other_db");
    assert_eq!(
        server.query("other_db", "select count(*) from pg_tables where schemaname in ('public', 'dbctl')"),
        "0\n"
    );
}

#[test]
fn two_keys_on_one_database_are_refused_before_anything_is_touched() {
    let server = OwnServer::start();
    let local = server.url("same_db").replace("127.0.0.1", "localhost");
    let sandbox = Sandbox::new(
        &format!(
            "workspace: a\ndatabases:\n  a: {{ name: same_db, url: '{}', migrations: [{{ path: migrations, format: native }}] }}\n  b: {{ name: same_db, url: '{local}' }}\n",
            server.url("same_db"),
        ),
        &[MIGRATION],
    );
    let (code, document) = sandbox.json(&["up", "--all"]);
    assert_eq!(code, 1, "{document}");
    assert_eq!(document["databases"][0]["outcome"], "skipped", "{document}");
    assert_eq!(document["databases"][1]["error"]["code"], "same_database", "{document}");
    assert_eq!(server.databases(), "", "nothing is made");

    sandbox.ok(&["up", "a"]);
    for args in [
        &["up", "--all"][..],
        &["clean", "--all", "--yes"],
        &["drop", "--all", "--yes"],
        &["status", "--all"],
    ] {
        let said = sandbox.dbctl(args).fails(1);
        assert!(said.contains("b: `a` leads to the same database (same_db)"), "{args:?}: {said}");
    }
    assert_eq!(query(&server.url("same_db"), "select count(*) from t").unwrap(), "0\n");
}
