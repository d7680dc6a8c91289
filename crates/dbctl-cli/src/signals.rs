//! Ctrl-C and SIGTERM.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// npm passes a Ctrl-C on to its children, who have had it from the terminal already: what follows a signal within
/// this time is the same signal.
const ECHO: Duration = Duration::from_millis(500);

/// The signals that end a run, heard from now on instead of ending the process.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
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
            })
        }
        #[cfg(not(unix))]
        {
            use tokio::signal::windows::{ctrl_break, ctrl_c};
            Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
        }
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

    async fn once(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
