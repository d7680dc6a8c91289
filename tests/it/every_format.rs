//! What migration files do that a runner has to survive, in every format: a folder of each, each with a database of its
//! own, and the same traps in all of them.

use std::{cell::OnceCell, fmt::Write as _};

use crate::support::Sandbox;

/// A file's path and its text, of a migration's number and name.
type Beside = fn(usize, &str) -> (String, String);

/// A kind of folder.
struct Kind {
    /// Its database's key and its folder.
    key: &'static str,
    /// What the manifest says of it beyond its path.
    source: &'static str,
    /// The file of a migration.
    path: fn(usize, &str) -> String,
    /// What stands in the file before and behind the SQL.
    around: (&'static str, &'static str),
    /// The tool's own table, and whether its rows have something of a name.
    table: &'static str,
    /// The tool's own marker for a file outside a transaction, in the place of what stands before the SQL.
    outside: &'static str,
    /// A file beside the migration's.
    beside: Option<Beside>,
}

fn stamp(at: usize) -> String {
    format!("202601010000{at:02}")
}

/// The time of a journal's entry.
fn when(at: usize) -> usize {
    1_767_225_600_000 + at * 1_000
}

const KINDS: [Kind; 9] = [
    Kind {
        key: "native",
        source: "format: native",
        path: |at, name| format!("{}_{name}.sql", stamp(at)),
        around: ("", ""),
        table: "dbctl.migration_history",
        outside: "-- dbctl:no-transaction\n",
        beside: None,
    },
    Kind {
        key: "node",
        source: "format: node-pg-migrate",
        path: |at, name| format!("{}_{name}.sql", when(at)),
        around: ("-- Up Migration\n", "\n-- Down Migration\n"),
        table: "public.pgmigrations",
        outside: "-- dbctl:no-transaction\n-- Up Migration\n",
        beside: None,
    },
    Kind {
        key: "prisma",
        source: "format: prisma",
        path: |at, name| format!("{}_{name}/migration.sql", stamp(at)),
        around: ("", ""),
        table: "public._prisma_migrations",
        outside: "-- dbctl:no-transaction\n",
        beside: None,
    },
    Kind {
        key: "journal",
        source: "format: drizzle",
        path: |at, name| format!("{at:04}_{name}.sql"),
        around: ("", ""),
        table: "drizzle.__drizzle_migrations",
        outside: "-- dbctl:no-transaction\n",
        beside: None,
    },
    Kind {
        key: "folders",
        source: "format: drizzle",
        path: |at, name| format!("{}_{name}/migration.sql", stamp(at)),
        around: ("", ""),
        table: "drizzle.__drizzle_migrations",
        outside: "-- dbctl:no-transaction\n",
        beside: Some(|at, name| (format!("{}_{name}/snapshot.json", stamp(at)), "{}".to_owned())),
    },
    Kind {
        key: "supabase",
        source: "format: supabase",
        path: |at, name| format!("{}_{name}.sql", stamp(at)),
        around: ("", ""),
        table: "supabase_migrations.schema_migrations",
        outside: "-- pg-delta: transaction=false\n",
        beside: None,
    },
    Kind {
        key: "sqlx",
        source: "format: sqlx",
        path: |at, name| format!("{at}_{name}.sql"),
        around: ("", ""),
        table: "public._sqlx_migrations",
        outside: "-- no-transaction\n",
        beside: None,
    },
    Kind {
        key: "dbmate",
        source: "format: dbmate",
        path: |at, name| format!("{}_{name}.sql", stamp(at)),
        around: ("-- migrate:up\n", "\n-- migrate:down\n"),
        table: "public.schema_migrations",
        outside: "-- migrate:up transaction:false\n",
        beside: None,
    },
    Kind {
        key: "custom",
        source: "format: custom, pattern: '{version}_{name}.sql', table: migration_history, name_column: migration_name",
        path: |at, name| format!("{at:03}_{name}.sql"),
        around: ("", ""),
        table: "public.migration_history",
        outside: "-- dbctl:no-transaction\n",
        beside: None,
    },
];

