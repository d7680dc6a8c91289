use super::*;

fn row(name: &str, progress: Progress) -> FrozenRow {
    FrozenRow {
        source: "m".to_owned(),
        version: "1".to_owned(),
        name: name.to_owned(),
        checksum: (name != "1_unknown").then(|| "abc".to_owned()),
        progress,
    }
}

fn frozen() -> FrozenDatabase {
    let digest = Some("d\"'\\ü\u{1}".to_owned());
    FrozenDatabase {
        server: "main (db:5432)".to_owned(),
        identity: Identity { system: "7301".to_owned(), database: "core \"; drop database x; --".to_owned() },
        pending: vec![FrozenFile {
            source: "m".to_owned(),
            version: "9".to_owned(),
            name: "9_é\n".to_owned(),
            path: "core/m/9_é.sql".to_owned(),
            checksum: "f".repeat(64),
            held: vec!["7_g".to_owned()],
        }],
        applied: vec![
            row("1_a", Progress::Whole),
            row("1_unknown", Progress::Whole),
            row("2_b", Progress::Failed),
            row("3_c", Progress::Partial { done: 3, started: true, digest: digest.clone() }),
            row("4_d", Progress::Reverting { done: 0, started: false, digest: None }),
        ],
    }
}

fn plan() -> Document {
    Document {
        kind: KIND.to_owned(),
        version: VERSION,
        dbctl: "0.1.0".to_owned(),
        made_at: "2026-11-21T08:08:01Z".to_owned(),
        command: "migrate".to_owned(),
        workspace: "w".to_owned(),
        environment: "production".to_owned(),
        manifest: "a".repeat(64),
        options: Options {
            targets: vec!["core".to_owned()],
            no_deps: true,
            no_hooks: true,
            to: Some("9".to_owned()),
            out_of_order: Some(Order::Deny),
        },
        databases: vec![database_of(&Key::parse("core").unwrap(), &frozen())],
    }
}

fn text(document: &Document) -> String {
    serde_json::to_string_pretty(document).unwrap()
}

#[test]
fn what_is_written_is_what_is_read() {
    let document = plan();
    assert_eq!(parse(&text(&document)).unwrap(), document);
    let read = understood(document).unwrap();
    assert_eq!(read.targets, BTreeSet::from([Key::parse("core").unwrap()]));
    assert_eq!((read.no_deps, read.no_hooks), (true, true));
    let Migrate { to, out_of_order, frozen: held, fake, dry_run, atomic } = read.migrate;
    assert_eq!((to.as_deref(), out_of_order), (Some("9"), Some(OutOfOrder::Deny)));
    assert_eq!((fake, dry_run, atomic), (false, false, None));
    assert_eq!(held.unwrap().databases[&Key::parse("core").unwrap()], frozen());
}

#[test]
fn wherever_it_is_cut_it_is_refused() {
    let whole = text(&plan());
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let (place, message) = parse(&whole[..end]).unwrap_err();
        let cut = &whole[..end];
        let line = cut.matches('\n').count() + 1;
        assert_eq!(place.map(|place| place.0), Some(line), "{end}: {message}");
        assert!(message.starts_with("the plan is cut short: "), "{end}: {message}");
    }
}

#[test]
fn what_is_no_plan_of_this_version_says_so_and_where() {
    let whole = text(&plan());
    let told = |text: &str| {
        let (place, message) = parse(text).unwrap_err();
        let place = place.map(|(line, column)| format!("{line}:{column}: ")).unwrap_or_default();
        format!("{place}{message}")
    };
    for (text, expected) in [
        (
            whole.replacen("\"version\": 1", "\"version\": 2", 1),
            "3:14: this is a plan of version 2, and this dbctl reads version 1",
        ),
        // Even where all else has another shape.
        (
            "{\n  \"version\": 2,\n  \"kind\": [],\n}".to_owned(),
            "2:14: this is a plan of version 2, and this dbctl reads version 1",
        ),
        ("{\"kind\": \"other\", \"version\": 1}".to_owned(), "this is no plan of dbctl, but `other`"),
        ("{}".to_owned(), "1:2: missing field `kind`"),
        ("workspace: w\n".to_owned(), "1:1: expected value"),
        (
            whole.replacen("\"to\"", "\"ot\"", 1),
            "16:8: unknown field `ot`, expected one of `targets`, `no_deps`, `no_hooks`, `to`, `out_of_order`",
        ),
        (
            whole.replacen("\"deny\"", "\"never\"", 1),
            "17:27: unknown variant `never`, expected one of `allow`, `warn`, `deny`",
        ),
        (
            whole.replacen("\"statements_done\": 3", "\"statements_done\": -3", 1),
            "65:31: invalid value: integer `-3`, expected usize",
        ),
    ] {
        assert_eq!(told(&text), expected);
    }
    let half = whole.replacen("\"statements_done\": 3,\n", "", 1);
    let refused = understood(parse(&half).unwrap()).unwrap_err();
    assert_eq!(
        refused,
        "`3_c` is not whole, and `statements_done` and `statement_started` do not say how far it is"
    );
    let key = Document {
        databases: vec![DatabaseOf { key: "a b".to_owned(), ..plan().databases.remove(0) }],
        ..plan()
    };
    assert!(understood(key).unwrap_err().starts_with("`a b` is no key: "));
    let other = Document { command: "drop".to_owned(), ..plan() };
    assert_eq!(understood(other).unwrap_err(), "it is a plan of `drop`, and this is `migrate`");
    let mut twice = plan();
    twice.databases.push(twice.databases[0].clone());
    assert_eq!(understood(twice).unwrap_err(), "a database is in it twice");
}

#[test]
fn only_plans_are_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    let shown = Path::new("plan.json");
    assert!(may_write(&path, shown, false).is_ok());
    replace(&path, "{\"kind\": \"dbctl-plan\", \"version\": 7}", "r").unwrap();
    assert!(may_write(&path, shown, false).is_ok());
    for other in ["", "{}", "{\"kind\": \"dbctl-plan\"", "{\"name\": \"package\"}"] {
        replace(&path, other, "r").unwrap();
        let refused = may_write(&path, shown, false).unwrap_err();
        assert_eq!(refused.to_string(), "plan.json is there already, and is no plan");
        assert!(may_write(&path, shown, true).is_ok());
    }
    assert!(matches!(may_write(folder.path(), shown, false), Err(CliError::Write { .. })));
    // What cannot be put in its place leaves nothing beside it.
    assert!(replace(folder.path(), "{}", "r").is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
