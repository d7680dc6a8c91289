//! Running PostgreSQL's programs and npm, each within a bound.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

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

/// Runs a program to its end and gives its standard output, or what went wrong in its own words. Where nobody waits for
/// it any longer, it ends, and all that it started with it.
pub(super) async fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // npm may be a script that runs another.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // After the child, and so dropped before it: until then nobody else can be given its id.
    let group = Group::of(&child);
    let ended = async { tokio::try_join!(all_of(stdout), all_of(stderr), child.wait()) };
    let (stdout, stderr, status) = timeout(limit, ended)
        .await
        .map_err(|_| format!("not done within {} s", limit.as_secs()))?
        .map_err(|error| error.to_string())?;
    group.has_ended();
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = [stderr, stdout].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let said = said.into_iter().find(|text| !text.is_empty());
    Err(said.map_or_else(|| status.to_string(), |text| last_lines(&text, 20)))
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// A child's process group, which is killed when this is dropped.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw) }
    }

    fn has_ended(mut self) {
        self.leader = None;
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // One that has ended by itself is what is wanted.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

/// There are no groups here: the child alone is killed.
#[cfg(not(unix))]
impl Group {
    fn of(_child: &Child) -> Self {
        Self {}
    }

    fn has_ended(self) {}
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
