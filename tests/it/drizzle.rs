//! Drizzle's folders, run by dbctl and by the real drizzle-orm and drizzle-kit of both generations: what they make of a
//! folder and of each other's databases has to be the same.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    support::{Ran, Sandbox},
    tools::{npm, schema},
};

/// The generations of the tool: a journal before 1.0, folders since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    V0,
    V1,
}

use Generation::{V0, V1};

impl Generation {
    fn packages(self) -> [&'static str; 3] {
        match self {
            V0 => ["drizzle-kit@0.31.11", "drizzle-orm@0.45.4", "pg@8.23.1"],
            V1 => ["drizzle-kit@1.0.0-rc.5", "drizzle-orm@1.0.0-rc.5", "pg@8.23.1"],
        }
    }
}

/// What an application does when it starts.
const MIGRATE: &str = "
    const { drizzle } = require('drizzle-orm/node-postgres');
    const { migrate } = require('drizzle-orm/node-postgres/migrator');
    const { Pool } = require('pg');
    const [url, migrationsFolder, options] = process.argv.slice(1);
    const client = new Pool({ connectionString: url });
    migrate(drizzle({ client }), { migrationsFolder, ...JSON.parse(options) })
        .catch((error) => { console.error(error.message, error.cause?.message ?? ''); process.exitCode = 1; })
        .finally(() => client.end());
";

/// A migration as people write it; the folder's layout makes a file or a folder of it.
type Files<'f> = [(&'f str, &'f str)];

/// Databases that run the same folder, one by dbctl and others by the tool or by both.
struct Folder {
    sandbox: Sandbox,
    generation: Generation,
}

impl Folder {
    fn new(generation: Generation, files: &Files<'_>) -> Self {
        Self::with(generation, files, "")
    }

    /// `source` ends its entry in the manifest.
    fn with(generation: Generation, files: &Files<'_>, source: &str) -> Self {
        let mut manifest = "workspace: judged\ndatabases:\n".to_owned();
        for key in ["mine", "tools", "both"] {
            writeln!(manifest, "  {key}: {{ migrations: [{{ path: drizzle, format: drizzle{source} }}] }}")
                .unwrap();
        }
        let folder = Self { sandbox: Sandbox::new(&manifest, &[]), generation };
        folder.holds(files);
        folder.sandbox.ok(&["create", "--all"]);
        folder
    }

    /// Makes the folder hold these migrations and nothing else.
    fn holds(&self, files: &Files<'_>) {
        let root = self.sandbox.root().join("drizzle");
        let _ = std::fs::remove_dir_all(&root);
        for (at, (name, sql)) in files.iter().enumerate() {
            match self.generation {
                V0 => self.sandbox.write(&format!("drizzle/{at:04}_{name}.sql"), sql),
                V1 => self.sandbox.write(&format!("drizzle/{}_{name}/migration.sql", time(at)), sql),
            }
        }
        if self.generation == V0 {
            let entry = |(at, (name, _)): (usize, &(&str, &str))| (format!("{at:04}_{name}"), when(at));
            self.journal(&files.iter().enumerate().map(entry).collect::<Vec<_>>());
        }
    }

    fn journal(&self, entries: &[(String, i64)]) {
        let entry = |(idx, (tag, when)): (usize, &(String, i64))| json!({ "idx": idx, "version": "7", "when": when, "tag": tag, "breakpoints": true });
        let entries: Vec<_> = entries.iter().enumerate().map(entry).collect();
        let journal = json!({ "version": "7", "dialect": "postgresql", "entries": entries });
        self.sandbox.write("drizzle/meta/_journal.json", format!("{journal:#}"));
    }

    /// drizzle-orm's own `migrate()`.
    fn orm(&self, generation: Generation, target: &str, options: &str) -> Ran {
        let mut command = self.sandbox.command("node");
        command.args(["-e", MIGRATE, &self.sandbox.url(target)]);
        command.arg(self.sandbox.root().join("drizzle")).arg(options);
        Ran::of(command.current_dir(npm(&generation.packages())).output().unwrap())
    }

