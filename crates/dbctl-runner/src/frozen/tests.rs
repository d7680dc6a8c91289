use super::*;

fn file(name: &str, checksum: &str) -> FrozenFile {
    FrozenFile {
        source: "m".to_owned(),
        version: name.split('_').next().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        path: format!("core/m/{name}.sql"),
        checksum: checksum.to_owned(),
        held: Vec::new(),
    }
}

fn row(name: &str) -> FrozenRow {
    FrozenRow {
        source: "m".to_owned(),
        version: name.split('_').next().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        checksum: Some("c".to_owned()),
        progress: Progress::Whole,
    }
}

/// Two applied, two pending.
fn database() -> FrozenDatabase {
    FrozenDatabase {
        server: "db:5432".to_owned(),
        identity: Identity { system: "7".to_owned(), database: "core_db".to_owned() },
        pending: vec![file("3_c", "three"), file("4_d", "four")],
        applied: vec![row("1_a"), row("2_b")],
    }
}

/// What is told of a database that has changed in that way; `gone` are the files that are not on disk.
fn told(gone: &[&str], change: impl Fn(&mut FrozenDatabase)) -> Vec<String> {
    let mut now = database();
    change(&mut now);
    let on_disk = |path: &str| !gone.contains(&path);
    moved(&database(), &now, &on_disk).iter().map(ToString::to_string).collect()
}

#[test]
fn what_has_not_moved_is_not_told() {
    assert!(told(&[], |_| {}).is_empty());
    // By which way a server is reached matters to people alone.
    assert!(told(&[], |now| now.server = "db.internal:5432".to_owned()).is_empty());
}

#[test]
fn everything_that_has_moved_is_told() {
    type Change = fn(&mut FrozenDatabase);
    let cases: [(&[&str], Change, &[&str]); 13] = [
        (&[], |now| now.pending[0].checksum.push('!'), &["core/m/3_c.sql has changed"]),
        (&[], |now| now.pending.push(file("5_e", "")), &["core/m/5_e.sql is pending, and not in the plan"]),
        (&["core/m/4_d.sql"], |now| drop(now.pending.pop()), &["core/m/4_d.sql is gone"]),
        (&[], |now| drop(now.pending.pop()), &["core/m/4_d.sql would not run any more"]),
        (
            &["core/m/3_c.sql"],
            |now| now.pending[0] = file("3_x", "three"),
            &["core/m/3_c.sql is gone", "core/m/3_x.sql is pending, and not in the plan"],
        ),
        (
            &[],
            |now| now.pending.reverse(),
            &["the files would run in another order: core/m/4_d.sql, core/m/3_c.sql"],
        ),
        (
            &[],
            |now| now.pending[0].held.push("0_z".to_owned()),
            &["core/m/3_c.sql would be recorded with other migrations"],
        ),
        (
            &[],
            |now| {
                now.pending.remove(0);
                now.applied.push(row("3_c"));
            },
            &["3_c has been applied since"],
        ),
        (&[], |now| now.applied.push(row("9_z")), &["9_z has been applied since"]),
        (&[], |now| drop(now.applied.pop()), &["2_b is not applied any more"]),
        (&[], |now| now.applied[0].checksum = None, &["something else is recorded of 1_a"]),
        (&[], |now| now.applied[0].progress = Progress::Failed, &["something else is recorded of 1_a"]),
        (
            &[],
            |now| {
                now.identity.system = "8".to_owned();
                now.applied.clear();
            },
            &[
                "it is another database: the plan is for core_db on db:5432 (system 7), and this is core_db on db:5432 \
               (system 8)",
            ],
        ),
    ];
    for (gone, change, expected) in cases {
        assert_eq!(told(gone, change), expected);
    }
}
