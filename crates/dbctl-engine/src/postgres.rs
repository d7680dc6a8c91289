//! PostgreSQL through tokio-postgres.

/// The PostgreSQL engine.
pub struct Postgres;
