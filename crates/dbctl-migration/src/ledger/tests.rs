use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::{
    Checksum, Folder, FormatKind, Recording, RunStamp, SourceOptions, Statement, Version,
    test_support::migration,
};

const LEDGER: Ledger = Ledger::new(Dialect::Postgres);

fn applied(name: &str, checksum: Option<&str>, progress: Progress) -> Applied {
    let version = name.split('_').next().unwrap_or_default();
    Applied {
        version: Version::new(version),
        name: name.to_owned(),
        checksum: checksum.map(Checksum::recorded),
        at: None,
        elapsed: None,
        progress,
        tool_row: None,
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
    let folder = Folder::new("/nowhere", "nowhere");
    let history = FormatKind::parse("dbmate").unwrap().open(&folder, &SourceOptions::default());
    let history = history.history().unwrap();
    let seed = SeedRow { file: "a.sql".to_owned(), checksum: Checksum::recorded("c") };
    let statements = [
        LEDGER.record("m", &recording, Before::Any, None),
        LEDGER.record("m", &recording, Before::Any, Some(history)),
        LEDGER.repair("m", &one, None),
        LEDGER.repair("m", &one, Some(history)),
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
    assert_eq!(statements[1].params[7], Value::Text("1".to_owned()));
    let [started, stopped, reverting, version, name, ..] = &statements[4..] else { unreachable!() };
    assert_eq!(started.params[6], Value::Int(3));
    assert!(started.sql.contains("$7::bigint, true, ") && stopped.sql.contains("$7::bigint, false, "));
    assert!(reverting.sql.contains("$7::bigint, true, $8::text, true)"));
    assert_eq!(version.params[1], Value::Text("1".to_owned()));
    assert_eq!(name.params[1], Value::Text("1_a".to_owned()));
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
        applied("6_finished_by_the_tool", None, Progress::Whole),
        applied("7_half_undone", None, Progress::Whole),
    ];
    let expected = [
        applied("1_a", None, Progress::Whole),
        known,
        applied("6_finished_by_the_tool", None, Progress::Whole),
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

/// A row of the ledger, and one of the tool's, speak of one application where they name the same row, or one names none.
#[test]
fn what_the_tool_applied_anew_is_not_what_was_applied_before() {
    let of = |row: Option<&str>, applied: Applied| Applied { tool_row: row.map(str::to_owned), ..applied };
    let checksum = |ours: Option<&str>, its: Option<&str>| {
        let ledger = [row("m", of(ours, applied("1_a", Some("c1"), Progress::Whole)))];
        let rows =
            annotate(vec![of(its, applied("1_a", None, Progress::Whole))], &ledger, "m", KeyedBy::Name);
        rows[0].checksum.as_ref().map(ToString::to_string)
    };
    let known = Some("c1".to_owned());
    assert_eq!(checksum(Some("7"), Some("7")), known);
    assert_eq!(checksum(Some("7"), Some("8")), None);
    assert_eq!(checksum(None, Some("8")), known);
    assert_eq!(checksum(Some("7"), None), known);

    // Of several rows of one name it is the one that it names; half undone was another.
    let ledger = [row("m", of(Some("7"), applied("1_a", Some("c1"), REVERTING)))];
    let foreign = vec![
        of(Some("6"), applied("1_a", None, Progress::Whole)),
        of(Some("7"), applied("1_a", None, Progress::Whole)),
    ];
    let expected = [foreign[0].clone(), of(Some("7"), applied("1_a", Some("c1"), REVERTING))];
    assert_eq!(annotate(foreign, &ledger, "m", KeyedBy::Name), expected);
}
