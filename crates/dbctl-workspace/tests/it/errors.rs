//! Fields that are unknown, doubled, or hold the wrong thing.

use insta::assert_snapshot;

use crate::support::wrong;

#[test]
fn everything_is_reported_at_once() {
    assert_snapshot!(wrong("\
workspace: my space
env_file: [.env]
servers:
  main: { url: 5, max_conections: 4 }
databases:
  core: { name: '', depends_on: [core] }
  app:
    depends_on: [cor]
    tags: app
    tags: [b]
    server: mian
    migrations: [{ format: native }, { path: ../.. }]
  'no good': {}
environments:
  production: { databases: { ap: { owner: [x] } } }
"), @r#"
    1:12 the workspace's name cannot be used: `my space` holds ` `, and only ASCII letters, digits, `.`, `_` and `-` are allowed
      | workspace: my space
      |            ^^^^^^^^
    2:1 unknown key `env_file`
      | env_file: [.env]
      | ^^^^^^^^
      = did you mean `env_files`?
    4:16 `servers.main.url` must be text, not a number
      |   main: { url: 5, max_conections: 4 }
      |                ^
      = put it in quotes: "5"
    4:19 unknown key `max_conections` in `servers.main`
      |   main: { url: 5, max_conections: 4 }
      |                   ^^^^^^^^^^^^^^
      = did you mean `max_connections`?
    6:17 the database of `core` cannot have this name: the name is empty
      |   core: { name: '', depends_on: [core] }
      |                 ^^
    6:34 `core` depends on itself
      |   core: { name: '', depends_on: [core] }
      |                                  ^^^^
    8:18 there is no database `cor`
      |     depends_on: [cor]
      |                  ^^^
      = did you mean `core`?
    9:11 `databases.app.tags` must be a list, not text
      |     tags: app
      |           ^^^
      = write it as a list: [app]
    10:5 the key `tags` is given twice in `databases.app`
      |     tags: [b]
      |     ^^^^
      = only one of them can be meant; remove the other
    11:13 there is no server `mian`
      |     server: mian
      |             ^^^^
      = did you mean `main`?
    12:18 `databases.app.migrations[0].path` is missing
      |     migrations: [{ format: native }, { path: ../.. }]
      |                  ^
    12:46 `../..`: the path leaves the workspace
      |     migrations: [{ format: native }, { path: ../.. }]
      |                                              ^^^^^
      = everything a workspace uses lies in the manifest's folder or below it
    13:3 the key cannot be used: `no good` holds ` `, and only ASCII letters, digits, `.`, `_` and `-` are allowed
      |   'no good': {}
      |   ^^^^^^^^^
    15:30 there is no database `ap` to override
      |   production: { databases: { ap: { owner: [x] } } }
      |                              ^^
      = did you mean `app`?
    15:43 `environments.production.databases.ap.owner` must be text, not a list
      |   production: { databases: { ap: { owner: [x] } } }
      |                                           ^
    "#);
}

#[test]
fn unknown_keys() {
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {depend_on: []}}\n"), @"
    2:17 unknown key `depend_on` in `databases.a`
      | databases: {a: {depend_on: []}}
      |                 ^^^^^^^^^
      = did you mean `depends_on`?
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {alerts: {webhook: x}}}\n"), @"
    2:17 unknown key `alerts` in `databases.a`
      | databases: {a: {alerts: {webhook: x}}}
      |                 ^^^^^^
      = known keys: name, package, depends_on, tags, server, url, admin_url, direct_url, pooler, owner, migrations, seeds, extensions, settings, clean, hooks, env
    ");
    assert_snapshot!(wrong("workspace: x\nservers: {m: {region: eu}}\ndatabases: {a: }\n"), @"
    2:15 unknown key `region` in `servers.m`
      | servers: {m: {region: eu}}
      |               ^^^^^^
      = known keys: url, admin_url, direct_url, pooler, max_connections, embedded, postgres, sqlite
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {migrations: [{path: m, fromat: native}]}}\n"), @"
    2:40 unknown key `fromat` in `databases.a.migrations[0]`
      | databases: {a: {migrations: [{path: m, fromat: native}]}}
      |                                        ^^^^^^
      = did you mean `format`?
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {seeds: {path: s, runner: {}}}}\n"), @"
    2:34 unknown key `runner` in `databases.a.seeds`
      | databases: {a: {seeds: {path: s, runner: {}}}}
      |                                  ^^^^^^
      = did you mean `runners`?
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {clean: {kep: []}}}\n"), @"
    2:25 unknown key `kep` in `databases.a.clean`
      | databases: {a: {clean: {kep: []}}}
      |                         ^^^
      = did you mean `keep`?
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: }\nenvironments: {p: {protect: true}}\n"), @"
    3:20 unknown key `protect` in `environments.p`
      | environments: {p: {protect: true}}
      |                    ^^^^^^^
      = did you mean `protected`?
    ");
}

