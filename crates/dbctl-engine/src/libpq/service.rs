//! `pg_service.conf`: groups of parameters under a name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    ConnInfoError,
    parameter::{Given, Unknown},
    user_file,
};
use crate::PgVars;

/// Where distributions and PostgreSQL itself keep the system's file, as far as `PGSYSCONFDIR` does not say.
const SYSTEM_FOLDERS: [&str; 4] =
    ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc", "/usr/local/pgsql/etc"];
const FILE: &str = "pg_service.conf";

/// Fills what the string leaves open from the service that it or `PGSERVICE` names.
pub(super) fn fill(given: &mut Given, vars: &PgVars) -> Result<(), ConnInfoError> {
    let Some(service) = given.raw("service").or_else(|| vars.get("PGSERVICE")).map(str::to_owned) else {
        return Ok(());
    };
    let named = given.raw("servicefile").or_else(|| vars.get("PGSERVICEFILE")).map(PathBuf::from);
    if let Some(path) = &named
        && !path.is_file()
    {
        return Err(ConnInfoError::new(format!("the service file {} does not exist", path.display()))
            .hint("PGSERVICEFILE or servicefile= names it"));
    }
    let own = named.or_else(|| user_file(vars, ".pg_service.conf", ".pg_service.conf"));
    let system = match vars.get("PGSYSCONFDIR") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => SYSTEM_FOLDERS.iter().map(PathBuf::from).collect(),
    };
    let files: Vec<PathBuf> =
        own.into_iter().chain(system.into_iter().map(|folder| folder.join(FILE))).collect();
    for path in &files {
        match fs::read_to_string(path) {
            Ok(text) if fill_from(given, &service, &text, path)? => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(ConnInfoError::new(format!(
                    "the service file {} cannot be read: {error}",
                    path.display()
                )));
            }
        }
    }
    let looked = files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(ConnInfoError::new(format!("the service `{service}` is not defined"))
        .hint(format!("looked for [{service}] in {looked}")))
}

/// Whether the file has the service's group. The first value of a name counts, as in libpq.
fn fill_from(given: &mut Given, service: &str, text: &str, path: &Path) -> Result<bool, ConnInfoError> {
    let mut found = false;
    for (number, line) in text.lines().enumerate() {
        let problem = |what: &str| ConnInfoError::new(format!("{}:{}: {what}", path.display(), number + 1));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found {
                return Ok(true);
            }
            found = name.strip_suffix(']') == Some(service);
            continue;
        }
        if !found {
            continue;
        }
        if line.starts_with("ldap") {
            return Err(problem("services from LDAP are not supported"));
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(problem("expected name=value"));
        };
        let name = name.trim_end();
        if name == "service" || name == "servicefile" {
            return Err(problem("a service cannot name another service"));
        }
        given
            .fill(name, value.trim_start().to_owned())
            .map_err(|Unknown| problem(&format!("unknown connection parameter `{name}`")))?;
    }
    Ok(found)
}
