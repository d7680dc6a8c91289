//! A workspace in a folder of its own, with a server of its own, and the real binary in an empty environment.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use dbctl_engine::embedded::EmbeddedHome;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::asked_postgres;

/// A workspace, a state folder, and a working folder; its embedded server is stopped when it goes.
pub(crate) struct Sandbox {
    folder: TempDir,
    vars: BTreeMap<String, String>,
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A workspace with this manifest and these files.
    pub(crate) fn new(manifest: &str, files: &[(&str, &str)]) -> Self {
        let sandbox = Self::empty();
        sandbox.write("workspace.yaml", manifest);
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox
    }

    /// The Atriz example, as a fresh clone has it.
    pub(crate) fn atriz() -> Self {
        let sandbox = Self::empty();
        let from = repository();
        for name in ["workspace.yaml", "package.json", "pnpm-workspace.yaml", ".npmrc", "env.example"] {
            fs::copy(from.join(name), sandbox.root().join(name)).unwrap();
        }
        for name in ["packages", "apps", "scripts"] {
            copy_folder(&from.join(name), &sandbox.root().join(name));
        }
        sandbox
    }

    /// One of the example workspaces under `tests/workspaces`, as a fresh clone has it.
    pub(crate) fn example(name: &str) -> Self {
        let sandbox = Self::empty();
        copy_folder(&repository().join("tests/workspaces").join(name), &sandbox.root());
        sandbox
    }

    fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("dbctl-it-").tempdir().unwrap();
        // The server runs as another user when the tests run as root, and has to get in.
        set_mode(folder.path(), 0o755);
        fs::create_dir(folder.path().join("repo")).unwrap();
        let state = folder.path().join("state");
        let mut vars = BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("HOME".to_owned(), folder.path().display().to_string()),
            ("DBCTL_STATE_DIR".to_owned(), state.display().to_string()),
            ("NO_COLOR".to_owned(), "1".to_owned()),
        ]);
        vars.extend(asked_postgres::var("DBCTL_PG_BIN").map(|bin| ("DBCTL_PG_BIN".to_owned(), bin)));
        // What was fetched once need not be fetched for every sandbox.
        let cache = EmbeddedHome::from_vars(asked_postgres::var).cache;
        vars.extend(cache.map(|cache| ("DBCTL_CACHE_DIR".to_owned(), cache.display().to_string())));
        Self { folder, vars }
    }

    /// The workspace's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Sets a variable for every later command.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A command in the workspace's root, with this sandbox's environment and nothing else.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.vars).current_dir(self.root()).stdin(std::process::Stdio::null());
        command
    }

    /// Runs dbctl in the workspace's root.
    pub(crate) fn dbctl(&self, args: &[&str]) -> Ran {
        self.dbctl_in("", args)
    }

    /// Runs dbctl in a folder of the workspace.
    pub(crate) fn dbctl_in(&self, folder: &str, args: &[&str]) -> Ran {
        Ran::of(self.command(binary()).current_dir(self.root().join(folder)).args(args).output().unwrap())
    }

    /// Runs dbctl, which has to succeed, and gives its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.dbctl(args).ok()
    }

    /// Runs dbctl with `--format json`; gives its exit code and its document.
    pub(crate) fn json(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let ran = self.dbctl(&[args, &["--format", "json"]].concat());
        let document = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{ran}"));
        (ran.code, document)
    }

    /// The URL of a database, as `dbctl env` gives it.
    pub(crate) fn url(&self, target: &str) -> String {
        let (code, env) = self.json(&["env", target]);
        assert_eq!(code, 0, "{env}");
        env["DATABASE_URL"].as_str().unwrap().to_owned()
    }

    /// Runs SQL on a database and gives the rows of its last statement, `a|b` a line.
    pub(crate) fn query(&self, target: &str, sql: &str) -> String {
        query(&self.url(target), sql).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    /// Runs SQL on any database, by URL.
    pub(crate) fn query_url(&self, url: &str, sql: &str) -> String {
        query(url, sql).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    /// Text with everything that differs from run to run blanked out: places, times, ports, pids and run ids.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.replace(&self.folder.path().display().to_string(), "[SANDBOX]");
        for (pattern, name) in [
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "[AT]"),
            (r"\b\d+(\.\d)? (ms|s|min)\b( \d+ s)?", "[TIME]"),
            (r#"("elapsed_ms": ?)\d+"#, "${1}0"),
            (r"(127\.0\.0\.1|localhost|::1):\d+", "$1:[PORT]"),
            (r"\bpid \d+", "pid [PID]"),
            (r"\b[0-9a-f]{20}\b", "[RUN]"),
            (r" \(os error \d+\)", ""),
            // Which server a sandbox has depends on the machine.
            (r"(?m)^(started a|on the) private PostgreSQL .*\n", ""),
        ] {
            text = regex::Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
        }
        text
    }

    /// Whether any server was ever started for this workspace.
    pub(crate) fn has_server(&self) -> bool {
        self.folder.path().join("state").exists()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let stop =
            || self.command(binary()).args(["server", "stop", "--yes", "--env", "development"]).output();
        if stop().is_ok_and(|output| output.status.success()) {
            return;
        }
        // The manifest may be what the test has broken.
        self.write("workspace.yaml", "workspace: over\ndatabases: { over: {} }\n");
        // Whatever comes of it, the test has said what it had to say.
        let _ = stop();
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It succeeded; its standard output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self}");
        self.stdout
    }

    /// It failed with that exit code; its standard error.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self}");
        self.stderr
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_dbctl")
}

/// The repository that holds the Atriz example.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs SQL and gives the rows of its last statement, `a|b` a line.
pub(crate) fn query(url: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(sql).await?;
        drop(client);
        connection.await.unwrap()?;
        let mut rows = String::new();
        for message in messages {
            match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    let values: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
                    writeln!(rows, "{}", values.join("|")).unwrap();
                }
                tokio_postgres::SimpleQueryMessage::RowDescription(_) => rows.clear(),
                _ => {}
            }
        }
        Ok(rows)
    })
}

/// The embedded server of a sandbox, for tests that look at it from outside.
pub(crate) fn password_of(url: &str) -> String {
    let config: tokio_postgres::Config = url.parse().unwrap();
    let password =
        secrecy::SecretString::from(String::from_utf8(config.get_password().unwrap().to_vec()).unwrap());
    password.expose_secret().to_owned()
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "node_modules" || entry.file_name() == ".env" {
            continue;
        }
        if from.is_dir() { copy_folder(&from, &to) } else { fs::copy(&from, &to).map(drop).unwrap() }
    }
}

#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
pub(crate) fn set_mode(_path: &Path, _mode: u32) {}
