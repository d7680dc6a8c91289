use dbctl_engine::{
    EngineError, SeedWork, Writer,
    clean::{CleanPlan, Inventory, plan_clean},
};
use dbctl_migration::{Checksum, TableName, ledger::SeedRow};

use crate::bench::{Run, ask, client, rows};

async fn plan(writer: &mut dyn Writer, keep: &[&str]) -> CleanPlan {
    let keep: Vec<_> = keep.iter().map(|entry| (*entry).to_owned()).collect();
    plan_clean(&writer.inventory().await.unwrap(), &keep, &[TableName::new("public", "our_history")]).unwrap()
}

#[tokio::test]
async fn clean_empties_tables_and_keeps_what_is_to_be_kept() {
    let run = Run::new();
    let mut writer = run.writer("cleaned").await;
    let other = client("cleaned").await;
    rows(
        &other,
        "create table roles (id serial primary key, name text);
         create table users (id bigint generated always as identity primary key, role int references roles);
         create table pgmigrations (id serial primary key, name text);
         create table our_history (id serial primary key);
         create schema \"Other Schema\";
         create table \"Other Schema\".\"Quo\"\"ted\" (id serial);
         create table a (id serial primary key, b int);
         create table b (id serial primary key, a int references a);
         alter table a add foreign key (b) references b deferrable initially deferred;
         create sequence alone start 7;
         create table defaulted (id int default nextval('alone'));
         create sequence kept_sequence owned by roles.name;
         insert into roles (name) values ('admin'), ('user');
         insert into users (role) values (1), (2);
         insert into pgmigrations (name) values ('1'), ('2'); insert into our_history default values;
         insert into \"Other Schema\".\"Quo\"\"ted\" default values;
         begin; insert into a (b) values (1); insert into b (a) values (1); commit;
         insert into defaulted default values",
    )
    .await;
    let seed = SeedRow { file: "1.sql".to_owned(), checksum: Checksum::of_text("") };
    writer.seed(&SeedWork::External, &seed).await.unwrap();

    let plan = plan(&mut *writer, &["roles", "nope"]).await;
    assert_eq!(plan.unmatched, ["nope"]);
    writer.clean(&plan).await.unwrap();
    writer.clean(&plan).await.unwrap();
    assert!(writer.seeds().await.unwrap().is_empty());
    assert_eq!(writer.environment().await.unwrap().as_deref(), Some("test"));
    writer.close().await;

    let counts = "select (select count(*) from roles), (select count(*) from users), (select count(*) from pgmigrations), \
                  (select count(*) from our_history), (select count(*) from \"Other Schema\".\"Quo\"\"ted\"), \
                  (select count(*) from a), (select count(*) from b), (select count(*) from defaulted)";
    assert_eq!(rows(&other, counts).await, "2|0|2|1|0|0|0|0");
    // Restarted, except where a kept table counts on.
    assert_eq!(rows(&other, "insert into users (role) values (1) returning id").await, "1");
    assert_eq!(rows(&other, "insert into roles (name) values ('x') returning id").await, "3");
    assert_eq!(rows(&other, "insert into pgmigrations (name) values ('3') returning id").await, "3");
    assert_eq!(rows(&other, "insert into defaulted default values returning id").await, "7");
}

#[tokio::test]
async fn partitions_and_heirs_that_are_kept_stay_full() {
    let run = Run::new();
    let mut writer = run.writer("partitioned").await;
    let other = client("partitioned").await;
    rows(
        &other,
        "create table p (id int, x int) partition by list (x);
         create table p1 partition of p for values in (1);
         create table p2 partition of p for values in (2) partition by range (id);
         create table p2a partition of p2 for values from (0) to (10);
         create table p2b partition of p2 for values from (10) to (20);
         create table parent (id int);
         create table heir (y int) inherits (parent);
         create table other_heir () inherits (parent);
         create table owner (id int primary key);
         create table parts (id int references owner, x int) partition by list (x);
         create table parts1 partition of parts for values in (1);
         insert into p values (1, 1), (5, 2), (15, 2);
         insert into parent values (1); insert into heir values (2, 2); insert into other_heir values (3);
         insert into owner values (1); insert into parts values (1, 1)",
    )
    .await;
    let plan = plan(&mut *writer, &["p2b", "heir"]).await;
    writer.clean(&plan).await.unwrap();
    let counts = "select (select count(*) from p1), (select count(*) from p2a), (select count(*) from p2b), \
                  (select count(*) from only parent), (select count(*) from heir), (select count(*) from other_heir), \
                  (select count(*) from owner), (select count(*) from parts)";
    assert_eq!(rows(&other, counts).await, "0|0|1|0|1|0|0|0");

    // A kept partition's share of a foreign key is a foreign key.
    let refused = plan_clean(&writer.inventory().await.unwrap(), &["parts1".to_owned()], &[]).unwrap_err();
    assert_eq!(refused.0[0].from, TableName::new("public", "parts1"));
    writer.close().await;
}

#[tokio::test]
async fn materialized_views_are_refreshed_in_order() {
    let run = Run::new();
    let mut writer = run.writer("views").await;
    let other = client("views").await;
    rows(
        &other,
        "create table t (id int); insert into t values (1);
         create materialized view z_first as select * from t;
         create view between as select * from z_first;
         create materialized view a_last as select * from between;
         create materialized view unpopulated as select * from t with no data",
    )
    .await;
    let plan = plan(&mut *writer, &[]).await;
    let order: Vec<_> = plan.refresh.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(order, ["z_first", "a_last"]);
    writer.clean(&plan).await.unwrap();
    writer.close().await;
    assert_eq!(
        rows(&other, "select (select count(*) from z_first), (select count(*) from a_last)").await,
        "0|0"
    );
}

#[tokio::test]
async fn what_extensions_own_and_what_is_the_systems_is_left_alone() {
    let run = Run::new();
    let mut writer = run.writer("extension_owned").await;
    let other = client("extension_owned").await;
    rows(
        &other,
        "create table mine (id serial); create table theirs (id serial);
         create extension file_fdw; alter extension file_fdw add table theirs;
         alter extension file_fdw add sequence theirs_id_seq;
         insert into mine default values; insert into theirs default values; create temp table fleeting (id int)",
    )
    .await;
    let Inventory { tables, sequences, .. } = writer.inventory().await.unwrap();
    let marked: Vec<_> = tables.iter().map(|table| (table.name.name.as_str(), table.extension)).collect();
    assert_eq!(marked, [("mine", false), ("theirs", true)]);
    assert_eq!(sequences.len(), 2);
    let plan = plan(&mut *writer, &[]).await;
    writer.clean(&plan).await.unwrap();
    writer.close().await;
    assert_eq!(
        rows(&other, "select (select count(*) from mine), (select count(*) from theirs)").await,
        "0|1"
    );
}

#[tokio::test]
async fn a_clean_that_fails_changes_nothing() {
    let run = Run::new();
    let mut writer = run.writer("unclean").await;
    rows(&client("unclean").await, "create table t (id serial); insert into t default values").await;
    let mut plan = plan(&mut *writer, &[]).await;
    plan.refresh.push(TableName::new("public", "t"));
    let EngineError::Sql(error) = writer.clean(&plan).await.unwrap_err() else { panic!() };
    assert_eq!((error.code.as_str(), error.location), ("0A000", None));
    writer.close().await;
    assert_eq!(ask("unclean", "select count(*) from t").await, "1");
    assert_eq!(ask("unclean", "insert into t default values returning id").await, "2");
}
