//! What refers to what: dependencies, cycles, servers, one database under two keys.

use dbctl_workspace::Key;
use insta::assert_snapshot;

use crate::support::{Site, key, wrong};

#[test]
fn dependencies_that_are_not_there() {
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  core: {}\n  app: {depends_on: [coer, zzz, app]}\n"), @"
    4:22 there is no database `coer`
      |   app: {depends_on: [coer, zzz, app]}
      |                      ^^^^
      = did you mean `core`?
    4:28 there is no database `zzz`
      |   app: {depends_on: [coer, zzz, app]}
      |                            ^^^
      = databases: core, app
    4:33 `app` depends on itself
      |   app: {depends_on: [coer, zzz, app]}
      |                                 ^^^
    ");
}

#[test]
fn cycles_are_drawn() {
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a: {depends_on: [b]}\n  b: {depends_on: [a]}\n"), @"
    3:20 the dependencies form a cycle: a → b → a
      |   a: {depends_on: [b]}
      |                    ^
      = a database cannot be created before itself; remove one of these dependencies
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  d: {depends_on: [c]}\n  c: {depends_on: [b]}\n  b: {depends_on: [d, a]}\n  a: {}\n"), @"
    5:20 the dependencies form a cycle: b → d → c → b
      |   b: {depends_on: [d, a]}
      |                    ^
      = a database cannot be created before itself; remove one of these dependencies
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a: {depends_on: [b]}\n  b: {}\nenvironments:\n  production: {databases: {b: {depends_on: [a]}}}\n"), @"
    6:45 the dependencies form a cycle in `production`: a → b → a
      |   production: {databases: {b: {depends_on: [a]}}}
      |                                             ^
      = a database cannot be created before itself; remove one of these dependencies
    ");
}

#[test]
fn servers_that_are_not_there() {
    assert_snapshot!(wrong("workspace: x\nservers: {main: {}, other: {}}\ndatabases: {a: {server: mian}, b: {server: cloud}}\n"), @"
    3:25 there is no server `mian`
      | databases: {a: {server: mian}, b: {server: cloud}}
      |                         ^^^^
      = did you mean `main`?
    3:44 there is no server `cloud`
      | databases: {a: {server: mian}, b: {server: cloud}}
      |                                            ^^^^^
      = servers: main, other
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {server: main}}\n"), @"
    2:25 there is no server `main`
      | databases: {a: {server: main}}
      |                         ^^^^
    ");
}

#[test]
fn one_database_under_two_keys() {
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {name: same}, b: {name: same}, same: {}}\n"), @"
    2:40 `a` and `b` are both the database `same`
      | databases: {a: {name: same}, b: {name: same}, same: {}}
      |                                        ^^^^
      = give one of them another `name`, or a `server` or `url` of its own
    2:47 `a` and `same` are both the database `same`
      | databases: {a: {name: same}, b: {name: same}, same: {}}
      |                                               ^^^^
      = give one of them another `name`, or a `server` or `url` of its own
    ");
    assert_snapshot!(wrong("workspace: x\nservers: {m: {}}\ndatabases: {a: {server: m}, b: {name: a}}\n"), @"
    3:39 `a` and `b` are both the database `a` on the server `m`
      | databases: {a: {server: m}, b: {name: a}}
      |                                       ^
      = give one of them another `name`, or a `server` or `url` of its own
    ");
    for good in [
        "workspace: x\nservers: {m: {}, n: {}}\ndatabases: {a: {server: m}, b: {name: a, server: n}}\n",
        "workspace: x\ndatabases: {a: {}, b: {name: a, url: 'postgres://h/a'}}\n",
        "workspace: x\ndatabases: {a: {}, b: {name: A}}\n",
    ] {
        Site::new(good).workspace();
    }
}

#[test]
fn order_and_closures() {
    let workspace = Site::new(
        "workspace: x\ndatabases:\n  z: {}\n  b: {depends_on: [z, z]}\n  a: {depends_on: [b]}\n  c: {}\n",
    )
    .workspace();
    let names = |keys: &mut dyn Iterator<Item = &Key>| keys.map(Key::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&mut workspace.order().iter()), "c z b a");
    assert_eq!(names(&mut workspace.dependencies(&key("a")).iter()), "b z");
    assert_eq!(names(&mut workspace.dependents(&key("z")).iter()), "a b");
    assert_eq!(names(&mut workspace.databases().map(|database| &database.key)), "a b c z");
}
