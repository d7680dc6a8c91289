use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::{Recording, RunStamp, Statement};

const LEDGER: Ledger = Ledger::new(Dialect::Postgres);
use crate::{Checksum, Version, test_support::migration};

fn applied(name: &str, checksum: Option<&str>, progress: Progress) -> Applied {
    let version = name.split('_').next().unwrap_or_default();
    Applied {
        version: Version::new(version),
        name: name.to_owned(),
        checksum: checksum.map(Checksum::recorded),
        at: None,
        elapsed: None,
        progress,
    }
}

fn row(source: &str, applied: Applied) -> LedgerRow {
    LedgerRow { source: source.to_owned(), applied, run: Some("r1".to_owned()), by: None }
}

const PARTIAL: Progress = Progress::Partial { done: 1, started: true, digest: None };

const REVERTING: Progress = Progress::Reverting { done: 1, started: false, digest: None };

/// The numbers of the parameters that a statement uses, each of which has to carry a cast.
fn check_params(statement: &Statement) {
    for number in 1..=statement.params.len() {
        let cast = match statement.params[number - 1] {
            Value::Text(_) | Value::Null => "text",
            Value::Int(_) => "bigint",
            Value::Bytes(_) => "bytea",
            Value::Texts(_) => "text[]",
        };
        assert!(statement.sql.contains(&format!("${number}::{cast}")), "${number} in {}", statement.sql);
    }
    assert!(!statement.sql.contains(&format!("${}", statement.params.len() + 1)), "{}", statement.sql);
}

#[test]
fn statements_are_qualified_and_every_parameter_is_cast() {
    let one = migration("1_a");
    let stamp = RunStamp { run: "r1".to_owned(), dbctl_version: "0.1.0".to_owned() };
    let recording = Recording { migration: &one, elapsed: Duration::from_millis(12), stamp: &stamp };
    let seed = SeedRow { file: "a.sql".to_owned(), checksum: Checksum::recorded("c") };
    let statements = [
        LEDGER.record("m", &recording, Before::Any),
        LEDGER.record_progress("m", &one, &stamp, 3, true, "d", Before::Absent),
        LEDGER.record_progress("m", &one, &stamp, 3, false, "d", Before::Any),
        LEDGER.record_reverting("m", &one, &stamp, 3, true, "d"),
        LEDGER.forget("m", KeyedBy::Version, one.version.as_str()),
        LEDGER.forget("m", KeyedBy::Name, &one.name),
        LEDGER.reached("m", &one.name, 2, false),
        LEDGER.reached("m", &one.name, 2, true),
        LEDGER.record_seed(&seed, &stamp),
        LEDGER.forget_seeds(),
        LEDGER.record_environment("test"),
        LEDGER.begin_run(&stamp, "migrate"),
        LEDGER.end_run(&stamp, "done", 3),
    ];
    for statement in &statements {
        check_params(statement);
    }
    let reads = [
        LEDGER.read(),
        LEDGER.read_seeds(),
        LEDGER.read_environment(),
        LEDGER.read_runs(),
        LEDGER.create_runs(),
    ];
    let tables = [&LEDGER.tables()[..], &[LEDGER.runs_table()]].concat();
    for sql in statements.iter().map(|statement| &statement.sql).chain(&reads).chain(&LEDGER.create()[1..]) {
        assert!(tables.iter().any(|table| sql.contains(&table.to_string())), "{sql}");
        assert!(!sql.contains(';') && !sql.contains("  AND"), "{sql}");
    }
    assert_eq!(statements[0].params[4], Value::Int(12));
    assert_eq!(statements[1].params[6], Value::Int(3));
    assert!(
        statements[1].sql.contains("$7::bigint, true, ") && statements[2].sql.contains("$7::bigint, false, ")
    );
    assert!(statements[3].sql.contains("$7::bigint, true, $8::text, true)"));
    assert_eq!(statements[4].params[1], Value::Text("1".to_owned()));
    assert_eq!(statements[5].params[1], Value::Text("1_a".to_owned()));
}

#[test]
fn ddl_is_safe_to_run_again() {
    for sql in LEDGER.create().into_iter().chain([LEDGER.create_runs()]) {
        assert!(sql.contains(" IF NOT EXISTS \"dbctl\""), "{sql}");
    }
    assert_eq!(LEDGER.create().len(), LEDGER.tables().len() + 1);
}

#[test]
fn the_foreign_table_is_the_truth_and_the_ledger_annotates_it() {
    let at = Timestamp::from_second(5).unwrap();
    let known = Applied {
        at: Some(at),
        elapsed: Some(Duration::from_millis(7)),
        ..applied("2_b", Some("c2"), Progress::Whole)
    };
    let ledger = [
        row("m", known.clone()),
        row("other", applied("1_a", Some("of another source"), Progress::Whole)),
        row("m", applied("3_rolled_back_by_the_tool", Some("c3"), Progress::Whole)),
        row("m", applied("5_e", Some("c5"), PARTIAL)),
        row("m", applied("4_d", Some("c4"), PARTIAL)),
        row("m", applied("6_finished_by_the_tool", Some("c6"), PARTIAL)),
        row("m", applied("7_half_undone", Some("c7"), REVERTING)),
        row("m", applied("8_undone_by_the_tool", Some("c8"), REVERTING)),
    ];
    let foreign = vec![
        applied("1_a", None, Progress::Whole),
        applied("2_b", None, Progress::Whole),
        applied("6_finished_by_the_tool", Some("the tool's"), Progress::Whole),
        applied("7_half_undone", None, Progress::Whole),
    ];
    let expected = [
        applied("1_a", None, Progress::Whole),
        known,
        applied("6_finished_by_the_tool", Some("the tool's"), Progress::Whole),
        applied("7_half_undone", Some("c7"), REVERTING),
        applied("5_e", Some("c5"), PARTIAL),
        applied("4_d", Some("c4"), PARTIAL),
    ];
    assert_eq!(annotate(foreign.clone(), &ledger, "m", KeyedBy::Name), expected);
    assert_eq!(annotate(foreign, &[], "m", KeyedBy::Version)[0], applied("1_a", None, Progress::Whole));
}

#[test]
fn the_ledger_alone_tells_of_one_source_in_its_order() {
    let ledger = [
        row("m", applied("2_b", None, Progress::Whole)),
        row("n", applied("1_a", None, Progress::Whole)),
        row("m", applied("1_a", None, PARTIAL)),
    ];
    assert_eq!(own(&ledger, "m"), [applied("2_b", None, Progress::Whole), applied("1_a", None, PARTIAL)]);
    assert_eq!(own(&ledger, "gone"), []);
}
