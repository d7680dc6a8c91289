//! `dbctl server`: the embedded server of this repository.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use dbctl_engine::embedded::{
    EmbeddedHome, EmbeddedSpec, Running, Whereabouts, ensure, recorded, status, stop, whereabouts,
};
use dbctl_workspace::{Way, Workspace, load};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::{
    cli::{Global, Server, Which},
    console::Console,
    context::{Process, options},
    error::CliError,
    exit::Done,
    paths::relative,
    signals::unless_stopped,
};

#[derive(Debug, Serialize)]
struct Document {
    servers: Vec<ServerOf>,
}

#[derive(Debug, Default, Serialize)]
struct ServerOf {
    running: bool,
    /// The full version, or the major where it never ran; `null` while nothing says which it will be.
    postgres: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip)]
    line: String,
}

pub(super) async fn run(
    server: &Server,
    global: &Global,
    process: &Process,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let mut servers = Vec::new();
    let mut found = false;
    match server {
        Server::Start { which } => {
            for server in unless_stopped(Site::of(global, process, console)?.started(which)).await?? {
                servers.push(running(&server));
            }
        }
        Server::Stop { which } => {
            for server in Site::at_least(global, process, console)?.servers(which)? {
                let state = if stop(&server.spec).await? { "stopped" } else { "did not run" };
                servers.push(idle(&server, state));
            }
        }
        Server::Status { which, check } => {
            for server in Site::at_least(global, process, console)?.servers(which)? {
                match status(&server.spec).await? {
                    Some(server) => servers.push(running(&server)),
                    None => {
                        found |= *check && server.asked_for;
                        servers.push(idle(&server, "stopped"));
                    }
                }
            }
        }
        Server::Url { which } => {
            for server in unless_stopped(Site::of(global, process, console)?.started(which)).await?? {
                let url = server.url("postgres").expose_secret().to_owned();
                servers.push(ServerOf { line: url.clone(), url: Some(url), ..running(&server) });
            }
        }
    }
    if console.mode.is_json() {
        console.json(&Document { servers })?;
    } else {
        for server in servers {
            writeln!(console.out, "{}", server.line)?;
        }
        console.out.flush()?;
    }
    Ok(if found { Done::Found } else { Done::Well })
}

fn idle(server: &Known, state: &str) -> ServerOf {
    let place = server.place.as_ref();
    let major = place.map(|place| place.major).or(server.spec.major);
    let name = major.map_or_else(|| "embedded".to_owned(), |major| format!("embedded {major}"));
    ServerOf {
        postgres: place
            .and_then(|place| place.version.clone())
            .or_else(|| major.map(|major| major.to_string())),
        data: place.map(|place| place.data.display().to_string()),
        line: format!("{name}: {state}"),
        ..ServerOf::default()
    }
}

fn running(server: &Running) -> ServerOf {
    ServerOf {
        running: true,
        postgres: Some(server.version.clone()),
        host: Some(server.host.clone()),
        port: Some(server.port),
        pid: Some(server.pid),
        data: Some(server.data.display().to_string()),
        url: None,
        line: format!(
            "PostgreSQL {} runs on {}:{} (process {}, data in {})",
            server.version,
            server.host,
            server.port,
            server.pid,
            server.data.display()
        ),
    }
}

/// A server of the repository, running or not.
struct Known {
    spec: EmbeddedSpec,
    place: Option<Whereabouts>,
    /// By the command line or by the manifest, which may have asked for another major before.
    asked_for: bool,
}

/// Whose servers these are, and which of them the manifest asks for.
struct Site {
    root: PathBuf,
    home: EmbeddedHome,
    declared: BTreeSet<Option<u32>>,
}

impl Site {
    /// A manifest that is not valid still says where the repository is.
    fn of(global: &Global, process: &Process, console: &mut Console<'_>) -> Result<Self, CliError> {
        let options = options(global, process)?;
        let home = process.home();
        match load(&options) {
            Ok(workspace) => {
                Ok(Self { root: workspace.root().to_owned(), declared: declared(&workspace), home })
            }
            Err(errors) => {
                let root = options.manifest.parent().filter(|_| options.manifest.is_file());
                let Some(root) = root.map(Path::to_owned) else { return Err(errors.into()) };
                if !console.mode.quiet {
                    writeln!(
                        console.err,
                        "warning: {} is not valid, so this is about the servers that this repository has; \
                         `dbctl list` says what is wrong with it",
                        relative(&options.manifest, &process.cwd).display()
                    )?;
                }
                Ok(Self { root, declared: BTreeSet::new(), home })
            }
        }
    }

    /// What runs can be looked at and stopped where the manifest is gone.
    fn at_least(global: &Global, process: &Process, console: &mut Console<'_>) -> Result<Self, CliError> {
        match Self::of(global, process, console) {
            Err(CliError::NoManifest { start }) => {
                Ok(Self { root: start, declared: BTreeSet::new(), home: process.home() })
            }
            site => site,
        }
    }

    fn spec(&self, major: Option<u32>) -> EmbeddedSpec {
        EmbeddedSpec { workspace: self.root.clone(), major, home: self.home.clone() }
    }

    /// What was asked for, else what the manifest asks for, else the repository's own.
    fn specs(&self, which: &Which) -> Vec<EmbeddedSpec> {
        let mut majors = match which.postgres {
            Some(major) => [Some(major)].into(),
            None => self.declared.clone(),
        };
        if majors.is_empty() {
            majors.insert(None);
        }
        majors.into_iter().map(|major| self.spec(major)).collect()
    }

    /// Those asked for, and those that an earlier manifest asked for; each once, however many ways lead to it.
    fn servers(&self, which: &Which) -> Result<Vec<Known>, CliError> {
        let others = if which.postgres.is_none() { recorded(&self.spec(None))? } else { Vec::new() };
        let asked_for = self.specs(which).into_iter().map(|spec| (spec, true));
        let mut seen = BTreeSet::new();
        let mut servers = Vec::new();
        for (spec, asked_for) in asked_for.chain(others.into_iter().map(|spec| (spec, false))) {
            let place = whereabouts(&spec)?;
            if place.as_ref().is_none_or(|place| seen.insert(place.data.clone())) {
                servers.push(Known { spec, place, asked_for });
            }
        }
        Ok(servers)
    }

    /// Starts those asked for.
    async fn started(&self, which: &Which) -> Result<Vec<Running>, CliError> {
        let mut servers: Vec<Running> = Vec::new();
        for spec in &self.specs(which) {
            let server = ensure(spec).await?;
            if servers.iter().all(|other| other.data != server.data) {
                servers.push(server);
            }
        }
        Ok(servers)
    }
}

/// The majors that the manifest's databases live on, as far as that can be told.
fn declared(workspace: &Workspace) -> BTreeSet<Option<u32>> {
    let ways = workspace.databases().filter_map(|database| workspace.way(&database.key));
    ways.filter_map(|way| match way {
        Way::Embedded { postgres } => Some(postgres),
        Way::Url(_) | Way::Libpq => None,
    })
    .collect()
}