impl Kind {
    fn path(&self, at: usize, name: &str) -> String {
        format!("{}/{}", self.key, (self.path)(at, name))
    }

    /// The line of a file that is the `line`-th of its SQL.
    fn line(&self, line: usize) -> usize {
        line + self.around.0.matches('\n').count()
    }
}

/// All folders, and what is in each.
struct Folders {
    sandbox: Sandbox,
    names: Vec<String>,
    /// The URLs of the databases, once they are there.
    urls: OnceCell<Vec<String>>,
}

impl Folders {
    fn new() -> Self {
        let mut manifest = "workspace: every\ndatabases:\n".to_owned();
        for kind in &KINDS {
            let _ =
                writeln!(manifest, "  {0}: {{ migrations: [{{ path: {0}, {1} }}] }}", kind.key, kind.source);
        }
        Self { sandbox: Sandbox::new(&manifest, &[]), names: Vec::new(), urls: OnceCell::new() }
    }

    /// Adds a migration to every folder: what is made of this SQL, in which `{db}` is the database and `{table}` the
    /// tool's own table.
    fn add(&mut self, name: &str, sql: &str) {
        self.add_made(name, |kind| {
            let sql = sql.replace("{db}", kind.key).replace("{table}", kind.table);
            format!("{}{sql}{}", kind.around.0, kind.around.1).into_bytes()
        });
    }

    /// Adds one that leaves the transaction by the tool's own marker, where the tool has one.
    fn add_outside(&mut self, name: &str, sql: &str) {
        self.add_made(name, |kind| format!("{}{sql}{}", kind.outside, kind.around.1).into_bytes());
    }

    fn add_made(&mut self, name: &str, make: impl Fn(&Kind) -> Vec<u8>) {
        self.names.push(name.to_owned());
        let at = self.names.len();
        for kind in &KINDS {
            self.sandbox.write(&kind.path(at, name), make(kind));
            if let Some((path, text)) = kind.beside.map(|beside| beside(at, name)) {
                self.sandbox.write(&format!("{}/{path}", kind.key), text);
            }
        }
        self.journal();
    }

    /// Takes the last one away again.
    fn drop_last(&mut self) {
        let at = self.names.len();
        let name = self.names.pop().unwrap();
        for kind in &KINDS {
            let path = self.sandbox.root().join(kind.path(at, &name));
            match path.ends_with("migration.sql") {
                true => std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
                false => std::fs::remove_file(path).unwrap(),
            }
        }
        self.journal();
    }

    fn journal(&self) {
        let entry = |(at, name): (usize, &String)| {
            let (idx, when) = (at, when(at + 1));
            let tag = format!("{:04}_{name}", at + 1);
            serde_json::json!({ "idx": idx, "version": "7", "when": when, "tag": tag, "breakpoints": true })
        };
        let entries: Vec<serde_json::Value> = self.names.iter().enumerate().map(entry).collect();
        let journal = serde_json::json!({ "version": "7", "dialect": "postgresql", "entries": entries });
        self.sandbox.write("journal/meta/_journal.json", journal.to_string());
    }

    /// Everything is applied, and recorded in dbctl's table and in the tool's.
    #[track_caller]
    fn up(&self) {
        self.sandbox.ok(&["up", "--all"]);
        self.settled();
    }

    #[track_caller]
    fn settled(&self) {
        self.sandbox.ok(&["status", "--all", "--check"]);
        self.says("select count(*) from {table}", &format!("{}\n", self.names.len()));
    }

    /// What a query says in every database.
    #[track_caller]
    fn says(&self, sql: &str, expected: &str) {
        let urls = || KINDS.iter().map(|kind| self.sandbox.url(kind.key)).collect();
        for (kind, url) in KINDS.iter().zip(self.urls.get_or_init(urls)) {
            let said = self.sandbox.query_url(url, &sql.replace("{table}", kind.table));
            assert_eq!(said, expected, "{}: {sql}", kind.key);
        }
    }

