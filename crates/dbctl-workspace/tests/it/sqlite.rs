//! Databases that are SQLite files.

use dbctl_migration::Dialect;
use dbctl_workspace::Way;
use insta::assert_snapshot;

use crate::support::{Site, key, report, wrong, wrong_if_needed};

/// Where a database is, relative to the manifest's folder where it is in it.
fn file(site: &Site, database: &str) -> String {
    match site.workspace().locate(&key(database)) {
        Ok(location) => match location.way {
            Way::Sqlite(file) => {
                let root = site.path("").canonicalize().unwrap();
                file.strip_prefix(&root).unwrap_or(&file).display().to_string()
            }
            Way::Url(_) | Way::Libpq | Way::Embedded { .. } => "a server".to_owned(),
        },
        Err(errors) => report(&errors),
    }
}

fn check(servers: &str, database: &str, vars: &[(&str, &str)], expected: &str) {
    let manifest = format!("workspace: x\nservers: {servers}\ndatabases:\n  a: {database}\n");
    let mut site = Site::new(&manifest).file("p/package.json", "{}");
    for (name, value) in vars {
        site = site.var(name, value);
    }
    assert_eq!(file(&site, "a"), expected, "{servers} {database}");
}

#[test]
fn which_file() {
    for (url, file) in [
        ("sqlite:data/decant.db", "data/decant.db"),
        ("sqlite://data/decant.db?mode=rwc", "data/decant.db"),
        ("sqlite:///var/lib/decant.db", "/var/lib/decant.db"),
        ("file:./dev.db", "dev.db"),
        ("sqlite:a/../b/./c.db", "b/c.db"),
    ] {
        check("{}", &format!("{{ url: '{url}' }}"), &[], file);
        check("{}", "{ url: '${URL}' }", &[("URL", url)], file);
    }
    check("{}", "{ package: p, url: 'sqlite:a.db' }", &[], "p/a.db");
    check("{}", "{ package: p, url: 'sqlite:../a.db' }", &[], "a.db");
    check("{}", "{ url: 'sqlite:${DIR:-data}/a.db' }", &[], "data/a.db");
    check("{}", "{ url: '${URL:-}' }", &[], "a server");
    let files = "{ files: { sqlite: data } }";
    check(files, "{}", &[], "data/a.db");
    check(files, "{ name: decant, package: p }", &[], "data/decant.db");
    check(files, "{ url: 'sqlite:b.db' }", &[], "b.db");
    check("{ files: { sqlite: '${D}' } }", "{ name: '${N}' }", &[("D", "/d"), ("N", "n")], "/d/n.db");
    check("{ files: { sqlite: '.' }, main: {} }", "{ server: files }", &[], "a.db");
    check("{ files: { sqlite: data }, main: {} }", "{ server: main }", &[], "a server");
}

#[test]
fn environments_change_the_place() {
    let site = |over: &str| {
        Site::new(&format!(
            "workspace: x\nservers:\n  main: {{ sqlite: dev }}\ndatabases:\n  a: {{}}\n  b: {{ url: 'sqlite:b.db', settings: {{ foreign_keys: 'on' }} }}\nenvironments:\n  production: {over}\n"
        ))
        .environment("production")
    };
    for (over, a, b) in [
        ("{}", "dev/a.db", "b.db"),
        ("{ servers: { main: { sqlite: /data } } }", "/data/a.db", "b.db"),
        ("{ servers: { main: { url: 'postgres://h' } } }", "a server", "b.db"),
        ("{ servers: { main: { embedded: true } } }", "a server", "b.db"),
        (
            "{ databases: { a: { url: 'sqlite:x.db' }, b: { url: 'postgres://h/b', owner: o } } }",
            "x.db",
            "a server",
        ),
        ("{ databases: { b: { server: main } } }", "dev/a.db", "dev/b.db"),
    ] {
        let site = site(over);
        assert_eq!((file(&site, "a"), file(&site, "b")), (a.to_owned(), b.to_owned()), "{over}");
        let dialect = |place: &str| if place == "a server" { Dialect::Postgres } else { Dialect::Sqlite };
        let workspace = site.workspace();
        assert_eq!(workspace.database(&key("a")).dialect, dialect(a), "{over}");
        assert_eq!(workspace.database(&key("b")).dialect, dialect(b), "{over}");
    }
    // What is said of a server in production is none of the file's business.
    let site = Site::new(
        "workspace: x\ndatabases:\n  a: { url: '${URL}', owner: o, extensions: [x] }\nenvironments:\n  development: { databases: { a: { url: 'sqlite:a.db' } } }\n",
    );
    assert_eq!(file(&site, "a"), "a.db");
}

#[test]
fn sources_speak_sqlite() {
    for (url, dialect) in [("sqlite:a.db", Dialect::Sqlite), ("postgres://h/a", Dialect::Postgres)] {
        let manifest =
            "workspace: x\ndatabases:\n  a: { url: '${URL}', migrations: [{ path: m, format: dbmate }] }\n";
        let workspace = Site::new(manifest).var("URL", url).workspace();
        assert_eq!(workspace.database(&key("a")).sources[0].options.dialect, dialect);
    }
}

