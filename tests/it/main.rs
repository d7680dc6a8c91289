//! End-to-end tests of the real binary, on real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

#[path = "../../crates/dbctl-engine/tests/shared/asked_postgres.rs"]
mod asked_postgres;
mod held;
mod own_server;
#[cfg(unix)]
#[path = "../../crates/dbctl-engine/tests/shared/pgbouncer.rs"]
mod pgbouncer;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod proxy;
mod support;
mod tools;

mod applied_anew;
#[cfg(unix)]
mod atomic;
mod atriz;
#[cfg(unix)]
mod bad_days;
mod bad_input;
mod baseline;
mod concurrency;
mod connections;
mod custom;
mod dbmate;
mod deep;
mod documented;
mod drizzle;
mod every_format;
mod files;
#[cfg(unix)]
mod frozen;
mod history;
#[cfg(unix)]
mod hooks;
#[cfg(unix)]
mod in_doubt;
mod init;
#[cfg(unix)]
mod interrupt;
mod judges;
#[cfg(unix)]
mod killed;
#[cfg(unix)]
mod names;
mod node_pg_migrate;
#[cfg(unix)]
mod one_writer;
mod output;
mod pnpm;
#[cfg(unix)]
mod pooler;
mod prisma;
#[cfg(target_os = "linux")]
mod protection;
#[cfg(unix)]
mod reconnect;
mod requires;
#[cfg(unix)]
mod runs;
#[cfg(unix)]
mod safety;
mod search_path;
mod secrets;
mod seeds;
mod sqlite;
mod sqlx;
mod supabase;
mod traps;
#[cfg(unix)]
mod two_phase;
mod whereabouts;
mod workspaces;
