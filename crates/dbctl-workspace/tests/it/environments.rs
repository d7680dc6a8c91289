//! Which environment it is, and what that changes.

use insta::assert_snapshot;

use crate::support::{Site, key, wrong};

const MANIFEST: &str = "\
workspace: x
servers:
  main: { embedded: true, postgres: 16 }
databases:
  a: { owner: me, tags: [one, two], settings: { x: 1, y: 2 } }
environments:
  production:
    protected: true
    servers: { main: { url: 'postgres://prod.example.com' } }
    databases: { a: { tags: [three], name: a_prod } }
  staging:
";

#[test]
fn who_chooses() {
    for (vars, flag, expected) in [
        (&[][..], None, "development"),
        (&[("NODE_ENV", "test")][..], None, "test"),
        (&[("NODE_ENV", "")][..], None, "development"),
        (&[("NODE_ENV", "production"), ("DBCTL_ENV", "staging")][..], None, "staging"),
        (&[("NODE_ENV", "production"), ("DBCTL_ENV", "")][..], None, "production"),
        (&[("DBCTL_ENV", "staging")][..], Some("production"), "production"),
    ] {
        // An env file has no say.
        let mut site = Site::new(MANIFEST).file(".env", "DBCTL_ENV=production\nNODE_ENV=production\n");
        for (name, value) in vars {
            site = site.var(name, value);
        }
        if let Some(flag) = flag {
            site = site.environment(flag);
        }
        let workspace = site.workspace();
        assert_eq!(workspace.environment().name, expected);
        assert_eq!(workspace.environment().protected, expected == "production");
    }
}

#[test]
fn environments_that_are_not_declared() {
    assert_snapshot!(Site::new(MANIFEST).environment("prodution").report(), @"
    the environment `prodution` (from --env) is not declared
      = did you mean `production`?
    ");
    assert_snapshot!(Site::new(MANIFEST).var("NODE_ENV", "prod").report(), @"
    the environment `prod` (from NODE_ENV) is not declared
      = declare it under `environments`, or use one of: development, production, staging, test
    ");
    assert_snapshot!(Site::new(MANIFEST).var("DBCTL_ENV", "Production").report(), @"
    the environment `Production` (from DBCTL_ENV) is not declared
      = did you mean `production`?
    ");
    assert_snapshot!(Site::new(MANIFEST).environment("").report(), @"
    the environment `` (from --env) is not declared
      = declare it under `environments`, or use one of: development, production, staging, test
    ");
}

#[test]
fn overrides_go_field_by_field() {
    let site = Site::new(MANIFEST).environment("production");
    let workspace = site.workspace();
    let a = workspace.database(&key("a"));
    assert_eq!(a.name.as_str(), "a_prod");
    assert_eq!(a.owner.as_deref(), Some("me"));
    assert_eq!(a.tags.iter().collect::<Vec<_>>(), ["three"]);
    assert_eq!(a.settings.len(), 2);
    assert!(matches!(workspace.locate(&key("a")).unwrap().way, dbctl_workspace::Way::Url(_)));
}

#[test]
fn mistakes_in_another_environment_are_found() {
    assert_snapshot!(wrong("\
workspace: x
servers: { main: {} }
databases: { a: {} }
environments:
  production:
    servers: { mian: {}, cloud: {}, main: { embedded: true, url: x } }
    databases:
      b: {}
      a: { depends_on: [c], server: other, nmae: x }
"), @"
    6:16 there is no server `mian` to override
      |     servers: { mian: {}, cloud: {}, main: { embedded: true, url: x } }
      |                ^^^^
      = did you mean `main`?
    6:26 there is no server `cloud` to override
      |     servers: { mian: {}, cloud: {}, main: { embedded: true, url: x } }
      |                          ^^^^^
      = an environment overrides servers that are declared under `servers`; a server may be declared there without a url
    6:66 `embedded` and `url` exclude each other
      |     servers: { mian: {}, cloud: {}, main: { embedded: true, url: x } }
      |                                                                  ^
      = an embedded server is started by dbctl, which knows where it is; keep one of the two
    8:7 there is no database `b` to override
      |       b: {}
      |       ^
      = databases: a
    9:25 there is no database `c`
      |       a: { depends_on: [c], server: other, nmae: x }
      |                         ^
      = databases: a
    9:37 there is no server `other`
      |       a: { depends_on: [c], server: other, nmae: x }
      |                                     ^^^^^
      = servers: main
    9:44 unknown key `nmae` in `environments.production.databases.a`
      |       a: { depends_on: [c], server: other, nmae: x }
      |                                            ^^^^
      = did you mean `name`?
    ");
}

#[test]
fn an_override_is_where_its_errors_are() {
    let site = Site::new(
        "workspace: x\ndatabases: { a: { name: good } }\nenvironments:\n  production: { databases: { a: { name: postgres } } }\n",
    );
    assert_snapshot!(site.environment("production").report(), @"
    4:41 the database of `a` cannot have this name: `postgres` belongs to the server itself
      |   production: { databases: { a: { name: postgres } } }
      |                                         ^^^^^^^^
      = dbctl needs a database of its own, which it may empty and drop: choose another name, and `dbctl create` makes it, also on hosts that start with nothing but `postgres`, such as Supabase
    ");
}
