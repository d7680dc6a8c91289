//! Databases that are older than dbctl, and one file in place of many.

use std::fs;

use dbctl_engine::fake::{Behaviour, CallKind, Fake, Fault};
use dbctl_migration::Progress;
use dbctl_runner::{Action, Adopt, Direction, Migrate, Summary, Through};

use crate::fixture::{Fixture, error, migrate, outcomes};

const MANIFEST: &str = "workspace: test
databases:
  own:
    migrations: [{ path: m, format: native, baseline: { file: m/99999999999999_all.sql, through: 20250102000000 } }]
  beside:
    migrations: [{ path: n, format: native, baseline: { file: all.sql, through: 20250102000000_b } }]
  two:
    migrations:
      - { path: first, format: native }
      - { path: n, format: native, baseline: { file: all.sql, through: 20250102000000_b } }
";

fn fixture() -> Fixture {
    let mut files: Vec<(&str, &str)> = vec![
        ("m/99999999999999_all.sql", "select 'all';"),
        ("all.sql", "select 'all';"),
        ("first/20240101000000_x.sql", "select 'x';"),
        ("first/20240102000000_y.sql", "select 'y';"),
    ];
    let names = ["20250101000000_a", "20250102000000_b", "20250103000000_c"];
    let paths: Vec<String> =
        ["m", "n"].iter().flat_map(|folder| names.map(|name| format!("{folder}/{name}.sql"))).collect();
    files.extend(paths.iter().map(|path| (path.as_str(), "select 1;")));
    Fixture::written(MANIFEST, &files)
}

/// The databases are there.
fn created(fixture: &Fixture, keys: &[&str]) -> Fake {
    let fake = Fake::default();
    fixture.run(&fake, &fixture.request(vec![Action::Create], keys));
    fake
}

fn run(fixture: &Fixture, fake: &Fake, action: Action, key: &str) -> Summary {
    fixture.run(fake, &fixture.request(vec![action], &[key])).0
}

fn to(to: &str) -> Action {
    Action::Migrate(Migrate { to: Some(to.to_owned()), ..Migrate::default() })
}

fn through(text: &str) -> Adopt {
    Adopt { through: Through::Version(text.to_owned()), source: None, dry_run: false }
}

/// What was done, `+` run, `=` recorded, `?` would be run, `-` would be recorded; each by its last letters.
fn done(summary: &Summary) -> String {
    let sign = |direction| match direction {
        Direction::Up => "+",
        Direction::Fake => "=",
        Direction::Dry => "?",
        Direction::DryFake => "-",
        other => panic!("{other:?}"),
    };
    let short = |name: &str| name.rsplit('_').next().unwrap_or(name).to_owned();
    let all = summary.databases.iter().flat_map(|database| &database.migrations);
    let all = all.map(|done| format!("{}{}", sign(done.migration.direction), short(&done.migration.name)));
    all.collect::<Vec<_>>().join(" ")
}

#[test]
fn an_empty_database_gets_the_one_file_and_what_comes_after_it() {
    let fixture = fixture();
    for (key, source, expected, applied) in [
        ("own", "m", "+all =a =b +c", 4),
        ("beside", "n", "+all.sql =a =b +c", 3),
        ("two", "n", "+x +y +all.sql =a =b +c", 3),
    ] {
        let fake = created(&fixture, &[key]);
        let dry = Action::Migrate(Migrate { dry_run: true, ..Migrate::default() });
        let would = expected.replace('+', "?").replace('=', "-");
        assert_eq!(done(&run(&fixture, &fake, dry.clone(), key)), would, "{key}");
        // Nothing is said of one that is not there that is not true of it once it is.
        assert_eq!(done(&run(&fixture, &Fake::default(), dry, key)), would, "{key}");
        assert_eq!(done(&run(&fixture, &fake, migrate().remove(0), key)), expected, "{key}");
        assert_eq!(fake.applied(key, source).len(), applied, "{key}");
        assert!(fake.rows(key, source).iter().all(|row| row.progress == Progress::Whole));
        // Neither what sorts before its number nor it itself is anything to be done later.
        let again = run(&fixture, &fake, migrate().remove(0), key);
        assert_eq!(outcomes(&again), format!("{key}: unchanged"));
        assert_eq!(again.databases[0].warnings, [""; 0]);
    }
    let fake = created(&fixture, &["own"]);
    run(&fixture, &fake, migrate().remove(0), "own");
    fs::write(fixture.path().join("m/20250104000000_d.sql"), "select 1;").unwrap();
    let later = run(&fixture, &fake, migrate().remove(0), "own");
    assert_eq!((done(&later).as_str(), later.databases[0].warnings.len()), ("+d", 0));
}

