//! Variables: who wins, what a child gets, and files that are wrong.

use insta::assert_snapshot;

use crate::support::{Site, key, report, wrong, wrong_if_needed};

const MANIFEST: &str = "\
workspace: x
env_files: [.env, config/local.env]
databases:
  core: { package: packages/core }
  app: { package: apps/app }
  loose: {}
";

fn site() -> Site {
    Site::new(MANIFEST)
        .file(".env", "A=root\nB=root\nC=root\nD=root\n")
        .file("config/local.env", "B=local\nC=local\nD=local\n")
        .file("packages/core/.env", "C=core\nD=core\nONLY=core\nREF=${B}-${C}\n")
        .folder("apps/app")
        .var("D", "process")
        .var("HOME", "/home/me")
}

#[test]
fn later_files_win_then_the_package_then_the_process() {
    let workspace = site().workspace();
    let vars = |name: &str| {
        let vars = workspace.vars(&key(name));
        vars.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(vars("core"), "A=root B=local C=core D=process HOME=/home/me ONLY=core REF=local-core");
    assert_eq!(vars("app"), "A=root B=local C=local D=process HOME=/home/me");
    assert_eq!(vars("loose"), vars("app"));
}

#[test]
fn a_child_gets_what_the_process_does_not_have() {
    let vars = site().workspace().child_vars(&key("core"));
    let names: Vec<_> = vars.keys().map(String::as_str).collect();
    assert_eq!(names, ["A", "B", "C", "ONLY", "REF"]);
}

#[test]
fn the_root_env_file_is_read_unless_others_are_named() {
    let manifest = "workspace: x\ndatabases: { a: {} }\n";
    let named = "workspace: x\nenv_files: []\ndatabases: { a: {} }\n";
    for (manifest, expected) in [(manifest, 1), (named, 0)] {
        let workspace = Site::new(manifest).file(".env", "A=1\n").workspace();
        assert_eq!(workspace.child_vars(&key("a")).len(), expected);
    }
}

#[test]
fn files_that_are_wrong() {
    let site = Site::new(MANIFEST)
        .file(".env", "A=1\n\nhush hush\n")
        .file("config/local.env", "B='never closed\n")
        .folder("packages/core")
        .folder("apps/app/.env");
    assert_snapshot!(site.report(), @"
    2:13 .env:3: there is no `=` after the name
      | env_files: [.env, config/local.env]
      |             ^^^^
    2:19 config/local.env:1: the quote is never closed
      | env_files: [.env, config/local.env]
      |                   ^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(Site::new("workspace: x\ndatabases: { a: {} }\n").file(".env", "oops\n").report(), @"
    .env:1: there is no `=` after the name
      = dbctl reads `.env` unless `env_files` names other files
    ");
    assert_snapshot!(wrong("workspace: x\nenv_files: [../.env, /etc/passwd, '', '${X}']\ndatabases: { a: {} }\n"), @"
    2:13 `../.env`: the path leaves the workspace
      | env_files: [../.env, /etc/passwd, '', '${X}']
      |             ^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    2:22 `/etc/passwd`: the path is absolute
      | env_files: [../.env, /etc/passwd, '', '${X}']
      |                      ^^^^^^^^^^^
      = write it relative to the workspace or the package
    2:35 the path is empty
      | env_files: [../.env, /etc/passwd, '', '${X}']
      |                                   ^^
      = `.` is the folder itself
    2:40 the variable `X` is not set
      | env_files: [../.env, /etc/passwd, '', '${X}']
      |                                        ^^^^
      = set it in the environment or in an env file, or give a default: `${X:-…}`
    ");
    let site = Site::new("workspace: x\ndatabases: { a: {} }\n").bytes(".env", b"A=\xff\n");
    assert_snapshot!(site.report(), @"
    cannot read .env: it is not UTF-8
      = dbctl reads `.env` unless `env_files` names other files
    ");
    let site = Site::new("workspace: x\ndatabases: { a: {} }\n").bytes(".env", &vec![b'#'; 2 * 1024 * 1024]);
    assert_snapshot!(site.report(), @"
    cannot read .env: it is larger than 1 MiB
      = dbctl reads `.env` unless `env_files` names other files
    ");
}

#[test]
fn a_package_whose_env_file_is_wrong_bothers_nobody_else() {
    let site = Site::new(
        "\
workspace: x
databases:
  a: { package: p, name: '${NAME:-same}', owner: '${OWNER}' }
  b: { package: p, url: '${DATABASE_URL}' }
  same: { depends_on: [a] }
",
    )
    .file("p/.env", "hush hush\n");
    let workspace = site.workspace();
    assert!(workspace.locate(&key("same")).is_ok());
    assert_snapshot!(wrong_if_needed(&workspace, &["a", "b", "same"]), @"
    3:17 p/.env:1: there is no `=` after the name
      |   a: { package: p, name: '${NAME:-same}', owner: '${OWNER}' }
      |                 ^
      = dbctl reads the `.env` of the packages whose databases it needs
    4:17 p/.env:1: there is no `=` after the name
      |   b: { package: p, url: '${DATABASE_URL}' }
      |                 ^
      = dbctl reads the `.env` of the packages whose databases it needs
    ");
    assert_eq!(report(&workspace.locate(&key("b")).unwrap_err()), wrong_if_needed(&workspace, &["b"]));
    // With the name that it may have once the file can be read.
    assert_eq!(workspace.database(&key("a")).name.as_str(), "?");
}
