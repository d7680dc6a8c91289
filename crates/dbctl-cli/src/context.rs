//! What every command starts from: the manifest found and read, and the process looked at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    num::NonZeroUsize,
    path::PathBuf,
    thread::available_parallelism,
};

use dbctl_engine::{Servers, Target, embedded::EmbeddedHome};
use dbctl_migration::RunStamp;
use dbctl_runner::{Limits, stamp, targets};
use dbctl_workspace::{Env, Key, LoadOptions, SelectError, Selection, Workspace, find_manifest, load};

use crate::{
    cli::{Global, MAX_JOBS, Shown, Targets},
    console::Console,
    error::CliError,
    report,
};

/// What dbctl reads of its own process, once.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Its variables; those that are not text are left out.
    pub(crate) env: Env,
    /// Its working folder.
    pub(crate) cwd: PathBuf,
}

impl Process {
    /// Enters the folder of `-C`, then looks around.
    pub(crate) fn enter(global: &Global) -> Result<Self, CliError> {
        if let Some(path) = &global.directory {
            let failed = |source| CliError::Directory { path: path.clone(), source };
            std::env::set_current_dir(path).map_err(failed)?;
        }
        let cwd = std::env::current_dir()
            .map_err(|source| CliError::Directory { path: PathBuf::from("."), source })?;
        let env = Env::new(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Ok(Self { env, cwd })
    }

    /// Where embedded servers are, and their programs.
    pub(crate) fn home(&self) -> EmbeddedHome {
        EmbeddedHome::from_vars(|name| self.env.get(name).map(str::to_owned))
    }
}

/// Finds the manifest; what to read it with.
pub(crate) fn options(global: &Global, process: &Process) -> Result<LoadOptions, CliError> {
    let Process { env, cwd } = process;
    let manifest = match &global.manifest {
        Some(path) => cwd.join(path),
        None => find_manifest(cwd).ok_or_else(|| CliError::NoManifest { start: cwd.clone() })?,
    };
    Ok(LoadOptions { manifest, env: env.clone(), environment: global.env.clone() })
}

/// What every command that needs the manifest starts from.
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    pub(crate) cwd: PathBuf,
    pub(crate) home: EmbeddedHome,
    pub(crate) engine: Servers,
    pub(crate) stamp: RunStamp,
    pub(crate) limits: Limits,
}

impl Context {
    /// Finds and reads the manifest.
    pub(crate) fn load(global: &Global, process: &Process) -> Result<Self, CliError> {
        let workspace = load(&options(global, process)?)?;
        let home = process.home();
        let stamp = stamp();
        let limits = Limits {
            jobs: global.jobs.unwrap_or_else(default_jobs),
            wait: global.wait,
            fail_fast: global.fail_fast,
        };
        Ok(Self { workspace, cwd: process.cwd.clone(), home, engine: Servers::new(), stamp, limits })
    }

    /// Says which private servers were started, which takes longer than one who only looks would expect.
    pub(crate) fn say_what_started(&self, console: &mut Console<'_>) -> io::Result<()> {
        for reached in self.engine.take_reached() {
            if reached.started && !console.mode.quiet {
                let text = report::started(&reached.server);
                writeln!(console.err, "{}", console.mode.err.dim(&text))?;
            }
        }
        Ok(())
    }

    /// The databases that were named.
    pub(crate) fn select(&self, targets: &Targets) -> Result<BTreeSet<Key>, CliError> {
        let selection =
            Selection { targets: targets.targets.clone(), all: targets.all, cwd: self.cwd.clone() };
        Ok(self.workspace.select(&selection)?)
    }

    /// The databases that were named; all of them where none was and this is no package's folder.
    pub(crate) fn select_or_all(&self, targets: &Targets) -> Result<BTreeSet<Key>, CliError> {
        match self.select(targets) {
            Err(CliError::Select(SelectError::NoTarget { .. })) => Ok(self.all()),
            selected => selected,
        }
    }

    /// The databases that were named; all of them where none was, wherever this is.
    pub(crate) fn select_shown(&self, shown: &Shown) -> Result<BTreeSet<Key>, CliError> {
        if shown.targets.is_empty() {
            return Ok(self.all());
        }
        self.select(&Targets { targets: shown.targets.clone(), all: shown.all })
    }

    /// Every database.
    pub(crate) fn all(&self) -> BTreeSet<Key> {
        self.workspace.order().iter().cloned().collect()
    }

    /// The one database that was named, or that of the package this is the folder of.
    pub(crate) fn select_one(&self, target: Option<&str>) -> Result<Key, CliError> {
        let targets = Targets { targets: target.map(str::to_owned).into_iter().collect(), all: false };
        let selected = self.select(&targets).map_err(|error| match error {
            CliError::Select(SelectError::NoTarget { keys }) => CliError::usage(
                format!("no target is given; name one of {}", keys.join(", ")),
                "inside a package's folder no target means that package's database",
            ),
            error => error,
        });
        let mut selected = selected?.into_iter();
        match (selected.next(), selected.next()) {
            (Some(key), None) => Ok(key),
            (first, second) => {
                let keys: Vec<String> =
                    first.into_iter().chain(second).chain(selected).map(|key| key.to_string()).collect();
                Err(CliError::usage(
                    format!("this takes one database, and {} were named: {}", keys.len(), keys.join(", ")),
                    "name one of them",
                ))
            }
        }
    }

    /// In the order in which dependencies come first.
    pub(crate) fn in_order(&self, keys: &BTreeSet<Key>) -> Vec<Key> {
        self.workspace.order().iter().filter(|key| keys.contains(*key)).cloned().collect()
    }

    /// How to reach these databases; variables of others need not be set.
    pub(crate) fn targets<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k Key>,
    ) -> Result<BTreeMap<Key, Target>, CliError> {
        Ok(targets(&self.workspace, keys, &self.home)?)
    }

    /// How to reach all databases but these, as far as the manifest can say it without variables that are not set.
    pub(crate) fn elsewhere(&self, known: &BTreeMap<Key, Target>) -> Vec<Target> {
        let others = self.workspace.order().iter().filter(|key| !known.contains_key(*key));
        others.filter_map(|key| targets(&self.workspace, [key], &self.home).ok()?.remove(key)).collect()
    }

    /// Where a database lives, for people; `?` where the manifest cannot say without a variable that is not set.
    pub(crate) fn server(&self, key: &Key) -> String {
        server_of(&self.workspace, key, &self.home)
    }
}

/// Where a database lives, as [`Context::server`] says it.
pub(crate) fn server_of(workspace: &Workspace, key: &Key, home: &EmbeddedHome) -> String {
    let Ok(target) = targets(workspace, [key], home) else { return "?".to_owned() };
    let host = &target[key].server;
    match workspace.locate(key).ok().and_then(|location| location.server) {
        Some(server) if server != *host => format!("{server} ({host})"),
        _ => host.clone(),
    }
}

/// One step per core, at least four (most of the time is spent waiting), at most what `--jobs` takes.
fn default_jobs() -> NonZeroUsize {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores.clamp(4, MAX_JOBS)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_bounded() {
        assert!((4..=MAX_JOBS).contains(&default_jobs().get()));
    }
}
