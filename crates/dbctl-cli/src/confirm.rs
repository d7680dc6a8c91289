//! The question before something is destroyed.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use inquire::{Confirm, InquireError, ui::RenderConfig};

use crate::{
    console::{Console, Mode},
    error::CliError,
};

/// What is about to happen.
pub(crate) struct Asking {
    /// The command, with the flag that makes it destroy, and what that is, in short.
    pub(crate) destruction: (&'static str, &'static str),
    /// The same in full, after the command.
    pub(crate) effect: &'static str,
    pub(crate) environment: String,
    /// Key, name and server of each.
    pub(crate) databases: Vec<(String, String, String)>,
}

/// Asks, and comes back only after a yes. Where nobody can be asked that is an error.
pub(crate) fn ask(asking: &Asking, console: &mut Console<'_>) -> Result<(), CliError> {
    if !console.mode.can_ask {
        let (command, effect) = asking.destruction;
        return Err(CliError::CannotAsk { command, effect });
    }
    describe(asking, console.err, console.mode)?;
    go_on(console)
}

/// What is about to be deleted, which is no database alone.
pub(crate) struct Deleting {
    /// The command, and what that is, in short.
    pub(crate) destruction: (&'static str, &'static str),
    /// What it does, after the command.
    pub(crate) effect: &'static str,
    /// What goes.
    pub(crate) folders: Vec<PathBuf>,
}

/// Says what would be deleted, then asks as [`ask`] does.
pub(crate) fn ask_to_delete(deleting: &Deleting, console: &mut Console<'_>) -> Result<(), CliError> {
    let Deleting { destruction: (command, effect), .. } = deleting;
    writeln!(console.err, "`{command}` {}:", deleting.effect)?;
    for folder in &deleting.folders {
        writeln!(console.err, "  {}", console.mode.err.bold(&folder.display().to_string()))?;
    }
    console.err.flush()?;
    if !console.mode.can_ask {
        return Err(CliError::CannotAsk { command, effect });
    }
    go_on(console)
}

fn go_on(console: &Console<'_>) -> Result<(), CliError> {
    let render = if console.mode.err.0 { RenderConfig::default_colored() } else { RenderConfig::empty() };
    match Confirm::new("Go on?").with_default(false).with_render_config(render).prompt() {
        Ok(true) => Ok(()),
        Ok(false) | Err(InquireError::OperationCanceled) => Err(CliError::Declined),
        Err(InquireError::OperationInterrupted) => Err(CliError::Interrupted),
        Err(error) => Err(CliError::Ask(error)),
    }
}

fn describe(asking: &Asking, err: &mut dyn Write, mode: Mode) -> io::Result<()> {
    let Asking { destruction: (command, _), effect, environment, databases } = asking;
    let environment = mode.err.bold(environment);
    writeln!(err, "`{command}` {effect}, in the environment {environment}:")?;
    let width = databases.iter().map(|(key, ..)| key.len()).max().unwrap_or_default();
    for (key, name, server) in databases {
        writeln!(err, "  {key:<width$}  {} on {server}", mode.err.bold(name))?;
    }
    err.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::Format, console::Paint};

    const PIPED: Mode = Mode {
        format: Format::Human,
        quiet: false,
        verbose: false,
        out: Paint(false),
        err: Paint(false),
        progress: false,
        width: None,
        can_ask: false,
    };

    fn asking() -> Asking {
        Asking {
            destruction: ("drop", "destroys data"),
            effect: "drops these databases with all they hold",
            environment: "development".to_owned(),
            databases: vec![
                ("mextrack".to_owned(), "mextrack_db".to_owned(), "embedded".to_owned()),
                ("core".to_owned(), "atriz_shared".to_owned(), "main (db.example.com:5432)".to_owned()),
            ],
        }
    }

    #[test]
    fn the_question_names_server_host_and_databases() {
        let mut err = Vec::new();
        describe(&asking(), &mut err, PIPED).unwrap();
        insta::assert_snapshot!(String::from_utf8(err).unwrap(), @r"
        `drop` drops these databases with all they hold, in the environment development:
          mextrack  mextrack_db on embedded
          core      atriz_shared on main (db.example.com:5432)
        ");
    }

    #[test]
    fn without_a_terminal_nothing_is_asked() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { out: &mut out, err: &mut err, mode: PIPED };
        let error = ask(&asking(), &mut console).unwrap_err();
        assert_eq!(error.to_string(), "`drop` destroys data, and there is no terminal to ask on");
        assert!(out.is_empty() && err.is_empty());
    }
}
