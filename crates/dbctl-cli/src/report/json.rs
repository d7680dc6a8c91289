//! `--format json`: one document at the end.

use std::io::{self, Write};

use dbctl_runner::{Event, Summary};

use super::{Report, wire};
use crate::console::write_json;

pub(crate) struct Json<W: Write> {
    pub(crate) out: W,
}

impl<W: Write + Send> Report for Json<W> {
    fn event(&mut self, _: &Event) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        write_json(&mut self.out, &wire::run(summary), true)
    }
}
