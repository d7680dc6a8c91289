//! What is written, against what it is read as: settings are shown as the URL they make, with the password.

use std::{fs, path::Path};

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn vars(pairs: &[(&str, &str)]) -> PgVars {
    PgVars::from_vars(pairs.iter().copied())
}

/// The settings as a URL, or the error with its hint.
fn read(text: &str, vars: &PgVars) -> String {
    match settings(text, vars) {
        Ok(settings) => {
            let url = settings.url(settings.database.as_deref().unwrap_or("-")).expose_secret().to_owned();
            url.strip_prefix("postgresql://").unwrap().to_owned()
        }
        Err(error) => format!("{} [{}]", error.message, error.hint.unwrap_or_default()),
    }
}

fn check(table: &[(&str, &str)]) {
    let vars = vars(&[("USER", "me")]);
    for (text, expected) in table {
        assert_eq!(read(text, &vars), *expected, "{text}");
    }
}

#[test]
fn urls() {
    check(&[
        ("postgresql://u:p@h:1/db", "u:p@h:1/db"),
        ("postgres://u@h/db", "u@h:5432/db"),
        ("postgres://h", "me@h:5432/-"),
        ("postgres://h/", "me@h:5432/-"),
        ("postgres://h?sslmode=disable", "me@h:5432/-?sslmode=disable"),
        ("postgres://u:@h/db", "u@h:5432/db"),
        ("postgres://u%40x:p%2Fa%23s%3As%25@h/d%20b", "u%40x:p%2Fa%23s%3As%25@h:5432/d%20b"),
        // As libpq: only `@` and `/` end the user's part.
        ("postgres://u:p:a#s?s@h/db", "u:p%3Aa%23s%3Fs@h:5432/db"),
        ("postgres://[::1]:7,[fe80::2]/db", "me@[::1]:7,[fe80::2]:5432/db"),
        ("postgres://a,b:2,c/db", "me@a:5432,b:2,c:5432/db"),
        ("postgres://u@/db?host=/run/pg&port=7", "u@/db?host=/run/pg&port=7"),
        ("postgresql:///db?host=/var/run/postgresql", "me@/db?host=/var/run/postgresql&port=5432"),
        ("postgres://%2Frun%2Fpg/db", "me@/db?host=/run/pg&port=5432"),
        ("postgres://h/db?host=a,/run/pg&port=3", "me@/db?host=a,/run/pg&port=3,3"),
        ("postgres://h/db?user=x&password=a%26b&dbname=e", "x:a%26b@h:5432/e"),
        ("postgres://h/db?hostaddr=10.0.0.1", "me@h:5432/db?hostaddr=10.0.0.1"),
        ("postgres:///db?hostaddr=10.0.0.1", "me@10.0.0.1:5432/db"),
        ("postgres://a,b/db?hostaddr=,10.0.0.1", "me@a:5432,b:5432/db?hostaddr=,10.0.0.1"),
        ("postgres://h/db?ssl=true", "me@h:5432/db?sslmode=require"),
        ("postgres://h/db?ssl=false", "me@h:5432/db?sslmode=disable"),
        ("postgres://h/db?sslmode=no-verify", "me@h:5432/db?sslmode=require"),
        ("postgres://h/db?sslrootcert=system", "me@h:5432/db?sslmode=verify-full&sslrootcert=system"),
        // Without being asked for: drivers take it for a file's name.
        ("postgres://h/db?sslmode=verify-full", "me@h:5432/db?sslmode=verify-full"),
        (
            "postgres://h/db?sslmode=verify-ca&sslrootcert=/ca",
            "me@h:5432/db?sslmode=verify-ca&sslrootcert=/ca",
        ),
        ("postgres://h/db?sslcert=/c&sslkey=/k&sslsni=0", "me@h:5432/db?sslcert=/c&sslkey=/k&sslsni=0"),
        (
            "postgres://h/db?sslmode=require&sslnegotiation=direct&channel_binding=require",
            "me@h:5432/db?sslmode=require&sslnegotiation=direct&channel_binding=require",
        ),
        ("postgres://h/db?ssl_min_protocol_version=TLSv1.3", "me@h:5432/db?ssl_min_protocol_version=TLSv1.3"),
        (
            "postgres://a,b/db?target_session_attrs=prefer-standby&load_balance_hosts=random",
            "me@a:5432,b:5432/db?target_session_attrs=prefer-standby&load_balance_hosts=random",
        ),
        (
            "postgres://h/db?keepalives=0&keepalives_idle=5&keepalives_count=2&tcp_user_timeout=1500",
            "me@h:5432/db?keepalives=0&keepalives_idle=5&keepalives_count=2&tcp_user_timeout=1500",
        ),
        ("postgres://h/db?connect_timeout=3", "me@h:5432/db?connect_timeout=3"),
        ("postgres://h/db?connect_timeout=0", "me@h:5432/db?connect_timeout=0"),
        ("postgres://h/db?options=-c%20work_mem%3D1MB", "me@h:5432/db?options=-c%20work_mem%3D1MB"),
        ("postgres://h/db?search_path=a,b", "me@h:5432/db?options=-c%20search_path%3Da,b"),
        ("postgres://h/db?application_name=x&gssencmode=prefer&client_encoding=UTF-8", "me@h:5432/db"),
        (
            "postgres://u:p@h/db?schema=s&connection_limit=5&pgbouncer=true&sslaccept=strict&x-migrations-table=m",
            "u:p@h:5432/db",
        ),
        ("postgres://h/db?sslpassword=x&sslidentity=i.p12", "me@h:5432/db"),
        ("postgres://h/db?sslidentity=i.p12&sslpassword=x", "me@h:5432/db"),
    ]);
}

