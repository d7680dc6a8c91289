//! Programs of the package's own, which run seeds and hooks: in the package's folder, with the database in their
//! environment.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dbctl_engine::EngineError;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{Event, StepError, action::StepContext, child_env, set_env};

/// How long a program may take to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long what a program printed is waited for once it has ended: a daemon it left behind may hold its output open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The longest line that is handed on whole; what is longer comes in pieces.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// How many of the last lines of a program that failed are kept for the error.
const TAIL: usize = 10;

/// How a program failed.
pub(crate) struct Failure {
    /// `exited with 1`, `could not be started: …`.
    pub(crate) outcome: String,
    /// The last lines of its output and its errors, without passwords.
    pub(crate) tail: Vec<String>,
}

/// Runs a command of the shell to its end, and hands on what it prints. `Ok(Err(_))` is the command's own failure.
pub(crate) async fn run(context: &StepContext<'_>, command: &str) -> Result<Result<(), Failure>, StepError> {
    let shared = &context.shared.run;
    let env =
        child_env(shared.workspace, &context.database.key, shared.targets, context.shared.engine).await?;
    let mut program = shell(command);
    set_env(program.as_std_mut(), &env);
    let started = program
        .current_dir(context.database.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            return Ok(Err(Failure { outcome: format!("could not be started: {error}"), tail: Vec::new() }));
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Taken, for `wait` would close it.
    let lifeline = child.stdin.take();
    let listener = Listener { context, secrets: Secrets::of(&env), tail: Mutex::default() };
    let mut output = pin!(async { tokio::join!(listener.lines(stdout), listener.lines(stderr)) });
    let mut silent = false;
    let status = {
        let mut ended = pin!(wait(context, &mut child));
        loop {
            tokio::select! {
                status = &mut ended => break status,
                _ = &mut output, if !silent => silent = true,
            }
        }
    };
    if let (Some(mut lifeline), Ok(Some(_))) = (lifeline, &status) {
        // What it left running on purpose may go on; nobody listens any more where it has ended its whole group.
        let _ = lifeline.write_all(b"\n").await;
    }
    if !silent {
        drop(timeout(LAST_WORDS, &mut output).await);
    }
    let outcome = match status {
        Ok(None) => return Err(EngineError::Cancelled.into()),
        Ok(Some(status)) if status.success() => return Ok(Ok(())),
        Ok(Some(status)) => match status.code() {
            Some(code) => format!("exited with {code}"),
            None => "was ended by a signal".to_owned(),
        },
        Err(error) => format!("could not be waited for: {error}"),
    };
    Ok(Err(Failure { outcome, tail: listener.last_lines() }))
}

/// Waits for the child; when the run is stopped, ends it and all that it started, and answers `None`.
async fn wait(context: &StepContext<'_>, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    tokio::select! {
        status = child.wait() => return status.map(Some),
        () = context.shared.cancel.cancelled() => {}
    }
    ask_to_end(child);
    if timeout(PATIENCE, child.wait()).await.is_err() {
        end(child);
        child.wait().await?;
    }
    Ok(None)
}

/// Who hears what the child prints.
struct Listener<'a> {
    context: &'a StepContext<'a>,
    secrets: Secrets,
    tail: Mutex<VecDeque<String>>,
}

impl Listener<'_> {
    /// Hands on what the child prints, line by line, without the passwords it was given.
    async fn lines(&self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(stream) = stream else { return };
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while let Ok(chunk) = stream.fill_buf().await {
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len()).min(MAX_LINE_BYTES - line.len());
            let is_last = chunk.is_empty();
            line.extend_from_slice(&chunk[..taken]);
            let is_whole = end == Some(taken);
            stream.consume(taken + usize::from(is_whole));
            if is_whole || line.len() == MAX_LINE_BYTES || (is_last && !line.is_empty()) {
                self.hear(self.secrets.hide(String::from_utf8_lossy(&line).trim_end_matches('\r')));
                line.clear();
            }
            if is_last {
                return;
            }
        }
    }

    fn hear(&self, line: String) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line.clone());
        self.context.emit(Event::Output { database: self.context.database.key.clone(), line });
    }

    /// The last lines that say anything.
    fn last_lines(&self) -> Vec<String> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().filter(|line| !line.trim().is_empty()).cloned().collect()
    }
}

/// The passwords that a program was given, to be kept out of what it prints.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(env: &BTreeMap<String, SecretString>) -> Self {
        let value = |name: &str| env.get(name).map(|value| value.expose_secret());
        // A password that is also a name would blank out every mention of that name, and hides nothing.
        let names = [value("PGUSER"), value("PGDATABASE"), value("PGHOST")];
        let in_urls = env.values().filter_map(|value| password_in(value.expose_secret()));
        let mut secrets: Vec<String> = value("PGPASSWORD")
            .into_iter()
            .chain(in_urls)
            .filter(|secret| !secret.is_empty() && !names.contains(&Some(*secret)))
            .map(str::to_owned)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets)
    }

    fn hide(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, secret| line.replace(secret.as_str(), "***"))
    }
}

/// The password of a URL, as it is spelled there.
fn password_in(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

/// Starts a watcher beside the command, of the same process group and nobody's child: it ends the group once the pipe
/// that was standard input closes without a line in it, which is when dbctl has ended, killed or not.
#[cfg(unix)]
const WATCHED: &str = "exec 3<&0 </dev/null
({ trap '' HUP INT TERM; read line <&3 || kill -KILL 0; } >/dev/null 2>&1 &)
exec 3<&-
exec sh -c \"$1\"";

/// A shell in a process group of its own: Ctrl-C reaches it through us, and all that it started can be ended with it.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", WATCHED, "sh", command]).process_group(0).stdin(Stdio::piped());
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command).stdin(Stdio::null());
    shell
}

#[cfg(unix)]
fn ask_to_end(child: &mut Child) {
    signal(child, rustix::process::Signal::TERM);
}

#[cfg(unix)]
fn end(child: &mut Child) {
    signal(child, rustix::process::Signal::KILL);
}

#[cfg(unix)]
fn signal(child: &Child, signal: rustix::process::Signal) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // A group that has ended by itself is what is wanted.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn ask_to_end(child: &mut Child) {
    end(child);
}

#[cfg(not(unix))]
fn end(child: &mut Child) {
    drop(child.start_kill());
}

/// A path as one word of a command.
pub(crate) fn shell_quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_whatever_way_they_were_given() {
        let env = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
        };
        let secrets = Secrets::of(&env(&[
            ("DATABASE_URL", "postgresql://me:p%40ss@h:5432/db"),
            ("OTHER_URL", "postgresql://me:0ther@h/db?x=a@b"),
            ("PGPASSWORD", "p@ss"),
            ("PGUSER", "me"),
        ]));
        let line = "postgresql://me:p%40ss@h:5432/db p@ss 0ther me";
        assert_eq!(secrets.hide(line), "postgresql://me:***@h:5432/db *** *** me");
        let same = Secrets::of(&env(&[("PGPASSWORD", "postgres"), ("PGUSER", "postgres")]));
        assert_eq!(same.hide("database postgres is up"), "database postgres is up");
    }

    #[test]
    fn paths_reach_the_shell_whole() {
        assert_eq!(shell_quote(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
