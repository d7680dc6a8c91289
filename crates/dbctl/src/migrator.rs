//! What is done to the database of an application: the runner of the command, for one database.

use std::{
    collections::BTreeSet,
    fmt,
    num::NonZeroUsize,
    path::{PathBuf, absolute},
    time::Duration,
};

use dbctl_engine::{PgVars, Servers, Session, Target, embedded::EmbeddedHome, libpq};
use dbctl_migration::{Back, DatabaseName, RunStamp};
use dbctl_runner::{
    Action, Event, Limits, Migrate, MigrationRef, Outcome, Request, Run, StatusEntry, Summary, execute, plan,
    stamp, targets,
};
use dbctl_workspace::{Alone, Env, Key, SqliteUrlError, Workspace, sqlite_file, sqlite_url};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::{Error, Migrations, process_env};

/// How long another instance of the application may take to migrate.
const PATIENCE: Duration = Duration::from_secs(300);

/// Which database: a URL, or the pool that leads to it. `sqlite:data/app.db` is a file, from the folder the application
/// runs in.
pub trait Database {
    /// Its URL, with the password.
    fn url(&self) -> SecretString;
}

impl Database for str {
    fn url(&self) -> SecretString {
        self.into()
    }
}

impl Database for String {
    fn url(&self) -> SecretString {
        self.as_str().into()
    }
}

impl Database for SecretString {
    fn url(&self) -> SecretString {
        self.clone()
    }
}

/// Applies what is pending; other instances that do it at the same time wait for each other, and each migration is
/// applied once.
pub async fn migrate<D: Database + ?Sized>(database: &D, migrations: &Migrations) -> Result<Report, Error> {
    Migrator::new(database, migrations).migrate().await
}

/// What is applied and what is pending, through a session that cannot write.
pub async fn status<D: Database + ?Sized>(database: &D, migrations: &Migrations) -> Result<Status, Error> {
    Migrator::new(database, migrations).status().await
}

/// Reverts migrations: the last ones, those after one, or the one of a name, which is refused while later ones are
/// applied.
pub async fn rollback<D: Database + ?Sized>(
    database: &D,
    migrations: &Migrations,
    back: Back,
) -> Result<Report, Error> {
    Migrator::new(database, migrations).rollback(back).await
}

/// The same with more to say: several folders, another environment, somebody who listens.
pub struct Migrator<'a> {
    url: SecretString,
    migrations: Vec<&'a Migrations>,
    environment: Option<String>,
    wait: Duration,
    creates: bool,
    stop: CancellationToken,
    on_event: Box<dyn FnMut(&Event) + Send + 'a>,
}

impl fmt::Debug for Migrator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator")
            .field("migrations", &self.migrations)
            .field("environment", &self.environment)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The run's id, as the history has it.
    pub run: String,
    /// Names of the migrations that were applied or reverted, in that order.
    pub migrations: Vec<String>,
}

/// Where the database stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether it exists.
    pub exists: bool,
    /// Every migration, folder by folder.
    pub migrations: Vec<StatusEntry>,
}

impl Status {
    /// Names of those that [`migrate`] would apply.
    pub fn pending(&self) -> impl Iterator<Item = &str> {
        use dbctl_migration::State::{OutOfOrder, Partial, Pending};
        let due = |entry: &&StatusEntry| matches!(entry.state, Pending | OutOfOrder | Partial);
        self.migrations.iter().filter(due).map(|entry| &*entry.name)
    }
}

impl<'a> Migrator<'a> {
    /// For one folder.
    pub fn new<D: Database + ?Sized>(database: &D, migrations: &'a Migrations) -> Self {
        Self {
            url: database.url(),
            migrations: vec![migrations],
            environment: None,
            wait: PATIENCE,
            creates: false,
            stop: CancellationToken::new(),
            on_event: Box::new(|_| {}),
        }
    }

    /// Another folder, whose migrations run after those of the first.
    #[must_use]
    pub fn and(mut self, migrations: &'a Migrations) -> Self {
        self.migrations.push(migrations);
        self
    }

    /// The environment that is recorded in a new database, as with the command: else `DBCTL_ENV`, else `NODE_ENV`, else
    /// `development`.
    #[must_use]
    pub fn environment(self, name: impl Into<String>) -> Self {
        Self { environment: Some(name.into()), ..self }
    }

    /// How long to wait for another instance; five minutes where nobody says otherwise.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Creates the database first where it is missing.
    #[must_use]
    pub fn create(self) -> Self {
        Self { creates: true, ..self }
    }

