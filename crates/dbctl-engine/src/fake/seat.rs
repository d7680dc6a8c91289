//! How many sessions are open on the fake's servers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::lock;

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
