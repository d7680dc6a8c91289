//! The Atriz monorepo's own commands, word by word, run by the real pnpm: its scripts call the dbctl under test.

use crate::{
    own_server::OwnServer,
    support::{Ran, Sandbox, binary},
    tools::{node_pg_migrate, npm},
};

/// The last major that runs on Node 20.
const PNPM: &str = "pnpm@10.34.9";

/// A migration as the monorepo's handbook writes it: comments above the marker, and no way down.
const ADD_METADATA: &str = "\
-- Migration: Add user metadata
-- Created: 2025-10-19

-- Up migration
CREATE TABLE user_metadata (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL,
  key VARCHAR(100) NOT NULL,
  value JSONB,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
  UNIQUE(user_id, key)
);

CREATE INDEX idx_user_metadata_user_id ON user_metadata(user_id);

-- Add comments
COMMENT ON TABLE user_metadata IS 'Flexible user metadata storage';
";

/// The monorepo on somebody's machine.
struct Machine {
    sandbox: Sandbox,
}

impl Machine {
    fn new() -> Self {
        let mut sandbox = Sandbox::atriz();
        sandbox.set("DBCTL", binary());
        Self { sandbox }
    }

    /// Runs a line such as `pnpm migrate up` in a folder.
    fn run(&self, folder: &str, line: &str) -> Ran {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "pnpm", "{line}");
        let mut command = self.sandbox.command(npm(&[PNPM]).join("node_modules/.bin/pnpm"));
        command.args(&words[1..]).current_dir(self.sandbox.root().join(folder));
        // What is installed comes from this repository alone.
        command.env("npm_config_registry", "http://127.0.0.1:9");
        Ran::of(command.output().unwrap())
    }

    #[track_caller]
    fn ok(&self, folder: &str, line: &str) -> String {
        let ran = self.run(folder, line);
        assert_eq!(ran.code, 0, "{folder}$ {line}\n{ran}");
        ran.stdout
    }

    /// How many migrations are applied.
    fn applied(&self, target: &str) -> usize {
        self.sandbox.query(target, "select count(*) from pgmigrations").trim().parse().unwrap()
    }

    fn rows(&self, target: &str, table: &str) -> usize {
        self.sandbox.query(target, &format!("select count(*) from {table}")).trim().parse().unwrap()
    }

    /// The tool whose files these are has nothing to add.
    #[track_caller]
    fn judged(&self, target: &str, folder: &str) {
        let ran = node_pg_migrate(&self.sandbox, "9.0.0", target, folder, &["up"]);
        assert!(ran.code == 0 && ran.stdout.contains("No migrations to run!"), "{ran}");
    }
}

/// With a PostgreSQL of one's own, named in `.env`, and every package's URL in its own.
#[test]
fn the_handbook_is_followed_from_the_root() {
    let server = OwnServer::start();
    let mut machine = Machine::new();
    let sandbox = &machine.sandbox;
    machine.ok("", "pnpm install");
    let env = sandbox.read("env.example");
    let edited = env
        .replace("PGHOST=localhost", &format!("PGHOST={}", server.host))
        .replace("PGPORT=5432", &format!("PGPORT={}", server.port))
        .replace("PGPASSWORD=postgres", &format!("PGPASSWORD={}", server.password));
    sandbox.write(".env", edited);
    machine.ok("", "pnpm db:create:core");
    assert_eq!(server.databases(), "atriz_shared");
    machine.ok("", "pnpm db:create");
    assert_eq!(server.databases(), "atriz_db atriz_shared mextrack_db pshop_db");

    let shared = format!("SHARED_DATABASE_URL={}\nNODE_ENV=development\n", server.url("atriz_shared"));
    sandbox.write("packages/core/.env", &shared);
    for app in ["atriz", "mextrack", "pshop"] {
        let own = server.url(&format!("{app}_db"));
        sandbox.write(
            &format!("apps/{app}/.env"),
            format!("# App-specific database\nDATABASE_URL={own}\n\n{shared}PORT=3000\n"),
        );
    }
    machine.ok("", "pnpm db:migrate:core");
    assert_eq!(server.query("atriz_shared", "select count(*) from pgmigrations"), "4\n");
    machine.ok("", "pnpm db:migrate:mextrack");
    machine.ok("", "pnpm db:migrate");
    for (target, folder) in [("core", "packages/core"), ("atriz", "apps/atriz"), ("pshop", "apps/pshop")] {
        machine.judged(target, folder);
    }

    machine.ok("", "pnpm db:seed:core");
    assert_eq!((machine.rows("core", "users") > 0, machine.rows("mextrack", "vehicles")), (true, 0));
    machine.ok("", "pnpm db:seed");
    let vehicles = machine.rows("mextrack", "vehicles");
    assert!(vehicles > 0);
    machine.ok("", "pnpm db:clean:mextrack");
    assert_eq!((machine.rows("mextrack", "vehicles"), machine.applied("mextrack")), (0, 4));
    assert!(machine.rows("pshop", "products") > 0, "the others keep their data");
    machine.ok("", "pnpm db:seed");
    assert_eq!(machine.rows("mextrack", "vehicles"), vehicles);
    machine.ok("", "pnpm db:clean");
    assert_eq!((machine.rows("core", "users"), machine.rows("pshop", "products")), (0, 0));
    machine.ok("", "pnpm db:seed:core");
    machine.ok("", "pnpm db:seed");
    assert_eq!(machine.rows("mextrack", "vehicles"), vehicles);

    // Deploying: every URL is set, and what destroys is refused.
    machine.sandbox.set("NODE_ENV", "production");
    for line in ["pnpm db:migrate:core", "pnpm db:migrate:atriz", "pnpm db:migrate:mextrack"] {
        machine.ok("", line);
    }
    let ran = machine.run("", "pnpm db:clean:mextrack");
    assert!(ran.code == 2 && ran.stderr.contains("--allow-protected"), "{ran}");
}

