//! A connection to PostgreSQL from libpq's settings: hosts in turn, TLS by `sslmode`, failures told apart.

mod cancel;
mod failure;
mod hint;
mod login;
mod role;
mod socket;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
mod tls;
mod verify;

use std::pin::Pin;

use futures::Stream;
use tokio_postgres::{AsyncMessage, Client};

pub(crate) use self::cancel::Canceller;
use self::{login::Login, tls::Tls};
use crate::{
    ConnectError, ConnectFailure,
    libpq::{Host, Settings, TargetSession},
};

/// What the server says besides answers to queries. Polling it drives the connection; it ends after its first error.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

/// A connection nobody drives yet: its owner polls `messages` together with its queries.
pub(crate) struct Connected {
    /// Sends queries.
    pub(crate) client: Client,
    /// Drives the connection.
    pub(crate) messages: Messages,
    /// Cancels what runs.
    pub(crate) canceller: Canceller,
}

/// Connects to a database, trying the settings' hosts in turn.
///
/// As in libpq, the next host is tried where one cannot be reached, is starting up or is not what
/// `target_session_attrs` asks for; one that refuses the log-in ends the search.
pub(crate) async fn connect(
    settings: &Settings,
    database: &str,
    application_name: &str,
) -> Result<Connected, ConnectError> {
    // Owned: a future that holds references to references is not provably `Send`.
    let mut hosts: Vec<Host> = settings.hosts.clone();
    if settings.load_balance {
        hosts.sort_by_cached_key(|_| uuid::Uuid::new_v4());
    }
    let attempt = async {
        let tls = Tls::new(settings)?;
        let login = Login { settings, database, application_name, tls: tls.as_ref() };
        match settings.target {
            TargetSession::PreferStandby => match in_turn(&login, &hosts, TargetSession::Standby).await {
                Err(failure) if goes_on(&failure) => in_turn(&login, &hosts, TargetSession::Any).await,
                other => other,
            },
            target => in_turn(&login, &hosts, target).await,
        }
    };
    attempt.await.map_err(|failure| ConnectError {
        server: tried(&hosts),
        database: database.to_owned(),
        user: settings.user.clone(),
        origin: None,
        failure,
    })
}

async fn in_turn(
    login: &Login<'_>,
    hosts: &[Host],
    target: TargetSession,
) -> Result<Connected, ConnectFailure> {
    let mut failures = Vec::new();
    for host in hosts {
        match login.host(host, target).await {
            Ok(connected) => return Ok(connected),
            Err(failure) if goes_on(&failure) => failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    Err(sum_up(failures, hosts))
}

/// Whether the next host may do better.
fn goes_on(failure: &ConnectFailure) -> bool {
    match failure {
        ConnectFailure::Unreachable { .. } | ConnectFailure::WrongRole { .. } => true,
        ConnectFailure::Refused { code, .. } => code == "57P03",
        ConnectFailure::WrongPassword { .. }
        | ConnectFailure::NoPassword { .. }
        | ConnectFailure::NoDatabase { .. }
        | ConnectFailure::NoFile { .. }
        | ConnectFailure::Tls { .. }
        | ConnectFailure::Protocol { .. } => false,
    }
}

/// One failure for all hosts: the last of a server that answers, else why none does.
fn sum_up(mut failures: Vec<ConnectFailure>, hosts: &[Host]) -> ConnectFailure {
    let answered = |failure: &ConnectFailure| !matches!(failure, ConnectFailure::Unreachable { .. });
    if failures.len() == 1 {
        return failures.remove(0);
    }
    match failures.iter().rposition(answered).map(|at| failures.remove(at)) {
        Some(ConnectFailure::WrongRole { wanted, .. }) => {
            ConnectFailure::WrongRole { server: tried(hosts), wanted }
        }
        Some(failure) => failure,
        None => {
            let reasons: Vec<String> = failures.into_iter().map(reason).collect();
            ConnectFailure::Unreachable { server: tried(hosts), reason: reasons.join("; ") }
        }
    }
}

fn reason(failure: ConnectFailure) -> String {
    match failure {
        ConnectFailure::Unreachable { server, reason } => format!("{server}: {reason}"),
        other => other.to_string(),
    }
}

fn tried(hosts: &[Host]) -> String {
    hosts.iter().map(|host| host.server()).collect::<Vec<_>>().join(",")
}
