//! A collector that keeps keys, and may misbehave; and what decodes messages, written from RFC 7011 alone.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::SockRef;

/// Bytes that a connection holds unread, about.
const RECEIVE_BUFFER: usize = 8 << 10;

/// Fields of a template: number, length, and whether it is an own one.
type Fields = Vec<(u16, usize, bool)>;

/// What was decoded.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    templates: HashMap<(u32, u16), (Fields, bool)>,
    sequences: HashMap<u32, u32>,
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

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Decoder {
    /// Forgets what belongs to a session.
    fn session(&mut self) {
        self.sessions += 1;
        self.templates.clear();
        self.sequences.clear();
    }

    /// Takes the whole messages off a stream.
    pub(super) fn stream(&mut self, bytes: &mut Vec<u8>) {
        while bytes.len() >= 4 && bytes.len() >= number(&bytes[2..4]) as usize {
            let len = number(&bytes[2..4]) as usize;
            let message: Vec<u8> = bytes.drain(..len).collect();
            self.message(&message);
        }
    }

    /// Takes a message.
    pub(super) fn message(&mut self, message: &[u8]) {
        assert_eq!((number(&message[..2]), number(&message[2..4]) as usize), (10, message.len()));
        let (sequence, domain) = (number(&message[8..12]) as u32, number(&message[12..16]) as u32);
        let due = self.sequences.get(&domain).copied().unwrap_or(sequence);
        self.gaps += u32::from(due != sequence);
        let (mut records, mut rest) = (0, &message[16..]);
        while !rest.is_empty() {
            let (id, len) = (number(&rest[..2]) as u16, number(&rest[2..4]) as usize);
            let set = &rest[4..len];
            match id {
                2 | 3 => self.template(domain, set, id == 3),
                _ => records += self.data(domain, id, set),
            }
            rest = &rest[len..];
        }
        self.sequences.insert(domain, sequence.wrapping_add(records));
    }

    fn template(&mut self, domain: u32, mut set: &[u8], is_options: bool) {
        while set.len() > 3 {
            let (id, count) = (number(&set[..2]) as u16, number(&set[2..4]));
            set = &set[if is_options { 6 } else { 4 }..];
            let mut fields = vec![];
            for _ in 0..count {
                let (id, len) = (number(&set[..2]) as u16, number(&set[2..4]) as usize);
                let is_own = id >> 15 == 1;
                set = &set[if is_own { 8 } else { 4 }..];
                fields.push((id & 0x7fff, len, is_own));
            }
            self.templates.insert((domain, id), (fields, is_options));
        }
    }

    fn data(&mut self, domain: u32, id: u16, mut set: &[u8]) -> u32 {
        let Some((fields, is_options)) = self.templates.get(&(domain, id)).cloned() else {
            self.unknown_sets += 1;
            return 0;
        };
        let (mut records, len) = (0, fields.iter().map(|field| field.1).sum::<usize>());
        while set.len() >= len {
            let (record, rest) = set.split_at(len);
            let (mut at, mut octets) = (0, 0);
            for (id, len, _) in &fields {
                let value = &record[at..at + len];
                if *len <= 8 {
                    *self.sums.entry((domain, *id)).or_default() += number(value);
                    octets += if *id == 1 { number(value) } else { 0 };
                } else {
                    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
                    self.texts.extend(String::from_utf8(text.to_vec()));
                }
                at += len;
            }
            if !is_options {
                let next = self.keys.len();
                let (place, _) = *self.places.entry((domain, record.to_vec())).or_insert((next, octets));
                if place == next {
                    self.keys.push((domain, record.to_vec(), 0));
                }
                self.keys[place].2 += 1;
            }
            records += 1;
            set = rest;
        }
        records
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
