//! Names that would be SQL or shell if nobody quoted them, in every place where a name can stand; and paths that lead out.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use crate::{own_server::OwnServer, support::Sandbox};

/// What would drop, run or break something where it is pasted into SQL or a command line. No slash: each is a file
/// name, too.
const NAMES: [&str; 8] = [
    "\"; drop database victim; --",
    "'; drop database victim; --",
    "$$; drop database victim; $$",
    "a\"b'c`d\\e",
    "two  words",
    "$(touch pwned)",
    "`touch pwned`; touch pwned & %s",
    "Größe 💥 \u{202e}x",
];

/// As the manifest spells it: YAML takes JSON's strings, and a dollar is two.
fn yaml(name: &str) -> String {
    json!(name.replace('$', "$$")).to_string()
}

/// A text as a name in SQL.
fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// That nothing was run that was meant as a name.
#[track_caller]
fn unharmed(sandbox: &Sandbox, server: &OwnServer, name: &str) {
    assert_eq!(server.query("victim", "select n from t"), "1\n", "{name}");
    let found = fs::read_dir(sandbox.root()).unwrap().any(|entry| entry.unwrap().file_name() == "pwned");
    assert!(!found, "{name} was run");
}

fn victim() -> OwnServer {
    let server = OwnServer::start();
    server.query("postgres", "create database victim");
    server.query("victim", "create table t (n int); insert into t values (1)");
    server
}

/// A sandbox that reaches that server by variables, as the names stand in no URL.
fn sandbox_at(server: &OwnServer) -> Sandbox {
    let mut sandbox = Sandbox::new("", &[]);
    sandbox.set("PGHOST", &server.host).set("PGPORT", &server.port.to_string());
    sandbox.set("PGUSER", "postgres").set("PGPASSWORD", &server.password);
    sandbox
}

