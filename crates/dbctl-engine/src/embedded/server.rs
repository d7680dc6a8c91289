//! Starting a server, finding it and stopping it.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, SeekFrom},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use futures::future;
use secrecy::SecretString;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{NoTls, SimpleQueryMessage, error::SqlState};

use super::{
    Binaries, EmbeddedError, EmbeddedHome, Running,
    place::{Cluster, Settings, set_mode},
    postmaster::{self, PidFile, Process, Shutdown, State},
    program,
    user::ServerUser,
};

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// A start takes 0.2 s; recovery after a crash takes longer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Backends whose postmaster was killed end as soon as they look up.
const ORPHAN_LIMIT: Duration = Duration::from_secs(15);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const FAST_STOP_S: u64 = 60;
const IMMEDIATE_STOP_S: u64 = 10;
const POLL: Duration = Duration::from_millis(10);
const PORT_TRIES: usize = 5;
/// A log larger than this is put aside at the next start, over the one put aside before.
const LOG_BYTES: u64 = 8 << 20;

/// The server of a cluster where it runs and answers.
pub(super) async fn running(cluster: &Cluster) -> Result<Option<Running>, EmbeddedError> {
    let data = cluster.data();
    let Some(PidFile { pid, port: Some(port), state: State::Ready }) = postmaster::read(&data) else {
        return Ok(None);
    };
    let settings = match postmaster::process(pid, &data) {
        Process::Gone | Process::Foreign => return Ok(None),
        Process::Ours => {
            let answers = timeout(CONNECT_LIMIT, TcpStream::connect((HOST, port))).await;
            if !matches!(answers, Ok(Ok(_))) {
                return Ok(None);
            }
            cluster.read_settings()?
        }
        Process::Unclear => {
            let settings = cluster.read_settings()?;
            match prove(port, &settings, &data).await {
                Proof::Ours => settings,
                Proof::NotYet | Proof::Foreign | Proof::Refused(_) => return Ok(None),
            }
        }
    };
    Ok(Some(describe(cluster, pid, port, settings)))
}

fn describe(cluster: &Cluster, pid: u32, port: u16, settings: Settings) -> Running {
    Running {
        host: HOST.to_string(),
        port,
        user: settings.user,
        password: SecretString::from(settings.password),
        version: settings.version,
        data: cluster.data(),
        pid,
    }
}

/// Waits until an earlier start or stop of the server has come to its end, which it does even where the command that
/// began it was killed; gives the server if it runs then. Only under the lock.
pub(super) async fn settle(cluster: &Cluster) -> Result<Option<Running>, EmbeddedError> {
    let data = cluster.data();
    let deadline = Instant::now() + START_LIMIT;
    while let Some(PidFile { pid, .. }) = postmaster::read(&data) {
        match postmaster::process(pid, &data) {
            Process::Gone => return Ok(None),
            Process::Foreign => return postmaster::disown(&data).map(|()| None),
            Process::Ours => {}
            Process::Unclear => match running(cluster).await? {
                Some(running) => return Ok(Some(running)),
                None => return Err(EmbeddedError::InUse { data }),
            },
        }
        if let Some(running) = running(cluster).await? {
            return Ok(Some(running));
        }
        if Instant::now() >= deadline {
            let reason = format!("process {pid} is there but not ready after {} s", START_LIMIT.as_secs());
            let tail = tail(&cluster.log(), 0);
            return Err(EmbeddedError::Start { reason, log: cluster.log(), tail });
        }
        sleep(POLL).await;
    }
    Ok(None)
}

