//! The databases themselves: whether they exist, making and dropping them, from the maintenance database.

mod rights;

use std::time::Duration;

use dbctl_migration::quote_ident;
use tokio_postgres::types::Type;

use super::{
    failure::Failure,
    lock::{self, HOLDER_COLUMNS, creation_key, holder, pause},
    reader,
    session::{Link, get},
};
use crate::{
    ConnectError, ConnectFailure, Creation, EngineError, Identity, LockHolder, Session, SqlError, Target,
    libpq::Settings,
};

pub(super) use rights::{may_create, may_drop};

/// Databases that every server has and to which one connects to make others, likeliest first; before them comes the one
/// that the settings name, for some hosts keep these to themselves.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// How often a statement is tried again that others' sessions are in the way of.
const ATTEMPTS: u32 = 10;

/// What helps where the server does not have an extension.
const NOT_INSTALLED: &str = "the extension has to be installed on the server's machine first";

/// How long between two such attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the database exists, by the server's list; where that may not be read, by trying the database itself.
pub(super) async fn exists(
    settings: &Settings,
    target: &Target,
    session: &Session<'_>,
) -> Result<bool, EngineError> {
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        Maintenance::Closed(_) => {
            return match enter(settings, target, session).await? {
                Some(link) => {
                    link.close().await;
                    Ok(true)
                }
                None => Ok(false),
            };
        }
    };
    let listed = is_listed(&mut link, target.name.as_str()).await;
    link.close().await;
    listed
}

