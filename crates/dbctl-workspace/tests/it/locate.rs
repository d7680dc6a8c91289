//! Which server a database lives on.

use dbctl_workspace::{Location, Way};
use insta::assert_snapshot;
use secrecy::ExposeSecret;

use crate::support::{Site, key, report};

fn show(location: &Location) -> String {
    let way = match &location.way {
        Way::Url(url) => format!("url {}", url.expose_secret()),
        Way::Libpq => "libpq".to_owned(),
        Way::Embedded { postgres } => format!("embedded {postgres:?}"),
        Way::Sqlite(file) => format!("file {}", file.display()),
    };
    let mut out = way;
    let urls = [("admin", &location.admin), ("direct", &location.direct)];
    for (name, url) in urls {
        out.extend(url.iter().map(|url| format!(", {name} {}", url.expose_secret())));
    }
    out.extend(location.pooled.then_some(", pooled"));
    out.extend(location.server.iter().map(|server| format!(", on {server}")));
    out.extend(location.max_connections.iter().map(|max| format!(", at most {max}")));
    out
}

fn check(servers: &str, database: &str, vars: &[(&str, &str)], expected: &str) {
    let mut site = Site::new(&format!("workspace: x\nservers: {servers}\ndatabases: {{ a: {database} }}\n"));
    for (name, value) in vars {
        site = site.var(name, value);
    }
    let found = site.workspace().locate(&key("a"));
    let found = found.as_ref().map_or_else(report, show);
    assert_eq!(found, expected, "{servers} {database}");
}

#[test]
fn which_server() {
    let main = "{ main: { url: 'postgres://main', admin_url: 'postgres://admin', direct_url: '${D:-}', max_connections: 3 } }";
    let two = "{ m: { url: 'postgres://m', max_connections: 2 }, n: { embedded: true, postgres: '16' } }";
    let libpq: &[(&str, &str)] = &[("PGHOST", "localhost")];
    // Its own url.
    check(main, "{ url: 'postgres://own/a' }", &[], "url postgres://own/a");
    check(
        main,
        "{ url: 'postgres://own/a', server: main }",
        &[],
        "url postgres://own/a, admin postgres://admin, on main, at most 3",
    );
    check(
        main,
        "{ url: 'postgres://own/a', admin_url: x, direct_url: y }",
        &[],
        "url postgres://own/a, admin x, direct y",
    );
    check(main, "{ url: '${U:-}' }", &[], "url postgres://main, admin postgres://admin, on main, at most 3");
    // Its server, the only server.
    check(
        main,
        "{}",
        &[("D", "postgres://direct")],
        "url postgres://main, admin postgres://admin, direct postgres://direct, on main, at most 3",
    );
    check(
        main,
        "{ admin_url: 'postgres://mine' }",
        libpq,
        "url postgres://main, admin postgres://mine, on main, at most 3",
    );
    check(two, "{ server: m }", &[], "url postgres://m, on m, at most 2");
    check(two, "{ server: n }", libpq, "embedded Some(16), on n");
    // libpq, embedded.
    check(two, "{}", libpq, "libpq");
    check("{}", "{}", libpq, "libpq");
    check("{}", "{}", &[("PGSERVICE", "x")], "libpq");
    check("{}", "{}", &[("PGHOST", "")], "embedded None");
    check("{}", "{}", &[("PGPORT", "5432")], "embedded None");
    check("{ m: { url: '${U:-}', max_connections: 4 } }", "{}", libpq, "libpq, on m, at most 4");
    check("{ m: { url: ' ' } }", "{}", &[], "embedded None, on m");
    check("{ m: {} }", "{}", &[], "embedded None, on m");
    check("{ m: { embedded: true } }", "{}", libpq, "embedded None, on m");
    check("{ m: { embedded: false } }", "{}", libpq, "libpq, on m");
}