#[test]
fn duplicate_keys() {
    assert_snapshot!(wrong("workspace: x\nworkspace: y\ndatabases: {a: {}}\n"), @"
    2:1 the key `workspace` is given twice
      | workspace: y
      | ^^^^^^^^^
      = only one of them can be meant; remove the other
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a: {name: b}\n  a: {name: c, tags: [], tags: []}\n  b: {owner: o, owner: o}\n"), @"
    4:3 the key `a` is given twice in `databases`
      |   a: {name: c, tags: [], tags: []}
      |   ^
      = only one of them can be meant; remove the other
    5:3 `a` and `b` are both the database `b`
      |   b: {owner: o, owner: o}
      |   ^
      = give one of them another `name`, or a `server` or `url` of its own
    5:17 the key `owner` is given twice in `databases.b`
      |   b: {owner: o, owner: o}
      |                 ^^^^^
      = only one of them can be meant; remove the other
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {settings: {b: 1, b: 2}}}\n"), @"
    2:34 the key `b` is given twice in `databases.a.settings`
      | databases: {a: {settings: {b: 1, b: 2}}}
      |                                  ^
      = only one of them can be meant; remove the other
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {1: {}, 1: {}}\n"), @"
    2:20 the key `1` is given twice
      | databases: {1: {}, 1: {}}
      |                    ^
      = only one of them can be meant; remove the other
    ");
}

