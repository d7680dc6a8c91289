//! A server of one's own: somebody else's, as far as the workspace under test knows.

use crate::support::{Ran, Sandbox, binary, query};

/// A server with its superuser `postgres`; stopped when it goes.
pub(crate) struct OwnServer {
    sandbox: Sandbox,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) password: String,
}

impl OwnServer {
    pub(crate) fn start() -> Self {
        let sandbox = Sandbox::new("workspace: server\ndatabases: { x: {} }\n", &[]);
        let url = sandbox.ok(&["server", "url"]);
        let config: tokio_postgres::Config = url.trim().parse().unwrap();
        let password = String::from_utf8(config.get_password().unwrap().to_vec()).unwrap();
        Self { sandbox, host: "127.0.0.1".to_owned(), port: config.get_ports()[0], password }
    }

    /// The URL of a database, as the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_as("postgres", &self.password, database)
    }

    pub(crate) fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@{}:{}/{database}", self.host, self.port)
    }

    /// Runs SQL on a database and gives the rows of its last statement, `a|b` a line.
    pub(crate) fn query(&self, database: &str, sql: &str) -> String {
        query(&self.url(database), sql).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    /// The databases that somebody has made.
    pub(crate) fn databases(&self) -> String {
        let sql = "select coalesce(string_agg(datname, ' ' order by datname), '') from pg_database \
                   where datname not in ('postgres', 'template0', 'template1')";
        self.query("postgres", sql).trim_end().to_owned()
    }

    /// Starts it again where it was stopped, and gives its port.
    #[cfg(unix)]
    pub(crate) fn start_again(&self) -> impl Fn() -> u16 + Send + 'static {
        let command = std::sync::Mutex::new(self.sandbox.command(binary()));
        command.lock().unwrap().args(["server", "url"]);
        move || {
            let started = Ran::of(command.lock().unwrap().output().unwrap()).ok();
            started.trim().parse::<tokio_postgres::Config>().unwrap().get_ports()[0]
        }
    }

    /// Lets the superuser's password be this one.
    pub(crate) fn set_password(&mut self, password: &str) {
        self.query("postgres", &format!("alter role postgres password '{password}'"));
        self.password = password.to_owned();
    }
}
