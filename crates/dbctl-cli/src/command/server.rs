//! `dbctl server`: the embedded server of this repository.

use std::collections::BTreeSet;

use dbctl_engine::embedded::{EmbeddedSpec, Running, ensure, status, stop};
use dbctl_workspace::Way;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::{
    cli::{Server, Which},
    console::Console,
    context::Context,
    error::CliError,
    exit::Done,
};

#[derive(Debug, Serialize)]
struct Document {
    servers: Vec<ServerOf>,
}

#[derive(Debug, Default, Serialize)]
struct ServerOf {
    running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip)]
    line: String,
}

pub(super) async fn run(
    server: &Server,
    context: &Context,
    console: &mut Console<'_>,
) -> Result<Done, CliError> {
    let mut servers = Vec::new();
    let mut found = false;
    match server {
        Server::Start { which } => {
            for spec in specs(which, context) {
                servers.push(running(&ensure(&spec).await?));
            }
        }
        Server::Stop { which } => {
            for spec in specs(which, context) {
                let name = name(&spec);
                let line = if stop(&spec).await? { "stopped" } else { "did not run" };
                servers.push(ServerOf { line: format!("{name}: {line}"), ..ServerOf::default() });
            }
        }
        Server::Status { which, check } => {
            for spec in specs(which, context) {
                match status(&spec).await? {
                    Some(server) => servers.push(running(&server)),
                    None => {
                        found |= check;
                        let line = format!("{}: stopped", name(&spec));
                        servers.push(ServerOf { line, ..ServerOf::default() });
                    }
                }
            }
        }
        Server::Url { which } => {
            for spec in specs(which, context) {
                let server = ensure(&spec).await?;
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

fn name(spec: &EmbeddedSpec) -> String {
    spec.major.map_or_else(|| "embedded".to_owned(), |major| format!("embedded {major}"))
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

/// The servers that the manifest's databases live on; the repository's own where none does or where variables that
/// would tell are not set.
fn specs(which: &Which, context: &Context) -> Vec<EmbeddedSpec> {
    let declared = context.workspace.databases().filter_map(|database| {
        match context.workspace.locate(&database.key).ok()?.way {
            Way::Embedded { postgres } => Some(postgres),
            Way::Url(_) | Way::Libpq => None,
        }
    });
    let mut majors: BTreeSet<Option<u32>> = match which.postgres {
        Some(major) => [Some(major)].into(),
        None => declared.collect(),
    };
    if majors.is_empty() {
        majors.insert(None);
    }
    let spec = |major| EmbeddedSpec {
        workspace: context.workspace.root().to_owned(),
        major,
        home: context.home.clone(),
    };
    majors.into_iter().map(spec).collect()
}
