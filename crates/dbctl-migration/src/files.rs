//! Where migration folders are read from: the disk, or what a program carries inside.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Files and folders that a program carries inside: paths from the root, with `/`, in byte order, and what is in them. A
/// folder without anything in it ends with `/`.
pub type Tree = [(&'static str, &'static [u8])];

/// Where folders are read from. All that formats read goes through it.
#[derive(Clone, Default)]
pub enum Files {
    /// The disk.
    #[default]
    Disk,
    /// What a program carries inside; the tree's root is `/`.
    Embedded(&'static Tree),
    /// The disk, and what was seen there is kept in mind.
    Recorded(Arc<Record>),
}

/// What was seen on the disk.
#[derive(Debug, Default)]
pub struct Record(Mutex<BTreeMap<PathBuf, Seen>>);

/// Something that is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// A folder.
    Folder,
    /// Something that is no folder, and was not read.
    Name,
    /// A file that was read.
    File,
}

impl Record {
    fn see(&self, path: &Path, seen: Seen) {
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = record.entry(path.to_owned()).or_insert(seen);
        *known = seen.max(*known);
    }

    /// All of it so far.
    pub fn seen(&self) -> BTreeMap<PathBuf, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Files {
    /// The names in a folder, in no order.
    pub(crate) fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        match self {
            Self::Disk => {
                let entries = std::fs::read_dir(folder)?;
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect()
            }
            Self::Embedded(tree) => within(tree, folder),
            Self::Recorded(record) => {
                let names = Self::Disk.names(folder)?;
                record.see(folder, Seen::Folder);
                for name in &names {
                    self.kind(&folder.join(name)).ok();
                }
                Ok(names)
            }
        }
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        match self {
            Self::Disk => std::fs::read(file),
            Self::Embedded(tree) => {
                let path = spelled(file);
                let at = tree.binary_search_by_key(&&*path, |(path, _)| path);
                at.map(|at| tree[at].1.to_vec()).map_err(|_| io::ErrorKind::NotFound.into())
            }
            Self::Recorded(record) => {
                let bytes = Self::Disk.read(file)?;
                record.see(file, Seen::File);
                Ok(bytes)
            }
        }
    }

    /// The text of a file.
    pub(crate) fn read_to_string(&self, file: &Path) -> io::Result<String> {
        let bytes = self.read(file)?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// What is there, links followed; of what is there and no folder, whether it is a file.
    pub(crate) fn kind(&self, path: &Path) -> io::Result<Kind> {
        match self {
            Self::Disk => {
                let metadata = std::fs::metadata(path)?;
                Ok(match (metadata.is_dir(), metadata.is_file()) {
                    (true, _) => Kind::Folder,
                    (_, true) => Kind::File,
                    (_, false) => Kind::Other,
                })
            }
            Self::Embedded(tree) => {
                let name = spelled(path);
                match tree.binary_search_by_key(&&*name, |(path, _)| path) {
                    Ok(_) => Ok(Kind::File),
                    Err(_) => within(tree, path).map(|_| Kind::Folder),
                }
            }
            Self::Recorded(record) => {
                let kind = Self::Disk.kind(path)?;
                match kind {
                    Kind::Folder => record.see(path, Seen::Folder),
                    Kind::File => record.see(path, Seen::Name),
                    Kind::Other => {}
                }
                Ok(kind)
            }
        }
    }

    pub(crate) fn is_file(&self, path: &Path) -> bool {
        matches!(self.kind(path), Ok(Kind::File))
    }

    pub(crate) fn is_dir(&self, path: &Path) -> bool {
        matches!(self.kind(path), Ok(Kind::Folder))
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.kind(path).is_ok()
    }
}

/// What something on the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    /// A device or a socket.
    Other,
}

/// The names in a folder of a tree.
fn within(tree: &Tree, folder: &Path) -> io::Result<Vec<OsString>> {
    let mut start = spelled(folder);
    if !start.is_empty() {
        start.push('/');
    }
    let mut names: Vec<OsString> = Vec::new();
    let mut found = false;
    for rest in tree.iter().filter_map(|(path, _)| path.strip_prefix(&*start)) {
        found = true;
        let name = rest.split('/').next().unwrap_or_default();
        if !name.is_empty() && names.last().is_none_or(|last| last != name) {
            names.push(name.into());
        }
    }
    if found { Ok(names) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// A path as a tree spells it.
fn spelled(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/").trim_matches('/').to_owned()
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Disk, Self::Disk) => true,
            (Self::Embedded(one), Self::Embedded(other)) => std::ptr::eq(*one, *other),
            (Self::Recorded(one), Self::Recorded(other)) => Arc::ptr_eq(one, other),
            (Self::Disk | Self::Embedded(_) | Self::Recorded(_), _) => false,
        }
    }
}

impl Eq for Files {}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "Disk",
            Self::Embedded(_) => "Embedded",
            Self::Recorded(_) => "Recorded",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &Tree = &[
        ("app/Cargo.toml", b"sqlx"),
        ("app/empty/", b""),
        ("app/m/1_a.sql", b"select 1"),
        ("app/m/1_a/x.sql", b""),
        ("app/m/2_b.sql", b"\xff"),
    ];

    #[test]
    fn a_tree_is_read_as_a_disk_is() {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in TREE {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if path.to_string_lossy().ends_with('/') {
                std::fs::create_dir(path).unwrap();
            } else {
                std::fs::write(path, bytes).unwrap();
            }
        }
        let tree = Files::Embedded(TREE);
        let record = Arc::new(Record::default());
        let recorded = Files::Recorded(Arc::clone(&record));
        for path in [
            "",
            "app",
            "app/m",
            "app/m/1_a.sql",
            "app/m/1_a",
            "app/empty",
            "app/m/2_b.sql",
            "nope",
            "app/m/1",
        ] {
            let (disk, inside) = (dir.path().join(path), Path::new("/").join(path));
            for files in [&Files::Disk, &recorded] {
                assert_eq!(files.kind(&disk).ok(), tree.kind(&inside).ok(), "{path}");
                let sorted = |mut names: Vec<OsString>| {
                    names.sort();
                    names
                };
                let names = |files: &Files, path: &Path| files.names(path).ok().map(sorted);
                assert_eq!(names(files, &disk), names(&tree, &inside), "{path}");
                assert_eq!(files.read(&disk).ok(), tree.read(&inside).ok(), "{path}");
                assert_eq!(files.read_to_string(&disk).ok(), tree.read_to_string(&inside).ok(), "{path}");
                assert_eq!(
                    (files.is_file(&disk), files.is_dir(&disk)),
                    (tree.is_file(&inside), tree.is_dir(&inside))
                );
            }
        }
        let seen = record.seen();
        let of = |path: &str| seen.get(&dir.path().join(path)).copied();
        assert_eq!(
            [of("app/m"), of("app/m/1_a.sql"), of("app/m/1_a/x.sql"), of("app/Cargo.toml"), of("nope")],
            [Some(Seen::Folder), Some(Seen::File), Some(Seen::Name), Some(Seen::Name), None]
        );
    }
}
