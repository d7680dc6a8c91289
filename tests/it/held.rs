//! A session of somebody else's, open for as long as a test wants it to be.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

/// A session in a thread of its own; closed when it goes.
pub(crate) struct Held {
    /// The server process behind it.
    pub(crate) pid: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

/// Opens a session, runs SQL in it, and keeps it.
pub(crate) fn hold(url: &str, sql: &str) -> Held {
    let (ready, started) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a session");
            let mut connection = tokio::spawn(connection);
            client.batch_execute(&sql).await.expect("its SQL runs");
            let pid = client.query_one("select pg_backend_pid()::text", &[]).await.expect("its pid");
            ready.send(pid.get::<_, String>(0)).expect("the test waits for it");
            tokio::select! {
                _ = stopped => false,
                _ = &mut connection => true,
            }
        })
    });
    let pid = started.recv().expect("the session is open");
    Held { pid, stop: Some(stop), thread: Some(thread) }
}

impl Held {
    /// Whether the server has ended it by now; closes it if not.
    pub(crate) fn was_ended(mut self) -> bool {
        self.close()
    }

    fn close(&mut self) -> bool {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        self.thread.take().is_some_and(|thread| thread.join().expect("the session's thread"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.close();
    }
}
