//! The real node-pg-migrate, from npm, judges databases that dbctl migrated, and the other way round.

use crate::{
    held::hold,
    support::Sandbox,
    tools::{VERSIONS, node_pg_migrate as tool, schema},
};

/// The versions that read a file with a comment above its up marker as it is meant: 6 counts the up part's length from
/// the start of the file, and so runs into the down part.
const EXACT: &[&str] = VERSIONS.split_at(1).1;

const PACKAGES: [(&str, &str); 4] = [
    ("core", "packages/core"),
    ("atriz", "apps/atriz"),
    ("mextrack", "apps/mextrack"),
    ("pshop", "apps/pshop"),
];

fn history(sandbox: &Sandbox, target: &str) -> String {
    sandbox.query(target, "select name from public.pgmigrations order by run_on, id")
}

#[test]
fn node_pg_migrate_finds_nothing_to_do_after_dbctl() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "--all"]);
    for version in VERSIONS {
        for (target, folder) in PACKAGES {
            let ran = tool(&sandbox, version, target, folder, &["up"]);
            assert!(ran.stdout.contains("No migrations to run!"), "{version} {target}: {ran}");
            assert_eq!(ran.code, 0, "{version} {target}: {ran}");
        }
    }
}

#[test]
fn dbctl_finds_nothing_to_do_after_node_pg_migrate() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["create", "--all"]);
    for (at, (target, folder)) in PACKAGES.into_iter().enumerate() {
        let ran = tool(&sandbox, EXACT[at % EXACT.len()], target, folder, &["up"]);
        assert!(ran.stdout.contains("Migrations complete!"), "{target}: {ran}");
    }
    sandbox.ok(&["status", "--all", "--check"]);
    let (code, document) = sandbox.json(&["migrate", "--all"]);
    assert_eq!(code, 0, "{document}");
    for database in document["databases"].as_array().unwrap() {
        assert_eq!(database["outcome"], "unchanged", "{document}");
    }
}

#[test]
fn each_sees_what_the_other_rolled_back_and_finishes_what_the_other_began() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["create", "core"]);
    for version in EXACT {
        // The tool begins, dbctl finishes.
        tool(&sandbox, version, "core", "packages/core", &["up", "1"]).ok();
        let begun = history(&sandbox, "core");
        assert_eq!(begun.lines().count(), 1, "{begun}");
        sandbox.ok(&["migrate", "core"]);
        let all = history(&sandbox, "core");
        assert!(all.starts_with(&begun) && all.lines().count() > 2, "{all}");
        let ran = tool(&sandbox, version, "core", "packages/core", &["up"]);
        assert!(ran.stdout.contains("No migrations to run!"), "{ran}");

        // dbctl takes one back, the tool puts it back.
        sandbox.ok(&["rollback", "core", "--yes"]);
        assert_eq!(history(&sandbox, "core").lines().count(), all.lines().count() - 1);
        let ran = tool(&sandbox, version, "core", "packages/core", &["up"]);
        assert!(ran.stdout.contains("Migrations complete!"), "{ran}");
        assert_eq!(history(&sandbox, "core"), all);
        sandbox.ok(&["status", "core", "--check"]);

        // The tool takes one back, dbctl puts it back.
        tool(&sandbox, version, "core", "packages/core", &["down"]).ok();
        let (code, status) = sandbox.json(&["status", "core", "--check"]);
        assert_eq!(
            (code, &status["databases"][0]["counts"]["pending"]),
            (4, &serde_json::json!(1)),
            "{status}"
        );
        sandbox.ok(&["migrate", "core"]);
        assert_eq!(history(&sandbox, "core"), all);

        // The tool takes all of it back; then dbctl does, after the tool.
        tool(&sandbox, version, "core", "packages/core", &["down", "100"]).ok();
        assert_eq!(history(&sandbox, "core"), "");
        sandbox.ok(&["migrate", "core"]);
        sandbox.ok(&["rollback", "core", "--to", "zero", "--yes"]);
        assert_eq!(history(&sandbox, "core"), "");
    }
}

#[test]
fn the_two_lock_each_other_out() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "core"]);
    let url = sandbox.url("core");
    let held = hold(&url, "select pg_advisory_lock(7241865325823964)");
    let said = sandbox.dbctl(&["migrate", "core", "--wait", "0s"]).fails(5);
    assert!(said.contains(&format!("pid {}", held.pid)), "{said}");
    let ran = tool(&sandbox, "9.0.0", "core", "packages/core", &["up"]);
    assert!(ran.code != 0 && ran.stderr.contains("Another migration is already running"), "{ran}");
    drop(held);
    sandbox.ok(&["migrate", "core", "--wait", "60s"]);
}

#[test]
fn up_then_down_then_up_gives_the_same_schema() {
    let sandbox = Sandbox::atriz();
    sandbox.ok(&["up", "--all"]);
    let dump = |target: &str| schema(&sandbox, target);
    for (target, _) in PACKAGES {
        let first = dump(target);
        assert!(first.contains("CREATE TABLE"), "{first}");
        sandbox.ok(&["rollback", target, "--to", "zero", "--yes", "--ignore-dependents"]);
        let nothing = dump(target);
        assert_eq!(
            nothing.matches("CREATE TABLE").count(),
            nothing.matches("pgmigrations (").count() + nothing.matches("CREATE TABLE dbctl.").count(),
            "{nothing}"
        );
        sandbox.ok(&["migrate", target]);
        assert_eq!(dump(target), first, "{target}");
    }
}