#[test]
fn keyword_strings() {
    check(&[
        ("host=h port=1 user=u password=p dbname=d", "u:p@h:1/d"),
        ("  host = h  dbname = 'two words' ", "me@h:5432/two%20words"),
        (r"host=h password='it\'s \\ x' dbname=d", r"me:it%27s%20%5C%20x@h:5432/d"),
        (r"host=h password=a\ b dbname=d", "me:a%20b@h:5432/d"),
        ("host=h password='' dbname=d", "me@h:5432/d"),
        ("host=a,b port=1,2", "me@a:1,b:2/-"),
        ("host=a,b port=7", "me@a:7,b:7/-"),
        ("host=a,b port=,7", "me@a:5432,b:7/-"),
        ("host=::1 port=7", "me@[::1]:7/-"),
        ("host=h password=postgres://x", "me:postgres%3A%2F%2Fx@h:5432/-"),
        ("host=/run/pg user=u", "u@/-?host=/run/pg&port=5432"),
    ]);
}

#[test]
fn mistakes() {
    const ENCODE: &str = "the URL cannot be taken apart into user, password, host, port and database [percent-encode \
                          special characters of the user and the password: `@` as %40, `/` as %2F, `#` as %23, `:` \
                          as %3A, `?` as %3F, `%` as %25]";
    const PERCENT: &str = "the URL has a `%` that is not followed by two hexadecimal digits of UTF-8 text [a `%` that \
                           belongs to the password is written %25]";
    const NEITHER: &str = "the connection string is neither a URL nor a list of name=value [write \
                           postgresql://user@host:port/database, or host=… port=… user=… dbname=…]";
    const QUOTE: &str = "what follows the password in the connection string is no parameter [put a password with \
                         spaces in single quotes: password='…']";
    const SCHEME: &str = "write postgresql://user@host:port/database";
    check(&[
        ("postgres://u:s@cret@h/db", ENCODE),
        ("postgres://u:s/cret@h/db", ENCODE),
        ("postgres://u:12/cret@h/db", ENCODE),
        ("postgres://u:12?cret=x/y@h/db", ENCODE),
        ("postgres://u:s#/cret@h/db", ENCODE),
        ("postgres://u:s@cr/et@h/db", ENCODE),
        ("postgres://u:s%cret@h/db", PERCENT),
        ("postgres://u:s%00@h/db", PERCENT),
        ("postgres://h:port/db", ENCODE),
        ("postgres://::1/db", "an IPv6 address in a URL needs brackets [write [::1]:5432]"),
        ("postgres://[::1/db", "the IPv6 address in the URL has no closing bracket [write [::1]:5432]"),
        ("mysql://u:p@h/db", &format!("`mysql://` is no PostgreSQL URL [{SCHEME}]")),
        (
            "postgresql+asyncpg://u:p@h/db",
            &format!("`postgresql+asyncpg://` is no PostgreSQL URL [{SCHEME}]"),
        ),
        ("mydb", NEITHER),
        ("h:5432/db", NEITHER),
        ("host=h password=two words", QUOTE),
        ("host=h password=two word=s", QUOTE),
        ("host=h s3cr3t!=x", NEITHER),
        (
            "host=h password='open",
            r"a quoted value in the connection string has no closing quote [write \' for a quote inside a value]",
        ),
        ("hots=h", "unknown connection parameter `hots` [did you mean `host`?]"),
        ("postgres://h/db?ssl_mode=x", "unknown connection parameter `ssl_mode` [did you mean `sslmode`?]"),
        ("postgres://h/db?frobnicate=1", "unknown connection parameter `frobnicate` []"),
        (
            "postgres://h/db?sslmode=strict",
            "invalid value for `sslmode` [it is one of disable, allow, prefer, require, verify-ca, verify-full]",
        ),
        ("host=a,b port=1,2,3", "2 hosts, but 3 ports [give one port for all hosts, or one for each]"),
        ("host=a,b hostaddr=1.2.3.4", "2 hosts, but 1 values of `hostaddr` []"),
        ("host=a port=70000", "`port` is not a port between 1 and 65535 []"),
        ("host=a port=0", "`port` is not a port between 1 and 65535 []"),
        ("host=a hostaddr=b", "`hostaddr` is not a numeric IP address [put a name into `host`]"),
        ("host=a connect_timeout=1.5", "`connect_timeout` is not a whole number []"),
        (
            "host=a client_encoding=LATIN1",
            "`client_encoding` is not UTF8 [leave it out: dbctl always speaks UTF8]",
        ),
        ("host=a gssencmode=require", "invalid value for `gssencmode` [it is one of disable, prefer]"),
        ("host=a sslcrl=/x", "`sslcrl` is not supported []"),
        (
            "host=a sslmode=require sslrootcert=system",
            "`sslmode` is too weak for sslrootcert=system [use sslmode=verify-full]",
        ),
        (
            "host=a sslmode=verify-ca",
            "sslmode=verify-ca needs to know whom to trust [name the authority's file with sslrootcert=, or use \
             sslmode=verify-full]",
        ),
        (
            "host=a sslnegotiation=direct",
            "`sslmode` is too weak for sslnegotiation=direct [use sslmode=require, verify-ca or verify-full]",
        ),
        ("host=a sslcert=/c", "the client certificate /c has no key [name its key with sslkey= or PGSSLKEY]"),
    ]);
}