#[test]
fn a_copy_is_another_file() {
    let site = Site::new(
        "workspace: x\nservers: { files: { sqlite: data } }\ndatabases:\n  a: {}\n  b: { url: 'sqlite:x/b.sqlite3' }\n",
    );
    let workspace = site.workspace();
    let renamed = workspace.renamed(|database| {
        dbctl_migration::DatabaseName::parse(&format!("{}_copy", database.name)).unwrap()
    });
    let ways: Vec<_> = ["a", "b"]
        .map(|name| match renamed.locate(&key(name)).unwrap().way {
            Way::Sqlite(file) => file.strip_prefix(workspace.root()).unwrap().display().to_string(),
            way => panic!("{way:?}"),
        })
        .into();
    assert_eq!(ways, ["data/a_copy.db", "x/b_copy.sqlite3"]);
}

#[test]
fn what_means_nothing_to_a_file() {
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a: { url: 'sqlite:a.db', owner: o, extensions: [pgcrypto], admin_url: x, direct_url: y, pooler: none }\n"), @"
    3:35 `owner` means nothing to a SQLite database: a file has no roles
      |   a: { url: 'sqlite:a.db', owner: o, extensions: [pgcrypto], admin_url: x, direct_url: y, pooler: none }
      |                                   ^
      = remove it
    3:51 `extensions` means nothing to a SQLite database: whatever opens the file loads its own
      |   a: { url: 'sqlite:a.db', owner: o, extensions: [pgcrypto], admin_url: x, direct_url: y, pooler: none }
      |                                                   ^^^^^^^^
      = remove it
    3:73 `admin_url` means nothing to a SQLite database: there is no server before a file
      |   a: { url: 'sqlite:a.db', owner: o, extensions: [pgcrypto], admin_url: x, direct_url: y, pooler: none }
      |                                                                         ^
      = remove it
    3:88 `direct_url` means nothing to a SQLite database: there is no server before a file
      |   a: { url: 'sqlite:a.db', owner: o, extensions: [pgcrypto], admin_url: x, direct_url: y, pooler: none }
      |                                                                                        ^
      = remove it
    3:99 `pooler` means nothing to a SQLite database: there is no server before a file
      |   a: { url: 'sqlite:a.db', owner: o, extensions: [pgcrypto], admin_url: x, direct_url: y, pooler: none }
      |                                                                                                   ^^^^
      = remove it
    ");
    assert_snapshot!(wrong("workspace: x\nservers: { files: { sqlite: data } }\ndatabases:\n  a: { owner: o }\nenvironments:\n  production: { servers: { files: { sqlite: prod } }, databases: { a: { server: files, extensions: [x] } } }\n"), @"
    4:15 `owner` means nothing to a SQLite database: a file has no roles
      |   a: { owner: o }
      |               ^
      = remove it
    6:101 `extensions` means nothing to a SQLite database: whatever opens the file loads its own
      |   production: { servers: { files: { sqlite: prod } }, databases: { a: { server: files, extensions: [x] } } }
      |                                                                                                     ^
      = remove it
    ");
    assert_snapshot!(wrong("workspace: x\nservers:\n  files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }\n  file: { url: 'sqlite:a.db' }\ndatabases:\n  a: { server: files }\n"), @"
    3:31 `sqlite` and `url` exclude each other
      |   files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }
      |                               ^
      = `sqlite` is a folder with a file per database, and there is no server; keep one of the two
    3:31 `embedded` and `url` exclude each other
      |   files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }
      |                               ^
      = an embedded server is started by dbctl, which knows where it is; keep one of the two
    3:42 `sqlite` and `pooler` exclude each other
      |   files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }
      |                                          ^^^^
      = `sqlite` is a folder with a file per database, and there is no server; keep one of the two
    3:42 `embedded` and `pooler` exclude each other
      |   files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }
      |                                          ^^^^
      = dbctl reaches the server that it starts itself without a pooler; keep one of the two
    3:58 `sqlite` and `embedded` exclude each other
      |   files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }
      |                                                          ^^^^
      = `sqlite` is a folder with a file per database, and there is no server; keep one of the two
    3:74 `sqlite` and `postgres` exclude each other
      |   files: { sqlite: data, url: x, pooler: none, embedded: true, postgres: '17' }
      |                                                                          ^^^^
      = `sqlite` is a folder with a file per database, and there is no server; keep one of the two
    4:16 a server's `url` cannot be a SQLite file, which is one database
      |   file: { url: 'sqlite:a.db' }
      |                ^^^^^^^^^^^^^
      = write `sqlite: data` for a folder with a file per database, or give the database itself the `url`
    ");
    let site =
        Site::new("workspace: x\ndatabases:\n  a: { url: '${URL}', owner: o }\n").var("URL", "sqlite:a.db");
    assert_snapshot!(wrong_if_needed(&site.workspace(), &["a"]), @"
    3:30 `owner` means nothing to a SQLite database: a file has no roles
      |   a: { url: '${URL}', owner: o }
      |                              ^
      = remove it
    ");
}