/// In `production`, over a declaration of two servers and three databases.
fn check_over(servers: &str, databases: &str, key_: &str, expected: &str) {
    let site = Site::new(&format!(
        "\
workspace: x
servers:
  main: {{ url: 'postgres://dev', admin_url: 'postgres://dev-admin', direct_url: 'postgres://dev-direct' }}
  other: {{ url: 'postgres://other', admin_url: 'postgres://other-admin' }}
databases:
  a: {{ server: main }}
  b: {{ server: main, admin_url: 'postgres://b-admin', direct_url: 'postgres://b-direct' }}
  c: {{ url: 'postgres://c/c', admin_url: 'postgres://c-admin', direct_url: 'postgres://c-direct' }}
environments:
  production: {{ servers: {servers}, databases: {databases} }}
"
    ))
    .environment("production");
    assert_eq!(show(&site.workspace().locate(&key(key_)).unwrap()), expected, "{servers} {databases}");
}

#[test]
fn another_place_leaves_the_ways_to_the_old_one_behind() {
    let dev = "url postgres://dev, admin postgres://dev-admin, direct postgres://dev-direct, on main";
    check_over("{}", "{}", "a", dev);
    check_over("{ main: { max_connections: 2 } }", "{}", "a", &format!("{dev}, at most 2"));
    // A server's url takes the other two with it, and those of its databases.
    let prod = "{ main: { url: 'postgres://prod' } }";
    check_over(prod, "{}", "a", "url postgres://prod, on main");
    check_over(prod, "{}", "b", "url postgres://prod, on main");
    check_over(prod, "{ b: { direct_url: x } }", "b", "url postgres://prod, direct x, on main");
    check_over(prod, "{}", "c", "url postgres://c/c, admin postgres://c-admin, direct postgres://c-direct");
    check_over(
        "{ main: { url: 'postgres://prod', admin_url: 'postgres://prod-admin' } }",
        "{}",
        "b",
        "url postgres://prod, admin postgres://prod-admin, on main",
    );
    check_over("{ main: { embedded: true } }", "{}", "b", "embedded None, on main");
    check_over(
        "{ main: { direct_url: 'postgres://way' } }",
        "{}",
        "a",
        "url postgres://dev, admin postgres://dev-admin, direct postgres://way, on main",
    );
    // So does a database's url, which has nothing to do with the server declared for other environments.
    check_over("{}", "{ b: { url: 'postgres://b/b' } }", "b", "url postgres://b/b");
    check_over("{}", "{ c: { url: 'postgres://d/c' } }", "c", "url postgres://d/c");
    check_over("{}", "{ c: { url: 'postgres://d/c', admin_url: y } }", "c", "url postgres://d/c, admin y");
    check_over(
        "{}",
        "{ b: { url: 'postgres://b/b', server: other } }",
        "b",
        "url postgres://b/b, admin postgres://other-admin, on other",
    );
    // And a server over a url.
    check_over(
        "{}",
        "{ c: { server: other } }",
        "c",
        "url postgres://other, admin postgres://other-admin, on other",
    );
}

