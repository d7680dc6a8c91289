//! dbctl's own format.

use jiff::Timestamp;

use super::{Folder, Format, FormatError, FormatErrors, NewFile};
use crate::{History, Migration};

pub(super) struct Native;

impl Format for Native {
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
