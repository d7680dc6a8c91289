//! How many sessions are open: never more on a server than the manifest allows.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use dbctl_engine::{EngineError, Reader, Target};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// One door per server, as wide as the server's cap.
///
/// Whoever is inside must not wait at another door: with every cap at one, two such would wait for each other. So a step
/// has one session at a time, whatever servers its databases are on.
pub(crate) struct Gate(BTreeMap<String, Door>);

struct Door {
    cap: usize,
    places: Semaphore,
}

impl Gate {
    /// For these targets. Where they differ about one server, its lowest cap holds.
    pub(crate) fn new<'t>(targets: impl IntoIterator<Item = &'t Target>) -> Self {
        let mut caps: BTreeMap<&str, usize> = BTreeMap::new();
        for target in targets {
            let most = target.max_connections.get().min(Semaphore::MAX_PERMITS);
            caps.entry(&target.server).and_modify(|cap| *cap = most.min(*cap)).or_insert(most);
        }
        let door = |cap| Door { cap, places: Semaphore::new(cap) };
        Self(caps.into_iter().map(|(server, cap)| (server.to_owned(), door(cap))).collect())
    }

    /// The most sessions that may be open on the target's server.
    pub(crate) fn cap(&self, target: &Target) -> usize {
        self.door(target).cap
    }

    /// Waits for a place on the target's server, unless the run is stopped before there is one.
    pub(crate) async fn enter(
        &self,
        target: &Target,
        stop: &CancellationToken,
    ) -> Result<SemaphorePermit<'_>, EngineError> {
        tokio::select! {
            biased;
            place = self.door(target).places.acquire() => Ok(place.expect("no door is ever closed")),
            () = stop.cancelled() => Err(EngineError::Cancelled),
        }
    }

    fn door(&self, target: &Target) -> &Door {
        self.0.get(&target.server).expect("every target has been counted")
    }
}

/// A session with its place on the server, given back once the session is closed.
pub(crate) struct Seated<'s, R: ?Sized> {
    session: Box<R>,
    place: SemaphorePermit<'s>,
}

impl<'s, R: Reader + ?Sized> Seated<'s, R> {
    pub(crate) fn new(session: Box<R>, place: SemaphorePermit<'s>) -> Self {
        Self { session, place }
    }

    /// Ends the session, waits until the server has let go of it, and makes room for the next.
    pub(crate) async fn close(self) {
        self.session.close().await;
        drop(self.place);
    }
}

impl<R: ?Sized> Deref for Seated<'_, R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.session
    }
}

impl<R: ?Sized> DerefMut for Seated<'_, R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.session
    }
}
