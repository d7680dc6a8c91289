//! docs/safety.md: every promise names a test, and every test it names exists.

use std::{collections::BTreeSet, path::Path};

const PAGE: &str = "docs/safety.md";

/// Promises without a test, and tests that nobody finds.
pub(super) fn complaints(root: &Path) -> Vec<String> {
    let Ok(page) = std::fs::read_to_string(root.join(PAGE)) else {
        return vec![format!("{PAGE} is missing")];
    };
    let files = ["crates", "tests"].iter().flat_map(|folder| super::sources(&root.join(folder)));
    let tests: BTreeSet<String> = files
        .flat_map(|path| {
            let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            tests(&text).map(|name| format!("{module}::{name}")).collect::<Vec<_>>()
        })
        .collect();
    compare(&page, &tests)
}

fn compare(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (line, row) in (1..).zip(page.lines()) {
        complaints.extend(
            named(row)
                .filter(|name| !tests.contains(*name))
                .map(|name| format!("{PAGE}:{line}: there is no test `{name}`")),
        );
    }
    // The line under a table's head sets its rows off.
    let rows = (1..).zip(page.lines()).skip_while(|(_, line)| !is_rule(line));
    let mut inside = false;
    for (line, row) in rows {
        if is_rule(row) {
            inside = true;
        } else if !row.starts_with('|') {
            inside = false;
        } else if inside && named(row).next().is_none() {
            complaints.push(format!("{PAGE}:{line}: no test holds what stands here"));
        }
    }
    complaints
}

fn is_rule(line: &str) -> bool {
    line.starts_with("|--") && line.chars().all(|c| c == '|' || c == '-')
}

/// Every `module::function` in backticks.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let is_name = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(move |text| text.split_once("::").is_some_and(|(a, b)| is_name(a) && is_name(b)))
}

/// The names of a file's tests.
fn tests(text: &str) -> impl Iterator<Item = &str> {
    let mut marked = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return None;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        std::mem::take(&mut marked).then(|| function?.split('(').next()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_attribute() {
        let text = "#[test]\nfn one() {\n}\nfn helper() {}\n#[tokio::test]\n#[ignore]\nasync fn two() {\n\
                    mod m {\n    #[test]\n    fn three() {}\n}\n#[derive(Debug)]\nstruct S;\n";
        assert_eq!(tests(text).collect::<Vec<_>>(), ["one", "two", "three"]);
    }

    #[test]
    fn promises_need_tests_that_exist() {
        let tests = BTreeSet::from(["lock::waits".to_owned()]);
        let page = "A test `file::function` of `Type::new`.\n\n| promise | held by |\n|---|---|\n| a | `lock::waits` |\n\
                    | b | `lock::is_gone` |\n| c | `--wait` |\n\n| no | table |\n";
        assert_eq!(
            compare(page, &tests),
            [
                "docs/safety.md:1: there is no test `file::function`",
                "docs/safety.md:6: there is no test `lock::is_gone`",
                "docs/safety.md:7: no test holds what stands here",
            ]
        );
    }
}
