//! A throw-away PostgreSQL with its own authority for TLS.

#[path = "../../tests/shared/asked_postgres.rs"]
mod asked_postgres;

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::embedded::{EmbeddedHome, find};

/// The superuser's password.
pub(super) const PASSWORD: &str = "right: %@/'\\ pässword";

/// A running server; stopped when dropped.
pub(super) struct TestServer {
    pub(super) port: u16,
    folder: TempDir,
    bin: PathBuf,
}

/// What a server is made with.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// Names in its certificate; none means no TLS.
    pub(super) names: &'a [&'a str],
    /// Lines of `pg_hba.conf` before the last, which asks everybody for a password.
    pub(super) hba: &'a str,
    /// Lines of `postgresql.conf`.
    pub(super) config: &'a str,
    /// Whether it is a standby, which follows nobody.
    pub(super) standby: bool,
}

impl TestServer {
    pub(super) fn start(wanted: &Wanted<'_>) -> Self {
        // Not TMPDIR: a socket's path is short, and root's server runs as a user who has to get there.
        let folder = tempfile::Builder::new().prefix("dbctl-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut server = Self { port: 0, folder, bin: bin() };
        server.init();
        if !wanted.names.is_empty() {
            server.certify(wanted.names);
        }
        let tls = if wanted.names.is_empty() { "off" } else { "on" };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\nssl = {tls}\n\
             ssl_ca_file = '{}'\nshared_buffers = 16MB\n{}\n",
            server.sockets().display(),
            if wanted.names.is_empty() { "" } else { "authority.crt" },
            wanted.config
        );
        server.write("postgresql.auto.conf", &settings);
        let last = "local all all scram-sha-256\nhost all all all scram-sha-256\n";
        server.write("pg_hba.conf", &format!("{}\n{last}", wanted.hba));
        if wanted.standby {
            server.write("standby.signal", "");
        }
        server.launch();
        server
    }

    /// Where its socket is.
    pub(super) fn sockets(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// A file of the server's or of a client's: `authority.crt`, `other.crt`, `client.crt`, `client.key`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn init(&self) {
        for folder in [self.data(), self.sockets()] {
            fs::create_dir(&folder).unwrap();
            own(&folder);
        }
        let password = self.file("password");
        fs::write(&password, PASSWORD).unwrap();
        own(&password);
        let mut initdb = self.command("initdb");
        initdb.args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N", "-D"]);
        initdb.arg(self.data()).arg("--pwfile").arg(&password);
        run(&mut initdb);
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path);
    }

    /// An authority, what it signs for the server and for a client, and an authority nobody knows.
    fn certify(&self, names: &[&str]) {
        let authority = Authority::new("dbctl test authority");
        let (cert, key) = authority.sign(names, ExtendedKeyUsagePurpose::ServerAuth);
        self.write("server.crt", &cert);
        self.write("server.key", &key);
        self.write("authority.crt", &authority.pem);
        let (cert, key) = authority.sign(&["client"], ExtendedKeyUsagePurpose::ClientAuth);
        fs::write(self.file("authority.crt"), &authority.pem).unwrap();
        fs::write(self.file("other.crt"), Authority::new("another authority").pem).unwrap();
        fs::write(self.file("server.crt"), fs::read(self.data().join("server.crt")).unwrap()).unwrap();
        fs::write(self.file("client.crt"), cert).unwrap();
        fs::write(self.file("client.key"), key).unwrap();
        fs::set_permissions(self.file("client.key"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn launch(&mut self) {
        // Another process may take the port before the server does.
        for _ in 0..5 {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut start = self.command("pg_ctl");
            start.args(["start", "-w", "-s", "-t", "60", "-D"]).arg(self.data());
            start.arg("-l").arg(self.sockets().join("log")).arg("-o").arg(format!("-p {}", self.port));
            if start.status().unwrap().success() {
                return;
            }
        }
        panic!("{}", fs::read_to_string(self.sockets().join("log")).unwrap());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.sockets());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((uid, gid)) = server_user() {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.data());
        let _ = stop.status();
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Root cannot run PostgreSQL: its server belongs to the user of that name.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = crate::passwd::read().unwrap();
    let find = |name: &str| users.iter().find(|user| user.name == name).map(|user| (user.uid, user.gid));
    Some(find("postgres").or_else(|| find("nobody")).expect("root has a user to run the server as"))
}

fn own(path: &Path) {
    if let Some((uid, gid)) = server_user() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// Where PostgreSQL's programs are: those of the major that is asked for, else the first that the embedded server finds.
fn bin() -> PathBuf {
    let looking = thread::spawn(|| {
        let home = EmbeddedHome::from_vars(asked_postgres::var);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(find(None, &home)).unwrap().bin
    });
    looking.join().unwrap()
}
