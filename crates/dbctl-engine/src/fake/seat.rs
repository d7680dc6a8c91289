//! How many sessions are open on the fake's servers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{Database, State, lock};
use crate::EngineError;

/// The sessions on one server.
#[derive(Default)]
pub(super) struct Crowd {
    pub(super) now: usize,
    pub(super) peak: usize,
}

/// One session's place on its server, from before it is opened until it is closed or dropped.
pub(super) struct Seat {
    pub(super) crowd: Arc<Mutex<BTreeMap<String, Crowd>>>,
    pub(super) server: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(crowd) = lock(&self.crowd).get_mut(&self.server) {
            crowd.now -= 1;
        }
    }
}

impl State {
    /// Fails where somebody is connected to the database.
    pub(super) fn vacant(&self, name: &str) -> Result<(), EngineError> {
        let open = |this: &Database| self.open.get(&(name.to_owned(), this.incarnation)).copied();
        match self.databases.get(name).and_then(open) {
            None | Some(0) => Ok(()),
            Some(_) => Err(EngineError::InUse { database: name.to_owned(), sessions: Vec::new() }),
        }
    }
}
