//! Connections that are lost, and servers that go and come back: between two migrations a run goes on, in the middle of
//! one it says what became of it.

use std::{path::PathBuf, time::Duration};

use crate::{
    own_server::OwnServer,
    process::{Running, signal, until},
    proxy::Proxy,
    support::{Sandbox, binary},
};

/// What makes the session as new before each file but the first.
const BETWEEN: &str = "RESET SESSION AUTHORIZATION";

/// What a run may take that has to wait for a server.
const BOUND: Duration = Duration::from_secs(60);

const FILES: [(&str, &str); 3] = [
    ("m/20260101000000_one.sql", "create table ran (name text);\ninsert into ran values ('one');\n"),
    ("m/20260102000000_two.sql", "insert into ran values ('two');\nselect pg_sleep(0.01);\n"),
    ("m/20260103000000_three.sql", "insert into ran values ('three');\n"),
];

/// A workspace behind a proxy, with its database.
fn behind(server: &OwnServer, proxy: &Proxy) -> Sandbox {
    let manifest =
        "workspace: w\ndatabases:\n  a: { url: '${URL}', migrations: [{ path: m, format: native }] }\n";
    let mut sandbox = Sandbox::new(manifest, &FILES);
    sandbox.set("URL", &url(server, proxy.port));
    server.query("postgres", "create database a");
    sandbox
}

fn url(server: &OwnServer, port: u16) -> String {
    format!("postgres://postgres:{}@127.0.0.1:{port}/a?sslmode=disable", server.password)
}

fn ran(server: &OwnServer) -> String {
    server.query("a", "select string_agg(name, ' ') from ran")
}

#[test]
fn a_connection_that_is_lost_between_two_migrations_is_made_anew() {
    let server = OwnServer::start();
    let proxy = Proxy::start(server.port);
    let sandbox = behind(&server, &proxy);
    proxy.cut(BETWEEN, 3, || {});
    let (code, document) = sandbox.json(&["migrate", "a"]);
    assert!(proxy.was_cut());
    assert_eq!(code, 0, "{document}");
    assert_eq!(document["databases"][0]["migrations"].as_array().unwrap().len(), 3, "{document}");
    let warned = document["databases"][0]["warnings"][0].as_str().unwrap_or_else(|| panic!("{document}"));
    assert!(
        warned.contains("the connection to a was lost") && warned.contains("connecting again"),
        "{warned}"
    );
    assert_eq!(ran(&server), "one two three\n");
    sandbox.ok(&["status", "a", "--check"]);
}

#[test]
fn what_another_run_did_meanwhile_is_not_done_again() {
    let server = OwnServer::start();
    let proxy = Proxy::start(server.port);
    let sandbox = behind(&server, &proxy);
    let mut other = sandbox.command(binary());
    other.args(["migrate", "a", "--format", "json"]).env("URL", url(&server, server.port));
    proxy.cut(BETWEEN, 2, move || assert!(other.output().unwrap().status.success()));
    let (code, document) = sandbox.json(&["migrate", "a"]);
    assert!(proxy.was_cut());
    assert_eq!(code, 0, "{document}");
    let migrations = document["databases"][0]["migrations"].as_array().unwrap();
    assert_eq!(migrations.len(), 1, "the other run did the rest: {document}");
    assert_eq!(ran(&server), "one two three\n");
}

#[test]
fn a_connection_that_is_lost_in_the_middle_of_a_migration_is_reported() {
    let server = OwnServer::start();
    let proxy = Proxy::start(server.port);
    let sandbox = behind(&server, &proxy);
    proxy.cut("pg_sleep(0.01)", 1, || {});
    let (code, document) = sandbox.json(&["migrate", "a"]);
    assert!(proxy.was_cut());
    let database = &document["databases"][0];
    assert_eq!((code, &database["error"]["code"]), (1, &"connection_lost".into()), "{document}");
    let hint = database["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("run the command again"), "{hint}");
    assert_eq!(ran(&server), "one\n", "what was open is rolled back");
    sandbox.ok(&["migrate", "a"]);
    assert_eq!(ran(&server), "one two three\n");
}

/// Stops a server as its administrator would, and starts it again a moment later; it may come up on another port.
fn restart(server: &OwnServer, proxy: &Proxy) -> impl FnOnce() + Send + 'static {
    let data = server.query("postgres", "show data_directory").trim().to_owned();
    let moved = proxy.moved();
    let start = server.start_again();
    move || {
        let postmaster = PathBuf::from(&data).join("postmaster.pid");
        let pid = std::fs::read_to_string(&postmaster).unwrap();
        signal(pid.lines().next().unwrap(), "INT");
        until("the server is down", || !postmaster.exists());
        std::thread::spawn(move || {
            // Long enough for connections to be refused.
            std::thread::sleep(Duration::from_millis(700));
            moved(start());
        });
    }
}

#[test]
fn a_server_that_restarts_between_two_migrations_is_waited_for() {
    let server = OwnServer::start();
    let proxy = Proxy::start(server.port);
    let sandbox = behind(&server, &proxy);
    proxy.cut(BETWEEN, 3, restart(&server, &proxy));
    let run = Running::start(sandbox.command(binary()).args(["migrate", "a"])).wait(BOUND);
    assert!(proxy.was_cut());
    assert_eq!(run.code, 0, "{run}");
    sandbox.ok(&["status", "a", "--check"]);
    assert_eq!(sandbox.query("a", "select string_agg(name, ' ') from ran"), "one two three\n");
}

#[test]
fn a_server_that_starts_up_is_waited_for() {
    let server = OwnServer::start();
    let proxy = Proxy::start(server.port);
    let sandbox = behind(&server, &proxy);
    proxy.refuse(4, "57P03", "the database system is starting up");
    let ran_ = sandbox.dbctl(&["migrate", "a"]);
    assert_eq!(ran_.code, 0, "{ran_}");
    assert!(ran_.stderr.contains("the database system is starting up"), "{ran_}");
    assert_eq!(ran(&server), "one two three\n");

    // Whoever has waited long enough can say so.
    proxy.refuse(100_000, "57P03", "the database system is starting up");
    let run = Running::start(sandbox.command(binary()).args(["status", "a"]));
    until("it was refused", || proxy.refusals_left() < 100_000);
    run.signal("INT");
    let ran_ = run.wait(BOUND);
    assert_eq!(ran_.code, 130, "{ran_}");
}

#[test]
fn a_refused_connection_is_an_error_at_once() {
    let server = OwnServer::start();
    let proxy = Proxy::start(server.port);
    let sandbox = behind(&server, &proxy);
    // Whatever else the server says is its last word.
    proxy.refuse(1, "53300", "sorry, too many clients already");
    let said = sandbox.dbctl(&["migrate", "a"]).fails(1);
    assert!(said.contains("sorry, too many clients already") && said.contains("max_connections"), "{said}");

    sandbox.ok(&["migrate", "a"]);
}
