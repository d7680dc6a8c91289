//! Finding seeds.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where packages keep them.
const FOLDERS: [&str; 7] =
    ["seeds", "seed", "db/seeds", "database/seeds", "prisma/seeds", "supabase/seeds", "drizzle/seeds"];

/// A folder of seeds, relative to its package, with commands for what is no SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundSeeds {
    pub(super) path: PathBuf,
    pub(super) runners: BTreeMap<String, String>,
}

/// The seeds of a package; folders without files that could be one are passed over.
pub(super) fn seeds(package: &Path) -> Option<FoundSeeds> {
    FOLDERS.iter().map(Path::new).find_map(|folder| {
        let mut runners = BTreeMap::new();
        let mut any = false;
        for entry in fs::read_dir(package.join(folder)).ok()?.filter_map(Result::ok) {
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let runner = match extension {
                "sql" | "csv" => None,
                "ts" | "mts" => Some("npx tsx"),
                "js" | "mjs" | "cjs" => Some("node"),
                "py" => Some("python3"),
                _ => continue,
            };
            any = true;
            if let Some(program) = runner {
                // A seed that only exports something does nothing when it is run by itself.
                let script =
                    script(package, extension).map_or_else(String::new, |script| format!(" {script}"));
                runners.insert(extension.to_owned(), format!("{program}{script} {{file}}"));
            }
        }
        any.then(|| FoundSeeds { path: folder.to_path_buf(), runners })
    })
}

/// A script of the package that seems to run seeds of this kind, such as `scripts/run-seed.ts`.
fn script(package: &Path, extension: &str) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir(package.join("scripts"))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("seed") && name.ends_with(&format!(".{extension}")))
        .collect();
    names.sort();
    names.into_iter().next().map(|name| format!("scripts/{name}"))
}
