//! Connecting for real, to servers of our own.

use std::net::TcpListener;

use futures::StreamExt;
use secrecy::ExposeSecret;
use tokio_postgres::SimpleQueryMessage;

use super::{
    connect,
    test_server::{PASSWORD, TestServer, Wanted},
    *,
};
use crate::{
    PgVars,
    libpq::{self, Settings},
};

/// A port where nobody listens.
const DEAD: u16 = 1;

/// Settings of a keyword string; `NAME/` stands for the server's folder, `PORT` for its port.
fn settings(server: &TestServer, text: &str) -> Settings {
    let folder = server.file("").display().to_string();
    let text = text.replace("PORT", &server.port.to_string()).replace("FOLDER/", &folder);
    let password = PASSWORD.replace('\\', r"\\").replace('\'', r"\'");
    let text = text.replace("RIGHT", &format!("'{password}'"));
    libpq::settings(&text, &PgVars::default()).unwrap()
}

/// The first column of the first row.
async fn ask(connected: Connected, sql: &str) -> Result<String, tokio_postgres::Error> {
    let Connected { client, mut messages, canceller: _ } = connected;
    let mut query = std::pin::pin!(client.simple_query(sql));
    let rows = loop {
        tokio::select! {
            rows = &mut query => break rows?,
            message = messages.next() => assert!(message.unwrap().is_ok()),
        }
    };
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    Ok(row.unwrap_or_default())
}

/// What comes of connecting: an answer to the question, or the failure without what changes from run to run.
async fn outcome(server: &TestServer, text: &str, database: &str, question: &str) -> String {
    let settings = settings(server, text);
    match connect(&settings, database, "dbctl test 1").await {
        Ok(connected) => ask(connected, question).await.unwrap(),
        Err(error) => {
            let shown = format!("{error} [{}]", error.failure.hint().unwrap_or_default());
            assert!(!shown.contains(PASSWORD) && !format!("{error:?}").contains(PASSWORD));
            assert!(!shown.contains("wr0ng") && !format!("{error:?}").contains("wr0ng"));
            shown
                .replace(&server.file("").display().to_string(), "FOLDER/")
                .replace(&server.port.to_string(), "PORT")
                // As PostgreSQL 12 and 13 say it.
                .replace("SSL off", "no encryption")
        }
    }
}

/// The engine's traits hand out futures that are `Send`.
#[test]
fn connecting_and_cancelling_can_move_between_threads() {
    fn connecting(settings: &Settings) -> impl Future<Output = Result<Connected, ConnectError>> + Send + '_ {
        connect(settings, "", "")
    }
    fn cancelling(canceller: &Canceller) -> impl Future + Send + '_ {
        canceller.cancel()
    }
    let _ = (connecting, cancelling);
}

async fn run(server: &TestServer, sql: &str) {
    let settings = settings(server, "host=127.0.0.1 port=PORT user=postgres password=RIGHT");
    ask(connect(&settings, "postgres", "").await.unwrap(), sql).await.unwrap();
}

