//! dbctl's lock of a SQLite database: a file beside it, locked for as long as its holder lives.
//!
//! SQLite's own locks last as long as a transaction, and no longer. The file is locked by `flock`, so that the system gives it
//! back however a process ends. It is never the database's own file: closing that would give SQLite's locks back.

use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::failure::io;
use crate::{EngineError, LockHolder, Session};

/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// The lock; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock of a database, and waits for it for `session.wait`, then [`EngineError::Locked`].
    pub(super) async fn acquire(database: &Path, session: &Session<'_>) -> Result<Self, EngineError> {
        let path = beside(database);
        let until = Instant::now() + session.wait;
        let mut pause = Duration::from_millis(10);
        let mut told = false;
        loop {
            if session.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let holder = match attempt(&path, session)? {
                Attempt::Held(lock) => return Ok(lock),
                // Whoever held it has taken the file away.
                Attempt::Gone => continue,
                Attempt::Busy(holder) => holder,
            };
            if Instant::now() >= until {
                return Err(EngineError::Locked { database: shown(database), holder });
            }
            if let (false, Some(holder)) = (told, &holder) {
                session.observer.waiting(holder);
                told = true;
            }
            tokio::select! {
                () = session.cancel.cancelled() => return Err(EngineError::Cancelled),
                () = sleep(pause.min(until.saturating_duration_since(Instant::now()))) => {}
            }
            pause = (pause * 2).min(PAUSE);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: whoever opened it in this moment sees that it is gone.
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock's file.
pub(super) fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-dbctl");
    name.into()
}

fn shown(database: &Path) -> String {
    database.file_name().unwrap_or(database.as_os_str()).to_string_lossy().into_owned()
}

enum Attempt {
    Held(Lock),
    Gone,
    Busy(Option<LockHolder>),
}

fn attempt(path: &Path, session: &Session<'_>) -> Result<Attempt, EngineError> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        // What a link leads to is not dbctl's to write.
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(io("open", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy(holder(&mut file))),
        Err(TryLockError::Error(error)) => return Err(io("lock", path)(error)),
    }
    let ours = file.metadata().map_err(io("look at", path))?;
    match fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {}
        _ => return Ok(Attempt::Gone),
    }
    let since = Timestamp::now().round(jiff::Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let who = format!("{}\ndbctl {} {}\n{since}\n", std::process::id(), session.verb, session.stamp.run);
    // Only a help for whoever waits.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(who.as_bytes()));
    Ok(Attempt::Held(Lock { path: path.to_owned(), _file: file }))
}

/// Who wrote the file, as far as it is written.
fn holder(file: &mut File) -> Option<LockHolder> {
    let mut text = String::new();
    file.take(1000).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(LockHolder {
        pid: lines.next()?.parse().ok()?,
        application: lines.next()?.to_owned(),
        client: Some("this machine".to_owned()),
        since: lines.next().map(str::to_owned),
        query_since: None,
        is_process: true,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use dbctl_migration::RunStamp;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Notice, Observer};

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn notice(&self, _notice: Notice) {}

        fn waiting(&self, holder: &LockHolder) {
            self.0.lock().unwrap().push(holder.to_string());
        }
    }

    fn session<'s>(stamp: &'s RunStamp, heard: &'s Heard, wait: Duration) -> Session<'s> {
        Session { verb: "migrate", stamp, cancel: CancellationToken::new(), observer: heard, wait }
    }

    #[tokio::test]
    async fn one_holds_it_and_the_others_are_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let (stamp, heard) = (RunStamp { run: "r1".into(), dbctl_version: "0".into() }, Heard::default());
        let session = session(&stamp, &heard, Duration::ZERO);
        let lock = Lock::acquire(&database, &session).await.unwrap();
        let refused = Lock::acquire(&database, &session).await.unwrap_err().to_string();
        let who = format!("pid {}, dbctl migrate r1, from this machine, since ", std::process::id());
        assert!(refused.starts_with(&format!("another run holds the lock of a.db: {who}")), "{refused}");
        drop(lock);
        assert!(!beside(&database).exists());
        Lock::acquire(&database, &session).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_waits_is_told_once_and_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let (stamp, heard) = (RunStamp { run: "r1".into(), dbctl_version: "0".into() }, Heard::default());
        let session = session(&stamp, &heard, Duration::from_secs(60));
        let lock = Lock::acquire(&database, &session).await.unwrap();
        let release = async {
            while heard.0.lock().unwrap().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
            drop(lock);
        };
        let (again, ()) = tokio::join!(Lock::acquire(&database, &session), release);
        again.unwrap();
        assert_eq!(heard.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn whoever_is_stopped_stops_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let (stamp, heard) = (RunStamp { run: "r1".into(), dbctl_version: "0".into() }, Heard::default());
        let session = session(&stamp, &heard, Duration::from_secs(600));
        let _lock = Lock::acquire(&database, &session).await.unwrap();
        let stop = async {
            while heard.0.lock().unwrap().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
            session.cancel.cancel();
        };
        let (stopped, ()) = tokio::join!(Lock::acquire(&database, &session), stop);
        assert!(matches!(stopped, Err(EngineError::Cancelled)), "{stopped:?}");
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error_with_its_path() {
        let (stamp, heard) = (RunStamp { run: "r1".into(), dbctl_version: "0".into() }, Heard::default());
        let session = session(&stamp, &heard, Duration::ZERO);
        let error = Lock::acquire(Path::new("/nowhere/a.db"), &session).await.unwrap_err().to_string();
        assert_eq!(error, "cannot open /nowhere/a.db-dbctl: No such file or directory (os error 2)");
    }
}
