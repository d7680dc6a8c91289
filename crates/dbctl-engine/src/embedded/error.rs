//! Why there is no embedded server, and what helps.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why there is no embedded server.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// Nothing says where the user's state is.
    #[error("there is no folder to keep the embedded server in: HOME is not set")]
    NoStateFolder,
    /// The workspace's folder is not there.
    #[error("the workspace {} cannot be entered", workspace.display())]
    Workspace {
        /// The folder.
        workspace: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// No server programs, of the major asked for where one is.
    #[error("no PostgreSQL{} was found{}{}", major_text(*.major), seen_text(.seen), npm_text(.npm))]
    NotFound {
        /// The major asked for.
        major: Option<u32>,
        /// What was found instead, as `15.18 in /usr/lib/postgresql/15/bin`.
        seen: Vec<String>,
        /// Why npm did not help either.
        npm: String,
    },
    /// `DBCTL_PG_BIN` does not lead to server programs.
    #[error("DBCTL_PG_BIN names {}, which holds no PostgreSQL server: {problem}", folder.display())]
    PgBin {
        /// The folder it names.
        folder: PathBuf,
        /// What is wrong there.
        problem: String,
    },
    /// npm could not fetch the package of binaries.
    #[error("npm could not fetch {package}: {message}")]
    Npm {
        /// Name and version.
        package: String,
        /// npm's words.
        message: String,
    },
    /// The package of binaries is not what it should be.
    #[error("the package {package} cannot be used: {problem}")]
    Package {
        /// Name and version.
        package: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else to run it as.
    #[error(
        "PostgreSQL does not run as root, and neither of the users postgres and nobody exists to run it as"
    )]
    NoServerUser,
    /// The user that the server runs as cannot get where it has to.
    #[error("the user {user}, as whom the server has to run, cannot enter {}", folder.display())]
    Unreachable {
        /// The user.
        user: String,
        /// The folder that stops it.
        folder: PathBuf,
    },
    /// The data folder is there in parts.
    #[error("the data folder {} is damaged: {missing} is missing", data.display())]
    Damaged {
        /// The folder.
        data: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// The data folder belongs to another major version.
    #[error("the data folder {} was made by PostgreSQL {found}, not {wanted}", data.display())]
    VersionMismatch {
        /// The folder.
        data: PathBuf,
        /// What `PG_VERSION` says.
        found: String,
        /// What was expected.
        wanted: u32,
    },
    /// The file with the port and the password is missing or unreadable though the data is there.
    #[error("the file {} with the server's password cannot be used: {problem}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// `initdb` failed.
    #[error("initdb failed:\n{output}")]
    InitDb {
        /// What it printed.
        output: String,
    },
    /// The server does not start.
    #[error("PostgreSQL did not start: {reason}{}", tail_text(.tail))]
    Start {
        /// How it ended.
        reason: String,
        /// The log file.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// Processes of an earlier server still use the data.
    #[error("processes of an earlier server still use {}", data.display())]
    InUse {
        /// The data folder.
        data: PathBuf,
    },
    /// The server runs but does not let dbctl in.
    #[error("the embedded server on port {port} does not let dbctl in: {reason}")]
    Refused {
        /// Its port.
        port: u16,
        /// The server's words.
        reason: String,
        /// The file with the password.
        settings: PathBuf,
    },
    /// The server does not stop.
    #[error("the server (process {pid}) did not stop within {waited_s} s")]
    Stop {
        /// Its process.
        pid: u32,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
    /// Another dbctl is starting or stopping the server and does not get done.
    #[error("another dbctl has been starting or stopping this server for over {waited_s} s ({})", lock.display())]
    Busy {
        /// The file it holds locked.
        lock: PathBuf,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
}

impl EmbeddedError {
    /// What helps, where something does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoStateFolder => "set HOME, or DBCTL_STATE_DIR to a folder for dbctl's servers".to_owned(),
            Self::NotFound { major, .. } => install_hint(*major),
            Self::PgBin { .. } => {
                "point it at the folder that holds initdb and postgres (pg_config --bindir prints it), or unset it"
                    .to_owned()
            }
            Self::Npm { .. } | Self::Package { .. } => {
                format!("or install PostgreSQL yourself: {}", install_hint(None))
            }
            Self::NoServerUser => "make one, for example: useradd --system postgres".to_owned(),
            Self::Unreachable { folder, .. } => format!(
                "make it enterable (chmod o+x {}), or set DBCTL_STATE_DIR and DBCTL_CACHE_DIR to folders that every user can enter",
                folder.display()
            ),
            Self::Damaged { data, .. } => format!(
                "if nothing in it is needed, delete {} and run again: dbctl makes a new one",
                data.display()
            ),
            Self::VersionMismatch { data, found, .. } => {
                format!("ask for that version (postgres: \"{found}\"), or delete {}", data.display())
            }
            Self::Settings { path, .. } => format!(
                "put the file back, or delete {} to start anew",
                path.parent().unwrap_or(path).display()
            ),
            Self::InitDb { output } if output.contains("could not look up effective user ID") => {
                "the current user has no entry in /etc/passwd, which PostgreSQL needs: add one".to_owned()
            }
            Self::Start { log, .. } => format!("the whole log: {}", log.display()),
            Self::InUse { .. } => {
                "they are still ending, or run in another container: stop them and run again".to_owned()
            }
            Self::Refused { settings, .. } => format!(
                "if the password of postgres was changed in the server, change it in {} too",
                settings.display()
            ),
            Self::Stop { pid, .. } => format!("stop it yourself: kill -QUIT {pid}"),
            Self::Busy { .. } => "wait for it, or end it".to_owned(),
            Self::Workspace { .. } | Self::Io { .. } | Self::InitDb { .. } => return None,
        })
    }

    /// An operating system's refusal, with what it was about.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn major_text(major: Option<u32>) -> String {
    major.map(|major| format!(" {major}")).unwrap_or_default()
}

fn seen_text(seen: &[String]) -> String {
    if seen.is_empty() { String::new() } else { format!(" (found {})", seen.join(", ")) }
}

fn npm_text(npm: &str) -> String {
    if npm.is_empty() { String::new() } else { format!("; {npm}") }
}

fn tail_text(tail: &str) -> String {
    if tail.is_empty() { String::new() } else { format!("\n{tail}") }
}

/// How PostgreSQL is installed on this platform.
fn install_hint(major: Option<u32>) -> String {
    let major = major.unwrap_or(super::npm::NEWEST);
    let here = if cfg!(target_os = "macos") {
        format!("brew install postgresql@{major}, or Postgres.app")
    } else if cfg!(windows) {
        format!("winget install PostgreSQL.PostgreSQL.{major}")
    } else {
        format!(
            "apt install postgresql-{major} (Debian, Ubuntu), dnf install postgresql{major}-server (Fedora, RHEL), apk add postgresql{major} (Alpine) or pacman -S postgresql (Arch)"
        )
    };
    format!(
        "{here}; or install npm, from which dbctl gets one by itself; or point DBCTL_PG_BIN at a folder with initdb and postgres; or set PGHOST or a server in the manifest to use a server that runs already"
    )
}
