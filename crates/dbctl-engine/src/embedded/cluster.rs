//! Making a data folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use uuid::Uuid;

use super::{
    Binaries, EmbeddedError, EmbeddedHome,
    place::{Cluster, Settings, make_folder, set_mode},
    program,
    user::{self, ServerUser},
};

/// The superuser that dbctl connects as.
const SUPERUSER: &str = "postgres";
const INITDB_LIMIT: Duration = Duration::from_secs(120);
const UNFINISHED: &str = "unfinished-";
const CONF_FILE: &str = "dbctl.conf";

/// What dbctl sets. It stands at the end of postgresql.conf as an include, so that people can override it after that;
/// only the port is given on the command line.
///
/// `fsync` stays on: what somebody typed into a development database is worth the milliseconds. No Unix socket: TCP on
/// the loopback address works from every driver, and a socket's path would have to stay under 108 bytes. UTC, so that
/// results do not hang on the machine.
const CONF: &str = "\
# Written by dbctl when it made this server. To change something, write it below the include in postgresql.conf.
cluster_name = 'dbctl'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = '64MB'
max_connections = 100
max_prepared_transactions = 10
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] %d '
lc_messages = 'C'
timezone = 'UTC'
log_timezone = 'UTC'
";

/// Whether the cluster has data; fails where it has it in parts or of another version.
pub(super) fn exists(cluster: &Cluster) -> Result<bool, EmbeddedError> {
    let data = cluster.data();
    let entries = match fs::read_dir(&data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(EmbeddedError::io("read", &data))?,
    };
    if entries.count() == 0 {
        return Ok(false);
    }
    let needed = ["PG_VERSION", "global/pg_control", "postgresql.conf", "base", "pg_wal"];
    if let Some(missing) = needed.into_iter().find(|name| !data.join(name).exists()) {
        return Err(EmbeddedError::Damaged { data, missing });
    }
    let file = data.join("PG_VERSION");
    let found = fs::read_to_string(&file).map_err(EmbeddedError::io("read", file))?.trim().to_owned();
    if found == cluster.major.to_string() {
        Ok(true)
    } else {
        Err(EmbeddedError::VersionMismatch { data, found, wanted: cluster.major })
    }
}

/// Makes the data folder: aside first and then moved, so that an `initdb` that is killed leaves no half of one.
pub(super) async fn create(
    cluster: &Cluster,
    binaries: &Binaries,
    home: &EmbeddedHome,
    user: Option<&ServerUser>,
    port: u16,
) -> Result<Settings, EmbeddedError> {
    make_folder(&cluster.folder)?;
    user::check_reach(&cluster.folder, user)?;
    clear_leftovers(&cluster.folder);
    let unfinished = cluster.folder.join(format!("{UNFINISHED}{}", Uuid::now_v7().simple()));
    fs::create_dir(&unfinished).map_err(EmbeddedError::io("make the folder", &unfinished))?;
    set_mode(&unfinished, 0o700)?;
    user::hand_over(&unfinished, user)?;

    let settings = Settings {
        port,
        user: SUPERUSER.to_owned(),
        password: Uuid::new_v4().simple().to_string(),
        version: binaries.version.clone(),
    };
    initdb(cluster, binaries, home, user, &unfinished, &settings).await?;
    configure(&unfinished, user)?;
    // The password first: data without it would be lost, a password without data does no harm.
    cluster.write_settings(&settings)?;
    let data = cluster.data();
    fs::rename(&unfinished, &data).map_err(EmbeddedError::io("put in place", data))?;
    // Again: the initdb of a killed command may have gone on for a moment, into its own folder.
    clear_leftovers(&cluster.folder);
    Ok(settings)
}

async fn initdb(
    cluster: &Cluster,
    binaries: &Binaries,
    home: &EmbeddedHome,
    user: Option<&ServerUser>,
    data: &Path,
    settings: &Settings,
) -> Result<(), EmbeddedError> {
    let folder = &cluster.folder;
    // Made with mode 0600 and deleted when it goes out of scope.
    let mut password = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
        .map_err(EmbeddedError::io("make a file in", folder))?;
    writeln!(password, "{}", settings.password).map_err(EmbeddedError::io("write", password.path()))?;
    user::hand_over(password.path(), user)?;

    let mut command = program::postgres(&binaries.bin.join("initdb"), home, user);
    command.arg("--pgdata").arg(data).arg("--pwfile").arg(password.path());
    command.args(["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"]);
    command.args(locale(cluster.major));
    let done = program::run(&mut command, INITDB_LIMIT).await;
    done.map(drop).map_err(|output| EmbeddedError::InitDb { output })
}

/// Same order and same letters on every machine. The system's locales differ between systems and even releases of the C
/// library; C does not but knows ASCII letters only; from 17 on PostgreSQL brings a C.UTF-8 of its own that knows all.
fn locale(major: u32) -> &'static [&'static str] {
    if major >= 17 {
        &["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    } else {
        &["--locale=C"]
    }
}

fn configure(data: &Path, user: Option<&ServerUser>) -> Result<(), EmbeddedError> {
    let ours = data.join(CONF_FILE);
    fs::write(&ours, CONF).map_err(EmbeddedError::io("write", &ours))?;
    set_mode(&ours, 0o600)?;
    user::hand_over(&ours, user)?;
    let conf = data.join("postgresql.conf");
    let append = |mut file: File| writeln!(file, "\ninclude_if_exists = '{CONF_FILE}'");
    File::options().append(true).open(&conf).and_then(append).map_err(EmbeddedError::io("write", conf))
}

fn clear_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
        let path = entry.path();
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}