#[test]
fn a_pooler_belongs_to_the_url_that_leads_to_it() {
    let main = "{ main: { url: 'postgres://main', pooler: transaction } }";
    check(main, "{}", &[], "url postgres://main, pooled, on main");
    check(main, "{ pooler: none }", &[], "url postgres://main, on main");
    check(main, "{ direct_url: d }", &[], "url postgres://main, direct d, pooled, on main");
    check(main, "{ url: 'postgres://own/a' }", &[], "url postgres://own/a");
    check(main, "{ url: 'postgres://own/a', server: main }", &[], "url postgres://own/a, on main");
    check(main, "{ url: 'postgres://own/a', pooler: transaction }", &[], "url postgres://own/a, pooled");
    let libpq: &[(&str, &str)] = &[("PGHOST", "localhost")];
    let unset = "{ main: { url: '${U:-}', pooler: transaction } }";
    check(unset, "{}", libpq, "libpq, pooled, on main");
    check(unset, "{}", &[], "embedded None, on main");
    check("{}", "{ pooler: transaction }", libpq, "libpq, pooled");
    check("{}", "{ pooler: transaction }", &[], "embedded None");

    let over = |environment: &str, expected: &str| {
        let site = Site::new(&format!(
            "workspace: x\nservers: {main}\ndatabases: {{ a: {{ server: main }}, b: {{ pooler: none }} }}\n\
             environments: {{ production: {environment} }}\n"
        ))
        .environment("production");
        let workspace = site.workspace();
        let [a, b] = ["a", "b"].map(|name| show(&workspace.locate(&key(name)).unwrap()));
        assert_eq!(format!("{a}; {b}"), expected, "{environment}");
    };
    over("{}", "url postgres://main, pooled, on main; url postgres://main, on main");
    over(
        "{ servers: { main: { pooler: none } } }",
        "url postgres://main, on main; url postgres://main, on main",
    );
    over("{ servers: { main: { url: x } } }", "url x, on main; url x, on main");
    over(
        "{ servers: { main: { url: x, pooler: transaction } } }",
        "url x, pooled, on main; url x, pooled, on main",
    );
    over("{ databases: { a: { url: y } } }", "url y; url postgres://main, on main");
    over(
        "{ databases: { a: { url: y, pooler: transaction } } }",
        "url y, pooled; url postgres://main, on main",
    );
}

#[test]
fn env_files_and_the_package_have_a_say() {
    let site = Site::new("workspace: x\ndatabases: { a: { package: p, url: '${DATABASE_URL:-}' }, b: {} }\n")
        .file("p/.env", "DATABASE_URL=postgres://p/a\n")
        .file(".env", "PGHOST=localhost\n");
    let workspace = site.workspace();
    assert_eq!(show(&workspace.locate(&key("a")).unwrap()), "url postgres://p/a");
    assert_eq!(show(&workspace.locate(&key("b")).unwrap()), "libpq");
}

