//! The databases themselves: whether they are there, making them and taking them away.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    failure::io as io_error,
    link::{Access, Link},
    lock::Lock,
};
use crate::{
    ConnectError, ConnectFailure, Creation, Endpoint, EngineError, Identity, Session, SqlError, Target,
};

/// The file of a target; what is on a server is not this engine's.
pub(super) fn file(target: &Target) -> Result<&Path, EngineError> {
    match &target.endpoint {
        Endpoint::Sqlite(path) => Ok(path),
        Endpoint::ConnInfo { .. } | Endpoint::Variables(_) | Endpoint::Embedded(_) => {
            Err(EngineError::Unsupported(format!("{} is on a server, and no file of SQLite's", target.name)))
        }
    }
}

/// The file itself, where a symbolic link leads to it: what SQLite keeps beside it is there, so the lock is, too.
fn real(path: &Path) -> PathBuf {
    let mut real = path.to_owned();
    // As many links as the system follows.
    for _ in 0..40 {
        match fs::read_link(&real) {
            Ok(to) => real = real.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => break,
        }
    }
    real
}

/// dbctl's lock of a file, for whoever writes to it.
pub(super) async fn lock(path: &Path, session: &Session<'_>) -> Result<Lock, EngineError> {
    let lock = Lock::acquire(&real(path), session).await?;
    // SQLite keeps a journal for each name, and knows nothing of what is in the other one
    // (<https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file>).
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.nlink() > 1 => Err(EngineError::File {
            doing: "write to",
            path: path.to_owned(),
            reason: format!(
                "it has {} names (hard links), and SQLite keeps a journal for each, which damages a database; give it one \
                 name of its own (`cp` makes such a file)",
                found.nlink()
            ),
        }),
        _ => Ok(lock),
    }
}

/// The file, which has to be there.
pub(super) fn present(target: &Target) -> Result<&Path, EngineError> {
    let path = file(target)?;
    if exists(path)? {
        return Ok(path);
    }
    let (database, server) = (target.name.to_string(), path.display().to_string());
    let failure = ConnectFailure::NoFile { database: database.clone(), path: path.to_owned() };
    let origin = target.origin.clone();
    Err(ConnectError { server, database, user: String::new(), origin, failure }.into())
}

pub(super) fn exists(path: &Path) -> Result<bool, EngineError> {
    match fs::metadata(path) {
        // Of a device or a pipe nothing would be left once it is dropped.
        Ok(found) if !found.is_file() => Err(EngineError::File {
            doing: "open",
            path: path.to_owned(),
            reason: if found.is_dir() { "it is a folder" } else { "it is no regular file" }.to_owned(),
        }),
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(io_error("look for", path)(error)),
    }
}

/// The file, whatever way leads to it; of one that is not there the folder is.
pub(super) fn identity(path: &Path) -> Identity {
    let real = fs::canonicalize(path).unwrap_or_else(|_| {
        let path = real(path);
        let (folder, name) = (path.parent(), path.file_name().unwrap_or_default());
        folder
            .and_then(|folder| fs::canonicalize(folder).ok())
            .map_or_else(|| path.clone(), |real| real.join(name))
    });
    Identity { system: "sqlite".to_owned(), database: real.to_string_lossy().into_owned() }
}

/// Sees that a file could be made there.
pub(super) fn may_create(path: &Path) -> Result<(), EngineError> {
    exists(path)?;
    let path = real(path);
    let there = path.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = match there {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let reason = "it is no folder".to_owned();
        return Err(EngineError::File { doing: "make a database in", path: folder.to_owned(), reason });
    }
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)
        .map_err(|error| io_error("write to", folder)(error.into()))
}

/// Makes the file and the folders it is in.
pub(super) async fn create(path: &Path, session: &Session<'_>) -> Result<Creation, EngineError> {
    let path = &real(path);
    exists(path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(io_error("make the folder", folder))?;
    }
    let _lock = lock(path, session).await?;
    let was_there = exists(path)?;
    // Whoever was killed while it was made has left nothing in it.
    if was_there && fs::metadata(path).map_err(io_error("look at", path))?.len() > 0 {
        return Ok(Creation::default());
    }
    let mut link = Link::open(path, Access::Create, session.cancel.clone()).await?;
    // It stays so: readers and a writer do not wait for each other.
    let made = link.rows("PRAGMA journal_mode = WAL", Vec::new(), |_| Ok(())).await;
    link.close().await;
    made?;
    Ok(Creation { created: !was_there, extensions: Vec::new() })
}

/// Sees that nobody else has the database open, as far as SQLite can tell: of one with a rollback journal it knows only who
/// is in the middle of something.
pub(super) async fn may_drop(target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
    let path = file(target)?;
    if !exists(path)? {
        return Ok(());
    }
    let _lock = lock(path, session).await?;
    // Another run may have dropped it while this one waited.
    if !exists(path)? {
        return Ok(());
    }
    alone(path, target, session).await
}

async fn alone(path: &Path, target: &Target, session: &Session<'_>) -> Result<(), EngineError> {
    let mut link = Link::open(path, Access::Write, session.cancel.clone()).await?;
    let alone = link
        .batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT count(*) FROM main.sqlite_schema; ROLLBACK")
        .await;
    link.close().await;
    match alone {
        Err(EngineError::Sql(error)) if error.code == "SQLITE_BUSY" => {
            let message = format!("{} is open in another program", target.name);
            let hint = "stop that program; nobody can end its connection for it";
            let detail = Some(path.display().to_string());
            Err(SqlError { detail, ..SqlError::ours(&error.code, message, hint) }.into())
        }
        result => result,
    }
}

/// Takes the file away, and those that SQLite keeps beside it; `false` where there was none. A symbolic link to it stays.
pub(super) async fn drop(target: &Target, session: &Session<'_>) -> Result<bool, EngineError> {
    let path = file(target)?;
    if !exists(path)? {
        return Ok(false);
    }
    let _lock = lock(path, session).await?;
    if !exists(path)? {
        return Ok(false);
    }
    alone(path, target, session).await?;
    // The database last: without it a journal that is left would be taken for that of the next one.
    for beside in ["-journal", "-wal", "-shm", ""] {
        let mut name = real(path).into_os_string();
        name.push(beside);
        let file = PathBuf::from(name);
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("remove", &file)(error)),
        }
    }
    Ok(true)
}
