//! Where the user's folders are, decided from variables that the caller read.

use std::path::{Path, PathBuf};

use super::user;

/// The user's folders and where programs are looked for. Only the command reads the environment: it passes what it
/// read to [`EmbeddedHome::from_vars`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedHome {
    /// Folder that holds dbctl's servers; `None` where no variable and no user entry says where it could be.
    pub state: Option<PathBuf>,
    /// Folder that holds what can be fetched again, such as PostgreSQL's binaries.
    pub cache: Option<PathBuf>,
    /// `DBCTL_PG_BIN`: the folder of the server programs that are taken before any other.
    pub pg_bin: Option<PathBuf>,
    /// The folders of `PATH`, in order.
    pub path: Vec<PathBuf>,
}

/// Who the folders are for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Root,
    Unix,
    Mac,
    Windows,
}

impl EmbeddedHome {
    /// Decides the folders from environment variables.
    ///
    /// `DBCTL_STATE_DIR` and `DBCTL_CACHE_DIR` win. Root gets `/var/lib/dbctl` and `/var/cache/dbctl` whatever else is
    /// set, because the server does not run as root and its user cannot enter root's home. Others get the platform's
    /// folders: `XDG_STATE_HOME` or `~/.local/state` and `XDG_CACHE_HOME` or `~/.cache`, `~/Library` on macOS,
    /// `LOCALAPPDATA` on Windows. Variables that are empty or relative count as unset, as the XDG rules ask.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let kind = if user::is_root() {
            Kind::Root
        } else if cfg!(windows) {
            Kind::Windows
        } else if cfg!(target_os = "macos") {
            Kind::Mac
        } else {
            Kind::Unix
        };
        let (state, cache) = folders(kind, &var, user::home);
        let path = var("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        let pg_bin = var("DBCTL_PG_BIN").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Self { state, cache, pg_bin, path }
    }

    /// The file of a program on `PATH`.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().filter(|folder| folder.is_absolute()).find_map(|folder| program_in(folder, name))
    }
}

/// A program in a folder, with the endings that Windows gives programs.
pub(super) fn program_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };
    endings.iter().map(|ending| folder.join(format!("{name}{ending}"))).find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

fn folders(
    kind: Kind,
    var: &impl Fn(&str) -> Option<String>,
    passwd_home: impl Fn() -> Option<PathBuf>,
) -> (Option<PathBuf>, Option<PathBuf>) {
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").or_else(&passwd_home);
    let in_home = |folder: &str| home().map(|home| home.join(folder));
    let (state, cache) = match kind {
        Kind::Root => (Some("/var/lib/dbctl".into()), Some("/var/cache/dbctl".into())),
        Kind::Unix => (
            absolute("XDG_STATE_HOME").or_else(|| in_home(".local/state")).map(|folder| folder.join("dbctl")),
            absolute("XDG_CACHE_HOME").or_else(|| in_home(".cache")).map(|folder| folder.join("dbctl")),
        ),
        Kind::Mac => (in_home("Library/Application Support/dbctl"), in_home("Library/Caches/dbctl")),
        Kind::Windows => {
            let local = absolute("LOCALAPPDATA").map(|folder| folder.join("dbctl"));
            (local.clone(), local.map(|folder| folder.join("cache")))
        }
    };
    (absolute("DBCTL_STATE_DIR").or(state), absolute("DBCTL_CACHE_DIR").or(cache))
}

#[cfg(all(test, unix))]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(kind: Kind, vars: &[(&str, &str)]) -> String {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let (state, cache) = folders(kind, &var, || None);
        let show = |path: Option<PathBuf>| path.map_or("-".to_owned(), |p| p.display().to_string());
        format!("{} {}", show(state), show(cache))
    }

    #[test]
    fn folders_follow_the_platform() {
        assert_snapshot!(check(Kind::Unix, &[("HOME", "/home/u")]), @"/home/u/.local/state/dbctl /home/u/.cache/dbctl");
        assert_snapshot!(
            check(Kind::Unix, &[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("XDG_CACHE_HOME", "relative")]),
            @"/s/dbctl /h/.cache/dbctl"
        );
        assert_snapshot!(check(Kind::Unix, &[]), @"- -");
        assert_snapshot!(
            check(Kind::Mac, &[("HOME", "/Users/u"), ("XDG_STATE_HOME", "/s")]),
            @"/Users/u/Library/Application Support/dbctl /Users/u/Library/Caches/dbctl"
        );
        assert_snapshot!(check(Kind::Windows, &[("LOCALAPPDATA", "/l")]), @"/l/dbctl /l/dbctl/cache");
        assert_snapshot!(
            check(Kind::Root, &[("HOME", "/root"), ("XDG_STATE_HOME", "/root/s")]),
            @"/var/lib/dbctl /var/cache/dbctl"
        );
        assert_snapshot!(
            check(Kind::Root, &[("DBCTL_STATE_DIR", "/a b"), ("DBCTL_CACHE_DIR", "/c")]),
            @"/a b /c"
        );
    }
}
