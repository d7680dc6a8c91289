//! Where a database lives.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    Database, Key, Span,
    check::{is_pooled, major},
    on_sqlite::{Finder, is_fixed},
    problem::Problems,
    raw,
    sqlite_url::is_sqlite_url,
    vars::{Vars, Viewer},
    yaml::{Text, Word},
};

/// How to reach a database, with all `${…}` evaluated.
#[derive(Debug, Clone)]
pub struct Location {
    /// The way in.
    pub way: Way,
    /// URL of whoever creates and drops databases, where that is someone else.
    pub admin: Option<SecretString>,
    /// URL past a pooler, for everything that needs a session.
    pub direct: Option<SecretString>,
    /// Where `direct` stands in the manifest, if it is the database's own and so leads to no other.
    pub own_direct: Option<Span>,
    /// Whether the way leads to a pooler that gives a session for one transaction only, by the manifest's word.
    pub pooled: bool,
    /// The server as the manifest calls it; `None` where no server is declared for this database.
    pub server: Option<String>,
    /// The most connections that may be open on that server at once.
    pub max_connections: Option<NonZeroUsize>,
    /// Whether the way is the database's own url. A server's url leads to every database of the server, whichever
    /// it names.
    pub own: bool,
    /// What decided the way, for errors.
    pub declared: Span,
}

impl Location {
    /// A file, which nothing stands before.
    fn file(path: PathBuf, own: bool, server: Option<(&str, &raw::Server)>, declared: Span) -> Self {
        Self {
            way: Way::Sqlite(path),
            admin: None,
            direct: None,
            own_direct: None,
            pooled: false,
            server: server.map(|(name, _)| name.to_owned()),
            max_connections: server.and_then(|(_, server)| max_connections(server)),
            own,
            declared,
        }
    }
}

/// The way to a server.
#[derive(Debug, Clone)]
pub enum Way {
    /// A URL or a keyword string.
    Url(SecretString),
    /// libpq's own settings (`PGHOST`, `PGSERVICE`, …), as [`crate::Workspace::vars`] gives them.
    Libpq,
    /// The private server that dbctl starts itself.
    Embedded {
        /// The major version, where the manifest asks for one.
        postgres: Option<u32>,
    },
    /// No server: a file of SQLite's, by its absolute path.
    Sqlite(PathBuf),
}

impl Way {
    fn is_embedded(&self) -> bool {
        match self {
            Self::Embedded { .. } => true,
            Self::Url(_) | Self::Libpq | Self::Sqlite(_) => false,
        }
    }
}

/// What the manifest says of where databases live, not evaluated.
#[derive(Clone)]
pub(crate) struct Places {
    /// The manifest's folder.
    root: PathBuf,
    servers: BTreeMap<String, (Span, raw::Server)>,
    databases: BTreeMap<Key, Place>,
}

#[derive(Clone)]
struct Place {
    server: Option<String>,
    url: Option<Text>,
    admin_url: Option<Text>,
    direct_url: Option<Text>,
    pooler: Option<Text>,
    /// Whether the server has no part in the url.
    is_apart: bool,
    declared: Span,
}

impl Places {
    /// From declarations with what the environment says over them, which it says in `over`.
    pub(crate) fn new(
        servers: Vec<(Word, raw::Server)>,
        databases: &[(Word, raw::Database)],
        over: Option<&raw::Environment>,
        root: &Path,
    ) -> Self {
        let place = |word: &Word, raw: &raw::Database| Place {
            server: raw.server.as_ref().map(|server| server.value.clone()),
            url: raw.url.clone(),
            admin_url: raw.admin_url.clone(),
            direct_url: raw.direct_url.clone(),
            pooler: raw.pooler.clone(),
            is_apart: raw.is_apart,
            declared: word.span,
        };
        let mut places = Self {
            root: root.to_owned(),
            servers: servers.into_iter().map(|(word, server)| (word.text, (word.span, server))).collect(),
            databases: databases
                .iter()
                .filter_map(|(word, raw)| Some((Key::parse(&word.text).ok()?, place(word, raw))))
                .collect(),
        };
        if let Some(over) = over {
            places.follow(over);
        }
        places
    }

