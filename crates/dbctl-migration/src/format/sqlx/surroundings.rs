//! Whether a Rust project with sqlx lies around a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Files;

/// What a repository's root holds.
const ROOTS: [&str; 3] = [".git", "workspace.yaml", "workspace.yml"];

/// What a package of another language than Rust has at its root.
const OTHERS: [&str; 6] = ["package.json", "go.mod", "pyproject.toml", "Gemfile", "mix.exs", "composer.json"];

/// A folder and those above it, up to the root of its repository.
pub(super) fn above(files: &Files, folder: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in folder.ancestors() {
        folders.push(folder.to_owned());
        if ROOTS.iter().any(|name| files.exists(&folder.join(name))) {
            break;
        }
    }
    folders
}

/// Whether `sqlx.toml`, the macros' `.sqlx` or a `Cargo.toml` that depends on sqlx stands above, with no package of
/// another language in between.
pub(super) fn uses_sqlx(folder: &Path) -> bool {
    for folder in above(&Files::Disk, folder) {
        if folder.join("sqlx.toml").is_file() || folder.join(".sqlx").is_dir() {
            return true;
        }
        match fs::read_to_string(folder.join("Cargo.toml")) {
            Ok(text) if depends_on_sqlx(&text) => return true,
            Ok(_) => {}
            Err(_) if OTHERS.iter().any(|name| folder.join(name).is_file()) => return false,
            Err(_) => {}
        }
    }
    false
}

/// `sqlx = …`, `sqlx.workspace = true` or a renamed one in a table of dependencies, or a table of its own.
fn depends_on_sqlx(manifest: &str) -> bool {
    let mut in_dependencies = false;
    manifest.lines().map(str::trim).any(|line| {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default().replace([' ', '"', '\''], "");
            in_dependencies = header.ends_with("dependencies");
            return header.ends_with("dependencies.sqlx");
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let key = key.trim().trim_matches(['"', '\'']);
        let renamed = value.replace(' ', "").contains("package=\"sqlx\"");
        in_dependencies && !line.starts_with('#') && (key == "sqlx" || key.starts_with("sqlx.") || renamed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_on_sqlx() {
        for yes in [
            "[dependencies]\nsqlx = \"0.8\"",
            "[package]\nname = \"x\"\n[dependencies]\r\nserde = \"1\"\r\nsqlx = { version = \"0.8\" }\r\n",
            "[dependencies]\nsqlx.workspace = true",
            "[workspace.dependencies]\n\"sqlx\" = \"0.9\"",
            "[dependencies.sqlx]\nversion = \"0.8\"",
            "[target.'cfg(unix)'.dependencies.sqlx]",
            "[dev-dependencies]\ndb = { package = \"sqlx\", version = \"0.8\" }",
        ] {
            assert!(depends_on_sqlx(yes), "{yes}");
        }
        for no in [
            "",
            "[package]\nname = \"sqlx\"\nsqlx = 1",
            "[dependencies]\n# sqlx = \"0.8\"\nsqlx-core = \"0.8\"\nsqlxmq = \"1\"",
            "[features]\nsqlx = []",
            "[dependencies]\ndiesel = \"2\" # not sqlx",
        ] {
            assert!(!depends_on_sqlx(no), "{no}");
        }
    }

    #[test]
    fn the_search_ends_at_the_repository_and_at_other_languages() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repo");
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("web/migrations/1_a.sql", "");
        write("crates/db/migrations/1_a.sql", "");
        write("crates/db/Cargo.toml", "[dependencies]\nserde = \"1\"");
        write("web/package.json", "{}");
        write("workspace.yaml", "");
        fs::write(dir.path().join("sqlx.toml"), "").unwrap();
        assert!(!uses_sqlx(&root.join("crates/db/migrations")));
        write("Cargo.toml", "[workspace.dependencies]\nsqlx = \"0.8\"");
        assert!(uses_sqlx(&root.join("crates/db/migrations")));
        assert!(!uses_sqlx(&root.join("web/migrations")));
        fs::create_dir(root.join("web/.sqlx")).unwrap();
        assert!(uses_sqlx(&root.join("web/migrations")));
    }
}
