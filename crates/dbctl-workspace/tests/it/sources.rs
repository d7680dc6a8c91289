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
      = remove it
    9:36 the format `native` has no `records`
      |       - { path: n, format: native, records: name }
      |                                    ^^^^^^^
      = remove it
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
      = say which `format` it is
    4:32 the format `node-pg-migrate` has no `records`
      |   b: { migrations: [{ path: n, records: file }] }
      |                                ^^^^^^^
      = say which `format` it is
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
