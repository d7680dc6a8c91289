//! Seeds that are programs: run in the package's folder with the database in their environment.

use std::{
    io,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use dbctl_engine::EngineError;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::SeedFile;
use crate::{Event, StepError, action::StepContext, child_env, set_env};

/// How long a program may take to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long what a program printed is waited for once it has ended: a daemon it left behind may hold its output open.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &StepContext<'_>, file: &SeedFile, command: &str) -> Result<(), StepError> {
    let shared = &context.shared.run;
    let env =
        child_env(shared.workspace, &context.database.key, shared.targets, context.shared.engine).await?;
    let failed = |outcome: String| StepError::Runner {
        path: file.shown.clone(),
        command: command.to_owned(),
        outcome,
    };
    let mut program = shell(&command.replace("{file}", &shell_quote(&file.path)));
    set_env(program.as_std_mut(), &env);
    let mut child = program
        .current_dir(context.database.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut output = pin!(async { tokio::join!(lines(context, stdout), lines(context, stderr)) });
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
    if !silent {
        drop(timeout(LAST_WORDS, output).await);
    }
    match status.map_err(|error| failed(format!("could not be waited for: {error}")))? {
        None => Err(EngineError::Cancelled.into()),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(match status.code() {
            Some(code) => format!("exited with {code}"),
            None => "was ended by a signal".to_owned(),
        })),
    }
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

/// Hands on what the child prints, line by line.
async fn lines(context: &StepContext<'_>, stream: Option<impl AsyncRead + Unpin>) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        context.emit(Event::Output { database: context.database.key.clone(), line });
    }
}

/// A shell in a process group of its own: Ctrl-C reaches it through us, and all that it started can be ended with it.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
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

fn shell_quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_reach_the_shell_whole() {
        assert_eq!(shell_quote(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
