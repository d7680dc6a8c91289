//! Seeds: SQL, CSV and programs; which run when, and what they see.

use crate::support::Sandbox;

const MANIFEST: &str = "\
workspace: a
databases:
  core: { name: core_db }
  a:
    name: a_db
    package: apps/a
    depends_on: [core]
    env: { CORE_URL: core }
    migrations: [{ path: migrations, format: native }]
    seeds: { path: seeds, skip_in: [test], runners: { sh: 'sh {file}' } }
environments:
  production: { protected: true }
";

const USERS: (&str, &str) = (
    "apps/a/migrations/20260101000000_users.sql",
    "create table users (id int primary key, name text not null, note text default 'none');\n\
     create table \"Order Items\" (\"item, no\" int, n int);\n\
     create schema shop;\ncreate table shop.prices (id int);\n",
);

fn sandbox(seeds: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new(MANIFEST, &[USERS]);
    for (name, text) in seeds {
        sandbox.write(&format!("apps/a/seeds/{name}"), text);
    }
    sandbox
}

/// The seeds that a command ran.
fn ran(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let (code, document) = sandbox.json(args);
    assert_eq!(code, 0, "{document}");
    let databases = document["databases"].as_array().unwrap();
    let a = databases.iter().find(|database| database["key"] == "a").unwrap();
    let seeds = a["seeds"].as_array().map(Vec::as_slice).unwrap_or_default();
    seeds.iter().map(|seed| seed["file"].as_str().unwrap().to_owned()).collect()
}

fn recorded(sandbox: &Sandbox) -> String {
    sandbox.query("a", "select coalesce(string_agg(file, ' ' order by file), '') from dbctl.seed_history")
}

#[test]
fn up_runs_what_is_not_recorded_and_seed_runs_all() {
    let sandbox = sandbox(&[
        ("020_more.sql", "insert into users values (2, 'b') on conflict do nothing;\n"),
        ("010_users.sql", "insert into users values (1, 'a') on conflict do nothing;\n"),
        ("README.md", "# not a seed\n"),
        (".hidden.sql", "select nonsense;\n"),
    ]);
    assert_eq!(ran(&sandbox, &["up", "a"]), ["010_users.sql", "020_more.sql"]);
    assert!(ran(&sandbox, &["up", "a"]).is_empty());
    sandbox
        .write("apps/a/seeds/015_between.sql", "insert into users values (3, 'c') on conflict do nothing;\n");
    sandbox
        .write("apps/a/seeds/010_users.sql", "insert into users values (4, 'd') on conflict do nothing;\n");
    assert_eq!(ran(&sandbox, &["up", "a"]), ["015_between.sql"]);
    assert_eq!(ran(&sandbox, &["seed", "a"]), ["010_users.sql", "015_between.sql", "020_more.sql"]);
    assert_eq!(sandbox.query("a", "select string_agg(id::text, ' ' order by id) from users"), "1 2 3 4\n");

    sandbox.ok(&["clean", "a", "--yes"]);
    assert_eq!(recorded(&sandbox), "\n", "what is emptied is not seeded any more");
    assert_eq!(ran(&sandbox, &["up", "a"]), ["010_users.sql", "015_between.sql", "020_more.sql"]);

    // A failing one leaves nothing; those before it stay.
    sandbox.write(
        "apps/a/seeds/017_bad.sql",
        "insert into users values (5, 'e');\ninsert into users values (6);\n",
    );
    let said = sandbox.dbctl(&["up", "a"]).fails(1);
    assert!(said.contains("apps/a/seeds/017_bad.sql:2:1") && said.contains("23502"), "{said}");
    assert_eq!(sandbox.query("a", "select count(*) from users where id = 5"), "0\n");
    assert!(!recorded(&sandbox).contains("017"));
    sandbox.write("apps/a/seeds/017_bad.sql", b"select '\xff';\n");
    let said = sandbox.dbctl(&["up", "a"]).fails(3);
    assert!(said.contains("apps/a/seeds/017_bad.sql:1:9") && said.contains("UTF-8"), "{said}");
}

#[test]
fn environments_that_take_no_seeds() {
    let mut sandbox = sandbox(&[("users.sql", "insert into users values (1, 'a');\n")]);
    for (environment, why) in [("test", "is in `skip_in`"), ("production", "is protected")] {
        sandbox.set("DBCTL_ENV", environment);
        for verb in ["up", "seed"] {
            let ran = sandbox.dbctl(&[verb, "a"]);
            assert_eq!(ran.code, 0, "{ran}");
            assert!(
                ran.stderr.contains(&format!("seeds are skipped: the environment `{environment}` {why}")),
                "{ran}"
            );
        }
        assert_eq!(sandbox.query("a", "select count(*) from users"), "0\n");
    }
}

