//! The document of a run.

use dbctl_runner::{DatabaseSummary, Summary};
use serde::Serialize;

use super::{Error, Why, direction, ms, why};

/// The document of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Run<'s> {
    command: &'s str,
    workspace: &'s str,
    run: &'s str,
    outcome: &'s str,
    elapsed_ms: u64,
    databases: Vec<Database<'s>>,
}

#[derive(Debug, Serialize)]
struct Database<'s> {
    key: &'s str,
    name: &'s str,
    outcome: &'s str,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "is_false")]
    created: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    extensions: &'s [String],
    #[serde(skip_serializing_if = "is_false")]
    dropped: bool,
    migrations: Vec<Migration<'s>>,
    #[serde(skip_serializing_if = "is_false")]
    rolled_back: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seeds: Vec<Seed<'s>>,
    #[serde(skip_serializing_if = "is_zero")]
    cleaned_tables: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'s [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halted_by: Option<&'s str>,
}

#[derive(Debug, Serialize)]
struct Migration<'s> {
    source: &'s str,
    version: &'s str,
    name: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'s str>,
    elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
struct Seed<'s> {
    file: &'s str,
    elapsed_ms: u64,
}

/// The document of a run.
pub(crate) fn run(summary: &Summary) -> Run<'_> {
    Run {
        command: summary.command,
        workspace: &summary.workspace,
        run: &summary.run,
        outcome: summary.outcome.as_str(),
        elapsed_ms: ms(summary.elapsed),
        databases: summary.databases.iter().map(database).collect(),
    }
}

fn database(summary: &DatabaseSummary) -> Database<'_> {
    let Why { error, needs, halted_by } = why(&summary.outcome, summary.key.as_str());
    Database {
        key: summary.key.as_str(),
        name: &summary.name,
        outcome: summary.outcome.as_str(),
        elapsed_ms: ms(summary.elapsed),
        created: summary.created,
        extensions: &summary.extensions,
        dropped: summary.dropped,
        migrations: summary
            .migrations
            .iter()
            .map(|done| Migration {
                source: &done.migration.source,
                version: done.migration.version.as_str(),
                name: &done.migration.name,
                direction: Some(direction(done.migration.direction)).filter(|direction| *direction != "up"),
                elapsed_ms: ms(done.elapsed),
            })
            .collect(),
        rolled_back: summary.rolled_back,
        seeds: summary
            .seeds
            .iter()
            .map(|seed| Seed { file: &seed.file, elapsed_ms: ms(seed.elapsed) })
            .collect(),
        cleaned_tables: summary.cleaned,
        warnings: &summary.warnings,
        error,
        needs,
        halted_by,
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{eventful, summary};

    #[test]
    fn the_document_of_a_run() {
        insta::assert_snapshot!("run", serde_json::to_string_pretty(&run(&summary())).unwrap());
        insta::assert_snapshot!("run_eventful", serde_json::to_string_pretty(&run(&eventful())).unwrap());
    }
}
