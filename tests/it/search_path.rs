//! History tables that their tools look for along the connection's `search_path`: dbctl finds the same one.

use serde_json::json;

use crate::{dbmate::dbmate, own_server::OwnServer, support::Sandbox};

const VERSION: &str = "2.36.0";

/// A server with the role and the empty database `shop`.
fn server() -> OwnServer {
    let server = OwnServer::start();
    server.query("postgres", "create role shop login password 'shop'");
    for database in ["its", "mine"] {
        server.query("postgres", &format!("create database {database} owner shop"));
    }
    server
}

/// Two databases of the role, whose URLs end in this; `entry` is what else the manifest says of them.
fn workspace(server: &OwnServer, url_end: &str, entry: &str, files: &[(&str, &str)]) -> Sandbox {
    let database = |name: &str| {
        let url = server.url_as("shop", "shop", name) + url_end;
        format!("  {name}: {{ url: '{url}', name: {name}, {entry} }}\n")
    };
    let manifest = format!("workspace: judged\ndatabases:\n{}{}", database("its"), database("mine"));
    Sandbox::new(&manifest, files)
}

const DBMATE: &str = "migrations: [{ path: db/migrations, format: dbmate }]";
const DBMATE_FILES: [(&str, &str); 2] = [
    ("db/migrations/1_a.sql", "-- migrate:up\ncreate table a (id int);\n-- migrate:down\ndrop table a;\n"),
    ("db/migrations/2_b.sql", "-- migrate:up\ninsert into a values (1);\n-- migrate:down\ndelete from a;\n"),
];

/// Where tables of such names are.
fn schemas(server: &OwnServer, database: &str, like: &str) -> String {
    let sql = format!(
        "select coalesce(string_agg(schemaname || '.' || tablename, ' ' order by 1, 2), '') from (select schemaname, \
         tablename from pg_tables where tablename like '{like}' order by 1, 2) found"
    );
    server.query(database, &sql).trim_end().to_owned()
}

#[track_caller]
fn nothing_to_do(sandbox: &Sandbox, target: &str) {
    sandbox.ok(&["status", target, "--check"]);
    let (code, document) = sandbox.json(&["migrate", target]);
    assert_eq!((code, &document["databases"][0]["outcome"]), (0, &json!("unchanged")), "{document}");
}

/// What either has done is done to the other, and there is one table.
#[track_caller]
fn agrees_with_dbmate(server: &OwnServer, sandbox: &Sandbox, table: &str) {
    dbmate(sandbox, VERSION, "its", &["up"]).ok();
    nothing_to_do(sandbox, "its");
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(dbmate(sandbox, VERSION, "mine", &["up"]).ok(), "");
    for database in ["its", "mine"] {
        assert_eq!(schemas(server, database, "schema_migrations"), table, "{database}");
        let (_, history) = sandbox.json(&["history", "show", database]);
        let shown = history["sources"][0]["table"].as_str().unwrap().replace('"', "");
        assert_eq!(shown, table, "{history}");
    }
    assert_eq!(schemas(server, "mine", "a"), schemas(server, "its", "a"), "where the files' own tables are");
    sandbox.ok(&["clean", "its", "--yes"]);
    nothing_to_do(sandbox, "its");
    sandbox.ok(&["rollback", "its", "--yes"]);
    assert!(dbmate(sandbox, VERSION, "its", &["status"]).ok().contains("Pending: 1\n"));
}

#[test]
fn a_role_with_a_schema_of_its_name_has_its_history_there() {
    let server = server();
    for database in ["its", "mine"] {
        server.query(database, "create schema shop authorization shop");
        // The schema is somebody else's to make.
        server.query("postgres", &format!("revoke create on database {database} from public"));
    }
    agrees_with_dbmate(&server, &workspace(&server, "", DBMATE, &DBMATE_FILES), "shop.schema_migrations");
}

#[test]
fn a_schema_in_the_url_is_where_the_history_is_even_if_it_has_to_be_made() {
    let server = server();
    let sandbox = workspace(&server, "?search_path=app,public", DBMATE, &DBMATE_FILES);
    agrees_with_dbmate(&server, &sandbox, "app.schema_migrations");
}

#[test]
fn options_in_the_url_and_all_or_nothing_go_by_the_same_rule() {
    let server = server();
    for database in ["its", "mine"] {
        server.query(database, "create schema app authorization shop");
    }
    let sandbox = workspace(&server, "?options=-csearch_path%3Dapp", DBMATE, &DBMATE_FILES);
    sandbox.ok(&["migrate", "--all", "--atomic"]);
    for database in ["its", "mine"] {
        assert_eq!(schemas(&server, database, "schema_migrations"), "app.schema_migrations");
        nothing_to_do(&sandbox, database);
    }
    // What a file sets is not the session's.
    sandbox.write(
        "db/migrations/3_c.sql",
        "-- migrate:up\nset search_path = public;\ncreate table app.c ();\n-- migrate:down\n",
    );
    sandbox.ok(&["migrate", "its"]);
    assert_eq!(schemas(&server, "its", "schema_migrations"), "app.schema_migrations");
    assert_eq!(server.query("its", "select count(*) from app.schema_migrations"), "3\n");
}

