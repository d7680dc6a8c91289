//! A password shows nowhere but where it is asked for.

use std::{fs, time::Duration};

use crate::{
    held::hold,
    own_server::OwnServer,
    process::{Running, until},
    support::{Ran, Sandbox, binary, set_mode},
};

/// With everything that URLs, keyword strings and shells treat specially.
const CANARY: &str = "kanarien/vogel@zaunkoenig #?%\\'x";
/// As a URL spells it.
const IN_URL: &str = "kanarien%2Fvogel%40zaunkoenig%20%23%3F%25%5C%27x";
/// As a password file spells it.
const IN_PASSFILE: &str = "kanarien/vogel@zaunkoenig #?%\\\\'x";
/// What of it looks the same however it is spelled, and stands nowhere by chance, as digits would in an id or a port.
const PARTS: [&str; 2] = ["kanarien", "zaunkoenig"];

const FILES: [(&str, &str); 5] = [
    // What a hook sees of all processes; and it prints all that it was given.
    (
        "look",
        "env; env >&2\n{ ps -A -ww -o args= || cat /proc/[0-9]*/cmdline; true; } >> seen 2> ps-failed\n",
    ),
    ("migrations/20260101000000_t.sql", "create table t (id int primary key);\n"),
    ("migrations/20260101000000_t.down.sql", "drop table t;\n"),
    ("seeds/t.csv", "id\n1\n"),
    ("seeds/u.sh", "exit 0\n"),
];

fn manifest(server: &str, url: &str) -> String {
    format!(
        "workspace: a\n{server}databases:\n  a:\n    name: a_db\n{url}    env: {{ OTHER_URL: b }}\n    \
         migrations: [{{ path: migrations, format: native }}]\n    \
         hooks: {{ before_migrate: sh look, after_migrate: sh look }}\n    seeds: {{ path: seeds, runners: {{ sh: 'sh {{file}}' }} }}\n  b: {{}}\n"
    )
}

/// Shows as much as can be shown.
fn loud(mut sandbox: Sandbox) -> Sandbox {
    sandbox.set("RUST_LOG", "trace").set("RUST_BACKTRACE", "full");
    sandbox
}