#[tokio::test]
async fn without_tls() {
    let hba = "host all refused all reject\nlocal all peered peer\nhost all trusted,ghost all trust";
    let config = "superuser_reserved_connections = 1";
    let server = TestServer::start(&Wanted { hba, config, ..Wanted::default() });
    run(&server, "create role refused login password 'x'").await;
    run(&server, "create role peered login").await;
    run(&server, "create role full login password 'x' connection limit 0").await;
    run(&server, "create role trusted login").await;
    run(&server, "create database closed").await;
    run(&server, "revoke connect on database closed from public").await;

    const WHO: &str = "select current_user || ' ' || current_database() || ' ' || current_setting('application_name') \
                       || ' ' || current_setting('client_encoding') || ' ' || current_setting('work_mem')";
    let table = [
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=localhost port=PORT user=postgres password=RIGHT",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT options='-c work_mem=8MB' application_name=x",
            "template1",
            "postgres template1 dbctl test 1 UTF8 8MB",
        ),
        (
            "host=FOLDER/s port=PORT user=postgres password=RIGHT",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=FOLDER/s port=PORT user=postgres password=RIGHT sslmode=verify-full",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=name.invalid hostaddr=127.0.0.1 port=PORT user=postgres password=RIGHT",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=127.0.0.1,127.0.0.1 port=1,PORT user=postgres password=RIGHT",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=127.0.0.1,FOLDER/s port=1,PORT user=postgres password=RIGHT load_balance_hosts=random",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT sslmode=allow",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        ("host=127.0.0.1 port=PORT user=trusted", "postgres", "trusted postgres dbctl test 1 UTF8 4MB"),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT target_session_attrs=primary",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT target_session_attrs=prefer-standby",
            "postgres",
            "postgres postgres dbctl test 1 UTF8 4MB",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=wr0ng",
            "postgres",
            "the server at 127.0.0.1:PORT refuses the password of user postgres [the password in use is the URL's, else \
             PGPASSWORD's, else that of the first fitting line of ~/.pgpass]",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres",
            "postgres",
            "the server at 127.0.0.1:PORT wants a password for user postgres, and none is set [put it into PGPASSWORD, or \
             as host:port:database:user:password into ~/.pgpass (mode 0600)]",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT",
            "missing",
            "the database missing does not exist on 127.0.0.1:PORT [`dbctl create` makes it]",
        ),
        (
            "host=127.0.0.1 port=1 user=postgres password=RIGHT",
            "postgres",
            "no PostgreSQL server answers at 127.0.0.1:1: Connection refused (os error 111) [is the server running, and \
             are host and port right?]",
        ),
        (
            "host=FOLDER/none port=1 user=postgres password=RIGHT",
            "postgres",
            "no PostgreSQL server answers at FOLDER/none/.s.PGSQL.1: No such file or directory (os error 2) [is the server \
             running, and does it keep its socket there? host=localhost connects over TCP]",
        ),
        (
            "host=127.0.0.1,FOLDER/none port=1 user=postgres password=RIGHT",
            "postgres",
            "no PostgreSQL server answers at 127.0.0.1:1,FOLDER/none/.s.PGSQL.1: 127.0.0.1:1: Connection refused (os error \
             111); FOLDER/none/.s.PGSQL.1: No such file or directory (os error 2) [is the server running, and are host \
             and port right?]",
        ),
        (
            // A server that refuses the log-in ends the search.
            "host=127.0.0.1,127.0.0.1 port=PORT,1 user=postgres password=wr0ng",
            "postgres",
            "the server at 127.0.0.1:PORT refuses the password of user postgres [the password in use is the URL's, else \
             PGPASSWORD's, else that of the first fitting line of ~/.pgpass]",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT sslmode=require",
            "postgres",
            "TLS with 127.0.0.1:PORT failed: the server has no TLS [sslmode=prefer connects without TLS where the server \
             has none]",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT channel_binding=require",
            "postgres",
            "127.0.0.1:PORT answers, but the log-in failed: server did not use channel binding []",
        ),
        (
            "host=127.0.0.1 port=PORT user=postgres password=RIGHT target_session_attrs=read-only",
            "postgres",
            "no server among 127.0.0.1:PORT is read-only [name other hosts, or another target_session_attrs]",
        ),
        (
            "host=127.0.0.1,127.0.0.1 port=1,PORT user=postgres password=RIGHT target_session_attrs=standby",
            "postgres",
            "no server among 127.0.0.1:1,127.0.0.1:PORT is standby [name other hosts, or another target_session_attrs]",
        ),
        (
            "host=127.0.0.1 port=PORT user=refused password=x",
            "postgres",
            "127.0.0.1:PORT refuses the connection: pg_hba.conf rejects connection for host \"127.0.0.1\", user \"refused\", \
             database \"postgres\", no encryption (SQLSTATE 28000) [a line of pg_hba.conf has to let this user in from \
             this address; if it does so only over TLS, use sslmode=require]",
        ),
        (
            "host=127.0.0.1 port=PORT user=ghost",
            "postgres",
            "127.0.0.1:PORT refuses the connection: role \"ghost\" does not exist (SQLSTATE 28000) [create that role, or \
             name another user in the URL or in PGUSER]",
        ),
        (
            "host=FOLDER/s port=PORT user=peered",
            "postgres",
            "FOLDER/s/.s.PGSQL.PORT refuses the connection: Peer authentication failed for user \"peered\" (SQLSTATE 28000) \
             [over its socket the server lets in only the system's user of that name: use host=localhost and a password]",
        ),
        (
            "host=127.0.0.1 port=PORT user=full password=x",
            "postgres",
            "127.0.0.1:PORT refuses the connection: too many connections for role \"full\" (SQLSTATE 53300) [ALTER \
             ROLE … CONNECTION LIMIT raises it; else wait until other sessions end]",
        ),
        (
            "host=127.0.0.1 port=PORT user=trusted",
            "closed",
            "127.0.0.1:PORT refuses the connection: permission denied for database \"closed\" (SQLSTATE 42501) [the role \
             needs the right to connect: GRANT CONNECT ON DATABASE … TO …]",
        ),
    ];
    for (text, database, expected) in table {
        assert_eq!(outcome(&server, text, database, WHO).await, expected, "{text}");
    }
}

