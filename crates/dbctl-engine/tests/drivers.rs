//! What other programs make of the connection they are given, judged by node-postgres itself.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
};

use dbctl_engine::{Access, Endpoint, Engine, PgVars, Postgres, Target};
use dbctl_migration::DatabaseName;
use secrecy::ExposeSecret;

/// What it is parsed by, and what parses it: exact versions.
const PACKAGES: [&str; 2] = ["pg@8.23.1", "pg-connection-string@2.14.1"];

/// Prints what a client would connect with: as programs use it, a URL and the variables around it.
const SCRIPT: &str = "const c = new (require('pg').Client)({ connectionString: process.env.DATABASE_URL });
const { user, host, port, database, ssl } = c.connectionParameters;
console.log(`${user}:${c.password}@${host}:${port}/${database} ${JSON.stringify(ssl)}`)";

fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm").join(PACKAGES.join("-"));
    if !folder.exists() {
        let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::write(draft.path().join("package.json"), "{\"private\":true}").unwrap();
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).args(PACKAGES);
        let done =
            install.current_dir(draft.path()).output().expect("npm is installed; the judge comes from it");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        fs::rename(draft.keep(), &folder).unwrap();
    }
    folder
}

async fn access(text: &str, vars: &[(&str, &str)]) -> Access {
    let target = Target {
        key: "shop".to_owned(),
        name: DatabaseName::parse("shop").unwrap(),
        endpoint: Endpoint::ConnInfo {
            text: text.into(),
            vars: PgVars::from_vars([("USER", "me")].into_iter().chain(vars.iter().copied())),
        },
        admin: None,
        direct: None,
        pooled: false,
        origin: None,
        owner: None,
        extensions: Vec::new(),
        settings: BTreeMap::new(),
        server: "h".to_owned(),
        schema: None,
        max_connections: NonZeroUsize::MIN,
    };
    Postgres::new().access(&target).await.unwrap()
}

async fn node_postgres(text: &str, vars: &[(&str, &str)]) -> String {
    let Access { url, vars } = access(text, vars).await;
    let mut node = Command::new("node");
    node.args(["--no-warnings", "-e", SCRIPT]).current_dir(packages()).env_clear();
    node.env("PATH", std::env::var("PATH").unwrap()).env("DATABASE_URL", url.expose_secret());
    node.envs(vars.iter().map(|(name, value)| (name, value.expose_secret())));
    let done = node.output().expect("node is installed; the judge runs on it");
    assert!(done.status.success(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn node_postgres_connects_as_the_url_says() {
    let some: &[_] = &[("PGHOST", "h"), ("PGPORT", "7"), ("PGUSER", "u"), ("PGPASSWORD", "p/w@")];
    let table = [
        // Where nothing asks for TLS, it must not insist on it.
        ("postgres://u:p@h:7/shop", &[][..], "u:p@h:7/shop false"),
        ("host=h port=7 user=u password=p", &[], "u:p@h:7/shop false"),
        ("postgres://u:p@h:7/shop?sslmode=disable", some, "u:p@h:7/shop false"),
        ("", some, "u:p/w@@h:7/shop false"),
        ("postgres:///", some, "u:p/w@@h:7/shop false"),
        // As hosted databases have it in their own words.
        (
            "postgres://u:p@h/shop?sslmode=no-verify&schema=s&pgbouncer=true",
            &[],
            "u:p@h:5432/shop {\"rejectUnauthorized\":false}",
        ),
        (
            "postgres://u:p@h/defaultdb?sslmode=require&uselibpqcompat=true",
            &[],
            "u:p@h:5432/shop {\"rejectUnauthorized\":false}",
        ),
        // The system's authorities have no name there.
        ("postgres://u:p@h/shop?sslmode=verify-full", &[], "u:p@h:5432/shop {}"),
        ("host=h user=u password=p sslmode=verify-full", &[], "u:p@h:5432/shop {}"),
        ("postgres://u:p@h/shop", &[("PGSSLMODE", "verify-full")], "u:p@h:5432/shop true"),
    ];
    for (text, vars, expected) in table {
        assert_eq!(node_postgres(text, vars).await, expected, "{text}");
    }
}