#[test]
fn csv_is_loaded_as_postgresql_reads_it() {
    let sandbox = sandbox(&[
        (
            "010_users.csv",
            "\u{feff}name,id,note\r\n\"say \"\"hi\"\"\",1,\r\n\"two\r\nlines\",2,\"\"\r\nÄpfel,3,\"a, b\"\r\n",
        ),
        ("020_Order Items.csv", "\"item, no\",n\n7,8\n"),
        ("shop.prices.csv", "id\n1\n2"),
    ]);
    assert_eq!(ran(&sandbox, &["up", "a"]), ["010_users.csv", "020_Order Items.csv", "shop.prices.csv"]);
    assert_eq!(
        sandbox.query(
            "a",
            "select id, replace(name, E'\\r\\n', '|'), coalesce(note, 'NULL') from users order by id"
        ),
        "1|say \"hi\"|NULL\n2|two|lines|\n3|Äpfel|a, b\n"
    );
    assert_eq!(sandbox.query("a", "select * from \"Order Items\""), "7|8\n");
    assert_eq!(sandbox.query("a", "select count(*) from shop.prices"), "2\n");

    for (text, place, words) in [
        ("id,nmae\n9,x\n", "users.csv:1", "column \"nmae\""),
        ("id,name\n9,x\nten,y\n", "users.csv:3", "\"ten\""),
        ("id,name\n9,x\n8,y,z\n", "users.csv:3", "extra data"),
        ("id,name\n9,\"x\n", "users.csv:", "quote"),
        ("id,name\n1,x\n", "users.csv:2", "duplicate key"),
        ("", "users.csv:1", "empty"),
        ("id,name,id\n1,x,2\n", "users.csv:1", "more than once"),
    ] {
        sandbox.write("apps/a/seeds/010_users.csv", text);
        let (code, document) = sandbox.json(&["seed", "a"]);
        assert_eq!(code, 1, "{document}");
        let said = sandbox.dbctl(&["seed", "a"]).fails(1);
        assert!(said.contains(place) && said.contains(words), "{text:?}: {said}");
        assert_eq!(sandbox.query("a", "select count(*) from users"), "3\n", "{text:?}");
    }
    std::fs::remove_file(sandbox.root().join("apps/a/seeds/010_users.csv")).unwrap();
    sandbox.write("apps/a/seeds/usres.csv", "id\n1\n");
    let said = sandbox.dbctl(&["up", "a"]).fails(1);
    assert!(said.contains("apps/a/seeds/usres.csv") && said.contains("no table"), "{said}");
}

#[cfg(unix)]
#[test]
fn programs_see_the_database_and_their_package() {
    let mut sandbox = sandbox(&[(
        "010_look.sh",
        "env > seen.env; pwd > seen.pwd; echo \"file $0\"; echo 'insert into users values (1, '\\''a b'\\'')' | psql -qX\n",
    )]);
    sandbox.write("apps/a/.env", "OF_PACKAGE='x y'\nOVERRULED=file\n");
    sandbox.write(".env", "OF_WORKSPACE=yes\nOF_PACKAGE=no\n");
    sandbox.set("OVERRULED", "process").set("DATABASE_URL", "postgres://elsewhere/x").set("PGHOST", "");
    let ran = sandbox.dbctl(&["up", "a", "-v"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("file ") && ran.stderr.contains("010_look.sh"), "{ran}");
    assert_eq!(sandbox.query("a", "select name from users"), "a b\n", "psql finds it by PG* alone");
    let seen = sandbox.read("apps/a/seen.env");
    let (url, core) = (sandbox.url("a"), sandbox.url("core"));
    for line in [
        format!("DATABASE_URL={url}"),
        format!("CORE_URL={core}"),
        "PGDATABASE=a_db".to_owned(),
        "PGUSER=postgres".to_owned(),
        "OF_PACKAGE=x y".to_owned(),
        "OF_WORKSPACE=yes".to_owned(),
        "OVERRULED=process".to_owned(),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is missing: {seen}");
    }
    for name in ["PGHOST=", "PGPORT=", "PGPASSWORD=", "PGSSLMODE="] {
        assert!(seen.lines().any(|seen| seen.starts_with(name) && seen != name), "{name} is missing: {seen}");
    }
    let folder = sandbox.root().join("apps/a").canonicalize().unwrap();
    assert_eq!(sandbox.read("apps/a/seen.pwd").trim_end(), folder.to_str().unwrap());

    // The same for `exec`.
    let ran =
        sandbox.dbctl(&["exec", "a", "--", "sh", "-c", "pwd; echo $CORE_URL; echo $OF_PACKAGE; exit 7"]);
    assert_eq!((ran.code, ran.stdout), (7, format!("{}\n{core}\nx y\n", folder.display())));

    sandbox.write("apps/a/seeds/020_bad.sh", "echo on its output; echo on its errors >&2; exit 3\n");
    let said = sandbox.dbctl(&["up", "a"]).fails(1);
    for word in ["on its output", "on its errors", "apps/a/seeds/020_bad.sh", "exited with 3"] {
        assert!(said.contains(word), "{word:?} is missing: {said}");
    }
    assert_eq!(recorded(&sandbox), "010_look.sh\n");
    std::fs::remove_file(sandbox.root().join("apps/a/seeds/020_bad.sh")).unwrap();
    sandbox.write("apps/a/seeds/030_other.ts", "throw 1\n");
    let said = sandbox.dbctl(&["up", "a"]).fails(1);
    assert!(said.contains("no runner for `.ts` seeds") && said.contains("runners"), "{said}");
}