#[tokio::test]
async fn over_tls() {
    let hba = "hostssl all tlsonly all scram-sha-256\nhost all tlsonly all reject\n\
               hostnossl all plainonly all scram-sha-256\nhost all plainonly all reject\n\
               hostssl all certified all scram-sha-256 clientcert=verify-ca";
    let server = TestServer::start(&Wanted { names: &["localhost", "db.example"], hba, ..Wanted::default() });
    for role in ["tlsonly", "plainonly", "certified"] {
        run(&server, &format!("create role {role} login password 'x'")).await;
    }
    const TLS: &str =
        "select coalesce((select version from pg_stat_ssl where pid = pg_backend_pid() and ssl), 'plain')";
    const AUTHORITY: &str =
        "[name the file of the authority that signed it with sslrootcert= or PGSSLROOTCERT]";
    const NAME: &str = "[connect by a name that the certificate lists as subjectAltName; sslmode=verify-ca does not look \
                        at the name]";
    let unknown = format!(
        "TLS with localhost:PORT failed: the server's certificate is not signed by an authority in FOLDER/other.crt {AUTHORITY}"
    );
    let wrong_host = format!(
        "TLS with 127.0.0.1:PORT failed: the server's certificate is not for 127.0.0.1, but for localhost, \
         db.example {NAME}"
    );
    let plain = "plain".to_owned();
    let tls = "TLSv1.3".to_owned();
    let postgres = "port=PORT user=postgres password=RIGHT";
    let table = [
        (format!("host=localhost {postgres} sslmode=disable"), &plain),
        (format!("host=localhost {postgres} sslmode=allow"), &plain),
        (format!("host=localhost {postgres}"), &tls),
        (format!("host=localhost {postgres} ssl_max_protocol_version=TLSv1.2"), &"TLSv1.2".to_owned()),
        (format!("host=localhost {postgres} sslmode=require"), &tls),
        (format!("host=localhost {postgres} sslmode=require channel_binding=require"), &tls),
        (format!("host=localhost {postgres} sslmode=require channel_binding=disable sslsni=0"), &tls),
        // A name that no certificate can have.
        (format!("host='no name!' hostaddr=127.0.0.1 {postgres} sslmode=require"), &tls),
        (format!("host=localhost {postgres} sslmode=require sslrootcert=FOLDER/authority.crt"), &tls),
        (format!("host=127.0.0.1 {postgres} sslmode=require sslrootcert=FOLDER/authority.crt"), &tls),
        (format!("host=localhost {postgres} sslmode=require sslrootcert=FOLDER/other.crt"), &unknown),
        (format!("host=localhost {postgres} sslmode=verify-ca sslrootcert=FOLDER/authority.crt"), &tls),
        (format!("host=127.0.0.1 {postgres} sslmode=verify-ca sslrootcert=FOLDER/authority.crt"), &tls),
        (format!("host=localhost {postgres} sslmode=verify-ca sslrootcert=FOLDER/other.crt"), &unknown),
        (format!("host=localhost {postgres} sslmode=verify-full sslrootcert=FOLDER/authority.crt"), &tls),
        (format!("host=db.example hostaddr=127.0.0.1 {postgres} sslmode=verify-full sslrootcert=FOLDER/authority.crt"), &tls),
        (format!("host=127.0.0.1 {postgres} sslmode=verify-full sslrootcert=FOLDER/authority.crt"), &wrong_host),
        (format!("host=localhost {postgres} sslmode=verify-full sslrootcert=FOLDER/other.crt"), &unknown),
        // The server's own certificate, pinned.
        (format!("host=localhost {postgres} sslmode=verify-full sslrootcert=FOLDER/server.crt"), &tls),
        // As libpq: prefer goes on without TLS where the certificate does not do.
        (format!("host=localhost {postgres} sslmode=prefer sslrootcert=FOLDER/other.crt"), &plain),
        ("host=localhost port=PORT user=tlsonly password=x sslmode=allow".to_owned(), &tls),
        ("host=localhost port=PORT user=plainonly password=x".to_owned(), &plain),
        (
            "host=127.0.0.1 port=PORT user=tlsonly password=x sslmode=disable".to_owned(),
            &"127.0.0.1:PORT refuses the connection: pg_hba.conf rejects connection for host \"127.0.0.1\", user \
              \"tlsonly\", database \"postgres\", no encryption (SQLSTATE 28000) [a line of pg_hba.conf has to let this user in from \
              this address; if it does so only over TLS, use sslmode=require]"
                .to_owned(),
        ),
        (
            "host=localhost port=PORT user=certified password=x sslmode=require sslcert=FOLDER/client.crt \
             sslkey=FOLDER/client.key"
                .to_owned(),
            &tls,
        ),
        (
            "host=localhost port=PORT user=certified password=x sslmode=require".to_owned(),
            &"localhost:PORT refuses the connection: connection requires a valid client certificate (SQLSTATE 28000) [sslcert= \
              and sslkey= name the client certificate]"
                .to_owned(),
        ),
        (
            format!("host=localhost {postgres} sslmode=require sslrootcert=FOLDER/none.crt"),
            &"TLS with localhost:PORT failed: FOLDER/none.crt cannot be read: No such file or directory (os error 2) \
              [sslrootcert, sslcert and sslkey name PEM files, by default in ~/.postgresql]"
                .to_owned(),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(outcome(&server, &text, "postgres", TLS).await, *expected, "{text}");
    }
    let found = settings(&server, &format!("host=localhost {postgres} sslrootcert=system"));
    let error = connect(&found, "postgres", "").await.err().unwrap();
    assert!(matches!(error.failure, ConnectFailure::Tls { .. }), "{error}");
    // What is written down again connects, too.
    let found = settings(
        &server,
        &format!("host=localhost {postgres} sslmode=verify-full sslrootcert=FOLDER/authority.crt"),
    );
    let again = libpq::settings(found.url("postgres").expose_secret(), &PgVars::default()).unwrap();
    assert_eq!(ask(connect(&again, "postgres", "").await.unwrap(), TLS).await.unwrap(), "TLSv1.3");
    for text in ["host=localhost sslmode=require", "host=localhost sslmode=disable", "host=FOLDER/s"] {
        cancel_ends_what_runs(&settings(&server, &format!("{text} {postgres}"))).await;
    }
}

async fn cancel_ends_what_runs(settings: &Settings) {
    let connected = connect(settings, "postgres", "").await.unwrap();
    let canceller = connected.canceller.clone();
    let cancel = async {
        let sleeps = "select (count(*) = 1)::text from pg_stat_activity where wait_event = 'PgSleep'";
        while ask(connect(settings, "postgres", "").await.unwrap(), sleeps).await.unwrap() != "true" {}
        canceller.cancel().await.unwrap();
    };
    let (answer, ()) = futures::join!(ask(connected, "select pg_sleep(3600)"), cancel);
    assert_eq!(answer.unwrap_err().code().unwrap().code(), "57014");
}

#[tokio::test]
async fn standbys() {
    let primary = TestServer::start(&Wanted::default());
    let standby = TestServer::start(&Wanted { standby: true, ..Wanted::default() });
    const STANDBY: &str = "select pg_is_in_recovery()";
    for (target, expected) in [
        ("any", "f"),
        ("primary", "f"),
        ("read-write", "f"),
        ("standby", "t"),
        ("read-only", "t"),
        ("prefer-standby", "t"),
    ] {
        let hosts =
            format!("host=127.0.0.1,127.0.0.1,127.0.0.1 port={DEAD},{},{}", primary.port, standby.port);
        let text = format!("{hosts} user=postgres password=RIGHT target_session_attrs={target}");
        assert_eq!(outcome(&primary, &text, "postgres", STANDBY).await, expected, "{target}");
    }
}

#[tokio::test]
async fn strangers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let text = format!("host=127.0.0.1 port={port} user=u password=p connect_timeout=1");
    let found = libpq::settings(&text, &PgVars::default()).unwrap();
    let error = connect(&found, "d", "").await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("no PostgreSQL server answers at 127.0.0.1:{port}: no answer within 1 s")
    );
    std::thread::spawn(move || {
        for stream in silent.incoming() {
            drop(stream);
        }
    });
    for mode in ["prefer", "disable", "require"] {
        let found = libpq::settings(&format!("{text} sslmode={mode}"), &PgVars::default()).unwrap();
        let error = connect(&found, "d", "").await.err().unwrap();
        assert!(matches!(error.failure, ConnectFailure::Unreachable { .. }), "{error}");
    }
}
