//! The workspace of a monorepo, seen from one of its applications.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use dbctl_engine::{Engine, Servers, Target, embedded::EmbeddedHome};
use dbctl_migration::{DatabaseName, Dialect};
use dbctl_runner::{Action, Event, Limits, Migrate, Outcome, Request, Run, execute, plan, stamp, targets};
use dbctl_workspace::{Env, Key, LoadOptions, find_manifest, load};
use secrecy::{ExposeSecret, SecretString};

use crate::{Database, Error, process_env};

/// The longest name of a database, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// How long to wait for somebody else who works on the same database.
const PATIENCE: Duration = Duration::from_secs(60);

/// A workspace manifest, read.
#[derive(Clone)]
pub struct Workspace {
    inner: dbctl_workspace::Workspace,
    home: EmbeddedHome,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Workspace {
    /// Reads a manifest, with the variables of this process.
    pub fn open(manifest: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read(manifest.as_ref().to_owned(), process_env())
    }

    /// Reads the manifest of the working folder or of the nearest one above it that has one.
    pub fn find() -> Result<Self, Error> {
        let here = env::current_dir().map_err(|error| Error::Config(error.to_string().into()))?;
        let manifest = find_manifest(&here).ok_or_else(|| {
            Error::Config(format!("there is no workspace.yaml in {} or above", here.display()).into())
        })?;
        Self::read(manifest, process_env())
    }

    fn read(manifest: PathBuf, env: Env) -> Result<Self, Error> {
        let home = EmbeddedHome::from_vars(|name| env.get(name).map(str::to_owned));
        Ok(Self { inner: load(&LoadOptions { manifest, env, environment: None })?, home })
    }

    /// The URL of a database by its key, as `dbctl env` has it; starts the private server where the database is there.
    pub async fn url(&self, key: &str) -> Result<SecretString, Error> {
        let key = self.key(key)?;
        let targets = targets(&self.inner, [&key], &self.home)?;
        access(&targets, &key).await
    }

    /// Makes an empty, migrated database with the manifest's name and a suffix of its own, and one for each that it
    /// depends on, for a test to do with what it likes. No seeds and no hooks are run.
    pub async fn copy(&self, key: &str) -> Result<Copy, Error> {
        let key = self.key(key)?;
        let stamp = stamp();
        let suffix = format!("_{}", &stamp.run[12..]);
        let renamed = self.inner.renamed(|database| suffixed(&database.name, &suffix));
        let mut all = renamed.dependencies(&key).clone();
        all.insert(key.clone());
        let mut targets = targets(&self.inner, &all, &self.home)?;
        for (key, target) in &mut targets {
            target.name = renamed.database(key).name.clone();
            if target.dialect() == Dialect::Sqlite {
                // The name is the file's.
                let mut copy = dbctl_runner::targets(&renamed, [key], &self.home)?;
                target.endpoint = copy.remove(key).expect("it was asked for").endpoint;
            }
        }
        let mut urls = BTreeMap::new();
        for key in targets.keys() {
            urls.insert(key.clone(), access(&targets, key).await?);
        }
        let copy = Copy { workspace: renamed, targets, urls, key, dropped: false };
        match copy.run("create", vec![Action::Create, Action::Migrate(Migrate::default())]).await {
            Ok(()) => Ok(copy),
            Err(error) => {
                copy.drop().await?;
                Err(error)
            }
        }
    }

    fn key(&self, key: &str) -> Result<Key, Error> {
        let found = self.inner.order().iter().find(|known| known.as_str() == key);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = self.inner.order().iter().map(Key::as_str).collect();
            Error::Config(format!("the manifest has no database `{key}`, but {}", known.join(", ")).into())
        })
    }
}

async fn access(targets: &BTreeMap<Key, Target>, key: &Key) -> Result<SecretString, Error> {
    let access = Servers::new().access(&targets[key]).await;
    access.map(|access| access.url).map_err(|error| Error::Config(error.to_string().into()))
}

fn suffixed(name: &DatabaseName, suffix: &str) -> DatabaseName {
    let mut end = name.as_str().len().min(MAX_NAME_BYTES - suffix.len());
    while !name.as_str().is_char_boundary(end) {
        end -= 1;
    }
    DatabaseName::parse(&format!("{}{suffix}", &name.as_str()[..end]))
        .expect("a name and a suffix are a name")
}

/// A copy of a database; dropped with it, or by [`Copy::drop`], which says what goes wrong.
pub struct Copy {
    workspace: dbctl_workspace::Workspace,
    targets: BTreeMap<Key, Target>,
    urls: BTreeMap<Key, SecretString>,
    key: Key,
    dropped: bool,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("databases", &self.urls.keys()).finish_non_exhaustive()
    }
}

impl Copy {
    /// The URL of the copy, with its password.
    pub fn url(&self) -> &str {
        self.urls[&self.key].expose_secret()
    }

    /// The URL of the copy of a database that it depends on.
    pub fn url_of(&self, key: &str) -> Option<&str> {
        let (_, url) = self.urls.iter().find(|(known, _)| known.as_str() == key)?;
        Some(url.expose_secret())
    }

    /// Drops the copies; connections to them are ended.
    pub async fn drop(mut self) -> Result<(), Error> {
        self.dropped = true;
        self.remove().await
    }

    async fn remove(&self) -> Result<(), Error> {
        self.run("drop", vec![Action::Drop { disconnect: true }]).await
    }

    async fn run(&self, command: &'static str, actions: Vec<Action>) -> Result<(), Error> {
        let request = Request {
            command,
            actions,
            targets: self.targets.keys().cloned().collect::<BTreeSet<_>>(),
            no_deps: false,
            ignore_dependents: true,
            no_hooks: true,
            allow_protected: Some(self.workspace.environment().name.clone()),
            limits: Limits { jobs: NonZeroUsize::MIN, wait: PATIENCE, fail_fast: true },
        };
        let plan = plan(&self.workspace, &request)?;
        let stamp = stamp();
        let run = Run {
            workspace: &self.workspace,
            plan: &plan,
            targets: &self.targets,
            elsewhere: &[],
            stamp: &stamp,
        };
        let summary = execute(run, &Servers::new(), std::future::pending(), &mut |_: Event| {}).await;
        for database in summary.databases {
            match database.outcome {
                Outcome::Failed(error) => return Err(Error::Failed(error)),
                Outcome::Cancelled => return Err(Error::Stopped),
                Outcome::Done | Outcome::Unchanged | Outcome::Skipped(_) => {}
            }
        }
        Ok(())
    }
}

impl Database for Copy {
    fn url(&self) -> SecretString {
        self.urls[&self.key].clone()
    }
}

impl Drop for Copy {
    /// On a thread of its own: this may be the thread of a runtime, which nothing may block on.
    fn drop(&mut self) {
        if self.dropped {
            return;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                // A test that is over has nobody to tell.
                let _ = runtime.map(|runtime| runtime.block_on(self.remove()));
            });
        });
    }
}
