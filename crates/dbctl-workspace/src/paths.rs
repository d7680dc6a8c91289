//! Paths of the manifest: relative, and inside the workspace whatever links say.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use thiserror::Error;

/// Why a path of the manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PathError {
    #[error("the path is empty")]
    Empty,
    #[error("the path is absolute")]
    Absolute,
    #[error("the path leaves the workspace")]
    Leaves,
    #[error("the path leaves the workspace through a symbolic link")]
    LeavesByLink,
}

impl PathError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "`.` is the folder itself",
            Self::Absolute => "write it relative to the workspace or the package",
            Self::Leaves | Self::LeavesByLink => {
                "everything a workspace uses lies in the manifest's folder or below it"
            }
        }
    }
}

/// Resolves a path against a folder of the workspace. Both `base` and the result are relative to `root`, which is
/// canonical; the result has no `.` and no `..`. Nothing need exist there.
pub(crate) fn inside(root: &Path, base: &Path, written: &str) -> Result<PathBuf, PathError> {
    if written.is_empty() {
        return Err(PathError::Empty);
    }
    let mut path = base.to_owned();
    for component in Path::new(written).components() {
        match component {
            Component::Prefix(_) | Component::RootDir => return Err(PathError::Absolute),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return Err(PathError::Leaves);
                }
            }
            Component::Normal(name) => path.push(name),
        }
    }
    let reached = existing(&join(root, &path));
    if reached.is_ok_and(|reached| !reached.starts_with(root)) {
        return Err(PathError::LeavesByLink);
    }
    Ok(path)
}

/// Like `Path::join`, without the slash that joining an empty path adds.
pub(crate) fn join(root: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(relative) }
}

/// From one folder of the workspace to another, both relative to its root and without `.` and `..`; with `/` on every
/// system, `.` for the folder itself.
pub(crate) fn from_to(from: &Path, to: &Path) -> String {
    let common = from.components().zip(to.components()).take_while(|(from, to)| from == to).count();
    let up = from.components().skip(common).map(|_| "..".to_owned());
    let down = to.components().skip(common).map(|name| name.as_os_str().to_string_lossy().into_owned());
    let names: Vec<String> = up.chain(down).collect();
    if names.is_empty() { ".".to_owned() } else { names.join("/") }
}

/// Where an absolute path really leads: links are followed as far as it exists.
pub(crate) fn real(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    for ancestor in path.ancestors() {
        if let Ok(found) = ancestor.canonicalize() {
            return rest.iter().rev().fold(found, |path, name| join(&path, Path::new(name)));
        }
        rest.extend(ancestor.file_name());
    }
    path.to_owned()
}

/// What the nearest ancestor that exists really is.
fn existing(path: &Path) -> io::Result<PathBuf> {
    let mut last = Err(io::Error::from(io::ErrorKind::NotFound));
    for ancestor in path.ancestors() {
        last = ancestor.canonicalize();
        if last.is_ok() {
            break;
        }
        // A link whose target is missing leads somewhere all the same.
        if let Ok(target) = ancestor.read_link() {
            let target = ancestor.parent().unwrap_or(Path::new("/")).join(target);
            return existing(&lexical(&target));
        }
    }
    last
}

/// Without `.` and `..`, links not followed.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(component),
        }
    }
    out
}

/// How a folder of the workspace is shown: `.` for the root.
pub(crate) fn shown(relative: &Path) -> String {
    if relative.as_os_str().is_empty() { ".".to_owned() } else { relative.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_from_folder_to_folder() {
        for (from, to, way) in [
            ("", "", "."),
            ("", "m", "m"),
            ("p", "p", "."),
            ("p", "p/m/n", "m/n"),
            ("p", "m", "../m"),
            ("a/p", "a/m", "../m"),
            ("a/p", "", "../.."),
            ("pa", "p", "../p"),
        ] {
            assert_eq!(from_to(Path::new(from), Path::new(to)), way, "{from} {to}");
        }
    }
}