    /// Stops when the token is cancelled: what runs is cancelled on the server and rolled back.
    #[must_use]
    pub fn stop_by(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Hears of everything that happens, as it happens.
    #[must_use]
    pub fn on_event(self, hear: impl FnMut(&Event) + Send + 'a) -> Self {
        Self { on_event: Box::new(hear), ..self }
    }

    /// Applies what is pending.
    pub async fn migrate(self) -> Result<Report, Error> {
        let mut actions = vec![Action::Migrate(Migrate::default())];
        if self.creates {
            actions.insert(0, Action::Create);
        }
        self.run("migrate", actions).await
    }

    /// Reverts migrations.
    pub async fn rollback(self, back: Back) -> Result<Report, Error> {
        self.run("rollback", vec![Action::Rollback(back)]).await
    }

    /// What is applied and what is pending.
    pub async fn status(self) -> Result<Status, Error> {
        let site = Site::new(&self)?;
        let key = site.key.clone();
        let session = Session {
            verb: "status",
            stamp: &site.stamp,
            cancel: self.stop.clone(),
            observer: &Deaf,
            wait: self.wait,
        };
        let mut report = dbctl_runner::status(
            &site.workspace,
            std::slice::from_ref(&key),
            &site.targets,
            &site.engine,
            &session,
            NonZeroUsize::MIN,
        )
        .await;
        let status = report.databases.remove(0);
        match status.error {
            Some(error) if error.is_cancelled() => Err(Error::Stopped),
            Some(error) => Err(Error::Failed(error)),
            None => Ok(Status { exists: status.exists == Some(true), migrations: status.migrations }),
        }
    }

    async fn run(mut self, command: &'static str, actions: Vec<Action>) -> Result<Report, Error> {
        let site = Site::new(&self)?;
        let request = Request {
            command,
            actions,
            targets: BTreeSet::from([site.key.clone()]),
            no_deps: false,
            ignore_dependents: false,
            no_hooks: false,
            allow_protected: None,
            limits: Limits { jobs: NonZeroUsize::MIN, wait: self.wait, fail_fast: false },
        };
        let plan = plan(&site.workspace, &request)?;
        let run = Run {
            workspace: &site.workspace,
            plan: &plan,
            targets: &site.targets,
            elsewhere: &[],
            stamp: &site.stamp,
        };
        let stop = self.stop.clone().cancelled_owned();
        #[cfg(feature = "tracing")]
        let mut trace = crate::trace::Trace::new(command, &site.stamp.run);
        let mut on_event = |event: Event| {
            #[cfg(feature = "tracing")]
            trace.event(&event);
            (self.on_event)(&event);
        };
        reported(execute(run, &site.engine, stop, &mut on_event).await)
    }
}

fn reported(mut summary: Summary) -> Result<Report, Error> {
    let database = summary.databases.remove(0);
    match database.outcome {
        Outcome::Failed(error) => Err(Error::Failed(error)),
        Outcome::Cancelled | Outcome::Skipped(_) => Err(Error::Stopped),
        Outcome::Done | Outcome::Unchanged => {
            let name = |MigrationRef { name, .. }: MigrationRef| name;
            let migrations = database.migrations.into_iter().map(|done| name(done.migration)).collect();
            Ok(Report { run: summary.run, migrations })
        }
    }
}

/// Nobody hears what a session says while it only reads.
struct Deaf;

impl dbctl_engine::Observer for Deaf {
    fn notice(&self, _: dbctl_engine::Notice) {}
    fn waiting(&self, _: &dbctl_engine::LockHolder) {}
}

/// What a run works with.
struct Site {
    workspace: Workspace,
    key: Key,
    targets: std::collections::BTreeMap<Key, Target>,
    engine: Servers,
    stamp: RunStamp,
}

impl Site {
    fn new(migrator: &Migrator<'_>) -> Result<Self, Error> {
        let env = process_env();
        let (name, url) = match sqlite_file(migrator.url.expose_secret()) {
            Some(file) => file_of(file)?,
            None => (database_name(&migrator.url, &env)?, migrator.url.clone()),
        };
        let sources =
            migrator.migrations.iter().map(|migrations| migrations.source()).collect::<Result<_, _>>()?;
        let alone = Alone { name, url, env: env.clone(), environment: migrator.environment.clone(), sources };
        let workspace = alone.workspace()?;
        let home = EmbeddedHome::from_vars(|name| env.get(name).map(str::to_owned));
        let key = workspace.order()[0].clone();
        let targets = targets(&workspace, [&key], &home)?;
        Ok(Self { workspace, key, targets, engine: Servers::new(), stamp: stamp() })
    }
}

/// What a SQLite database is called, and its URL from wherever this process is.
fn file_of(file: Result<PathBuf, SqliteUrlError>) -> Result<(DatabaseName, SecretString), Error> {
    let wrong = |error: String| Error::Config(error.into());
    let file = file.map_err(|error| wrong(format!("{error}: {}", error.hint())))?;
    let file = absolute(&file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = DatabaseName::parse(&stem).or_else(|_| DatabaseName::parse(Alone::KEY));
    let name = name.map_err(|error| wrong(error.to_string()))?;
    Ok((name, sqlite_url(&file).into()))
}

fn database_name(url: &SecretString, env: &Env) -> Result<DatabaseName, Error> {
    let vars = PgVars::from_vars(env.iter());
    let settings =
        libpq::settings(url.expose_secret(), &vars).map_err(|error| Error::Config(error.message.into()))?;
    let name = settings.database.unwrap_or(settings.user);
    DatabaseName::parse(&name).map_err(|error| Error::Config(error.to_string().into()))
}
