//! The two streams a command writes to, and what may be done on them.

use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};

use crate::cli::{Color, Format, Global};

/// Where a command writes, injected so that tests can read it.
pub(crate) struct Console<'w> {
    /// Results.
    pub(crate) out: &'w mut (dyn Write + Send),
    /// Progress and errors.
    pub(crate) err: &'w mut (dyn Write + Send),
    /// What may be done on them.
    pub(crate) mode: Mode,
}

/// What may be done on the streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    /// How results are written.
    pub(crate) format: Format,
    /// Only errors and results.
    pub(crate) quiet: bool,
    /// Also notices and each step.
    pub(crate) verbose: bool,
    /// Colors on standard output.
    pub(crate) out: Paint,
    /// Colors on standard error.
    pub(crate) err: Paint,
    /// Whether progress lines may move on standard error.
    pub(crate) progress: bool,
    /// The columns of the terminal that standard output is.
    pub(crate) width: Option<usize>,
    /// Whether somebody is there to be asked.
    pub(crate) can_ask: bool,
}

impl Mode {
    /// Decides from the flags, the environment and what the streams are.
    pub(crate) fn new(global: &Global, var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).is_some_and(|value| !value.is_empty());
        let (stdin, stdout, stderr) =
            (io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal());
        let ci = var("CI").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        let dumb = var("TERM").is_some_and(|term| term == "dumb");
        let forced = var("CLICOLOR_FORCE").is_some_and(|value| !matches!(value.as_str(), "" | "0"));
        let paint = |terminal: bool| {
            Paint(match global.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => !set("NO_COLOR") && (forced || (terminal && !ci && !dumb)),
            })
        };
        Self {
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            out: paint(stdout),
            err: paint(stderr),
            progress: stderr && !ci && !dumb && !global.quiet,
            width: ::console::Term::stdout().size_checked().map(|(_, width)| usize::from(width)),
            can_ask: stdin && stderr && !ci,
        }
    }

    /// Whether results are for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.format != Format::Human
    }
}

/// Whether a stream takes colors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, text: &str, style: Style) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with(text, Style::new().bold())
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with(text, Style::new().dimmed())
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with(text, AnsiColor::Red.on_default().bold())
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with(text, AnsiColor::Green.on_default())
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with(text, AnsiColor::Yellow.on_default())
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.with(text, AnsiColor::Cyan.on_default())
    }
}

impl Console<'_> {
    /// Writes a JSON document to standard output: over several lines, or on one for `ndjson`.
    pub(crate) fn json(&mut self, document: &impl serde::Serialize) -> io::Result<()> {
        write_json(self.out, document, self.mode.format == Format::Json)
    }
}

/// Writes a JSON document with the end of its line, and flushes.
pub(crate) fn write_json(
    out: &mut dyn Write,
    document: &impl serde::Serialize,
    pretty: bool,
) -> io::Result<()> {
    let text = if pretty { serde_json::to_string_pretty(document) } else { serde_json::to_string(document) }?;
    writeln!(out, "{text}")?;
    out.flush()
}
