//! Whether a server runs, told from its pid file and from the process itself.

#[cfg(unix)]
use std::ffi::OsString;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::EmbeddedError;

/// What `postmaster.pid` says. Its lines: process id, data folder, start time, port, socket folder, address, shared
/// memory, state (`src/include/utils/pidfile.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) port: Option<u16>,
    pub(super) state: State,
}

/// How far the server is, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Starting,
    Ready,
    Stopping,
}

/// What a process id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// The server of this data folder.
    Ours,
    /// Nothing any more.
    Gone,
    /// Not the server, but the system still has the id: another program was given it, or the server was killed and
    /// nobody has waited for it yet. PostgreSQL would take either for a running server.
    Foreign,
    /// A PostgreSQL that was not started the way dbctl does.
    Unclear,
}

pub(super) fn read(data: &Path) -> Option<PidFile> {
    parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
}

fn parse(text: &str) -> Option<PidFile> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let state = match lines.get(7) {
        Some(&"ready") => State::Ready,
        Some(&"stopping") => State::Stopping,
        Some(_) | None => State::Starting,
    };
    let port = lines.get(3).and_then(|line| line.parse().ok()).filter(|port| *port != 0);
    Some(PidFile { pid: lines.first()?.parse().ok()?, port, state })
}

/// What the process is: a number alone is no proof, the system gives it to another after a reboot.
#[cfg(unix)]
pub(super) fn process(pid: u32, data: &Path) -> Process {
    use rustix::{io::Errno, process::test_kill_process};

    let Some(id) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return Process::Gone;
    };
    match test_kill_process(id) {
        Ok(()) => {}
        // The server runs as this user, or this user is root.
        Err(Errno::PERM) => return Process::Foreign,
        Err(_) => return Process::Gone,
    }
    let Some(arguments) = arguments(pid) else { return Process::Unclear };
    match judge(&arguments, data) {
        Process::Unclear => judge_by_folder(pid, data),
        clear => clear,
    }
}

/// What the process is; without a look at processes only a connection tells.
#[cfg(not(unix))]
pub(super) fn process(_pid: u32, _data: &Path) -> Process {
    Process::Unclear
}

/// A command line as dbctl starts servers: `…/postgres -D DATA -p PORT`; a process that has ended and that nobody has
/// waited for has none. `postgres: …` is a process that serves a server.
#[cfg(unix)]
fn judge(arguments: &[OsString], data: &Path) -> Process {
    let Some(program) = arguments.first().filter(|program| !program.is_empty()) else {
        return Process::Foreign;
    };
    let program = program.to_string_lossy();
    if !(program.contains("postgres") || program.contains("postmaster")) || program.starts_with("postgres:") {
        return Process::Foreign;
    }
    let folder = arguments.iter().skip_while(|argument| *argument != "-D").nth(1).map(Path::new);
    match folder.filter(|folder| folder.is_absolute()) {
        Some(folder) if same_folder(folder, data) => Process::Ours,
        Some(_) => Process::Foreign,
        None => Process::Unclear,
    }
}

/// A server's working folder is its data folder.
#[cfg(target_os = "linux")]
fn judge_by_folder(pid: u32, data: &Path) -> Process {
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) if same_folder(&folder, data) => Process::Ours,
        Ok(_) => Process::Foreign,
        Err(_) => Process::Unclear,
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn judge_by_folder(_pid: u32, _data: &Path) -> Process {
    Process::Unclear
}