/// Inside a package, on the private server.
#[test]
fn the_handbook_is_followed_inside_a_package() {
    let machine = Machine::new();
    machine.ok("", "pnpm db:create");
    for (target, folder) in [("core", "packages/core"), ("mextrack", "apps/mextrack")] {
        machine.ok(folder, "pnpm migrate up");
        assert_eq!(machine.applied(target), 4);
        machine.judged(target, folder);
        machine.ok(folder, "pnpm migrate down");
        assert_eq!(machine.applied(target), 3);
        machine.ok(folder, "pnpm migrate down --count=2");
        assert_eq!(machine.applied(target), 1);
        let status = machine.ok(folder, "pnpm migrate status");
        assert!(status.contains("3 pending"), "{status}");

        let said = machine.ok(folder, "pnpm migrate:create add_user_metadata_column");
        let path = said.lines().last().unwrap();
        assert!(path.ends_with("_add_user_metadata_column.sql"), "spelled as its siblings are: {said}");
        let path = format!("{folder}/migrations/{}", path.rsplit('/').next().unwrap());
        assert_eq!(machine.sandbox.read(&path), "-- Up Migration\n\n-- Down Migration\n");
        let column = "-- Up Migration\nCREATE TABLE extra (id int);\nALTER TABLE extra ADD metadata jsonb;\n\
                      -- Down Migration\nDROP TABLE extra;\n";
        machine.sandbox.write(&path, column);
        machine.ok(folder, "pnpm migrate");
        assert_eq!((machine.applied(target), machine.rows(target, "extra")), (5, 0));
        machine.judged(target, folder);
        machine.ok(folder, "pnpm migrate down");
        machine.ok(folder, "pnpm migrate up");
        machine.judged(target, folder);
    }
}

#[test]
fn a_migration_as_the_handbook_writes_it_works_and_has_no_way_down() {
    let machine = Machine::new();
    let core = "packages/core";
    machine.ok("", "pnpm db:create:core");
    machine.ok(core, "pnpm migrate:create add_user_metadata");
    let folder = machine.sandbox.root().join(core).join("migrations");
    let created = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let created = created.map(|name| name.into_string().unwrap()).find(|name| name.contains("metadata"));
    machine.sandbox.write(&format!("{core}/migrations/{}", created.unwrap()), ADD_METADATA);
    machine.ok(core, "pnpm migrate");
    assert_eq!((machine.applied("core"), machine.rows("core", "user_metadata")), (5, 0));
    let comment = "select obj_description('user_metadata'::regclass)";
    assert_eq!(machine.sandbox.query("core", comment), "Flexible user metadata storage\n");
    machine.judged("core", core);

    for line in ["pnpm migrate down", "pnpm migrate down --count=2"] {
        let ran = machine.run(core, line);
        assert!(ran.code != 0 && ran.stderr.contains("add_user_metadata"), "{line}\n{ran}");
        assert_eq!(machine.applied("core"), 5, "refused before anything ran");
    }
    let ran = node_pg_migrate(&machine.sandbox, "9.0.0", "core", core, &["down"]);
    assert!(ran.code != 0 && ran.stderr.contains("disabled down migration"), "{ran}");
}

/// One application alone, as the handbook's second walk has it.
#[test]
fn one_application_brings_the_shared_database_along() {
    let machine = Machine::new();
    for line in
        ["pnpm db:create:core", "pnpm db:create:mextrack", "pnpm db:migrate:core", "pnpm db:migrate:mextrack"]
    {
        machine.ok("", line);
    }
    machine.ok("", "pnpm db:seed:core");
    machine.ok("", "pnpm db:seed:mextrack");
    assert!(machine.rows("core", "users") > 0 && machine.rows("mextrack", "vehicles") > 0);
    let (_, status) = machine.sandbox.json(&["status", "--all"]);
    let exist: Vec<&serde_json::Value> =
        status["databases"].as_array().unwrap().iter().map(|database| &database["exists"]).collect();
    assert_eq!(exist, [true, false, true, false], "{status}");
}
