//! What the manifest says of databases that are SQLite files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use dbctl_migration::{DatabaseName, Dialect, FormatKind};

use crate::{
    Database, Key, Span, Way,
    interpolate::has_references,
    location::Places,
    paths::{PathError, inside, join, real, shown},
    problem::Problems,
    raw,
    sqlite_url::{is_sqlite_url, sqlite_file},
    vars::Vars,
    yaml::{Text, Word},
};

/// What the files of a folder of databases end with.
const EXTENSION: &str = "db";

/// Whose SQL a database speaks, and whether the manifest says so whatever the variables are.
#[derive(Clone, Copy)]
pub(crate) struct Speech {
    pub(crate) dialect: Dialect,
    pub(crate) is_fixed: bool,
}

impl Speech {
    /// Where the place cannot be told, somebody says so who needs it.
    pub(crate) fn of(way: Option<&Way>, is_fixed: bool) -> Self {
        let dialect = match way {
            Some(Way::Sqlite(_)) => Dialect::Sqlite,
            Some(Way::Url(_) | Way::Libpq | Way::Embedded { .. }) | None => Dialect::Postgres,
        };
        Self { dialect, is_fixed }
    }

    /// Says so where the tool has nothing to do with such a database.
    pub(crate) fn check_format(self, kind: FormatKind, span: Span, problems: &mut Problems) {
        if kind.speaks(self.dialect) {
            return;
        }
        let known: Vec<&str> = FormatKind::speaking(self.dialect).map(FormatKind::as_str).collect();
        problems
            .at(span, format!("dbctl does not run migrations of `{kind}` on SQLite"))
            .hint(format!("on SQLite dbctl knows {}", known.join(", ")));
    }
}

/// What a declaration says that means nothing to a file.
pub(crate) fn check_useless(declared: &raw::Database, problems: &mut Problems) {
    let no_server = "there is no server before a file";
    let said: [(&str, Option<&Text>, &str); 5] = [
        ("admin_url", declared.admin_url.as_ref(), no_server),
        ("direct_url", declared.direct_url.as_ref(), no_server),
        ("pooler", declared.pooler.as_ref(), no_server),
        ("owner", declared.owner.as_ref(), "a file has no roles"),
        (
            "extensions",
            declared.extensions.as_ref().and_then(|extensions| extensions.first()),
            "whatever opens the file loads its own",
        ),
    ];
    for (name, text, why) in said {
        if let Some(text) = text {
            problems
                .at(text.span, format!("`{name}` means nothing to a SQLite database: {why}"))
                .once(name)
                .hint("remove it");
        }
    }
}

/// Whether a declaration says, whatever the variables are, that the database is a SQLite file.
pub(crate) fn is_file(declared: &raw::Database, server: Option<&raw::Server>) -> bool {
    match &declared.url {
        Some(url) => is_sqlite_url(url.value.trim_start()),
        None => server.is_some_and(|server| server.sqlite.is_some()),
    }
}

/// Contradictions within the declaration of a server.
pub(crate) fn check_server(declared: &raw::Server, problems: &mut Problems) {
    for (name, url) in
        [("url", &declared.url), ("admin_url", &declared.admin_url), ("direct_url", &declared.direct_url)]
    {
        let url = url.as_ref().filter(|url| is_sqlite_url(url.value.trim_start()));
        if let Some(url) = url {
            problems
                .at(url.span, format!("a server's `{name}` cannot be a SQLite file, which is one database"))
                .hint("write `sqlite: data` for a folder with a file per database, or give the database itself the `url`");
        }
    }
    if declared.sqlite.is_none() {
        return;
    }
    let embedded = declared.embedded.filter(|embedded| embedded.value).map(|embedded| embedded.span);
    let span = |text: &Option<Text>| text.as_ref().map(|text| text.span);
    for (name, span) in [
        ("url", span(&declared.url)),
        ("admin_url", span(&declared.admin_url)),
        ("direct_url", span(&declared.direct_url)),
        ("pooler", span(&declared.pooler)),
        ("embedded", embedded),
        ("postgres", span(&declared.postgres)),
    ] {
        if let Some(span) = span {
            problems.at(span, format!("`sqlite` and `{name}` exclude each other")).once(name).hint(
                "`sqlite` is a folder with a file per database, and there is no server; keep one of the two",
            );
        }
    }
}

/// Whose file is to be found, and from where.
pub(crate) struct Finder<'a> {
    /// The manifest's folder, canonical.
    pub(crate) root: &'a Path,
    /// The folder that relative URLs start from, relative to the root.
    pub(crate) base: &'a Path,
    /// What the database is called, where that is known.
    pub(crate) name: Option<&'a DatabaseName>,
    /// Whether it is called otherwise than the manifest says, so that it is another file.
    pub(crate) is_copy: bool,
}

