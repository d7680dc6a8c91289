//! Plans: which steps, in which order, with which edges.

use dbctl_migration::Back;
use dbctl_runner::{Action, Migrate, Plan, PlanError, Request, plan};

use crate::fixture::{Fixture, migrate};

/// `0 core create; 1 core migrate < 0; …`
fn shown(plan: &Plan) -> String {
    let step = |step: &dbctl_runner::Step| {
        let needs: Vec<String> = step.needs.iter().map(ToString::to_string).collect();
        let needs = if needs.is_empty() { String::new() } else { format!(" < {}", needs.join(" ")) };
        format!("{} {} {}{needs}", step.id, step.database, step.action.name())
    };
    plan.steps.iter().map(step).collect::<Vec<_>>().join("; ")
}

#[test]
fn forward_verbs_bring_dependencies_along() {
    let fixture = Fixture::new(&[("core", &[]), ("atriz", &["core"]), ("pshop", &["core"])]);
    let request = fixture.request(migrate(), &["pshop"]);
    assert_eq!(shown(&fixture.plan(&request)), "0 core migrate; 1 pshop migrate < 0");
    let alone = Request { no_deps: true, ..request };
    assert_eq!(shown(&fixture.plan(&alone)), "0 pshop migrate");
}

#[test]
fn up_waits_for_the_last_step_of_each_dependency() {
    let fixture = Fixture::new(&[("core", &[]), ("app", &["core"])]);
    let request = fixture.request(Request::up_actions(), &["app"]);
    assert_eq!(
        shown(&fixture.plan(&request)),
        "0 core create; 1 core migrate < 0; 2 core seed < 1; 3 app create < 2; 4 app migrate < 2 3; 5 app seed < 2 4"
    );
}

#[test]
fn backward_verbs_touch_only_what_is_named_in_reverse() {
    let fixture = Fixture::new(&[("core", &[]), ("atriz", &["core"]), ("pshop", &["core"])]);
    let request = fixture.request(vec![Action::Clean], &["core", "pshop"]);
    assert_eq!(shown(&fixture.plan(&request)), "0 pshop clean; 1 core clean < 0");
    let alone = fixture.request(vec![Action::Rollback(Back::Count(1))], &["pshop"]);
    assert_eq!(shown(&fixture.plan(&alone)), "0 pshop rollback");
}

#[test]
fn reset_drops_backwards_then_comes_up_forwards() {
    let fixture = Fixture::new(&[("core", &[]), ("app", &["core"])]);
    let request = fixture.request(Request::reset_actions(false), &["core", "app"]);
    assert_eq!(
        shown(&fixture.plan(&request)),
        "0 app drop; 1 core drop < 0; 2 core create < 1; 3 core migrate < 2; 4 core seed < 3; \
         5 app create < 0 4; 6 app migrate < 4 5; 7 app seed < 4 6"
    );
}

#[test]
fn the_middle_of_a_chain_left_out_keeps_its_ends_in_order() {
    let fixture = Fixture::new(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]);
    let request = Request { no_deps: true, ..fixture.request(migrate(), &["a", "c"]) };
    assert_eq!(shown(&fixture.plan(&request)), "0 a migrate; 1 c migrate < 0");
}

#[test]
fn a_protected_environment_wants_to_be_named() {
    let extra = "environments: { production: { protected: true } }\n";
    let fixture = Fixture::with_extra(&[("core", &[])], extra).under("production");
    let mut request = fixture.request(vec![Action::Clean], &["core"]);
    for given in [None, Some("staging".to_owned())] {
        request.allow_protected.clone_from(&given);
        let refused = PlanError::Protected {
            environment: "production".to_owned(),
            command: "test",
            effect: "destroys data",
            given,
        };
        assert_eq!(plan(&fixture.workspace, &request).unwrap_err(), refused);
    }
    request.allow_protected = Some("production".to_owned());
    assert!(plan(&fixture.workspace, &request).is_ok());
    let forward = fixture.request(migrate(), &["core"]);
    assert!(plan(&fixture.workspace, &forward).is_ok(), "what destroys nothing needs no permission");
    let faked =
        fixture.request(vec![Action::Migrate(Migrate { fake: true, ..Migrate::default() })], &["core"]);
    assert_eq!(
        plan(&fixture.workspace, &faked).unwrap_err().to_string(),
        "`migrate --fake` records migrations as applied without running them, and the environment `production` is protected"
    );
}
