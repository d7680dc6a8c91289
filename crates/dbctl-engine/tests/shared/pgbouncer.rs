//! The real PgBouncer before a server. Where it is missing the test fails: CONTRIBUTING.md says how to get it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A running PgBouncer; stopped when it goes.
pub(crate) struct PgBouncer {
    child: Child,
    /// With its Unix socket.
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

impl PgBouncer {
    /// In front of the server at a port of this machine, which it enters with these users and passwords. `more` are lines
    /// of its settings.
    pub(crate) fn start(server: u16, users: &[(&str, &str)], mode: &str, more: &str) -> Self {
        Self::start_with(&format!("* = host=127.0.0.1 port={server}"), users, mode, more)
    }

    /// As [`Self::start`], with a line of its own for the databases.
    pub(crate) fn start_with(databases: &str, users: &[(&str, &str)], mode: &str, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("dbctl-pgbouncer-").tempdir().unwrap();
        let at = folder.path();
        // As root it has to run as somebody else.
        fs::set_permissions(at, fs::Permissions::from_mode(0o777)).unwrap();
        let users: String =
            users.iter().map(|(name, password)| format!("\"{name}\" \"{password}\"\n")).collect();
        fs::write(at.join("users"), users).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n{databases}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir = {at}\nauth_type = scram-sha-256\nauth_file = {at}/users\npool_mode = {mode}\n\
             max_client_conn = 500\nlogfile = {at}/log\nadmin_users = postgres\n{more}",
            at = at.display()
        );
        fs::write(at.join("settings.ini"), settings).unwrap();
        let mut command = Command::new("pgbouncer");
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command.arg(at.join("settings.ini")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("PgBouncer is installed: apt-get install pgbouncer");
        let mut pooler = Self { child, folder, port };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = pooler.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "PgBouncer does not start:\n{}", pooler.log());
            thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// The URL of a database through it.
    pub(crate) fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim() == "0"
}
