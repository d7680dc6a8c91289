//! What is not YAML, or too much of it.

use insta::assert_snapshot;

use crate::support::{Site, wrong};

const GOOD: &str = "workspace: x\ndatabases:\n  a: {}\n  b: {depends_on: [a]}\n";

#[test]
fn empty_manifests() {
    assert_snapshot!(wrong(""), @"
    1:1 the manifest is empty
      | 
      | ^
      = it needs at least a name and a database: `workspace: shop` and `databases: { core: {} }`
    ");
    assert_snapshot!(wrong("# nothing here\n\n"), @"
    1:1 the manifest is empty
      | # nothing here
      | ^
      = it needs at least a name and a database: `workspace: shop` and `databases: { core: {} }`
    ");
    assert_snapshot!(wrong("workspace: x\n"), @"
    1:1 the manifest declares no databases
      | workspace: x
      | ^
      = list them under `databases`, such as `databases: { core: {} }`
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases:\n"), @"
    2:1 the manifest declares no databases
      | databases:
      | ^^^^^^^^^
      = list them under `databases`, such as `databases: { core: {} }`
    ");
    assert_snapshot!(wrong("databases: {a: {}}\n"), @"
    1:1 `workspace` is missing
      | databases: {a: {}}
      | ^
      = give the workspace a name, such as `workspace: atriz`
    ");
    assert_snapshot!(wrong("workspace:\ndatabases: {a: {}}\n"), @"
    1:1 `workspace` is missing
      | workspace:
      | ^
      = give the workspace a name, such as `workspace: atriz`
    ");
}

#[test]
fn syntax() {
    assert_snapshot!(wrong("workspace: x\ndatabases:\n\ta: {}\n"), @"
    3:1 YAML forbids tabs here
      | 	a: {}
      | ^
      = indent with spaces
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a:\n  \tname: b\n"), @"
    4:3 YAML forbids tabs here
      |   	name: b
      |   ^
      = indent with spaces
    ");
    // A tab below a text makes it go on, for the library; the tab is what is wrong, not the text.
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a:\n    name:\tb\n\t\ttags: []\n"), @"
    5:1 YAML forbids tabs here
      | 		tags: []
      | ^^
      = indent with spaces
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: [a\nb: 3\n"), @"
    3:2 this is not YAML: illegal placement of ':' indicator
      | b: 3
      |  ^
    ");
    assert_snapshot!(wrong("workspace: 'x\n"), @"
    2:1 this is not YAML: invalid indentation in multiline quoted scalar
      | 
      | ^
    ");
    assert_snapshot!(wrong("workspace: a: b\n"), @"
    1:13 this is not YAML: mapping values are not allowed in this context
      | workspace: a: b
      |             ^
    ");
    assert_snapshot!(wrong("workspace: @x\n"), @"
    1:12 this is not YAML: unexpected character: `@'
      | workspace: @x
      |            ^
    ");
    assert_snapshot!(wrong("workspace: *x\n"), @"
    1:12 this alias has no anchor
      | workspace: *x
      |            ^
      = in YAML a word that starts with `*` is an alias; put it in quotes if it is text
    ");
    assert_snapshot!(wrong("workspace: x\n---\nworkspace: y\n"), @"
    2:1 a manifest is one YAML document, and a second one starts here
      | ---
      | ^^^
      = remove the `---`
    ");
    assert_snapshot!(wrong("workspace: {{name}}\n"), @"
    1:13 a key must be text
      | workspace: {{name}}
      |             ^
      = a value that starts with `{` or `[` must be put in quotes
    ");
    assert_snapshot!(wrong("servers: {m: {url: ${URL}}}\n"), @"
    1:21 this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'
      | servers: {m: {url: ${URL}}}
      |                     ^
      = between braces or brackets a text with `${…}` must be put in quotes
    ");
    assert_snapshot!(wrong("? [a]\n: b\n"), @"
    1:3 a key must be text
      | ? [a]
      |   ^
      = a value that starts with `{` or `[` must be put in quotes
    ");
    assert_snapshot!(wrong("~: b\n"), @"
    1:1 a key must be text
      | ~: b
      | ^
      = a value that starts with `{` or `[` must be put in quotes
    ");
    assert_snapshot!(wrong("a: &a [*a]\n"), @"
    1:8 this alias lies inside its own anchor
      | a: &a [*a]
      |        ^^
    ");
    assert_snapshot!(wrong("just text\n"), @"
    1:1 the manifest must be a mapping, not text
      | just text
      | ^^^^^^^^^
    ");
    assert_snapshot!(wrong("- a\n- b\n"), @"
    1:1 the manifest must be a mapping, not a list
      | - a
      | ^
    ");
}

#[test]
fn bombs_go_off_harmlessly() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert_snapshot!(wrong(&bomb), @"
    5:10 the aliases of the manifest expand to far more than a manifest can need
      | a4: &a4 [*a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3]
      |          ^^^
    ");
    assert_snapshot!(wrong(&format!("a: {}{}\n", "[".repeat(60), "]".repeat(60))), @"
    1:35 the manifest is nested deeper than 32 levels
      | a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
      |                                   ^
    ");
    let deep: String = (0..60).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert_snapshot!(wrong(&deep), @"
    33:33 the manifest is nested deeper than 32 levels
      |                                 a:
      |                                 ^
    ");
    assert_snapshot!(wrong(&format!("workspace: x\ndatabases:\n  a: {{}}\n# {}\n", "x".repeat(10 * 1024 * 1024))), @"cannot read the manifest: it is larger than 1 MiB");
    let many: String = (0..101).map(|at| format!("  e{at}: {{}}\n")).collect();
    assert_snapshot!(wrong(&format!("workspace: x\ndatabases: {{a: {{}}}}\nenvironments:\n{many}")), @"
    104:3 a workspace has at most 100 environments
      |   e100: {}
      |   ^^^^
    ");
    let many: String = (0..1_001).map(|at| format!("  d{at}: {{}}\n")).collect();
    assert_snapshot!(wrong(&format!("workspace: x\ndatabases:\n{many}")), @"
    1003:3 a workspace has at most 1000 databases
      |   d1000: {}
      |   ^^^^^
    ");
}

#[test]
fn the_longest_chain_loads() {
    let chain: String = (1..1_000).map(|at| format!("  d{at}: {{ depends_on: [d{}] }}\n", at - 1)).collect();
    let workspace = Site::new(&format!("workspace: x\ndatabases:\n  d0: {{}}\n{chain}")).workspace();
    assert_eq!(workspace.dependencies(&crate::support::key("d999")).len(), 999);
}

#[test]
fn reports_are_bounded() {
    let many: String = (0..1_000).map(|at| format!("unknown{at}: 1\n")).collect();
    let report = wrong(&many);
    assert_eq!(report.lines().filter(|line| line.starts_with("  |")).count(), 200);
    assert!(report.ends_with("902 more problems are not shown\n"), "{report}");
}

#[test]
fn byte_order_marks_and_carriage_returns_are_fine() {
    for text in [format!("\u{feff}{GOOD}"), GOOD.replace('\n', "\r\n"), format!("---\n{GOOD}...\n")] {
        let workspace = Site::new(&text).workspace();
        assert_eq!(workspace.order().len(), 2, "{text}");
    }
    assert_snapshot!(wrong("\u{feff}workspace: x\r\ndatabases:\r\n  a: {nmae: b}\r\n  ä: 1\r\n"), @"
    3:7 unknown key `nmae` in `databases.a`
      |   a: {nmae: b}
      |       ^^^^
      = did you mean `name`?
    4:3 the key cannot be used: `ä` starts with `ä`, and only an ASCII letter or digit may come first
      |   ä: 1
      |   ^
    4:6 `databases.ä` must be a mapping, not a number
      |   ä: 1
      |      ^
    ");
}

#[test]
fn bytes_that_are_not_text() {
    let site = Site::new("").bytes("workspace.yaml", b"workspace: x\n# caf\xe9\n");
    assert_snapshot!(site.report(), @"cannot read the manifest: it is not UTF-8 (line 2)");
}

#[test]
fn anchors_and_merges() {
    let site = Site::new(
        "workspace: x\ndatabases:\n  a: &app {tags: [app], extensions: [pgcrypto]}\n  b: {<<: *app, extensions: []}\n",
    );
    let workspace = site.workspace();
    let b = workspace.database(&crate::support::key("b"));
    assert!(b.tags.contains("app"));
    assert!(b.extensions.is_empty());
}
