//! Which database a url leads to.

use dbctl_engine::{Postgres, embedded::EmbeddedHome};
use dbctl_runner::{child_env, targets};
use dbctl_workspace::{Env, LoadOptions, load};
use secrecy::ExposeSecret;

/// What the manifest's `a`, named `a_db`, comes to with `PGDATABASE` set to another database.
fn found(head: &str, fields: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("workspace.yaml");
    std::fs::write(&manifest, format!("workspace: x\n{head}databases: {{ a: {{ name: a_db{fields} }} }}\n"))
        .unwrap();
    let env = Env::new([("PGDATABASE".to_owned(), "exported".to_owned())]);
    let workspace = load(&LoadOptions { manifest, env, environment: None }).unwrap();
    let home = EmbeddedHome::from_vars(|_| None);
    match targets(&workspace, workspace.order(), &home) {
        Ok(targets) => {
            targets.values().map(|target| format!("{} on {}", target.name, target.server)).collect()
        }
        Err(errors) => errors.problems[0].message.clone(),
    }
}

#[test]
fn a_url_of_the_servers_own_database_is_no_reason_to_use_that() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("workspace.yaml");
    std::fs::write(&manifest, "workspace: x\ndatabases: { a: { url: 'postgres://u@h:1/postgres' } }\n")
        .unwrap();
    let workspace = load(&LoadOptions { manifest, env: Env::new([]), environment: None }).unwrap();
    let errors = targets(&workspace, workspace.order(), &EmbeddedHome::from_vars(|_| None)).unwrap_err();
    assert_eq!(
        errors.problems[0].hint.as_deref().unwrap(),
        "`postgres` belongs to the server, and dbctl needs a database of its own: let the url end in `/a`, and \
         `dbctl create a` makes it"
    );
}

#[test]
fn a_databases_own_url_has_to_name_it_and_a_servers_url_names_none() {
    let server = |url: &str| found(&format!("servers: {{ main: {{ url: '{url}' }} }}\n"), "");
    let own = |url: &str| found("", &format!(", url: '{url}'"));
    for url in ["postgres://u@h:1", "postgres://u@h:1/postgres", "host=h port=1 user=u dbname=defaultdb"] {
        assert_eq!(server(url), "a_db on h:1", "{url}");
    }
    for url in ["postgres://u@h:1", "postgres://u@h:1/a_db", "host=h port=1 user=u dbname=a_db"] {
        assert_eq!(own(url), "a_db on h:1", "{url}");
    }
    for url in ["postgres://u@h:1/other", "host=h port=1 user=u dbname=other"] {
        assert_eq!(own(url), "the url of `a` leads to the database `other`, not to `a_db`", "{url}");
    }
}

#[test]
fn a_databases_own_direct_url_has_to_name_it_and_who_makes_databases_comes_from_any() {
    let own = |more: &str| found("", &format!(", url: 'postgres://u@h:1/a_db'{more}"));
    assert_eq!(own(", direct_url: 'postgres://u@d:2/a_db'"), "a_db on h:1");
    assert_eq!(own(", direct_url: 'postgres://u@d:2'"), "a_db on h:1");
    assert_eq!(own(", admin_url: 'postgres://u@d:2/postgres'"), "a_db on h:1");
    assert_eq!(
        own(", direct_url: 'postgres://u@d:2/other'"),
        "the direct_url of `a` leads to the database `other`, not to `a_db`"
    );
    let server =
        "servers: { main: { url: 'postgres://u@h:1/x', direct_url: 'postgres://u@d:2/postgres' } }\n";
    assert_eq!(found(server, ""), "a_db on h:1");
    // Over a server's url it is the database's own, too.
    let over = |url: &str| found(server, &format!(", direct_url: '{url}'"));
    for url in ["postgres://u@d:2", "postgres://u@d:2/a_db", "host=d port=2 user=u dbname=a_db"] {
        assert_eq!(over(url), "a_db on h:1", "{url}");
    }
    let wrong = "the direct_url of `a` leads to the database `other`, not to `a_db`";
    assert_eq!(over("postgres://u@d:2/other"), wrong);
    assert_eq!(over("host=d port=2 user=u dbname=other"), wrong);
    assert_eq!(found("", ", direct_url: 'postgres://u@d:2/other'"), wrong, "over what dbctl starts itself");
}

/// Prisma's own parameter says where its table is, and its files: in both URLs, where there are two.
#[test]
fn prismas_schema_is_that_of_the_urls() {
    let with = |url: &str, direct: &str, source: &str| {
        let servers = format!("servers: {{ main: {{ url: 'postgres://u@h:1{url}' }} }}\n");
        let fields = format!("{direct}, migrations: [{{ path: m{source} }}]");
        found(&servers, &fields)
    };
    let past = |url: &str| format!(", direct_url: 'postgres://u@d:2{url}'");
    let wrong = |here: &str, there: &str| {
        format!(
            "by the url of `a` Prisma works in the schema {here}, by its direct_url in {there}, and `m` does not say \
             its schema"
        )
    };
    let prisma = ", format: prisma";
    assert_eq!(with("", &past("?connection_limit=5&schema=shop"), prisma), wrong("public", "shop"));
    assert_eq!(with("?schema=shop", &past(""), prisma), wrong("shop", "public"));
    assert_eq!(with("?schema=shop", &past("?schema=Shop"), prisma), wrong("shop", "Shop"));
    for (url, direct, source) in [
        ("?schema=shop", "?schema=shop", prisma),
        ("?schema=shop", "", ", format: prisma, schema: shop"),
        ("", "?schema=shop", ", format: prisma, schema: public"),
        ("", "?schema=shop", ", format: node-pg-migrate"),
        ("?schema=public", "?schema=", prisma),
        ("", "", prisma),
    ] {
        assert_eq!(with(url, &past(direct), source), "a_db on h:1", "{url} {direct} {source}");
    }
    assert_eq!(with("?schema=shop", "", prisma), "a_db on h:1");
}

/// A service in an env file has been read, and would win over the variables it was turned into.
#[tokio::test]
async fn programs_get_what_libpqs_variables_came_to_and_not_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("workspace.yaml");
    std::fs::write(
        &manifest,
        "workspace: x\nenv_files: [.env]\ndatabases: { a: { url: 'postgres://u@h:1/a' } }\n",
    )
    .unwrap();
    let service = folder.path().join("services");
    std::fs::write(&service, "[s]\nuser=wrong\n").unwrap();
    let lines =
        format!("PGSERVICE=s\nPGSERVICEFILE={}\nPGHOSTADDR=10.0.0.1\nOTHER=kept\n", service.display());
    std::fs::write(folder.path().join(".env"), lines).unwrap();
    let env = Env::new([]);
    let workspace = load(&LoadOptions { manifest, env, environment: None }).unwrap();
    let targets = targets(&workspace, workspace.order(), &EmbeddedHome::from_vars(|_| None)).unwrap();
    let env = child_env(&workspace, &workspace.order()[0], &targets, &Postgres::new()).await.unwrap();
    let names: Vec<&str> = env.keys().map(String::as_str).collect();
    assert_eq!(names, ["DATABASE_URL", "OTHER", "PGDATABASE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER"]);
    assert_eq!(env["PGUSER"].expose_secret(), "u");
}
