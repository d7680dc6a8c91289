//! What the system, TLS or the server says, sorted into the kinds of failure.

use std::{error::Error as _, fmt::Display, io, path::Path};

use rustls::{CertificateError, Error as TlsError};

use crate::{ConnectFailure, TlsProblem};

/// Whom a failure is about.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) server: String,
    pub(super) database: String,
    pub(super) user: String,
}

/// Nobody answers.
pub(super) fn unreachable(who: &Who, reason: impl Display) -> ConnectFailure {
    ConnectFailure::Unreachable { server: who.server.clone(), reason: reason.to_string() }
}

impl Who {
    /// Sorts what the driver reports of a log-in. `root_cert` names the file of authorities in messages.
    pub(super) fn failure(&self, error: &tokio_postgres::Error, root_cert: Option<&Path>) -> ConnectFailure {
        if let Some(db) = error.as_db_error() {
            return self.refused(db.code().code(), db.message());
        }
        let Some(source) = error.source() else {
            return match error.is_closed() {
                true => unreachable(self, "the server closed the connection during the log-in"),
                false => self.protocol(error),
            };
        };
        let io = source.downcast_ref::<io::Error>();
        if let Some(tls) = io.and_then(|io| io.get_ref()).and_then(|inner| inner.downcast_ref::<TlsError>()) {
            let (reason, problem) = explain(tls, root_cert);
            return self.tls(reason, problem);
        }
        match io.map(io::Error::kind) {
            Some(
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe,
            ) => unreachable(self, "the server closed the connection during the log-in"),
            Some(_) => unreachable(self, source),
            None if source.to_string() == "password missing" => {
                ConnectFailure::NoPassword { server: self.server.clone(), user: self.user.clone() }
            }
            None => self.protocol(source),
        }
    }

    fn refused(&self, code: &str, message: &str) -> ConnectFailure {
        let (server, user) = (self.server.clone(), self.user.clone());
        let about_password = || {
            ["password authentication failed", "SASL authentication failed"]
                .iter()
                .any(|words| message.contains(words))
        };
        match code {
            "28P01" => ConnectFailure::WrongPassword { server, user },
            // PgBouncer has one code for all it refuses.
            "28000" | "08P01" if about_password() => ConnectFailure::WrongPassword { server, user },
            "3D000" => ConnectFailure::NoDatabase { database: self.database.clone(), server },
            "08P01" if message.starts_with("no such database") => {
                ConnectFailure::NoDatabase { database: self.database.clone(), server }
            }
            code => ConnectFailure::Refused { server, code: code.to_owned(), message: message.to_owned() },
        }
    }

    /// TLS did not come about.
    pub(super) fn tls(&self, reason: String, problem: TlsProblem) -> ConnectFailure {
        ConnectFailure::Tls { server: self.server.clone(), reason, problem }
    }

    /// Something answers that we cannot log in to.
    pub(super) fn protocol(&self, reason: impl Display) -> ConnectFailure {
        ConnectFailure::Protocol { server: self.server.clone(), reason: reason.to_string() }
    }
}

fn explain(error: &TlsError, root_cert: Option<&Path>) -> (String, TlsProblem) {
    use CertificateError as Bad;
    let trusted = || {
        root_cert.map_or("an authority that this system trusts".to_owned(), |file| {
            format!("an authority in {}", file.display())
        })
    };
    match error {
        TlsError::InvalidCertificate(Bad::UnknownIssuer) => {
            (format!("the server's certificate is not signed by {}", trusted()), TlsProblem::UnknownAuthority)
        }
        TlsError::InvalidCertificate(Bad::BadSignature) => (
            format!("the server's certificate is not signed by {}: the signature is wrong", trusted()),
            TlsProblem::UnknownAuthority,
        ),
        TlsError::InvalidCertificate(Bad::NotValidForNameContext { expected, presented }) => (
            format!(
                "the server's certificate is not for {}, but for {}",
                expected.to_str(),
                names(presented)
            ),
            TlsProblem::WrongHost,
        ),
        TlsError::InvalidCertificate(Bad::NotValidForName) => {
            ("the server's certificate is for another host".to_owned(), TlsProblem::WrongHost)
        }
        TlsError::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            ("the server's certificate has expired".to_owned(), TlsProblem::Other)
        }
        TlsError::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            ("the server's certificate is not valid yet".to_owned(), TlsProblem::Other)
        }
        TlsError::AlertReceived(alert) => {
            (format!("the server refuses the handshake ({alert:?})"), TlsProblem::RefusedByServer)
        }
        other => explain_words(&other.to_string(), &trusted()),
    }
}

/// What the library knows only by a word of its own.
fn explain_words(words: &str, trusted: &str) -> (String, TlsProblem) {
    // An authority's own certificate; one that stands in the file itself has been trusted before.
    if words.contains("CaUsedAsEndEntity") {
        let reason = format!("the server's certificate is self-signed, not signed by {trusted}");
        return (reason, TlsProblem::UnknownAuthority);
    }
    if words.contains("UnsupportedCertVersion") {
        let reason = "the server's certificate is of X.509 version 1, which cannot be verified: make one of version 3 \
                      that lists its names as subjectAltName";
        return (reason.to_owned(), TlsProblem::Other);
    }
    (words.to_owned(), TlsProblem::Other)
}

/// The names of a certificate, which the library gives as `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| name.split('"').nth(1).map_or(name.clone(), str::to_owned);
    match presented {
        [] => "no name at all".to_owned(),
        names => names.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}