/// That no file of a sandbox holds the password but those it was written into: its workspace, its home, dbctl's state.
#[track_caller]
fn unwritten(sandbox: &Sandbox, given: &[&str]) {
    let mut folders = vec![sandbox.root().join("..").canonicalize().unwrap()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if !given.iter().any(|given| name == *given) {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
                assert!(!shows(&text), "{} holds the password: {text}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

fn shows(text: &str) -> bool {
    PARTS.iter().any(|part| text.contains(part))
}

#[track_caller]
fn silent(args: &[&str], ran: &Ran) {
    assert!(!shows(&ran.stdout) && !shows(&ran.stderr), "{args:?} shows the password: {ran}");
}

/// All that dbctl has recorded in a database.
fn recorded(sandbox: &Sandbox, database: &str) -> String {
    let written = "select string_agg(query_to_xml(format('select * from dbctl.%I', relname), true, true, '')::text, ' ') \
                   from pg_class where relnamespace = 'dbctl'::regnamespace and relkind = 'r'";
    sandbox.query(database, written)
}

/// Runs what there is to run, and looks at all that is printed.
fn all_is_silent(sandbox: &Sandbox, given: &[&str]) {
    for args in [
        "create --all -v",
        "plan migrate --all -o frozen.json",
        "migrate --plan frozen.json --format ndjson -v",
        "drop --all --yes",
        "up a --no-deps -v",
        "drop --all --yes",
        "create --all",
        "migrate --all --atomic=two-phase --format ndjson -v",
        "rollback a --yes",
        "migrate --all --atomic=two-phase -v",
        "drop --all --yes",
        "migrate a --atomic -v",
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
        "history show a -v",
        "history runs",
        "history runs --format json",
        "rollback --run 0 --yes",
        "baseline a --through 20260101000000 --yes -v",
        "status a --check --wait 1s -v",
        "env a --as nothing",
        "env a --env nowhere",
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
    for args in [
        &["up", "--all", "-v"][..],
        &["migrate", "a", "--format", "json"],
        &["migrate", "--all", "--atomic=two-phase", "-v"],
        &["migrate", "a", "--atomic=two-phase", "--format", "json"],
    ] {
        let ran = sandbox.dbctl(args);
        assert_eq!(ran.code, 1, "{ran}");
        silent(args, &ran);
    }
    let env = sandbox.ok(&["env", "a"]);
    assert!(
        env.contains(IN_URL) && env.contains("kanarien/vogel@zaunkoenig"),
        "where it is asked for, it is: {env}"
    );
    for database in ["a", "b"] {
        let written = recorded(sandbox, database);
        assert!(!shows(&written), "{written}");
    }
    sandbox.ok(&["drop", "--all", "--yes"]);
    assert!(sandbox.root().join("frozen.json").exists());
    assert!(sandbox.read("seen").contains("dbctl"), "hooks see processes: {}", sandbox.read("ps-failed"));
    unwritten(sandbox, given);
}

#[test]
fn no_command_shows_a_password_however_it_is_given() {
    let mut server = OwnServer::start();
    server.query("postgres", &format!("alter role postgres password '{}'", CANARY.replace('\'', "''")));
    server.password = IN_URL.to_owned();
    let OwnServer { host, port, .. } = &server;

    // Written into the manifest, where every complaint shows the line.
    let sandbox = loud(Sandbox::new(
        &manifest(&format!("servers: {{ main: {{ url: '{}' }} }}\n", server.url("postgres")), ""),
        &FILES,
    ));
    all_is_silent(&sandbox, &["workspace.yaml"]);
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
    let mut sandbox = loud(Sandbox::new(&manifest("", "    url: ${DATABASE_URL}\n"), &FILES));
    sandbox.set("DATABASE_URL", &server.url("a_db")).set("PGHOST", host).set("PGPORT", &port.to_string());
    sandbox.set("PGUSER", "postgres").set("PGPASSWORD", CANARY);
    all_is_silent(&sandbox, &[]);
    sandbox.set("DATABASE_URL", &server.url("b"));
    let ran = sandbox.dbctl(&["up", "--all"]);
    silent(&["up"], &ran);
    ran.fails(3);

    // By libpq's variables in an env file.
    let sandbox = loud(Sandbox::new(&manifest("", ""), &FILES));
    let env = format!("PGHOST={host}\nPGPORT={port}\nPGUSER=postgres\n");
    sandbox.write(".env", format!("{env}PGPASSWORD=\"{}\"\n", CANARY.replace('\\', r"\\")));
    all_is_silent(&sandbox, &[".env"]);
    sandbox.write(".env", format!("{env}PGPASSWORD \"{CANARY}\"\n"));
    let ran = sandbox.dbctl(&["up", "--all"]);
    silent(&["up"], &ran);
    ran.fails(3);

    // By a password file.
    let sandbox = loud(Sandbox::new(&manifest("", ""), &FILES));
    sandbox.write(".env", env);
    let pass = sandbox.root().join("../.pgpass");
    fs::write(&pass, format!("{host}:{port}:*:postgres:{IN_PASSFILE}\n")).unwrap();
    set_mode(&pass, 0o600);
    all_is_silent(&sandbox, &[".pgpass"]);

    // By a service file.
    let mut sandbox = loud(Sandbox::new(&manifest("", ""), &FILES));
    let service = format!("[mine]\nhost={host}\nport={port}\nuser=postgres\npassword={CANARY}\n");
    let path = sandbox.root().join("../.pg_service.conf");
    fs::write(&path, &service).unwrap();
    sandbox.set("PGSERVICE", "mine");
    all_is_silent(&sandbox, &[".pg_service.conf"]);
    fs::write(&path, service.replace("password=", "passwort=")).unwrap();
    silent(&["up"], &sandbox.dbctl(&["up", "--all", "-v"]));

    // By variables of an env file that a URL is put together from.
    let sandbox = loud(Sandbox::new(
        &manifest("servers: { main: { url: 'postgres://postgres:${PW:?say it}@${HOST}/postgres' } }\n", ""),
        &FILES,
    ));
    sandbox.write(".env", format!("PW={IN_URL}\nHOST={host}:{port}\n"));
    all_is_silent(&sandbox, &[".env"]);
}

/// Fails in every way in which a server, a file or a program can, each where the password is near.
#[test]
fn no_failure_shows_a_password() {
    let mut server = OwnServer::start();
    let mut sandbox = loud(Sandbox::new(&manifest("", "    url: ${DATABASE_URL}\n"), &FILES));
    let hidden = |sandbox: &Sandbox, code: i32| {
        let mut said = String::new();
        for args in [
            &["up", "a", "--no-deps", "-v"][..],
            &["up", "a", "--no-deps", "--format", "json"],
            &["up", "a", "--no-deps", "--format", "ndjson"],
        ] {
            let ran = sandbox.dbctl(args);
            assert_eq!(ran.code, code, "{args:?} {ran}");
            silent(args, &ran);
            said += &ran.to_string();
        }
        for args in [
            "status a",
            "drop a --yes",
            "create a",
            "psql a -- -Xc \\q",
            "history show a",
            "plan up a --state",
        ] {
            let args: Vec<&str> = args.split(' ').collect();
            silent(&args, &sandbox.dbctl(&args));
        }
        said
    };
    // Connecting: password, place, name, TLS.
    let (host, port) = (server.host.clone(), server.port);
    for (at, says) in [
        (format!("{host}:{port}/a_db"), "refuses the password"),
        (format!("{host}:1/a_db"), "no PostgreSQL server answers"),
        (format!("no-such-host.invalid:{port}/a_db"), "no PostgreSQL server answers"),
        (format!("{host}:{port}/a_db?sslmode=require"), "has no TLS"),
    ] {
        sandbox.set("DATABASE_URL", &format!("postgres://postgres:{IN_URL}@{at}"));
        let said = hidden(&sandbox, 1);
        assert!(said.contains(says), "{at}: {said}");
    }
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, pem) in [("server.crt", own.cert.pem()), ("server.key", own.signing_key.serialize_pem())] {
        // The server's working folder is its data.
        let write = format!(
            "copy (select unnest(string_to_array('{}', E'\\n'))) to program 'umask 077; cat > {name}'",
            pem.trim()
        );
        server.query("postgres", &write);
    }
    server.query("postgres", "alter system set ssl = on");
    server.query("postgres", "select pg_reload_conf()");
    let uses_tls = || server.query("postgres", "show ssl") == "on\n";
    until("the server has TLS", uses_tls);
    sandbox.set(
        "DATABASE_URL",
        &format!("postgres://postgres:{IN_URL}@{host}:{port}/a_db?sslmode=verify-full&sslrootcert=system"),
    );
    let said = hidden(&sandbox, 1);
    assert!(said.contains("TLS with") || said.contains("certificate"), "{said}");

    // Files that hold it, and programs that print it.
    server.query("postgres", &format!("alter role postgres password '{}'", CANARY.replace('\'', "''")));
    server.password = IN_URL.to_owned();
    let url = server.url("a_db");
    sandbox.set("DATABASE_URL", &url);
    for (path, sql, says) in [
        ("migrations/20260102000000_bad.sql", format!("select dblink('{url}', 'x') frm t;\n"), "bad.sql"),
        ("migrations/20260102000000_bad.sql", format!("select '{url}'::int;\n"), "invalid input syntax"),
        (
            "migrations/20260102000000_bad.sql",
            format!("-- dbctl:no-transaction\nselect '{url}'::int;\n"),
            "invalid input syntax",
        ),
        (
            "migrations/20260102000000_bad.sql",
            format!("do $$ begin raise warning 'at {url}'; raise exception 'no: {url}'; end $$;\n"),
            "no: ",
        ),
        (
            "migrations/20260102000000_bad.sql",
            format!(
                "create table u (u text unique); insert into u values ('{url}');\ninsert into u values ('{url}');\n"
            ),
            "duplicate key",
        ),
        ("migrations/20260102000000_bad.sql", format!("select 'open {url}\n"), "bad.sql"),
        (
            "migrations/20260102000000_bad.sql",
            "alter role postgres connection limit 1 password 'kanarien-zaunkoenig' nonsense;\n".to_owned(),
            "nonsense",
        ),
        ("seeds/v.sql", format!("select '{url}'::int;\n"), "v.sql"),
        ("seeds/v.sh", "echo \"$DATABASE_URL $PGPASSWORD\"; env >&2; exit 3\n".to_owned(), "v.sh"),
    ] {
        sandbox.write(path, &sql);
        let said = hidden(&sandbox, 1);
        assert!(said.contains(says), "{sql}: {said}");
        fs::remove_file(sandbox.root().join(path)).unwrap();
        server.query("postgres", "drop database if exists a_db");
    }
    sandbox.write("seeds/t.csv", format!("id\n{url}\n"));
    hidden(&sandbox, 1);
    sandbox.write("seeds/t.csv", "id\n1\n");

    // Killed in the middle, and what shows of it to others.
    server.query("postgres", "drop database if exists a_db");
    sandbox.write("migrations/20260102000000_slow.sql", "select pg_sleep(424244);\n");
    let running = Running::start(sandbox.command(binary()).args(["up", "a", "--no-deps"]));
    until("it sleeps", || {
        server.query(
            "postgres",
            "select count(*) from pg_stat_activity where query ~ '^select pg_sleep.424244'",
        ) == "1\n"
    });
    let shown = server.query(
        "postgres",
        "select string_agg(application_name || query, ' ') from pg_stat_activity where datname = 'a_db'",
    );
    assert!(shown.contains("dbctl up ") && !shows(&shown), "{shown}");
    running.signal("KILL");
    silent(&["up"], &running.wait(Duration::from_secs(60)));
    server.query("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'pg_sleep.424244' and pid <> pg_backend_pid()");
    for args in
        [&["history", "runs", "a"][..], &["status", "a", "-v"], &["history", "runs", "a", "--format", "json"]]
    {
        silent(args, &sandbox.dbctl(args));
    }
    unwritten(&sandbox, &[]);
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
    assert_eq!(seed.wait(Duration::from_secs(60)).code, 130);
}

/// A run that is killed between its phases: what is in doubt then, and all that is done about it.
#[test]
fn what_is_in_doubt_shows_no_password() {
    let mut server = OwnServer::start();
    server.query("postgres", &format!("alter role postgres password '{}'", CANARY.replace('\'', "''")));
    server.password = IN_URL.to_owned();
    let mut sandbox = loud(Sandbox::new(
        &manifest("", "    url: ${A_URL}\n")
            .replace("b: {}", "b:\n    url: ${B_URL}\n    migrations: [{ path: b, format: native }]"),
        &FILES,
    ));
    sandbox.write("b/20260101000000_u.sql", "create table u (id int);\n");
    sandbox.set("A_URL", &server.url("a_db")).set("B_URL", &server.url("b"));
    sandbox.ok(&["create", "--all"]);
    sandbox.ok(&["migrate", "--all", "--atomic=two-phase"]);
    for (n, direction) in [(1, "--commit"), (2, "--rollback")] {
        for folder in ["migrations", "b"] {
            sandbox.write(
                &format!("{folder}/2026010{}000000_next.sql", n + 1),
                format!("create table next_{n} ();\n"),
            );
        }
        let lock = hold(&server.url("a_db"), "begin; lock table dbctl.decisions in access exclusive mode");
        let run =
            Running::start(sandbox.command(binary()).args(["migrate", "--all", "--atomic=two-phase", "-v"]));
        let deciding = "select count(*) from pg_stat_activity where wait_event = 'relation' \
                        and query ilike 'insert into%decisions%' and application_name like 'dbctl migrate %'";
        until("it is about to decide", || server.query("postgres", deciding) == "1\n");
        let prepared = server.query("postgres", "select string_agg(p::text, ' ') from pg_prepared_xacts p");
        assert!(prepared.contains("a_db") && !shows(&prepared), "{prepared}");
        run.signal("KILL");
        silent(&["migrate"], &run.wait(Duration::from_secs(60)));
        drop(lock);
        let left = "select count(*) from pg_stat_activity where application_name like 'dbctl %'";
        until("its sessions have ended", || server.query("postgres", left) == "0\n");

        let (_, status) = sandbox.json(&["status", "b"]);
        let id = status["databases"][0]["prepared"][0]["run"].as_str().unwrap().to_owned();
        // Where the decision is cannot be reached.
        sandbox.set("A_URL", &format!("postgres://postgres:{IN_URL}@{}:1/a_db", server.host));
        for (args, code) in [
            (&["status", "b", "-v"][..], 0),
            (&["status", "b", "--check", "--format", "json"], 4),
            (&["migrate", "b", "-v"], 1),
            (&["history", "resolve", "b", "--run", &id, direction, "--yes", "-v"], 0),
            (&["history", "resolve", "b", "--run", &id, direction, "--yes", "--format", "json"], 1),
        ] {
            let ran = sandbox.dbctl(args);
            silent(args, &ran);
            assert_eq!(ran.code, code, "{args:?} {ran}");
        }
        sandbox.set("A_URL", &server.url("a_db"));
        for args in
            [&["migrate", "--all", "-v"][..], &["history", "runs"], &["status", "--all", "--check", "-v"]]
        {
            let ran = sandbox.dbctl(args);
            silent(args, &ran);
            ran.ok();
        }
        for database in ["a", "b"] {
            let written = recorded(&sandbox, database);
            assert!(!shows(&written), "{written}");
        }
    }
    unwritten(&sandbox, &[]);
}