/// Starts the server. Only under the lock, and after [`settle`] found none.
pub(super) async fn start(
    cluster: &Cluster,
    binaries: &Binaries,
    home: &EmbeddedHome,
    user: Option<&ServerUser>,
    mut settings: Settings,
) -> Result<Running, EmbeddedError> {
    settings.version.clone_from(&binaries.version);
    let orphans_until = Instant::now() + ORPHAN_LIMIT;
    let mut tries = 0;
    loop {
        if !is_free(settings.port) {
            settings.port = free_port(cluster)?;
        }
        cluster.write_settings(&settings)?;
        let log = open_log(cluster).await?;
        let from = log.metadata().map_or(0, |meta| meta.len());
        let mut child = launch(cluster, binaries, home, user, settings.port, log)?;
        let Some(end) = wait(cluster, &mut child, &settings).await? else {
            return Ok(describe(cluster, child.id().unwrap_or_default(), settings.port, settings));
        };
        let tail = tail(&cluster.log(), from);
        tries += 1;
        let taken = ["could not bind", "could not create any TCP/IP sockets"];
        if tries < PORT_TRIES && taken.iter().any(|words| tail.contains(words)) {
            settings.port = free_port(cluster)?;
        } else if tail.contains("shared memory block") && Instant::now() < orphans_until {
            sleep(Duration::from_millis(200)).await;
        } else {
            return Err(EmbeddedError::Start { reason: end, log: cluster.log(), tail });
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((HOST, port)).is_ok()
}

fn free_port(cluster: &Cluster) -> Result<u16, EmbeddedError> {
    let socket = TcpListener::bind((HOST, 0)).and_then(|listener| listener.local_addr());
    socket.map(|address| address.port()).map_err(EmbeddedError::io("find a free port for", &cluster.folder))
}

/// Opens the log and locks it. The server's processes inherit the lock with their standard error and hold it as long as
/// one of them lives, whatever became of the pid file and in whichever container they run: two servers never get at the
/// same data. (Not on NFS, which has no such locks; PostgreSQL's own check remains.)
async fn open_log(cluster: &Cluster) -> Result<File, EmbeddedError> {
    let path = cluster.log();
    let deadline = Instant::now() + ORPHAN_LIMIT;
    loop {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))?;
        set_mode(&path, 0o600)?;
        match log.try_lock() {
            Ok(()) if log.metadata().is_ok_and(|meta| meta.len() > LOG_BYTES) => {
                std::fs::rename(&path, path.with_extension("log.old"))
                    .map_err(EmbeddedError::io("rename", &path))?;
            }
            Ok(()) => return Ok(log),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(EmbeddedError::InUse { data: cluster.data() });
            }
            Err(TryLockError::WouldBlock) => sleep(POLL).await,
            Err(TryLockError::Error(source)) if source.kind() == std::io::ErrorKind::Unsupported => {
                return Ok(log);
            }
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::io("lock", path)(source)),
        }
    }
}

fn launch(
    cluster: &Cluster,
    binaries: &Binaries,
    home: &EmbeddedHome,
    user: Option<&ServerUser>,
    port: u16,
    log: File,
) -> Result<Child, EmbeddedError> {
    let postgres = binaries.bin.join("postgres");
    let mut command = detached(&postgres, home, user);
    let errors = log.try_clone().map_err(EmbeddedError::io("open", cluster.log()))?;
    command.arg("-D").arg(cluster.data()).arg("-p").arg(port.to_string());
    command.stdout(log).stderr(errors).kill_on_drop(false);
    command.spawn().map_err(EmbeddedError::io("run", postgres))
}

/// In a process group of its own, so that Ctrl-C in the terminal is not for it, and without files that dbctl inherited:
/// whoever waits for the end of a pipe, or for a lock that a script holds on descriptor 9, would wait as long as the
/// server runs. Only bash can close descriptors above 9.
#[cfg(unix)]
fn detached(postgres: &Path, home: &EmbeddedHome, user: Option<&ServerUser>) -> Command {
    const CLOSE_AND_RUN: &str = r#"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
        if [ -n "$BASH_VERSION" ]; then
            for file in /dev/fd/*; do
                case ${file##*/} in [0-9] | *[!0-9]*) ;; *) eval "exec ${file##*/}>&-" ;; esac
            done
        fi
        exec "$@""#;
    let shell = ["/bin/bash", "/bin/sh"].into_iter().map(Path::new).find(|shell| shell.exists());
    let mut command = program::postgres(shell.unwrap_or(Path::new("/bin/sh")), home, user);
    command.args(["-c", CLOSE_AND_RUN, "sh"]).arg(postgres).process_group(0);
    command
}

#[cfg(not(unix))]
fn detached(postgres: &Path, home: &EmbeddedHome, user: Option<&ServerUser>) -> Command {
    program::postgres(postgres, home, user)
}

