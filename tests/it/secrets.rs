//! A password shows nowhere but where it is asked for.

use std::{fs, time::Duration};

use crate::{
    own_server::OwnServer,
    process::{Running, until},
    support::{Ran, Sandbox, binary, set_mode},
};

/// With everything that URLs, keyword strings and shells treat specially, and no part that stands elsewhere by chance.
const CANARY: &str = "kanarien/vogel@4711 #?%\\'x";
/// As a URL spells it.
const IN_URL: &str = "kanarien%2Fvogel%404711%20%23%3F%25%5C%27x";
/// As a password file spells it.
const IN_PASSFILE: &str = "kanarien/vogel@4711 #?%\\\\'x";

const FILES: [(&str, &str); 4] = [
    ("migrations/20260101000000_t.sql", "create table t (id int primary key);\n"),
    ("migrations/20260101000000_t.down.sql", "drop table t;\n"),
    ("seeds/t.csv", "id\n1\n"),
    ("seeds/u.sh", "exit 0\n"),
];

fn manifest(server: &str, url: &str) -> String {
    format!(
        "workspace: a\n{server}databases:\n  a:\n    name: a_db\n{url}    env: {{ OTHER_URL: b }}\n    \
         migrations: [{{ path: migrations, format: native }}]\n    seeds: {{ path: seeds, runners: {{ sh: 'sh {{file}}' }} }}\n  b: {{}}\n"
    )
}

#[track_caller]
fn silent(args: &[&str], ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        for part in ["kanarien", "4711"] {
            assert!(!text.contains(part), "{args:?} shows the password: {ran}");
        }
    }
}

/// Runs what there is to run, and looks at all that is printed.
fn all_is_silent(sandbox: &Sandbox) {
    for args in [
        "up --all -v",
        "up --all --format json -v",
        "up --all --format ndjson -v",
        "status --all -v",
        "status --all --format json",
        "status --all --format ndjson",
        "plan up --all --state",
        "plan up --all --state --format json",
        "plan reset --all --as mermaid",
        "list",
        "list --format json",
        "graph",
        "graph --as dot",
        "migrate a --dry-run -v",
        "seed a -v",
        "clean a --yes -v",
        "redo a --yes -v",
        "rollback a --yes -v",
        "drop a -v",
        "psql a -- -Xc \\conninfo",
        "exec a -- true",
        "exec a -- no-such-command",
        "drop a --yes -v",
        "drop a --yes --format json",
        "seed a --format json",
        "migrate a -v",
        "clean a --yes --format ndjson",
        "up a --env nowhere",
        "new a more things",
        "server status",
        "schema",
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        silent(&args, &sandbox.dbctl(&args));
    }
    fs::remove_dir_all(sandbox.root().join("migrations")).unwrap();
    for (path, text) in FILES {
        sandbox.write(path, text);
    }
    sandbox.ok(&["up", "--all"]);
    sandbox.write("migrations/20260102000000_bad.sql", "select 1;\nselect nothing from nowhere;\n");
    for args in [&["up", "--all", "-v"][..], &["migrate", "a", "--format", "json"]] {
        let ran = sandbox.dbctl(args);
        assert_eq!(ran.code, 1, "{ran}");
        silent(args, &ran);
    }
    let env = sandbox.ok(&["env", "a"]);
    assert!(
        env.contains(IN_URL) && env.contains("kanarien/vogel@4711"),
        "where it is asked for, it is: {env}"
    );
    sandbox.ok(&["drop", "--all", "--yes"]);
}