#[test]
fn only_what_is_needed_is_evaluated() {
    let site = Site::new(
        "\
workspace: x
servers:
  m: { url: \"${SERVER_URL}\", admin_url: '${ADMIN_URL:?who creates databases?}' }
databases:
  a: { url: '${A_URL}', direct_url: 'x${ ' }
  b: { url: 'postgres://h/b' }
  c: {}
  d: { url: '${DATABASE_ULR}', package: d }
",
    )
    .file("d/.env", "DATABASE_URL=postgres://d\nSERVER_URL=postgres://d\n");
    let workspace = site.workspace();
    assert_eq!(show(&workspace.locate(&key("b")).unwrap()), "url postgres://h/b");
    assert_snapshot!(report(&workspace.locate(&key("a")).unwrap_err()), @"
    5:14 the variable `A_URL` is not set
      |   a: { url: '${A_URL}', direct_url: 'x${ ' }
      |              ^^^^^^^^
      = set it in the environment or in an env file, or give a default: `${A_URL:-…}`
    5:39 `${` without its `}`
      |   a: { url: '${A_URL}', direct_url: 'x${ ' }
      |                                       ^^^
      = a dollar sign itself is `$$`
    ");
    assert_snapshot!(report(&workspace.locate(&key("c")).unwrap_err()), @r#"
    3:14 the variable `SERVER_URL` is not set
      |   m: { url: "${SERVER_URL}", admin_url: '${ADMIN_URL:?who creates databases?}' }
      |              ^^^^^^^^^^^^^
      = d/.env sets it, but only the databases of that package see that; set it in the workspace's env file, or give the database a `url`
    3:42 who creates databases? (`ADMIN_URL` is not set)
      |   m: { url: "${SERVER_URL}", admin_url: '${ADMIN_URL:?who creates databases?}' }
      |                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(report(&workspace.locate(&key("d")).unwrap_err()), @"
    8:14 the variable `DATABASE_ULR` is not set
      |   d: { url: '${DATABASE_ULR}', package: d }
      |              ^^^^^^^^^^^^^^^
      = did you mean `DATABASE_URL`?
    ");
}

#[test]
fn others_can_point_into_the_manifest() {
    let workspace =
        Site::new("workspace: x\ndatabases:\n  a: { url: 'postgres://u:hush@h/other' }\n").workspace();
    let declared = workspace.locate(&key("a")).unwrap().declared;
    let errors = workspace.problem(
        &declared,
        "the url leads to `other`, not to `a`",
        Some("set `name: other`".to_owned()),
    );
    assert_snapshot!(report(&errors), @"
    3:13 the url leads to `other`, not to `a`
      |   a: { url: 'postgres://u:****@h/other' }
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = set `name: other`
    ");
    let key_place = workspace.database(&key("a")).declared;
    assert_snapshot!(report(&workspace.problem(&key_place, "here", None)), @"
    3:3 here
      |   a: { url: 'postgres://u:****@h/other' }
      |   ^
    ");
}

#[test]
fn where_an_address_comes_from() {
    let site = Site::new(
        "\
workspace: x
env_files: [.env, .env.local]
servers:
  main: { url: 'postgres://${USER_NAME}@${MAIN_HOST:-localhost}/', admin_url: '${ADMIN:-}', direct_url: postgres://u:hush@past }
  bare: {}
  own: { embedded: true }
databases:
  app: { package: apps/app, url: '${DATABASE_URL}' }
  pg: { package: apps/app, url: '${EMPTY:-}', server: bare }
  shared: { server: main }
  direct: { server: main, direct_url: '${DIRECT}', admin_url: host=h }
  apart: { url: postgres:///apart, server: main }
  private: { server: own }
environments:
  staging:
    databases:
      app: { url: '${STAGING_URL:?set it}' }
",
    )
    .file(".env", "# hush\nPGHOST=hush\nPGPASSWORD=hush\nADMIN=postgres://hush:hush@hush\nEMPTY=\n")
    .file(".env.local", "\n\nDIRECT=postgres://hush:hush@hush/direct\n")
    .file("apps/app/.env", "A=1\nDATABASE_URL=postgres://hush:hush@hush/app\nPGUSER=hush\n")
    .var("USER_NAME", "hush");
    let workspace = site.workspace();
    let said = ["app", "pg", "shared", "direct", "apart", "private"]
        .map(|name| format!("{name}: {}", workspace.origin(&key(name)).unwrap_or_default()))
        .join("\n");
    assert!(!said.contains("hush"), "{said}");
    assert_snapshot!(said, @"
    app: databases.app.url (workspace.yaml:8), DATABASE_URL from apps/app/.env:2
    pg: PGHOST from .env:2, PGUSER from apps/app/.env:3, PGPASSWORD from .env:3
    shared: servers.main.url (workspace.yaml:4), USER_NAME from the environment, PGPASSWORD from .env:3; servers.main.admin_url (workspace.yaml:4), ADMIN from .env:4; servers.main.direct_url (workspace.yaml:4)
    direct: servers.main.url (workspace.yaml:4), USER_NAME from the environment, PGPASSWORD from .env:3; databases.direct.admin_url (workspace.yaml:11), PGPASSWORD from .env:3; databases.direct.direct_url (workspace.yaml:11), DIRECT from .env.local:3
    apart: databases.apart.url (workspace.yaml:12), PGHOST from .env:2, PGPASSWORD from .env:3; servers.main.admin_url (workspace.yaml:4), ADMIN from .env:4
    private:
    ");
    let staging = site.var("STAGING_URL", "postgres://hush@hush").environment("staging").workspace();
    assert_snapshot!(staging.origin(&key("app")).unwrap(), @"databases.app.url (workspace.yaml:17), STAGING_URL from the environment, PGPASSWORD from .env:3");
}