#[test]
fn wrong_types() {
    assert_snapshot!(wrong("workspace: 1\ndatabases: []\n"), @r#"
    1:12 `workspace` must be text, not a number
      | workspace: 1
      |            ^
      = put it in quotes: "1"
    2:12 `databases` must be a mapping, not a list
      | databases: []
      |            ^
    "#);
    assert_snapshot!(wrong("workspace: x\nenv_files: .env\ndatabases: {a: text, b: [x]}\n"), @"
    2:12 `env_files` must be a list, not text
      | env_files: .env
      |            ^^^^
      = write it as a list: [.env]
    3:16 `databases.a` must be a mapping, not text
      | databases: {a: text, b: [x]}
      |                ^^^^
    3:25 `databases.b` must be a mapping, not a list
      | databases: {a: text, b: [x]}
      |                         ^
    ");
    assert_snapshot!(wrong("\
workspace: x
servers:
  m: { url: [a], max_connections: many, embedded: yes, postgres: [16] }
  n: { max_connections: 0 }
  o: { max_connections: -1 }
  p: { max_connections: 1.5 }
databases:
  a:
    name: true
    package: 1.0
    depends_on: b
    tags: {a: b}
    owner: {}
    migrations: migrations
    seeds: seeds
    extensions: [1, {}]
    settings: [a]
    clean: [a]
    env: [A]
  b:
    migrations: [m, {path: [x]}]
    seeds: { skip_in: production, runners: [ts] }
    settings: { a: [1] }
    clean: { keep: roles }
    env: { A: 1 }
environments:
  production: { protected: 'yes' }
"), @r#"
    3:13 `servers.m.url` must be text, not a list
      |   m: { url: [a], max_connections: many, embedded: yes, postgres: [16] }
      |             ^
    3:35 `servers.m.max_connections` must be a whole number, not text
      |   m: { url: [a], max_connections: many, embedded: yes, postgres: [16] }
      |                                   ^^^^
    3:51 `servers.m.embedded` must be true or false, not text
      |   m: { url: [a], max_connections: many, embedded: yes, postgres: [16] }
      |                                                   ^^^
      = write `true`
    3:66 `servers.m.postgres` must be text, a number or a boolean, not a list
      |   m: { url: [a], max_connections: many, embedded: yes, postgres: [16] }
      |                                                                  ^
    4:25 `servers.n.max_connections` must be a whole number from 1, not 0
      |   n: { max_connections: 0 }
      |                         ^
    5:25 `servers.o.max_connections` must be a whole number from 1, not -1
      |   o: { max_connections: -1 }
      |                         ^^
    6:25 `servers.p.max_connections` must be a whole number from 1, not 1.5
      |   p: { max_connections: 1.5 }
      |                         ^^^
    9:11 `databases.a.name` must be text, not a boolean
      |     name: true
      |           ^^^^
      = put it in quotes: "true"
    10:14 `databases.a.package` must be text, not a number
      |     package: 1.0
      |              ^^^
      = put it in quotes: "1.0"
    11:17 `databases.a.depends_on` must be a list, not text
      |     depends_on: b
      |                 ^
      = write it as a list: [b]
    12:11 `databases.a.tags` must be a list, not a mapping
      |     tags: {a: b}
      |           ^
      = write it as a list: [a]
    13:12 `databases.a.owner` must be text, not a mapping
      |     owner: {}
      |            ^
    14:17 `databases.a.migrations` must be a list, not text
      |     migrations: migrations
      |                 ^^^^^^^^^^
      = write it as `migrations: [{ path: migrations }]`
    15:12 `databases.a.seeds` must be a mapping, not text
      |     seeds: seeds
      |            ^^^^^
      = write it as `seeds: { path: seeds }`
    16:18 `databases.a.extensions[0]` must be text, not a number
      |     extensions: [1, {}]
      |                  ^
      = put it in quotes: "1"
    16:21 `databases.a.extensions[1]` must be text, not a mapping
      |     extensions: [1, {}]
      |                     ^
    17:15 `databases.a.settings` must be a mapping, not a list
      |     settings: [a]
      |               ^
    18:12 `databases.a.clean` must be a mapping, not a list
      |     clean: [a]
      |            ^
      = write it as `clean: { keep: [a] }`
    19:10 `databases.a.env` must be a mapping, not a list
      |     env: [A]
      |          ^
    21:18 `databases.b.migrations[0]` must be a mapping, not text
      |     migrations: [m, {path: [x]}]
      |                  ^
      = write it as `{ path: m }`
    21:28 `databases.b.migrations[1].path` must be text, not a list
      |     migrations: [m, {path: [x]}]
      |                            ^
    22:12 `databases.b.seeds.path` is missing
      |     seeds: { skip_in: production, runners: [ts] }
      |            ^
    22:23 `databases.b.seeds.skip_in` must be a list, not text
      |     seeds: { skip_in: production, runners: [ts] }
      |                       ^^^^^^^^^^
      = write it as a list: [production]
    22:44 `databases.b.seeds.runners` must be a mapping, not a list
      |     seeds: { skip_in: production, runners: [ts] }
      |                                            ^
    23:20 `databases.b.settings.a` must be text, a number or a boolean, not a list
      |     settings: { a: [1] }
      |                    ^
    24:20 `databases.b.clean.keep` must be a list, not text
      |     clean: { keep: roles }
      |                    ^^^^^
      = write it as a list: [roles]
    25:15 `databases.b.env.A` must be text, not a number
      |     env: { A: 1 }
      |               ^
      = put it in quotes: "1"
    27:28 `environments.production.protected` must be true or false, not text
      |   production: { protected: 'yes' }
      |                            ^^^^^
      = write `true`, without quotes
    "#);
}

#[test]
fn lists_and_booleans_that_people_write_otherwise() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a: { migrations: { path: db/m, format: native }, seeds: { path: s, skip_in: [prod] } }
  b: { migrations: {} }
environments: { production: { protected: off }, staging: { protected: maybe } }
"), @"
    3:20 `databases.a.migrations` must be a list, not a mapping
      |   a: { migrations: { path: db/m, format: native }, seeds: { path: s, skip_in: [prod] } }
      |                    ^
      = write it as a list of folders: `migrations: [{ path: db/m, … }]`
    3:80 there is no environment `prod`
      |   a: { migrations: { path: db/m, format: native }, seeds: { path: s, skip_in: [prod] } }
      |                                                                                ^^^^
      = environments: development, production, staging, test
    4:20 `databases.b.migrations` must be a list, not a mapping
      |   b: { migrations: {} }
      |                    ^
      = write it as a list of folders: `migrations: [{ path: migrations }]`
    5:42 `environments.production.protected` must be true or false, not text
      | environments: { production: { protected: off }, staging: { protected: maybe } }
      |                                          ^^^
      = write `false`
    5:71 `environments.staging.protected` must be true or false, not text
      | environments: { production: { protected: off }, staging: { protected: maybe } }
      |                                                                       ^^^^^
      = write `true` or `false`
    ");
}

#[test]
fn shapes_that_people_expect() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a: { migrations: 'db/my migrations', seeds: s, clean: [a, b.c] }
  b: { migrations: [m, '${M}'], seeds: [s], clean: roles }
  clean: [a]
"), @"
    3:20 `databases.a.migrations` must be a list, not text
      |   a: { migrations: 'db/my migrations', seeds: s, clean: [a, b.c] }
      |                    ^^^^^^^^^^^^^^^^^^
      = write it as `migrations: [{ path: 'db/my migrations' }]`
    3:47 `databases.a.seeds` must be a mapping, not text
      |   a: { migrations: 'db/my migrations', seeds: s, clean: [a, b.c] }
      |                                               ^
      = write it as `seeds: { path: s }`
    3:57 `databases.a.clean` must be a mapping, not a list
      |   a: { migrations: 'db/my migrations', seeds: s, clean: [a, b.c] }
      |                                                         ^
      = write it as `clean: { keep: [a, b.c] }`
    4:21 `databases.b.migrations[0]` must be a mapping, not text
      |   b: { migrations: [m, '${M}'], seeds: [s], clean: roles }
      |                     ^
      = write it as `{ path: m }`
    4:24 `databases.b.migrations[1]` must be a mapping, not text
      |   b: { migrations: [m, '${M}'], seeds: [s], clean: roles }
      |                        ^^^^^^
      = write it as `{ path: '${M}' }`
    4:40 `databases.b.seeds` must be a mapping, not a list
      |   b: { migrations: [m, '${M}'], seeds: [s], clean: roles }
      |                                        ^
    4:52 `databases.b.clean` must be a mapping, not text
      |   b: { migrations: [m, '${M}'], seeds: [s], clean: roles }
      |                                                    ^^^^^
      = write it as `clean: { keep: [roles] }`
    5:10 `databases.clean` must be a mapping, not a list
      |   clean: [a]
      |          ^
    ");
}

#[test]
fn what_an_alias_repeats_is_said_once() {
    assert_snapshot!(wrong("\
workspace: x
databases:
  a: &a { nmae: a_db, tags: t, tags: u, seeds: {}, migrations: [m] }
  b: *a
  c: *a
environments: { production: { databases: { a: *a } } }
"), @"
    3:11 unknown key `nmae` in `databases.a`
      |   a: &a { nmae: a_db, tags: t, tags: u, seeds: {}, migrations: [m] }
      |           ^^^^
      = did you mean `name`?
    3:29 `databases.a.tags` must be a list, not text
      |   a: &a { nmae: a_db, tags: t, tags: u, seeds: {}, migrations: [m] }
      |                             ^
      = write it as a list: [t]
    3:32 the key `tags` is given twice in `databases.a`
      |   a: &a { nmae: a_db, tags: t, tags: u, seeds: {}, migrations: [m] }
      |                                ^^^^
      = only one of them can be meant; remove the other
    3:48 `databases.a.seeds.path` is missing
      |   a: &a { nmae: a_db, tags: t, tags: u, seeds: {}, migrations: [m] }
      |                                                ^
    3:65 `databases.a.migrations[0]` must be a mapping, not text
      |   a: &a { nmae: a_db, tags: t, tags: u, seeds: {}, migrations: [m] }
      |                                                                 ^
      = write it as `{ path: m }`
    ");
}

#[test]
fn names() {
    assert_snapshot!(wrong("workspace: ''\ndatabases: {a: {}}\n"), @"
    1:12 the workspace's name cannot be used: it is empty
      | workspace: ''
      |            ^^
    ");
    assert_snapshot!(wrong("workspace: '@x/y'\nservers: {'a b': {}}\ndatabases: {'!a': {}, 'b...': {}, 'tag:c': {}, ü: {}}\nenvironments: {'': {}}\n"), @"
    1:12 the workspace's name cannot be used: `@x/y` starts with `@`, and only an ASCII letter or digit may come first
      | workspace: '@x/y'
      |            ^^^^^^
    2:11 the server's name cannot be used: `a b` holds ` `, and only ASCII letters, digits, `.`, `_` and `-` are allowed
      | servers: {'a b': {}}
      |           ^^^^^
    3:13 the key cannot be used: `!a` starts with `!`, and only an ASCII letter or digit may come first
      | databases: {'!a': {}, 'b...': {}, 'tag:c': {}, ü: {}}
      |             ^^^^
    3:23 the key cannot be used: `b...` holds `...`, which selects dependencies
      | databases: {'!a': {}, 'b...': {}, 'tag:c': {}, ü: {}}
      |                       ^^^^^^
    3:35 the key cannot be used: `tag:c` holds `:`, and only ASCII letters, digits, `.`, `_` and `-` are allowed
      | databases: {'!a': {}, 'b...': {}, 'tag:c': {}, ü: {}}
      |                                   ^^^^^^^
    3:48 the key cannot be used: `ü` starts with `ü`, and only an ASCII letter or digit may come first
      | databases: {'!a': {}, 'b...': {}, 'tag:c': {}, ü: {}}
      |                                                ^
    4:16 the environment's name cannot be used: it is empty
      | environments: {'': {}}
      |                ^^
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {postgres: {}, a: {name: template1}, b: {name: ''}}\n"), @"
    2:13 the database of `postgres` cannot have this name: `postgres` belongs to the server itself
      | databases: {postgres: {}, a: {name: template1}, b: {name: ''}}
      |             ^^^^^^^^
      = the key is the name where `name` is left out; dbctl needs a database of its own, which it may empty and drop: choose another name, and `dbctl create` makes it, also on hosts that start with nothing but `postgres`, such as Supabase
    2:37 the database of `a` cannot have this name: `template1` belongs to the server itself
      | databases: {postgres: {}, a: {name: template1}, b: {name: ''}}
      |                                     ^^^^^^^^^
      = dbctl needs a database of its own, which it may empty and drop: choose another name, and `dbctl create` makes it, also on hosts that start with nothing but `postgres`, such as Supabase
    2:59 the database of `b` cannot have this name: the name is empty
      | databases: {postgres: {}, a: {name: template1}, b: {name: ''}}
      |                                                           ^^
    ");
    assert_snapshot!(wrong(&format!("workspace: x\ndatabases: {{a: {{name: {}}}}}\n", "x".repeat(64))), @"
    2:23 the database of `a` cannot have this name: the name is 64 bytes long; PostgreSQL keeps 63
      | databases: {a: {name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}}
      |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {tags: ['a b'], owner: '', extensions: ['']}}\n"), @"
    2:24 the tag cannot be used: `a b` holds ` `, and only ASCII letters, digits, `.`, `_` and `-` are allowed
      | databases: {a: {tags: ['a b'], owner: '', extensions: ['']}}
      |                        ^^^^^
    2:39 the owner cannot be used: the name is empty
      | databases: {a: {tags: ['a b'], owner: '', extensions: ['']}}
      |                                       ^^
    2:56 the extension cannot be used: the name is empty
      | databases: {a: {tags: ['a b'], owner: '', extensions: ['']}}
      |                                                        ^^
    ");
}

#[test]
fn servers() {
    assert_snapshot!(wrong("workspace: x\nservers: {m: {embedded: true, url: 'postgres://h'}}\ndatabases: {a: }\n"), @"
    2:36 `embedded` and `url` exclude each other
      | servers: {m: {embedded: true, url: 'postgres://h'}}
      |                                    ^^^^^^^^^^^^^^
      = an embedded server is started by dbctl, which knows where it is; keep one of the two
    ");
    assert_snapshot!(wrong("workspace: x\nservers: {m: {embedded: true, admin_url: a, direct_url: b}}\ndatabases: {a: }\n"), @"
    2:42 `embedded` and `admin_url` exclude each other
      | servers: {m: {embedded: true, admin_url: a, direct_url: b}}
      |                                          ^
      = an embedded server is started by dbctl, which knows where it is; keep one of the two
    2:57 `embedded` and `direct_url` exclude each other
      | servers: {m: {embedded: true, admin_url: a, direct_url: b}}
      |                                                         ^
      = an embedded server is started by dbctl, which knows where it is; keep one of the two
    ");
    assert_snapshot!(wrong("workspace: x\nservers: {m: {pooler: session}, n: {embedded: true, pooler: transaction}}\ndatabases: {a: {pooler: yes}}\nenvironments: {e: {databases: {a: {pooler: 'true'}}}}\n"), @"
    2:23 `pooler` cannot be `session`
      | servers: {m: {pooler: session}, n: {embedded: true, pooler: transaction}}
      |                       ^^^^^^^
      = `transaction` says that the url leads to a pooler in transaction mode, and that there is no way past it; `none` takes that back; poolers in session mode need nothing
    2:61 `embedded` and `pooler` exclude each other
      | servers: {m: {pooler: session}, n: {embedded: true, pooler: transaction}}
      |                                                             ^^^^^^^^^^^
      = dbctl reaches the server that it starts itself without a pooler; keep one of the two
    3:25 `pooler` cannot be `yes`
      | databases: {a: {pooler: yes}}
      |                         ^^^
      = `transaction` says that the url leads to a pooler in transaction mode, and that there is no way past it; `none` takes that back; poolers in session mode need nothing
    4:44 `pooler` cannot be `true`
      | environments: {e: {databases: {a: {pooler: 'true'}}}}
      |                                            ^^^^^^
      = `transaction` says that the url leads to a pooler in transaction mode, and that there is no way past it; `none` takes that back; poolers in session mode need nothing
    ");
    for postgres in ["'16.2'", "latest", "9", "'0'", "true"] {
        let report = wrong(&format!(
            "workspace: x\nservers: {{m: {{embedded: true, postgres: {postgres}}}}}\ndatabases: {{a: }}\n"
        ));
        assert!(report.contains("is not a major version of PostgreSQL"), "{report}");
    }
    assert_snapshot!(wrong("workspace: x\nservers: {m: {postgres: 16}}\ndatabases: {a: }\n"), @"
    2:25 `postgres` chooses the version of an embedded server, and this one is not embedded
      | servers: {m: {postgres: 16}}
      |                         ^^
      = add `embedded: true`, or remove `postgres`
    ");
}

#[test]
fn settings_seeds_and_env() {
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {settings: {app tenant: 1, a.: 2}}}\n"), @"
    2:28 `app tenant` is not the name of a setting
      | databases: {a: {settings: {app tenant: 1, a.: 2}}}
      |                            ^^^^^^^^^^
      = such as `statement_timeout` or `app.tenant`
    2:43 `a.` is not the name of a setting
      | databases: {a: {settings: {app tenant: 1, a.: 2}}}
      |                                           ^^
      = such as `statement_timeout` or `app.tenant`
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {seeds: {path: s, runners: {.ts: 'tsx {file}', sql: 'psql {file}', js: node, a/b: '{file}'}}}}\n"), @r#"
    2:44 `.ts`: an extension is written without its dot
      | databases: {a: {seeds: {path: s, runners: {.ts: 'tsx {file}', sql: 'psql {file}', js: node, a/b: '{file}'}}}}
      |                                            ^^^
      = write `ts`
    2:63 dbctl itself runs `.sql` seeds
      | databases: {a: {seeds: {path: s, runners: {.ts: 'tsx {file}', sql: 'psql {file}', js: node, a/b: '{file}'}}}}
      |                                                               ^^^
    2:87 the command does not say where the seed file goes
      | databases: {a: {seeds: {path: s, runners: {.ts: 'tsx {file}', sql: 'psql {file}', js: node, a/b: '{file}'}}}}
      |                                                                                       ^^^^
      = write `{file}` in its place, such as "npx tsx {file}"
    2:93 `a/b` is not a file extension
      | databases: {a: {seeds: {path: s, runners: {.ts: 'tsx {file}', sql: 'psql {file}', js: node, a/b: '{file}'}}}}
      |                                                                                             ^^^
    "#);
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {seeds: {path: s, skip_in: [prodution, qa]}}}\n"), @"
    2:44 there is no environment `prodution`
      | databases: {a: {seeds: {path: s, skip_in: [prodution, qa]}}}
      |                                            ^^^^^^^^^
      = did you mean `production`?
    2:55 there is no environment `qa`
      | databases: {a: {seeds: {path: s, skip_in: [prodution, qa]}}}
      |                                                       ^^
      = environments: development, test, production, staging
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {env: {DATABASE_URL: a, 1X: a, B: b}, clean: {keep: ['']}}}\n"), @"
    2:23 `DATABASE_URL` always belongs to the database itself
      | databases: {a: {env: {DATABASE_URL: a, 1X: a, B: b}, clean: {keep: ['']}}}
      |                       ^^^^^^^^^^^^
      = choose another variable
    2:40 `1X` is not the name of a variable
      | databases: {a: {env: {DATABASE_URL: a, 1X: a, B: b}, clean: {keep: ['']}}}
      |                                        ^^
    2:50 there is no database `b`
      | databases: {a: {env: {DATABASE_URL: a, 1X: a, B: b}, clean: {keep: ['']}}}
      |                                                  ^
      = databases: a
    2:69 the table's name is empty
      | databases: {a: {env: {DATABASE_URL: a, 1X: a, B: b}, clean: {keep: ['']}}}
      |                                                                     ^^
    ");
    assert_snapshot!(wrong("workspace: x\ndatabases: {a: {migrations: [{path: m, schema: '', table: ''}]}}\n"), @"
    2:48 the schema cannot be used: the name is empty
      | databases: {a: {migrations: [{path: m, schema: '', table: ''}]}}
      |                                                ^^
    2:59 the table cannot be used: the name is empty
      | databases: {a: {migrations: [{path: m, schema: '', table: ''}]}}
      |                                                           ^^
    ");
}
