//! `.pgpass`: passwords by host, port, database and user.

use std::{fmt, fs, path::PathBuf};

use secrecy::SecretString;

use super::{DEFAULT_PORT, Host, SOCKET_FOLDERS};

/// A password file as it was read.
#[derive(Clone, Default)]
pub struct Passfile {
    /// Where it is, if it was named rather than found at its usual place.
    named: Option<PathBuf>,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    /// Host, port, database, user; `None` is `*`.
    wanted: [Option<String>; 4],
    password: SecretString,
}

impl fmt::Debug for Passfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passfile").field("named", &self.named).field("entries", &self.entries.len()).finish()
    }
}

impl Passfile {
    /// Reads a password file; `named` says that a parameter or variable led to it. The second value is why it does not
    /// count, where that may surprise: libpq, too, goes on without.
    pub(super) fn read(path: PathBuf, named: bool) -> (Self, Option<String>) {
        let shown = path.display().to_string();
        let refuse =
            |why: &str| (Self::default(), Some(format!("the password file {shown} is ignored: {why}")));
        match fs::metadata(&path) {
            Err(_) if !named => return (Self::default(), None),
            Err(error) => return refuse(&error.to_string()),
            Ok(data) if !data.is_file() => return refuse("it is no plain file"),
            Ok(data) if readable_by_others(&data) => {
                return refuse("others may read it; chmod 0600 makes it count");
            }
            Ok(_) => {}
        }
        match fs::read(&path) {
            Err(error) => refuse(&error.to_string()),
            Ok(bytes) => {
                let entries = parse(&String::from_utf8_lossy(&bytes));
                (Self { named: named.then_some(path), entries }, None)
            }
        }
    }

    /// Where it is, if it was named rather than found at its usual place.
    pub(super) fn named(&self) -> Option<&PathBuf> {
        self.named.as_ref()
    }

    /// The first line that fits.
    pub(super) fn password(&self, host: &Host, database: &str, user: &str) -> Option<SecretString> {
        let (host, port) = match host {
            Host::Tcp { host, port, .. } => (host.clone(), *port),
            Host::Unix { folder, port }
                if SOCKET_FOLDERS.iter().any(|usual| folder.as_os_str() == *usual) =>
            {
                ("localhost".to_owned(), *port)
            }
            Host::Unix { folder, port } => (folder.display().to_string(), *port),
        };
        let port = if port == 0 { DEFAULT_PORT } else { port }.to_string();
        let asked = [host.as_str(), port.as_str(), database, user];
        let fits = |entry: &&Entry| {
            entry
                .wanted
                .iter()
                .zip(asked)
                .all(|(wanted, asked)| wanted.as_deref().is_none_or(|wanted| wanted == asked))
        };
        self.entries.iter().find(fits).map(|entry| entry.password.clone())
    }
}

#[cfg(unix)]
fn readable_by_others(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    data.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn readable_by_others(_data: &fs::Metadata) -> bool {
    false
}

fn parse(text: &str) -> Vec<Entry> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = Vec::with_capacity(5);
    let mut field = String::new();
    let mut escaped = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                escaped = true;
                field.push(chars.next().unwrap_or('\\'));
            }
            // What follows a fifth field is passed over, as in libpq.
            ':' if fields.len() == 4 => break,
            ':' => {
                fields.push((std::mem::take(&mut field), escaped));
                escaped = false;
            }
            c => field.push(c),
        }
    }
    let wanted: [(String, bool); 4] = fields.try_into().ok()?;
    let wanted = wanted.map(|(text, escaped)| (escaped || text != "*").then_some(text));
    Some(Entry { wanted, password: field.into() }).filter(|_| !line.is_empty())
}
