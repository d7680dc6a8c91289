//! From what the manifest says of a database to what an engine needs of it.

use std::{collections::BTreeMap, num::NonZeroUsize};

use dbctl_engine::{
    Endpoint, PgVars, Target,
    embedded::{EmbeddedHome, EmbeddedSpec},
    libpq,
};
use dbctl_migration::{DatabaseName, FormatKind};
use dbctl_workspace::{Database, Key, Location, ManifestErrors, Source, Span, Way, Workspace};
use secrecy::{ExposeSecret, SecretString};

/// How many connections dbctl opens to one server at once where the manifest sets no bound.
pub const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");

/// Finds out how to reach each of these databases; the variables of others need not be set. All that is wrong with
/// the manifest's URLs is reported together.
pub fn targets<'k>(
    workspace: &Workspace,
    keys: impl IntoIterator<Item = &'k Key>,
    home: &EmbeddedHome,
) -> Result<BTreeMap<Key, Target>, ManifestErrors> {
    let mut found = BTreeMap::new();
    let mut wrong: Option<ManifestErrors> = None;
    for key in keys {
        match target(workspace, workspace.database(key), home) {
            Ok(target) => {
                found.insert(key.clone(), target);
            }
            Err(errors) => match &mut wrong {
                None => wrong = Some(errors),
                Some(all) => {
                    let new =
                        errors.problems.into_iter().filter(|p| !all.problems.contains(p)).collect::<Vec<_>>();
                    all.problems.extend(new);
                }
            },
        }
    }
    match wrong {
        None => Ok(found),
        Some(mut errors) => {
            errors.problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
            Err(errors)
        }
    }
}

fn target(workspace: &Workspace, database: &Database, home: &EmbeddedHome) -> Result<Target, ManifestErrors> {
    let location = workspace.locate(&database.key)?;
    let vars = workspace.vars(&database.key);
    // Which database it is, the manifest says.
    let vars = vars.iter().filter(|(name, _)| name.as_str() != "PGDATABASE");
    let vars = PgVars::from_vars(vars.map(|(name, value)| (name.as_str(), value.as_str())));
    let (endpoint, server) = match &location.way {
        Way::Url(text) => {
            let settings = settings(workspace, &location, text, &vars)?;
            if location.own {
                names_it(workspace, &location.declared, database, "url", &settings)?;
            }
            (Endpoint::ConnInfo { text: text.clone(), vars: vars.clone() }, settings.server())
        }
        Way::Libpq => {
            let server = settings(workspace, &location, &SecretString::from(""), &vars)?.server();
            (Endpoint::Variables(vars.clone()), server)
        }
        Way::Embedded { postgres } => {
            let spec =
                EmbeddedSpec { workspace: workspace.root().to_owned(), major: *postgres, home: home.clone() };
            let server = postgres.map_or_else(|| "embedded".to_owned(), |major| format!("embedded {major}"));
            (Endpoint::Embedded(spec), server)
        }
        Way::Sqlite(file) => {
            let server = file.strip_prefix(workspace.root()).unwrap_or(file).display().to_string();
            (Endpoint::Sqlite(file.clone()), server)
        }
    };
    // Whoever makes databases does it from any of them, and a server's way past its pooler leads to all of them.
    let aside =
        |text: &Option<SecretString>, own: Option<Span>| -> Result<Option<Endpoint>, ManifestErrors> {
            let Some(text) = text else { return Ok(None) };
            let settings = settings(workspace, &location, text, &vars)?;
            if let Some(declared) = own {
                names_it(workspace, &declared, database, "direct_url", &settings)?;
            }
            Ok(Some(Endpoint::ConnInfo { text: text.clone(), vars: vars.clone() }))
        };
    let url = match &location.way {
        Way::Url(text) => Some(text),
        Way::Libpq | Way::Embedded { .. } | Way::Sqlite(_) => None,
    };
    let own_direct = location.direct.as_ref().filter(|_| location.own_direct.is_some());
    Ok(Target {
        schema: schema(workspace, database, url, own_direct)?,
        key: database.key.to_string(),
        name: database.name.clone(),
        admin: aside(&location.admin, None)?,
        direct: aside(&location.direct, location.own_direct)?,
        pooled: location.pooled,
        origin: workspace.origin(&database.key),
        endpoint,
        owner: database.owner.clone(),
        extensions: database.extensions.clone(),
        settings: database.settings.clone(),
        server,
        max_connections: location.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS),
    })
}

/// A url that is a database's own names that database or none.
fn names_it(
    workspace: &Workspace,
    declared: &Span,
    database: &Database,
    field: &str,
    settings: &libpq::Settings,
) -> Result<(), ManifestErrors> {
    let Some(named) = settings.database.as_deref().filter(|named| *named != database.name.as_str()) else {
        return Ok(());
    };
    let hint = if DatabaseName::parse(named).is_ok() {
        format!(
            "let the {field} end in `/{}` (is a variable such as DATABASE_URL exported for another database?), or set `name: {named}`",
            database.name
        )
    } else {
        format!(
            "`{named}` belongs to the server, and dbctl needs a database of its own: let the {field} end in `/{}`, and `dbctl create {}` makes it",
            database.name, database.key
        )
    };
    Err(workspace.problem(
        declared,
        format!(
            "the {field} of `{}` leads to the database `{named}`, not to `{}`",
            database.key, database.name
        ),
        Some(hint),
    ))
}

/// The schema in which Prisma works that is not told otherwise, by the database's URL and by its way past a pooler.
/// `public` is none: there it is looked for along the `search_path`.
fn schema(
    workspace: &Workspace,
    database: &Database,
    url: Option<&SecretString>,
    direct: Option<&SecretString>,
) -> Result<Option<String>, ManifestErrors> {
    let of = |text: &SecretString| libpq::schema(text.expose_secret()).filter(|schema| schema != "public");
    let schema = url.and_then(of);
    let Some(past) = direct.map(of).filter(|past| *past != schema) else { return Ok(schema) };
    let says_nothing =
        |source: &&Source| source.format.kind() == FormatKind::PRISMA && source.options.schema.is_none();
    let Some(source) = database.sources.iter().find(says_nothing) else { return Ok(None) };
    let (key, path) = (&database.key, &source.name);
    let said = |schema: &Option<String>| schema.clone().unwrap_or_else(|| "public".to_owned());
    let (here, there) = (said(&schema), said(&past));
    Err(workspace.problem(
        &source.declared,
        format!(
            "by the url of `{key}` Prisma works in the schema {here}, by its direct_url in {there}, and `{path}` does not \
             say its schema"
        ),
        Some(format!("write `{{ path: {path}, schema: {there} }}`, or give both URLs the same `schema`")),
    ))
}

fn settings(
    workspace: &Workspace,
    location: &Location,
    text: &SecretString,
    vars: &PgVars,
) -> Result<libpq::Settings, ManifestErrors> {
    libpq::settings(text.expose_secret(), vars)
        .map_err(|error| workspace.problem(&location.declared, error.message, error.hint))
}