#[test]
fn formats_that_sqlite_has_not() {
    assert_snapshot!(wrong("workspace: x\ndatabases:\n  a: { url: 'sqlite:a.db', migrations: [{ path: m, format: prisma }, { path: n, format: dbmate, schema: app }] }\n"), @"
    3:60 dbctl does not run migrations of `prisma` on SQLite
      |   a: { url: 'sqlite:a.db', migrations: [{ path: m, format: prisma }, { path: n, format: dbmate, schema: app }] }
      |                                                            ^^^^^^
      = on SQLite dbctl knows native, drizzle, sqlx, dbmate, custom
    3:105 SQLite has no schemas: a database's tables are all in `main`
      |   a: { url: 'sqlite:a.db', migrations: [{ path: m, format: prisma }, { path: n, format: dbmate, schema: app }] }
      |                                                                                                         ^^^
      = remove `schema`
    ");
    let site =
        Site::new("workspace: x\ndatabases:\n  a: { url: 'sqlite:a.db', migrations: [{ path: m }] }\n")
            .file("m/migration_lock.toml", "provider = \"sqlite\"\n")
            .file("m/20260101000000_a/migration.sql", "select 1;\n");
    assert_snapshot!(wrong_if_needed(&site.workspace(), &["a"]), @"
    3:49 dbctl does not run migrations of `prisma` on SQLite
      |   a: { url: 'sqlite:a.db', migrations: [{ path: m }] }
      |                                                 ^
      = on SQLite dbctl knows native, drizzle, sqlx, dbmate, custom
    ");
}

#[test]
fn files_that_cannot_be() {
    assert_snapshot!(wrong("workspace: x\nservers: { files: { sqlite: data }, out: { sqlite: ../data } }\ndatabases:\n  a: { url: 'sqlite::memory:' }\n  b: { url: 'sqlite:../b.db' }\n  c: { url: 'sqlite:100%.db' }\n  d: { server: files, name: ../d }\n  e: { server: out }\n"), @r"
    2:29 `../d` cannot be the name of a file
      | servers: { files: { sqlite: data }, out: { sqlite: ../data } }
      |                             ^^^^
      = give the database a `name` without `/` and `\` that does not begin with a dot
    2:52 the path leaves the workspace
      | servers: { files: { sqlite: data }, out: { sqlite: ../data } }
      |                                                    ^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it, or has an absolute path
    4:13 a database in memory is gone with the connection that made it
      |   a: { url: 'sqlite::memory:' }
      |             ^^^^^^^^^^^^^^^^^
      = name a file, such as `sqlite:data/app.db` or `sqlite:///var/lib/app.db`
    5:13 the path leaves the workspace
      |   b: { url: 'sqlite:../b.db' }
      |             ^^^^^^^^^^^^^^^^
      = everything a workspace uses lies in the manifest's folder or below it, or has an absolute path
    6:13 the URL's path is not percent-encoded as it should be: a `%` itself is `%25`
      |   c: { url: 'sqlite:100%.db' }
      |             ^^^^^^^^^^^^^^^^
      = `sqlite:data/100%25.db` is the file `data/100%.db`
    ");
    let site = Site::new("workspace: x\ndatabases:\n  a: { url: '${URL}' }\n").var("URL", "file:");
    assert_snapshot!(file(&site, "a"), @"
    3:13 the URL names no file
      |   a: { url: '${URL}' }
      |             ^^^^^^^^
      = name a file, such as `sqlite:data/app.db` or `sqlite:///var/lib/app.db`
    ");
}

#[test]
fn one_file_under_two_keys() {
    assert_snapshot!(wrong("workspace: x\nservers: { files: { sqlite: data } }\ndatabases:\n  a: {}\n  b: { url: 'sqlite:./data/a.db' }\n  c: { name: a }\n"), @"
    5:13 `a` and `b` are both the file data/a.db
      |   b: { url: 'sqlite:./data/a.db' }
      |             ^^^^^^^^^^^^^^^^^^^^
      = give one of them a file of its own
    6:14 `a` and `c` are both the database `a` on the server `files`
      |   c: { name: a }
      |              ^
      = give one of them another `name`, or a `server` or `url` of its own
    ");
    let site = Site::new("workspace: x\ndatabases:\n  a: { url: 'sqlite:a.db' }\n  b: { url: '${URL}' }\n")
        .var("URL", "sqlite:x/../a.db");
    assert_snapshot!(wrong_if_needed(&site.workspace(), &["b"]), @"
    4:13 `a` and `b` are both the file a.db
      |   b: { url: '${URL}' }
      |             ^^^^^^^^
      = give one of them a file of its own
    ");
    assert_eq!(wrong_if_needed(&site.workspace(), &["a"]), "");
}
