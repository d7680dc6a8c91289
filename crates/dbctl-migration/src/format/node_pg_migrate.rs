//! SQL files of node-pg-migrate.

use jiff::Timestamp;

use super::{Folder, Format, FormatError, FormatErrors, NewFile, SourceOptions};
use crate::{History, Migration};

pub(super) struct NodePgMigrate;

impl NodePgMigrate {
    pub(super) fn new(options: &SourceOptions) -> Self {
        unimplemented!("{options:?}")
    }
}

impl Format for NodePgMigrate {
    fn read(&self, folder: &Folder) -> Result<Vec<Migration>, FormatErrors> {
        unimplemented!("{folder:?}")
    }

    fn history(&self) -> Option<&dyn History> {
        None
    }

    fn new_file(&self, folder: &Folder, name: &str, now: Timestamp) -> Result<NewFile, FormatError> {
        unimplemented!("{folder:?} {name} {now}")
    }
}
