//! `dbctl.decisions`: what becomes of transactions that several databases have prepared, kept in one of them.

use super::text;
use crate::{Dialect, Statement, TableName, Value};

/// The table.
pub fn decisions_table() -> TableName {
    Dialect::Postgres.own_table("decisions")
}

/// Its DDL with that of its schema, safe to run again.
pub fn create_decisions() -> Vec<String> {
    vec![
        "CREATE SCHEMA IF NOT EXISTS \"dbctl\"".to_owned(),
        "CREATE TABLE IF NOT EXISTS \"dbctl\".\"decisions\" (
    run_id text PRIMARY KEY,
    decision text NOT NULL CHECK (decision IN ('commit', 'rollback')),
    keys text[] NOT NULL,
    databases text[] NOT NULL,
    gids text[] NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    decided_by text NOT NULL DEFAULT session_user
)"
        .to_owned(),
    ]
}

/// Records what becomes of a run's transactions, unless that is recorded: the manifest's keys of the databases, their
/// names, and the names of the transactions, in one order.
pub fn record_decision(run: &str, decision: &str, parts: &[[String; 3]]) -> Statement {
    let column = |at: usize| Value::Texts(parts.iter().map(|part| part[at].clone()).collect());
    Statement {
        sql: "INSERT INTO \"dbctl\".\"decisions\" (run_id, decision, keys, databases, gids) \
              VALUES ($1::text, $2::text, $3::text[], $4::text[], $5::text[]) ON CONFLICT DO NOTHING"
            .to_owned(),
        params: vec![text(run), text(decision), column(0), column(1), column(2)],
    }
}

/// Selects what is recorded of a run: `decision text`, at most one row.
pub fn read_decision(run: &str) -> Statement {
    Statement {
        sql: "SELECT decision FROM \"dbctl\".\"decisions\" WHERE run_id = $1::text".to_owned(),
        params: vec![text(run)],
    }
}