    /// The last migration fails in every database at this line of its SQL (0 where no line is known), with these
    /// words; of the file nothing is left, and without it all is well.
    #[track_caller]
    fn fails(&mut self, line: usize, words: &[&str]) {
        self.refused(1, line, words);
        self.drop_last();
        self.settled();
    }

    #[track_caller]
    fn refused(&self, code: i32, line: usize, words: &[&str]) {
        let said = self.sandbox.dbctl(&["migrate", "--all"]).fails(code);
        let (at, name) = (self.names.len(), self.names.last().unwrap());
        for kind in &KINDS {
            let starts = format!("error: {}: ", kind.key);
            let errors: Vec<&str> = said.split("error: ").collect();
            let own = errors.iter().find(|error| format!("error: {error}").starts_with(&starts));
            let own = own.unwrap_or_else(|| panic!("nothing of {} in {said}", kind.key));
            let place = match line {
                0 => kind.path(at, name),
                line => format!("{}:{}", kind.path(at, name), kind.line(line)),
            };
            for word in words.iter().copied().chain([place.as_str()]) {
                assert!(own.contains(word), "{}: {word} in {own}", kind.key);
            }
        }
    }
}

#[test]
fn transactions() {
    let mut folders = Folders::new();
    transactions_of_their_own(&mut folders);
    what_a_transaction_of_its_own_left_behind_is_gone_on_with(&mut folders);
}

#[test]
fn bytes_histories_and_sessions() {
    let mut folders = Folders::new();
    bytes_of_all_kinds(&mut folders);
    folders.drop_last();
    the_tools_own_table_and_the_servers_roles(&mut folders);
    sessions_and_their_settings(&mut folders);
}

fn transactions_of_their_own(folders: &mut Folders) {
    folders.add("enum", "create type mood as enum ('sad');\ncreate table moods (m mood);");
    folders.add("value", "alter type mood add value 'happy';\n");
    folders
        .add("uses", "alter table moods alter m set default 'happy';\ninsert into moods values ('happy');\n");
    folders.add(
        "own",
        "BEGIN;\nSET LOCAL lock_timeout = '1234ms';\ncreate table own as select current_setting('lock_timeout') as l;\nCOMMIT;\n",
    );
    folders.add("middle", "create table one (id int);\nCOMMIT;\nBEGIN;\ncreate table two (id int);\nEND;\n");
    folders.add(
        "inner",
        "BEGIN;\nalter type mood add value 'calm';\nCOMMIT;\ninsert into moods values ('calm');\n",
    );
    folders.add("open", "START TRANSACTION;\ncreate table left_open (id int);\n");
    folders.add(
        "savepoint",
        "savepoint a;\ncreate table lost (id int);\nrollback to a;\ncreate table kept (id int);\n",
    );
    folders.add(
        "procedure",
        "create table batches (n int);\ncreate procedure fill() language plpgsql as $$\nbegin\n  for i in 1..3 loop\n    insert into batches values (i);\n    commit;\n  end loop;\nend $$;\n",
    );
    folders.add_outside(
        "call",
        "call fill();\nalter type mood add value 'angry';\ninsert into moods values ('angry');\n",
    );
    folders.add_outside(
        "index",
        "create index concurrently batches_n on batches (n);\nvacuum batches;\ncreate index concurrently batches_m on batches (n);\n",
    );
    folders.add("unmarked", "drop index concurrently batches_m;\n");
    folders.up();
    folders.says("select l from own", "1234ms\n");
    folders.says("select string_agg(m::text, ' ' order by m) from moods", "happy calm angry\n");
    folders.says(
        "select to_regclass('one'), to_regclass('two'), to_regclass('left_open')",
        "one|two|left_open\n",
    );
    folders.says("select to_regclass('lost'), to_regclass('kept')", "NULL|kept\n");
    folders.says(
        "select count(*), to_regclass('batches_n'), to_regclass('batches_m') from batches",
        "3|batches_n|NULL\n",
    );

    folders.add("unsafe", "alter type mood add value 'wild';\ninsert into moods values ('wild');\n");
    folders.fails(2, &["55P04", "dbctl:no-transaction"]);
    folders.says("select array_to_string(enum_range(null::mood), ' ')", "sad happy calm angry\n");
    folders.add("commits", "insert into batches values (5);\ncall fill();\n");
    folders.fails(2, &["2D000", "dbctl:no-transaction"]);
    folders.says("select count(*) from batches", "3\n");
    folders.add("takes_back", "create table gone (id int);\nROLLBACK;\n");
    folders.fails(2, &["ROLLBACK"]);
    folders.says("select to_regclass('gone')", "NULL\n");
}

