//! The parameters that libpq knows, those that other tools add, and a set of given values.

use std::collections::BTreeMap;

use super::ConnInfoError;

/// libpq's parameters with the variable each is also read from (PostgreSQL 18, `PQconninfoOptions`). Those that only
/// concern log-in methods which nothing here speaks are known so that they can be passed over.
pub(super) const KNOWN: [(&str, &str); 47] = [
    ("application_name", ""),
    ("channel_binding", "PGCHANNELBINDING"),
    ("client_encoding", ""),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("fallback_application_name", ""),
    ("gssdelegation", ""),
    ("gssencmode", "PGGSSENCMODE"),
    ("gsslib", ""),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("keepalives", ""),
    ("keepalives_count", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("krbsrvname", ""),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("max_protocol_version", ""),
    ("min_protocol_version", ""),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("replication", ""),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("scram_client_key", ""),
    ("scram_server_key", ""),
    ("service", ""),
    ("servicefile", ""),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslcompression", ""),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslkey", "PGSSLKEY"),
    ("sslkeylogfile", ""),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslpassword", ""),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslsni", "PGSSLSNI"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("tcp_user_timeout", ""),
    ("user", "PGUSER"),
];

/// What ORMs, poolers and migration tools keep in the same URL for themselves.
const FOREIGN: [&str; 47] = [
    "advisory_locks",
    "binary_parameters",
    "checkout_timeout",
    "conn_max_age",
    "connection_limit",
    "connectionTimeoutMillis",
    "currentSchema",
    "default_query_exec_mode",
    "description_cache_capacity",
    "encoding",
    "idle_in_transaction_session_timeout",
    "idle_timeout",
    "idleTimeoutMillis",
    "lock_timeout",
    "max",
    "max_idle_connection_lifetime",
    "max_overflow",
    "migrations_table",
    "min",
    "multiSchema",
    "pgbouncer",
    "pool",
    "pool_health_check_period",
    "pool_max_conn_idle_time",
    "pool_max_conn_lifetime",
    "pool_max_conns",
    "pool_min_conns",
    "pool_mode",
    "pool_pre_ping",
    "pool_recycle",
    "pool_size",
    "pool_timeout",
    "poolSize",
    "prepared_statements",
    "prepareThreshold",
    "query_timeout",
    "reaping_frequency",
    "single_use_connections",
    "socket_timeout",
    "sslaccept",
    "statement-cache-capacity",
    "statement_cache_capacity",
    "statement_cache_size",
    "statement_timeout",
    "supa",
    "uselibpqcompat",
    "workaround",
];

/// A key of [`Given`] that is none of libpq's: a search path, which pgx and lib/pq take as a parameter.
pub(super) const SEARCH_PATH: &str = "search_path";
/// A key of [`Given`] that is none of libpq's: Prisma's client certificate, a PKCS #12 file.
pub(super) const IDENTITY: &str = "sslidentity";
/// A key of [`Given`] that is none of libpq's: where Prisma works.
pub(super) const SCHEMA: &str = "schema";

/// Values by parameter. One that is empty keeps lower places from being asked, and then counts as the default.
#[derive(Default, Clone)]
pub(super) struct Given(BTreeMap<&'static str, String>);

/// A parameter nobody knows.
pub(super) struct Unknown;

impl Given {
    /// Keeps a value; a later one replaces an earlier.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), Unknown> {
        if let Some((known, value)) = translate(name, &value) {
            self.0.insert(known, value);
            return Ok(());
        }
        match known(name) {
            // `sslpassword` is Prisma's too, for the `sslidentity` that is passed over.
            Some("sslpassword") if self.0.contains_key(IDENTITY) => Ok(()),
            Some(known) => {
                self.0.insert(known, value);
                Ok(())
            }
            None if name == IDENTITY => {
                self.0.remove("sslpassword");
                self.0.insert(IDENTITY, value);
                Ok(())
            }
            None if name == SCHEMA => {
                self.0.insert(SCHEMA, value);
                Ok(())
            }
            // golang-migrate's own all start with `x-`.
            None if FOREIGN.contains(&name) || name.starts_with("x-") => Ok(()),
            None => Err(Unknown),
        }
    }

    /// Keeps a value unless there is one.
    pub(super) fn fill(&mut self, name: &str, value: String) -> Result<(), Unknown> {
        if known(name).is_some_and(|known| self.0.contains_key(known)) {
            return Ok(());
        }
        self.set(name, value)
    }

    /// A value as given, even if it is empty.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Other tools' spellings of what libpq knows.
fn translate(name: &str, value: &str) -> Option<(&'static str, String)> {
    let mode = |mode: &str| Some(("sslmode", mode.to_owned()));
    match (name, value) {
        // JDBC's and node-postgres'; libpq itself takes `ssl=true`.
        ("ssl", "true" | "1" | "require" | "no-verify") => mode("require"),
        ("ssl", "false" | "0" | "disable") => mode("disable"),
        ("sslmode" | "ssl-mode", "no-verify") => mode("require"),
        ("ssl-mode", other) => mode(other),
        ("ssl-root-cert" | "ssl-ca", path) => Some(("sslrootcert", path.to_owned())),
        ("ssl-cert", path) => Some(("sslcert", path.to_owned())),
        ("ssl-key", path) => Some(("sslkey", path.to_owned())),
        ("search_path" | "schema_search_path", path) => Some((SEARCH_PATH, path.to_owned())),
        _ => None,
    }
}

fn known(name: &str) -> Option<&'static str> {
    names().find(|known| *known == name)
}

fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name)
}

/// The variable that a parameter is also read from; empty where there is none.
pub(super) fn variable(name: &str) -> &'static str {
    KNOWN.iter().find(|(known, _)| *known == name).map_or("", |(_, variable)| variable)
}

/// The error for a parameter nobody knows, with the nearest that exists.
pub(super) fn unknown(name: &str) -> ConnInfoError {
    let error = ConnInfoError::new(format!("unknown connection parameter `{name}`"));
    let near = names()
        .map(|known| (strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
    match near {
        Some((_, known)) => error.hint(format!("did you mean `{known}`?")),
        None => error,
    }
}
