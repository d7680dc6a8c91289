//! The commands that are no verbs: one file each.

mod baseline;
mod child;
mod completions;
mod env;
mod exec;
mod graph;
mod history;
mod init;
mod list;
mod new;
mod plan;
pub(crate) mod plan_file;
mod psql;
mod requires;
pub(crate) mod runs;
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
        Command::Init(args) => init::run(args, &cli.global, process, console),
        Command::New(args) => new::run(args, &load()?, console),
        Command::Baseline(args) => baseline::run(args, &cli.global, &load()?, console).await,
        Command::History(args) => history::run(args, &cli.global, &load()?, console).await,
        Command::Status(args) => status::run(args, &load()?, console).await,
        Command::Plan(args) => plan::run(args, &cli.global, &load()?, console).await,
        Command::List(args) => list::run(args, &load()?, console),
        Command::Graph(args) => graph::run(args, &load()?, console),
        Command::Psql(args) => psql::run(args, &load()?).await,
        Command::Exec(args) => exec::run(args, &load()?).await,
        Command::Env(args) => env::run(args, &load()?, console).await,
        Command::Server(server) => server::run(server, &cli.global, process, console).await,
        Command::Completions { shell } => completions::run(*shell, console),
        Command::Schema => schema::run(console),
    }
}

#[cfg(test)]
mod tests {
    use dbctl_engine::embedded::{EmbeddedHome, EmbeddedSpec, whereabouts};

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
            "graph --all",
            "list --all shop",
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
    fn what_cannot_be_told_shows_as_such_until_it_is_needed() {
        let world = World::new();
        let manifest = world.folder.path().join("workspace.yaml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let vague =
            "databases:\n  vague: { name: '${VAGUE}', migrations: [{ path: m }, { path: '${VAGUE}' }] }";
        std::fs::write(&manifest, text.replacen("databases:", vague, 1)).unwrap();
        std::fs::create_dir(world.folder.path().join("m")).unwrap();
        std::fs::write(world.folder.path().join("m/setup.sql"), "").unwrap();
        let lines = [
            "list vague core",
            "list vague --format json",
            "graph vague",
            "plan up vague",
            "new core x --source no",
            "new vague x",
        ];
        let all = lines.map(|line| format!("$ dbctl {line}\n{}", shown(&world, line)));
        let all =
            all.join("\n").replace(&manifest.canonicalize().unwrap().display().to_string(), "workspace.yaml");
        let all = all.replace(&dbctl_migration::FormatKind::names().join(", "), "[FORMATS]");
        insta::assert_snapshot!(all, @r#"
        $ dbctl list vague core
        DATABASE  NAME     PACKAGE  SERVER           DEPENDS ON  TAGS  FORMATS
        core      core_db  core     db.example:5432                    native
        vague     ?        .        ?                                  ?

        $ dbctl list vague --format json
        {
          "workspace": "world",
          "environment": "development",
          "databases": [
            {
              "key": "vague",
              "name": "?",
              "package": null,
              "folder": ".",
              "server": "?",
              "depends_on": [],
              "tags": [],
              "migrations": [
                {
                  "source": "m",
                  "format": "?"
                },
                {
                  "source": "${VAGUE}",
                  "format": "?"
                }
              ]
            }
          ]
        }

        $ dbctl graph vague
        vague (?)

        $ dbctl plan up vague
        up: 3 steps in 1 database
        vague (?): create → migrate → seed

        $ dbctl new core x --source no
        error: `no` is no migration folder of `core`

        $ dbctl new vague x
        error: workspace.yaml:4:19: the variable `VAGUE` is not set (set it in the environment or in an env file, or give a default: `${VAGUE:-…}`)
        workspace.yaml:4:51: it cannot be told which tool wrote the migrations in m (say so with `format`; dbctl knows [FORMATS])
        workspace.yaml:4:65: the variable `VAGUE` is not set (set it in the environment or in an env file, or give a default: `${VAGUE:-…}`)
        "#);
    }

    /// What `server` commands write to both streams where no server has ever run.
    fn servers(world: &World, line: &str) -> String {
        let cli = cli(line);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mode = Mode { quiet: cli.global.quiet, format: cli.global.format, ..mode() };
        let mut console = Console { out: &mut out, err: &mut err, mode };
        let state = world.folder.path().join("state").display().to_string();
        let process = world.process(&[("DBCTL_STATE_DIR", &state)]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(dispatch(&cli, &process, &mut console));
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        let result = match result {
            Ok(Done::Well) => String::new(),
            Ok(_) => "found something\n".to_owned(),
            Err(error) => format!("error: {error}\n"),
        };
        let text = format!("$ dbctl {line}\n{err}{out}{result}");
        text.replace(&process.cwd.display().to_string(), "WORLD")
    }

    #[test]
    fn servers_are_those_on_disk_each_once() {
        let world = World::new();
        let manifest = |major: u32| {
            let text = format!(
                "workspace: world\nservers: {{ own: {{ embedded: true }}, old: {{ embedded: true, postgres: {major} }} }}\n\
                 databases: {{ a: {{ server: own }}, b: {{ server: old }} }}\n"
            );
            std::fs::write(world.folder.path().join("workspace.yaml"), text).unwrap();
        };
        manifest(15);
        let folder = world.folder.path().canonicalize().unwrap();
        for major in [14, 15] {
            let spec = EmbeddedSpec {
                workspace: folder.clone(),
                major: Some(major),
                home: EmbeddedHome { state: Some(folder.join("state")), ..EmbeddedHome::from_vars(|_| None) },
            };
            let data = whereabouts(&spec).unwrap().unwrap().data;
            std::fs::create_dir_all(&data).unwrap();
            let settings =
                format!(r#"{{"port": 1, "user": "u", "password": "hush", "version": "{major}.3"}}"#);
            std::fs::write(data.with_file_name("server.json"), settings).unwrap();
        }
        let lines = ["server status", "server stop --format json"];
        let said = lines.iter().map(|line| servers(&world, line)).collect::<String>();
        manifest(16);
        let said = said + &servers(&world, "server status --check");
        let hash = regex::Regex::new("servers/[^/]*/").unwrap();
        insta::assert_snapshot!(hash.replace_all(&said, "servers/HASH/"), @r#"
        $ dbctl server status
        embedded 15: stopped
          for a, b
        embedded 14: stopped
        $ dbctl server stop --format json
        {
          "servers": [
            {
              "running": false,
              "postgres": "15.3",
              "data": "WORLD/state/servers/HASH/15/data"
            },
            {
              "running": false,
              "postgres": "14.3",
              "data": "WORLD/state/servers/HASH/14/data"
            }
          ]
        }
        $ dbctl server status --check
        embedded 15: stopped
          for a
        embedded 16: stopped
          for b
        embedded 14: stopped
        found something
        "#);
    }

    #[test]
    fn servers_need_no_valid_manifest() {
        let world = World::new();
        let manifest = world.folder.path().join("workspace.yaml");
        let lines = ["server status", "server status --check", "server stop", "server stop --postgres 16"];
        let all = |lines: &[&str]| lines.iter().map(|line| servers(&world, line)).collect::<String>();
        insta::assert_snapshot!(all(&lines), @r#"
        $ dbctl server status
        embedded: stopped
        elsewhere: core (core_db) on db.example:5432
        elsewhere: lone on ?
        elsewhere: shop on db.example:6432
        elsewhere: stats on db.example:5432
        $ dbctl server status --check
        embedded: stopped
        elsewhere: core (core_db) on db.example:5432
        elsewhere: lone on ?
        elsewhere: shop on db.example:6432
        elsewhere: stats on db.example:5432
        found something
        $ dbctl server stop
        embedded: did not run
        $ dbctl server stop --postgres 16
        embedded 16: did not run
        "#);
        std::fs::write(&manifest, "workspace: world\n\tdatabases: nothing").unwrap();
        insta::assert_snapshot!(all(&lines), @"
        $ dbctl server status
        warning: workspace.yaml is not valid, so this is about the servers that this repository has; `dbctl list` says what is wrong with it
        embedded: stopped
        $ dbctl server status --check
        warning: workspace.yaml is not valid, so this is about the servers that this repository has; `dbctl list` says what is wrong with it
        embedded: stopped
        found something
        $ dbctl server stop
        warning: workspace.yaml is not valid, so this is about the servers that this repository has; `dbctl list` says what is wrong with it
        embedded: did not run
        $ dbctl server stop --postgres 16
        warning: workspace.yaml is not valid, so this is about the servers that this repository has; `dbctl list` says what is wrong with it
        embedded 16: did not run
        ");
        insta::assert_snapshot!(all(&["-q server status", "--manifest gone.yaml server stop"]), @"
        $ dbctl -q server status
        embedded: stopped
        $ dbctl --manifest gone.yaml server stop
        error: WORLD/gone.yaml: cannot read the manifest: No such file or directory (os error 2)
        ");
        std::fs::remove_file(&manifest).unwrap();
        insta::assert_snapshot!(all(&["server status", "server stop", "server start", "server url"]), @"
        $ dbctl server status
        embedded: stopped
        $ dbctl server stop
        embedded: did not run
        $ dbctl server start
        error: no workspace.yaml in WORLD or any folder above
        $ dbctl server url
        error: no workspace.yaml in WORLD or any folder above
        ");
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
