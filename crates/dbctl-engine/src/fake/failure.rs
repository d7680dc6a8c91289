//! What the fake answers instead of what was asked.

use crate::{ConnectError, ConnectFailure, EngineError, SqlError, Target};

pub(super) fn scripted_error() -> EngineError {
    EngineError::Sql(Box::new(SqlError {
        code: "XX000".to_owned(),
        message: "the script says so".to_owned(),
        detail: None,
        hint: None,
        context: None,
        statement: None,
        location: None,
    }))
}

pub(super) fn lost(database: &str) -> EngineError {
    EngineError::Lost {
        database: database.to_owned(),
        message: "the script says so".to_owned(),
        between: false,
    }
}

pub(super) fn missing(target: &Target) -> EngineError {
    let server = target.server.clone();
    let database = target.name.to_string();
    let failure = ConnectFailure::NoDatabase { database: database.clone(), server: server.clone() };
    ConnectError { server, database, user: "fake".to_owned(), origin: None, failure }.into()
}
