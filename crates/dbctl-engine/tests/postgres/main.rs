//! The engines on real databases. PostgreSQL: one private server for this test binary, one database per test. A missing
//! PostgreSQL is a failure.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod admin;
mod again;
mod apply;
#[path = "../shared/asked_postgres.rs"]
mod asked_postgres;
mod bench;
mod clean;
mod conformance;
mod formats;
mod lock;
#[path = "../shared/pgbouncer.rs"]
mod pgbouncer;
mod pooler;
#[path = "../shared/private_server.rs"]
mod private_server;
mod read;
mod records;
mod seed;
#[cfg(feature = "sqlite")]
mod sqlite;
mod steps;
mod stop;
mod waiting;
