//! Sessions: never more on a server than its cap, and no step that waits for a place while it has one.

use std::{num::NonZeroUsize, time::Duration};

use dbctl_engine::{
    LockHolder, Notice, Observer, Session,
    fake::{Behaviour, Fake},
};
use dbctl_migration::{Back, RunStamp};
use dbctl_runner::{Action, Migrate, Request, status};

use crate::fixture::{Fixture, SECOND, migrate, outcomes};

const DATABASES: [(&str, &[&str]); 4] =
    [("core", &[]), ("left", &["core"]), ("right", &["core"]), ("top", &["left", "right"])];

/// Everything on one server, with files that require others'.
fn crowded(cap: usize) -> (Fixture, Fake) {
    let extra = format!("servers: {{ main: {{ embedded: true, max_connections: {cap} }} }}\n");
    let fixture = Fixture::with_extra(&DATABASES, &extra);
    for (key, required) in [("left", "core"), ("right", "core"), ("top", "left")] {
        let sql = format!("-- dbctl:requires {required}@20260102000000\nselect 1;\n");
        std::fs::write(fixture.path().join(format!("m/{key}/{SECOND}.sql")), sql).unwrap();
    }
    (fixture, Fake::new(|_| Behaviour { yields: 3, fault: None }))
}

#[test]
fn a_cap_of_one_is_enough_for_every_verb() {
    let (fixture, fake) = crowded(1);
    let all = ["core", "left", "right", "top"];
    let back = || Action::Rollback(Back::Count(1));
    let dry = Action::Migrate(Migrate { dry_run: true, ..Migrate::default() });
    let faked = Action::Migrate(Migrate { fake: true, ..Migrate::default() });
    for (actions, names, no_deps) in [
        (vec![dry.clone()], &all[..], false),
        (Request::up_actions(), &all[..], false),
        (vec![dry], &all[..], false),
        (Request::up_actions(), &["top"], true),
        (vec![Action::Redo], &all[..], false),
        (vec![back()], &all[..], false),
        (migrate(), &["left"], true),
        (migrate(), &all[..], false),
        (vec![back()], &["top"], false),
        (vec![faked], &["top"], true),
        (vec![Action::Seed { missing_only: false }], &all[..], false),
        (vec![Action::Clean], &all[..], false),
        (Request::reset_actions(false), &["left", "top"], false),
        (vec![Action::Drop { disconnect: false }], &all[..], false),
        (vec![Action::Create], &all[..], false),
    ] {
        let request = Request { no_deps, ..fixture.request(actions, names) };
        let (summary, _) = fixture.run(&fake, &request);
        // `left` without `core` is refused: that is behind after the rollback.
        let refused = no_deps && names == ["left"];
        assert_eq!(outcomes(&summary).contains("failed"), refused, "{:?}: {summary:?}", request.actions);
        assert_eq!(fake.peak("embedded"), 1, "{:?}", request.actions);
    }
}

#[test]
fn a_rollback_that_is_in_the_way_of_others_looks_at_them_one_by_one() {
    let (fixture, fake) = crowded(1);
    fixture.up_all(&fake);
    let request = fixture.request(vec![Action::Rollback(Back::Count(1))], &["core"]);
    assert_eq!(outcomes(&fixture.run(&fake, &request).0), "core: failed");
    assert_eq!(fake.peak("embedded"), 1);
}

#[test]
fn as_many_sessions_as_the_cap_allows_are_open_at_once() {
    let (fixture, fake) = crowded(3);
    fixture.up_all(&fake);
    assert!((2..=3).contains(&fake.peak("embedded")), "{}", fake.peak("embedded"));
}

#[test]
fn the_lowest_cap_of_a_server_holds() {
    let (mut fixture, fake) = crowded(3);
    for target in fixture.targets.values_mut().take(1) {
        target.max_connections = NonZeroUsize::MIN;
    }
    assert!(!outcomes(&fixture.up_all(&fake)).contains("failed"));
    assert_eq!(fake.peak("embedded"), 1);
}

struct Deaf;

impl Observer for Deaf {
    fn notice(&self, _: Notice) {}

    fn waiting(&self, _: &LockHolder) {}
}

#[test]
fn status_keeps_to_the_cap() {
    let (fixture, fake) = crowded(1);
    fixture.up_all(&fake);
    let stamp = RunStamp { run: "r".to_owned(), dbctl_version: "0".to_owned() };
    let session = Session {
        verb: "status",
        stamp: &stamp,
        cancel: tokio_util::sync::CancellationToken::new(),
        observer: &Deaf,
        wait: Duration::ZERO,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let jobs = NonZeroUsize::new(8).unwrap();
    let look = status(&fixture.workspace, fixture.workspace.order(), &fixture.targets, &fake, &session, jobs);
    let look = async { tokio::time::timeout(Duration::from_secs(60), look).await };
    let report = runtime.block_on(look).unwrap();
    assert!(report.databases.iter().all(|database| database.is_up_to_date()), "{report:?}");
    assert_eq!(fake.peak("embedded"), 1);
}
