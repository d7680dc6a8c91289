//! Somebody between dbctl and its server, who listens, cuts the line, or answers in the server's place.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// What to do once something was heard.
type Act = Box<dyn FnOnce() + Send>;

/// A line that is cut the n-th time that the client says some words.
struct Cut {
    words: &'static str,
    left: usize,
    act: Option<Act>,
}

struct Shared {
    /// Where the server is; it may move.
    upstream: Mutex<u16>,
    cut: Mutex<Option<Cut>>,
    /// Error messages for the next connections, last one first.
    refusals: Mutex<Vec<Vec<u8>>>,
    /// Held while something is done about a line that was cut.
    acting: Mutex<()>,
    over: AtomicBool,
}

/// Listens until it goes.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            cut: Mutex::default(),
            refusals: Mutex::default(),
            acting: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let here = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if here.over.load(Ordering::SeqCst) {
                    return;
                }
                serve(client, &here);
            }
        });
        Self { port, shared }
    }

    /// Cuts the line the `nth` time (from 1) that words are said, before the server hears them, and then does something.
    pub(crate) fn cut(&self, words: &'static str, nth: usize, act: impl FnOnce() + Send + 'static) {
        *self.shared.cut.lock().unwrap() = Some(Cut { words, left: nth, act: Some(Box::new(act)) });
    }

    /// Whether the line was cut.
    pub(crate) fn was_cut(&self) -> bool {
        self.shared.cut.lock().unwrap().as_ref().is_some_and(|cut| cut.left == 0)
    }

    /// Refuses so many connections with an error of the server's.
    pub(crate) fn refuse(&self, times: usize, code: &str, message: &str) {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
        let mut answer = vec![b'E'];
        answer.extend(u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
        answer.extend(fields.as_bytes());
        *self.shared.refusals.lock().unwrap() = vec![answer; times];
    }

    /// How many connections are still to be refused.
    pub(crate) fn refusals_left(&self) -> usize {
        self.shared.refusals.lock().unwrap().len()
    }

    /// Leads to a server on another port from now on.
    pub(crate) fn moved(&self) -> impl Fn(u16) + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move |port| *shared.upstream.lock().unwrap() = port
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // It waits for the next client.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut client: TcpStream, shared: &Arc<Shared>) {
    if let Some(answer) = shared.refusals.lock().unwrap().pop() {
        // The server reads what the client wants before it refuses.
        let _ = client.read(&mut [0; 1024]);
        let _ = client.write_all(&answer);
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", *shared.upstream.lock().unwrap())) else { return };
    let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (hears, listens) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || pump(from_server, to_client, &listens, false));
    thread::spawn(move || pump(client, server, &hears, true));
}

impl Shared {
    /// What to do where these words cut the line.
    fn hears(&self, said: &[u8]) -> Option<Act> {
        let mut cut = self.cut.lock().unwrap();
        let cut = cut.as_mut().filter(|cut| cut.left > 0)?;
        let words = cut.words.as_bytes();
        cut.left -= said.windows(words.len()).filter(|window| *window == words).count().min(cut.left);
        if cut.left > 0 { None } else { cut.act.take() }
    }
}

/// Passes on what one says to the other, until one is gone or the line is cut. What is to be done then is done when the
/// server knows that the client is gone, and before the client knows that the server is.
fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared, from_client: bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if let Some(act) = from_client.then(|| shared.hears(&buffer[..read])).flatten() {
            let _acting = shared.acting.lock();
            let _ = to.shutdown(Shutdown::Both);
            act();
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _acting = shared.acting.lock();
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
