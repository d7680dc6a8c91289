//! What migration files do that a runner has to survive: transactions and sessions of their own, and bytes.

use crate::support::Sandbox;

const MANIFEST: &str = "\
workspace: a
databases:
  a: { migrations: [{ path: m, format: native }] }
  b: { migrations: [{ path: n, format: node-pg-migrate }] }
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(MANIFEST, &[("n/1700000000000_first.sql", "-- Up Migration\nselect 1;\n")]);
    std::fs::create_dir(sandbox.root().join("m")).unwrap();
    sandbox
}

/// Writes migrations of `a`, numbered as they come.
fn write(sandbox: &Sandbox, from: usize, files: &[(&str, &str)]) {
    for (at, (name, sql)) in files.iter().enumerate() {
        sandbox.write(&format!("m/{}.sql", named(from + at, name)), sql);
    }
}

fn named(number: usize, name: &str) -> String {
    format!("202601010000{number:02}_{name}")
}

fn remove(sandbox: &Sandbox, number: usize, name: &str) {
    std::fs::remove_file(sandbox.root().join(format!("m/{}.sql", named(number, name)))).unwrap();
}

/// What is applied to `a`, in the order in which it was.
fn applied(sandbox: &Sandbox) -> String {
    let sql =
        "select coalesce(string_agg(substr(name, 16), ' ' order by id), '') from dbctl.migration_history";
    sandbox.query("a", sql).trim_end().to_owned()
}

#[test]
fn transactions_of_the_files_own() {
    let sandbox = sandbox();
    write(
        &sandbox,
        1,
        &[
            ("enum", "create type mood as enum ('sad');\n"),
            // Used by a later file only: one transaction for all of them would be refused.
            ("value", "alter type mood add value 'happy';\n"),
            ("uses", "create table moods (m mood default 'happy');\ninsert into moods values ('happy');\n"),
            (
                "own",
                "BEGIN;\n\nSET LOCAL lock_timeout = '1234ms';\nSET LOCAL statement_timeout = '5s';\ncreate table own as select current_setting('lock_timeout') as l;\n\nCOMMIT;\n",
            ),
            (
                "after",
                "create table after as select current_setting('lock_timeout') as l, current_setting('statement_timeout') as s;\n",
            ),
            (
                "procedure",
                "create table batches (n int);\ncreate procedure fill() language plpgsql as $$\nbegin\n  for i in 1..3 loop\n    insert into batches values (i);\n    commit;\n  end loop;\nend $$;\n",
            ),
            ("call", "-- dbctl:no-transaction\ncall fill();\ninsert into batches values (4);\n"),
            ("middle", "create table one (id int);\nCOMMIT;\nBEGIN;\ncreate table two (id int);\nCOMMIT;\n"),
            // A value that another transaction of the same file has added.
            (
                "inner",
                "BEGIN;\nalter type mood add value 'calm';\nCOMMIT;\ninsert into moods values ('calm');\n",
            ),
            (
                "isolated",
                "set transaction isolation level serializable;\ncreate table iso as select current_setting('transaction_isolation') as i;\n",
            ),
            (
                "chain",
                "BEGIN;\ncreate table chain (id int);\nCOMMIT AND CHAIN;\ncreate table chained (id int);\nCOMMIT;\n",
            ),
            (
                "savepoint",
                "savepoint a;\ncreate table lost (id int);\nrollback to a;\ncreate table kept (id int);\nrelease a;\n",
            ),
            ("started", "START TRANSACTION;\ncreate table started (id int);\nEND;\n"),
        ],
    );
    sandbox.ok(&["up", "a"]);
    assert_eq!(
        applied(&sandbox),
        "enum value uses own after procedure call middle inner isolated chain savepoint started"
    );
    assert_eq!(sandbox.query("a", "select l from own"), "1234ms\n");
    assert_eq!(sandbox.query("a", "select * from after"), "5s|0\n", "nothing of it is left");
    assert_eq!(sandbox.query("a", "select string_agg(m::text, ' ' order by m) from moods"), "happy calm\n");
    assert_eq!(sandbox.query("a", "select count(*) from batches"), "4\n");
    assert_eq!(
        sandbox.query("a", "select to_regclass('one'), to_regclass('two'), to_regclass('started')"),
        "one|two|started\n"
    );
    assert_eq!(
        sandbox.query("a", "select i, to_regclass('chain'), to_regclass('chained'), to_regclass('lost'), to_regclass('kept') from iso"),
        "serializable|chain|chained|NULL|kept\n"
    );
    sandbox.ok(&["status", "a", "--check"]);

    // Within a transaction such a procedure cannot commit, and the error says what to do.
    write(&sandbox, 15, &[("again", "insert into batches values (5);\ncall fill();\n")]);
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("20260101000015_again.sql:2") && said.contains("2D000"), "{said}");
    assert!(said.contains("dbctl:no-transaction"), "{said}");
    assert_eq!(sandbox.query("a", "select count(*) from batches"), "4\n");
    remove(&sandbox, 15, "again");

    // The same in one file is PostgreSQL's to refuse, and nothing of it stays.
    write(
        &sandbox,
        15,
        &[("unsafe", "alter type mood add value 'angry';\ninsert into moods values ('angry');\n")],
    );
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("20260101000015_unsafe.sql:2") && said.contains("55P04"), "{said}");
    assert_eq!(sandbox.query("a", "select array_to_string(enum_range(null::mood), ' ')"), "sad happy calm\n");
    // Each in a transaction of its own it may.
    write(
        &sandbox,
        15,
        &[(
            "unsafe",
            "-- dbctl:no-transaction\nalter type mood add value 'angry';\ninsert into moods values ('angry');\n",
        )],
    );
    sandbox.ok(&["migrate", "a"]);

    // A failure behind a COMMIT: what it committed is recorded as done, and the next run goes on behind it.
    write(
        &sandbox,
        16,
        &[("half", "create table half (id int);\nCOMMIT;\ninsert into half values (1);\nselect 1/0;\n")],
    );
    sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert_eq!(sandbox.json(&["status", "a"]).1["databases"][0]["counts"]["partial"], 1);
    write(
        &sandbox,
        16,
        &[("half", "create table half (id int);\nCOMMIT;\ninsert into half values (1);\nselect 1;\n")],
    );
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(sandbox.query("a", "select count(*) from half"), "1\n", "once and no more");
}