fn what_a_transaction_of_its_own_left_behind_is_gone_on_with(folders: &mut Folders) {
    folders.add("first", "create table h (id int);\n");
    let half = "BEGIN;\ninsert into h values (1);\nCOMMIT;\ninsert into nothing values (2);\n";
    folders.add("half", half);
    let said = folders.sandbox.dbctl(&["up", "--all"]).fails(1);
    for kind in &KINDS {
        let place = format!("{}:{}", kind.path(folders.names.len(), "half"), kind.line(4));
        assert!(said.contains(&place), "{place} in {said}");
        let (_, document) = folders.sandbox.json(&["status", kind.key]);
        assert_eq!(document["databases"][0]["counts"]["partial"], 1, "{}: {document}", kind.key);
    }
    folders.says("select count(*) from h", "1\n");
    folders.sandbox.dbctl(&["migrate", "--all"]).fails(1);
    folders.drop_last();
    folders.add("half", &half.replace("nothing", "h"));
    folders.up();
    folders.says("select count(*), max(id) from h", "2|2\n");
}

fn the_tools_own_table_and_the_servers_roles(folders: &mut Folders) {
    // The table is there before the first file, whatever that does with it.
    folders.add(
        "grants",
        "do $$ begin if not exists (select from pg_roles where rolname = 'reader') then create role reader nologin; end if; exception when duplicate_object or unique_violation then null; end $$;\ngrant select on {table} to reader;\ncreate table if not exists {table} (something_else int);\n",
    );
    folders.add(
        "notes",
        "create table public.log (at int generated always as identity);\ncreate function public.note() returns trigger language plpgsql as $$ begin insert into public.log default values; return new; end $$;\ncreate trigger note after insert on {table} for each row execute function public.note();\n",
    );
    folders.add(
        "guards",
        "alter table {table} enable row level security;\ncomment on table {table} is 'do; not touch';\n",
    );
    folders.add(
        "adds",
        "alter table {table} add column if not exists noted text default 'x';\nanalyze {table};\n",
    );
    folders.add("last", "create table last (id int);\n");
    folders.up();
    folders.says("select has_table_privilege('reader', '{table}', 'select')", "t\n");
    folders.says("select count(*) > 3 from log", "t\n");
    let all = format!("{}\n", folders.names.len());
    folders.says("select count(*) from {table} where noted = 'x'", &all);
    folders.sandbox.ok(&["migrate", "--all"]);

    // What is applied is not for a file to say.
    folders.add("forgets", "create table forgotten (id int);\ndelete from {table};\n");
    folders.fails(2, &["changes-history"]);
    folders.says("select to_regclass('forgotten')", "NULL\n");
    folders.add("drops", "drop table {table};\n");
    folders.fails(1, &["changes-history"]);
    folders.says("select count(*) from {table}", &all);

    // A role is the server's: what made it for one database fails for the next.
    folders.add("role", "create table before_it (id int);\ncreate role reader;\n");
    folders.fails(2, &["42710", "whole server"]);
    folders.says("select to_regclass('before_it')", "NULL\n");
}

