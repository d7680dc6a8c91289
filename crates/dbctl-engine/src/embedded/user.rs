//! As whom the server runs: as the current user, or, because PostgreSQL refuses root, as an unprivileged one.

use std::path::{Path, PathBuf};

use super::EmbeddedError;
use crate::passwd::{self, Entry};

/// An unprivileged user that root runs the server as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerUser {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whether the current user is root.
#[cfg(unix)]
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the current user is root; PostgreSQL itself drops an administrator's rights on Windows.
#[cfg(not(unix))]
pub(super) fn is_root() -> bool {
    false
}

/// The home folder that the user database names for the current user.
pub(super) fn home() -> Option<PathBuf> {
    passwd::current().map(|user| PathBuf::from(user.home)).filter(|home| home.is_absolute())
}

/// Whom to run the server as: `None` is the current user.
pub(super) fn server_user() -> Result<Option<ServerUser>, EmbeddedError> {
    if !is_root() {
        return Ok(None);
    }
    let users = passwd::read().map_err(EmbeddedError::io("read", "/etc/passwd"))?;
    choose(&users).map(Some).ok_or(EmbeddedError::NoServerUser)
}

/// `postgres`, else `nobody`: a user id without an entry does not do, `initdb` refuses it.
fn choose(users: &[Entry]) -> Option<ServerUser> {
    ["postgres", "nobody"].iter().find_map(|name| {
        let user = users.iter().find(|user| user.name == *name && user.uid != 0)?;
        Some(ServerUser { name: user.name.clone(), uid: user.uid, gid: user.gid })
    })
}

/// The first folder on the way to `path`, itself included, that the server's user cannot enter.
#[cfg(unix)]
pub(super) fn barrier<'p>(path: &'p Path, user: &ServerUser) -> Option<&'p Path> {
    use std::os::unix::fs::MetadataExt;
    let mut folders: Vec<&Path> = path.ancestors().collect();
    folders.reverse();
    folders.into_iter().find(|folder| {
        folder.metadata().is_ok_and(|meta| {
            let mode = meta.mode();
            let bit = if meta.uid() == user.uid {
                mode >> 6
            } else if meta.gid() == user.gid {
                mode >> 3
            } else {
                mode
            };
            bit & 1 == 0
        })
    })
}

/// The first folder on the way to `path` that the server's user cannot enter; nobody else runs the server here.
#[cfg(not(unix))]
pub(super) fn barrier<'p>(_path: &'p Path, _user: &ServerUser) -> Option<&'p Path> {
    None
}

/// Fails where the server's user cannot enter `path`.
pub(super) fn check_reach(path: &Path, user: Option<&ServerUser>) -> Result<(), EmbeddedError> {
    let Some(user) = user else { return Ok(()) };
    let Some(folder) = barrier(path, user) else { return Ok(()) };
    Err(EmbeddedError::Unreachable { user: user.name.clone(), folder: folder.to_path_buf() })
}

/// Hands a file or folder to the server's user.
#[cfg(unix)]
pub(super) fn hand_over(path: &Path, user: Option<&ServerUser>) -> Result<(), EmbeddedError> {
    let Some(user) = user else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
        .map_err(EmbeddedError::io("change the owner of", path))
}

/// Hands a file or folder to the server's user, who is the current one here.
#[cfg(not(unix))]
pub(super) fn hand_over(_path: &Path, _user: Option<&ServerUser>) -> Result<(), EmbeddedError> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nnobody:*:-2:-2:Nobody:/var/empty:/bin/false\n";

    #[test]
    fn root_runs_the_server_as_postgres_else_as_nobody() {
        let nobody = ServerUser { name: "nobody".to_owned(), uid: 4_294_967_294, gid: 4_294_967_294 };
        let choose = |text: &str| super::choose(&passwd::parse(text));
        assert_eq!(choose(PASSWD), Some(nobody));
        let both = format!("{PASSWD}postgres:x:101:104:admin,,,:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(choose(&both).map(|user| (user.uid, user.gid)), Some((101, 104)));
        assert_eq!(choose("root:x:0:0:root:/root:/bin/bash\npostgres:x:0:0::/:\n+::::::\n"), None);
    }

    #[test]
    fn a_folder_that_only_its_owner_enters_is_a_barrier() {
        let temp = tempfile::tempdir().unwrap();
        let (closed, inner) = (temp.path().join("closed"), temp.path().join("closed/inner"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let user = ServerUser { name: "other".to_owned(), uid: 54_321, gid: 54_321 };
        assert_eq!(barrier(&inner, &user), Some(closed.as_path()));
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(barrier(&inner, &user), None);
    }
}
