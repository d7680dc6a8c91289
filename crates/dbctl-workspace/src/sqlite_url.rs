//! URLs of SQLite databases, as the tools write them: `sqlite:data/app.db`, `sqlite:///var/lib/app.db`, `file:app.db`.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// `sqlite:` is sqlx's and dbmate's, which has `sqlite3:` as well; `file:` is SQLite's own, and Prisma's and libSQL's.
const SCHEMES: [&str; 3] = ["sqlite", "sqlite3", "file"];

/// Why such a URL leads to no file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SqliteUrlError {
    /// `:memory:`, or `mode=memory`.
    #[error("a database in memory is gone with the connection that made it")]
    Memory,
    /// Nothing, or a folder.
    #[error("the URL names no file")]
    NoFile,
    /// A `%` that is followed by something else than the two digits of a byte, or bytes that are no text.
    #[error("the URL's path is not percent-encoded as it should be: a `%` itself is `%25`")]
    Encoding,
}

impl SqliteUrlError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Memory | Self::NoFile => {
                "name a file, such as `sqlite:data/app.db` or `sqlite:///var/lib/app.db`"
            }
            Self::Encoding => "`sqlite:data/100%25.db` is the file `data/100%.db`",
        }
    }
}

/// Whether a text is the URL of a SQLite database, whatever it leads to.
pub fn is_sqlite_url(text: &str) -> bool {
    rest(text).is_some()
}

fn rest(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// The file that such a URL names, relative or absolute; `None` where the text is no such URL.
///
/// It is read as sqlx reads it: what follows `//` is the path, so that `sqlite://app.db` is relative and `sqlite:///app.db`
/// is not, and what follows `?` are the application's own settings.
pub fn sqlite_file(text: &str) -> Option<Result<PathBuf, SqliteUrlError>> {
    let rest = rest(text)?;
    let (path, settings) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path == ":memory:" || settings.split('&').any(|setting| setting == "mode=memory") {
        return Some(Err(SqliteUrlError::Memory));
    }
    Some(decoded(path).ok_or(SqliteUrlError::Encoding).and_then(|path| {
        let names_file =
            Path::new(&path).file_name().is_some() && !path.ends_with('/') && !path.ends_with("/.");
        if names_file && !path.contains('\0') { Ok(PathBuf::from(path)) } else { Err(SqliteUrlError::NoFile) }
    }))
}

fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let byte = match *first {
            b'%' => {
                let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                rest = &rest[2..];
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            other => other,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

/// The URL of a file, as every tool reads it.
pub fn sqlite_url(file: &Path) -> String {
    let mut url = String::from("sqlite:");
    for c in file.to_string_lossy().chars() {
        match c {
            '%' | '?' | '#' | ' ' | '"' | '<' | '>' | '`' | '{' | '}' => {
                url.push_str(&format!("%{:02X}", u32::from(c)))
            }
            c if c.is_control() => url.push_str(&format!("%{:02X}", u32::from(c))),
            c => url.push(c),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files() {
        for (url, file) in [
            ("sqlite:data/app.db", "data/app.db"),
            ("sqlite://data/app.db?mode=rwc", "data/app.db"),
            ("sqlite:///var/lib/app.db", "/var/lib/app.db"),
            ("sqlite:/var/lib/app.db", "/var/lib/app.db"),
            ("SQLite:app.db?cache=shared&mode=rw", "app.db"),
            ("sqlite3:app.db", "app.db"),
            ("file:./dev.db", "./dev.db"),
            ("file:///tmp/a%20b%25.db", "/tmp/a b%.db"),
            ("sqlite:../ä.db", "../ä.db"),
        ] {
            assert_eq!(sqlite_file(url), Some(Ok(PathBuf::from(file))), "{url}");
        }
        for (url, error) in [
            ("sqlite::memory:", SqliteUrlError::Memory),
            ("sqlite://:memory:", SqliteUrlError::Memory),
            ("file:x?mode=memory&cache=shared", SqliteUrlError::Memory),
            ("sqlite:", SqliteUrlError::NoFile),
            ("sqlite:///", SqliteUrlError::NoFile),
            ("sqlite:data/", SqliteUrlError::NoFile),
            ("sqlite:data/..", SqliteUrlError::NoFile),
            ("sqlite:data/.", SqliteUrlError::NoFile),
            ("sqlite:a%00b", SqliteUrlError::NoFile),
            ("sqlite:100%.db", SqliteUrlError::Encoding),
            ("sqlite:%+1.db", SqliteUrlError::Encoding),
            ("sqlite:%ff.db", SqliteUrlError::Encoding),
        ] {
            assert_eq!(sqlite_file(url), Some(Err(error)), "{url}");
        }
        for none in ["postgres://h/d", "host=sqlite:", "sqlite", "data/app.db", "libsql://x", "", "service=x"]
        {
            assert_eq!(sqlite_file(none), None, "{none}");
            assert!(!is_sqlite_url(none), "{none}");
        }
    }

    #[test]
    fn files_have_urls() {
        for file in ["/var/lib/app.db", "/tmp/a b%?#.db", "/ä/\u{7f}.db", "rel.db"] {
            let url = sqlite_url(Path::new(file));
            assert_eq!(sqlite_file(&url), Some(Ok(PathBuf::from(file))), "{url}");
        }
        assert_eq!(sqlite_url(Path::new("/a b.db")), "sqlite:/a%20b.db");
    }
}