#[test]
fn a_database_with_a_history_never_sees_it() {
    let fixture = fixture();
    for (key, source) in [("own", "m"), ("beside", "n")] {
        let fake = created(&fixture, &[key]);
        // File by file, as whoever asks for a file of the past gets it.
        assert_eq!(done(&run(&fixture, &fake, to("20250101000000"), key)), "+a", "{key}");
        assert_eq!(done(&run(&fixture, &fake, migrate().remove(0), key)), "+b +c", "{key}");
        assert_eq!(fake.applied(key, source).len(), 3);
        let again = run(&fixture, &fake, migrate().remove(0), key);
        assert_eq!(outcomes(&again), format!("{key}: unchanged"));
    }
    // What is in the archive is not gone.
    let fake = created(&fixture, &["beside"]);
    let row = |name: &str| dbctl_migration::Applied {
        version: dbctl_migration::Version::new(name.split('_').next().unwrap_or_default()),
        name: name.to_owned(),
        checksum: None,
        at: None,
        elapsed: None,
        progress: Progress::Whole,
        tool_row: None,
    };
    for name in ["20240101000000_old", "20250101000000_a", "20250102000000_b", "20250103000000_c"] {
        fake.put("beside", "n", row(name));
    }
    let summary = run(&fixture, &fake, migrate().remove(0), "beside");
    assert_eq!((outcomes(&summary).as_str(), summary.databases[0].warnings.len()), ("beside: unchanged", 0));
}

#[test]
fn one_that_is_not_empty_has_to_be_adopted() {
    let fixture = fixture();
    let fake = created(&fixture, &["own"]);
    for name in ["public.a", "public.b", "public.c", "public.d"] {
        fake.make("own", name);
    }
    for dry_run in [true, false] {
        let summary = run(&fixture, &fake, Action::Migrate(Migrate { dry_run, ..Migrate::default() }), "own");
        assert_eq!(
            error(&summary, "own"),
            "m: the database has no history of this folder, but it is not empty: public.a, public.b, public.c and more"
        );
        assert!(fake.rows("own", "m").is_empty());
    }
    let dry = Adopt { dry_run: true, ..through("20250102000000") };
    assert_eq!(done(&run(&fixture, &fake, Action::Baseline(dry), "own")), "-a -b -all");
    assert!(fake.rows("own", "m").is_empty());
    let adopted = run(&fixture, &fake, Action::Baseline(through("20250102000000_b.sql")), "own");
    assert_eq!(done(&adopted), "=a =b =all");
    let again = run(&fixture, &fake, Action::Baseline(through("20250102000000")), "own");
    assert_eq!(outcomes(&again), "own: unchanged");
    assert_eq!(done(&run(&fixture, &fake, migrate().remove(0), "own")), "+c");
    // What it says is true, whatever came later.
    let again = run(&fixture, &fake, Action::Baseline(through("20250102000000")), "own");
    assert_eq!(outcomes(&again), "own: unchanged");
}

#[test]
fn what_cannot_be_adopted_is_refused() {
    let fixture = fixture();
    let baseline = |fake: &Fake, key: &str, adopt: Adopt| {
        let summary = run(&fixture, fake, Action::Baseline(adopt), key);
        error(&summary, key)
    };
    let fake = created(&fixture, &["own", "two"]);
    let nothing = "the database is empty, so nothing has been applied to it";
    assert_eq!(baseline(&fake, "own", through("20250102000000")), nothing);
    assert_eq!(baseline(&fake, "own", through("7")), "no migration `7` in m");
    fake.make("two", "public.a");
    let only = |name: &str| Adopt { source: Some(name.to_owned()), ..through("20250102000000") };
    assert_eq!(baseline(&fake, "two", only("first")), "no migration `20250102000000` in first, n");
    assert_eq!(done(&run(&fixture, &fake, Action::Baseline(only("n")), "two")), "=a =b");

    // Somebody has stopped before.
    fake.make("own", "public.a");
    run(&fixture, &fake, Action::Baseline(through("20250101000000")), "own");
    assert_eq!(
        baseline(&fake, "own", Adopt { through: Through::Latest, ..through("") }),
        "m: it has a history, and these are not in it: 20250102000000_b, 20250103000000_c"
    );
}

#[test]
fn latest_is_all_there_is() {
    let fixture = fixture();
    let fake = created(&fixture, &["two"]);
    fake.make("two", "public.a");
    let latest = Adopt { through: Through::Latest, source: None, dry_run: false };
    assert_eq!(done(&run(&fixture, &fake, Action::Baseline(latest), "two")), "=x =y =a =b =c");
    assert_eq!(outcomes(&run(&fixture, &fake, migrate().remove(0), "two")), "two: unchanged");
}

