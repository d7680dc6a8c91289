//! `dbctl server`: the embedded server of this repository.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use dbctl_engine::embedded::{
    EmbeddedHome, EmbeddedSpec, Running, Whereabouts, ensure, recorded, remove, status, stop, whereabouts,
};
use dbctl_engine::{Postgres, Session};
use dbctl_runner::{PlanError, stamp};
use dbctl_workspace::{Environment, Way, Workspace, load};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::psql::Deaf;
use crate::{
    cli::{Global, Server, Which},
    confirm::{self, Asked},
    console::Console,
    context::{Process, options, server_of},
    error::CliError,
    exit::Done,
    paths::relative,
    signals::unless_stopped,
};

/// How long a server may take to say who is at work on it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
struct Document {
    servers: Vec<ServerOf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<Vec<Elsewhere>>,
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
    /// Keys of the databases that live there by the manifest; only for `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    databases: Option<Vec<String>>,
    #[serde(skip)]
    line: String,
}

/// A database that lives on no embedded server.
#[derive(Debug, Serialize)]
struct Elsewhere {
    key: String,
    name: String,
    server: String,
}

pub(super) async fn run(
    server: &Server,
    global: &Global,
    process: &Process,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let mut servers = Vec::new();
    let mut elsewhere = None;
    let mut found = false;
    match server {
        Server::Start { which } => {
            for server in unless_stopped(Site::of(global, process, console)?.started(which)).await?? {
                servers.push(running(&server));
            }
        }
        Server::Stop { which } => {
            let known = Site::at_least(global, process, console)?.servers(which)?;
            may_stop(&known, global, console).await?;
            for server in known {
                let state = if stop(&server.spec).await? { "stopped" } else { "did not run" };
                servers.push(idle(&server, state));
            }
        }
        Server::Status { which, check } => {
            let site = Site::at_least(global, process, console)?;
            let spread = site.spread()?;
            for server in site.servers(which)? {
                let mut shown = match status(&server.spec).await? {
                    Some(server) => running(&server),
                    None => {
                        found |= *check && server.asked_for;
                        idle(&server, "stopped")
                    }
                };
                let here = spread.iter().flat_map(|spread| &spread.embedded);
                let here: Vec<_> = here.filter(|(home, ..)| server.is(home)).collect();
                if !here.is_empty() {
                    let names: Vec<String> = here.iter().map(|(_, key, name)| called(key, name)).collect();
                    shown.line.push_str(&format!("\n  for {}", names.join(", ")));
                }
                shown.databases =
                    spread.as_ref().map(|_| here.iter().map(|(_, key, _)| key.clone()).collect());
                servers.push(shown);
            }
            elsewhere = spread.map(|spread| spread.elsewhere);
        }
        Server::Remove { which } => {
            let site = Site::at_least(global, process, console)?;
            let known: Vec<Known> =
                site.servers(which)?.into_iter().filter(|server| server.folder().is_some()).collect();
            if known.is_empty() {
                if !console.mode.is_json() {
                    writeln!(console.out, "embedded: there is none")?;
                }
            } else {
                site.may_remove(&known, global, console).await?;
            }
            for server in known {
                let state = match remove(&server.spec).await? {
                    Some(folder) => format!("removed, with {}", folder.display()),
                    None => "was gone already".to_owned(),
                };
                servers.push(idle(&server, &state));
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
        console.json(&Document { servers, elsewhere })?;
    } else {
        for server in servers {
            writeln!(console.out, "{}", server.line)?;
        }
        for Elsewhere { key, name, server } in elsewhere.iter().flatten() {
            writeln!(console.out, "elsewhere: {} on {server}", called(key, name))?;
        }
        console.out.flush()?;
    }
    Ok(if found { Done::Found } else { Done::Well })
}

/// Whether these may be stopped; asks where somebody is at work on one and nobody said so. One that does not answer keeps
/// nobody at work that could be told of.
async fn may_stop(servers: &[Known], global: &Global, console: &mut Console<'_>) -> Result<(), CliError> {
    if global.yes {
        return Ok(());
    }
    let stamp = stamp();
    let session = Session {
        verb: "server",
        stamp: &stamp,
        cancel: CancellationToken::new(),
        observer: &Deaf,
        wait: Duration::ZERO,
    };
    let mut at_work = Vec::new();
    for server in servers {
        let Some(running) = status(&server.spec).await? else { continue };
        let engine = Postgres::new();
        if let Ok(Ok(found)) = timeout(PATIENCE, engine.at_work(&running, &session)).await {
            let line = |(database, who)| format!("{who}, in {database}");
            at_work.extend(found.into_iter().map(line));
        }
    }
    if at_work.is_empty() {
        return Ok(());
    }
    let destruction = ("server stop", "ends what others are doing");
    let effect = "ends these sessions, and rolls back what they have not committed";
    confirm::ask_about(&Asked { destruction, effect, what: at_work }, console).await
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
        databases: None,
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

impl Known {
    /// The folder of all it has, where there is one.
    fn folder(&self) -> Option<PathBuf> {
        let folder = self.place.as_ref()?.data.parent()?;
        folder.is_dir().then(|| folder.to_owned())
    }

    /// Whether a database that asks for this major, at that place, is on this server.
    fn is(&self, home: &Home) -> bool {
        match (&self.place, &home.place) {
            (Some(here), Some(there)) => here.data == there.data,
            (None, None) => self.spec.major == home.major,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// The embedded server that a database is on.
struct Home {
    major: Option<u32>,
    place: Option<Whereabouts>,
}

/// Where the databases of a manifest live.
struct Spread {
    /// Server, key and name.
    embedded: Vec<(Home, String, String)>,
    elsewhere: Vec<Elsewhere>,
}

/// Key and name of a database, in one where they are one.
fn called(key: &str, name: &str) -> String {
    if key == name { key.to_owned() } else { format!("{key} ({name})") }
}

/// Whose servers these are, and which of them the manifest asks for.
struct Site {
    root: PathBuf,
    home: EmbeddedHome,
    declared: BTreeSet<Option<u32>>,
    /// Where the manifest is there and valid.
    workspace: Option<Workspace>,
}

impl Site {
    /// A manifest that is not valid still says where the repository is.
    fn of(global: &Global, process: &Process, console: &mut Console<'_>) -> Result<Self, CliError> {
        let options = options(global, process)?;
        let home = process.home();
        match load(&options) {
            Ok(workspace) => Ok(Self {
                root: workspace.root().to_owned(),
                declared: declared(&workspace),
                home,
                workspace: Some(workspace),
            }),
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
                Ok(Self { root, declared: BTreeSet::new(), home, workspace: None })
            }
        }
    }

    /// Where the databases of the manifest live, dependencies first.
    fn spread(&self) -> Result<Option<Spread>, CliError> {
        let Some(workspace) = &self.workspace else { return Ok(None) };
        let mut spread = Spread { embedded: Vec::new(), elsewhere: Vec::new() };
        for key in workspace.order() {
            let name = workspace.database(key).name.to_string();
            match workspace.way(key) {
                Some(Way::Embedded { postgres }) => {
                    let place = whereabouts(&self.spec(postgres))?;
                    spread.embedded.push((Home { major: postgres, place }, key.to_string(), name));
                }
                Some(Way::Url(_) | Way::Libpq | Way::Sqlite(_)) | None => {
                    let server = server_of(workspace, key, &self.home);
                    spread.elsewhere.push(Elsewhere { key: key.to_string(), name, server });
                }
            }
        }
        Ok(Some(spread))
    }

    /// Whether these may be deleted; asks where nobody said so.
    async fn may_remove(
        &self,
        servers: &[Known],
        global: &Global,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let destruction @ (command, effect) = ("server remove", "destroys data");
        let environment = self.workspace.as_ref().map(Workspace::environment);
        if let Some(Environment { name, protected: true, .. }) = environment
            && global.allow_protected.as_ref() != Some(name)
        {
            let (environment, given) = (name.clone(), global.allow_protected.clone());
            return Err(PlanError::Protected { environment, command, effect, given }.into());
        }
        if global.yes {
            return Ok(());
        }
        let what = servers.iter().filter_map(Known::folder).map(|folder| folder.display().to_string());
        let effect = "deletes the private PostgreSQL of this repository, with every database on it";
        confirm::ask_about(&Asked { destruction, effect, what: what.collect() }, console).await
    }

    /// What runs can be looked at and stopped where the manifest is gone.
    fn at_least(global: &Global, process: &Process, console: &mut Console<'_>) -> Result<Self, CliError> {
        match Self::of(global, process, console) {
            Err(CliError::NoManifest { start }) => {
                Ok(Self { root: start, declared: BTreeSet::new(), home: process.home(), workspace: None })
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
        Way::Url(_) | Way::Libpq | Way::Sqlite(_) => None,
    })
    .collect()
}
