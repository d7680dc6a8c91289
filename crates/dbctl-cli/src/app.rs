//! From arguments to an exit code.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use clap::{
    ColorChoice, FromArgMatches,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    cli::{Cli, Format},
    command,
    console::{Console, Mode, write_json},
    context::Process,
    diagnostic,
    error::CliError,
    exit::{self, Done},
    help,
    report::wire,
};

/// Runs the command; the exit code.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &args, &mut out),
    };
    let mut console = Console { out: &mut out, err: &mut err, mode: Mode::new(&cli.global, variable) };
    let process = Process::enter(&cli.global);
    let cwd = process.as_ref().map(|process| process.cwd.clone()).unwrap_or_default();
    let result = process.and_then(|process| run(&cli, &process, &mut console));
    let code = exit::exit_code(&result);
    if let Err(error) = &result
        && !error.is_closed_pipe()
    {
        // There is nowhere left to say that this cannot be said.
        let _ = complain(error, &cwd, &mut console);
    }
    code
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn run(cli: &Cli, process: &Process, console: &mut Console<'_>) -> Result<Done, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(command::dispatch(cli, process, console));
    // Whatever still runs on other threads (a name being looked up) is not waited for.
    runtime.shutdown_background();
    result
}

/// Reads the command line.
pub(crate) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let color = match typed(args, "--color").as_deref() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    let mut command = help::command().color(color);
    let matches = command.try_get_matches_from_mut(args).map_err(|error| advised(error, args, &command))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// An error with advice where clap has none, or such that must not be taken: a flag that lets dbctl destroy is no
/// mistyped other one.
fn advised(mut error: clap::Error, args: &[OsString], command: &clap::Command) -> clap::Error {
    let text = |error: &clap::Error, kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let wrong = text(&error, ContextKind::InvalidArg);
    let suggested = text(&error, ContextKind::SuggestedArg);
    let verb = args.iter().filter_map(|arg| command.find_subcommand(arg)).map(clap::Command::get_name).next();
    if suggested.contains("--allow-protected") && !wrong.starts_with("--allow")
        || suggested.contains("--yes") && !wrong.starts_with("--y")
    {
        error.remove(ContextKind::SuggestedArg);
        // The usage line holds what was suggested.
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage(command, verb)));
    }
    if !matches!(verb, Some("exec" | "psql")) {
        not_as_a_value(&mut error);
    }
    let advice = match (error.kind(), verb) {
        (ErrorKind::UnknownArgument, _) if matches!(wrong.as_str(), "--output" | "-o" | "--json") => {
            "`--format json` and `--format ndjson` write results for programs".to_owned()
        }
        (ErrorKind::UnknownArgument, Some("plan")) if wrong == "--all" => {
            "targets stand after the verb: `dbctl plan up --all`".to_owned()
        }
        (ErrorKind::UnknownArgument, Some(verb)) if wrong == "--all" => {
            format!("`dbctl {verb}` is about one database: name it")
        }
        (ErrorKind::MissingRequiredArgument, Some("new")) => {
            "the database comes first, and `.` is the package you are in: `dbctl new . add users`".to_owned()
        }
        _ => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    error
}

/// Takes back that what is no flag could be meant as a value: no database is called so.
fn not_as_a_value(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips: Vec<StyledStr> =
            tips.into_iter().filter(|tip| !tip.to_string().contains("as a value")).collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}

/// How a command is used, or `dbctl` itself.
fn usage(command: &clap::Command, name: Option<&str>) -> StyledStr {
    let mut command = command.clone();
    command.build();
    match name.and_then(|name| command.find_subcommand_mut(name)) {
        Some(sub) => sub.render_usage(),
        None => command.render_usage(),
    }
}

/// Says what clap has to say: help and versions are results, all else is wrong usage.
fn refuse(error: &clap::Error, args: &[OsString], out: &mut dyn Write) -> u8 {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = matches!(typed(args, "--format").as_deref(), Some("json" | "ndjson"));
    // A closed pipe is nobody's fault.
    let _ = error.print();
    if !asked_for && json {
        let message = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command was given".to_owned(),
            _ => first_paragraph(&error.render().to_string()),
        };
        let failure = wire::usage(message);
        let pretty = typed(args, "--format").as_deref() == Some("json");
        let _ = write_json(out, &failure, pretty);
    }
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// What clap says before it explains, on one line.
fn first_paragraph(text: &str) -> String {
    let lines = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The value of an option, found without knowing the command line; for when it cannot be read.
fn typed(args: &[OsString], option: &str) -> Option<String> {
    let args: Vec<&str> = args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str()).collect();
    args.iter().enumerate().find_map(|(at, arg)| {
        if *arg == option {
            return args.get(at + 1).map(|value| (*value).to_owned());
        }
        Some(arg.strip_prefix(option)?.strip_prefix('=')?.to_owned())
    })
}