fn sessions_and_their_settings(folders: &mut Folders) {
    folders.add("role", "do $$ begin if not exists (select from pg_roles where rolname = 'writer') then create role writer nologin; end if; exception when duplicate_object or unique_violation then null; end $$;\n");
    folders.add("path", "select pg_catalog.set_config('search_path', '', false);\nset role writer;\n");
    folders.add(
        "schema",
        "create schema if not exists side;\nset search_path to side;\ncreate table in_side (id int);\n",
    );
    folders.add(
        "authorization",
        "set session authorization writer;\nset time zone 'Asia/Tokyo';\nset lock_timeout = 1;\n",
    );
    folders.add(
        "settings",
        "set default_transaction_read_only = on;\nset standard_conforming_strings = off;\nset session_replication_role = replica;\nset client_encoding = 'LATIN1';\nset statement_timeout = '7s';\n",
    );
    folders.add("leftovers", "create temp table scratch (id int);\nprepare p as select 1;\ndeclare c cursor with hold for select 1;\nlisten x;\nselect pg_advisory_lock(7);\n");
    folders.add(
        "last",
        "create temp table scratch (id int);\ncreate table latest as select current_user::text as who, session_user::text as is, current_setting('search_path') as path, current_setting('lock_timeout') as l, current_setting('session_replication_role') as r, octet_length('ä') as o, (select count(*) from pg_prepared_statements where name = 'p') as p, (select count(*) from pg_cursors where name = 'c') as c;\n",
    );
    folders.up();
    folders.says("select * from latest", "postgres|postgres|\"$user\", public|5s|origin|2|0|0\n");
    folders.says("select to_regclass('side.in_side'), to_regclass('public.in_side')", "side.in_side|NULL\n");
    folders.says("select count(*) from pg_locks where locktype = 'advisory' and objid = 7", "0\n");

    // What it is set to for good meets no statement of dbctl's own.
    folders.add("forever", "do $$ begin execute format('alter database %I set search_path = ''''', current_database()); execute format('alter database %I set default_transaction_read_only = off', current_database()); end $$;\n");
    folders.up();
    folders.add("since", "create table public.since as select current_setting('search_path') as path;\n");
    folders.up();
    folders.says("select path from public.since", "\"\"\n");
}

fn bytes_of_all_kinds(folders: &mut Folders) {
    folders.add("blank", "");
    folders.add("comments", "/* nothing /* at */ all; */\n-- nor here;");
    folders
        .add("no_newline", "create table t (id int, name text); insert into t values (1, 'it''s; \"one\"')");
    folders.add("last_comment", "insert into t values (2, $a$; -- no $$ end$a$); -- the end; of it");
    folders
        .add("placeholders", "insert into t values (3, '${NAME} :NAME $1 {{NAME}} %(NAME)s'); -- ${NAME}\n");
    folders.add(
        "bodies",
        "create function f() returns int language sql as $function$ select 1; select 2; $function$;\ncreate function g() returns text language plpgsql as $$ begin return 'a;b'; -- ';\nend $$;\n",
    );
    let dump = "SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n\nCREATE TABLE public.dumped (id integer, name text);\n\nCOPY public.dumped (id, name) FROM stdin;\n1\tsemi;colon -- and 'quote\n2\t\\N\n3\ttab\\tand\\\\slash\n\\.\n\nALTER TABLE ONLY public.dumped ADD CONSTRAINT dumped_pkey PRIMARY KEY (id);\n";
    folders.add("dump", dump);
    // As Windows writes it, markers and all; its text is that of the others, so that only line ends differ.
    folders.add_made("windows", |kind| {
        let sql = dump.replace("dumped", "windows");
        format!("{}{sql}{}", kind.around.0, kind.around.1).replace('\n', "\r\n").into_bytes()
    });
    folders.add_made("mark", |kind| {
        // dbmate finds no part behind a byte order mark, and dbctl says so before anything runs.
        let mark = if kind.key == "dbmate" { "" } else { "\u{feff}" };
        format!("{mark}{}create table marked (id int);\n{}", kind.around.0, kind.around.1).into_bytes()
    });
    folders.up();
    folders.says(
        "select id, name from t order by id",
        "1|it's; \"one\"\n2|; -- no $$ end\n3|${NAME} :NAME $1 {{NAME}} %(NAME)s\n",
    );
    for table in ["dumped", "windows"] {
        folders.says(
            &format!("select id, name from {table} order by id"),
            "1|semi;colon -- and 'quote\n2|NULL\n3|tab\tand\\slash\n",
        );
    }
    folders.says("select f(), g(), to_regclass('marked')", "2|a;b|marked\n");

    // Other line ends are no other text.
    for kind in &KINDS {
        let path = kind.path(7, "dump");
        let text = folders.sandbox.read(&path).replace('\n', "\r\n");
        folders.sandbox.write(&path, text);
    }
    folders.settled();

    for (name, line) in [("psql", "\\connect other"), ("restrict", "\\i other.sql"), ("set", "\\set x 1")] {
        folders.add(name, &format!("create table early (id int);\n\n{line}\nselect 1;\n"));
        folders.fails(3, &[&format!("`{}`", line.split(' ').next().unwrap())]);
        folders.says("select to_regclass('early')", "NULL\n");
    }
    folders.add("syntax", "create table early (id int);\n\n  selec 1;\n");
    folders.fails(3, &["42601"]);
    folders.add_made("wide", |kind| {
        let text = format!("\u{feff}{}select 1;\n{}", kind.around.0, kind.around.1);
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    });
    folders.refused(3, 0, &[":1:1", "UTF-16", "save the file as UTF-8"]);
}

