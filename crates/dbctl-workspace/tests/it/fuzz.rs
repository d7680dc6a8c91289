//! Whatever a manifest and the files around it hold: they are read or refused with a place, and nothing panics.

use std::{collections::BTreeMap, fs, panic::AssertUnwindSafe, path::Path};

use dbctl_workspace::{Certainty, Env, LoadOptions, ManifestErrors, Selection, Workspace, discover, load};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use tempfile::TempDir;

use crate::mutate::{Change, changed, changes};

/// Files by their paths from the root.
type Files = BTreeMap<String, Vec<u8>>;

fn cases() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}

/// The workspaces in `seeds`; an env file is called `dot.env` there.
fn seeds() -> Vec<Files> {
    ["full", "small"]
        .map(|name| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(name);
            let mut files = Files::new();
            collect(&root, &root, &mut files);
            files
        })
        .to_vec()
}

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace("dot.env", ".env");
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

fn write(files: &Files) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn read(root: &Path, environment: Option<&str>) -> Result<Workspace, ManifestErrors> {
    let env = [("ADMIN_URL", "postgres://root@h/x"), ("NO", ""), ("SUFFIX", "\u{1b}[2J")];
    load(&LoadOptions {
        manifest: root.join("workspace.yaml"),
        env: Env::new(env.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        environment: environment.map(str::to_owned),
    })
}

/// What is true of a folder, whatever its files are.
fn holds(files: &Files) {
    let folder = write(files);
    let root = folder.path();
    for environment in [None, Some("production")] {
        match read(root, environment) {
            Ok(workspace) => usable(&workspace, root),
            Err(errors) => told(&errors),
        }
    }
    let found = discover(root).unwrap();
    for finding in found.findings.iter().filter(|finding| finding.certainty != Certainty::PassedOver) {
        one_line(&finding.text);
    }
    // What is suggested is a manifest, but for variables that nobody set.
    let mut suggested = files.clone();
    suggested.insert("workspace.yaml".to_owned(), found.manifest.clone().into_bytes());
    suggested.retain(|name, _| !name.ends_with(".env"));
    let folder = write(&suggested);
    if let Err(errors) = read(folder.path(), None) {
        panic!("{errors}\n{}", found.manifest);
    }
}

/// A workspace that was read can be asked anything.
fn usable(workspace: &Workspace, root: &Path) {
    let root = root.canonicalize().unwrap();
    assert_eq!(workspace.order().len(), workspace.databases().len());
    for key in workspace.order() {
        let database = workspace.database(key);
        for source in &database.sources {
            assert!(source.folder.path.starts_with(&root), "{}", source.folder.path.display());
        }
        workspace.check([key]).unwrap_or_else(|errors| told(&errors));
        workspace.locate(key).map(|_| ()).unwrap_or_else(|errors| told(&errors));
        drop((workspace.way(key), workspace.origin(key), workspace.vars(key), workspace.child_vars(key)));
        let target = |target: String| Selection { targets: vec![target], all: false, cwd: root.clone() };
        for text in [format!("{key}..."), format!("...{key}")] {
            workspace.select(&target(text)).unwrap();
        }
        let _ = workspace.select(&target(database.name.as_str().to_owned()));
    }
    let all = Selection { targets: Vec::new(), all: true, cwd: root };
    assert_eq!(workspace.select(&all).unwrap().len(), workspace.order().len());
}

/// An error has a place in the text, and its lines are lines.
fn told(errors: &ManifestErrors) {
    assert!(!errors.problems.is_empty() && errors.problems.len() <= 101);
    for problem in &errors.problems {
        one_line(&problem.message);
        problem.hint.as_deref().map(one_line);
        problem.label.as_deref().map(one_line);
        assert!(problem.line > 0 && problem.column > 0);
        if let Some(span) = &problem.span {
            assert!(errors.source.get(span.clone()).is_some(), "{span:?} of {problem:?}");
        }
    }
    assert!(errors.to_string().lines().count() <= errors.problems.len());
}

fn one_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?} is no line");
}

/// A seed, some of whose files were changed.
fn almost() -> impl Strategy<Value = Shown> {
    let event = (any::<bool>(), any::<Index>(), changes());
    (any::<Index>(), prop::collection::vec(event, 1..4)).prop_map(
        |(seed, events): (Index, Vec<(bool, Index, Vec<Change>)>)| {
            let mut files = seed.get(&seeds()).clone();
            for (is_manifest, at, changes) in events {
                let any = files.keys().nth(at.index(files.len())).unwrap().clone();
                let name = if is_manifest { "workspace.yaml".to_owned() } else { any };
                let bytes = changed(&files[&name], &changes);
                files.insert(name, bytes);
            }
            Shown(files)
        },
    )
}