    /// Where an environment moves a server, what a declaration says of ways to it leads to the old one.
    fn follow(&mut self, over: &raw::Environment) {
        let moved =
            |name: &str| over.servers.iter().any(|(word, server)| word.text == name && server.moves());
        let stale: Vec<Key> = self
            .databases
            .iter()
            .filter(|(_, place)| place.url.is_none())
            .filter(|(_, place)| self.server_of(place).is_some_and(|(name, _, _)| moved(name)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in stale {
            let said =
                over.databases.iter().find(|(word, _)| word.text == key.as_str()).map(|(_, said)| said);
            if let Some(place) = self.databases.get_mut(&key) {
                place.admin_url = said.and_then(|said| said.admin_url.clone());
                place.direct_url = said.and_then(|said| said.direct_url.clone());
                place.pooler = said.and_then(|said| said.pooler.clone());
            }
        }
    }

    /// The server whose declaration alone decides where a database lives; `None` where its own url has a say.
    /// `Some(None)` is the server that is meant where none is declared.
    pub(crate) fn sure_server(&self, key: &Key) -> Option<Option<String>> {
        let place = &self.databases[key];
        place.url.is_none().then(|| self.server_of(place).map(|(name, _, _)| name.to_owned()))
    }

    /// The database's `server`, else the only one declared.
    fn server_of(&self, place: &Place) -> Option<(&str, Span, &raw::Server)> {
        let name = match (&place.server, self.servers.len()) {
            (Some(name), _) => name,
            (None, 1) => self.servers.keys().next()?,
            (None, _) => return None,
        };
        self.servers.get_key_value(name).map(|(name, (span, server))| (name.as_str(), *span, server))
    }

    /// Whether no variable decides what kind of place it is.
    pub(crate) fn is_fixed(&self, key: &Key) -> bool {
        let Some(place) = self.databases.get(key) else { return true };
        match &place.url {
            Some(url) => is_fixed(url) || is_sqlite_url(url.value.trim_start()),
            None => self.server_of(place).is_none_or(|(_, _, server)| {
                server.sqlite.is_some() || server.url.as_ref().is_none_or(is_fixed)
            }),
        }
    }

    /// Whether the place is a file that no variable has a say in, its name aside.
    pub(crate) fn is_written_out(&self, key: &Key) -> bool {
        let Some(place) = self.databases.get(key) else { return false };
        match &place.url {
            Some(url) => is_fixed(url) && is_sqlite_url(url.value.trim_start()),
            None => {
                self.server_of(place).and_then(|(_, _, server)| server.sqlite.as_ref()).is_some_and(is_fixed)
            }
        }
    }

    /// Evaluates what the manifest says of one database. `None` where a problem says why not.
    pub(crate) fn locate(
        &self,
        database: &Database,
        vars: &Vars,
        problems: &mut Problems,
    ) -> Option<Location> {
        let viewer = database.package.as_ref().map(|package| package.shown.as_path());
        let finder = Finder {
            root: &self.root,
            base: database.shown_folder(),
            name: (database.is_named || database.is_copy).then_some(&database.name),
            is_copy: database.is_copy,
        };
        self.find(&database.key, vars, viewer, &finder, problems)
    }

    /// The same of a database that is being put together.
    pub(crate) fn find(
        &self,
        key: &Key,
        vars: &Vars,
        viewer: Viewer<'_>,
        finder: &Finder<'_>,
        problems: &mut Problems,
    ) -> Option<Location> {
        let place = self.databases.get(key).expect("the key is one of this workspace");
        // All are evaluated before any is used, so that all problems are seen at once.
        let own = Urls::of([&place.url, &place.admin_url, &place.direct_url], vars, viewer, problems);
        let own = own?;
        let own_direct = own.direct.as_ref().and(place.direct_url.as_ref()).map(|written| written.span);
        if let Some(url) = own.url {
            let server = place.server.as_ref().filter(|_| !place.is_apart);
            let server = server.and_then(|name| self.servers.get_key_value(name));
            let declared = place.url.as_ref().map_or(place.declared, |url| url.span);
            if let Some(file) = finder.own(url.expose_secret(), declared, problems) {
                return Some(Location::file(
                    file?,
                    true,
                    server.map(|(name, (_, server))| (&**name, server)),
                    declared,
                ));
            }
            let theirs = match server {
                Some((_, (_, server))) => Urls::of([&None, &server.admin_url, &None], vars, None, problems)?,
                None => Urls::default(),
            };
            return Some(Location {
                way: Way::Url(url),
                own_direct,
                admin: own.admin.or(theirs.admin),
                direct: own.direct,
                pooled: place.pooler.as_ref().is_some_and(is_pooled),
                server: server.map(|(name, _)| name.clone()),
                max_connections: server.and_then(|(_, (_, server))| max_connections(server)),
                own: true,
                declared,
            });
        }
        let Some((name, span, server)) = self.server_of(place) else {
            let way = fallback(None, vars, viewer);
            return Some(Location {
                own_direct,
                admin: own.admin,
                direct: own.direct,
                pooled: place.pooler.as_ref().is_some_and(is_pooled) && !way.is_embedded(),
                way,
                server: None,
                max_connections: None,
                own: false,
                declared: place.declared,
            });
        };
        if let Some(folder) = &server.sqlite {
            let value = vars.evaluate(folder, None, problems)?;
            let file = finder.within(&value, folder.span, problems)?;
            return Some(Location::file(file, false, Some((name, server)), folder.span));
        }
        let theirs = Urls::of([&server.url, &server.admin_url, &server.direct_url], vars, None, problems)?;
        let declared = match (&server.url, &theirs.url) {
            (Some(written), Some(_)) => written.span,
            _ => span,
        };
        let way = theirs.url.map_or_else(|| fallback(Some(server), vars, viewer), Way::Url);
        let pooler = place.pooler.as_ref().or(server.pooler.as_ref());
        Some(Location {
            own_direct,
            admin: own.admin.or(theirs.admin),
            direct: own.direct.or(theirs.direct),
            pooled: pooler.is_some_and(is_pooled) && !way.is_embedded(),
            way,
            server: Some(name.to_owned()),
            max_connections: max_connections(server),
            own: false,
            declared,
        })
    }

    /// Where the address of a database comes from, in words, a part for each url that has a say: which field of the
    /// manifest, which variables, and where those were set. Never what they hold. Empty for the embedded server.
    pub(crate) fn origin(
        &self,
        key: &Key,
        vars: &Vars,
        viewer: Viewer<'_>,
        line: &dyn Fn(Span) -> String,
    ) -> Vec<String> {
        let place = &self.databases[key];
        let evaluated = |text: &Option<Text>, viewer: Viewer<'_>| {
            let text = text.as_ref()?;
            let value = vars.evaluate(text, viewer, &mut Problems::default())?;
            (!value.trim().is_empty()).then(|| (text.clone(), value))
        };
        let field = |owner: &str, name: &str, (text, value): (Text, String), url_viewer: Viewer<'_>| {
            let mut used = vars.used_by(&text, url_viewer);
            let filled = (!is_sqlite_url(&value)).then(|| fillers(&value)).into_iter().flatten();
            used.extend(filled.filter_map(|name| Some((name.to_owned(), vars.place(viewer, name)?))));
            let from = used.iter().map(|(name, place)| format!(", {name} from {place}")).collect::<String>();
            format!("{owner}.{name} ({}){from}", line(text.span))
        };
        let owner = format!("databases.{key}");
        let server = self.server_of(place).filter(|_| !place.is_apart || place.url.is_none());
        let mut parts = Vec::new();
        if let Some(url) = evaluated(&place.url, viewer) {
            parts.push(field(&owner, "url", url, viewer));
        } else if let Some((name, folder)) =
            server.and_then(|(name, _, server)| Some((name, evaluated(&server.sqlite, None)?)))
        {
            return vec![field(&format!("servers.{name}"), "sqlite", folder, None)];
        } else if let Some((name, url)) =
            server.and_then(|(name, _, server)| Some((name, evaluated(&server.url, None)?)))
        {
            parts.push(field(&format!("servers.{name}"), "url", url, None));
        } else {
            match fallback(server.map(|(_, _, server)| server), vars, viewer) {
                Way::Embedded { .. } => {}
                Way::Libpq | Way::Url(_) => {
                    let used = LIBPQ.iter().filter_map(|name| Some((name, vars.place(viewer, name)?)));
                    let used: Vec<String> =
                        used.map(|(name, place)| format!("{name} from {place}")).collect();
                    parts.push(used.join(", "));
                }
                Way::Sqlite(_) => {}
            }
        }
        for (name, of) in [
            ("admin_url", |place: &Place| &place.admin_url),
            ("direct_url", |place: &Place| &place.direct_url),
        ] as [(&str, fn(&Place) -> &Option<Text>); 2]
        {
            if let Some(url) = evaluated(of(place), viewer) {
                parts.push(field(&owner, name, url, viewer));
            }
        }
        if let Some((name, _, server)) = server {
            let own = (evaluated(&place.admin_url, viewer), evaluated(&place.direct_url, viewer));
            let has_own_url = evaluated(&place.url, viewer).is_some();
            let owner = format!("servers.{name}");
            if let (None, Some(url)) = (own.0, evaluated(&server.admin_url, None)) {
                parts.push(field(&owner, "admin_url", url, None));
            }
            if let (None, false, Some(url)) = (own.1, has_own_url, evaluated(&server.direct_url, None)) {
                parts.push(field(&owner, "direct_url", url, None));
            }
        }
        parts
    }
}

