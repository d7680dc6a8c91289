//! Where a repository's servers live: one folder per repository in the user's state, one in it per major version.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::{EmbeddedError, EmbeddedSpec, user};

/// Longer than the longest thing done under the lock, which is fetching the binaries.
const LOCK_WAIT_S: u64 = 360;
const POLL: Duration = Duration::from_millis(20);

/// One repository's folder in the user's state.
#[derive(Debug)]
pub(super) struct Place {
    workspace: PathBuf,
    folder: PathBuf,
    /// The port tried first, so that a repository's URL stays the same: below the ranges systems hand out themselves.
    pub(super) preferred_port: u16,
}

/// What dbctl must know to get into a server it made. In a file of mode 0600, beside the data.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) version: String,
}

/// The files of one major version's server.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Cluster {
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.folder.join("server.json")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(super) fn read_settings(&self) -> Result<Settings, EmbeddedError> {
        let path = self.settings();
        let wrong =
            |problem: String| EmbeddedError::Settings { path: path.clone(), problem: problem.to_string() };
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    pub(super) fn write_settings(&self, settings: &Settings) -> Result<(), EmbeddedError> {
        let path = self.settings();
        let text = serde_json::to_string_pretty(settings)
            .map_err(|error| EmbeddedError::Settings { path: path.clone(), problem: error.to_string() })?;
        replace(&path, &format!("{text}\n")).map_err(EmbeddedError::io("write", path))
    }
}

impl Place {
    pub(super) fn of(spec: &EmbeddedSpec) -> Result<Self, EmbeddedError> {
        let state = spec.home.state.as_deref().ok_or(EmbeddedError::NoStateFolder)?;
        let workspace = fs::canonicalize(&spec.workspace)
            .map_err(|source| EmbeddedError::Workspace { workspace: spec.workspace.clone(), source })?;
        let repository = repository(&workspace);
        let digest = Sha256::digest(repository.as_os_str().as_encoded_bytes());
        let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let preferred_port = 20_000 + u16::from_be_bytes([digest[6], digest[7]]) % 10_000;
        let folder = state.join("servers").join(format!("{}-{hash}", slug(&repository)));
        Ok(Self { workspace, folder, preferred_port })
    }

    pub(super) fn cluster(&self, major: u32) -> Cluster {
        Cluster { folder: self.folder.join(major.to_string()), major }
    }

    /// Which major a server is of when none is asked for: the one this repository began with, so that installing a
    /// newer PostgreSQL does not lead to an empty server; `None` while there is none.
    pub(super) fn default_major(&self) -> Option<u32> {
        let recorded = fs::read_to_string(self.default_file()).ok().and_then(|text| text.trim().parse().ok());
        recorded.or_else(|| self.majors().into_iter().max())
    }

    /// Records [`Self::default_major`], so that a server of another major, asked for later, does not change it.
    pub(super) fn keep_default(&self) -> Result<(), EmbeddedError> {
        let file = self.default_file();
        match self.default_major() {
            Some(major) if !file.exists() => {
                replace(&file, &format!("{major}\n")).map_err(EmbeddedError::io("write", file))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Forgets [`Self::default_major`] where it is this one, whose data is gone.
    pub(super) fn forget_default(&self, major: u32) -> Result<(), EmbeddedError> {
        let file = self.default_file();
        let recorded: Option<u32> = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        if recorded != Some(major) {
            return Ok(());
        }
        fs::remove_file(&file).map_err(EmbeddedError::io("delete", file))
    }

    fn default_file(&self) -> PathBuf {
        self.folder.join("default")
    }

    /// The majors that have data here.
    pub(super) fn majors(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut majors: Vec<u32> = numbers.filter(|major| self.cluster(*major).data().is_dir()).collect();
        majors.sort_unstable();
        majors
    }

    /// Waits for the lock under which a server is made, started and stopped; it ends with the file.
    pub(super) async fn lock(&self) -> Result<File, EmbeddedError> {
        make_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))?;
        let deadline = Instant::now() + Duration::from_secs(LOCK_WAIT_S);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(EmbeddedError::io("lock", path)(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(EmbeddedError::Busy { lock: path, waited_s: LOCK_WAIT_S });
                }
                Err(TryLockError::WouldBlock) => sleep(POLL).await,
            }
        }
    }

    /// Leaves word in the workspace of where the data is. A workspace that cannot be written to does without.
    pub(super) fn leave_pointer(&self) {
        let _ = self.write_pointer();
    }

