//! A command that runs while the test looks on.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::Ran;

/// A running command; killed when it goes.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().expect("it has not been waited for").id()
    }

    /// Sends a signal such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.id().to_string(), name);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Waits for its end, for at most that long.
    #[track_caller]
    pub(crate) fn wait(mut self, most: Duration) -> Ran {
        let until = Instant::now() + most;
        while self.is_running() {
            assert!(Instant::now() < until, "still running after {most:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ran::of(self.0.take().expect("it is waited for once").wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a process a signal such as `INT`.
pub(crate) fn signal(pid: &str, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap().success(), "{pid}");
}

/// Whether a process exists.
pub(crate) fn exists(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success()
}

/// Waits until something is so, for at most a minute: a machine may be busy.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
