//! Holds the crates to the arrows and the boundaries that ARCHITECTURE.md lists, and docs/safety.md to the tests.

mod promises;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Longest source file, in lines; a longer one holds a second thing.
const MAX_LINES: usize = 600;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Everything that is not as ARCHITECTURE.md says, one line each.
pub(crate) fn complaints(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let allowed = fenced(&text, "arrows");
    let homes = fenced(&text, "only");
    let mut complaints = Vec::new();
    if allowed.is_empty() || homes.is_empty() {
        complaints.push("ARCHITECTURE.md lacks its ```arrows or ```only block".to_owned());
    }
    let packages = packages(root);
    for (package, dependencies) in &packages {
        let Some(arrows) = allowed.get(package) else {
            complaints.push(format!("ARCHITECTURE.md lists no arrows for {package}"));
            continue;
        };
        for dependency in dependencies {
            if packages.contains_key(dependency) && !arrows.contains(dependency) {
                complaints.push(format!("{package} → {dependency} is not an arrow of ARCHITECTURE.md"));
            }
            if homes.get(dependency).is_some_and(|homes| !homes.contains(package)) {
                complaints
                    .push(format!("{package} uses {dependency}, which ARCHITECTURE.md keeps elsewhere"));
            }
        }
    }
    complaints.extend(long_files(&root.join("crates")));
    complaints.extend(promises::complaints(root));
    complaints
}

/// The lines `left → a b` or `left: a b` of a fenced block.
fn fenced(text: &str, name: &str) -> BTreeMap<String, BTreeSet<String>> {
    text.lines()
        .skip_while(|line| *line != format!("```{name}"))
        .skip(1)
        .take_while(|line| *line != "```")
        .filter_map(|line| line.split_once(['→', ':']))
        .map(|(left, right)| (left.trim().to_owned(), right.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

/// Every package of the workspace with what it depends on, tests left out.
fn packages(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs, as it runs this");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), dependencies)
        })
        .collect()
}

fn long_files(folder: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in sources(folder) {
        let lines = std::fs::read_to_string(&path).map_or(0, |text| text.lines().count());
        if lines > MAX_LINES {
            complaints.push(format!("{} has {lines} lines; {MAX_LINES} are enough", path.display()));
        }
    }
    complaints
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_as_architecture_md_says() {
        let complaints = complaints(&root());
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }

    #[test]
    fn a_repository_without_its_page_is_not_tidy() {
        assert!(fenced("", "arrows").is_empty());
        let block = fenced("```arrows\na → b c\nd →\n```\ne → f", "arrows");
        assert_eq!(block["a"], BTreeSet::from(["b".to_owned(), "c".to_owned()]));
        assert!(block["d"].is_empty() && !block.contains_key("e"));
    }
}
