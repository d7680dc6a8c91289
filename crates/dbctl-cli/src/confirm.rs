//! The question before something is destroyed.

use std::{
    io::{self, Write},
    thread,
};

use inquire::{Confirm, InquireError, ui::RenderConfig};
use tokio::sync::oneshot;

use crate::{
    console::{Console, Mode},
    error::CliError,
    signals::unless_closed,
};

/// What is about to happen.
pub(crate) struct Asking {
    /// The command, with the flag that makes it destroy, and what that is, in short.
    pub(crate) destruction: (&'static str, &'static str),
    /// The same in full, after the command.
    pub(crate) effect: &'static str,
    pub(crate) environment: String,
    pub(crate) databases: Vec<Affected>,
}

/// A database to which it happens.
pub(crate) struct Affected {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) server: String,
    /// The migrations that are reverted, in that order, where it is about those.
    pub(crate) reverts: Option<Vec<String>>,
}

/// How many migrations of a database the question names.
const NAMED: usize = 10;

/// An error where nobody can be asked.
pub(crate) fn can_ask(
    (command, effect): (&'static str, &'static str),
    console: &Console<'_>,
) -> Result<(), CliError> {
    if console.mode.can_ask { Ok(()) } else { Err(CliError::CannotAsk { command, effect }) }
}

/// Asks, and comes back only after a yes. Where nobody can be asked that is an error.
pub(crate) async fn ask(asking: &Asking, console: &mut Console<'_>) -> Result<(), CliError> {
    can_ask(asking.destruction, console)?;
    describe(asking, console.err, console.mode)?;
    go_on(console.mode).await
}

/// What is asked about that concerns no single database.
pub(crate) struct Asked {
    /// The command, and what that is, in short.
    pub(crate) destruction: (&'static str, &'static str),
    /// What it does, after the command.
    pub(crate) effect: &'static str,
    /// What goes.
    pub(crate) what: Vec<String>,
}

/// Says what would go, then asks as [`ask`] does.
pub(crate) async fn ask_about(asked: &Asked, console: &mut Console<'_>) -> Result<(), CliError> {
    let (command, _) = asked.destruction;
    writeln!(console.err, "`{command}` {}:", asked.effect)?;
    for one in &asked.what {
        writeln!(console.err, "  {}", console.mode.err.bold(one))?;
    }
    console.err.flush()?;
    can_ask(asked.destruction, console)?;
    go_on(console.mode).await
}

async fn go_on(mode: Mode) -> Result<(), CliError> {
    let render = if mode.err.0 { RenderConfig::default_colored() } else { RenderConfig::empty() };
    let terminal = Terminal::as_it_is();
    let (tell, told) = oneshot::channel();
    // On a thread beside, so that signals are heard: a terminal that was closed answers nothing any more.
    thread::spawn(move || {
        let answer = Confirm::new("Go on?").with_default(false).with_render_config(render).prompt();
        // Nobody is there to be told after a signal.
        let _ = tell.send(answer);
    });
    let answer = match unless_closed(told).await {
        Ok(answer) => answer.map_err(|_| CliError::Interrupted)?,
        Err(error) => {
            terminal.put_back();
            return Err(error);
        }
    };
    match answer {
        Ok(true) => Ok(()),
        Ok(false) | Err(InquireError::OperationCanceled) => Err(CliError::Declined),
        Err(InquireError::OperationInterrupted) => Err(CliError::Interrupted),
        Err(error) => Err(CliError::Ask(error)),
    }
}

/// How the terminal reads what is typed: whoever asks has it give away each key.
struct Terminal {
    #[cfg(unix)]
    attributes: Option<rustix::termios::Termios>,
}

impl Terminal {
    fn as_it_is() -> Self {
        Self {
            #[cfg(unix)]
            attributes: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }

    fn put_back(&self) {
        #[cfg(unix)]
        if let Some(attributes) = &self.attributes {
            // One that is gone needs nothing.
            let now = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(io::stdin(), now, attributes);
        }
    }
}

fn describe(asking: &Asking, err: &mut dyn Write, mode: Mode) -> io::Result<()> {
    let Asking { destruction: (command, _), effect, environment, databases } = asking;
    let environment = mode.err.bold(environment);
    writeln!(err, "`{command}` {effect}, in the environment {environment}:")?;
    let width = databases.iter().map(|database| database.key.len()).max().unwrap_or_default();
    for Affected { key, name, server, reverts } in databases {
        writeln!(err, "  {key:<width$}  {} on {server}", mode.err.bold(name))?;
        let Some(reverts) = reverts else { continue };
        for migration in reverts.iter().take(NAMED) {
            writeln!(err, "  {:<width$}    {migration}", "")?;
        }
        match reverts.len() {
            0 => writeln!(err, "  {:<width$}    nothing is applied", "")?,
            count if count > NAMED => writeln!(err, "  {:<width$}    and {} more", "", count - NAMED)?,
            _ => {}
        }
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

    fn affected(key: &str, name: &str, server: &str, reverts: Option<Vec<String>>) -> Affected {
        Affected { key: key.to_owned(), name: name.to_owned(), server: server.to_owned(), reverts }
    }

    fn asking() -> Asking {
        Asking {
            destruction: ("drop", "destroys data"),
            effect: "drops these databases with all they hold",
            environment: "development".to_owned(),
            databases: vec![
                affected("mextrack", "mextrack_db", "embedded", None),
                affected("core", "atriz_shared", "main (db.example.com:5432)", None),
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
    fn the_question_names_what_would_be_reverted() {
        let names = |count: usize| Some((1..=count).rev().map(|n| format!("{n:02}_a")).collect());
        let asking = Asking {
            destruction: ("rollback", "reverts migrations"),
            effect: "reverts migrations of these databases",
            databases: vec![
                affected("pshop", "pshop_db", "embedded", names(12)),
                affected("a", "a_db", "embedded", names(1)),
                affected("b", "b_db", "embedded", names(0)),
            ],
            ..asking()
        };
        let mut err = Vec::new();
        describe(&asking, &mut err, PIPED).unwrap();
        insta::assert_snapshot!(String::from_utf8(err).unwrap(), @r"
        `rollback` reverts migrations of these databases, in the environment development:
          pshop  pshop_db on embedded
                   12_a
                   11_a
                   10_a
                   09_a
                   08_a
                   07_a
                   06_a
                   05_a
                   04_a
                   03_a
                   and 2 more
          a      a_db on embedded
                   01_a
          b      b_db on embedded
                   nothing is applied
        ");
    }

    #[tokio::test]
    async fn without_a_terminal_nothing_is_asked() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { out: &mut out, err: &mut err, mode: PIPED };
        let error = ask(&asking(), &mut console).await.unwrap_err();
        assert_eq!(error.to_string(), "`drop` destroys data, and there is no terminal to ask on");
        assert!(out.is_empty() && err.is_empty());
    }
}
