//! The pool and its transactions.

use std::{panic::AssertUnwindSafe, time::Duration};

use dbctl::{
    PoolConfig, PoolError, Transaction, TransactionOptions, migrate, pool, with_transaction,
    with_transaction_as,
};
use futures::FutureExt;

use crate::{OWN, ask, created};

async fn add(tx: &Transaction<'_>, id: i32) -> Result<(), PoolError> {
    tx.execute("insert into users values ($1, 'x')", &[&id]).await?;
    Ok(())
}

#[tokio::test]
async fn transactions_commit_or_leave_nothing() {
    let pool = pool(PoolConfig::new(created("pooled").await)).unwrap();
    migrate(&pool, &OWN).await.unwrap();
    with_transaction(&pool, async |tx| add(tx, 1).await).await.unwrap();
    let refused: Result<(), PoolError> = with_transaction(&pool, async |tx| {
        add(tx, 2).await?;
        add(tx, 1).await
    })
    .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Some("23505"));
    assert!(refused.to_string().contains("duplicate key"), "{refused}");
    let panicked = AssertUnwindSafe(with_transaction(&pool, async |tx| -> Result<(), PoolError> {
        add(tx, 3).await?;
        panic!("in the middle");
    }));
    assert!(panicked.catch_unwind().await.is_err());
    assert_eq!(ask("pooled", "select string_agg(id::text, ' ') from users").await, "1");
    // As a task of its own.
    let theirs = pool.clone();
    tokio::spawn(async move { with_transaction(&theirs, async |tx| add(tx, 4).await).await })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ask("pooled", "select string_agg(id::text, ' ' order by id) from users").await, "1 4");
    pool.check().await.unwrap();
    assert!(pool.open_and_idle().0 <= 10);
    pool.close();
    assert!(matches!(pool.check().await, Err(PoolError::Closed)));
}

#[tokio::test]
async fn what_lost_against_another_is_run_again() {
    let pool = pool(PoolConfig::new(created("retried").await)).unwrap();
    migrate(&pool, &OWN).await.unwrap();
    with_transaction(&pool, async |tx| add(tx, 1).await).await.unwrap();
    let add_up = |retries| {
        let options = TransactionOptions { serializable: true, retries, ..TransactionOptions::default() };
        let pool = pool.clone();
        async move {
            let mut attempts = 0;
            let done: Result<(), PoolError> = with_transaction_as(&pool, options, async |tx| {
                attempts += 1;
                let sum: i64 = tx.query_one("select sum(id) from users", &[]).await?.get(0);
                // Another one gets ahead of the first attempt.
                if attempts == 1 {
                    let mut other = pool.get().await?;
                    let other = other.build_transaction();
                    let other =
                        other.isolation_level(dbctl::postgres::IsolationLevel::Serializable).start().await?;
                    let theirs: i64 = other.query_one("select sum(id) from users", &[]).await?.get(0);
                    add(&other, theirs as i32 + 10).await?;
                    other.commit().await?;
                }
                add(tx, sum as i32 + 20).await
            })
            .await;
            (done, attempts)
        }
    };
    let (lost, attempts) = add_up(0).await;
    assert_eq!((lost.unwrap_err().code(), attempts), (Some("40001"), 1));
    let (won, attempts) = add_up(3).await;
    won.unwrap();
    assert_eq!(attempts, 2);
}

#[tokio::test]
async fn a_pool_has_bounds_and_says_why_it_cannot_connect() {
    let url = created("bounded").await;
    let config =
        PoolConfig::new(&url).size(1).wait(Duration::from_millis(50)).application_name("bounded app");
    assert!(!format!("{config:?}").contains("postgres:"), "{config:?}");
    let pool = pool(config).unwrap();
    let held = pool.get().await.unwrap();
    let name: String =
        held.query_one("select current_setting('application_name')", &[]).await.unwrap().get(0);
    assert_eq!(name, "bounded app");
    let busy = pool.get().await.err().unwrap();
    assert_eq!(busy.to_string(), "no connection came back to the pool in time: all 1 are in use");
    drop(held);
    drop(pool.get().await.unwrap());
    let missing = dbctl::pool(PoolConfig::new(url.replace("bounded", "nope"))).unwrap();
    let missing = missing.get().await.err().unwrap();
    assert!(missing.to_string().contains("the database nope does not exist"), "{missing}");
    assert!(matches!(dbctl::pool(PoolConfig::new("postgres://[")), Err(PoolError::Config(_))));
}
