//! The commands that are no verbs: one file each.

mod child;
mod completions;
mod env;
mod exec;
mod graph;
mod list;
mod new;
mod plan;
mod psql;
mod schema;
mod server;
mod status;
mod tree;

use crate::{
    cli::{Cli, Command},
    console::Console,
    context::{Context, Process},
    error::CliError,
    exit::Done,
    run,
};

/// Runs whatever was typed.
pub(crate) async fn dispatch(
    cli: &Cli,
    process: &Process,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let load = || Context::load(&cli.global, process);
    match &cli.command {
        Command::Verb(verb) => run::run(verb, &cli.global, process, console).await,
        Command::New(args) => new::run(args, &load()?, console),
        Command::Status(args) => status::run(args, &load()?, console).await,
        Command::Plan(args) => plan::run(args, &cli.global, &load()?, console).await,
        Command::List(args) => list::run(args, &load()?, console),
        Command::Graph(args) => graph::run(args, &load()?, console),
        Command::Psql(args) => psql::run(args, &load()?).await,
        Command::Exec(args) => exec::run(args, &load()?).await,
        Command::Env(args) => env::run(args, &load()?, console).await,
        Command::Server(server) => server::run(server, &load()?, console).await,
        Command::Completions { shell } => completions::run(*shell, console),
        Command::Schema => schema::run(console),
    }
}
