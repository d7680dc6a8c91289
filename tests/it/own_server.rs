//! A server of one's own: somebody else's, as far as the workspace under test knows.

use std::{fs, io::Write as _, path::PathBuf, process::Command};

#[cfg(unix)]
use crate::process::until;
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
        Self::of(Sandbox::new("workspace: server\ndatabases: { x: {} }\n", &[]))
    }

    /// A server of a major version; what is not installed comes from npm.
    pub(crate) fn of_major(major: u32) -> Self {
        let server = format!("servers: {{ old: {{ embedded: true, postgres: {major} }} }}\n");
        Self::of(Sandbox::new(&format!("workspace: server\n{server}databases: {{ x: {{}} }}\n"), &[]))
    }

    fn of(sandbox: Sandbox) -> Self {
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

    /// The folder of its data.
    pub(crate) fn data(&self) -> PathBuf {
        let (_, status) = self.sandbox.json(&["server", "status"]);
        PathBuf::from(status["servers"][0]["data"].as_str().unwrap_or_else(|| panic!("{status}")))
    }

    /// A replica of this server, which is stopped for a moment.
    #[cfg(unix)]
    pub(crate) fn replica(&mut self) -> Self {
        let mut replica = Self::start();
        let (from, to) = (self.data(), replica.data());
        for server in [&*self, &replica] {
            server.sandbox.ok(&["server", "stop"]);
        }
        let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        fs::remove_dir_all(&to).unwrap();
        run(Command::new("cp").arg("-a").args([&from, &to]));
        // Whoever owns the data owns this too.
        run(Command::new("cp").arg("-a").args([to.join("PG_VERSION"), to.join("standby.signal")]));
        let settings = to.with_file_name("server.json");
        let text = fs::read_to_string(&settings).unwrap().replace(&replica.password, &self.password);
        fs::write(&settings, text).unwrap();
        replica.password.clone_from(&self.password);

        self.port = self.start_again()();
        let primary =
            format!("host={} port={} user=postgres password={}", self.host, self.port, self.password);
        let conf = fs::OpenOptions::new().append(true).open(to.join("postgresql.auto.conf"));
        writeln!(conf.unwrap(), "primary_conninfo = '{primary}'").unwrap();
        replica.port = replica.start_again()();
        until("the replica follows", || {
            replica.query("postgres", "select status from pg_stat_wal_receiver") == "streaming\n"
        });
        replica
    }

    /// Lets the superuser's password be this one.
    pub(crate) fn set_password(&mut self, password: &str) {
        self.query("postgres", &format!("alter role postgres password '{password}'"));
        self.password = password.to_owned();
    }
}