#[test]
fn no_command_shows_a_password_however_it_is_given() {
    let mut server = OwnServer::start();
    server.query("postgres", &format!("alter role postgres password '{}'", CANARY.replace('\'', "''")));
    server.password = IN_URL.to_owned();
    let OwnServer { host, port, .. } = &server;

    // Written into the manifest, where every complaint shows the line.
    let sandbox = Sandbox::new(
        &manifest(&format!("servers: {{ main: {{ url: '{}' }} }}\n", server.url("postgres")), ""),
        &FILES,
    );
    all_is_silent(&sandbox);
    let good = sandbox.read("workspace.yaml");
    for bad in [
        good.replace("main: { url", "main: { postgres: x, url"),
        good.replace("postgres://", "postgres:/"),
        good.replace("postgres://", "postgrse://"),
        good.replace("postgres://postgres:", "postgres:"),
        good.replace(&format!(":{port}/"), ":port/"),
        good.replace(&format!(":{port}/"), ":1/"),
        good.replace("postgres:kan", "nobody:kan"),
        good.replace("/postgres'", "/postgres?sslmode=require'"),
        good.replace("/postgres'", "/postgres?sslmode=requrie'"),
        good.replace("/postgres'", "/postgres?ssslmode=require'"),
        good.replace("databases:", "databases"),
    ] {
        sandbox.write("workspace.yaml", &bad);
        for args in [
            &["up", "--all", "-v"][..],
            &["status", "--all", "--format", "json"],
            &["create", "--all"],
            &["list"],
        ] {
            let ran = sandbox.dbctl(args);
            assert!(ran.code != 0 || args == ["list"], "{bad}\n{ran}");
            silent(args, &ran);
        }
    }

    // By a variable, of the database alone.
    let mut sandbox = Sandbox::new(&manifest("", "    url: ${DATABASE_URL}\n"), &FILES);
    sandbox.set("DATABASE_URL", &server.url("a_db")).set("PGHOST", host).set("PGPORT", &port.to_string());
    sandbox.set("PGUSER", "postgres").set("PGPASSWORD", CANARY);
    all_is_silent(&sandbox);
    sandbox.set("DATABASE_URL", &server.url("b"));
    let ran = sandbox.dbctl(&["up", "--all"]);
    silent(&["up"], &ran);
    ran.fails(3);

    // By libpq's variables in an env file.
    let sandbox = Sandbox::new(&manifest("", ""), &FILES);
    let env = format!("PGHOST={host}\nPGPORT={port}\nPGUSER=postgres\n");
    sandbox.write(".env", format!("{env}PGPASSWORD=\"{}\"\n", CANARY.replace('\\', r"\\")));
    all_is_silent(&sandbox);
    sandbox.write(".env", format!("{env}PGPASSWORD \"{CANARY}\"\n"));
    let ran = sandbox.dbctl(&["up", "--all"]);
    silent(&["up"], &ran);
    ran.fails(3);

    // By a password file.
    let sandbox = Sandbox::new(&manifest("", ""), &FILES);
    sandbox.write(".env", env);
    let pass = sandbox.root().join("../.pgpass");
    fs::write(&pass, format!("{host}:{port}:*:postgres:{IN_PASSFILE}\n")).unwrap();
    set_mode(&pass, 0o600);
    all_is_silent(&sandbox);
}

/// The command line of every process of this machine.
#[cfg(target_os = "linux")]
fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn no_command_line_holds_a_password() {
    let mut server = OwnServer::start();
    server.set_password("kanarienvogel-8151");
    let sandbox = Sandbox::new(
        &manifest("", &format!("    url: '{}'\n", server.url("a_db")))
            .replace("    env: { OTHER_URL: b }\n", ""),
        &FILES,
    );
    sandbox.ok(&["up", "a"]);
    let looks_clean = |what: &str| {
        let lines = command_lines();
        assert!(lines.iter().any(|line| line.contains("424242")), "{what} runs");
        let shown: Vec<_> = lines.iter().filter(|line| line.contains("kanarienvogel-8151")).collect();
        assert!(shown.is_empty(), "{what}: {shown:?}");
    };
    let runs = |seconds: &str| command_lines().iter().any(|line| line.contains(seconds));

    let sleep = Running::start(sandbox.command(binary()).args(["exec", "a", "--", "sleep", "424242"]));
    until("exec runs sleep", || runs("sleep 424242"));
    looks_clean("exec");
    drop(sleep);
    until("sleep is gone", || !runs("424242"));

    let psql =
        Running::start(sandbox.command(binary()).args(["psql", "a", "--", "-Xc", "select pg_sleep(424242)"]));
    let active = "select count(*) from pg_stat_activity where query = 'select pg_sleep(424242)'";
    until("psql sleeps", || server.query("postgres", active) == "1\n");
    looks_clean("psql");
    drop(psql);

    sandbox.write("seeds/v.sh", "exec sleep 424243\n");
    let seed = Running::start(sandbox.command(binary()).args(["up", "a"]));
    until("the seed runs", || runs("sleep 424243"));
    let shown: Vec<_> =
        command_lines().into_iter().filter(|line| line.contains("kanarienvogel-8151")).collect();
    assert!(shown.is_empty(), "a seed's runner: {shown:?}");
    seed.signal("INT");
    assert_eq!(seed.wait(Duration::from_secs(10)).code, 130);
}
