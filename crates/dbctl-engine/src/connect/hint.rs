//! What helps against a failure to connect.

use crate::{ConnectFailure, TlsProblem};

impl ConnectFailure {
    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { server, .. } if server.starts_with('/') => {
                "is the server running, and does it keep its socket there? host=localhost connects over TCP"
            }
            Self::Unreachable { .. } => "is the server running, and are host and port right?",
            Self::WrongPassword { .. } => {
                "the password in use is the URL's, else PGPASSWORD's, else that of the first fitting line of ~/.pgpass"
            }
            Self::NoPassword { .. } => {
                "put it into PGPASSWORD, or as host:port:database:user:password into ~/.pgpass (mode 0600)"
            }
            Self::NoDatabase { .. } | Self::NoFile { .. } => "`dbctl create` makes it",
            Self::Tls { problem, .. } => return tls(*problem).map(str::to_owned),
            Self::WrongRole { .. } => "name other hosts, or another target_session_attrs",
            Self::Protocol { .. } => return None,
            Self::Refused { code, message, .. } => return refused(code, message).map(str::to_owned),
        };
        Some(hint.to_owned())
    }
}

fn tls(problem: TlsProblem) -> Option<&'static str> {
    match problem {
        TlsProblem::NotOffered => Some("sslmode=prefer connects without TLS where the server has none"),
        TlsProblem::UnknownAuthority => {
            Some("name the file of the authority that signed it with sslrootcert= or PGSSLROOTCERT")
        }
        TlsProblem::WrongHost => Some(
            "connect by a name that the certificate lists as subjectAltName; sslmode=verify-ca does not look at the name",
        ),
        TlsProblem::RefusedByServer => {
            Some("does the server ask for a client certificate? sslcert= and sslkey= name one")
        }
        TlsProblem::Files => {
            Some("sslrootcert, sslcert and sslkey name PEM files, by default in ~/.postgresql")
        }
        TlsProblem::Other => None,
    }
}

fn refused(code: &str, message: &str) -> Option<&'static str> {
    let says = |words: &str| message.contains(words);
    match code {
        "28000" if says("role") && says("does not exist") => {
            Some("create that role, or name another user in the URL or in PGUSER")
        }
        "28000" if says("client certificate") => Some("sslcert= and sslkey= name the client certificate"),
        "28000" if says("pg_hba.conf") => Some(
            "a line of pg_hba.conf has to let this user in from this address; if it does so only over TLS, use \
             sslmode=require",
        ),
        "28000" if says("Peer authentication") || says("Ident authentication") => Some(
            "over its socket the server lets in only the system's user of that name: use host=localhost and a password",
        ),
        "42501" => Some("the role needs the right to connect: GRANT CONNECT ON DATABASE … TO …"),
        "53300" if says("too many connections for database") => {
            Some("ALTER DATABASE … CONNECTION LIMIT raises it; else wait until other sessions end")
        }
        "53300" if says("too many connections for role") => {
            Some("ALTER ROLE … CONNECTION LIMIT raises it; else wait until other sessions end")
        }
        "53300" => Some("lower max_connections of the server in workspace.yaml, or raise it on the server"),
        "57P03" => Some("the server is starting or stopping: try again in a moment"),
        _ => None,
    }
}