/// What reverts: the paths of the up and the down file, and what stands before each part. Drizzle and Supabase have
/// nothing that reverts.
const DOWNS: [(&str, &str, &str, &str); 6] = [
    ("native", "native/20260101000009_back.sql", "native/20260101000009_back.down.sql", ""),
    ("node", "node/1767225690009_back.sql", "", "-- Down Migration\n"),
    ("prisma", "prisma/20260101000009_back/migration.sql", "prisma/20260101000009_back/down.sql", ""),
    ("sqlx", "sqlx/9_back.up.sql", "sqlx/9_back.down.sql", ""),
    ("dbmate", "dbmate/20260101000009_back.sql", "", "-- migrate:down\n"),
    ("custom", "custom/009_back.sql", "custom/009_back.down.sql", ""),
];

/// Downs that are broken, and one that does not fit in the transaction that its up fits in.
#[test]
fn ways_back() {
    let mut folders = Folders::new();
    folders.add("first", "create table t (id int);\n");
    // Each with the line that fails.
    for (round, down, line) in [
        (7, "drop table back7;\ndrop table nowhere;\n", Some(2)),
        (8, "drop table back8;\nROLLBACK;\n", Some(2)),
        (9, "drop index concurrently id9;\ndrop table back9;\n", None),
    ] {
        let named = |path: &str| path.replace("9_back", &format!("{round}_back"));
        let up = format!("create index id{round} on t (id);\ncreate table back{round} (id int);\n");
        let mut keys = Vec::new();
        for (key, up_path, down_path, marker) in DOWNS {
            let kind = KINDS.iter().find(|kind| kind.key == key).unwrap();
            let up = format!("{}{up}", kind.around.0);
            match down_path {
                "" => folders.sandbox.write(&named(up_path), format!("{up}{marker}{down}")),
                _ => {
                    folders.sandbox.write(&named(up_path), up);
                    folders.sandbox.write(&named(down_path), down);
                }
            }
            keys.push(key);
        }
        folders.sandbox.ok(&[&["up"][..], &keys].concat());
        let back = folders.sandbox.dbctl(&[&["rollback", "--yes"][..], &keys].concat());
        for (key, up_path, down_path, marker) in DOWNS {
            let rows = folders.sandbox.query(
                key,
                &format!("select to_regclass('back{round}') is null, to_regclass('id{round}') is null"),
            );
            let Some(line) = line else {
                assert_eq!(rows, "t|t\n", "{key}: {back}");
                continue;
            };
            assert_eq!(rows, "f|f\n", "{key}: {back}");
            let before = if marker.is_empty() { 0 } else { 4 };
            let path = named(if down_path.is_empty() { up_path } else { down_path });
            let place = format!("{path}:{}", before + line);
            assert!(back.stderr.contains(&place), "{place} in {back}");
        }
        match line {
            Some(_) => _ = folders.sandbox.ok(&[&["status", "--check"][..], &keys].concat()),
            None => assert_eq!(back.code, 0, "{back}"),
        }
    }
}
