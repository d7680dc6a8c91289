//! `--format ndjson`: one object per event, as it happens.

use std::io::{self, Write};

use dbctl_runner::{Event, Summary};

use super::{Report, wire};
use crate::console::write_json;

pub(crate) struct Ndjson<W: Write> {
    pub(crate) out: W,
}

impl<W: Write + Send> Report for Ndjson<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        write_json(&mut self.out, &wire::event(event), false)
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}