    fn write_pointer(&self) -> io::Result<()> {
        #[derive(Serialize)]
        struct Server {
            postgres: u32,
            data: PathBuf,
            log: PathBuf,
        }
        #[derive(Serialize)]
        struct Pointer {
            servers: Vec<Server>,
        }
        let server = |major: u32| {
            let cluster = self.cluster(major);
            Server { postgres: major, data: cluster.data(), log: cluster.log() }
        };
        let pointer = Pointer { servers: self.majors().into_iter().map(server).collect() };
        let text = format!("{}\n", serde_json::to_string_pretty(&pointer)?);
        let folder = self.workspace.join(".dbctl");
        let file = folder.join("servers.json");
        if fs::read_to_string(&file).is_ok_and(|there| there == text) {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        let ignore = folder.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        replace(&file, &text)
    }
}

/// What `git rev-parse --git-common-dir` says, else the workspace: worktrees of a repository share it.
///
/// Read from disk as gitrepository-layout(5) describes it rather than asked of git, so that the answer is the same
/// without git on PATH, inside a hook (where git sets `GIT_DIR`) and in a folder whose owner git distrusts.
fn repository(workspace: &Path) -> PathBuf {
    workspace.ancestors().find_map(common_dir).unwrap_or_else(|| workspace.to_path_buf())
}

fn common_dir(folder: &Path) -> Option<PathBuf> {
    let dot_git = folder.join(".git");
    let git_dir = if dot_git.is_dir() {
        dot_git
    } else {
        folder.join(fs::read_to_string(&dot_git).ok()?.strip_prefix("gitdir:")?.trim())
    };
    git_dir.join("HEAD").symlink_metadata().ok()?;
    let common = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(relative) => git_dir.join(relative.trim_end_matches('\n')),
        Err(_) => git_dir,
    };
    fs::canonicalize(common).ok()
}

/// A short, plain name for a repository's folder, for people who look into the state.
fn slug(repository: &Path) -> String {
    let named = if repository.ends_with(".git") { repository.parent() } else { Some(repository) };
    let name = named.and_then(Path::file_name).map(|name| name.to_string_lossy().to_lowercase());
    let plain: String = name
        .unwrap_or_default()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(32)
        .collect();
    let trimmed = plain.trim_matches('-');
    if trimmed.is_empty() { "repository".to_owned() } else { trimmed.to_owned() }
}

/// Makes a folder and those above it. Root's are open to all, because the server's user has to pass; others' are the
/// user's own. The umask does not count.
pub(super) fn make_folder(path: &Path) -> Result<(), EmbeddedError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(EmbeddedError::io("make the folder", folder))?,
        }
        set_mode(folder, if user::is_root() { 0o755 } else { 0o700 })?;
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(EmbeddedError::io("change the mode of", path))
}

#[cfg(not(unix))]
pub(super) fn set_mode(_path: &Path, _mode: u32) -> Result<(), EmbeddedError> {
    Ok(())
}

/// Writes a file whole or not at all. Only the current user can read it (temporary files are made with mode 0600).
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(folder: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(folder)
            .env_remove("GIT_DIR")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn the_repository_is_what_git_says_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        let (main, tree) = (root.join("main repo"), root.join("tree"));
        fs::create_dir_all(main.join("deep/er")).unwrap();
        git(&main, &["init", "-q"]);
        git(&main, &["commit", "-q", "--allow-empty", "-m", "first"]);
        git(&main, &["worktree", "add", "-q", tree.to_str().unwrap()]);
        for folder in [&main, &main.join("deep/er"), &tree] {
            let said = git(folder, &["rev-parse", "--path-format=absolute", "--git-common-dir"]);
            assert_eq!(repository(folder), Path::new(&said), "{}", folder.display());
        }
        assert_eq!(repository(&root), root, "no repository: the workspace itself");
        fs::create_dir_all(root.join("plain/.git")).unwrap();
        assert_eq!(repository(&root.join("plain")), root.join("plain"), "an empty .git is none");
    }

    #[test]
    fn slugs_are_short_and_plain() {
        assert_eq!(slug(Path::new("/home/u/Atriz Core/.git")), "atriz-core");
        assert_eq!(slug(Path::new("/srv/größe.git")), "gr--e-git");
        assert_eq!(slug(Path::new("/жук")), "repository");
        assert_eq!(slug(Path::new("/")), "repository");
        assert_eq!(slug(&Path::new("/").join("x".repeat(300))).len(), 32);
    }
}