#[test]
fn the_manifests_search_path_counts_and_what_was_recorded_before_it_too() {
    let server = server();
    let plain = workspace(&server, "", DBMATE, &DBMATE_FILES);
    server.query("its", "create schema app authorization shop; grant all on schema public to shop");
    server.query("mine", "create schema app authorization shop");
    dbmate(&plain, VERSION, "its", &["up"]).ok();
    let entry = format!("settings: {{ search_path: 'app, public' }}, {DBMATE}");
    let sandbox = workspace(&server, "", &entry, &DBMATE_FILES);
    nothing_to_do(&sandbox, "its");
    assert_eq!(schemas(&server, "its", "schema_migrations"), "public.schema_migrations");
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(schemas(&server, "mine", "schema_migrations"), "app.schema_migrations");
    nothing_to_do(&sandbox, "mine");
}

const SQLX: &str = "migrations: [{ path: migrations, format: sqlx }]";

#[test]
fn a_schema_that_comes_later_does_not_hide_what_is_recorded() {
    let server = server();
    for database in ["its", "mine"] {
        server.query(database, "grant all on schema public to shop");
    }
    let files = [
        ("migrations/1_schema.sql", "create schema shop;\n"),
        ("migrations/2_table.sql", "create table shop.t ();\n"),
    ];
    let sandbox = workspace(&server, "", SQLX, &files);
    sandbox.ok(&["migrate", "mine"]);
    nothing_to_do(&sandbox, "mine");
    assert_eq!(schemas(&server, "mine", "_sqlx%"), "public._sqlx_migrations");
    // A table of that name that knows nothing of these files is another application's.
    server.query("its", "create schema shop authorization shop");
    let another = "create table public._sqlx_migrations (version bigint primary key, description text not null, installed_on \
                   timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time \
                   bigint not null); insert into public._sqlx_migrations values (77, 'other', now(), true, '', 1); alter \
                   table public._sqlx_migrations owner to shop";
    server.query("its", another);
    sandbox.write("migrations/1_schema.sql", "create schema if not exists shop;\n");
    sandbox.ok(&["migrate", "its"]);
    assert_eq!(schemas(&server, "its", "_sqlx%"), "public._sqlx_migrations shop._sqlx_migrations");
    assert_eq!(server.query("its", "select count(*) from shop._sqlx_migrations"), "2\n");
}

#[test]
fn a_history_beside_the_path_is_told_of_before_anything_runs_twice() {
    let server = server();
    for database in ["its", "mine"] {
        server.query(database, "create schema app authorization shop; grant all on schema public to shop");
    }
    let before = workspace(&server, "?search_path=app", DBMATE, &DBMATE_FILES);
    before.ok(&["migrate", "its"]);
    let sandbox = workspace(&server, "", DBMATE, &DBMATE_FILES);
    for args in [&["migrate", "its"][..], &["status", "its", "--check"], &["history", "show", "its"]] {
        let said = sandbox.dbctl(args);
        assert_ne!(said.code, 0, "{said}");
        assert!(
            said.stderr.contains(
                "\"public\".\"schema_migrations\" is not there, but \"app\".\"schema_migrations\" says that 2 of the files \
                 of db/migrations are applied"
            ) && said.stderr.contains("`schema: app`"),
            "{said}"
        );
    }
    assert_eq!(schemas(&server, "its", "schema_migrations"), "app.schema_migrations");
    // It is said where it is, or that these are others.
    let with =
        |schema: &str| format!("migrations: [{{ path: db/migrations, format: dbmate, schema: {schema} }}]");
    nothing_to_do(&workspace(&server, "", &with("app"), &DBMATE_FILES), "its");
    workspace(&server, "", &with("public"), &DBMATE_FILES).ok(&["migrate", "its"]);
    assert_eq!(
        schemas(&server, "its", "schema_migrations"),
        "app.schema_migrations public.schema_migrations"
    );
    // A table of another tool of that name says nothing.
    server.query(
        "mine",
        "create table app.schema_migrations (id int); insert into app.schema_migrations values (1)",
    );
    sandbox.ok(&["migrate", "mine"]);
    assert_eq!(server.query("mine", "select count(*) from public.schema_migrations"), "2\n");
}

#[test]
fn a_role_that_only_reads_sees_the_same() {
    let server = server();
    server.query("its", "create schema app authorization shop");
    let sandbox = workspace(&server, "?search_path=app", DBMATE, &DBMATE_FILES);
    sandbox.ok(&["migrate", "its"]);
    server.query(
        "its",
        "create role reader login password 'reader'; grant usage on schema app, dbctl to reader; grant select on all tables \
         in schema app, dbctl to reader",
    );
    let url = server.url_as("reader", "reader", "its") + "?search_path=app";
    let reading = Sandbox::new(
        &format!("workspace: judged\ndatabases:\n  its: {{ url: '{url}', name: its, {DBMATE} }}\n"),
        &DBMATE_FILES,
    );
    reading.ok(&["status", "its", "--check"]);
}
