//! Whether the server is what `target_session_attrs` asks for.

use futures::{StreamExt, stream};
use tokio_postgres::SimpleQueryMessage;

use super::{Connected, failure::Who};
use crate::{
    ConnectFailure,
    libpq::{TargetSession, target_word},
};

const QUESTION: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'";

/// Gives the connection back, if its server will do.
pub(super) async fn expect(
    connected: Connected,
    target: TargetSession,
    who: &Who,
) -> Result<Connected, ConnectFailure> {
    if target == TargetSession::Any {
        return Ok(connected);
    }
    let Connected { client, mut messages, canceller } = connected;
    // What the server says meanwhile is for the owner of the connection.
    let mut heard = Vec::new();
    let answer = {
        let mut query = std::pin::pin!(client.simple_query(QUESTION));
        loop {
            tokio::select! { biased;
                answer = &mut query => break answer,
                message = messages.next() => match message {
                    Some(Ok(message)) => heard.push(Ok(message)),
                    Some(Err(error)) => return Err(who.failure(&error, None)),
                    None => return Err(super::failure::unreachable(who, "the server closed the connection")),
                },
            }
        }
    };
    let rows = answer.map_err(|error| who.failure(&error, None))?;
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0) == Some("t"), row.get(1) == Some("t"))),
        _ => None,
    });
    let Some((standby, read_only)) = row else {
        return Err(who.protocol("it does not say whether it is a standby"));
    };
    let fits = match target {
        TargetSession::Any | TargetSession::PreferStandby => true,
        TargetSession::ReadWrite => !read_only,
        TargetSession::ReadOnly => read_only,
        TargetSession::Primary => !standby,
        TargetSession::Standby => standby,
    };
    if !fits {
        let (server, wanted) = (who.server.clone(), target_word(target).to_owned());
        return Err(ConnectFailure::WrongRole { server, wanted });
    }
    Ok(Connected { client, messages: Box::pin(stream::iter(heard).chain(messages)), canceller })
}