#[test]
fn what_belongs_to_the_whole_server_and_to_the_history() {
    let sandbox = sandbox();
    sandbox.write("n/1700000000001_role.sql", "-- Up Migration\ncreate role reader nologin;\ngrant select on pgmigrations to reader;\ncreate table log (name text);\ncreate function note() returns trigger language plpgsql as $$ begin insert into public.log values (new.name); return new; end $$;\ncreate trigger note after insert on pgmigrations for each row execute function note();\n");
    sandbox.write("n/1700000000002_leak.sql", "-- Up Migration\nselect pg_catalog.set_config('search_path', '', false);\nset role reader;\nset lock_timeout = 1;\nset default_transaction_read_only = on;\n");
    sandbox.write("n/1700000000003_last.sql", "-- Up Migration\ncreate table last as select current_user::text as who, current_setting('search_path') as path, current_setting('lock_timeout') as l;\n");
    sandbox.ok(&["up", "b"]);
    assert_eq!(sandbox.query("b", "select * from last"), "postgres|\"$user\", public|5s\n");
    assert_eq!(
        sandbox.query("b", "select string_agg(split_part(name, '_', 2), ' ' order by name) from log"),
        "role leak last\n",
        "the table was there before the first file, and its trigger sees every row from then on"
    );
    assert_eq!(
        sandbox.query("b", "select string_agg(split_part(name, '_', 2), ' ' order by id) from pgmigrations"),
        "first role leak last\n"
    );
    assert_eq!(sandbox.query("b", "select has_table_privilege('reader', 'pgmigrations', 'select')"), "t\n");

    // dbctl's own.
    write(
        &sandbox,
        1,
        &[
            (
                "history",
                "create table log (name text);\ngrant usage on schema dbctl to reader;\ngrant select on dbctl.migration_history to reader;\ncreate function note() returns trigger language plpgsql as $$ begin insert into public.log values (new.name); return new; end $$;\ncreate trigger note after insert on dbctl.migration_history for each row execute function note();\n",
            ),
            ("more", "select pg_catalog.set_config('search_path', '', false);\n"),
        ],
    );
    sandbox.ok(&["up", "a"]);
    assert_eq!(
        sandbox.query("a", "select string_agg(substr(name, 16), ' ' order by name) from log"),
        "history more\n"
    );
    sandbox.ok(&["status", "--all", "--check"]);

    // What the database is set to from now on meets neither dbctl's own statements.
    write(
        &sandbox,
        3,
        &[(
            "forever",
            "alter database a set search_path = '';\nalter database a set timezone = 'Asia/Tokyo';\nalter role postgres in database a set lock_timeout = 1;\n",
        )],
    );
    sandbox.ok(&["migrate", "a"]);
    write(
        &sandbox,
        4,
        &[(
            "since",
            "create table public.since as select current_setting('search_path') as path, current_setting('lock_timeout') as l;\n",
        )],
    );
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(sandbox.query("a", "select path, l from public.since"), "\"\"|5s\n");
    sandbox.ok(&["status", "a", "--check"]);
    sandbox.query("a", "alter database a reset all; alter role postgres in database a reset all");

    // Roles are the server's: the other database has made it already.
    write(&sandbox, 5, &[("role", "create table before_it (id int);\ncreate role reader nologin;\n")]);
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(
        said.contains("20260101000005_role.sql:2") && said.contains("42710") && said.contains("whole server"),
        "{said}"
    );
    assert_eq!(sandbox.query("a", "select to_regclass('before_it')"), "NULL\n");
    // So it outlives the database that made it.
    sandbox.ok(&["drop", "b", "--yes"]);
    let said = sandbox.dbctl(&["up", "b"]).fails(1);
    assert!(said.contains("n/1700000000001_role.sql:2") && said.contains("whole server"), "{said}");

    // Settings that a file leaves behind meet neither its own row nor the reading of the next run.
    remove(&sandbox, 5, "role");
    write(
        &sandbox,
        5,
        &[
            (
                "settings",
                "set default_transaction_read_only = on;\nset lock_timeout = 1;\nset statement_timeout = '7s';\nset session_replication_role = replica;\nset row_security = off;\nset standard_conforming_strings = off;\nset client_encoding = 'LATIN1';\nset datestyle = 'SQL, DMY';\nset timezone = 'Asia/Tokyo';\n",
            ),
            (
                "then",
                "create table then_ as select current_setting('session_replication_role') as r, current_setting('standard_conforming_strings') as s, current_setting('statement_timeout') as t, 'ä' as a, octet_length('ä') as o;\n",
            ),
        ],
    );
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(sandbox.query("a", "select * from then_"), "origin|on|0|ä|2\n");
    sandbox.ok(&["status", "a", "--check"]);
}

