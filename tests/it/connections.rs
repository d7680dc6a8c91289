//! Reaching servers: what can go wrong has a message and a hint of its own, and libpq's conventions hold end to end.

use std::{fs, net::TcpListener};

use crate::{
    own_server::OwnServer,
    support::{Ran, Sandbox, set_mode},
};

/// A workspace with one database that has a migration.
fn workspace(server: &str, database: &str) -> Sandbox {
    Sandbox::new(
        &format!(
            "workspace: a\n{server}databases:\n  a: {{ {database}name: a_db, migrations: [{{ path: migrations, format: native }}] }}\n"
        ),
        &[("migrations/20260101000000_t.sql", "create table t (id int);\n")],
    )
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[track_caller]
fn says(sandbox: &Sandbox, server: &OwnServer, ran: Ran) -> String {
    let said = ran.fails(1);
    for secret in [server.password.as_str(), "wrong-password"] {
        assert!(!said.contains(secret), "{said}");
    }
    sandbox.redact(&said)
}

#[test]
fn four_failures_are_four_errors_with_hints() {
    let server = OwnServer::start();
    let sandbox = workspace("", "url: '${URL}', ");
    let with = |url: &str, args: &[&str]| {
        let mut command = sandbox.command(crate::support::binary());
        Ran::of(command.env("URL", url).args(args).output().unwrap())
    };
    let up = ["up", "a"];
    let wrong = with(&server.url_as("postgres", "wrong-password", "a_db"), &up);
    insta::assert_snapshot!(says(&sandbox, &server, wrong), @r#"
    error: a: the server at 127.0.0.1:[PORT] refuses the password of user postgres
      settings: databases.a.url (workspace.yaml:3), URL from the environment
      help: the password in use is the URL's, else PGPASSWORD's, else that of the first fitting line of ~/.pgpass
    "#);
    let none = with(&format!("postgres://postgres@127.0.0.1:{}/a_db", server.port), &up);
    insta::assert_snapshot!(says(&sandbox, &server, none), @r#"
    error: a: the server at 127.0.0.1:[PORT] wants a password for user postgres, and none is set
      settings: databases.a.url (workspace.yaml:3), URL from the environment
      help: put it into PGPASSWORD, or as host:port:database:user:password into ~/.pgpass (mode 0600)
    "#);
    let nobody = server.url("a_db").replace(&server.port.to_string(), &closed_port().to_string());
    insta::assert_snapshot!(says(&sandbox, &server, with(&nobody, &up)), @r#"
    error: a: no PostgreSQL server answers at 127.0.0.1:[PORT]: Connection refused
      settings: databases.a.url (workspace.yaml:3), URL from the environment
      help: is the server running, and are host and port right?
    "#);
    let nowhere = with("postgres://u:wrong-password@no-such-host.invalid/a_db", &up);
    let nowhere = says(&sandbox, &server, nowhere);
    assert!(nowhere.contains("a: no PostgreSQL server answers at no-such-host.invalid:5432: "), "{nowhere}");
    let missing = with(&server.url("a_db"), &["migrate", "a"]);
    insta::assert_snapshot!(says(&sandbox, &server, missing), @"
    error: a: the database a_db does not exist on 127.0.0.1:[PORT]
      help: make it with `dbctl create a`
    ");
    let tls = with(&format!("{}?sslmode=require", server.url("a_db")), &up);
    insta::assert_snapshot!(says(&sandbox, &server, tls), @r#"
    error: a: TLS with 127.0.0.1:[PORT] failed: the server has no TLS
      settings: databases.a.url (workspace.yaml:3), URL from the environment
      help: sslmode=prefer connects without TLS where the server has none
    "#);
    let role = with(&server.url_as("nobody", "wrong-password", "a_db"), &up);
    insta::assert_snapshot!(says(&sandbox, &server, role), @r#"
    error: a: the server at 127.0.0.1:[PORT] refuses the password of user nobody
      settings: databases.a.url (workspace.yaml:3), URL from the environment
      help: the password in use is the URL's, else PGPASSWORD's, else that of the first fitting line of ~/.pgpass
    "#);
    for args in
        [&["status", "a"][..], &["drop", "a", "--yes"], &["clean", "a", "--yes"], &["rollback", "a", "--yes"]]
    {
        let ran = with(&nobody, args);
        assert!(ran.stderr.contains("no PostgreSQL server answers at 127.0.0.1:"), "{args:?}: {ran}");
        assert_eq!(ran.code, 1, "{args:?}: {ran}");
    }
    assert_eq!(server.databases(), "");

    let malformed = with("postgres://u:wrong-password@h:port/a_db", &up).fails(3);
    assert!(malformed.contains("port") && !malformed.contains("wrong-password"), "{malformed}");
    let malformed = with("u:wrong-password@h/a_db", &up).fails(3);
    assert!(malformed.contains("neither a URL nor") && !malformed.contains("wrong-password"), "{malformed}");
}

/// `up` does its work on that server, and `psql` and `env` lead there as well.
#[track_caller]
fn works(sandbox: &Sandbox, server: &OwnServer) {
    sandbox.ok(&["up", "--all"]);
    assert_eq!(server.query("a_db", "select count(*) from t"), "0\n");
    assert_eq!(sandbox.query("a", "select count(*) from t"), "0\n");
    let user = sandbox.ok(&["psql", "a", "--", "-XAtc", "select current_user, current_database()"]);
    assert_eq!(user.trim_end(), "postgres|a_db");
    sandbox.ok(&["status", "--all", "--check"]);
    sandbox.ok(&["drop", "--all", "--yes"]);
    assert_eq!(server.databases(), "");
    assert!(!sandbox.has_server(), "no server of dbctl's own was started");
}

#[test]
fn libpqs_conventions_lead_to_a_server() {
    let server = OwnServer::start();
    let OwnServer { host, port, password, .. } = &server;

    let sandbox = workspace("", "");
    sandbox.write(".env", format!("PGHOST={host}\nPGPORT={port}\nPGUSER=postgres\nPGPASSWORD={password}\n"));
    works(&sandbox, &server);

    let mut sandbox = workspace("", "");
    let pass = sandbox.root().join("pass");
    fs::write(&pass, format!("# mine\nelsewhere:*:*:*:no\n{host}:{port}:*:postgres:{password}\n")).unwrap();
    set_mode(&pass, 0o600);
    sandbox.set("PGPASSFILE", pass.to_str().unwrap()).set("PGHOST", host).set("PGUSER", "postgres");
    sandbox.set("PGPORT", &port.to_string());
    works(&sandbox, &server);

    // In the home folder, by a service of its own.
    let mut sandbox = workspace("", "");
    let home = sandbox.root().join("..");
    fs::write(home.join(".pgpass"), format!("*:{port}:*:postgres:{password}\n")).unwrap();
    set_mode(&home.join(".pgpass"), 0o600);
    let service = format!("[other]\nhost=nowhere\n\n[mine]\nhost={host}\nport={port}\nuser=postgres\n");
    fs::write(home.join(".pg_service.conf"), service).unwrap();
    sandbox.set("PGSERVICE", "mine");
    works(&sandbox, &server);
    sandbox.set("PGSERVICE", "mien");
    let said = sandbox.dbctl(&["status", "--all"]);
    assert!(said.code != 0 && said.stderr.contains("mien"), "{said}");

    // A password file that others may read is not read, as with libpq.
    set_mode(&home.join(".pgpass"), 0o644);
    sandbox.set("PGSERVICE", "mine");
    for args in [["up", "--all"], ["status", "--all"]] {
        let said = sandbox.dbctl(&args).fails(1);
        assert!(said.contains("wants a password") && !said.contains(password.as_str()), "{said}");
        assert!(said.contains("others may read it; chmod 0600 makes it count"), "{said}");
    }

    // Keywords, a server's url, several hosts of which the first is dead.
    let dead = closed_port();
    let keywords = format!("host={host} port={port} user=postgres password={password}");
    works(&workspace(&format!("servers: {{ main: {{ url: '{keywords}' }} }}\n"), ""), &server);
    let hosts = format!("postgres://postgres:{password}@{host}:{dead},{host}:{port}/a_db?connect_timeout=5");
    works(&workspace("", &format!("url: '{hosts}', ")), &server);
    let hosts = format!("host={host},{host} port={dead},{port} user=postgres password={password}");
    works(&workspace(&format!("servers: {{ main: {{ url: '{hosts}' }} }}\n"), ""), &server);
    let both = format!("postgres://postgres:{password}@{host}:{dead},{host}:{dead}/a_db");
    let sandbox = workspace("", &format!("url: '{both}', "));
    let said = sandbox.dbctl(&["up", "--all"]).fails(1);
    assert!(
        said.contains(&format!("{host}:{dead}, {host}:{dead}"))
            || said.matches(&dead.to_string()).count() > 1,
        "{said}"
    );
}

#[test]
fn who_creates_may_be_another_than_who_works() {
    let server = OwnServer::start();
    server.query(
        "postgres",
        "create role app login password 'app-word'; create role boss login superuser password 'boss-word'",
    );
    let sandbox = workspace(
        &format!(
            "servers: {{ main: {{ url: '{}', admin_url: '{}' }} }}\n",
            server.url_as("app", "app-word", "postgres"),
            server.url_as("boss", "boss-word", "postgres")
        ),
        "owner: app, extensions: [hstore], ",
    );
    sandbox.ok(&["up", "--all"]);
    let owners = "select pg_get_userbyid(datdba), (select tableowner from pg_tables where tablename = 't') \
                  from pg_database where datname = 'a_db'";
    assert_eq!(server.query("a_db", owners), "app|app\n");
    assert_eq!(server.query("a_db", "select count(*) from pg_extension where extname = 'hstore'"), "1\n");
    sandbox.ok(&["drop", "--all", "--yes"]);
    assert_eq!(server.databases(), "");
}