/// The emptiness is that of the database before its first source ran, however often that is tried.
#[test]
fn another_source_before_it_does_not_make_the_database_full() {
    let fixture = fixture();
    for kind in [CallKind::Apply("20240102000000_y".to_owned()), CallKind::Baseline("all.sql".to_owned())] {
        let fake = created(&fixture, &["two"]);
        let failing = fake.with_script(move |call| Behaviour {
            yields: 0,
            fault: (call.kind == kind).then_some(Fault::Error),
        });
        let summary = run(&fixture, &failing, migrate().remove(0), "two");
        assert_eq!(error(&summary, "two"), "the script says so");
        let summary = run(&fixture, &fake, migrate().remove(0), "two");
        assert!(done(&summary).ends_with("+all.sql =a =b +c"), "{}", done(&summary));
        assert_eq!(fake.applied("two", "n").len(), 3);
    }
}

#[test]
fn a_baseline_that_was_announced_gives_way() {
    let fixture = fixture();
    let announced = || {
        let fake = created(&fixture, &["two"]);
        assert_eq!(done(&run(&fixture, &fake, to("20240101000000"), "two")), "+x");
        assert_eq!(fake.applied("two", "n"), ["all.sql"], "it is due, whatever comes before it");
        fake
    };
    let fake = announced();
    assert_eq!(done(&run(&fixture, &fake, migrate().remove(0), "two")), "+y +all.sql =a =b +c");
    let fake = announced();
    assert_eq!(done(&run(&fixture, &fake, to("n/20250101000000_a"), "two")), "+y +a");
    assert_eq!(fake.applied("two", "n"), ["20250101000000_a"]);
    let fake = announced();
    let fake_all = Action::Migrate(Migrate { fake: true, ..Migrate::default() });
    assert_eq!(done(&run(&fixture, &fake, fake_all, "two")), "=y =a =b =c");
    assert_eq!(fake.applied("two", "n").len(), 3);
    let fake = announced();
    assert_eq!(done(&run(&fixture, &fake, Action::Baseline(through("20250102000000")), "two")), "=a =b");
    assert_eq!(fake.applied("two", "n").len(), 2);
}

#[test]
fn what_a_manifest_says_of_a_baseline_is_checked_against_the_folder() {
    let wrong = |baseline: &str| {
        let manifest = format!(
            "workspace: test\ndatabases:\n  a: {{ migrations: [{{ path: m, format: native, baseline: {{ {baseline} }} }}] }}\n"
        );
        let names = ["1", "2", "3", "4", "5", "6"].map(|n| format!("m/2025010{n}000000_x.sql"));
        let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "select 1;")).collect();
        files.push(("all.sql", "-- dbctl:no-transactoin\n"));
        let fixture = Fixture::written(&manifest, &files);
        let fake = created(&fixture, &["a"]);
        let summary = run(&fixture, &fake, migrate().remove(0), "a");
        match &summary.databases[0].outcome {
            dbctl_runner::Outcome::Failed(error) => error.to_string(),
            _ => done(&summary),
        }
    };
    let own = "file: m/20250106000000_x.sql";
    assert_eq!(wrong(&format!("{own}, through: 20250105000000")), "+x =x =x =x =x =x");
    assert_eq!(wrong(&format!("{own}, through: none")), "+x +x +x +x +x +x");
    assert_eq!(
        wrong(&format!("{own}, through: 20250106000000_x.sql")),
        "m: `baseline`: `through` is the file itself; name the last migration that it holds, or write `none` if it holds \
         no other"
    );
    assert_eq!(
        wrong(&format!("{own}, through: 7")),
        "m: `baseline`: `through` names no migration of this folder: `7`; it has 20250101000000_x, 20250102000000_x, \
         20250103000000_x, 20250104000000_x, 20250105000000_x"
    );
    assert_eq!(
        wrong("file: all.sql, through: 7"),
        "m: `baseline`: `through` names no migration of this folder: `7`; it ends with 20250102000000_x, \
         20250103000000_x, 20250104000000_x, 20250105000000_x, 20250106000000_x"
    );
    assert_eq!(
        wrong("file: all.sql, through: none"),
        "m: `baseline`: all.sql is no migration of this folder, and holds none, so nothing would say that it has \
         run; name in `through` the last migration that it holds"
    );
    // In an archive, most likely.
    assert_eq!(wrong(&format!("{own}, through: 20250103120000")), "+x =x =x =x +x +x");
    assert_eq!(wrong(&format!("{own}, through: 20240101000000_old.sql")), "+x +x +x +x +x +x");
    assert_eq!(
        wrong("file: all.sql, through: 20240101000000"),
        "m: `baseline`: all.sql is no migration of this folder, and holds none, so nothing would say that it has run; \
         name in `through` the last migration that it holds"
    );
    let gone = wrong("file: gone.sql, through: 20250102000000");
    assert!(gone.starts_with("cannot read gone.sql: "), "{gone}");
    let directive = wrong("file: all.sql, through: 20250102000000");
    assert!(directive.starts_with("all.sql:1:"), "{directive}");
}
