//! Folders as data: a seed per layout of every format, what may happen to one, and writing it to disk.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dbctl_migration::{Folder, FormatKind, SourceOptions};
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use crate::mutate::{Change, changed, changes};

/// Files by their paths in bytes; those of the source begin with `m/`, others lie around it.
pub(crate) type Files = BTreeMap<Vec<u8>, Vec<u8>>;

/// The valid folders in `seeds`, each named `<format>` or `<format>.<layout>`.
pub(crate) fn seeds() -> Vec<(FormatKind, Files)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    let mut names: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let seed = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let kind = FormatKind::parse(name.split('.').next().unwrap()).unwrap();
        let mut files = Files::new();
        collect(path, path, &mut files);
        (kind, files)
    };
    names.iter().map(seed).collect()
}

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.insert(name.into_bytes(), fs::read(&path).unwrap());
        }
    }
}

/// The options without which a format cannot be used.
pub(crate) fn least(kind: FormatKind) -> SourceOptions {
    let table = (kind.as_str() == "custom").then(|| "done".to_owned());
    SourceOptions { table, ..SourceOptions::default() }
}

/// What happens to one file of a folder.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Edited(Index, Vec<Change>),
    Renamed(Index, Vec<Change>),
    Copied(Index, Vec<Change>),
    Deleted(Index),
    Filled(Index, Vec<u8>),
    Converted(Index, Encoding),
}

/// What an editor or a checkout makes of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Encoding {
    Crlf,
    Cr,
    /// UTF-16, with or without its mark, the characters of even places broken in two.
    Utf16 {
        big: bool,
        mark: bool,
        broken: bool,
    },
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let at = any::<Index>;
    let utf16 = any::<(bool, bool, bool)>();
    let encoding = prop_oneof![
        Just(Encoding::Crlf),
        Just(Encoding::Cr),
        utf16.prop_map(|(big, mark, broken)| Encoding::Utf16 { big, mark, broken }),
    ];
    let event = prop_oneof![
        4 => (at(), changes()).prop_map(|(at, changes)| Event::Edited(at, changes)),
        3 => (at(), changes()).prop_map(|(at, changes)| Event::Renamed(at, changes)),
        2 => (at(), changes()).prop_map(|(at, changes)| Event::Copied(at, changes)),
        1 => at().prop_map(Event::Deleted),
        1 => (at(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(at, bytes)| Event::Filled(at, bytes)),
        1 => (at(), encoding).prop_map(|(at, encoding)| Event::Converted(at, encoding)),
    ];
    prop::collection::vec(event, 0..6)
}

pub(crate) fn after(mut files: Files, events: &[Event]) -> Files {
    for event in events {
        let Some(last) = files.len().checked_sub(1) else { break };
        let named = |at: &Index| files.keys().nth(at.index(last + 1)).unwrap().clone();
        match event {
            Event::Edited(at, changes) => {
                let name = named(at);
                let bytes = changed(&files[&name], changes);
                files.insert(name, bytes);
            }
            Event::Renamed(at, changes) => {
                let name = named(at);
                let bytes = files.remove(&name).unwrap();
                files.insert(renamed(&name, changes), bytes);
            }
            Event::Copied(at, changes) => {
                let name = named(at);
                let bytes = files[&name].clone();
                files.insert(renamed(&name, changes), bytes);
            }
            Event::Deleted(at) => {
                files.remove(&named(at));
            }
            Event::Filled(at, bytes) => {
                files.insert(named(at), bytes.clone());
            }
            Event::Converted(at, encoding) => {
                let name = named(at);
                let bytes = encoding.of(&files[&name]);
                files.insert(name, bytes);
            }
        }
    }
    files
}

/// The path with changes in one of its parts below the root, so that it stays where it is or lies a level deeper.
fn renamed(path: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    let last = parts.len() - 1;
    // Of a migration that is a folder, it is the folder whose name counts.
    let part = if last >= 2 { 1 } else { last };
    parts[part] = changed(&parts[part], changes);
    parts[part].retain(|byte| !matches!(byte, b'/' | b'\0'));
    if matches!(&parts[part][..], b"" | b"." | b"..") {
        parts[part] = b"x.sql".to_vec();
    }
    parts.join(&b'/')
}

impl Encoding {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        match self {
            Self::Crlf => text.replace('\n', "\r\n").into_bytes(),
            Self::Cr => text.replace('\n', "\r").into_bytes(),
            Self::Utf16 { big, mark, broken } => {
                let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
                let broken = |(at, unit): (usize, u16)| if broken && at % 7 == 3 { 0xD800 } else { unit };
                let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
                units.enumerate().map(broken).flat_map(bytes).collect()
            }
        }
    }
}

/// A folder on disk.
pub(crate) struct Written {
    _root: TempDir,
    pub(crate) folder: Folder,
}

/// Writes files in that order; names that the file system refuses are left out.
pub(crate) fn write<'f>(files: impl IntoIterator<Item = (&'f Vec<u8>, &'f Vec<u8>)>) -> Written {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("m")).unwrap();
    // What lies above the temporary folder is not the test's.
    fs::write(root.path().join("workspace.yaml"), "").unwrap();
    for (name, bytes) in files {
        let Some(path) = path(name).map(|path| root.path().join(path)) else { continue };
        let folder = path.parent().unwrap();
        if fs::create_dir_all(folder).is_ok() {
            let _refused = fs::write(path, bytes);
        }
    }
    let folder = Folder::new(root.path().join("m"), "m");
    Written { _root: root, folder }
}

#[cfg(unix)]
fn path(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

#[cfg(not(unix))]
fn path(name: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(name).ok().map(PathBuf::from)
}
