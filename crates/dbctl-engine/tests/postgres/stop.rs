//! Stopping a run that has no connection yet.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use dbctl_engine::{
    Endpoint, Engine, EngineError, PgVars, Postgres, Target,
    embedded::{EmbeddedHome, EmbeddedSpec},
};

use tokio::net::TcpListener;

use crate::bench::{Run, target};

/// What comes of a session that is stopped once it is on its way, and that it comes long before whatever it waits for.
async fn stopped(target: &Target, on_its_way: impl Future<Output = ()>) -> EngineError {
    let run = Run::new();
    let session = run.session();
    let started = Instant::now();
    let stop = async {
        on_its_way.await;
        run.cancel.cancel();
    };
    let engine = Postgres::new();
    let (opened, ()) = futures::join!(engine.open(target, &session), stop);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    opened.err().unwrap()
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_any_longer() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = mute.local_addr().unwrap().port();
    // Without a bound of its own, too.
    for timeout in ["60", "0"] {
        let url = format!("postgres://u:p@127.0.0.1:{port}/x?connect_timeout={timeout}");
        let endpoint = Endpoint::ConnInfo { text: url.into(), vars: PgVars::default() };
        // What was asked of it is there, and it says nothing.
        let mut held = None;
        let accepted = async {
            let (socket, _) = mute.accept().await.unwrap();
            socket.readable().await.unwrap();
            held = Some(socket);
        };
        let error = stopped(&Target { endpoint, ..target("x") }, accepted).await;
        assert!(matches!(error, EngineError::Cancelled), "{error}");
        drop(held);
    }
}

#[tokio::test]
async fn a_server_that_is_being_fetched_is_not_waited_for_and_nothing_of_npm_stays() {
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let folder = |name: &str| -> PathBuf {
        let folder = temp.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let (bin, workspace) = (folder("bin"), folder("workspace"));
    // As version managers have it: a script that runs another program.
    let npm = bin.join("npm");
    fs::write(&npm, "#!/bin/sh\nsleep 300 &\necho $$ $! > \"$(dirname \"$0\")/pids\"\nwait\n").unwrap();
    fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
    let home = EmbeddedHome {
        state: Some(temp.path().join("state")),
        cache: Some(temp.path().join("cache")),
        pg_bin: None,
        path: vec![bin.clone()],
    };
    // The oldest that npm has, which hardly anybody has installed.
    let endpoint = Endpoint::Embedded(EmbeddedSpec { workspace, major: Some(11), home });
    let started = async {
        while !fs::read_to_string(bin.join("pids")).is_ok_and(|pids| pids.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let error = stopped(&Target { endpoint, ..target("x") }, started).await;
    assert!(matches!(error, EngineError::Cancelled), "{error}");
    let pids = fs::read_to_string(bin.join("pids")).unwrap();
    for pid in pids.split_whitespace() {
        let until = Instant::now() + Duration::from_secs(60);
        while runs(pid) && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!runs(pid), "{pid} of {pids}");
    }
    let left: Vec<_> = fs::read_dir(temp.path().join("cache/postgres")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Not so a process that has ended and that nobody has waited for.
fn runs(pid: &str) -> bool {
    let stat = Path::new("/proc").join(pid).join("stat");
    fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "))
}
