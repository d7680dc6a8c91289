//! One private server for a test binary, which ends with it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
};

use dbctl_engine::embedded::{EmbeddedHome, EmbeddedSpec, Running, ensure};
use secrecy::ExposeSecret;
use tokio_postgres::{Client, NoTls};

use crate::asked_postgres;

/// The server, started by whoever needs it first.
pub(crate) static SERVER: LazyLock<(EmbeddedSpec, Running)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let state = folder.join("state").to_str().map(str::to_owned);
    let home = EmbeddedHome::from_vars(|name| match name {
        "DBCTL_STATE_DIR" => state.clone(),
        _ => asked_postgres::var(name),
    });
    let workspace = folder.join("workspace");
    fs::create_dir_all(&workspace).unwrap();
    let spec = EmbeddedSpec { workspace, major: None, home };
    let started = spec.clone();
    let running = thread::spawn(move || {
        runtime().block_on(async {
            let running = ensure(&started).await.unwrap();
            // Roles other than superusers reach the maintenance databases only as `insider`s.
            let sql = "create role insider; grant connect on database postgres to insider; \
                       revoke connect on database postgres, template1 from public";
            connect(&running, "postgres").await.batch_execute(sql).await.unwrap();
            running
        })
    })
    .join()
    .unwrap();
    stop_with_us(&running, &folder);
    (spec, running)
});

/// Nothing runs after the last test, so a watcher stops the server once this process is gone.
#[expect(clippy::zombie_processes, reason = "the watcher outlives this process")]
fn stop_with_us(running: &Running, folder: &std::path::Path) {
    let wait = "while kill -0 $1 2>/dev/null; do sleep 0.2; done; kill -INT $2; \
                while kill -0 $2 2>/dev/null; do sleep 0.2; done; rm -rf \"$3\"";
    Command::new("sh")
        .args(["-c", wait, "sh", &std::process::id().to_string(), &running.pid.to_string()])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A connection beside those that are tested.
pub(crate) async fn connect(running: &Running, database: &str) -> Client {
    let url = running.url(database);
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