#[test]
fn bytes_of_all_kinds() {
    let sandbox = sandbox();
    let rows: String =
        (0..6_000).map(|n| format!("  ({n}, 'row {n}; it''s one of many ${{NAME}}'),\n")).collect();
    let large = format!(
        "create table large (id int, name text);\ninsert into large values\n{rows}  (6000, 'last');\n"
    );
    assert!(large.len() > 250_000);
    write(
        &sandbox,
        1,
        &[
            ("empty", ""),
            ("blank", "\r\n \t\r\n"),
            ("comments", "/* nothing /* at */ all; */\n-- nor here;"),
            ("no_newline", "create table t (id int, name text)"),
            ("last_comment", "insert into t values (1, 'a'); -- the end; of it"),
            ("semicolons", ";;\n;insert into t values (2, 'b');;\n"),
            (
                "placeholders",
                "insert into t values (3, '${NAME} ${NAME:-x} :NAME :''NAME'' $1 {{NAME}} %(NAME)s');\ncreate table \":NAME ${NAME}\" (id int);\n",
            ),
            (
                "old_mac",
                "create table mac (id int);\r-- a comment ends with its line\rinsert into mac values (1);\r",
            ),
            ("casts", "select '1'::int, (array[1,2,3])[1:2];\n"),
            ("large", &large),
            (
                "dump",
                "--\r\n-- PostgreSQL database dump\r\n--\r\n\r\nSET statement_timeout = 0;\r\nSET client_encoding = 'UTF8';\r\nSELECT pg_catalog.set_config('search_path', '', false);\r\n\r\nCREATE TABLE public.dumped (\r\n    id integer,\r\n    name text\r\n);\r\n\r\nCOPY public.dumped (id, name) FROM stdin;\r\n1\tsemi;colon -- and 'quote\r\n2\t\\N\r\n3\ttab\\tand\\\\slash\r\n\\.\r\n\r\n\r\nCOPY public.dumped (id, name) FROM stdin;\r\n\\.\r\n\r\nALTER TABLE ONLY public.dumped ADD CONSTRAINT dumped_pkey PRIMARY KEY (id);\r\n",
            ),
        ],
    );
    std::fs::create_dir(sandbox.root().join("m/20260101000099_folder.sql")).unwrap();
    sandbox.write("m/20260101000099_folder.sql/inside.sql", "select nonsense;\n");
    sandbox.ok(&["up", "a"]);
    assert_eq!(
        applied(&sandbox),
        "empty blank comments no_newline last_comment semicolons placeholders old_mac casts large dump"
    );
    sandbox.ok(&["status", "a", "--check"]);
    assert_eq!(
        sandbox.query("a", "select id, name from t order by id"),
        "1|a\n2|b\n3|${NAME} ${NAME:-x} :NAME :'NAME' $1 {{NAME}} %(NAME)s\n"
    );
    assert_eq!(
        sandbox.query("a", "select count(*), max(name) filter (where id = 7) from large"),
        "6001|row 7; it's one of many ${NAME}\n"
    );
    assert_eq!(sandbox.query("a", "select count(*) from mac"), "1\n");
    assert_eq!(sandbox.query("a", "select to_regclass('\":NAME ${NAME}\"') is not null"), "t\n");
    assert_eq!(
        sandbox.query("a", "select id, name from dumped order by id"),
        "1|semi;colon -- and 'quote\n2|NULL\n3|tab\tand\\slash\n"
    );

    // What is for psql is named with its line, before anything of the file runs.
    for (line, words) in
        [("\\connect other", "`\\connect`"), ("\\c other", "`\\c`"), ("\\set x 1", "`\\set`")]
    {
        write(&sandbox, 20, &[("psql", &format!("create table early (id int);\n\n{line}\nselect 1;\n"))]);
        let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
        assert!(said.contains("20260101000020_psql.sql:3:1") && said.contains(words), "{said}");
        assert_eq!(sandbox.query("a", "select to_regclass('early')"), "NULL\n");
    }
    // An error far down in a large file has its line.
    write(
        &sandbox,
        20,
        &[("psql", &large.replace("(5999, 'row", "(5999, oops 'row").replace("large", "larger"))],
    );
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("20260101000020_psql.sql:6002:"), "{said}");
}

