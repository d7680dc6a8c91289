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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        console::Mode,
        testing::{World, cli, mode},
    };

    /// What a command writes to standard output, and its error if it has one.
    fn shown(world: &World, line: &str) -> String {
        let cli = cli(line);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mode = Mode { format: cli.global.format, ..mode() };
        let mut console = Console { out: &mut out, err: &mut err, mode };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(dispatch(&cli, &world.process(&[]), &mut console));
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("hush") && err.is_empty(), "{line}");
        match result {
            Ok(_) => out,
            Err(error) => format!("{out}error: {error}\n"),
        }
    }

    #[test]
    fn commands_that_need_no_server() {
        let world = World::new();
        let lines = [
            "list",
            "list tag:app --format json",
            "list core shop --format ndjson",
            "graph",
            "graph core stats",
            "graph --as mermaid",
            "graph --as dot",
            "graph core... --format json",
            "plan up stats",
            "plan reset shop",
            "plan drop ...core --as mermaid",
            "plan migrate shop --as dot",
            "plan create shop --as json",
            "--env production plan drop core",
            "drop core",
            "psql tag:app",
            "new stats anything",
            "new core add users --source nowhere",
            "env",
            "exec tag:app -- true",
        ];
        let all = lines.map(|line| format!("$ dbctl {line}\n{}", shown(&world, line)));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_new_migration_is_written_where_it_belongs() {
        let world = World::new();
        let path = shown(&world, "new core Add users");
        let path = path.trim_end();
        assert!(path.starts_with("core/migrations/") && path.ends_with("_add_users.sql"), "{path}");
        assert!(world.folder.path().join(path).is_file());
    }

    #[test]
    fn completions_and_schema_are_printed() {
        let world = World::new();
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            assert!(shown(&world, &format!("completions {shell}")).contains("rollback"), "{shell}");
        }
        let schema: serde_json::Value = serde_json::from_str(&shown(&world, "schema")).unwrap();
        assert!(schema["properties"]["databases"].is_object());
    }
}