    fn tool(&self, target: &str) -> Ran {
        self.orm(self.generation, target, "{}")
    }

    /// drizzle-kit, on a database where the command needs one.
    fn kit(&self, generation: Generation, target: &str, args: &[&str]) -> Ran {
        let config = json!({
            "dialect": "postgresql", "schema": "./schema.ts", "out": "./drizzle",
            "dbCredentials": { "url": self.sandbox.url(target) }
        });
        self.sandbox.write("drizzle.config.ts", format!("export default {config}"));
        let mut command = self.sandbox.command("node");
        command.arg(npm(&generation.packages()).join("node_modules/drizzle-kit/bin.cjs")).args(args);
        Ran::of(command.output().unwrap())
    }

    /// The schema as the package's TypeScript has it.
    fn typescript(&self, generation: Generation, columns: &str) {
        let pg_core = npm(&generation.packages()).join("node_modules/drizzle-orm/pg-core/index.cjs");
        let text = format!(
            "import {{ pgTable, text, integer }} from {pg_core:?};\n\
             export const users = pgTable('users', {{ id: integer().primaryKey(), {columns} }});\n"
        );
        self.sandbox.write("schema.ts", text);
    }

    /// What the tool says of its rows, oldest first.
    fn rows(&self, target: &str) -> String {
        let name = match self.generation {
            V0 => "",
            V1 => ", name",
        };
        let sql = format!("select id, hash, created_at{name} from drizzle.__drizzle_migrations order by id");
        self.sandbox.query(target, &sql)
    }

    /// The schema without what only dbctl writes.
    fn dump(&self, target: &str) -> String {
        let dump = schema(&self.sandbox, target);
        let parts = dump.split("\n--\n-- Name: ");
        parts.filter(|part| !part.contains("Schema: dbctl;") && !part.starts_with("dbctl;")).collect()
    }

    #[track_caller]
    fn tool_finds_nothing(&self, target: &str) {
        let before = self.rows(target);
        self.tool(target).ok();
        assert_eq!(self.rows(target), before, "{:?}", self.generation);
    }

    #[track_caller]
    fn dbctl_finds_nothing(&self, target: &str) {
        self.sandbox.ok(&["status", target, "--check"]);
        let (code, document) = self.sandbox.json(&["migrate", target]);
        assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
    }

    fn count(&self, target: &str, state: &str) -> u64 {
        let (_, status) = self.sandbox.json(&["status", target, "--check"]);
        status["databases"][0]["counts"][state].as_u64().unwrap_or_else(|| panic!("{state}: {status}"))
    }
}

/// When the tool generated the migration with that number: 2023-11-14T22:13:20.123Z, and ten seconds later each.
fn when(at: usize) -> i64 {
    1_700_000_000_123 + 10_000 * i64::try_from(at).unwrap()
}

fn time(at: usize) -> u64 {
    20_231_114_221_320 + 10 * u64::try_from(at).unwrap()
}

/// What people have in such folders.
const FILES: [(&str, &str); 8] = [
    (
        "first",
        "CREATE TYPE \"public\".\"kind\" AS ENUM('a', 'b');--> statement-breakpoint\nCREATE TABLE \"users\" (\n\t\"id\" \
         integer PRIMARY KEY NOT NULL,\n\t\"kind\" \"kind\" DEFAULT 'a' NOT NULL\n);\n",
    ),
    ("empty", ""),
    ("custom", "-- Custom SQL migration file, put your code below! --"),
    (
        "dos",
        "ALTER TABLE \"users\" ADD \"name\" text;--> statement-breakpoint\r\nCREATE TABLE posts (\r\n  id serial,\r\n  \
         body text\r\n);\r\n--> statement-breakpoint\r\nCREATE INDEX posts_body ON posts (body);\r\n",
    ),
    (
        "function",
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a;b'; END $$;\n--> statement-breakpoint\n\
         CREATE VIEW v AS SELECT f() AS f;\nINSERT INTO posts (body) VALUES ('two in'), ('one query');",
    ),
    (
        "no_semicolon",
        "ALTER TABLE posts ENABLE ROW LEVEL SECURITY--> statement-breakpoint\nCREATE TABLE bare (id int)\n\
         --> statement-breakpoint\nCREATE INDEX bare_id ON bare (id)",
    ),
    ("its_own_table", "GRANT SELECT ON drizzle.__drizzle_migrations TO PUBLIC;"),
    ("search_path", "SET search_path = ''; CREATE TABLE public.last (id int); SET search_path = public;"),
];