/// A home folder with a service file and a password file.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    write(
        &home.path().join(".pg_service.conf"),
        "# all of them\n[other]\nhost=wrong\n\n[prod]\nhost=db.example\nport=6000\ndbname=shop\nuser=clerk\n\n[bad]\nhots=x\n",
    );
    write(
        &home.path().join(".pgpass"),
        "# comment\ndb.example:6000:shop:clerk:from file\n*:*:*:we\\:ird:it\\\\s\n\
         localhost:5432:*:local:socket\n*:7:*:seven:s:rest\n\\*:*:*:*:star\nbroken line\n",
    );
    home
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A string, variables beside it, and what both are read as.
type Row<'t> = (&'t str, &'t [(&'t str, &'t str)], &'t str);

#[test]
fn precedence() {
    let home = home();
    let home_path = home.path().to_str().unwrap();
    let nowhere = ("PGSYSCONFDIR", "/nonexistent");
    let table: &[Row<'_>] = &[
        (
            "",
            &[("PGHOST", "h"), ("PGPORT", "7"), ("PGUSER", "u"), ("PGPASSWORD", "p"), ("PGDATABASE", "d")],
            "u:p@h:7/d",
        ),
        ("postgres://h", &[("PGPORT", "7"), ("PGUSER", "u"), ("PGDATABASE", "d")], "u@h:7/d"),
        ("postgres://a,b", &[("PGPORT", "7")], "me@a:5432,b:5432/-"),
        ("host=h port=''", &[("PGPORT", "7")], "me@h:5432/-"),
        (
            "host=h",
            &[("PGSSLMODE", "require"), ("PGCONNECT_TIMEOUT", "4")],
            "me@h:5432/-?sslmode=require&connect_timeout=4",
        ),
        ("host=h sslmode=disable", &[("PGSSLMODE", "require")], "me@h:5432/-?sslmode=disable"),
        (
            "host=h",
            &[("PGSSLMODE", "x")],
            "invalid value for PGSSLMODE [it is one of disable, allow, prefer, require, verify-ca, verify-full]",
        ),
        ("host=h", &[("PGCLIENTENCODING", "LATIN1"), ("PGAPPNAME", "x")], "me@h:5432/-"),
        // A service wins over variables, the string over both; the password file is asked last.
        ("service=prod", &[("PGHOST", "h"), ("PGPORT", "7")], "clerk:from%20file@db.example:6000/shop"),
        ("", &[("PGSERVICE", "prod"), ("PGPASSWORD", "p")], "clerk:p@db.example:6000/shop"),
        ("service=prod port=7 dbname=x", &[("PGPORT", "8")], "clerk@db.example:7/x"),
        ("postgres://seven@/d?service=prod&port=7", &[], "seven:s@db.example:7/d"),
        ("host=h user=we:ird", &[], "we%3Aird:it%5Cs@h:5432/-"),
        ("host=/tmp user=local", &[], "local:socket@/-?host=/tmp&port=5432"),
        ("host=/var/run/postgresql user=local", &[], "local:socket@/-?host=/var/run/postgresql&port=5432"),
        ("host=/run/else user=local", &[], "local@/-?host=/run/else&port=5432"),
        ("host=* user=local", &[], "local:star@%2A:5432/-"),
        // A URL can hold one password only.
        ("host=x,y port=7 user=seven", &[], "seven:s@x:7,y:7/-"),
        ("host=x,y port=7,8 user=seven", &[], "seven@x:7,y:8/-"),
        ("host=h passfile=/nonexistent", &[], "me@h:5432/-"),
        ("service=bad", &[], "HOME/.pg_service.conf:12: unknown connection parameter `hots` []"),
        (
            "service=no",
            &[nowhere],
            "the service `no` is not defined [looked for [no] in HOME/.pg_service.conf, /nonexistent/pg_service.conf]",
        ),
        (
            "service=no",
            &[("PGSERVICEFILE", "/nonexistent/x")],
            "the service file /nonexistent/x does not exist [PGSERVICEFILE or servicefile= names it]",
        ),
        (
            "service=prod",
            &[("PGSERVICEFILE", "HOME/.pg_service.conf"), ("PGPASSFILE", "/nonexistent")],
            "clerk@db.example:6000/shop",
        ),
    ];
    for (text, extra, expected) in table {
        let at_home = |text: &str| text.replace("HOME", home_path);
        let extra: Vec<(&str, String)> = extra.iter().map(|(name, value)| (*name, at_home(value))).collect();
        let pairs = [("USER", "me"), ("HOME", home_path)];
        let all = pairs.into_iter().chain(extra.iter().map(|(name, value)| (*name, value.as_str())));
        assert_eq!(read(text, &PgVars::from_vars(all)), at_home(expected), "{text} {extra:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_password_file_that_others_can_read_does_not_count() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    fs::set_permissions(home.path().join(".pgpass"), fs::Permissions::from_mode(0o640)).unwrap();
    let vars = vars(&[("HOME", home.path().to_str().unwrap())]);
    let settings = settings("host=h user=we:ird", &vars).unwrap();
    assert!(settings.password_for(&settings.hosts[0], "x").is_none());
    assert_eq!(
        settings.notes,
        [format!(
            "the password file {}/.pgpass is ignored: others may read it; chmod 0600 makes it count",
            home.path().display()
        )]
    );
}

#[test]
fn default_files_of_certificates_count_where_they_exist() {
    let home = home();
    let folder = home.path().join(".postgresql");
    fs::create_dir(&folder).unwrap();
    for name in ["root.crt", "postgresql.crt", "postgresql.key"] {
        write(&folder.join(name), "x");
    }
    let vars = vars(&[("HOME", home.path().to_str().unwrap())]);
    let found = settings("host=h user=u sslmode=verify-ca", &vars).unwrap();
    assert_eq!(found.ssl_root_cert, Some(folder.join("root.crt")));
    assert_eq!(found.ssl_cert, Some(folder.join("postgresql.crt")));
    assert_eq!(found.ssl_key, Some(folder.join("postgresql.key")));
    let without = settings("host=h user=u sslcertmode=disable sslrootcert=system", &vars).unwrap();
    assert_eq!((without.ssl_root_cert, without.ssl_cert), (None, None));
}

#[test]
fn the_default_host_is_a_socket_that_exists() {
    let there = |folder: &str| Path::new(folder).join(".s.PGSQL.5432").exists();
    let found = settings("user=u", &vars(&[])).unwrap().server();
    let expected = match SOCKET_FOLDERS.iter().find(|folder| there(folder)) {
        Some(folder) => format!("{folder}/.s.PGSQL.5432"),
        None => "localhost:5432".to_owned(),
    };
    assert_eq!(found, expected);
    // No server listens on port 1.
    assert_eq!(settings("user=u port=1", &vars(&[])).unwrap().server(), "localhost:1");
}

/// A string, the variables beside it, and what other programs get for the database `shop`: `=` is the same.
#[test]
fn a_url_is_handed_on_as_it_was_written() {
    const ORM: &str = "sslmode=no-verify&schema=s&pgbouncer=true&connection_limit=1&uselibpqcompat=true";
    let home = home();
    let all: &[_] = &[("PGHOST", "h"), ("PGPORT", "7"), ("PGUSER", "u@x"), ("PGPASSWORD", "p/w")];
    let at_home: &[_] = &[("HOME", home.path().to_str().unwrap())];
    let table: &[Row<'_>] = &[
        ("postgres://u:p@h:1/shop?ORM", &[], "="),
        ("postgresql://u:@h/shop?sslmode=verify-full", &[], "="),
        ("postgres://u:p%40@a,b:2/sh%6Fp", &[], "="),
        ("postgres://%75:p@[::1]:5/shop?&application_name=x&", &[], "="),
        ("postgres://u:p@h/other?dbname=shop", &[], "="),
        ("postgres://u@/shop?host=/run/pg&port=7&password=p", &[], "="),
        ("postgres://h/shop?user=u&password=p", &[], "="),
        ("postgres://u:p@h:1/shop", all, "="),
        // Another database of the server, or none.
        ("postgres://u:p@h:1/defaultdb?ORM", &[], "postgres://u:p@h:1/shop?ORM"),
        ("postgres://u:p@h?schema=s", &[], "postgres://u:p@h/shop?schema=s"),
        ("postgres://u:p@h/", &[], "postgres://u:p@h/shop"),
        // What variables and the password file give.
        ("postgres:///?schema=s", all, "postgres://u%40x:p%2Fw@h:7/shop?schema=s"),
        ("postgres://x/shop", all, "postgres://u%40x:p%2Fw@x:7/shop"),
        ("postgres://y@x,z:8/shop?max=2", all, "postgres://y:p%2Fw@x,z:8/shop?max=2"),
        ("postgres://x/shop?user=u", all, "postgres://x:7/shop?user=u&password=p%2Fw"),
        ("postgres:///shop?host=x", all, "postgres://u%40x:p%2Fw@/shop?host=x&port=7"),
        ("postgres://seven@h:7/shop?max=2", at_home, "postgres://seven:s@h:7/shop?max=2"),
        (
            "postgres://u:p@/shop?max=2",
            &[("PGHOST", "/run/pg")],
            "postgres://u:p@/shop?max=2&host=%2Frun%2Fpg&port=5432",
        ),
        // No URL, or one that leans on what other programs do not read: what it comes to.
        ("host=h user=u dbname=shop sslmode=no-verify", &[], "postgresql://u@h:5432/shop?sslmode=require"),
        ("postgres://u:p@/?service=prod&max=2", at_home, "postgresql://u:p@db.example:6000/shop"),
        ("postgres://u:p@h/x?dbname=y", &[], "postgresql://u:p@h:5432/shop"),
    ];
    for (text, extra, expected) in table {
        let text = text.replace("ORM", ORM);
        let expected = if *expected == "=" { text.clone() } else { expected.replace("ORM", ORM) };
        let pairs = [("USER", "me")].into_iter().chain(extra.iter().copied());
        let found = settings(&text, &PgVars::from_vars(pairs)).unwrap();
        assert_eq!(found.url_from(&text, "shop").expose_secret(), expected, "{text}");
    }
}

#[test]
fn servers_are_named_without_secrets() {
    let found =
        settings("postgres://u:s3cret@[::1]:1,b/db?host=::1,b,/run/pg&port=1,2,3", &vars(&[])).unwrap();
    assert_eq!(found.server(), "[::1]:1,b:2,/run/pg/.s.PGSQL.3");
    assert!(!format!("{found:?}").contains("s3cret"));
}

#[test]
fn variables_lead_to_the_same_place() {
    let found = settings("postgres://u:p@a,b:2/x?sslmode=require&options=-c%20a%3Db", &vars(&[])).unwrap();
    let vars = found.vars("shop");
    let shown: Vec<String> =
        vars.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
    assert_eq!(
        shown,
        [
            "PGDATABASE=shop",
            "PGHOST=a,b",
            "PGOPTIONS=-c a=b",
            "PGPASSWORD=p",
            "PGPORT=5432,2",
            "PGSSLMODE=require",
            "PGUSER=u"
        ]
    );
    let pairs = vars.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
    let again = settings("", &PgVars::from_vars(pairs)).unwrap();
    assert_eq!(again.url("shop").expose_secret(), found.url("shop").expose_secret());
}

#[test]
fn the_driver_reads_our_urls() {
    for text in [
        "postgres://u:p%40%2F@h:7/d%20b",
        "postgres://u:p@/db?host=/run/pg&port=7",
        "host=::1 user=u dbname=d",
    ] {
        let found = settings(text, &vars(&[])).unwrap();
        let url = found.url(found.database.as_deref().unwrap());
        let config: tokio_postgres::Config = url.expose_secret().parse().unwrap();
        assert_eq!(config.get_user(), Some(found.user.as_str()));
        assert_eq!(config.get_dbname(), found.database.as_deref());
        assert_eq!(config.get_ports(), [found.hosts[0].port()]);
        let password = found.password.as_ref().map(|password| password.expose_secret().as_bytes());
        assert_eq!(config.get_password(), password);
    }
}

/// Everything of the settings, the password included.
fn all_of(settings: &Settings) -> String {
    format!("{settings:?} {:?}", settings.password.as_ref().map(ExposeSecret::expose_secret))
}

fn any_host() -> impl Strategy<Value = Host> {
    let address = proptest::option::of(any::<IpAddr>());
    prop_oneof![
        ("[a-z][a-z0-9.-]{0,12}", address, 1u16..).prop_map(|(host, address, port)| Host::Tcp {
            host,
            address,
            port
        }),
        (any::<std::net::Ipv6Addr>(), 1u16..).prop_map(|(host, port)| Host::Tcp {
            host: host.to_string(),
            address: None,
            port
        }),
        ("/[a-zA-Z0-9 %?&=@:#+_-]{1,12}", 1u16..)
            .prop_filter("lists trim their entries", |(folder, _)| folder.trim() == folder)
            .prop_map(|(folder, port)| Host::Unix { folder: folder.into(), port }),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let text = "[^\\x00]{1,12}";
    let seconds = || proptest::option::of((1u32..100_000).prop_map(|s| Duration::from_secs(s.into())));
    let modes =
        vec![SslMode::Disable, SslMode::Allow, SslMode::Prefer, SslMode::Require, SslMode::VerifyFull];
    let targets = vec![TargetSession::Any, TargetSession::ReadWrite, TargetSession::Standby];
    (
        proptest::collection::vec(any_host(), 1..4),
        (text, proptest::option::of(text), text, proptest::option::of(text)),
        (proptest::sample::select(modes), proptest::option::of("/[^\\x00]{1,9}"), any::<bool>()),
        (proptest::sample::select(targets), any::<bool>(), any::<bool>()),
        (seconds(), seconds(), proptest::option::of(1u32..99)),
    )
        .prop_map(
            |(hosts, (user, password, database, options), (ssl_mode, root, ssl_sni), flags, times)| {
                Settings {
                    hosts,
                    user,
                    password: password.map(Into::into),
                    passfile: Passfile::default(),
                    database: Some(database),
                    ssl_mode,
                    ssl_system_roots: root.is_none() && ssl_mode == SslMode::VerifyFull && flags.1,
                    ssl_root_cert: root.map(Into::into),
                    ssl_cert: None,
                    ssl_key: None,
                    ssl_negotiation: match ssl_mode {
                        SslMode::Require => SslNegotiation::Direct,
                        _ => SslNegotiation::Postgres,
                    },
                    ssl_versions: (TlsVersion::V12, if flags.1 { TlsVersion::V12 } else { TlsVersion::V13 }),
                    ssl_sni,
                    channel_binding: if flags.2 { ChannelBinding::Require } else { ChannelBinding::Prefer },
                    target: flags.0,
                    load_balance: flags.1,
                    keepalives: Keepalives {
                        enabled: flags.2,
                        idle: times.0,
                        interval: None,
                        count: times.2,
                        user_timeout: None,
                    },
                    connect_timeout: times.1,
                    options,
                    pooled: false,
                    notes: Vec::new(),
                }
            },
        )
}

proptest! {
    #[test]
    fn a_url_reads_as_what_it_was_made_of(made in any_settings()) {
        let url = made.url(made.database.as_deref().unwrap());
        let read = settings(url.expose_secret(), &PgVars::default());
        let read = read.map_err(|error| TestCaseError::fail(format!("{error}: {}", url.expose_secret())))?;
        prop_assert_eq!(all_of(&made), all_of(&read));
    }

    #[test]
    fn no_error_shows_a_piece_of_the_password(password in "[!-~]{0,6}Zx9[!-~]{0,6}Qv7[!-~]{0,6}") {
        for text in [
            format!("postgres://u:{password}@h/db"),
            format!("postgres://u:{password}@h:1/db?sslmode=disable"),
            format!("host=h password={password} user=u"),
            format!("host=h password={password} {password} user=u"),
        ] {
            if let Err(error) = settings(&text, &vars(&[("USER", "me")])) {
                let shown = format!("{error:?}");
                prop_assert!(!shown.contains("Zx9") && !shown.contains("Qv7"), "{shown}");
            }
        }
    }
}
