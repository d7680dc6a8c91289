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
                "ts" | "mts" => Some("npx tsx {file}"),
                "js" | "mjs" | "cjs" => Some("node {file}"),
                "py" => Some("python3 {file}"),
                _ => continue,
            };
            any = true;
            runners.extend(runner.map(|runner| (extension.to_owned(), runner.to_owned())));
        }
        any.then(|| FoundSeeds { path: folder.to_path_buf(), runners })
    })
}