/// Tokens of YAML in any order.
fn soup() -> impl Strategy<Value = String> {
    let token = prop::sample::select(
        &[
            "workspace",
            "databases",
            "servers",
            "a",
            "b",
            "url",
            "migrations",
            "path",
            ": ",
            ":",
            "\n",
            "\n  ",
            "\n    ",
            "- ",
            "? ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&x ",
            "*x",
            "<<: *x",
            "!t ",
            "|",
            ">-",
            "'",
            "\"",
            "\\x",
            "${",
            "${A:-",
            "}",
            "$$",
            "#",
            "---",
            "...",
            "~",
            "1",
            "0x1",
            "1e400",
            ".nan",
            "true",
            "\t",
            "\r\n",
            "ä",
            "\u{1b}",
            "\u{85}",
            "%YAML 1.2",
            "@",
            "\u{feff}",
        ][..],
    );
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn almost_valid_workspaces_are_read_or_refused_with_a_place(files in almost()) {
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| holds(&files.0)));
        prop_assert!(checked.is_ok(), "of {:?}", files);
    }

    #[test]
    fn any_manifest_is_read_or_refused_with_a_place(
        manifest in prop_oneof![
            soup().prop_map(String::into_bytes),
            soup().prop_map(|soup| format!("workspace: x\ndatabases: {{ a: {{}} }}\n{soup}").into_bytes()),
            any::<String>().prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..200),
        ],
        env in any::<String>(),
        package in any::<String>(),
    ) {
        let files = [("workspace.yaml", manifest), (".env", env.into_bytes()), ("package.json", package.into_bytes())];
        let files: Files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| holds(&files)));
        prop_assert!(checked.is_ok(), "of {:?}", Shown(files));
    }
}

#[test]
fn any_target_is_found_or_refused() {
    let words = [
        "core", "mextrack", "...", "!", "tag:", "app", ".", "/", "apps", "@atriz/", "ä", "\0", "\n", "\u{1b}",
    ];
    let of_words =
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..5).prop_map(|parts| parts.concat());
    let folder = write(&seeds()[0]);
    let workspace = read(folder.path(), None).unwrap();
    let cwd = folder.path().canonicalize().unwrap().join("apps");
    let found = TestRunner::new(cases()).run(&prop_oneof![of_words, any::<String>()], |target| {
        let selection = Selection { targets: vec![target], all: false, cwd: cwd.clone() };
        if let Err(error) = workspace.select(&selection) {
            let text = error.to_string();
            prop_assert!(!text.contains(char::is_control), "{:?} is no line", text);
        }
        Ok(())
    });
    found.unwrap_or_else(|error| panic!("{error}"));
}

/// Files, and how a failure shows them.
#[derive(Clone)]
struct Shown(Files);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(name, bytes)| write!(f, "\n  {name}: {}", bytes.escape_ascii()))
    }
}

#[test]
fn the_seeds_are_valid() {
    for files in seeds() {
        holds(&files);
        let folder = write(&files);
        let workspace = read(folder.path(), None).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(workspace.order().len() > 1);
    }
}

/// So deep that anything recursive overflows the stack of a test's thread.
const DEEP: usize = 5_000;
/// So many that what is quadratic in them takes minutes; as many bytes as a manifest may have.
const MANY: usize = 1024 * 1024;

fn lines(first: &str, step: usize) -> String {
    (0..DEEP).map(|level| format!("{}{first}\n", " ".repeat(level * step))).collect()
}

#[test]
fn deep_manifests_are_refused() {
    let deep = |text: &str| text.repeat(DEEP);
    for (manifest, word) in [
        (deep("["), "nested deeper"),
        (deep("{a: "), "nested deeper"),
        (deep("{? "), "nested deeper"),
        (deep("- "), "nested deeper"),
        (deep("? "), "nested deeper"),
        (lines("a:", 1).chars().take(MANY).collect(), "nested deeper"),
        (deep("[{"), "nested deeper"),
        (deep("!t "), ""),
        (deep("&a "), ""),
        (format!("workspace: x\ndatabases: {{ a: {{ settings: {{ x: {}", deep("[")), "nested deeper"),
        (format!("workspace: '{}'\ndatabases: {{ a: {{}} }}", deep("[")), ""),
        (format!("workspace: x # {}\ndatabases: 1", deep("(")), "a mapping"),
        (
            format!("workspace: x\ndatabases: {{ a: {{ name: '{}x{}' }} }}", deep("${A:-"), deep("}")),
            "references are nested deeper",
        ),
        (format!("workspace: x\ndatabases: {{ a: {{ name: '{}' }} }}", deep("${")), "without its `}`"),
    ] {
        let files = Files::from([("workspace.yaml".to_owned(), manifest.into_bytes())]);
        let folder = write(&files);
        match read(folder.path(), None) {
            Ok(workspace) => assert!(word.is_empty(), "{}", workspace.name()),
            Err(errors) => {
                told(&errors);
                assert!(errors.to_string().contains(word), "{word}: {errors}");
            }
        }
    }
}

