//! A collector's side of TCP that misbehaves on demand.

use std::{
    io::{self, ErrorKind, Read as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use sensor::testing::{netns::within, rng::Rng};
use socket2::{SockFilter, SockRef};

/// Between two looks at what is to be done.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes that a connection holds unread, about: less than an interval.
const RECEIVE_BUFFER: usize = 8 << 10;
/// Bytes that a slow one reads at a time, and how long it then does something else: an interval takes longer than every deadline of exporters.
const SIP: usize = 256;
const SIP_PAUSE: Duration = Duration::from_millis(100);
/// Classic BPF: no packet passes.
const NOTHING: [SockFilter; 1] = [SockFilter::new(6, 0, 0, 0)];

/// What a collector does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// What it should.
    Well,
    /// It ends, and what it had not read with it.
    Gone,
    /// It neither accepts nor reads.
    Frozen,
    /// It accepts, and its kernel acknowledges nothing.
    Deaf,
    /// Nothing gets to it: neither a new connection nor what is sent over one.
    Unreachable,
    /// It reads a little at a time.
    Slow,
    /// It reads, and never answers.
    Mute,
    /// It answers what nobody understands.
    Garbage,
    /// It resets each connection somewhere within what it is sent.
    Reset,
    /// It answers that it cannot.
    Refuse,
}

/// A collector that listens in a network namespace.
pub(crate) struct Server {
    switch: Arc<Switch>,
    thread: Option<JoinHandle<()>>,
}

struct Switch {
    manner: Mutex<Manner>,
    over: AtomicBool,
}

/// A connection to it.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) rng: Rng,
    switch: Arc<Switch>,
    is_deaf: bool,
}

/// What came of reading.
pub(crate) enum Came {
    Bytes(usize),
    Nothing,
    End,
}

impl Server {
    /// Serves each connection in a thread of its own.
    pub(crate) fn start(
        namespace: &str,
        port: u16,
        seed: u64,
        serve: impl Fn(Connection) + Clone + Send + Sync + 'static,
    ) -> Self {
        let switch = Arc::new(Switch { manner: Mutex::new(Manner::Well), over: AtomicBool::new(false) });
        let (namespace, own) = (namespace.to_owned(), Arc::clone(&switch));
        // Threads are in the namespace of whoever starts them.
        let run = move || {
            let listen = || {
                own.listen(port, seed, &serve);
                Ok(())
            };
            within(&namespace, listen).unwrap();
        };
        Self { switch, thread: Some(thread::spawn(run)) }
    }

    /// From now on.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.switch.manner.lock().unwrap() = manner;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.switch.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Switch {
    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn wait_while(&self, manner: Manner) {
        while self.manner() == manner && !self.is_over() {
            thread::sleep(LOOK);
        }
    }

    fn listen(self: &Arc<Self>, port: u16, seed: u64, serve: &(impl Fn(Connection) + Clone + Send + Sync + 'static)) {
        let (mut listener, mut rng) = (None, Rng::new(seed));
        let mut accept = |listener: &TcpListener| {
            let Ok((stream, _)) = listener.accept() else { return false };
            let (serve, rng) = (serve.clone(), Rng::new(rng.next_u64()));
            let connection = Connection { stream, rng, switch: Arc::clone(self), is_deaf: false };
            thread::spawn(move || serve(connection));
            true
        };
        while !self.is_over() {
            match self.manner() {
                Manner::Gone => {
                    if let Some(gone) = listener.take() {
                        // What waits to be accepted has been acknowledged, perhaps: nobody is to come any more, and whoever is there is known.
                        SockRef::from(&gone).attach_filter(&NOTHING).unwrap();
                        while accept(&gone) {}
                    }
                }
                Manner::Frozen => {}
                Manner::Unreachable => {
                    let listener = listener.get_or_insert_with(|| bind(port));
                    SockRef::from(&*listener).attach_filter(&NOTHING).unwrap();
                    self.wait_while(Manner::Unreachable);
                    SockRef::from(&*listener).detach_filter().unwrap();
                }
                Manner::Well
                | Manner::Deaf
                | Manner::Slow
                | Manner::Mute
                | Manner::Garbage
                | Manner::Reset
                | Manner::Refuse => {
                    if accept(listener.get_or_insert_with(|| bind(port))) {
                        continue;
                    }
                }
            }
            thread::sleep(LOOK);
        }
    }
}

fn bind(port: u16) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    // Connections inherit it.
    SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    listener
}

impl Connection {
    /// What is to be done now, once there is anything; `None`: it is over.
    pub(crate) fn manner(&mut self) -> Option<Manner> {
        loop {
            let manner = self.switch.manner();
            self.hear(!matches!(manner, Manner::Deaf | Manner::Unreachable));
            match manner {
                _ if self.switch.is_over() => return None,
                Manner::Frozen | Manner::Deaf | Manner::Unreachable => thread::sleep(LOOK),
                Manner::Well
                | Manner::Slow
                | Manner::Gone
                | Manner::Mute
                | Manner::Garbage
                | Manner::Reset
                | Manner::Refuse => {
                    return Some(manner);
                }
            }
        }
    }

    /// Whether its kernel takes anything.
    fn hear(&mut self, hears: bool) {
        if hears == self.is_deaf {
            let socket = SockRef::from(&self.stream);
            let changed = if hears { socket.detach_filter() } else { socket.attach_filter(&NOTHING) };
            changed.unwrap();
            self.is_deaf = !hears;
        }
    }

    /// Reads what is there, up to so many bytes.
    pub(crate) fn read(&mut self, most: usize, into: &mut Vec<u8>) -> Came {
        let is_slow = self.switch.manner() == Manner::Slow;
        if is_slow {
            thread::sleep(SIP_PAUSE);
        }
        let most = if is_slow { most.min(SIP) } else { most };
        self.stream.set_nonblocking(false).unwrap();
        self.stream.set_read_timeout(Some(LOOK)).unwrap();
        self.take(most, into)
    }

    fn take(&mut self, most: usize, into: &mut Vec<u8>) -> Came {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer[..most.min(4096)]) {
            Ok(0) => Came::End,
            Ok(len) => {
                into.extend_from_slice(&buffer[..len]);
                Came::Bytes(len)
            }
            Err(error) if is_nothing(&error) => Came::Nothing,
            Err(_) => Came::End,
        }
    }

    /// Dies with what was not read, which is what its kernel has acknowledged and nothing else; returns that.
    pub(crate) fn die(mut self, with_reset: bool) -> Vec<u8> {
        let mut unread = vec![];
        if with_reset {
            SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        self.hear(false);
        self.stream.set_nonblocking(true).unwrap();
        while let Came::Bytes(_) = self.take(usize::MAX, &mut unread) {}
        unread
    }

    /// Waits until something else is to be done.
    pub(crate) fn wait_while(&self, manner: Manner) {
        self.switch.wait_while(manner);
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
