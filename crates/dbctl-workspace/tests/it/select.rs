//! The grammar of targets.

use std::collections::BTreeSet;

use dbctl_workspace::{Key, Selection, Workspace};
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::support::Site;

fn site() -> Site {
    Site::new(
        "\
workspace: atriz
databases:
  core: { name: atriz_shared, package: packages/core }
  atriz: { name: atriz_db, package: apps/atriz, depends_on: [core], tags: [app, web] }
  mextrack: { name: mextrack_db, package: apps/mextrack, depends_on: [core], tags: [app] }
  reports: { name: core, package: apps/mextrack, depends_on: [mextrack] }
  loose: {}
",
    )
    .file("packages/core/package.json", r#"{"name": "@atriz/core"}"#)
    .file("apps/atriz/package.json", r#"{"name": "@atriz/website"}"#)
    .file("apps/mextrack/package.json", r#"{"name": "@atriz/mextrack-api"}"#)
    .folder("apps/mextrack/src/deep")
    .folder("apps/atriz/nested")
}

fn select(site: &Site, cwd: &str, targets: &[&str]) -> String {
    let selection = Selection {
        targets: targets.iter().map(ToString::to_string).collect(),
        all: false,
        cwd: site.path(cwd),
    };
    show(&site.workspace(), &selection)
}

fn show(workspace: &Workspace, selection: &Selection) -> String {
    match workspace.select(selection) {
        Ok(keys) => keys.iter().map(Key::as_str).collect::<Vec<_>>().join(" "),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn targets_and_filters() {
    let site = site();
    for (targets, expected) in [
        // A key wins over a name: `core` is also the name of `reports`.
        (&["core"][..], "core"),
        (&["atriz_shared"], "core"),
        (&["@atriz/core"], "core"),
        (&["@atriz/mextrack-api"], "mextrack reports"),
        (&["packages/core"], "core"),
        (&["./packages/core/"], "core"),
        (&["apps/mextrack"], "mextrack reports"),
        (&["core", "loose"], "core loose"),
        (&["mextrack..."], "core mextrack"),
        (&["...mextrack"], "mextrack reports"),
        (&["...mextrack..."], "core mextrack reports"),
        (&["...core"], "atriz core mextrack reports"),
        (&["...packages/core"], "atriz core mextrack reports"),
        (&["tag:app"], "atriz mextrack"),
        (&["tag:app..."], "atriz core mextrack"),
        (&["...tag:app"], "atriz mextrack reports"),
        (&["!core"], "atriz loose mextrack reports"),
        (&["!core", "!tag:app"], "loose reports"),
        (&["!...core"], "loose"),
        (&["reports...", "!core"], "mextrack reports"),
        (&["!core", "reports..."], "mextrack reports"),
        (&["tag:app", "!apps/atriz"], "mextrack"),
    ] {
        assert_eq!(select(&site, "", targets), expected, "{targets:?}");
    }
    let absolute = site.path("apps/atriz");
    assert_eq!(select(&site, "packages", &[absolute.to_str().unwrap()]), "atriz");
}

#[test]
fn folders_are_relative_to_where_one_is() {
    let site = site();
    for (cwd, targets, expected) in [
        ("packages/core", &[][..], "core"),
        ("apps/mextrack/src/deep", &[], "mextrack reports"),
        ("apps/mextrack", &["."], "mextrack reports"),
        ("apps/mextrack/src", &["."], "mextrack reports"),
        ("apps/mextrack/src", &[".."], "mextrack reports"),
        ("apps/mextrack/src", &["deep/.."], "mextrack reports"),
        ("apps/mextrack", &["../atriz"], "atriz"),
        ("apps", &["atriz"], "atriz"),
        ("apps/mextrack", &["!."], "atriz core loose"),
        ("apps/mextrack", &["./...", "!."], "core"),
        ("apps/mextrack", &["packages/core"], "core"),
    ] {
        assert_eq!(select(&site, cwd, targets), expected, "{cwd} {targets:?}");
    }
}

#[cfg(unix)]
#[test]
fn links_to_a_package_lead_there() {
    let site = site();
    std::os::unix::fs::symlink(site.path("apps/atriz"), site.path("here")).unwrap();
    assert_eq!(select(&site, "here", &[]), "atriz");
    assert_eq!(select(&site, "", &["here"]), "atriz");
}

#[test]
fn a_package_at_the_root_owns_what_no_other_does() {
    let site = Site::new("workspace: x\ndatabases: { a: { package: . }, b: { package: apps/b } }\n")
        .folder("apps/b")
        .folder("docs");
    for (cwd, expected) in [("", "a"), ("docs", "a"), ("apps", "a"), ("apps/b", "b")] {
        assert_eq!(select(&site, cwd, &[]), expected, "{cwd}");
        assert_eq!(select(&site, cwd, &["."]), expected, "{cwd}");
    }
    // But not every word that happens to be the name of a folder or file.
    for (cwd, target) in
        [("", "docs"), ("", "workspace.yaml"), ("", "apps"), ("apps/b", "docs"), ("docs", "../apps")]
    {
        let found = select(&site, cwd, &[target]);
        assert_eq!(found, format!("error: nothing is called `{target}`; there are a, b"), "{cwd}");
    }
}

#[test]
fn errors() {
    let site = site();
    let mut out = String::new();
    for (cwd, targets) in [
        ("", &[][..]),
        ("apps", &[]),
        ("", &["."]),
        ("", &["apps"]),
        ("", &["apps/mextrack/src"]),
        ("", &["mextrak"]),
        ("", &["@atriz/cor"]),
        ("", &["tag:ap"]),
        ("", &["tag:zzz"]),
        ("", &["!tag:zzz..."]),
        ("", &["app/mextrack"]),
        ("", &["!mextrak"]),
        ("", &["nothing-like-it"]),
        ("", &["/"]),
        ("", &[""]),
        ("", &["!"]),
        ("", &["..."]),
        ("", &["tag:"]),
        ("", &["core", "!core"]),
    ] {
        out += &format!("{targets:?}: {}\n", select(&site, cwd, targets));
    }
    let all = Selection { targets: vec!["!core".to_owned()], all: true, cwd: site.path("") };
    out += &format!("--all !core: {}\n", show(&site.workspace(), &all));
    assert_snapshot!(out, @r#"
    []: error: no target is given; name one of atriz, core, loose, mextrack, reports, or use --all
    []: error: no target is given; name one of atriz, core, loose, mextrack, reports, or use --all
    ["."]: error: nothing is called `.`; there are atriz, core, loose, mextrack, reports
    ["apps"]: error: nothing is called `apps`; there are atriz, core, loose, mextrack, reports
    ["apps/mextrack/src"]: error: nothing is called `apps/mextrack/src`; did you mean `apps/mextrack`?
    ["mextrak"]: error: nothing is called `mextrak`; did you mean `mextrack`?
    ["@atriz/cor"]: error: nothing is called `@atriz/cor`; did you mean `@atriz/core`?
    ["tag:ap"]: error: nothing is called `tag:ap`; did you mean `tag:app`?
    ["tag:zzz"]: error: nothing is called `tag:zzz`; there are tag:app, tag:web
    ["!tag:zzz..."]: error: nothing is called `!tag:zzz...`; there are tag:app, tag:web
    ["app/mextrack"]: error: nothing is called `app/mextrack`; did you mean `apps/mextrack`?
    ["!mextrak"]: error: nothing is called `!mextrak`; did you mean `mextrack`?
    ["nothing-like-it"]: error: nothing is called `nothing-like-it`; there are atriz, core, loose, mextrack, reports
    ["/"]: error: nothing is called `/`; there are atriz, core, loose, mextrack, reports
    [""]: error: `` names no target
    ["!"]: error: `!` names no target
    ["..."]: error: `...` names no target
    ["tag:"]: error: `tag:` names no target
    ["core", "!core"]: error: `core !core` selects nothing
    --all !core: error: --all and targets exclude each other; `!core` alone is everything without core
    "#);
    let all = Selection { targets: Vec::new(), ..all };
    assert_eq!(show(&site.workspace(), &all), "atriz core loose mextrack reports");
}

#[test]
fn a_tag_where_there_is_none() {
    let site = Site::new("workspace: x\ndatabases: { a: {} }\n");
    assert_snapshot!(select(&site, "", &["tag:app"]), @"error: nothing is called `tag:app`; no database has a tag");
}

#[test]
fn a_name_on_two_servers_is_ambiguous() {
    let site = Site::new(
        "workspace: x\nservers: { m: {}, n: {} }\ndatabases: { a: { name: d, server: m }, b: { name: d, server: n } }\n",
    );
    assert_snapshot!(select(&site, "", &["d"]), @"error: `d` is the database of a and of b; use one of these keys");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn filters_agree_with_the_closures(
        pairs in proptest::collection::vec((0_usize..7, 0_usize..7), 0..14),
        on in 0_usize..7,
        off in 0_usize..7,
    ) {
        let mut manifest = "workspace: x\ndatabases:\n".to_owned();
        for at in 0..7 {
            let on: BTreeSet<_> = pairs.iter().filter(|(from, to)| *from == at && to < from).map(|(_, to)| format!("k{to}")).collect();
            let on: Vec<_> = on.into_iter().collect();
            manifest += &format!("  k{at}: {{ depends_on: [{}] }}\n", on.join(", "));
        }
        let site = Site::new(&manifest);
        let workspace = site.workspace();
        let select = |targets: &[String]| {
            let selection = Selection { targets: targets.to_vec(), all: false, cwd: site.path("") };
            workspace.select(&selection).unwrap_or_default()
        };
        let (on, off) = (crate::support::key(&format!("k{on}")), crate::support::key(&format!("k{off}")));
        let this = BTreeSet::from([on.clone()]);
        let down = &this | workspace.dependencies(&on);
        let up = &this | workspace.dependents(&on);
        prop_assert_eq!(select(&[format!("{on}...")]), down.clone());
        prop_assert_eq!(select(&[format!("...{on}")]), up.clone());
        prop_assert_eq!(select(&[format!("...{on}...")]), &down | &up);
        let mut less = down;
        less.remove(&off);
        prop_assert_eq!(select(&[format!("!{off}"), format!("{on}...")]), less);
        prop_assert_eq!(select(&[format!("!{off}")]).len(), 6);
        // Whatever is selected, its members come in an order in which dependencies are first.
        let place = |key: &Key| workspace.order().iter().position(|other| other == key).unwrap();
        for dependency in workspace.dependencies(&on) {
            prop_assert!(place(dependency) < place(&on));
        }
    }
}
