//! Paths as people see them.

use std::path::{Component, Path, PathBuf};

/// A path as seen from a folder, both absolute; as it is where that would climb more than it saves.
pub(crate) fn relative(path: &Path, from: &Path) -> PathBuf {
    if !path.is_absolute() || !from.is_absolute() {
        return path.to_owned();
    }
    let shared = path.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().count() - shared;
    if shared <= 1 && up > 0 {
        return path.to_owned();
    }
    let mut relative: PathBuf = std::iter::repeat_n(Component::ParentDir, up).collect();
    relative.extend(path.components().skip(shared));
    if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_from_where_one_is() {
        for (path, from, shown) in [
            ("/w/apps/a/m.sql", "/w", "apps/a/m.sql"),
            ("/w/apps/a/m.sql", "/w/apps/b", "../a/m.sql"),
            ("/w/workspace.yaml", "/w/apps/b", "../../workspace.yaml"),
            ("/w", "/w", "."),
            ("/x/y", "/w/z", "/x/y"),
            ("x/y", "/w", "x/y"),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(from)), Path::new(shown), "{path} from {from}");
        }
    }
}