/// Says why a command ended without a summary: to people on standard error, to programs on standard output as well.
fn complain(error: &CliError, cwd: &Path, console: &mut Console<'_>) -> io::Result<()> {
    if console.mode.format != Format::Human {
        console.json(&wire::failure(error, cwd))?;
    }
    console.err.write_all(diagnostic::command(error, cwd, console.mode.err).as_bytes())?;
    console.err.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{Command, PlanShape, Verb},
        help,
    };

    fn args(line: &str) -> Vec<OsString> {
        std::iter::once("dbctl").chain(line.split_whitespace()).map(OsString::from).collect()
    }

    fn parsed(line: &str) -> Cli {
        parse(&args(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn refused(line: &str) -> String {
        let error = parse(&args(line)).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        first_paragraph(&error.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        help::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_verb() {
        for line in ["--env test --jobs 3 -y migrate core", "migrate core --env test --jobs 3 -y"] {
            let cli = parsed(line);
            assert_eq!(cli.global.env.as_deref(), Some("test"), "{line}");
            assert_eq!(cli.global.jobs.map(std::num::NonZeroUsize::get), Some(3), "{line}");
            assert!(cli.global.yes, "{line}");
        }
        let cli = parsed("plan --format json up --all --no-deps");
        assert_eq!((cli.global.format, cli.global.no_deps), (Format::Json, true));
    }

    #[test]
    fn plan_takes_its_flags_before_and_after_the_verb() {
        for line in ["plan --state --as dot migrate core --to 3", "plan migrate core --to 3 --state --as dot"]
        {
            let Command::Plan(plan) = parsed(line).command else { panic!("{line}") };
            assert!(plan.state && plan.shape == PlanShape::Dot, "{line}");
            let Verb::Migrate { targets, migrate, .. } = plan.verb else { panic!("{line}") };
            assert_eq!(targets.targets, ["core"]);
            assert_eq!(migrate.to.as_deref(), Some("3"));
        }
    }

    #[test]
    fn what_follows_two_dashes_belongs_to_the_child() {
        let Command::Exec(exec) = parsed("exec core -- env --format json -C x").command else { panic!() };
        assert_eq!(exec.target.as_deref(), Some("core"));
        assert_eq!(exec.command, ["env", "--format", "json", "-C", "x"]);
        let Command::Exec(exec) = parsed("exec -- env").command else { panic!() };
        assert_eq!((exec.target, exec.command), (None, vec![OsString::from("env")]));
        assert_eq!(typed(&args("exec core -- env --format json"), "--format"), None);
        assert_eq!(typed(&args("up --format=ndjson"), "--format").as_deref(), Some("ndjson"));
    }

    #[test]
    fn filters_are_targets() {
        let line = "migrate core... ...core !core tag:app @atriz/core apps/mextrack .";
        let Command::Verb(Verb::Migrate { targets, .. }) = parsed(line).command else { panic!() };
        assert_eq!(targets.targets.len(), 7);
    }

    #[test]
    fn durations_have_units() {
        for (typed, ms) in [("10s", 10_000), ("2m", 120_000), ("500ms", 500), ("0", 0), ("1m30s", 90_000)] {
            assert_eq!(parsed(&format!("list --wait {typed}")).global.wait.as_millis(), ms, "{typed}");
        }
        assert_eq!(parsed("list").global.wait.as_secs(), 60);
    }

    #[test]
    fn advice_is_safe_to_take() {
        let advice = |line: &str| {
            let error = parse(&args(line)).expect_err(line).to_string();
            assert!(!error.contains("<ENVIRONMENT>") || line.contains("protect"), "{error}");
            let tips = error.lines().filter(|line| line.contains("tip:")).map(str::trim);
            tips.fold(line.to_owned(), |text, tip| format!("{text}\n  {tip}"))
        };
        insta::assert_snapshot!(
            [
                "env --all",
                "exec --all -- true",
                "psql --all",
                "plan --all up",
                "new foo",
                "new",
                "up --yees",
                "up --allow-protectd production",
                "up --formt json",
                "list --output json",
                "status --nonsense",
                "exec a --nonsense",
            ]
            .map(advice)
            .join("\n"),
            @r#"
        env --all
          tip: `dbctl env` is about one database: name it
        exec --all -- true
          tip: `dbctl exec` is about one database: name it
        psql --all
          tip: `dbctl psql` is about one database: name it
        plan --all up
          tip: targets stand after the verb: `dbctl plan up --all`
        new foo
          tip: the database comes first, and `.` is the package you are in: `dbctl new . add users`
        new
          tip: the database comes first, and `.` is the package you are in: `dbctl new . add users`
        up --yees
          tip: a similar argument exists: '--yes'
        up --allow-protectd production
          tip: a similar argument exists: '--allow-protected'
        up --formt json
          tip: a similar argument exists: '--format'
        list --output json
          tip: `--format json` and `--format ndjson` write results for programs
        status --nonsense
        exec a --nonsense
          tip: to pass '--nonsense' as a value, use '-- --nonsense'
        "#
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        insta::assert_snapshot!(
            [
                "frobnicate",
                "up --jobs 0",
                "up --jobs 65",
                "up --wait 10",
                "up --wait -3s",
                "up --format xml",
                "-q -v up",
                "rollback core --count 0",
                "rollback core --count 1 --to zero",
                "migrate core --dry-run --fake",
                "migrate core --out-of-order maybe",
                "exec core",
                "new core",
                "plan",
            ]
            .map(|line| format!("{line}\n  {}", refused(line)))
            .join("\n")
        );
    }
}
