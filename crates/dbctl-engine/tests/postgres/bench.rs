//! The server, and what a test needs to work with a database of its own.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use crate::private_server::{SERVER, connect};
use dbctl_engine::{
    Endpoint, Engine, EngineError, LockHolder, Mark, Notice, Observer, PgVars, Postgres, Session, SourceRef,
    SqlError, Target, Writer, embedded::Running,
};
use dbctl_migration::{
    Applied, Checksum, DatabaseName, Directives, History, KeyedBy, Migration, Recording, RunStamp, Script,
    Statement, TableName, Transaction, Value, Version,
};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

/// The engine under test, shared as the command shares it.
pub(crate) fn engine() -> &'static Postgres {
    static ENGINE: LazyLock<Postgres> = LazyLock::new(Postgres::new);
    &ENGINE
}

/// A database's target on the private server.
pub(crate) fn target(name: &str) -> Target {
    Target {
        key: name.to_owned(),
        name: DatabaseName::parse(name).unwrap(),
        endpoint: Endpoint::Embedded(SERVER.0.clone()),
        admin: None,
        direct: None,
        pooled: false,
        owner: None,
        extensions: Vec::new(),
        settings: BTreeMap::new(),
        server: "embedded".to_owned(),
        schema: None,
        max_connections: NonZeroUsize::new(16).unwrap(),
        origin: None,
    }
}

/// The same server as another role.
pub(crate) fn endpoint_of(role: &str, database: &str) -> Endpoint {
    let Running { host, port, .. } = &SERVER.1;
    Endpoint::ConnInfo {
        text: format!("postgres://{role}:secret@{host}:{port}/{database}?sslmode=disable").into(),
        vars: PgVars::default(),
    }
}

/// Where the server listens, and its superuser's password.
pub(crate) fn port_and_password() -> (u16, String) {
    let Running { port, .. } = &SERVER.1;
    let config: tokio_postgres::Config =
        secrecy::ExposeSecret::expose_secret(&SERVER.1.url("postgres")).parse().unwrap();
    (*port, String::from_utf8(config.get_password().unwrap().to_vec()).unwrap())
}

/// A connection beside the engine's.
pub(crate) async fn client(database: &str) -> Client {
    connect(&SERVER.1, database).await
}

/// What a query answers: fields joined by `|`, rows by a blank.
pub(crate) async fn ask(database: &str, sql: &str) -> String {
    let client = client(database).await;
    rows(&client, sql).await
}

/// Whether somebody sleeps in this database.
pub(crate) const SLEEPS: &str = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')";

/// Whether somebody waits for a lock in this database.
pub(crate) const LOCK_WAITS: &str = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";

/// Waits until a query answers yes.
pub(crate) async fn until(database: &str, sql: &str) {
    let client = client(database).await;
    while rows(&client, sql).await != "t" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn rows(client: &Client, sql: &str) -> String {
    let rows: Vec<String> = client
        .simple_query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|n| row.get(n).unwrap_or("null")).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        })
        .collect();
    rows.join(" ")
}

/// A run: who it is, how it is stopped, what it heard.
pub(crate) struct Run {
    pub(crate) stamp: RunStamp,
    pub(crate) cancel: CancellationToken,
    pub(crate) heard: Heard,
    pub(crate) wait: Duration,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self {
            stamp: RunStamp { run: "run-1".to_owned(), dbctl_version: "0.1.0".to_owned() },
            cancel: CancellationToken::new(),
            heard: Heard::default(),
            wait: Duration::from_secs(60),
        }
    }

    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            verb: "migrate",
            stamp: &self.stamp,
            cancel: self.cancel.clone(),
            observer: &self.heard,
            wait: self.wait,
        }
    }

    /// A new database.
    pub(crate) async fn create(&self, name: &str) -> Target {
        let target = target(name);
        assert!(engine().create(&target, &self.session()).await.unwrap().created);
        target
    }

    /// A new database with dbctl's tables, open for writing.
    pub(crate) async fn writer(&self, name: &str) -> Box<dyn Writer + '_> {
        let target = self.create(name).await;
        self.reopen(&target).await
    }

    pub(crate) async fn reopen(&self, target: &Target) -> Box<dyn Writer + '_> {
        let mut writer = engine().open_exclusive(target, &[], &self.session()).await.unwrap();
        writer.prepare(&[OWN], "test").await.unwrap();
        writer
    }
}

#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) notices: Mutex<Vec<Notice>>,
    pub(crate) waiting: Mutex<Vec<LockHolder>>,
}

