use proptest::prelude::*;

use super::*;
use crate::{Checksum, Version, test_support::migration};

/// Rows as `1_a`, with `*` where the checksum is another, `?` where it is unknown, `!` failed, `%` partial, `<` half
/// rolled back.
fn row(text: &str) -> Applied {
    let name = text.trim_end_matches(['*', '?', '!', '%', '<']);
    let recorded = migration(name);
    Applied {
        version: recorded.version,
        name: name.to_owned(),
        checksum: match text {
            _ if text.contains('*') => Some(Checksum::recorded("another")),
            _ if text.contains('?') => None,
            _ => Some(recorded.checksum),
        },
        at: None,
        elapsed: None,
        progress: match text {
            _ if text.contains('!') => Progress::Failed,
            _ if text.contains('%') => Progress::Partial { done: 1, started: true, digest: None },
            _ if text.contains('<') => Progress::Reverting { done: 1, started: true, digest: None },
            _ => Progress::Whole,
        },
        tool_row: None,
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn locals(text: &str) -> Vec<Migration> {
    words(text).into_iter().map(migration).collect()
}

fn rows(text: &str) -> Vec<Applied> {
    words(text).into_iter().map(row).collect()
}

fn shown(reconciled: &Reconciled<'_>) -> String {
    let entries = reconciled.entries.iter().map(|entry| format!("{}={}", entry.name(), entry.state.as_str()));
    entries.collect::<Vec<_>>().join(" ")
}

#[test]
fn states() {
    let cases = [
        ("", "", ""),
        ("1_a 2_b", "", "1_a=pending 2_b=pending"),
        ("1_a 2_b", "1_a", "1_a=applied 2_b=pending"),
        ("1_a 2_b 3_c", "2_b", "1_a=out_of_order 2_b=applied 3_c=pending"),
        ("1_a 2_b 3_c", "1_a? 2_b* 3_c", "1_a=applied 2_b=changed 3_c=applied"),
        ("1_a 2_b 3_c", "1_a! 2_b%", "1_a=failed 2_b=partial 3_c=pending"),
        ("1_a 2_b", "1_a*% 2_b*!", "1_a=partial 2_b=failed"),
        ("1_a 2_b", "1_a 2_b*<", "1_a=applied 2_b=partial"),
        ("1_a", "1_a 2_b", "1_a=applied 2_b=missing"),
        ("2_b", "1_a 2_b", "1_a=missing 2_b=applied"),
        ("", "1_a! 2_b%", "1_a=missing 2_b=missing"),
        // Another branch: what is missing here does not make this branch's own file out of order.
        ("1_a 2_b 4_d", "1_a 2_b 3_c", "1_a=applied 2_b=applied 3_c=missing 4_d=pending"),
        ("1_a 2_b 4_d", "1_a 2_b 5_e", "1_a=applied 2_b=applied 5_e=missing 4_d=pending"),
        // Missing ones stand where they were applied, also where what followed was out of order.
        ("1_a 2_b 3_c", "1_a 3_c 9_x 2_b 8_y", "1_a=applied 2_b=applied 3_c=applied 9_x=missing 8_y=missing"),
        // The last row of a key counts.
        ("1_a 2_b", "1_a! 2_b 1_a", "1_a=applied 2_b=applied"),
        ("2_b", "1_a 2_b 1_a", "2_b=applied 1_a=missing"),
    ];
    for (local, applied, expected) in cases {
        for keyed_by in [KeyedBy::Name, KeyedBy::Version] {
            let local = locals(local);
            assert_eq!(shown(&reconcile(&local, &rows(applied), keyed_by)), expected, "{applied}");
        }
    }
}

#[test]
fn a_renamed_file_is_the_same_migration_only_by_version() {
    let local = locals("1_new");
    let applied = [Applied { checksum: None, ..row("1_old") }];
    assert_eq!(shown(&reconcile(&local, &applied, KeyedBy::Version)), "1_new=applied");
    assert_eq!(shown(&reconcile(&local, &applied, KeyedBy::Name)), "1_old=missing 1_new=pending");
    let nameless = [Applied { name: String::new(), version: Version::new("7"), ..row("7_x") }];
    assert_eq!(shown(&reconcile(&[], &nameless, KeyedBy::Version)), "7=missing");
}

#[test]
fn what_may_run() {
    let drift = |make: fn(Vec<String>) -> Drift, names: &str| {
        Err(make(words(names).into_iter().map(str::to_owned).collect()))
    };
    let cases = [
        ("1_a 2_b", "1_a", OutOfOrder::Deny, Ok("2_b")),
        ("1_a 2_b 3_c", "2_b", OutOfOrder::Allow, Ok("1_a 3_c")),
        ("1_a 2_b 3_c", "2_b", OutOfOrder::Warn, Ok("1_a 3_c")),
        ("1_a 2_b 3_c", "2_b", OutOfOrder::Deny, drift(Drift::OutOfOrder, "1_a")),
        ("1_a 2_b", "1_a%", OutOfOrder::Deny, Ok("1_a 2_b")),
        ("1_a 2_b", "1_a 9_x", OutOfOrder::Deny, Ok("2_b")),
        ("1_a 2_b", "1_a* 2_b*", OutOfOrder::Allow, drift(Drift::Changed, "1_a 2_b")),
        ("1_a 2_b", "1_a!", OutOfOrder::Allow, drift(Drift::Failed, "1_a")),
        ("1_a", "9_x! 1_a!", OutOfOrder::Allow, drift(Drift::Failed, "9_x 1_a")),
        ("1_a", "9_x%", OutOfOrder::Allow, drift(Drift::Partial, "9_x")),
        ("1_a 2_b", "1_a<", OutOfOrder::Allow, drift(Drift::Reverting, "1_a")),
        ("1_a", "9_x<", OutOfOrder::Allow, drift(Drift::Reverting, "9_x")),
        ("1_a 2_b", "2_b*!", OutOfOrder::Deny, drift(Drift::Failed, "2_b")),
    ];
    for (local, applied, order, expected) in cases {
        let local = locals(local);
        let reconciled = reconcile(&local, &rows(applied), KeyedBy::Name);
        let names = |entries: Vec<&Entry<'_>>| {
            entries.iter().map(|entry| entry.name().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(reconciled.runnable(order).map(names), expected.map(str::to_owned), "{applied}");
    }
}

#[test]
fn up_to_a_target() {
    let local = locals("1_a 2_b 2_c 3_d");
    let applied = rows("1_a");
    let cases = [("1", ""), ("2_b", "2_b"), ("2", "2_b 2_c"), ("2_b.sql", "2_b"), ("3", "2_b 2_c 3_d")];
    let reconciled = reconcile(&local, &applied, KeyedBy::Name);
    for (target, expected) in cases {
        let entries = reconciled.runnable_to(OutOfOrder::Deny, target).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name()).collect();
        assert_eq!(names, words(expected), "{target}");
    }
    for unknown in ["4", "", "a", "2_b.down.sql"] {
        let error = reconciled.runnable_to(OutOfOrder::Deny, unknown).unwrap_err();
        assert_eq!(error, TargetError::Unknown { target: unknown.to_owned() });
    }

    // What is gone can still be named, and what is out of order behind the target does not matter.
    let applied = rows("1_a 9_x 3_d");
    let reconciled = reconcile(&local, &applied, KeyedBy::Name);
    assert_eq!(reconciled.runnable_to(OutOfOrder::Deny, "9"), Ok(vec![]));
    assert!(matches!(
        reconciled.runnable_to(OutOfOrder::Deny, "2"),
        Err(TargetError::Drift(Drift::OutOfOrder(names))) if names == ["2_b", "2_c"]
    ));
}

#[test]
fn drift_names_what_it_is_about() {
    let names = || vec!["1_a".to_owned(), "2_b".to_owned()];
    let cases = [
        (Drift::Changed(names()), "applied migrations have changed on disk: 1_a, 2_b"),
        (Drift::OutOfOrder(names()), "pending migrations sort before applied ones: 1_a, 2_b"),
        (Drift::Failed(names()), "migrations are recorded as failed: 1_a, 2_b"),
        (Drift::Partial(names()), "migrations stopped in the middle of a statement: 1_a, 2_b"),
        (Drift::Reverting(names()), "migrations are rolled back only in part: 1_a, 2_b"),
        (Drift::Missing(names()), "applied migrations are missing on disk: 1_a, 2_b"),
    ];
    for (drift, message) in cases {
        assert_eq!(drift.to_string(), message);
        assert_eq!(TargetError::from(drift).to_string(), message);
    }
    assert_eq!(TargetError::Unknown { target: "9".to_owned() }.to_string(), "there is no migration `9`");
}

#[test]
fn thousands_of_files_are_no_trouble() {
    let local: Vec<_> = (0..100_000).map(|number| migration(&format!("{number}_m"))).collect();
    let applied: Vec<_> = (0..200_000).rev().step_by(2).map(|number| row(&format!("{number}_m"))).collect();
    let reconciled = reconcile(&local, &applied, KeyedBy::Name);
    assert_eq!((reconciled.count(State::Applied), reconciled.count(State::Missing)), (50_000, 50_000));
}

proptest! {
    #[test]
    fn everything_has_one_place(
        local in prop::collection::btree_set(0u8..20, 0..12),
        applied in prop::collection::vec((0u8..20, "[*?!%]{0,2}"), 0..20),
    ) {
        let local: Vec<_> = local.into_iter().map(|number| migration(&format!("{number}_m"))).collect();
        let applied: Vec<_> = applied.into_iter().map(|(number, marks)| row(&format!("{number}_m{marks}"))).collect();
        let reconciled = reconcile(&local, &applied, KeyedBy::Name);

        let on_disk: Vec<_> = reconciled.entries.iter().filter_map(|entry| entry.local).collect();
        prop_assert_eq!(on_disk, local.iter().collect::<Vec<_>>());
        let mut recorded: Vec<_> = applied.iter().map(|row| &row.name).collect();
        recorded.sort();
        recorded.dedup();
        let mut found: Vec<_> =
            reconciled.entries.iter().filter_map(|entry| entry.applied.as_ref()).map(|row| &row.name).collect();
        found.sort();
        prop_assert_eq!(found, recorded);

        for (place, entry) in reconciled.entries.iter().enumerate() {
            let later = &reconciled.entries[place + 1..];
            let later_applied = later.iter().any(|later| later.local.is_some() && later.applied.is_some());
            match entry.state {
                State::Pending => prop_assert!(entry.applied.is_none() && !later_applied),
                State::OutOfOrder => prop_assert!(entry.applied.is_none() && later_applied),
                State::Missing => prop_assert!(entry.local.is_none() && entry.applied.is_some()),
                State::Applied | State::Changed | State::Failed | State::Partial => {
                    prop_assert!(entry.local.is_some() && entry.applied.is_some());
                }
            }
        }
        // What is denied is a part of what is allowed, and running it all leaves nothing to run.
        if let Ok(runnable) = reconciled.runnable(OutOfOrder::Deny) {
            let allowed = reconciled.runnable(OutOfOrder::Allow);
            prop_assert_eq!(Ok(runnable), allowed);
        }
        if let Ok(runnable) = reconciled.runnable(OutOfOrder::Allow) {
            let mut after = applied.clone();
            after.extend(runnable.iter().map(|entry| row(entry.name())));
let after = reconcile(&local, &after, KeyedBy::Name);
            prop_assert_eq!(after.runnable(OutOfOrder::Deny), Ok(vec![]));
        }
    }
}