impl Finder<'_> {
    /// The file of a database's own URL; `None` where the text is no such URL, and `Some(None)` where a problem says why it
    /// leads nowhere.
    pub(crate) fn own(&self, url: &str, span: Span, problems: &mut Problems) -> Option<Option<PathBuf>> {
        let file = match sqlite_file(url)? {
            Ok(file) => file,
            Err(error) => {
                problems.at(span, error.to_string()).hint(error.hint());
                return Some(None);
            }
        };
        Some(self.reach(self.base, &file, span, problems).and_then(|mut path| {
            if self.is_copy {
                let extension =
                    path.extension().and_then(|extension| extension.to_str()).unwrap_or(EXTENSION);
                path = path.with_file_name(format!("{}.{extension}", self.file_name(span, problems)?));
            }
            Some(path)
        }))
    }

    /// The file in a folder of databases.
    pub(crate) fn within(&self, folder: &str, span: Span, problems: &mut Problems) -> Option<PathBuf> {
        let folder = self.reach(Path::new(""), Path::new(folder), span, problems);
        let name = self.file_name(span, problems)?;
        Some(folder?.join(format!("{name}.{EXTENSION}")))
    }

    /// A path of the workspace, or an absolute one.
    fn reach(&self, base: &Path, path: &Path, span: Span, problems: &mut Problems) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        let found = path.to_str().ok_or(PathError::Empty).and_then(|path| inside(self.root, base, path));
        match found {
            Ok(relative) => Some(join(self.root, &relative)),
            Err(error) => {
                let hint = match error {
                    PathError::Empty | PathError::Absolute => error.hint().to_owned(),
                    PathError::Leaves | PathError::LeavesByLink => {
                        format!("{}, or has an absolute path", error.hint())
                    }
                };
                problems.at(span, error.to_string()).hint(hint);
                None
            }
        }
    }

    /// The name, which in a path must not lead elsewhere. Where it is not known, somebody has said why.
    fn file_name(&self, span: Span, problems: &mut Problems) -> Option<String> {
        let name = self.name?.as_str();
        let is_plain = !name.contains(['/', '\\']) && !name.starts_with('.');
        if !is_plain {
            problems
                .at(span, format!("`{name}` cannot be the name of a file"))
                .hint("give the database a `name` without `/` and `\\` that does not begin with a dot");
        }
        is_plain.then(|| name.to_owned())
    }
}

/// Reports keys that are one file. What depends on variables is wrong for who needs the second of the two.
pub(crate) fn check_files(
    databases: &mut BTreeMap<Key, Database>,
    places: &Places,
    vars: &Vars,
    root: &Path,
    problems: &mut Problems,
) {
    let mut seen: BTreeMap<PathBuf, (Key, bool)> = BTreeMap::new();
    let keys: Vec<Key> = databases.keys().cloned().collect();
    for key in keys {
        let mut wrong = Problems::default();
        let location = places.locate(&databases[&key], vars, &mut wrong);
        // What no variable can mend is wrong at once.
        if places.is_written_out(&key) {
            problems.append(&mut wrong);
        }
        let Some((Way::Sqlite(file), declared)) = location.map(|found| (found.way, found.declared)) else {
            continue;
        };
        let is_fixed = places.is_fixed(&key);
        let file = real(&file);
        let Some((first, first_is_fixed)) = seen.get(&file) else {
            seen.insert(file, (key, is_fixed));
            continue;
        };
        // Two names on one server have been compared.
        if places.sure_server(first).is_some() && places.sure_server(first) == places.sure_server(&key) {
            continue;
        }
        let place = shown(file.strip_prefix(root).unwrap_or(&file));
        let message = format!("`{first}` and `{key}` are both the file {place}");
        let is_sure = is_fixed && *first_is_fixed;
        let problems = match databases.get_mut(&key) {
            Some(database) if !is_sure => &mut database.deferred,
            Some(_) | None => &mut *problems,
        };
        problems.at(declared, message).hint("give one of them a file of its own");
    }
}

/// The server of a declaration, among those that are declared.
pub(crate) fn server_of<'s>(
    declared: &raw::Database,
    servers: &'s [(Word, raw::Server)],
) -> Option<&'s raw::Server> {
    match (&declared.server, servers) {
        (Some(name), servers) => {
            servers.iter().find(|(word, _)| word.text == name.value).map(|(_, server)| server)
        }
        (None, [(_, only)]) => Some(only),
        (None, _) => None,
    }
}

/// Whether a text comes to the same whatever the variables are.
pub(crate) fn is_fixed(text: &Text) -> bool {
    !has_references(&text.value)
}
