//! What the formats share: listing a folder, reading its files, and naming new ones.

use std::{
    cmp::Ordering,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::{Folder, FormatError};
use crate::{DirectiveError, Files, files::Kind, text};

/// The longest file name that common file systems keep, in bytes.
const MAX_FILE_NAME_BYTES: usize = 255;

/// A file in a folder, by its name; a name that is not UTF-8 holds replacement characters, which fit no format.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub(super) name: String,
    /// As the file system spells it.
    pub(super) file_name: OsString,
}

/// The names in a folder in byte order, but for dotfiles. Whether they are files is asked only of those that matter.
pub(super) fn names(files: &Files, folder: &Path) -> io::Result<Vec<Listed>> {
    let mut names = Vec::new();
    for file_name in files.names(folder)? {
        let name = file_name.to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(Listed { name, file_name });
        }
    }
    names.sort();
    Ok(names)
}

impl Folder {
    /// The names in it that [`names`] finds; the manifest promised that the folder is there.
    pub(super) fn names(&self) -> Result<Vec<Listed>, FormatError> {
        names(&self.files, &self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => FormatError::NoFolder { path: self.shown.clone() },
            _ => FormatError::Io { path: self.shown.clone(), source },
        })
    }

    /// As [`Self::names`], for writing the first file: a folder that is not there yet has none.
    pub(super) fn names_so_far(&self) -> Result<Vec<Listed>, FormatError> {
        match self.names() {
            Err(FormatError::NoFolder { .. }) => Ok(Vec::new()),
            result => result,
        }
    }

    /// The words of a new file's name in the style of the files that are there: joined by `-` or `_`, whichever more of
    /// them have, else as the tool does it. Empty where there is no word.
    pub(super) fn slug(&self, name: &str, default: char) -> Result<String, FormatError> {
        let words: Vec<&str> =
            name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let (mut dashed, mut snake) = (0_usize, 0_usize);
        for listed in self.names_so_far()? {
            let (stem, extension) = split_extension(&listed.name);
            let rest = &stem[leading_digits(stem).len()..];
            let slug =
                rest.strip_prefix(['_', '-']).filter(|_| extension == "sql" && rest.len() < stem.len());
            match slug.map(|slug| (slug.contains('-'), slug.contains('_'))) {
                Some((true, false)) => dashed += 1,
                Some((false, true)) => snake += 1,
                Some((true, true) | (false, false)) | None => {}
            }
        }
        let joint = match dashed.cmp(&snake) {
            Ordering::Greater => '-',
            Ordering::Less => '_',
            Ordering::Equal => default,
        };
        Ok(words.join(joint.encode_utf8(&mut [0; 4])))
    }

    /// How errors show a file of this folder.
    pub(super) fn shown(&self, listed: &Listed) -> PathBuf {
        self.shown.join(&listed.file_name)
    }

    /// Whether it is a file, or a link to one; a broken link is an error, since it was meant to be something.
    pub(super) fn is_file(&self, listed: &Listed) -> Result<bool, FormatError> {
        match self.files.kind(&self.path.join(&listed.file_name)) {
            Ok(kind) => Ok(kind == Kind::File),
            Err(source) => Err(FormatError::Io { path: self.shown(listed), source }),
        }
    }

    /// A folder in this one.
    pub(super) fn within(&self, listed: &Listed) -> Self {
        let path = self.path.join(&listed.file_name);
        Self { path, shown: self.shown(listed), files: self.files.clone() }
    }

    /// A file of this folder by its name.
    pub(super) fn listed(name: &str) -> Listed {
        Listed { name: name.to_owned(), file_name: name.into() }
    }

    /// The bytes of one of its files, for a tool that hashes them, and its text.
    pub(super) fn bytes_and_text(&self, listed: &Listed) -> Result<(Vec<u8>, String), FormatError> {
        let bytes = self.bytes(listed)?;
        let text = text::decode(bytes.clone(), &self.shown(listed))?;
        Ok((bytes, text))
    }

    fn bytes(&self, listed: &Listed) -> Result<Vec<u8>, FormatError> {
        let read = self.files.read(&self.path.join(&listed.file_name));
        read.map_err(|source| FormatError::Io { path: self.shown(listed), source })
    }

    /// The text of one of its files.
    pub(super) fn text(&self, listed: &Listed) -> Result<String, FormatError> {
        text::decode(self.bytes(listed)?, &self.shown(listed))
    }

    pub(super) fn wrong_name(&self, listed: &Listed, message: impl Into<String>) -> FormatError {
        FormatError::Name { path: self.shown(listed), message: message.into() }
    }

    /// What is wrong with a new migration's name, which has no file yet.
    pub(super) fn wrong_new_name(&self, message: impl Into<String>) -> FormatError {
        FormatError::Name { path: self.shown.clone(), message: message.into() }
    }

    /// Refuses a file name that the file system would refuse.
    pub(super) fn fitting(&self, file_name: String) -> Result<PathBuf, FormatError> {
        if file_name.len() > MAX_FILE_NAME_BYTES {
            return Err(self.wrong_new_name(format!(
                "the name makes a file name of {} bytes, of which file systems keep {MAX_FILE_NAME_BYTES}",
                file_name.len()
            )));
        }
        Ok(PathBuf::from(file_name))
    }
}

/// A directive error with its file.
pub(super) fn wrong_directive(path: PathBuf) -> impl FnOnce(DirectiveError) -> FormatError {
    move |error| FormatError::Directive { path, error }
}

/// The part of a name after its last dot in lower case, and what stands before it; empty where there is no dot.
pub(super) fn split_extension(name: &str) -> (&str, String) {
    match name.rsplit_once('.') {
        Some((stem, extension)) => (stem, extension.to_ascii_lowercase()),
        None => (name, String::new()),
    }
}

/// The digits a name starts with.
pub(super) fn leading_digits(name: &str) -> &str {
    &name[..name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len())]
}
