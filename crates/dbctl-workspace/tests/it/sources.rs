//! What a migration folder may say beyond its path and format.

use insta::assert_snapshot;

use crate::support::{Site, key, wrong, wrong_if_needed};

#[test]
fn options_are_read() {
    let manifest = "\
workspace: x
databases:
  a:
    migrations:
      - { path: m, format: node-pg-migrate, schema: '${S}', table: my table }
";
    let workspace = Site::new(manifest).var("S", "s").workspace();
    let options = &workspace.database(&key("a")).sources[0].options;
    assert_eq!((options.schema.as_deref(), options.table.as_deref()), (Some("s"), Some("my table")));
    let workspace = Site::new(manifest).workspace();
    assert_snapshot!(wrong_if_needed(&workspace, &["a"]), @"
    5:54 the variable `S` is not set
      |       - { path: m, format: node-pg-migrate, schema: '${S}', table: my table }
      |                                                      ^^^^
      = set it in the environment or in an env file, or give a default: `${S:-…}`
    ");
}

#[test]
fn options_that_a_format_has_no_use_for() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a:
    migrations:
      - path: m
        format: node-pg-migrate
        name_column: x
        table: 'a\\0b'
      - { path: n, format: native, records: name }
"), @"
    7:9 the format `node-pg-migrate` has no `name_column`
      |         name_column: x
      |         ^^^^^^^^^^^
      = remove it; only `custom` has it
    9:36 the format `native` has no `records`
      |       - { path: n, format: native, records: name }
      |                                    ^^^^^^^
      = remove it; only `custom` has it
    ");
    let manifest = "\
workspace: x
databases:
  a: { migrations: [{ path: m, pattern: 'V{version}__{name}.sql' }] }
  b: { migrations: [{ path: n, records: file }] }
";
    let site = Site::new(manifest).file("n/1700000000000_a.sql", "");
    assert_snapshot!(wrong_if_needed(&site.workspace(), &["a", "b"]), @"
    3:32 the format `native` has no `pattern`
      |   a: { migrations: [{ path: m, pattern: 'V{version}__{name}.sql' }] }
      |                                ^^^^^^^
      = say which `format` it is; only `custom` has it
    4:32 the format `node-pg-migrate` has no `records`
      |   b: { migrations: [{ path: n, records: file }] }
      |                                ^^^^^^^
      = say which `format` it is; only `custom` has it
    ");
}

#[test]
fn options_of_the_wrong_type() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a:
    migrations:
      - { path: m, format: node-pg-migrate, schema: '', table: 5 }
      - { path: n, format: native, pattern: {version}_{name}.sql }
"), @"
    6:54 this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'
      |       - { path: n, format: native, pattern: {version}_{name}.sql }
      |                                                      ^
      = a text that starts with `{` must be put in quotes
    ");
    assert_snapshot!(wrong("\
workspace: x
databases:
  a:
    migrations:
      - path: m
        pattern: {version}_{name}.sql
"), @"
    6:27 this is not YAML: while parsing a block mapping, did not find expected key
      |         pattern: {version}_{name}.sql
      |                           ^
      = a text that starts with `{` must be put in quotes
    ");
}

#[test]
fn what_is_wrong_with_an_option_has_a_place() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a:
    migrations:
      - { path: m, format: custom, table: done, pattern: 'V{version}_{nmae}.sql' }
      - path: n
        format: custom
        table: done
        pattern: \"{version}/{name}.sql\"
      - { path: o, format: custom, table: done, pattern: '{name}' }
      - { path: p, format: custom }
      - { path: q, format: custom, table: app.done }
      - { path: r, format: custom, table: done, records: filename }
      - { path: s, format: custom, table: done, name_column: '' }
"), @r#"
    5:70 `{nmae}` is no part of a file's name that dbctl knows
      |       - { path: m, format: custom, table: done, pattern: 'V{version}_{nmae}.sql' }
      |                                                                      ^^^^^^
      = known are `{version}` and `{name}`
    9:28 files are looked for directly in the folder, so the pattern is a name without `/`
      |         pattern: "{version}/{name}.sql"
      |                            ^
      = `path` says which folder it is
    10:58 the pattern has no `{version}`, which says in which order the files run
      |       - { path: o, format: custom, table: done, pattern: '{name}' }
      |                                                          ^^^^^^^^
      = such as "V{version}__{name}.sql"
    11:28 the format `custom` needs `table`: a wrong guess would run every migration again
      |       - { path: p, format: custom }
      |                            ^^^^^^
      = name the table in which the runner keeps what it has applied
    12:43 a table's name holds no schema here
      |       - { path: q, format: custom, table: app.done }
      |                                           ^^^^^^^^
      = write `schema: app, table: done`
    13:58 `filename` is nothing that a row could hold of a migration
      |       - { path: r, format: custom, table: done, records: filename }
      |                                                          ^^^^^^^^
      = write `name`, `file` or `version`
    14:62 the column cannot be used: the name is empty
      |       - { path: s, format: custom, table: done, name_column: '' }
      |                                                              ^^
    "#);
    let manifest = "\
workspace: x
databases:
  a: { migrations: [{ path: m, format: custom, table: done, pattern: '${P:-x.sql}' }] }
  b: { migrations: [{ path: n, format: custom, table: '${T}' }] }
";
    let site = Site::new(manifest);
    assert_snapshot!(wrong_if_needed(&site.workspace(), &["a", "b"]), @r#"
    3:70 the pattern has no `{version}`, which says in which order the files run
      |   a: { migrations: [{ path: m, format: custom, table: done, pattern: '${P:-x.sql}' }] }
      |                                                                      ^^^^^^^^^^^^^
      = such as "V{version}__{name}.sql"
    4:56 the variable `T` is not set
      |   b: { migrations: [{ path: n, format: custom, table: '${T}' }] }
      |                                                        ^^^^
      = set it in the environment or in an env file, or give a default: `${T:-…}`
    "#);
    let workspace = Site::new(manifest).var("P", "V{version}.sql").var("T", "t").workspace();
    assert_eq!(wrong_if_needed(&workspace, &["a", "b"]), "");
    let options = &workspace.database(&key("a")).sources[0].options;
    assert_eq!(options.pattern.as_deref(), Some("V{version}.sql"));
}

#[test]
fn a_baseline_is_a_file_and_how_far_it_goes() {
    let manifest = "\
workspace: x
databases:
  a:
    package: p
    migrations:
      - { path: supabase/migrations, format: native, baseline: { file: supabase/all.sql, through: 20250101000000 } }
      - { path: m, format: native, baseline: { file: '${F}', through: none } }
";
    let workspace = Site::new(manifest).var("F", "m/9_all.sql").file("p/m/x", "").workspace();
    let sources = &workspace.database(&key("a")).sources;
    let baselines: Vec<_> = sources.iter().filter_map(|source| source.baseline.as_ref()).collect();
    assert_eq!(baselines[0].shown, std::path::Path::new("p/supabase/all.sql"));
    assert_eq!(baselines[0].through, "20250101000000");
    assert_eq!(baselines[1].shown, std::path::Path::new("p/m/9_all.sql"));
    assert!(baselines[1].path.is_absolute() && baselines[1].path.ends_with("p/m/9_all.sql"));
}

#[test]
fn baselines_that_say_too_little_or_too_much() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a:
    migrations:
      - { path: m, format: native, baseline: all.sql }
      - { path: n, format: native, baseline: { file: all.sql } }
      - { path: o, format: native, baseline: { file: ../all.sql, through: 1 } }
      - { path: p, format: native, baseline: { file: all.sql, through: '', trough: 1 } }
      - { path: q, format: native, baseline: { file: all.sql, through: [1] } }
"), @"
    5:46 `databases.a.migrations[0].baseline` must be a mapping, not text
      |       - { path: m, format: native, baseline: all.sql }
      |                                              ^^^^^^^
      = write it as `baseline: { file: all.sql, through: VERSION }`
    6:46 `databases.a.migrations[1].baseline.through` is missing
      |       - { path: n, format: native, baseline: { file: all.sql } }
      |                                              ^
    7:54 `../all.sql`: the path leaves the workspace
      |       - { path: o, format: native, baseline: { file: ../all.sql, through: 1 } }
      |                                                      ^^^^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    8:72 `through` is empty
      |       - { path: p, format: native, baseline: { file: all.sql, through: '', trough: 1 } }
      |                                                                        ^^
      = name the last migration that the file holds, or write `none`
    8:76 unknown key `trough` in `databases.a.migrations[3].baseline`
      |       - { path: p, format: native, baseline: { file: all.sql, through: '', trough: 1 } }
      |                                                                            ^^^^^^
      = did you mean `through`?
    9:72 `databases.a.migrations[4].baseline.through` must be text, a number or a boolean, not a list
      |       - { path: q, format: native, baseline: { file: all.sql, through: [1] } }
      |                                                                        ^
");
}

#[test]
fn formats_and_folders() {
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {migrations: [{path: m, format: node-pg-migrat}, {path: n, format: rails}]}}\n"), @"
    2:48 there is no migration format `node-pg-migrat`
      | databases: {a: {migrations: [{path: m, format: node-pg-migrat}, {path: n, format: rails}]}}
      |                                                ^^^^^^^^^^^^^^
      = did you mean `node-pg-migrate`?
    2:83 there is no migration format `rails`
      | databases: {a: {migrations: [{path: m, format: node-pg-migrat}, {path: n, format: rails}]}}
      |                                                                                   ^^^^^
      = formats: [FORMATS]
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {migrations: [{path: m}, {path: ./m/}]}}\n"), @"
    2:48 the migration folder m is listed twice
      | databases: {a: {migrations: [{path: m}, {path: ./m/}]}}
      |                                                ^^^^
      = remove one of the two
    ");
}