impl Heard {
    pub(crate) fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().iter().map(|notice| notice.message.clone()).collect()
    }

    /// Waits until so many have been heard of that are waited for.
    pub(crate) async fn waiting_for(&self, holders: usize) {
        while self.waiting.lock().unwrap().len() < holders {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Observer for Heard {
    fn notice(&self, notice: Notice) {
        self.notices.lock().unwrap().push(notice);
    }

    fn waiting(&self, holder: &LockHolder) {
        self.waiting.lock().unwrap().push(holder.clone());
    }
}

/// A source whose truth is the ledger.
pub(crate) const OWN: SourceRef<'_> = SourceRef { name: "migrations", history: None, migrations: &[] };

/// A migration from text; `-- dbctl:` comments count, `up` and `down` stand on line 1 of their files.
pub(crate) fn migration(name: &str, up: &str, down: Option<&str>) -> Migration {
    let directives = Directives::parse(up).unwrap();
    let transaction = if directives.no_transaction { Transaction::None } else { Transaction::One };
    let script = |suffix: &str, sql: &str, transaction| Script {
        path: PathBuf::from(format!("migrations/{name}{suffix}")),
        first_line: 1,
        sql: sql.to_owned(),
        transaction,
    };
    Migration {
        version: Version::new(name.split('_').next().unwrap()),
        name: name.to_owned(),
        up: script(".sql", up, transaction),
        down: down.map(|sql| script(".down.sql", sql, Transaction::One)),
        checksum: Checksum::of_text(up),
        tool_checksum: None,
        directives,
    }
}

/// The names of what is applied, partial ones with how far they got.
pub(crate) fn names(applied: &[Applied]) -> String {
    use dbctl_migration::Progress;
    let shown: Vec<_> = applied
        .iter()
        .map(|applied| match applied.progress {
            Progress::Whole => applied.name.clone(),
            Progress::Partial { done, started, .. } => {
                format!("{} ({done}{})", applied.name, if started { " and started" } else { "" })
            }
            Progress::Reverting { done, started, .. } => {
                format!("{} (back {done}{})", applied.name, if started { " and started" } else { "" })
            }
            Progress::Failed => format!("{} (failed)", applied.name),
        })
        .collect();
    shown.join(" ")
}

/// `code file:line:column exact? message`.
pub(crate) fn show(error: &EngineError) -> String {
    let EngineError::Sql(error) = error else { return error.to_string() };
    let SqlError { code, message, location, .. } = &**error;
    match location {
        Some(at) => {
            let exact = if at.mark == Mark::Error { "" } else { "~" };
            format!("{code} {}:{}:{}{exact} {message}", at.path.display(), at.line, at.column)
        }
        None => format!("{code} {message}"),
    }
}

/// The history of another tool, in the shape of node-pg-migrate's.
pub(crate) struct Peer(pub(crate) TableName);

impl History for Peer {
    fn table(&self) -> &TableName {
        &self.0
    }

    fn create(&self) -> Vec<String> {
        vec![
            format!("CREATE SCHEMA IF NOT EXISTS {}", dbctl_migration::quote_ident(&self.0.schema)),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)",
                self.0
            ),
        ]
    }

    fn read(&self) -> String {
        format!(
            "SELECT ''::text, name::text, null::text, (extract(epoch from run_on) * 1000000)::bigint, null::bigint, \
             null::boolean, id::text FROM {} ORDER BY run_on, id",
            self.0
        )
    }

    fn find(&self, key: &str, number: usize) -> (String, Value) {
        let sql =
            format!("SELECT id::text FROM {} WHERE name = ${number}::text ORDER BY id DESC LIMIT 1", self.0);
        (sql, Value::Text(key.to_owned()))
    }

    fn record(&self, recording: &Recording<'_>) -> Vec<Statement> {
        vec![Statement {
            sql: format!("INSERT INTO {} (name, run_on) VALUES ($1::text, now())", self.0),
            params: vec![Value::Text(recording.migration.name.clone())],
        }]
    }

    fn forget(&self, key: &str) -> Vec<Statement> {
        vec![Statement {
            sql: format!("DELETE FROM {} WHERE name = $1::text", self.0),
            params: vec![Value::Text(key.to_owned())],
        }]
    }

    fn lock_key(&self, _database: &str) -> Option<i64> {
        Some(7_241_865_325_823_964)
    }

    fn keyed_by(&self) -> KeyedBy {
        KeyedBy::Name
    }

    fn refuses_out_of_order(&self) -> bool {
        true
    }
}