/// The database itself; `None` where there is none.
async fn enter<'s>(
    settings: &Settings,
    target: &Target,
    session: &Session<'s>,
) -> Result<Option<Link<'s>>, EngineError> {
    match Link::open(settings, target.name.as_str(), session).await {
        Ok(link) => Ok(Some(link)),
        Err(EngineError::Connect(error)) if matches!(error.failure, ConnectFailure::NoDatabase { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Which database this is, or would be: asked of the maintenance database, or of the database itself where that one
/// may not be entered.
pub(super) async fn identity(
    settings: &Settings,
    target: &Target,
    session: &Session<'_>,
) -> Result<Identity, EngineError> {
    let name = target.name.as_str();
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        Maintenance::Closed(_) => Link::open(settings, name, session).await?,
    };
    let found = reader::identity(&mut link).await;
    link.close().await;
    Ok(Identity { database: name.to_owned(), ..found? })
}

/// Sees that the one who creates and drops does so on the server where the database is used: what guards a database,
/// such as its environment, is read there. `false` where the database is not there and nothing else may be entered.
pub(super) async fn same_server(
    admin: &Settings,
    own: &Settings,
    target: &Target,
    session: &Session<'_>,
) -> Result<bool, EngineError> {
    let there = server_start(admin, target, session).await?;
    match server_start(own, target, session).await {
        Ok(here) if here == there => return Ok(true),
        Ok(_) => {}
        Err(EngineError::Connect(error)) if matches!(error.failure, ConnectFailure::NoDatabase { .. }) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    Err(EngineError::Unsupported(format!(
        "`admin_url` leads to another server ({}) than the one the database is used on ({})",
        admin.server(),
        own.server()
    )))
}

/// When the server started, to the microsecond: every role may ask, and no two servers share it.
async fn server_start(
    settings: &Settings,
    target: &Target,
    session: &Session<'_>,
) -> Result<String, EngineError> {
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        Maintenance::Closed(_) => Link::open(settings, target.name.as_str(), session).await?,
    };
    let sql = "select extract(epoch from pg_catalog.pg_postmaster_start_time())::text";
    let row = link.one(sql, &[]).await;
    link.close().await;
    get(&row?, 0)
}

/// Makes the database where it is missing, and whatever of its owner and extensions is missing. A new one belongs to
/// `owner` where the target names none.
pub(super) async fn create(
    settings: &Settings,
    target: &Target,
    owner: Option<&str>,
    session: &Session<'_>,
) -> Result<Creation, EngineError> {
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        // Somebody else has made the database for a role that may go nowhere else: what is left is inside it.
        Maintenance::Closed(why) => {
            return match enter(settings, target, session).await? {
                Some(link) => Ok(Creation { created: false, extensions: furnish(link, target).await? }),
                None => Err(closed(target, &why)),
            };
        }
    };
    let made = create_locked(&mut link, target, owner).await;
    // Given back before the database itself is entered: one connection at a time.
    lock::release(&mut link).await;
    link.close().await;
    let created = made?;
    if target.extensions.is_empty() && target.owner.is_none() {
        return Ok(Creation { created, extensions: Vec::new() });
    }
    let link = Link::open(settings, target.name.as_str(), session).await?;
    Ok(Creation { created, extensions: furnish(link, target).await? })
}

/// Takes the lock of a database that may not be there, in the maintenance database.
async fn claim(link: &mut Link<'_>, name: &str) -> Result<(), EngineError> {
    lock::acquire(link, &[creation_key(name)]).await.map_err(|error| match error {
        EngineError::Locked { holder, .. } => EngineError::Locked { database: name.to_owned(), holder },
        other => other,
    })
}

async fn create_locked(
    link: &mut Link<'_>,
    target: &Target,
    owner: Option<&str>,
) -> Result<bool, EngineError> {
    claim(link, target.name.as_str()).await?;
    let created = match is_listed(link, target.name.as_str()).await? {
        true => false,
        false => create_database(link, target, owner).await?,
    };
    own(link, target).await?;
    Ok(created)
}

/// `false` where another session has made it in the same moment.
async fn create_database(
    link: &mut Link<'_>,
    target: &Target,
    owner: Option<&str>,
) -> Result<bool, EngineError> {
    let mut sql = format!("CREATE DATABASE {}", quote_ident(target.name.as_str()));
    let owner = target.owner.as_deref().or(owner);
    if let Some(owner) = owner {
        sql += &format!(" OWNER {}", quote_ident(owner));
    }
    for _ in 1..ATTEMPTS {
        match link.batch(&sql).await {
            // Somebody is connected to the template just now.
            Err(failure) if failure.code() == "55006" => pause(link, PAUSE).await?,
            result => return created(result, owner, &link.user),
        }
    }
    let result = link.batch(&sql).await;
    created(result, owner, &link.user)
}

fn created(result: Result<(), Failure>, owner: Option<&str>, user: &str) -> Result<bool, EngineError> {
    let Err(failure) = result else { return Ok(true) };
    match failure.code() {
        "42P04" | "23505" => Ok(false),
        "42501" => Err(failure.with_hint(|| grant(owner, user))),
        "42704" => Err(no_owner(failure, owner.unwrap_or_default())),
        _ => Err(failure.into()),
    }
}

/// What lets the role make a database of that owner.
fn grant(owner: Option<&str>, user: &str) -> String {
    let role = quote_ident(user);
    match owner {
        Some(owner) if owner != user => format!(
            "ALTER ROLE {role} CREATEDB; GRANT {} TO {role}; or name a role that may do it in `admin_url`",
            quote_ident(owner)
        ),
        Some(_) | None => {
            format!("ALTER ROLE {role} CREATEDB; or name a role that may create databases in `admin_url`")
        }
    }
}

fn no_owner(failure: Failure, owner: &str) -> EngineError {
    failure.with_hint(|| make_role(owner))
}

fn make_role(owner: &str) -> String {
    format!("roles belong to the server, not to a database: CREATE ROLE {} LOGIN;", quote_ident(owner))
}

/// Hands the database to its owner where it belongs to somebody else.
async fn own(link: &mut Link<'_>, target: &Target) -> Result<(), EngineError> {
    let Some(owner) = &target.owner else { return Ok(()) };
    let name = target.name.as_str();
    let foreign = link
        .query(
            "select 1 from pg_catalog.pg_database \
             where datname = $1::text and pg_catalog.pg_get_userbyid(datdba) <> $2::text",
            &[(&name, Type::TEXT), (owner, Type::TEXT)],
        )
        .await?;
    if foreign.is_empty() {
        return Ok(());
    }
    let sql = format!("ALTER DATABASE {} OWNER TO {}", quote_ident(name), quote_ident(owner));
    match link.batch(&sql).await {
        Ok(()) => Ok(()),
        Err(failure) if failure.code() == "42704" => Err(no_owner(failure, owner)),
        Err(failure) => Err(not_owner(failure, &link.user)),
    }
}

fn not_owner(failure: Failure, user: &str) -> EngineError {
    if failure.code() != "42501" {
        return failure.into();
    }
    failure.with_hint(|| {
        format!("the role {} does not own it: name one that does in `admin_url`", quote_ident(user))
    })
}

/// What is made inside the database: its extensions, and before PostgreSQL 15 the owner of its public schema (since
/// then that follows the database's owner). Says which extensions are new.
async fn furnish(mut link: Link<'_>, target: &Target) -> Result<Vec<String>, EngineError> {
    let result = async {
        own_public_schema(&mut link, target).await?;
        extend(&mut link, target).await
    }
    .await;
    link.close().await;
    result
}

async fn own_public_schema(link: &mut Link<'_>, target: &Target) -> Result<(), EngineError> {
    let Some(owner) = target.owner.as_ref().filter(|_| link.version < 150_000) else { return Ok(()) };
    let rows = link
        .query(
            "select 1 from pg_catalog.pg_namespace where nspname = 'public' \
             and pg_catalog.pg_get_userbyid(nspowner) <> $1::text",
            &[(owner, Type::TEXT)],
        )
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!("ALTER SCHEMA public OWNER TO {}", quote_ident(owner));
    link.batch(&sql).await.map_err(|failure| not_owner(failure, &link.user))
}

/// Only what is missing is created, so that a second run needs no right and says nothing.
async fn extend(link: &mut Link<'_>, target: &Target) -> Result<Vec<String>, EngineError> {
    let mut made = Vec::new();
    for extension in &target.extensions {
        let there = link
            .query(
                "select 1 from pg_catalog.pg_extension where extname = $1::text",
                &[(extension, Type::TEXT)],
            )
            .await?;
        if !there.is_empty() {
            continue;
        }
        match link.batch(&format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(extension))).await {
            Ok(()) => made.push(extension.clone()),
            Err(failure) if matches!(failure.code(), "23505" | "42710") => {}
            Err(failure) if failure.code() == "42501" => {
                return Err(failure.with_hint(|| {
                    format!(
                        "the role {} may not install the extension {extension}: name one that may in `admin_url`",
                        quote_ident(&link.user)
                    )
                }));
            }
            Err(failure) if matches!(failure.code(), "0A000" | "58P01") => {
                return Err(failure.with_hint(|| NOT_INSTALLED.to_owned()));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(made)
}

/// Drops the database; `false` where there is none.
pub(super) async fn drop(
    settings: &Settings,
    target: &Target,
    disconnect: bool,
    session: &Session<'_>,
) -> Result<bool, EngineError> {
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        Maintenance::Closed(why) => {
            return match enter(settings, target, session).await? {
                Some(link) => {
                    link.close().await;
                    Err(closed(target, &why))
                }
                None => Ok(false),
            };
        }
    };
    let dropped = drop_locked(&mut link, target, disconnect).await;
    lock::release(&mut link).await;
    link.close().await;
    dropped
}

async fn drop_locked(link: &mut Link<'_>, target: &Target, disconnect: bool) -> Result<bool, EngineError> {
    let name = target.name.as_str();
    claim(link, name).await?;
    if !is_listed(link, name).await? {
        return Ok(false);
    }
    let force = disconnect && link.version >= 130_000;
    let sql = format!("DROP DATABASE {}{}", quote_ident(name), if force { " WITH (FORCE)" } else { "" });
    for attempt in 0.. {
        let users = if force { Vec::new() } else { users(link, name).await? };
        if users.is_empty() {
            match link.batch(&sql).await {
                Ok(()) => return Ok(true),
                Err(failure) if failure.code() == "3D000" => return Ok(false),
                Err(failure) if failure.code() == "55006" && attempt + 1 < ATTEMPTS => {}
                Err(failure) if failure.code() == "55006" => return Err(in_use(link, name, failure).await),
                Err(failure) => return Err(not_owner(failure, &link.user)),
            }
        } else if disconnect {
            let sql = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity \
                       where datname = $1::text and pid <> pg_backend_pid()";
            link.query(sql, &[(&name, Type::TEXT)]).await?;
        } else if attempt + 1 >= ATTEMPTS {
            return Err(EngineError::InUse { database: name.to_owned(), sessions: users });
        }
        // A session that has just been closed takes a moment to disappear.
        pause(link, PAUSE).await?;
        if attempt >= 2 * ATTEMPTS {
            break;
        }
    }
    Err(EngineError::InUse { database: name.to_owned(), sessions: users(link, name).await? })
}

/// In use by sessions, or by what is no session: prepared transactions, replication slots.
async fn in_use(link: &mut Link<'_>, name: &str, failure: Failure) -> EngineError {
    match users(link, name).await {
        Ok(sessions) if !sessions.is_empty() => EngineError::InUse { database: name.to_owned(), sessions },
        Ok(_) | Err(_) => failure.into(),
    }
}

async fn users(link: &mut Link<'_>, name: &str) -> Result<Vec<LockHolder>, EngineError> {
    let sql = format!(
        "select a.pid, {HOLDER_COLUMNS} from pg_catalog.pg_stat_activity a where a.datname = $1::text \
         and a.pid <> pg_backend_pid() and coalesce(a.backend_type, 'client backend') = 'client backend' order by a.pid"
    );
    link.query(&sql, &[(&name, Type::TEXT)]).await?.iter().map(holder).collect()
}

/// Sessions that would lose something if they ended now, with their databases.
pub(super) async fn at_work(link: &mut Link<'_>) -> Result<Vec<(String, LockHolder)>, EngineError> {
    let sql = format!(
        "select a.pid, {HOLDER_COLUMNS}, coalesce(a.datname::text, '') from pg_catalog.pg_stat_activity a \
         where a.pid <> pg_backend_pid() and coalesce(a.backend_type, 'client backend') = 'client backend' \
         and (coalesce(a.state, 'idle') <> 'idle' or a.application_name like 'dbctl %') order by a.pid"
    );
    link.query(&sql, &[]).await?.iter().map(|row| Ok((get(row, 4)?, holder(row)?))).collect()
}

async fn is_listed(link: &mut Link<'_>, name: &str) -> Result<bool, EngineError> {
    let sql = "select 1 from pg_catalog.pg_database where datname = $1::text";
    Ok(!link.query(sql, &[(&name, Type::TEXT)]).await?.is_empty())
}

/// A database of the server that is not the target itself.
enum Maintenance<'s> {
    Open(Box<Link<'s>>),
    /// The server answers, but lets us into none of them; why not into the first.
    Closed(Box<ConnectError>),
}

async fn maintenance<'s>(
    settings: &Settings,
    target: &Target,
    session: &Session<'s>,
) -> Result<Maintenance<'s>, EngineError> {
    let mut why = None;
    for name in candidates(settings, target.name.as_str()) {
        match Link::open(settings, name, session).await {
            Ok(link) => return Ok(Maintenance::Open(Box::new(link))),
            Err(EngineError::Connect(error)) if is_closed_to_us(&error.failure) => {
                why.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Maintenance::Closed(why.expect("there are always candidates")))
}

fn candidates<'n>(settings: &'n Settings, target: &'n str) -> impl Iterator<Item = &'n str> {
    let own = settings.database.as_deref().filter(move |own| *own != target && !MAINTENANCE.contains(own));
    own.into_iter().chain(MAINTENANCE)
}

/// Whether a server that answers keeps one of its databases from us: by its rights, by `pg_hba.conf`, or because a pooler
/// does not know it. A role that is unknown, or may not log in at all, looks the same here; the target tells.
fn is_closed_to_us(failure: &ConnectFailure) -> bool {
    match failure {
        ConnectFailure::NoDatabase { .. } | ConnectFailure::NoFile { .. } => true,
        ConnectFailure::Refused { code, .. } => matches!(code.as_str(), "42501" | "28000"),
        ConnectFailure::Unreachable { .. }
        | ConnectFailure::WrongPassword { .. }
        | ConnectFailure::NoPassword { .. }
        | ConnectFailure::Tls { .. }
        | ConnectFailure::WrongRole { .. }
        | ConnectFailure::Protocol { .. } => false,
    }
}

/// There is no database from which the target could be made or dropped.
fn closed(target: &Target, why: &ConnectError) -> EngineError {
    let message = format!(
        "{} cannot be made or dropped: no other database of {} lets the role {} in",
        quote_ident(target.name.as_str()),
        why.server,
        quote_ident(&why.user)
    );
    let hint =
        "name a role that may create databases in `admin_url`, and in its path a database that it may enter";
    refusal("42501", message, Some(why.to_string()), hint.to_owned())
}

/// What is known to fail, in the server's stead.
fn refusal(code: &str, message: String, detail: Option<String>, hint: String) -> EngineError {
    SqlError { detail, ..SqlError::ours(code, message, hint) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PgVars, libpq};

    #[test]
    fn the_database_that_the_settings_name_comes_first() {
        let check = |url: &str, target: &str, expected: &[&str]| {
            let settings = libpq::settings(url, &PgVars::default()).unwrap();
            assert_eq!(candidates(&settings, target).collect::<Vec<_>>(), expected, "{url}");
        };
        check("postgres://u@h/defaultdb", "shop", &["defaultdb", "postgres", "template1"]);
        check("postgres://u@h/shop", "shop", &["postgres", "template1"]);
        check("postgres://u@h", "shop", &["postgres", "template1"]);
        check("postgres://u@h/template1", "shop", &["postgres", "template1"]);
    }
}