/// Waits until the server lets dbctl in (`None`) or has ended (how).
async fn wait(
    cluster: &Cluster,
    child: &mut Child,
    settings: &Settings,
) -> Result<Option<String>, EmbeddedError> {
    let data = cluster.data();
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Some(status) = child.try_wait().map_err(EmbeddedError::io("wait for the server of", &data))? {
            return Ok(Some(status.to_string()));
        }
        let file = postmaster::read(&data).filter(|file| Some(file.pid) == child.id());
        if file.is_some_and(|file| file.state == State::Ready) {
            match prove(settings.port, settings, &data).await {
                Proof::Ours => return Ok(None),
                Proof::NotYet => {}
                Proof::Foreign => return Err(refused(cluster, settings, "another server answers there")),
                Proof::Refused(reason) => return Err(refused(cluster, settings, &reason)),
            }
        }
        if Instant::now() >= deadline {
            let reason = format!("not ready after {} s", START_LIMIT.as_secs());
            return Err(EmbeddedError::Start { reason, log: cluster.log(), tail: tail(&cluster.log(), 0) });
        }
        sleep(POLL).await;
    }
}

fn refused(cluster: &Cluster, settings: &Settings, reason: &str) -> EmbeddedError {
    EmbeddedError::Refused { port: settings.port, reason: reason.to_owned(), settings: cluster.settings() }
}

/// What a connection with the server's password tells.
enum Proof {
    Ours,
    NotYet,
    Foreign,
    Refused(String),
}

/// Connects with the password and asks for the data folder.
async fn prove(port: u16, settings: &Settings, data: &Path) -> Proof {
    match timeout(CONNECT_LIMIT, data_directory(port, settings)).await {
        Err(_) => Proof::NotYet,
        Ok(Ok(folder)) if postmaster::same_folder(Path::new(&folder), data) => Proof::Ours,
        Ok(Ok(_)) => Proof::Foreign,
        Ok(Err(error)) => match error.code() {
            None => Proof::NotYet,
            Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => Proof::NotYet,
            // The password was right, but somebody dropped the database `postgres`.
            Some(code) if *code == SqlState::UNDEFINED_DATABASE => Proof::Ours,
            Some(_) => Proof::Refused(error.as_db_error().map_or(String::new(), ToString::to_string)),
        },
    }
}

async fn data_directory(port: u16, settings: &Settings) -> Result<String, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(HOST.to_string()).port(port).user(&settings.user).password(&settings.password);
    config.dbname("postgres").application_name("dbctl").connect_timeout(CONNECT_LIMIT);
    let (client, connection) = config.connect(NoTls).await?;
    // The connection ends when the client is dropped, at the end of this block.
    let ask = async move {
        let rows = client.simple_query("show data_directory").await?;
        Ok(rows.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    };
    let (answer, ended) = future::join(ask, connection).await;
    ended?;
    answer.map(Option::unwrap_or_default)
}

/// Stops the server, `false` where none runs. Only under the lock.
pub(super) async fn stop(cluster: &Cluster) -> Result<bool, EmbeddedError> {
    let data = cluster.data();
    let Some(PidFile { pid, .. }) = postmaster::read(&data) else { return Ok(false) };
    match postmaster::process(pid, &data) {
        Process::Ours => {}
        Process::Gone => return Ok(false),
        Process::Foreign => return postmaster::disown(&data).map(|()| false),
        Process::Unclear if running(cluster).await?.is_some() => {}
        Process::Unclear => return Ok(false),
    }
    for (shutdown, limit_s) in [(Shutdown::Fast, FAST_STOP_S), (Shutdown::Immediate, IMMEDIATE_STOP_S)] {
        postmaster::signal(pid, shutdown);
        let deadline = Instant::now() + Duration::from_secs(limit_s);
        while Instant::now() < deadline {
            if matches!(postmaster::process(pid, &data), Process::Gone | Process::Foreign) {
                return Ok(true);
            }
            sleep(POLL).await;
        }
    }
    Err(EmbeddedError::Stop { pid, waited_s: FAST_STOP_S + IMMEDIATE_STOP_S })
}

/// The last lines of the log from a position on.
fn tail(log: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(16 << 10)).min(end)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map(|text| program::last_lines(text.trim_end(), 20)).unwrap_or_default()
}