#[test]
fn each_finds_nothing_to_do_after_the_other() {
    for generation in [V0, V1] {
        let folder = Folder::new(generation, &FILES);
        folder.sandbox.ok(&["migrate", "mine"]);
        folder.tool("tools").ok();
        assert_eq!(folder.rows("mine"), folder.rows("tools"), "{generation:?}");
        assert_eq!(folder.rows("mine").lines().count(), FILES.len());
        assert_eq!(folder.dump("mine"), folder.dump("tools"), "{generation:?}");
        assert!(folder.dump("mine").contains("CREATE TABLE public.last"));
        folder.tool_finds_nothing("mine");
        folder.dbctl_finds_nothing("tools");

        // drizzle-kit's own command says the same.
        folder.typescript(generation, "");
        for target in ["mine", "tools"] {
            let before = folder.rows(target);
            folder.kit(generation, target, &["migrate"]).ok();
            assert_eq!(folder.rows(target), before);
        }
        // Without the ledger nothing is forgotten.
        folder.sandbox.query("mine", "drop schema dbctl cascade");
        folder.dbctl_finds_nothing("mine");
    }
}

#[test]
fn each_finishes_what_the_other_began() {
    for generation in [V0, V1] {
        let folder = Folder::new(generation, &FILES[..3]);
        folder.sandbox.ok(&["migrate", "mine"]);
        folder.tool("both").ok();
        folder.holds(&FILES[..6]);
        assert_eq!((folder.count("both", "applied"), folder.count("both", "pending")), (3, 3));
        folder.sandbox.ok(&["migrate", "both"]);
        folder.tool("mine").ok();
        folder.holds(&FILES);
        folder.tool("both").ok();
        folder.sandbox.ok(&["migrate", "mine"]);
        folder.tool("tools").ok();
        for target in ["mine", "both"] {
            assert_eq!(folder.rows(target), folder.rows("tools"), "{generation:?}");
            assert_eq!(folder.dump(target), folder.dump("tools"), "{generation:?}");
            folder.tool_finds_nothing(target);
            folder.dbctl_finds_nothing(target);
        }
    }
}

