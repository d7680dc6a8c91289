//! Nothing that is printed holds a password.

use insta::assert_snapshot;

use crate::support::{Site, key, report};

#[test]
fn source_lines_are_blanked_out() {
    let site = Site::new(
        "\
workspace: x
servers:
  m: { url: 'postgres://me:hush@h/d', urll: 'postgres://me:hush@h', password: hush }
  n: { url: \"host=h password='hush hush' user=u\", x: 1 }
databases:
  a: { server: 'postgres://me:hush@h', url: 'postgres://me:${PW:-hush}@${H/d', name: hüsh }
",
    );
    let errors = site.load().unwrap_err();
    assert_snapshot!(report(&errors), @r#"
    3:39 unknown key `urll` in `servers.m`
      |   m: { url: 'postgres://me:****@h/d', urll: 'postgres://me:****@h', password: **** }
      |                                       ^^^^
      = did you mean `url`?
    3:69 unknown key `password` in `servers.m`
      |   m: { url: 'postgres://me:****@h/d', urll: 'postgres://me:****@h', password: **** }
      |                                                                     ^^^^^^^^
      = known keys: url, admin_url, direct_url, pooler, max_connections, embedded, postgres, sqlite
    4:51 unknown key `x` in `servers.n`
      |   n: { url: "host=h password='****' user=u", x: 1 }
      |                                              ^
      = known keys: url, admin_url, direct_url, pooler, max_connections, embedded, postgres, sqlite
    6:16 there is no server `postgres://me:****@h`
      |   a: { server: 'postgres://me:****@h', url: 'postgres://me:${PW****@${H/d', name: hüsh }
      |                ^^^^^^^^^^^^^^^^^^^^^^
      = servers: m, n
    "#);
    for text in [errors.to_string(), format!("{errors:?}"), errors.source] {
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn debug_shows_no_values() {
    let site = Site::new("\
workspace: x
servers: { m: { url: '${URL}' } }
databases:
  a: { package: p, settings: { app.key: '${KEY}' }, seeds: { path: s, runners: { ts: 'tsx --key ${KEY} {file}' } } }
")
    .file(".env", "URL=postgres://me:hush@h\n")
    .file("p/.env", "KEY=hush\n")
    .var("OTHER", "hush");
    let workspace = site.workspace();
    let location = workspace.locate(&key("a")).unwrap();
    for text in [
        format!("{workspace:?}"),
        format!("{:?}", workspace.database(&key("a"))),
        format!("{location:?}"),
        format!("{:?}", dbctl_workspace::Env::new([("A".to_owned(), "hush".to_owned())])),
    ] {
        assert!(!text.contains("hush"), "{text}");
    }
}
