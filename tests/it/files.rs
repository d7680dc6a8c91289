//! Migration files as people write them, and every way forth and back.

use serde_json::{Value, json};

use crate::support::Sandbox;

/// A workspace with one database and its migrations in `m`.
fn sandbox(format: &str, files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new(
        &format!(
            "workspace: a\ndatabases:\n  a:\n    settings: {{ app.tenant: 'acme', statement_timeout: 1min }}\n    migrations: [{{ path: m, format: {format} }}]\n"
        ),
        &[],
    );
    std::fs::create_dir(sandbox.root().join("m")).unwrap();
    for (name, sql) in files {
        sandbox.write(&format!("m/{name}.sql"), sql);
    }
    sandbox
}

fn remove(sandbox: &Sandbox, name: &str) {
    std::fs::remove_file(sandbox.root().join(format!("m/{name}.sql"))).unwrap();
}

/// What is applied, in the order in which it was.
fn applied(sandbox: &Sandbox) -> String {
    let sql = "select coalesce(string_agg(split_part(name, '_', 2), ' ' order by id), '') from dbctl.migration_history";
    sandbox.query("a", sql).trim_end().to_owned()
}

/// The states of all migrations.
fn states(sandbox: &Sandbox) -> String {
    let status = sandbox.json(&["status", "a"]).1;
    let entries = status["databases"][0]["migrations"].as_array().unwrap();
    let one = |entry: &Value| {
        let name = entry["name"].as_str().unwrap().split_once('_').unwrap().1.to_owned();
        format!("{name}:{}", entry["state"].as_str().unwrap())
    };
    entries.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn files_that_leave_the_transaction() {
    let sandbox = sandbox(
        "native",
        &[
            (
                "20260101000000_t",
                "create table t (id int, n int);\ninsert into t select i, i % 7 from generate_series(1, 100) i;\n",
            ),
            (
                "20260102000000_index",
                "-- dbctl:no-transaction\n\nCREATE INDEX CONCURRENTLY t_n ON t (n);\nvacuum t;\nalter table t add m int;\n",
            ),
        ],
    );
    sandbox.ok(&["up", "a"]);
    assert_eq!(
        sandbox.query("a", "select indisvalid from pg_index where indexrelid = 't_n'::regclass"),
        "t\n"
    );

    // Without the directive such a statement is seen all the same.
    sandbox.write(
        "m/20260103000000_late.sql",
        "alter table t add o int;\ncreate index concurrently t_o on t (o);\n",
    );
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(
        sandbox.query("a", "select indisvalid from pg_index where indexrelid = 't_o'::regclass"),
        "t\n"
    );

    // A unique index that cannot be: the failure leaves it invalid, the next run makes it anew.
    sandbox.write(
        "m/20260104000000_unique.sql",
        "-- dbctl:no-transaction\ncreate unique index concurrently t_u on t (n);\n",
    );
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(
        said.contains("could not create unique index") && said.contains("20260104000000_unique.sql:2"),
        "{said}"
    );
    assert_eq!(states(&sandbox), "t:applied index:applied late:applied unique:partial");
    sandbox.query("a", "update t set n = id");
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(
        sandbox.query("a", "select indisvalid from pg_index where indexrelid = 't_u'::regclass"),
        "t\n"
    );
    sandbox.ok(&["status", "a", "--check"]);

    // Files that bring a transaction of their own.
    sandbox.write(
        "m/20260105000000_own.sql",
        "BEGIN;\ncreate table own (id int);\ninsert into own values (1);\nCOMMIT;\n",
    );
    sandbox.write("m/20260106000000_bad.sql", "begin;\ncreate table bad (id int);\nselect 1/0;\ncommit;\n");
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("20260106000000_bad.sql:3:1") && said.contains("division by zero"), "{said}");
    assert_eq!(sandbox.query("a", "select to_regclass('own'), to_regclass('bad')"), "own|NULL\n");
    assert_eq!(applied(&sandbox), "t index late unique own");
    remove(&sandbox, "20260106000000_bad");

    sandbox.write("m/20260107000000_half.sql", "create table half (id int);\ncommit;\nselect 1/0;\n");
    let ran = sandbox.dbctl(&["migrate", "a"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.contains("20260107000000_half.sql:3:1"), "{ran}");
    let half = sandbox.query("a", "select to_regclass('half')");
    let recorded = states(&sandbox);
    assert_eq!((&*half, recorded.rsplit(' ').next()), ("half\n", Some("half:partial")), "{ran}");
    assert!(ran.stderr.contains("the 2 statements before it in the file are committed and stay"), "{ran}");
}

#[test]
fn files_that_psql_wrote() {
    let sandbox = sandbox(
        "native",
        &[
            (
                "20260101000000_copy",
                "create table t (id int, name text);\r\nCOPY public.t (id, name) FROM stdin;\r\n1\tone; two\r\n2\t\\N\r\n\\.\r\n\r\ninsert into t values (3, 'drei');\r\n",
            ),
            ("20260102000000_bom", "\u{feff}insert into t values (4, 'vier');\n"),
            ("20260103000000_empty", "-- nothing to do\n"),
            (
                "20260104000000_bodies",
                "create function f() returns int language plpgsql as $f$ begin return 1; end; $f$;\n/* a; /* nested; */ comment */\ncreate rule r as on delete to t do instead (select 1; select 2);\n",
            ),
        ],
    );
    sandbox.ok(&["up", "a"]);
    assert_eq!(
        sandbox.query("a", "select string_agg(concat_ws('=', id, name), ' ' order by id) from t"),
        "1=one; two 2 3=drei 4=vier\n"
    );
    sandbox.write(
        "m/20260105000000_bad.sql",
        "create table u (id int, name text);\ncopy u from stdin;\n1\tone\ntwo\ttwo\n\\.\n",
    );
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("20260105000000_bad.sql:4") && said.contains("invalid input syntax"), "{said}");
    sandbox.write("m/20260105000000_bad.sql", "select 1;\n\n\\i other.sql\n");
    insta::assert_snapshot!(sandbox.redact(&sandbox.dbctl(&["migrate", "a"]).fails(1)), @r"
    error: a: `\i` is a psql command, which PostgreSQL itself does not know
       ╭─[m/20260105000000_bad.sql:3:1]
     3 │ \i other.sql
       · ─
       ╰────
      help: put the text of that file here, or make it a migration of its own
    ");
    assert_eq!(sandbox.query("a", "select to_regclass('u')"), "NULL\n");
    remove(&sandbox, "20260105000000_bad");

    // Line ends and a byte order mark are no change; a letter is.
    let text = sandbox.read("m/20260101000000_copy.sql");
    sandbox.write("m/20260101000000_copy.sql", text.replace("\r\n", "\n"));
    sandbox.write("m/20260102000000_bom.sql", "insert into t values (4, 'vier');\r\n");
    sandbox.ok(&["status", "a", "--check"]);
    sandbox.ok(&["migrate", "a"]);
    sandbox.write("m/20260102000000_bom.sql", "insert into t values (4, 'four');\n");
    insta::assert_snapshot!(sandbox.redact(&sandbox.dbctl(&["migrate", "a"]).fails(1)), @r#"
    error: a: m: applied migrations have changed on disk: 20260102000000_bom
      help: put the files back as they were applied, and write the change as a new one: `dbctl new a NAME`; or, where they are as they should be, record them as they are: `dbctl history repair a 20260102000000_bom`
    "#);
    assert_eq!(states(&sandbox), "copy:applied bom:changed empty:applied bodies:applied");
    sandbox.write("m/20260102000000_bom.sql", "insert into t values (4, 'vier');\n");
    remove(&sandbox, "20260103000000_empty");
    assert_eq!(states(&sandbox), "copy:applied bom:applied empty:missing bodies:applied");
    let ran = sandbox.dbctl(&["migrate", "a"]);
    assert!(
        ran.code == 0
            && ran.stderr.contains("20260103000000_empty is applied, but its file is no longer in m"),
        "{ran}"
    );
}

#[test]
fn every_file_starts_in_a_clean_session() {
    let sandbox = sandbox(
        "native",
        &[
            (
                "20260101000000_leak",
                "create role leaky nologin;\ncreate schema other;\ngrant all on schema other to leaky;\nset search_path = other;\nset role leaky;\ncreate table theirs (id int);\nset app.tenant = 'evil';\nset statement_timeout = '1h';\nset datestyle = 'German';\nprepare p as select 1;\ncreate temporary table tmp (id int);\nselect set_config('app.more', 'x', false);\n",
            ),
            (
                "20260102000000_clean",
                "prepare p as select 2;\ncreate temporary table tmp (id int);\ncreate table seen as select current_user::text as who, current_setting('search_path') as path, current_setting('app.tenant') as tenant, current_setting('statement_timeout') as timeout, current_setting('datestyle') as style, current_setting('app.more', true) as more;\n",
            ),
            (
                "20260103000000_local",
                "-- dbctl:no-transaction\nset role leaky;\nset search_path = other;\nvacuum public.seen;\ncreate table theirs_too (id int);\n",
            ),
        ],
    );
    sandbox.ok(&["up", "a"]);
    assert_eq!(
        sandbox.query("a", "select who, path, tenant, timeout, more from seen"),
        "postgres|\"$user\", public|acme|1min|\n"
    );
    assert!(!sandbox.query("a", "select style from seen").contains("German"));
    let owners = "select string_agg(schemaname || '.' || tablename || '=' || tableowner, ' ' order by 1) from pg_tables where tablename like 'theirs%' or tablename = 'migration_history'";
    assert_eq!(
        sandbox.query("a", owners),
        "dbctl.migration_history=postgres other.theirs=leaky other.theirs_too=leaky\n",
        "the history is never written as the file's role"
    );
    assert_eq!(applied(&sandbox), "leak clean local");
}

#[test]
fn forth_and_back() {
    let one = |name: &str| format!("create table {name} (id int);\n");
    let (one_, two, three, four) = (one("one"), one("two"), one("three"), one("four"));
    let sandbox = sandbox(
        "native",
        &[
            ("20260101000000_one", &one_),
            ("20260101000000_one.down", "drop table one;\n"),
            ("20260102000000_two", &two),
            ("20260102000000_two.down", "drop table two;\n"),
            ("20260103000000_three", &three),
            ("20260103000000_three.down", "drop table three;\n"),
            ("20260104000000_four", &four),
        ],
    );
    let tables = || {
        let sql = "select coalesce(string_agg(tablename, ' ' order by tablename), '') from pg_tables where schemaname = 'public'";
        sandbox.query("a", sql).trim_end().to_owned()
    };
    sandbox.ok(&["create", "a"]);
    let said = sandbox.dbctl(&["migrate", "a", "--to", "20260199"]).fails(1);
    assert!(said.contains("no migration `20260199` in m"), "{said}");
    sandbox.ok(&["migrate", "a", "--to", "20260102000000"]);
    assert_eq!((applied(&sandbox), tables()), ("one two".to_owned(), "one two".to_owned()));
    sandbox.ok(&["migrate", "a", "--to", "20260103000000_three"]);
    assert_eq!(applied(&sandbox), "one two three");
    let (code, same) = sandbox.json(&["migrate", "a", "--to", "20260102000000"]);
    assert_eq!((code, &same["databases"][0]["outcome"]), (0, &json!("unchanged")), "it is behind us");

    let said = sandbox.dbctl(&["rollback", "a"]).fails(2);
    assert!(said.contains("--yes"), "{said}");
    sandbox.ok(&["rollback", "a", "--yes"]);
    assert_eq!((applied(&sandbox), tables()), ("one two".to_owned(), "one two".to_owned()));
    sandbox.ok(&["migrate", "a", "--to", "20260103000000"]);
    let said = sandbox.dbctl(&["rollback", "a", "--only", "20260102000000_two", "--yes"]).fails(1);
    assert!(said.contains("two") && said.contains("three"), "{said}");
    sandbox.ok(&["rollback", "a", "--only", "20260103000000_three", "--yes"]);
    sandbox.ok(&["migrate", "a", "--to", "20260103000000"]);
    sandbox.query("a", "insert into three values (1)");
    sandbox.ok(&["redo", "a", "--yes"]);
    assert_eq!(sandbox.query("a", "select count(*) from three"), "0\n");
    sandbox.ok(&["rollback", "a", "--to", "20260101000000", "--yes"]);
    assert_eq!(tables(), "one");
    sandbox.ok(&["migrate", "a", "--to", "20260103000000"]);
    sandbox.ok(&["rollback", "a", "--count", "2", "--yes"]);
    assert_eq!(tables(), "one");

    // One without a way back stops before anything runs.
    sandbox.ok(&["migrate", "a"]);
    for args in [
        &["rollback", "a", "--count", "2", "--yes"][..],
        &["rollback", "a", "--to", "zero", "--yes"],
        &["redo", "a", "--yes"],
    ] {
        let said = sandbox.dbctl(args).fails(1);
        assert!(said.contains("20260104000000_four"), "{said}");
        assert_eq!(tables(), "four one three two");
    }
    sandbox.write("m/20260104000000_four.down.sql", "drop table four;\nselect nothing;\n");
    let said = sandbox.dbctl(&["rollback", "a", "--yes"]).fails(1);
    assert!(said.contains("m/20260104000000_four.down.sql:2:8"), "{said}");
    assert_eq!(tables(), "four one three two");
    sandbox.write("m/20260104000000_four.down.sql", "drop table four;\n");
    sandbox.ok(&["rollback", "a", "--to", "zero", "--yes"]);
    assert_eq!((applied(&sandbox), tables()), (String::new(), String::new()));
    let (code, nothing) = sandbox.json(&["rollback", "a", "--yes"]);
    assert_eq!((code, &nothing["databases"][0]["outcome"]), (0, &json!("unchanged")), "{nothing}");

    // What exists already is recorded without being run.
    sandbox.query("a", "create table one (id int); create table two (id int)");
    let said = sandbox.dbctl(&["migrate", "a", "--fake", "--to", "20260102000000"]).fails(2);
    assert!(said.contains("--yes"), "{said}");
    sandbox.ok(&["migrate", "a", "--fake", "--to", "20260102000000", "--yes"]);
    assert_eq!(applied(&sandbox), "one two");
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(tables(), "four one three two");
    sandbox.ok(&["status", "a", "--check"]);
}

#[test]
fn files_that_were_merged_late() {
    let native =
        sandbox("native", &[("20260101000000_one", "select 1;\n"), ("20260103000000_three", "select 3;\n")]);
    native.ok(&["up", "a"]);
    native.write("m/20260102000000_two.sql", "select 2;\n");
    assert_eq!(states(&native), "one:applied two:out_of_order three:applied");
    assert_eq!(native.dbctl(&["status", "a", "--check"]).code, 4);
    let said = native.dbctl(&["migrate", "a", "--out-of-order", "deny"]).fails(1);
    assert!(said.contains("20260102000000_two") && said.contains("--out-of-order allow"), "{said}");
    assert_eq!(applied(&native), "one three");
    let ran = native.dbctl(&["migrate", "a"]);
    assert!(ran.code == 0 && ran.stderr.contains("20260102000000_two sorts before"), "{ran}");
    assert_eq!(applied(&native), "one three two");
    native.write("m/20260100000000_zero.sql", "select 0;\n");
    let ran = native.dbctl(&["migrate", "a", "--out-of-order", "allow"]);
    assert!(ran.code == 0 && !ran.stderr.contains("sorts before"), "{ran}");
    native.ok(&["status", "a", "--check"]);

    let tool = sandbox(
        "node-pg-migrate",
        &[
            ("1700000000001_one", "-- Up Migration\nselect 1;\n"),
            ("1700000000003_three", "-- Up Migration\nselect 3;\n"),
        ],
    );
    tool.ok(&["up", "a"]);
    tool.write("m/1700000000002_two.sql", "-- Up Migration\nselect 2;\n");
    let said = tool.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("1700000000002_two"), "the tool itself would refuse afterwards: {said}");
    assert_eq!(tool.query("a", "select count(*) from pgmigrations"), "2\n");
    let ran = tool.dbctl(&["migrate", "a", "--out-of-order", "allow"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(tool.query("a", "select count(*) from pgmigrations"), "3\n");
}

#[test]
fn new_files_are_the_folders_own() {
    let sandbox = Sandbox::new(
        "workspace: a\ndatabases:\n  a: { package: apps/a, migrations: [{ path: m }] }\n  b: { migrations: [{ path: n, format: node-pg-migrate }] }\n  c: { migrations: [{ path: x }, { path: y }] }\n",
        &[("apps/a/package.json", "{\"name\": \"@x/a\"}\n")],
    );
    let path = sandbox.ok(&["new", "a", "Add users & roles"]);
    let path = path.lines().next().unwrap();
    let name = path.strip_prefix("apps/a/m/").unwrap_or_else(|| panic!("{path}"));
    assert!(
        name[..14].chars().all(|c| c.is_ascii_digit()) && name.ends_with("_add_users_roles.sql"),
        "{path}"
    );
    assert!(sandbox.root().join(path).is_file());
    let here = sandbox.dbctl_in("apps/a", &["new", ".", "more"]).ok();
    assert!(
        here.starts_with("m/") && sandbox.root().join("apps/a").join(here.lines().next().unwrap()).is_file(),
        "{here}"
    );
    let (code, files) = sandbox.json(&["new", "b", "add", "tables"]);
    assert_eq!(code, 0);
    let path = files["files"][0].as_str().unwrap();
    assert!(
        path.starts_with("n/") && path.ends_with(".sql") && sandbox.read(path).contains("-- Up Migration"),
        "{files}"
    );
    let said = sandbox.dbctl(&["new", "c", "x"]).fails(2);
    assert!(said.contains("--source") && said.contains("x, y"), "{said}");
    for source in ["x", "y"] {
        sandbox.ok(&["new", "c", "first", "--source", source]);
    }
    for name in ["", "!!!"] {
        sandbox.dbctl(&["new", "a", name]).fails(2);
    }
    // What was written can be run, in the order in which it was.
    sandbox.ok(&["up", "--all"]);
    sandbox.ok(&["status", "--all", "--check"]);
}