/// Whether two paths lead to one folder.
pub(super) fn same_folder(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(target_os = "linux")]
fn arguments(pid: u32) -> Option<Vec<OsString>> {
    use std::os::unix::ffi::OsStringExt;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// `ps` joins the arguments by spaces; they are cut at ` -D ` and ` -p ` again, as dbctl starts servers.
#[cfg(all(unix, not(target_os = "linux")))]
fn arguments(pid: u32) -> Option<Vec<OsString>> {
    let pid = pid.to_string();
    let said =
        std::process::Command::new("/bin/ps").args(["-ww", "-o", "command=", "-p", &pid]).output().ok()?;
    let line = String::from_utf8(said.stdout).ok()?;
    let Some((program, rest)) = line.trim_end().split_once(" -D ") else { return Some(vec![line.into()]) };
    let (data, _) = rest.rsplit_once(" -p ").unwrap_or((rest, ""));
    Some(vec![program.into(), "-D".into(), data.into()])
}

/// Makes the pid file of a server that is gone name a process that never is, where it names one that the system knows:
/// PostgreSQL would take that for a running server and refuse. The file stays, because its shared memory line lets PostgreSQL see
/// that processes of the old server still live.
pub(super) fn disown(data: &Path) -> Result<(), EmbeddedError> {
    let path = data.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        // The server was on its way out, and has taken its file along.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(EmbeddedError::io("read", &path))?,
    };
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    // In place: the file belongs to the server's user.
    let write = |mut file: fs::File| write!(file, "{}\n{rest}", i32::MAX);
    fs::File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .and_then(write)
        .map_err(EmbeddedError::io("write", path))
}

/// How to stop a server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shutdown {
    /// Ends sessions and writes everything out.
    Fast,
    /// Leaves at once; the next start recovers from the log.
    Immediate,
}

/// Asks a server to stop.
#[cfg(unix)]
pub(super) fn signal(pid: u32, shutdown: Shutdown) {
    use rustix::process::{Pid, Signal, kill_process};

    let signal = match shutdown {
        Shutdown::Fast => Signal::INT,
        Shutdown::Immediate => Signal::QUIT,
    };
    if let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may be gone already; the caller looks.
        let _ = kill_process(id, signal);
    }
}

/// Asks a server to stop; there are no signals here, the caller's wait ends with the advice to do it by hand.
#[cfg(not(unix))]
pub(super) fn signal(_pid: u32, _shutdown: Shutdown) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_read_as_postgresql_writes_them() {
        let check = |text: &str, pid, port, state| {
            assert_eq!(parse(text), Some(PidFile { pid, port, state }), "{text:?}");
        };
        let whole = "4711\n/data\n1719830400\n23456\n\n127.0.0.1\n  1234567   42\n";
        check(&format!("{whole}ready   \n"), 4711, Some(23_456), State::Ready);
        check(&format!("{whole}stopping\n"), 4711, Some(23_456), State::Stopping);
        check(&format!("{whole}starting\n"), 4711, Some(23_456), State::Starting);
        check("4711\n/data\n", 4711, None, State::Starting);
        assert_eq!(parse(""), None);
        assert_eq!(parse("garbage\n"), None);
    }

    #[test]
    fn a_process_is_judged_by_its_command_line() {
        let line = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let data = Path::new("/state of mind/data");
        let check = |words: &[&str], process| assert_eq!(judge(&line(words), data), process, "{words:?}");
        check(&["/usr/bin/postgres", "-D", "/state of mind/data", "-p", "1", ""], Process::Ours);
        check(&["/usr/bin/postgres", "-D", "/other", "-p", "1", ""], Process::Foreign);
        check(&["/usr/bin/postgres", "-D", ".", ""], Process::Unclear);
        check(&["postgres", ""], Process::Unclear);
        check(&["postgres: checkpointer "], Process::Foreign);
        check(&["sleep", "100", ""], Process::Foreign);
        check(&[""], Process::Foreign);
    }

    #[test]
    fn a_reused_id_is_foreign_and_a_free_one_gone() {
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let zombie = ended.id();
        while fs::read_to_string(format!("/proc/{zombie}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
        assert_eq!(process(zombie, Path::new("/data")), Process::Foreign);
        ended.wait().unwrap();
        assert_eq!(process(zombie, Path::new("/data")), Process::Gone);
        assert_eq!(process(std::process::id(), Path::new("/data")), Process::Foreign);
        assert_eq!(process(i32::MAX.cast_unsigned(), Path::new("/data")), Process::Gone);
    }
}
