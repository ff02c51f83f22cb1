//! A collector that keeps keys, and may misbehave.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    mem::take,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::SockRef;

use crate::testing::ipfix::{Record, Session, number, text};

/// Bytes that a connection holds unread, about.
const RECEIVE_BUFFER: usize = 8 << 10;

/// What was decoded.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    session: Session,
    /// Sums by domain and element.
    sums: HashMap<(u32, u16), u64>,
    /// Data records by domain and content, with how often they came.
    pub(super) keys: Vec<(u32, Vec<u8>, u32)>,
    places: HashMap<(u32, Vec<u8>), (usize, u64)>,
    /// All texts.
    pub(super) texts: Vec<String>,
    /// Connections.
    pub(super) sessions: u32,
    /// Sequence numbers that were not what came before.
    pub(super) gaps: u32,
    /// Sets without a template.
    pub(super) unknown_sets: u32,
}

impl Decoder {
    /// Forgets what belongs to a session.
    fn session(&mut self) {
        self.sessions += 1;
        self.session = Session::default();
    }

    /// Takes the whole messages off a stream.
    pub(super) fn stream(&mut self, bytes: &mut Vec<u8>) {
        let records = self.session.stream(bytes).unwrap();
        self.keep(records);
    }

    /// Takes a message.
    pub(super) fn message(&mut self, message: &[u8]) {
        let records = self.session.message(message).unwrap();
        self.keep(records);
    }

    fn keep(&mut self, records: Vec<Record>) {
        self.gaps += take(&mut self.session.gaps);
        self.unknown_sets += take(&mut self.session.unknown_sets);
        for record in records {
            for (element, value) in &record.fields {
                if value.len() <= 8 {
                    *self.sums.entry((record.domain, *element)).or_default() += number(value);
                } else {
                    self.texts.extend(text(value));
                }
            }
            if !record.is_options {
                let (next, octets) = (self.keys.len(), record.number(1));
                let content = record.fields.into_iter().flat_map(|(_, value)| value).collect::<Vec<u8>>();
                let (place, _) = *self.places.entry((record.domain, content.clone())).or_insert((next, octets));
                if place == next {
                    self.keys.push((record.domain, content, 0));
                }
                self.keys[place].2 += 1;
            }
        }
    }

    /// What an element adds up to in a domain, with whatever came twice.
    pub(super) fn sum(&self, domain: u32, id: u16) -> u64 {
        self.sums.get(&(domain, id)).copied().unwrap_or_default()
    }

    /// Octets in a domain, of each record once.
    pub(super) fn octets_by_key(&self, domain: u32) -> u64 {
        self.places.iter().filter(|((of, _), _)| *of == domain).map(|(_, (_, octets))| octets).sum()
    }
}

/// What a collector does with a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// Reads so many bytes, and resets it.
    ResetAfter(usize),
    /// Reads so many bytes, and closes it.
    CloseAfter(usize),
    /// Answers, with what it has not been asked.
    Answer,
    /// Reads nothing.
    Silent,
    /// Reads a little at a time.
    Slow,
}

/// A collector on TCP.
pub(super) struct Collector {
    pub(super) port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Decoder>>,
}

impl Collector {
    /// The first connections are treated in these manners, all later ones well.
    pub(super) fn start(manners: Vec<Manner>) -> Self {
        Self::start_at(0, manners)
    }

    pub(super) fn start_at(port: u16, manners: Vec<Manner>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        // Connections inherit it.
        SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            let (mut decoder, mut manners) = (Decoder::default(), manners.into_iter());
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((connection, _)) => serve(connection, manners.next(), &mut decoder, &stopped),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
            decoder
        };
        Self { port, stop, thread: Some(thread::spawn(run)) }
    }

    pub(super) fn finish(mut self) -> Decoder {
        // What is in the socket is still read.
        thread::sleep(Duration::from_millis(100));
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(mut connection: TcpStream, manner: Option<Manner>, decoder: &mut Decoder, stop: &AtomicBool) {
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    decoder.session();
    let (mut bytes, mut read) = (vec![], 0);
    while !stop.load(Ordering::Relaxed) {
        let mut buffer = [0; 4096];
        match manner {
            Some(Manner::ResetAfter(most)) if read >= most => {
                SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Some(Manner::CloseAfter(most)) if read >= most => return,
            Some(Manner::Answer) => {
                let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                thread::sleep(Duration::from_millis(50));
                return;
            }
            Some(Manner::Silent) => {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Some(Manner::Slow) => thread::sleep(Duration::from_millis(20)),
            _ => {}
        }
        match connection.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                read += len;
                bytes.extend_from_slice(&buffer[..len]);
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        decoder.stream(&mut bytes);
    }
}