/// What decides where libpq's own settings lead.
const LIBPQ: [&str; 6] = ["PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD"];

/// The variables that fill what a url leaves out, of those that connections mostly fail for.
fn fillers(url: &str) -> impl Iterator<Item = &'static str> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_url = url.contains("://");
    let has_host = if is_url { !host.is_empty() || rest.contains("host=") } else { url.contains("host") };
    let has_password = user.contains(':') || url.contains("password");
    let host = (!has_host).then_some("PGHOST");
    host.into_iter().chain((!has_password).then_some("PGPASSWORD"))
}

/// Where no url says it: embedded if the server says so, libpq's settings if there are any, else embedded.
fn fallback(server: Option<&raw::Server>, vars: &Vars, viewer: Viewer<'_>) -> Way {
    let asked = server.is_some_and(|server| server.embedded.is_some_and(|embedded| embedded.value));
    let set = |name| vars.get(viewer, name).is_some_and(|value| !value.is_empty());
    if !asked && (set("PGHOST") || set("PGSERVICE")) {
        return Way::Libpq;
    }
    let postgres = server.and_then(|server| server.postgres.as_ref());
    Way::Embedded { postgres: postgres.and_then(|postgres| major(&postgres.value)) }
}

fn max_connections(server: &raw::Server) -> Option<NonZeroUsize> {
    server.max_connections.and_then(|count| NonZeroUsize::new(count.value))
}

/// Evaluated urls; what is empty is not given.
#[derive(Default)]
struct Urls {
    url: Option<SecretString>,
    admin: Option<SecretString>,
    direct: Option<SecretString>,
}

impl Urls {
    /// From `url`, `admin_url` and `direct_url`.
    fn of(
        written: [&Option<Text>; 3],
        vars: &Vars,
        viewer: Viewer<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let [url, admin, direct] = written.map(|text| match text {
            Some(text) => vars.evaluate(text, viewer, problems).map(|url| {
                let url = url.trim();
                (!url.is_empty()).then(|| SecretString::from(url))
            }),
            None => Some(None),
        });
        Some(Self { url: url?, admin: admin?, direct: direct? })
    }
}
