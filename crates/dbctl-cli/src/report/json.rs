//! `--format json`: one document at the end. What programs say goes to standard error meanwhile.

use std::io::{self, Write};

use dbctl_runner::{Event, Summary};

use super::{Report, wire};
use crate::console::write_json;

pub(crate) struct Json<O: Write, E: Write> {
    pub(crate) out: O,
    pub(crate) err: E,
    pub(crate) quiet: bool,
}

impl<O: Write + Send, E: Write + Send> Report for Json<O, E> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Output { database, line } if !self.quiet => {
                writeln!(self.err, "{database}: {line}")?;
                self.err.flush()
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        write_json(&mut self.out, &wire::run(summary), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{events, summary};

    #[test]
    fn what_programs_say_is_not_lost() {
        for (quiet, said) in [(false, "core: from a runner\n"), (true, "")] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut json = Json { out: &mut out, err: &mut err, quiet };
            for event in events() {
                json.event(&event).unwrap();
            }
            json.finish(&summary()).unwrap();
            assert_eq!(String::from_utf8(err).unwrap(), said);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        }
    }
}
