//! Reports: what a run says while it runs and what it comes to, one file per output.

mod human;
mod json;
mod ndjson;
mod progress;
mod terminal;
pub(crate) mod wire;

use std::io;

use dbctl_engine::embedded::Reached;
use dbctl_runner::{Event, Summary};

use crate::{
    cli::Format,
    console::{Console, Mode},
};

pub(crate) use self::human::{count, started, time};
use self::{human::Human, json::Json, ndjson::Ndjson};

/// Something that tells of a run.
pub(crate) trait Report: Send {
    /// Something happened.
    fn event(&mut self, event: &Event) -> io::Result<()>;
    /// The run is over.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
    /// An embedded server was found or started.
    fn server(&mut self, _: &Reached) -> io::Result<()> {
        Ok(())
    }
    /// The run was told to stop.
    fn stopping(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The report that was asked for.
pub(crate) fn of<'c>(console: &'c mut Console<'_>) -> Box<dyn Report + 'c> {
    let Console { out, err, mode } = console;
    let mode: Mode = *mode;
    match mode.format {
        Format::Human => Box::new(Human::new(out, err, mode)),
        Format::Json => Box::new(Json { out, err, quiet: mode.quiet }),
        Format::Ndjson => Box::new(Ndjson { out }),
    }
}
