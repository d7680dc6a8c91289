//! Paths, packages, and where the manifest is found.

use std::fs;

use dbctl_migration::FormatKind;
use dbctl_workspace::{Env, FormatChoice, LoadOptions, Selection, find_manifest, load};
use insta::assert_snapshot;

use crate::support::{Site, key, report, wrong, wrong_if_needed};

#[test]
fn paths_that_leave_the_workspace() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a: { package: ../a }
  b: { package: /tmp }
  c: { package: '' }
  d: { migrations: [{ path: ../m }], seeds: { path: a/../../s } }
  e: { migrations: [{ path: /m }], seeds: { path: '' } }
"), @"
    3:17 `../a`: the path leaves the workspace
      |   a: { package: ../a }
      |                 ^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    4:17 `/tmp`: the path is absolute
      |   b: { package: /tmp }
      |                 ^^^^
      = write it relative to the workspace or the package
    5:17 the path is empty
      |   c: { package: '' }
      |                 ^^
      = `.` is the folder itself
    6:29 `../m`: the path leaves the workspace
      |   d: { migrations: [{ path: ../m }], seeds: { path: a/../../s } }
      |                             ^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    6:53 `a/../../s`: the path leaves the workspace
      |   d: { migrations: [{ path: ../m }], seeds: { path: a/../../s } }
      |                                                     ^^^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    7:29 `/m`: the path is absolute
      |   e: { migrations: [{ path: /m }], seeds: { path: '' } }
      |                             ^^
      = write it relative to the workspace or the package
    7:51 the path is empty
      |   e: { migrations: [{ path: /m }], seeds: { path: '' } }
      |                                                   ^^
      = `.` is the folder itself
    ");
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_workspace() {
    let outside = tempfile::TempDir::new().unwrap();
    let site = Site::new(
        "\
workspace: x
env_files: [out/.env]
databases:
  a: { package: out }
  b: { migrations: [{ path: out/m }], seeds: { path: gone/s } }
  c: { package: in }
",
    )
    .folder("real");
    for (target, link) in
        [(outside.path().to_owned(), "out"), (outside.path().join("gone"), "gone"), (site.path("real"), "in")]
    {
        std::os::unix::fs::symlink(target, site.path(link)).unwrap();
    }
    assert_snapshot!(site.report(), @"
    2:13 `out/.env`: the path leaves the workspace through a symbolic link
      | env_files: [out/.env]
      |             ^^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    4:17 `out`: the path leaves the workspace through a symbolic link
      |   a: { package: out }
      |                 ^^^
      = everything a workspace uses lies in the manifest's folder or below it
    5:29 `out/m`: the path leaves the workspace through a symbolic link
      |   b: { migrations: [{ path: out/m }], seeds: { path: gone/s } }
      |                             ^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    5:54 `gone/s`: the path leaves the workspace through a symbolic link
      |   b: { migrations: [{ path: out/m }], seeds: { path: gone/s } }
      |                                                      ^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    ");
}

#[test]
fn packages() {
    let manifest = "\
workspace: x
databases:
  core: { package: ./packages/core/ }
  rust: { package: rust }
  root: { package: . }
  loose: {}
";
    let site = Site::new(manifest)
        .file("packages/core/package.json", r#"{ "name": "@atriz/core" }"#)
        .file("rust/Cargo.toml", "[package]\nname = \"atriz\"\n")
        .file("package.json", "not json");
    let workspace = site.workspace();
    assert_eq!(workspace.root(), site.path(""));
    assert_eq!(workspace.manifest(), site.path("workspace.yaml"));
    for (name, folder, shown, package) in [
        ("core", "packages/core", "packages/core", Some("@atriz/core")),
        ("rust", "rust", "rust", Some("atriz")),
        ("root", "", "", None),
        ("loose", "", "", None),
    ] {
        let database = workspace.database(&key(name));
        assert_eq!(database.folder(), site.path(folder));
        assert_eq!(database.shown_folder().to_str(), Some(shown));
        assert_eq!(database.package.as_ref().and_then(|package| package.name.as_deref()), package);
    }
}

#[test]
fn packages_that_are_not_there() {
    let site = Site::new("workspace: x\ndatabases: { a: { package: apps/mextrak }, b: { package: file }, c: { package: no } }\n")
        .folder("apps/mextrack")
        .file("file", "");
    assert_snapshot!(site.report(), @"
    2:28 the package folder apps/mextrak does not exist
      | databases: { a: { package: apps/mextrak }, b: { package: file }, c: { package: no } }
      |                            ^^^^^^^^^^^^
      = did you mean `apps/mextrack`?
    2:58 the package folder file is not a folder
      | databases: { a: { package: apps/mextrak }, b: { package: file }, c: { package: no } }
      |                                                          ^^^^
    2:80 the package folder no does not exist
      | databases: { a: { package: apps/mextrak }, b: { package: file }, c: { package: no } }
      |                                                                                ^^
    ");
}

#[test]
fn sources() {
    let site = Site::new(
        "\
workspace: x
databases:
  a:
    package: p
    migrations:
      - { path: ./one, format: node-pg-migrate, schema: s, table: t }
      - { path: ../shared/two }
    seeds: { path: seeds, skip_in: [production], runners: { ts: 'tsx $A ${NO:?x} $${B} {file}' } }
    clean: { keep: [roles, audit.log] }
    settings: { app.tenant: none, statement_timeout: 10, app.on: true, app.version: 1.10, a.b: null, 'c d': }
",
    )
    .folder("p");
    let workspace = site.workspace();
    let a = workspace.database(&key("a"));
    let [one, two] = &a.sources[..] else { panic!("{a:?}") };
    assert_eq!((&*one.name, &*two.name), ("one", "../shared/two"));
    assert_eq!(one.format, FormatChoice::Declared(FormatKind::parse("node-pg-migrate").unwrap()));
    assert_eq!((one.options.schema.as_deref(), one.options.table.as_deref()), (Some("s"), Some("t")));
    assert_eq!(one.folder.path, site.path("p/one"));
    assert_eq!(one.folder.shown.to_str(), Some("p/one"));
    assert_eq!(two.format, FormatChoice::Assumed(FormatKind::NATIVE));
    assert_eq!(two.folder.shown.to_str(), Some("shared/two"));
    let seeds = a.seeds.as_ref().unwrap();
    assert_eq!(seeds.shown.to_str(), Some("p/seeds"));
    assert_eq!(seeds.runners["ts"], "tsx $A ${NO:?x} $${B} {file}", "all of it is the shell's");
    assert_eq!(a.keep, ["roles", "audit.log"]);
    let settings: Vec<_> = a.settings.values().map(String::as_str).collect();
    assert_eq!(settings, ["true", "none", "1.10", "10"]);
}

#[test]
fn a_source_has_one_name_however_it_is_spelled() {
    for path in ["m", "./m", "m/", "x/../m", "./x/.././m//", "../p/m", "${V}", "./${V}/"] {
        let manifest = format!(
            "workspace: x\ndatabases: {{ a: {{ package: p, migrations: [{{ path: '{path}' }}] }} }}\n"
        );
        let workspace = Site::new(&manifest).folder("p/m").var("V", "m").workspace();
        assert_eq!(workspace.database(&key("a")).sources[0].name, "m", "{path}");
    }
    let workspace =
        Site::new("workspace: x\ndatabases: { a: { package: p, migrations: [{ path: . }] } }\n").folder("p");
    assert_eq!(workspace.workspace().database(&key("a")).sources[0].name, ".");
}

#[cfg(unix)]
#[test]
fn one_folder_by_two_ways() {
    let site = Site::new(
        "\
workspace: x
databases:
  a: { migrations: [{ path: real }, { path: link }] }
  b: { migrations: [{ path: missing }, { path: '${V}' }] }
  c: { migrations: [{ path: real/new }, { path: link/new }] }
  d: { migrations: [{ path: real }, { path: real/sub }] }
  e: { migrations: [{ path: link }] }
",
    )
    .folder("real")
    .var("V", "./missing/");
    std::os::unix::fs::symlink("real", site.path("link")).unwrap();
    assert_snapshot!(site.report(), @"
    3:45 the migration folders real and link are one folder
      |   a: { migrations: [{ path: real }, { path: link }] }
      |                                             ^^^^
      = remove one of the two
    4:48 the migration folder missing is listed twice
      |   b: { migrations: [{ path: missing }, { path: '${V}' }] }
      |                                                ^^^^^^
      = remove one of the two
    5:49 the migration folders real/new and link/new are one folder
      |   c: { migrations: [{ path: real/new }, { path: link/new }] }
      |                                                 ^^^^^^^^
      = remove one of the two
    ");
}

#[test]
fn formats_are_detected() {
    let manifest = "workspace: x\ndatabases:\n  a: { migrations: [{ path: m }] }\n";
    let site = |files: &[&str]| {
        files.iter().fold(Site::new(manifest).folder("m"), |site, name| {
            site.file(&format!("m/{name}"), "select 1;\n")
        })
    };
    for (files, expected) in [
        (&[][..], FormatChoice::Assumed(FormatKind::NATIVE)),
        (&[".gitkeep", "README.md"], FormatChoice::Assumed(FormatKind::NATIVE)),
        (&["20260101000000_users.sql"], FormatChoice::Detected(FormatKind::NATIVE)),
        (&["1700000000000_users.sql"], FormatChoice::Detected(FormatKind::parse("node-pg-migrate").unwrap())),
    ] {
        let workspace = site(files).workspace();
        let format = workspace.database(&key("a")).sources[0].format;
        assert_eq!(format, expected, "{files:?}");
    }
}

#[test]
fn a_folder_that_does_not_tell_is_wrong_if_needed() {
    let site = Site::new(
        "\
workspace: x
databases:
  both: { migrations: [{ path: both }] }
  neither: { migrations: [{ path: fine }, { path: neither }] }
  folders: { migrations: [{ path: folders }] }
  tern: { migrations: [{ path: tern }] }
  said: { migrations: [{ path: neither, format: native }] }
",
    )
    .file("both/20260101000000_a.sql", "")
    .file("both/1700000000000_b.sql", "")
    .file("neither/setup.sql", "")
    .file("folders/20260101000000_a/up.sql", "")
    .file("tern/20260101000000_a.sql", "---- create above / drop below ----\n");
    let workspace = site.workspace();
    assert_snapshot!(wrong_if_needed(&workspace, &["both", "neither", "folders", "tern", "said"]), @"
    3:32 the migrations in both may be `node-pg-migrate` or `native`
      |   both: { migrations: [{ path: both }] }
      |                                ^^^^
      = say which: `format: node-pg-migrate`
    4:51 it cannot be told which tool wrote the migrations in neither
      |   neither: { migrations: [{ path: fine }, { path: neither }] }
      |                                                   ^^^^^^^
      = say so with `format`; dbctl knows [FORMATS]
    5:35 it cannot be told which tool wrote the migrations in folders
      |   folders: { migrations: [{ path: folders }] }
      |                                   ^^^^^^^
      = say so with `format`; dbctl knows [FORMATS]
    6:32 it cannot be told which tool wrote the migrations in tern
      |   tern: { migrations: [{ path: tern }] }
      |                                ^^^^
      = say so with `format`; dbctl knows [FORMATS]
    ");
    assert_eq!(wrong_if_needed(&workspace, &["said"]), "");
    let neither = workspace.database(&key("neither"));
    assert_eq!((neither.sources.len(), &neither.untold[..]), (1, &["neither".to_owned()][..]));
    assert!(workspace.locate(&key("both")).is_err());
    assert!(workspace.way(&key("both")).is_some());
}

/// Root may read whatever there is, but for this.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_read_says_so() {
    let site = Site::new("workspace: x\ndatabases: { a: { migrations: [{ path: m }] } }\n").folder("m");
    std::os::unix::fs::symlink("/proc/self/mem", site.path("m/20260101000000_a.sql")).unwrap();
    assert_snapshot!(wrong_if_needed(&site.workspace(), &["a"]), @"
    2:40 cannot read the migrations in m: Input/output error (os error 5)
      | databases: { a: { migrations: [{ path: m }] } }
      |                                        ^
      = dbctl looks at the files to tell which tool wrote them
    ");
}

#[test]
fn references_in_names_and_paths() {
    let site = Site::new(
        "workspace: x\ndatabases: { a: { package: '${P}', name: 'a_${SUFFIX}', owner: '${O:-me}' } }\n",
    )
    .file("p/.env", "SUFFIX=1\n")
    .var("P", "p");
    let workspace = site.workspace();
    assert_eq!(workspace.database(&key("a")).name.as_str(), "a_1");
    assert_eq!(workspace.database(&key("a")).owner.as_deref(), Some("me"));
}

const UNSET: &str = "\
workspace: x
databases:
  a: { name: \"x_${NO}\", owner: '${NO:?set NO}', tags: [t], depends_on: [b] }
  b: { settings: { a.b: '${NO}' }, extensions: ['${NO}'], clean: { keep: ['${NO}'] } }
  c: { migrations: [{ path: '${NO}/m' }, { path: m, schema: '${NO}' }], seeds: { path: '${NO}' } }
  d: { package: '${NO}', migrations: [{ path: ../m }], seeds: { path: s } }
  e: { package: '${GONE}', name: '${LONG}', owner: '${EMPTY}', seeds: { path: s, runners: { ts: '${EMPTY}' } } }
  f: { name: '${OUT}', migrations: [{ path: '${OUT}' }] }
  g: {}
";

#[test]
fn variables_need_not_be_set_for_what_is_not_needed() {
    let site =
        Site::new(UNSET).var("GONE", "gone").var("LONG", &"x".repeat(64)).var("EMPTY", "").var("OUT", "../m");
    let workspace = site.workspace();
    assert_eq!(wrong_if_needed(&workspace, &["g"]), "");
    assert!(workspace.locate(&key("g")).is_ok());
    assert_snapshot!(wrong_if_needed(&workspace, &["a", "b", "c", "d", "e", "f"]), @r#"
    3:17 the variable `NO` is not set
      |   a: { name: "x_${NO}", owner: '${NO:?set NO}', tags: [t], depends_on: [b] }
      |                 ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    3:33 set NO (`NO` is not set)
      |   a: { name: "x_${NO}", owner: '${NO:?set NO}', tags: [t], depends_on: [b] }
      |                                 ^^^^^^^^^^^^^
    4:26 the variable `NO` is not set
      |   b: { settings: { a.b: '${NO}' }, extensions: ['${NO}'], clean: { keep: ['${NO}'] } }
      |                          ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    4:50 the variable `NO` is not set
      |   b: { settings: { a.b: '${NO}' }, extensions: ['${NO}'], clean: { keep: ['${NO}'] } }
      |                                                  ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    4:76 the variable `NO` is not set
      |   b: { settings: { a.b: '${NO}' }, extensions: ['${NO}'], clean: { keep: ['${NO}'] } }
      |                                                                            ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    5:30 the variable `NO` is not set
      |   c: { migrations: [{ path: '${NO}/m' }, { path: m, schema: '${NO}' }], seeds: { path: '${NO}' } }
      |                              ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    5:62 the variable `NO` is not set
      |   c: { migrations: [{ path: '${NO}/m' }, { path: m, schema: '${NO}' }], seeds: { path: '${NO}' } }
      |                                                              ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    5:89 the variable `NO` is not set
      |   c: { migrations: [{ path: '${NO}/m' }, { path: m, schema: '${NO}' }], seeds: { path: '${NO}' } }
      |                                                                                         ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    6:18 the variable `NO` is not set
      |   d: { package: '${NO}', migrations: [{ path: ../m }], seeds: { path: s } }
      |                  ^^^^^
      = set it in the environment or in an env file, or give a default: `${NO:-…}`
    7:17 the package folder gone does not exist
      |   e: { package: '${GONE}', name: '${LONG}', owner: '${EMPTY}', seeds: { path: s, runners: { ts: '${EMPTY}' } } }
      |                 ^^^^^^^^^
    7:34 the database of `e` cannot have this name: the name is 64 bytes long; PostgreSQL keeps 63
      |   e: { package: '${GONE}', name: '${LONG}', owner: '${EMPTY}', seeds: { path: s, runners: { ts: '${EMPTY}' } } }
      |                                  ^^^^^^^^^
    7:52 the owner cannot be used: the name is empty
      |   e: { package: '${GONE}', name: '${LONG}', owner: '${EMPTY}', seeds: { path: s, runners: { ts: '${EMPTY}' } } }
      |                                                    ^^^^^^^^^^
    8:45 `${OUT}`: the path leaves the workspace
      |   f: { name: '${OUT}', migrations: [{ path: '${OUT}' }] }
      |                                             ^^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    "#);
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(report(&workspace.locate(&key(name)).unwrap_err()), wrong_if_needed(&workspace, &[name]));
    }
    // What nobody knows shows as such, and is nobody's name.
    assert_eq!(workspace.database(&key("a")).name.as_str(), "?");
    assert_eq!(workspace.database(&key("c")).untold, ["${NO}/m"]);
    let select = |target: &str| {
        workspace.select(&Selection { targets: vec![target.to_owned()], all: false, cwd: site.path("") })
    };
    assert!(select("?").is_err());
    assert_eq!(select("tag:t").unwrap().len(), 1);
}

#[test]
fn what_no_variable_can_mend_is_wrong_at_once() {
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  b: { name: 'a${b', owner: \"\\u0041${1}\", settings: { a: '${NO:-${NO' } }\n  c: { package: '${P}', migrations: [{ path: '${NO}', format: rails }] }\n"), @r#"
    3:16 `${` without its `}`
      |   b: { name: 'a${b', owner: "\u0041${1}", settings: { a: '${NO:-${NO' } }
      |                ^^^
      = a dollar sign itself is `$$`
    3:29 `1` is not the name of a variable
      |   b: { name: 'a${b', owner: "\u0041${1}", settings: { a: '${NO:-${NO' } }
      |                             ^^^^^^^^^^^^
      = a reference is `${VAR}`, `${VAR:-default}` or `${VAR:?message}`
    3:65 `${` without its `}`
      |   b: { name: 'a${b', owner: "\u0041${1}", settings: { a: '${NO:-${NO' } }
      |                                                                 ^^^^
      = a dollar sign itself is `$$`
    4:63 there is no migration format `rails`
      |   c: { package: '${P}', migrations: [{ path: '${NO}', format: rails }] }
      |                                                               ^^^^^
      = formats: [FORMATS]
    "#);
}

#[test]
fn the_manifest_is_looked_for_upwards() {
    let site = Site::new("").folder("apps/a/src");
    assert_eq!(find_manifest(&site.path("apps/a/src")), Some(site.path("workspace.yaml")));
    assert_eq!(find_manifest(&site.path("")), Some(site.path("workspace.yaml")));
    fs::rename(site.path("workspace.yaml"), site.path("apps/workspace.yml")).unwrap();
    assert_eq!(find_manifest(&site.path("apps/a")), Some(site.path("apps/workspace.yml")));
}

#[test]
fn manifests_that_cannot_be_read() {
    let site = Site::new("").folder("folder.yaml");
    for (name, message) in [
        ("missing.yaml", "cannot read the manifest: No such file or directory"),
        ("missing/workspace.yaml", "cannot read the manifest: No such file or directory"),
        ("folder.yaml", "cannot read the manifest: it is a folder"),
    ] {
        let options = LoadOptions { manifest: site.path(name), env: Env::default(), environment: None };
        let errors = load(&options).unwrap_err();
        assert!(report(&errors).starts_with(message), "{errors}");
        assert!(errors.to_string().starts_with(&format!("{}: {message}", site.path(name).display())));
    }
}
