//! Ctrl-C, SIGTERM, and SIGHUP where somebody closes the terminal.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// npm passes a Ctrl-C on to its children, who have had it from the terminal already: what follows a signal within
/// this time is the same signal.
const ECHO: Duration = Duration::from_millis(500);

/// Does what leaves nothing behind that has to be undone. A signal ends it by dropping it, and so ends what it started,
/// such as npm, which does not hear the terminal's Ctrl-C itself.
pub(crate) async fn unless_stopped<T>(work: impl Future<Output = T>) -> Result<T, CliError> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        biased;
        () = signals.once() => Err(CliError::Interrupted),
        done = work => Ok(done),
    }
}

/// Awaits an answer from the terminal. A signal ends that, and so does a terminal that is closed, under nohup too: nobody is
/// left who could answer.
pub(crate) async fn unless_closed<T>(answer: impl Future<Output = T>) -> Result<T, CliError> {
    let mut signals = Signals::listen()?;
    #[cfg(unix)]
    signals.hear_hangup()?;
    tokio::select! {
        biased;
        () = signals.once() => Err(CliError::Interrupted),
        answer = answer => Ok(answer),
    }
}

/// The signals that end a run, heard from now on instead of ending the process.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// `None` under nohup, which means the run to go on.
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
    #[cfg(not(unix))]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(not(unix))]
    terminate: tokio::signal::windows::CtrlBreak,
}

impl Signals {
    /// Begins to hear them.
    pub(crate) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
            })
        }
        #[cfg(not(unix))]
        {
            use tokio::signal::windows::{ctrl_break, ctrl_c};
            Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
        }
    }

    #[cfg(unix)]
    fn hear_hangup(&mut self) -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        self.hangup = Some(signal(SignalKind::hangup())?);
        Ok(())
    }

    /// Cancels `stop` at the first signal, and comes back at the second.
    pub(crate) async fn twice(&mut self, stop: &CancellationToken) {
        self.once().await;
        let first = Instant::now();
        stop.cancel();
        loop {
            self.once().await;
            if first.elapsed() > ECHO {
                return;
            }
        }
    }

    #[cfg(unix)]
    async fn once(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }

    #[cfg(not(unix))]
    async fn once(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whether whoever started dbctl has it ignore SIGHUP, as nohup does: `SigIgn` of proc_pid_status(5), a mask in hex
/// whose lowest bit is signal 1. Where there is no such file, nohup is known by its taking the terminal away.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => ignores_hangup(&status),
        Err(_) => !io::stderr().is_terminal(),
    }
}

#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_respected() {
        assert!(ignores_hangup("Name:\tdbctl\nSigIgn:\t0000000000000001\nSigCgt:\t0\n"));
        assert!(ignores_hangup("SigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }

    #[tokio::test]
    async fn a_closed_terminal_stops_a_run() {
        let mut signals = Signals::listen().unwrap();
        if signals.hangup.is_none() {
            // The tests themselves run under nohup.
            return;
        }
        let pid = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(10), signals.once()).await.unwrap();
    }
}