/// Other tools fill them in; here it would be a guess, and blind: `${…}` may be meant as it stands.
#[test]
fn placeholders_are_told() {
    let sandbox = sandbox();
    write(
        &sandbox,
        1,
        &[("plain", "CREATE TABLE plain AS SELECT '${NOT} :one {{of}} them' AS t, $$ ${x} $$ AS u;\n")],
    );
    sandbox.ok(&["up", "--all"]);
    for (sql, at, name) in [
        ("CREATE TABLE a ();\nGRANT SELECT ON a TO ${APP_USER};\n", "2:22", "`${APP_USER}`"),
        ("CREATE TABLE :schema.a ();\n", "1:14", "`:schema`"),
        ("CREATE TABLE {{schema}}.a ();\n", "1:14", "`{{schema}}`"),
    ] {
        write(&sandbox, 2, &[("filled", sql)]);
        let said = sandbox.dbctl(&["migrate", "--all"]).fails(1);
        assert!(
            said.contains(&format!(":{at}]")) && said.contains(&format!("{name} looks like a placeholder")),
            "{said}"
        );
    }
    write(&sandbox, 2, &[("filled", "CREATE TABLE ];\n")]);
    let said = sandbox.dbctl(&["migrate", "--all"]).fails(1);
    assert!(!said.contains("placeholder"), "{said}");
}