#[test]
fn names_in_every_place_are_names() {
    let server = victim();
    for name in NAMES {
        let sandbox = sandbox_at(&server);
        let (text, quoted) = (yaml(name), ident(name));
        let owner = format!("o{name}");
        server.query("postgres", &format!("create role {}", ident(&owner)));
        sandbox.write(
            "workspace.yaml",
            format!(
                "workspace: w
databases:
  a:
    name: {text}
    package: {text}
    owner: {}
    settings: {{ app.tenant: {text} }}
    migrations: [{{ path: {text}, format: custom, schema: {text}, table: {text}, name_column: {text}, applied_column: {} }}]
    seeds: {{ path: seeds, runners: {{ sh: 'sh {{file}}' }} }}
    clean: {{ keep: [{}] }}
",
                yaml(&owner),
                yaml(&format!("at {name}")),
                // Without a dot, a name is a table's.
                yaml(&format!("keep {name}")),
            ),
        );
        let (folder, keep) = (format!("{name}/{name}"), ident(&format!("keep {name}")));
        let up = format!(
            "create table {quoted} ({quoted} text);\ncreate table {keep} (s text);\ninsert into {keep} values (current_setting('app.tenant'));\n"
        );
        sandbox.write(&format!("{folder}/001_{name}.sql"), up);
        sandbox.write(
            &format!("{folder}/001_{name}.down.sql"),
            format!("drop table {quoted}; drop table {keep};\n"),
        );
        sandbox.write(&format!("{name}/package.json"), json!({ "name": name }).to_string());
        let column = format!("\"{}\"", name.replace('"', "\"\""));
        sandbox.write(&format!("{name}/seeds/{name}.csv"), format!("{column}\n{column}\n"));
        sandbox.write(&format!("{name}/seeds/z{name}.sh"), "printf %s \"$PGDATABASE\" > seen\n");
        sandbox.ok(&["up", "--all"]);
        let applied = sandbox.query("a", &format!("select {quoted} from {quoted}.{quoted}"));
        assert_eq!(applied.trim_end(), format!("001_{name}"), "{name}");
        let rows = sandbox
            .query("a", &format!("select (select {quoted} from public.{quoted}), (select s from {keep})"));
        assert_eq!(rows.trim_end(), format!("{name}|{name}"));
        let owned = "select pg_get_userbyid(datdba) from pg_database where datname = current_database()";
        assert_eq!(sandbox.query("a", owned).trim_end(), owner);
        assert_eq!(sandbox.read(&format!("{name}/seen")), name);

        for target in [name.to_owned(), format!("./{name}")] {
            sandbox.ok(&["status", &target, "--check"]);
        }
        for args in [
            &["clean", "a", "--yes"][..],
            &["seed", "a"],
            &["redo", "a", "--yes"],
            &["list"],
            &["list", "--format", "json"],
            &["graph", "--as", "mermaid"],
            &["graph", "--as", "dot"],
            &["plan", "up", "--all", "--state"],
            &["history", "show", "a"],
            &["migrate", "a", "--fake", "--yes"],
            &["status", "a", "--format", "json"],
        ] {
            sandbox.ok(args);
        }
        assert_eq!(sandbox.ok(&["psql", "a", "--", "-XAtc", "select current_database()"]).trim_end(), name);
        assert_eq!(sandbox.ok(&["exec", "a", "--", "sh", "-c", "printf %s \"$PGDATABASE\""]), name);
        let script = format!("eval \"$({} env a)\"; printf %s \"$PGDATABASE\"", crate::support::binary());
        let shell = sandbox.command("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout), name);
        sandbox.write(&format!("{folder}/002_bad {name}.sql"), "select 1;\nselect nope;\n");
        let (code, document) = sandbox.json(&["migrate", "a"]);
        let path = &document["databases"][0]["error"]["path"];
        assert_eq!((code, path), (1, &Value::from(format!("{folder}/002_bad {name}.sql"))), "{document}");
        fs::remove_file(sandbox.root().join(format!("{folder}/002_bad {name}.sql"))).unwrap();
        sandbox.ok(&["rollback", "a", "--yes"]);
        sandbox.ok(&["drop", "a", "--yes"]);
        unharmed(&sandbox, &server, name);
        assert_eq!(server.databases(), "victim");
    }
}

#[test]
fn names_that_can_be_none_are_refused() {
    let server = victim();
    for name in NAMES {
        let text = yaml(name);
        let sandbox = sandbox_at(&server);
        for (manifest, code) in [
            (format!("workspace: {text}\ndatabases: {{ a: {{}} }}\n"), 3),
            (format!("workspace: w\ndatabases: {{ {text}: {{}} }}\n"), 3),
            (format!("workspace: w\ndatabases: {{ a: {{ depends_on: [{text}] }} }}\n"), 3),
            (format!("workspace: w\ndatabases: {{ a: {{ tags: [{text}] }} }}\n"), 3),
            (format!("workspace: w\ndatabases: {{ a: {{ env: {{ {text}: a }} }} }}\n"), 3),
            (
                format!(
                    "workspace: w\ndatabases: {{ a: {{ seeds: {{ path: s, runners: {{ sh: {text} }} }} }} }}\n"
                ),
                3,
            ),
            (format!("workspace: w\nservers: {{ m: {{ url: {text} }} }}\ndatabases: {{ a: {{}} }}\n"), 3),
            (format!("workspace: w\ndatabases: {{ a: {{ hooks: {{ {text}: 'true' }} }} }}\n"), 3),
            (
                format!(
                    "workspace: w\ndatabases: {{ a: {{ migrations: [{{ path: m, format: {text} }}] }} }}\n"
                ),
                3,
            ),
            (format!("workspace: w\ndatabases: {{ a: {{ extensions: [{text}] }} }}\n"), 1),
            (format!("workspace: w\ndatabases: {{ a: {{ owner: {text} }} }}\n"), 1),
            (
                format!(
                    "workspace: w\ndatabases: {{ a: {{ settings: {{ {text}: x }}, migrations: [{{ path: m, format: native }}] }} }}\n"
                ),
                3,
            ),
            (format!("workspace: w\ndatabases: {{ a: {{ clean: {{ keep: [{text}] }} }} }}\n"), 0),
        ] {
            sandbox.write("workspace.yaml", &manifest);
            sandbox.write("m/20260101000000_t.sql", "select 1;\n");
            let ran = sandbox.dbctl(&["up", "--all"]);
            assert_eq!(ran.code, code, "{manifest}{ran}");
            assert!(code == 0 || ran.stderr.starts_with("error: "), "{manifest}{ran}");
            if code == 0 {
                let said = sandbox.dbctl(&["clean", "--all", "--yes"]).fails(1);
                assert!(said.contains("names no table"), "{said}");
            }
            unharmed(&sandbox, &server, name);
            server.query("postgres", "drop database if exists a");
        }
        // What is typed is a name, too.
        sandbox.write(
            "workspace.yaml",
            "workspace: w\ndatabases: { a: { migrations: [{ path: m, format: native }] } }\n",
        );
        sandbox.ok(&["up", "--all"]);
        for (args, code) in [
            (&["up", name][..], 2),
            (&["up", &format!("tag:{name}")], 2),
            (&["migrate", "a", "--to", name], 2),
            (&["rollback", "a", "--only", name, "--yes"], 2),
            (&["baseline", "a", "--through", name, "--yes"], 2),
            (&["list", "--env", name], 3),
        ] {
            let ran = sandbox.dbctl(args);
            assert!(ran.code == code || ran.code == 1, "{args:?} {ran}");
            assert!(!ran.stderr.is_empty(), "{args:?}");
        }
        let made = sandbox.ok(&["new", "a", "--", name]);
        assert!(made.starts_with("m/") && made.trim_end().ends_with(".sql"), "{made}");
        unharmed(&sandbox, &server, name);
        server.query("postgres", "drop database a");
    }
}

#[test]
fn files_that_leave_the_workspace_are_not_read() {
    let manifest = |rest: &str| format!("workspace: w\ndatabases: {{ a: {{ {rest} }} }}\n");
    let sandbox =
        Sandbox::new("", &[("m/20260101000000_t.sql", "create table t (n int);\n"), ("s/.keep", "")]);
    let outside = sandbox.root().join("../outside");
    fs::create_dir_all(outside.join("m")).unwrap();
    let secret = "insert into t values (4711); -- hush\n";
    for name in ["x.sql", "t.csv", ".env", "m/20260102000000_x.sql", "m/migration.sql"] {
        fs::write(outside.join(name), secret).unwrap();
    }
    for (link, target) in
        [("out", "../outside"), ("out.sql", "../outside/x.sql"), ("inside.sql", "m/20260101000000_t.sql")]
    {
        symlink(target, sandbox.root().join(link)).unwrap();
    }
    let refused = |why: &str| {
        for verb in ["up", "migrate", "seed"] {
            let said = sandbox.dbctl(&[verb, "--all"]).fails(3);
            assert!(said.contains("leaves the workspace") && !said.contains("hush"), "{why} {verb}: {said}");
            // With the line and the column of the path.
            let place =
                said.split("workspace.yaml:").nth(1).unwrap_or_else(|| panic!("{why} {verb}: {said}"));
            assert!(place.starts_with("1:") || place.starts_with("2:"), "{why} {verb}: {said}");
        }
        assert!(!sandbox.has_server(), "{why}");
    };
    for path in ["../outside", "out", "m/../../outside", "out/m"] {
        for rest in [
            format!("migrations: [{{ path: {path}, format: native }}]"),
            format!("seeds: {{ path: {path} }}"),
            format!("package: {path}"),
            format!(
                "migrations: [{{ path: m, format: native, baseline: {{ file: {path}/x.sql, through: 20260101000000 }} }}]"
            ),
        ] {
            sandbox.write("workspace.yaml", manifest(&rest));
            refused(&rest);
        }
        sandbox.write("workspace.yaml", format!("env_files: [{path}/.env]\n{}", manifest("")));
        refused(path);
    }
    // A link in a folder leads out as well as one to a folder does.
    let native = "migrations: [{ path: m, format: native }], seeds: { path: s }";
    sandbox.write("workspace.yaml", manifest(native));
    let link = |from: &str, to: &str| symlink(to, sandbox.root().join(from)).unwrap();
    let unlink = |path: &str| fs::remove_file(sandbox.root().join(path)).unwrap();
    link("m/20260102000000_x.sql", "../../outside/x.sql");
    let said = sandbox.dbctl(&["migrate", "a"]).fails(3);
    assert!(
        said.contains("m/20260102000000_x.sql")
            && said.contains("leaves the workspace through a symbolic link"),
        "{said}"
    );
    unlink("m/20260102000000_x.sql");
    link("m/20260101000000_t.down.sql", "../out.sql");
    let said = sandbox.dbctl(&["migrate", "a"]).fails(3);
    assert!(said.contains("m/20260101000000_t.down.sql"), "{said}");
    unlink("m/20260101000000_t.down.sql");
    for seed in ["x.sql", "t.csv"] {
        link(&format!("s/{seed}"), &format!("../../outside/{seed}"));
        let said = sandbox.dbctl(&["up", "a"]).fails(3);
        assert!(said.contains(&format!("s/{seed}")) && said.contains("leaves the workspace"), "{said}");
        unlink(&format!("s/{seed}"));
    }
    assert!(!sandbox.has_server());
    sandbox.write("p/.keep", "");
    link("p/20260102000000_x", "../../outside/m");
    sandbox.write("workspace.yaml", manifest("migrations: [{ path: p, format: prisma }]"));
    let said = sandbox.dbctl(&["migrate", "a"]).fails(3);
    assert!(said.contains("p/20260102000000_x/migration.sql"), "{said}");
    // One that stays inside is a file like any other.
    link("s/1.sql", "../inside.sql");
    unlink("m/20260101000000_t.sql");
    sandbox.write("n/real.sql", "create table t (n int);\n");
    link("m/20260101000000_t.sql", "../n/real.sql");
    unlink("s/1.sql");
    sandbox.write("workspace.yaml", manifest(native));
    sandbox.ok(&["up", "a"]);
    assert_eq!(sandbox.query("a", "select count(*) from t"), "0\n");
}
