//! Whether a database can be dropped, and made again then.

use dbctl_migration::quote_ident;
use tokio_postgres::types::Type;

use super::{
    ATTEMPTS, Maintenance, NOT_INSTALLED, PAUSE, closed, grant, maintenance, make_role, refusal, users,
};
use crate::{
    EngineError, Session, Target,
    libpq::Settings,
    postgres::{
        lock::pause,
        session::{Link, get},
    },
};

/// Sees that the role may create databases and hand them to their `owner`, and that the server has the extensions. Who
/// may install an extension is for its server to say: many let others than superusers do it.
pub(in crate::postgres) async fn may_create(
    settings: &Settings,
    target: &Target,
    owner: Option<&str>,
    session: &Session<'_>,
) -> Result<(), EngineError> {
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        Maintenance::Closed(why) => return Err(closed(target, &why)),
    };
    let checked = check(&mut link, target, target.owner.as_deref().or(owner)).await;
    link.close().await;
    checked
}

/// Sees that nobody else is connected to the database.
pub(in crate::postgres) async fn may_drop(
    settings: &Settings,
    target: &Target,
    session: &Session<'_>,
) -> Result<(), EngineError> {
    let mut link = match maintenance(settings, target, session).await? {
        Maintenance::Open(link) => *link,
        // What can be said without one is said by the drop itself.
        Maintenance::Closed(_) => return Ok(()),
    };
    let vacant = vacant(&mut link, target.name.as_str()).await;
    link.close().await;
    vacant
}

async fn vacant(link: &mut Link<'_>, name: &str) -> Result<(), EngineError> {
    let mut sessions = users(link, name).await?;
    for _ in 1..ATTEMPTS {
        if sessions.is_empty() {
            break;
        }
        // A session that has just been closed takes a moment to disappear.
        pause(link, PAUSE).await?;
        sessions = users(link, name).await?;
    }
    match sessions.is_empty() {
        true => Ok(()),
        false => Err(EngineError::InUse { database: name.to_owned(), sessions }),
    }
}

async fn check(link: &mut Link<'_>, target: &Target, owner: Option<&str>) -> Result<(), EngineError> {
    let sql = "select r.rolsuper or r.rolcreatedb, \
               $1::text is null or exists (select from pg_catalog.pg_roles o where o.rolname = $1::text), \
               array(select wanted.name from pg_catalog.unnest($2::text[]) with ordinality wanted(name, n) \
                 where not exists (select from pg_catalog.pg_available_extensions a where a.name = wanted.name) \
                 order by wanted.n) \
               from pg_catalog.pg_roles r where r.rolname = current_user";
    let row = link.one(sql, &[(&owner, Type::TEXT), (&target.extensions, Type::TEXT_ARRAY)]).await?;
    let (creates, owned, missing): (bool, bool, Vec<String>) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    let database = quote_ident(target.name.as_str());
    let refused = |code: &str, why: String, hint: String| {
        let message = format!("{database} could not be made again: {why}");
        Err(refusal(code, message, None, hint))
    };
    let user = quote_ident(&link.user);
    if !creates {
        let why = format!("the role {user} may not create databases");
        return refused("42501", why, grant(owner, &link.user));
    }
    if let Some(owner) = owner {
        let role = quote_ident(owner);
        if !owned {
            return refused("42704", format!("its owner {role} does not exist"), make_role(owner));
        }
        if !may_give(link, owner).await? {
            let why = format!("the role {user} may not hand it to {role}");
            return refused("42501", why, grant(Some(owner), &link.user));
        }
    }
    match missing.first() {
        Some(extension) => {
            let why = format!("the server does not have the extension {}", quote_ident(extension));
            refused("0A000", why, NOT_INSTALLED.to_owned())
        }
        None => Ok(()),
    }
}

/// Whether the role may make that one an owner.
async fn may_give(link: &mut Link<'_>, owner: &str) -> Result<bool, EngineError> {
    let right = if link.version >= 160_000 { "SET" } else { "MEMBER" };
    let sql = "select pg_catalog.pg_has_role(current_user, $1::text::name, $2::text)";
    get(&link.one(sql, &[(&owner, Type::TEXT), (&right, Type::TEXT)]).await?, 0)
}