#[test]
fn long_manifests_are_read_in_time() {
    let head = "workspace: x\ndatabases: { a: {} }\n";
    let fill = |text: &str| text.repeat((MANY - 200) / text.len());
    for manifest in [
        format!("{head}# {}", fill("a")),
        format!("workspace: {}", fill("a")),
        format!("{head}x: [{}]", fill("a,")),
        format!("{head}{}", fill("x: 1\n")),
        format!("{head}{}", fill("\n")),
        format!("{head}x: '{}'", fill("''")),
        format!("{head}x: \"{}\"", fill("\\u00e4")),
        format!("{head}x: |\n{}", fill(" a\n")),
        format!("{head}x: password={}", fill(" ")),
        format!("{head}x: password= {} x", fill("} ")),
        format!("{head}x: {}", fill("password")),
        format!("{head}x: {}", fill("password=")),
        format!("{head}x: {}", fill("a://b:c@")),
        format!("{head}x: {}", fill("://")),
        format!("{head}x: {}", fill("${")),
        format!("{head}x: u:{}@", fill("${A}")),
        format!("workspace: x\ndatabases: {{ a: {{ name: '{}' }} }}", fill("${A:-}")),
        format!("workspace: x\ndatabases: {{ a: {{ name: '{}' }} }}", fill("$$")),
        format!("workspace: x\ndatabases: {{ a: {{ depends_on: [{}] }} }}", fill("b, ")),
        format!("workspace: x\ndatabases: {{ a: {{ tags: [{}] }} }}", fill("b, ")),
        format!("workspace: x\ndatabases: {{ a: {{ nmae: {} }} }}", fill("b")),
        format!("workspace: x\ndatabases: {{ {}: {{ }} }}", fill("b")),
        format!(
            "workspace: x\ndatabases: {{ a: {{ depends_on: [{}] }}, {}: {{}} }}",
            "b".repeat(MANY / 3),
            "c".repeat(MANY / 3)
        ),
        format!("{head}{}", fill("1: 2\n")),
        format!("{head}{}", fill("&a ")),
        format!("{head}x: [{}]", fill("&a 1,")),
        format!("{head}x: &a 1\ny: [{}]", fill("*a,")),
        format!("{head}{}", fill("\t")),
        format!("{head}{}", fill("--- \n")),
        format!("{head}{}", fill("\r")),
        format!("{}{head}", fill("%TAG ! x\n")),
    ] {
        let folder = write(&Files::from([("workspace.yaml".to_owned(), manifest.into_bytes())]));
        if let Err(errors) = read(folder.path(), None) {
            told(&errors);
        }
    }
}

#[test]
fn what_lies_around_may_be_deep_or_long() {
    let manifest = "workspace: x\nenv_files: [.env]\ndatabases: { a: { package: p, name: 'n${X:-}' } }\n";
    let bomb: String = (1..60).map(|at| format!("A{at}=${{A{0}}}${{A{0}}}\n", at - 1)).collect();
    for (name, text) in [
        (".env", format!("A0=aaaaaaaaaa\n{bomb}")),
        (".env", format!("A=\"{}", "${A:-".repeat(DEEP))),
        (".env", format!("A={}", "${A:-".repeat(DEEP))),
        (".env", "A=\n".repeat(MANY / 3)),
        (".env", "A".repeat(MANY)),
        (".env", format!("A=\"{}\"", "${A}".repeat(MANY / 4 - 10))),
        (".env", format!("A={}", " #".repeat(MANY / 3))),
        (".env", "A='\n".repeat(MANY / 4)),
        ("p/package.json", "[".repeat(DEEP)),
        ("p/package.json", "{\"name\":".repeat(DEEP)),
        ("p/package.json", format!("{{\"name\": \"{}\"}}", "a".repeat(MANY))),
        ("p/Cargo.toml", "[package]\n".repeat(MANY / 10)),
        ("p/Cargo.toml", format!("[package]\nname = \"{}\"", "a".repeat(MANY))),
        ("pnpm-workspace.yaml", "[".repeat(DEEP)),
        ("package.json", format!("{{\"workspaces\": {}", "[".repeat(DEEP))),
    ] {
        let text = text.into_bytes();
        let mut files = Files::from([("workspace.yaml".to_owned(), manifest.as_bytes().to_vec())]);
        files.insert("p/x".to_owned(), Vec::new());
        files.insert(name.to_owned(), text);
        let folder = write(&files);
        match read(folder.path(), None) {
            Ok(workspace) => usable(&workspace, folder.path()),
            Err(errors) => told(&errors),
        }
        discover(folder.path()).unwrap();
    }
}