#[test]
fn a_history_table_of_another_name_is_the_same() {
    for generation in [V0, V1] {
        let folder = Folder::with(generation, &FILES[..3], ", schema: My History, table: Done");
        let options = r#"{ "migrationsSchema": "My History", "migrationsTable": "Done" }"#;
        let rows = |target| {
            folder.sandbox.query(target, r#"select hash, created_at from "My History"."Done" order by id"#)
        };
        folder.sandbox.ok(&["migrate", "mine"]);
        folder.orm(generation, "tools", options).ok();
        assert_eq!(rows("mine"), rows("tools"));
        assert_eq!(folder.dump("mine"), folder.dump("tools"));
        folder.orm(generation, "mine", options).ok();
        assert_eq!(rows("mine"), rows("tools"));
        folder.dbctl_finds_nothing("tools");
    }
}

/// 0.x never runs what is older than the last that it ran, and says nothing; 1.0 runs it, as dbctl does.
#[test]
fn a_migration_that_comes_late_is_run_by_dbctl() {
    let names = [("a", "CREATE TABLE a ();"), ("c", "CREATE TABLE c ();")];
    let folder = Folder::new(V0, &names);
    folder.tool("tools").ok();
    folder.sandbox.ok(&["migrate", "mine"]);
    folder.sandbox.write("drizzle/0001_b.sql", "CREATE TABLE b ();");
    let tag = |tag: &str, when| (tag.to_owned(), when);
    folder.journal(&[tag("0000_a", when(0)), tag("0001_c", when(1)), tag("0001_b", when(0) + 5)]);
    folder.tool_finds_nothing("tools");
    assert_eq!(folder.sandbox.query("tools", "select to_regclass('b')"), "NULL\n");
    for target in ["mine", "tools"] {
        let ran = folder.sandbox.dbctl(&["migrate", target]);
        assert!(ran.code == 0 && !ran.stderr.contains("warning"), "behind c in the journal: {ran}");
        assert_eq!(folder.sandbox.query(target, "select to_regclass('b')"), "b\n");
        folder.tool_finds_nothing(target);
        folder.dbctl_finds_nothing(target);
    }
    // In the middle of the journal, dbctl says so.
    folder.sandbox.write("drizzle/0001_d.sql", "CREATE TABLE d ();");
    folder.journal(&[
        tag("0000_a", when(0)),
        tag("0001_d", when(0) + 6),
        tag("0001_c", when(1)),
        tag("0001_b", when(0) + 5),
    ]);
    let ran = folder.sandbox.dbctl(&["migrate", "mine"]);
    assert!(ran.code == 0 && ran.stderr.contains("mine: warning: 0001_d sorts before"), "{ran}");
    folder.tool_finds_nothing("mine");
    // What nobody has run yet is run whole by the tool, whatever its times.
    folder.tool("both").ok();
    folder.dbctl_finds_nothing("both");

    let folder = Folder::new(V1, &names);
    folder.tool("tools").ok();
    folder.sandbox.ok(&["migrate", "mine"]);
    folder.sandbox.write("drizzle/20231114221325_b/migration.sql", "CREATE TABLE b ();");
    folder.tool("tools").ok();
    let ran = folder.sandbox.dbctl(&["migrate", "mine"]);
    assert!(ran.code == 0 && ran.stderr.contains("mine: warning: 20231114221325_b sorts before"), "{ran}");
    assert_eq!(folder.rows("mine"), folder.rows("tools"));
    folder.tool_finds_nothing("mine");
    folder.dbctl_finds_nothing("tools");
}

/// The tool runs both where it has run neither, and none where it has run one.
#[test]
fn migrations_of_one_time_are_two() {
    let folder = Folder::new(V0, &[]);
    folder.sandbox.write("drizzle/0000_a.sql", "CREATE TABLE a ();");
    folder.sandbox.write("drizzle/0001_b.sql", "CREATE TABLE b ();");
    let tag = |tag: &str| (tag.to_owned(), when(0));
    folder.journal(&[tag("0000_a")]);
    folder.tool("both").ok();
    folder.journal(&[tag("0000_a"), tag("0001_b")]);
    folder.tool("tools").ok();
    folder.dbctl_finds_nothing("tools");
    folder.sandbox.ok(&["migrate", "mine"]);
    assert_eq!(folder.rows("mine"), folder.rows("tools"));
    folder.tool_finds_nothing("mine");

    folder.tool_finds_nothing("both");
    assert_eq!((folder.count("both", "applied"), folder.count("both", "pending")), (1, 1));
    folder.sandbox.ok(&["migrate", "both"]);
    assert_eq!(folder.rows("both"), folder.rows("tools"));
    folder.tool_finds_nothing("both");
}

/// A database whose schema is there already, by `drizzle-kit push` for one.
#[test]
fn what_is_faked_is_applied_to_the_tool() {
    for generation in [V0, V1] {
        let folder = Folder::new(generation, &FILES);
        folder.sandbox.ok(&["migrate", "mine", "--fake", "--yes"]);
        folder.tool("tools").ok();
        assert_eq!(folder.rows("mine"), folder.rows("tools"));
        folder.tool_finds_nothing("mine");
        assert!(!folder.dump("mine").contains("users"));
    }
}

/// Taken back by `drizzle-kit drop` and generated once more, after another branch.
#[test]
fn a_migration_that_is_generated_again_is_another_one() {
    let folder = Folder::new(V0, &[("a", "CREATE TABLE a ();")]);
    folder.tool("tools").ok();
    folder.sandbox.ok(&["migrate", "mine"]);
    folder.sandbox.write("drizzle/0000_a.sql", "CREATE TABLE a_again ();");
    folder.journal(&[("0000_a".to_owned(), when(1))]);
    for target in ["mine", "tools"] {
        assert_eq!((folder.count(target, "missing"), folder.count(target, "pending")), (1, 1));
    }
    folder.sandbox.ok(&["migrate", "mine"]);
    folder.tool("tools").ok();
    assert_eq!(folder.rows("mine"), folder.rows("tools"));
    assert_eq!(folder.rows("mine").lines().count(), 2);
    folder.tool_finds_nothing("mine");
}

/// The tool compares nothing; dbctl does, by the hashes that the tool has recorded.
#[test]
fn what_has_changed_or_gone_is_shown() {
    for generation in [V0, V1] {
        let folder = Folder::new(generation, &FILES);
        folder.tool("tools").ok();
        // Other line endings are no change, another text is.
        let mut files = FILES;
        let unix = files[3].1.replace("\r\n", "\n");
        files[3].1 = &unix;
        folder.holds(&files);
        folder.dbctl_finds_nothing("tools");
        files[3].1 = "-- another text";
        folder.holds(&files);
        assert_eq!(folder.count("tools", "changed"), 1);
        let said = folder.sandbox.dbctl(&["migrate", "tools"]).fails(1);
        assert!(said.contains("_dos"), "{said}");
        folder.tool_finds_nothing("tools");
        files[3].1 = FILES[3].1;
        folder.holds(&files);
        folder.dbctl_finds_nothing("tools");

        folder.holds(&files[..7]);
        assert_eq!(folder.count("tools", "missing"), 1);
        let ran = folder.sandbox.dbctl(&["migrate", "tools"]);
        assert!(ran.code == 0 && ran.stderr.contains("is applied, but its file is no longer"), "{ran}");
        folder.tool_finds_nothing("tools");
    }
}

#[test]
fn what_stops_halfway_is_finished_by_dbctl() {
    let half = "-- dbctl:no-transaction\nCREATE TABLE half (id int);--> statement-breakpoint\nVACUUM half;\n\
                INSERT INTO nothing VALUES (1);\n";
    for generation in [V0, V1] {
        let folder = Folder::new(generation, &[("half", half)]);
        let said = folder.sandbox.dbctl(&["migrate", "mine"]).fails(1);
        assert!(said.contains(":4:13"), "{said}");
        assert_eq!((folder.count("mine", "partial"), &*folder.rows("mine")), (1, ""));
        let mended = half.replace("nothing", "half");
        folder.holds(&[("half", &mended)]);
        folder.sandbox.ok(&["migrate", "mine"]);
        assert_eq!(folder.sandbox.query("mine", "select count(*) from half"), "1\n");
        folder.tool_finds_nothing("mine");
        folder.dbctl_finds_nothing("mine");
    }
}

#[test]
fn errors_have_their_place_behind_a_breakpoint() {
    let sql = "CREATE TABLE a (id int);--> statement-breakpoint\nSELECT 1; --> statement-breakpoint\n  SELECT nothing;";
    let folder = Folder::new(V0, &[("a", sql)]);
    let said = folder.sandbox.dbctl(&["migrate", "mine"]).fails(1);
    assert!(said.contains("drizzle/0000_a.sql:3:10"), "{said}");
    assert_eq!(folder.sandbox.query("mine", "select to_regclass('a')"), "NULL\n");
    folder.tool("tools").fails(1);
}

/// The same database, brought from 0.x to 1.0 by the tool and by dbctl.
#[test]
fn a_table_of_0_x_is_brought_up_to_date_as_the_tool_does() {
    let mut folder = Folder::new(V0, &FILES);
    folder.sandbox.write("drizzle/meta/0000_snapshot.json", "{}");
    // Two of one second, to be told by their hashes.
    let mut entries: Vec<_> =
        FILES.iter().enumerate().map(|(at, (name, _))| (format!("{at:04}_{name}"), when(at))).collect();
    entries[4].1 = when(3) + 400;
    folder.journal(&entries);
    folder.tool("tools").ok();
    folder.sandbox.ok(&["migrate", "mine"]);
    assert_eq!(folder.rows("mine"), folder.rows("tools"));
    // And one whose time is nobody's, to be told by its hash alone.
    for target in ["mine", "tools"] {
        folder.sandbox.query(target, "update drizzle.__drizzle_migrations set created_at = 5 where id = 6");
    }

    let snapshot = r#"{"id":"ID","prevId":"PREV","version":"7","dialect":"postgresql","tables":{},"enums":{},"schemas":{},"views":{},"sequences":{},"roles":{},"policies":{},"_meta":{"columns":{},"schemas":{},"tables":{}}}"#;
    for at in 0..FILES.len() {
        let id = |at: usize| format!("00000000-0000-0000-0000-00000000000{at}");
        let text = snapshot.replace("ID", &id(at + 1)).replace("PREV", &id(at));
        folder.sandbox.write(&format!("drizzle/meta/{at:04}_snapshot.json"), text);
    }
    // Both kinds at once are refused by all, and sorted out by the tool.
    folder.sandbox.write("drizzle/20240101000000_new/migration.sql", "CREATE TABLE new ();");
    let said = folder.sandbox.dbctl(&["migrate", "mine"]).fails(3);
    assert!(said.contains("20240101000000_new") && said.contains("drizzle-kit up"), "{said}");
    let ran = folder.orm(V1, "tools", "{}");
    assert!(ran.code == 1 && ran.stderr.contains("drizzle-kit up"), "{ran}");
    folder.typescript(V1, "");
    folder.kit(V1, "tools", &["up"]).ok();
    assert!(!folder.sandbox.root().join("drizzle/meta").exists());
    folder.generation = V1;

    assert_eq!((folder.count("mine", "applied"), folder.count("mine", "pending")), (8, 1));
    let columns = "select column_name, data_type, column_default from information_schema.columns where table_name = \
                   '__drizzle_migrations' order by ordinal_position";
    assert_eq!(folder.sandbox.query("mine", columns).lines().count(), 3, "status changes nothing");
    folder.tool("tools").ok();
    folder.sandbox.ok(&["migrate", "mine"]);
    let rows =
        "select id, hash, created_at, name, applied_at is null from drizzle.__drizzle_migrations order by id";
    for sql in [columns, rows] {
        assert_eq!(folder.sandbox.query("mine", sql), folder.sandbox.query("tools", sql));
    }
    assert!(folder.rows("mine").contains("|20231114221350_function\n"), "{}", folder.rows("mine"));
    assert_eq!(folder.dump("mine"), folder.dump("tools"));
    folder.tool_finds_nothing("mine");
    folder.dbctl_finds_nothing("tools");

    // 0.x, still running somewhere, writes rows without names; 1.0 would run their migrations again.
    folder.sandbox.write("drizzle/20240201000000_later/migration.sql", "CREATE TABLE later ();");
    let written = "create table later (); insert into drizzle.__drizzle_migrations (hash, created_at) select \
                   encode(sha256('CREATE TABLE later ();'), 'hex'), 1706745600789";
    for target in ["mine", "tools"] {
        folder.sandbox.query(target, written);
    }
    let ran = folder.tool("tools");
    assert!(ran.code == 1 && ran.stderr.contains("already exists"), "{ran}");
    assert_eq!(folder.count("mine", "pending"), 0);
    folder.sandbox.ok(&["migrate", "mine"]);
    folder.tool_finds_nothing("mine");
}

#[test]
fn a_table_of_0_x_with_rows_of_unknown_migrations_is_refused_by_both() {
    let mut folder = Folder::new(V0, &FILES[..3]);
    folder.tool("tools").ok();
    folder.generation = V1;
    folder.holds(&FILES[..2]);
    assert_eq!(folder.count("tools", "missing"), 1);
    let ran = folder.tool("tools");
    assert!(ran.code == 1 && ran.stderr.contains("(ids: 3)"), "{ran}");
    folder.sandbox.write("drizzle/20240101000000_new/migration.sql", "");
    let said = folder.sandbox.dbctl(&["migrate", "tools"]).fails(1);
    assert!(
        said.contains("fits the rows with id 3 of") && said.contains("1.0 refuses such a table, too"),
        "{said}"
    );
    let sql = "select count(*) from information_schema.columns where table_name = '__drizzle_migrations'";
    assert_eq!(folder.sandbox.query("tools", sql), "3\n");
    folder.sandbox.query("tools", "delete from drizzle.__drizzle_migrations where id = 3");
    folder.sandbox.ok(&["migrate", "tools"]);
    folder.tool_finds_nothing("tools");
}

/// What `dbctl new` writes, drizzle-kit takes for its own: it checks, generates behind it, and migrates.
#[test]
fn new_migrations_are_the_tools_own() {
    for generation in [V0, V1] {
        let folder = Folder::new(generation, &[]);
        let _ = std::fs::remove_dir_all(folder.sandbox.root().join("drizzle"));
        let package = format!(
            "{{\"devDependencies\":{{\"drizzle-kit\":\"{}\"}}}}",
            match generation {
                V0 => "^0.31.0",
                V1 => "1.0.0-rc.5",
            }
        );
        folder.sandbox.write("package.json", package);
        let kit = |args: &[&str]| folder.kit(generation, "tools", args).ok();
        let generate = |name: &str| {
            let said = kit(&["generate", "--name", name]);
            assert!(said.contains("Your SQL migration"), "{said}");
        };
        let nothing_changed = || {
            let said = kit(&["generate"]);
            assert!(said.contains("No schema changes"), "{said}");
            let said = kit(&["check"]);
            assert!(said.contains("Everything's fine"), "{said}");
        };

        folder.typescript(generation, "");
        folder.sandbox.ok(&["new", "mine", "before anything"]);
        generate("users");
        nothing_changed();
        let said = folder.sandbox.ok(&["new", "mine", "backfill names"]);
        assert!(said.contains("backfill_names"), "{said}");
        nothing_changed();
        folder.typescript(generation, "name: text()");
        generate("name");
        folder.sandbox.ok(&["new", "mine", "last"]);
        nothing_changed();

        if generation == V0 {
            // As if they had been generated seconds apart: 1.0 knows them by their seconds.
            let text = folder.sandbox.read("drizzle/meta/_journal.json");
            let mut journal: Value = serde_json::from_str(&text).unwrap();
            let entries = journal["entries"].as_array_mut().unwrap();
            let tags: Vec<_> = entries.iter().map(|entry| &entry["tag"]).collect();
            assert_eq!(
                tags,
                ["0000_before_anything", "0001_users", "0002_backfill_names", "0003_name", "0004_last"]
            );
            let times: Vec<_> = entries.iter().map(|entry| entry["when"].as_i64().unwrap()).collect();
            assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
            for (at, entry) in entries.iter_mut().enumerate() {
                entry["when"] = json!(when(at));
            }
            folder.sandbox.write("drizzle/meta/_journal.json", journal.to_string());
        }
        folder.sandbox.ok(&["migrate", "mine"]);
        kit(&["migrate"]);
        assert_eq!(folder.rows("mine"), folder.rows("tools"));
        assert_eq!(folder.rows("mine").lines().count(), 5);
        assert_eq!(folder.dump("mine"), folder.dump("tools"));
        folder.tool_finds_nothing("mine");
        folder.dbctl_finds_nothing("tools");
        if generation == V0 {
            // And 1.0 takes it over.
            folder.kit(V1, "tools", &["up"]).ok();
            folder.kit(V1, "tools", &["check"]).ok();
            let folder = Folder { generation: V1, sandbox: folder.sandbox };
            folder.orm(V1, "tools", "{}").ok();
            folder.dbctl_finds_nothing("mine");
            folder.sandbox.ok(&["new", "mine", "since then"]);
            folder.kit(V1, "tools", &["check"]).ok();
            folder.sandbox.ok(&["migrate", "mine"]);
            folder.tool("tools").ok();
            assert_eq!(folder.rows("mine"), folder.rows("tools"));
        }
    }
}
