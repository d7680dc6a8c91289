//! A migration folder, inside the program or on the disk.

use std::path::{Path, PathBuf};

use dbctl_migration::{Files, Folder, FormatKind, SourceOptions, Tree};
use dbctl_workspace::{FormatChoice, Source, Span};

use crate::Error;

/// A migration folder: embedded by [`migrations!`](crate::migrations), or read when it is used.
#[derive(Debug, Clone)]
pub struct Migrations(Place);

#[derive(Debug, Clone)]
enum Place {
    Embedded {
        name: &'static str,
        format: &'static str,
        options: &'static [(&'static str, &'static str)],
        folder: &'static str,
        shown: &'static str,
        tree: &'static Tree,
    },
    OnDisk(PathBuf),
}

impl Migrations {
    /// What the macro makes; the tree is in byte order of its paths.
    #[doc(hidden)]
    pub const fn embedded(
        name: &'static str,
        format: &'static str,
        options: &'static [(&'static str, &'static str)],
        folder: &'static str,
        shown: &'static str,
        tree: &'static Tree,
    ) -> Self {
        Self(Place::Embedded { name, format, options, folder, shown, tree })
    }

    /// A folder that is read each time it is used, and whose format its files tell.
    pub fn in_folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::OnDisk(path.into()))
    }

    /// As the runner reads it.
    pub(crate) fn source(&self) -> Result<Source, Error> {
        match &self.0 {
            Place::Embedded { name, format, options, folder, shown, tree } => {
                let kind = FormatKind::parse(format)
                    .ok_or_else(|| Error::Folder(format!("{shown}: there is no format `{format}`")))?;
                let mut given = SourceOptions::default();
                for (option, value) in *options {
                    if let Some(field) = given.field(option) {
                        *field = Some((*value).to_owned());
                    }
                }
                let folder =
                    Folder { path: folder.into(), shown: shown.into(), files: Files::Embedded(tree) };
                Ok(source(name, folder, kind, given))
            }
            Place::OnDisk(path) => {
                let kind = told(path)?;
                let folder = Folder::new(std::path::absolute(path).unwrap_or_else(|_| path.clone()), path);
                Ok(source(&path.to_string_lossy(), folder, kind, SourceOptions::default()))
            }
        }
    }
}

fn source(name: &str, folder: Folder, kind: FormatKind, options: SourceOptions) -> Source {
    let format = FormatChoice::Declared(kind);
    Source { name: name.to_owned(), folder, format, baseline: None, options, declared: Span::default() }
}

fn told(path: &Path) -> Result<FormatKind, Error> {
    let shown = path.display();
    let found =
        FormatKind::detect(path).map_err(|error| Error::Folder(format!("cannot read {shown}: {error}")))?;
    match found[..] {
        [kind] => Ok(kind),
        [] => Err(Error::Folder(format!("it cannot be told whose migrations {shown} holds"))),
        _ => {
            let names: Vec<&str> = found.iter().map(|kind| kind.as_str()).collect();
            Err(Error::Folder(format!("{shown} could be of {}", names.join(" or of "))))
        }
    }
}
