//! Running PostgreSQL's programs and npm, each within a bound.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::{EmbeddedHome, user::ServerUser};

/// A PostgreSQL program as the server's user, in a folder everybody can enter, deaf to the terminal.
///
/// Its environment is empty but for `PATH`: a server outlives the command that starts it, its results must not hang on
/// somebody's locale or `PG*` variables, and as another user it must not carry the secrets of this one.
pub(super) fn postgres(program: &Path, home: &EmbeddedHome, user: Option<&ServerUser>) -> Command {
    let mut command = Command::new(program);
    #[cfg(unix)]
    {
        let path = std::env::join_paths(&home.path).ok().filter(|path| !path.is_empty());
        command.env_clear().env("PATH", path.unwrap_or_else(|| "/usr/bin:/bin".into())).env("LC_ALL", "C");
        command.current_dir("/");
        if let Some(user) = user {
            // Setting the user id also drops root's supplementary groups.
            command.uid(user.uid).gid(user.gid);
        }
    }
    #[cfg(not(unix))]
    let _ = (home, user);
    command.stdin(Stdio::null());
    command
}

/// Runs a program to its end and gives its standard output, or what went wrong in its own words.
pub(super) async fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    let output = timeout(limit, command.stdin(Stdio::null()).kill_on_drop(true).output())
        .await
        .map_err(|_| format!("not done within {} s", limit.as_secs()))?
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let said = said.into_iter().find(|text| !text.is_empty());
    Err(said.map_or_else(|| output.status.to_string(), |text| last_lines(&text, 20)))
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
