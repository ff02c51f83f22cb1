//! Packets to known addresses, each of its own length, sent one after the other; how many is known at any moment.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use sensor::testing::{
    netns::{LINK, Link, Wire, within},
    socket::{Pace, Sender},
    truth::Sum,
};

use crate::{agent::eventually, net::Address, plain::plain, table::targets};

/// Frames a second: some hundreds for each reload, on two CPUs that also reload.
const RATE: u64 = 12_000;
/// Frames that may be on their way between the two interfaces: what a veth queues, several times over.
pub(crate) const ON_THEIR_WAY: u64 = 2_048;
const ETHERNET_HEADER: u64 = 14;

/// A packet and what it counts for.
pub(crate) struct Packet {
    pub(crate) target: Address,
    pub(crate) sum: Sum,
    frame: Vec<u8>,
}

/// The packets to all targets, in the order in which they are sent, over and over.
pub(crate) fn packets() -> Vec<Packet> {
    let packet = |(target, payload): (Address, usize)| {
        let nowhere = Address { v4: target.v4, bits: 0xee00 << 112 };
        let frame = plain(nowhere, target, payload);
        let frame_bytes = frame.len() as u64;
        Packet { target, sum: Sum { packets: 1, bytes: frame_bytes - ETHERNET_HEADER, frame_bytes }, frame }
    };
    targets().into_iter().zip(8..).map(packet).collect()
}

/// Sends until stopped, or so many packets at a time.
pub(crate) struct Sending {
    stop: Arc<AtomicBool>,
    /// How many may be sent; held from looking at it until a packet is sent and counted.
    allowed: Arc<Mutex<u64>>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<()>>,
    namespace: String,
    link: Link,
}

impl Sending {
    /// Starts with none.
    pub(crate) fn new(wire: &Wire) -> Self {
        let mut sender = within(&wire.peer, || Sender::open(LINK.outside)).unwrap();
        let (stop, allowed, sent) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<u64>>::default(), Arc::<AtomicU64>::default());
        let (stopped, may, count) = (Arc::clone(&stop), Arc::clone(&allowed), Arc::clone(&sent));
        let work = move || {
            let (packets, mut pace) = (packets(), Pace::new(RATE));
            for packet in packets.iter().cycle() {
                loop {
                    let may = may.lock().unwrap();
                    if count.load(Ordering::Acquire) < *may {
                        sender.send(&packet.frame).unwrap();
                        count.fetch_add(1, Ordering::AcqRel);
                        break;
                    }
                    drop(may);
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    thread::park();
                    pace = Pace::new(RATE);
                }
                pace.wait();
            }
        };
        let sender = Some(thread::spawn(work));
        Self { stop, allowed, sent, sender, namespace: wire.sensor.clone(), link: LINK }
    }

    /// Sends until [`pause`](Self::pause).
    pub(crate) fn go(&self) {
        self.allow(u64::MAX);
    }

    /// Sends so many more, and waits until all were received.
    pub(crate) fn send(&self, more: u64) {
        let goal = self.sent() + more;
        self.allow(goal);
        assert!(eventually(|| self.sent() >= goal), "nothing is sent");
        self.drained();
    }

    /// Stops sending, and waits until all were received.
    pub(crate) fn pause(&self) {
        // Once this is done none is being sent.
        self.allow(0);
        self.drained();
    }

    fn drained(&self) {
        assert!(eventually(|| self.received() >= self.sent()), "{} of {}", self.received(), self.sent());
        assert_eq!(self.received(), self.sent(), "somebody else sends");
    }

    /// Packets the kernel took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Waits until so many more were sent.
    pub(crate) fn wait(&self, more: u64) {
        let goal = self.sent() + more;
        assert!(eventually(|| self.sent() >= goal), "nothing is sent");
    }

    /// [`wait`](Self::wait) or [`send`](Self::send).
    pub(crate) fn wait_or_send(&self, running: bool, more: u64) {
        if running { self.wait(more) } else { self.send(more) }
    }

    fn allow(&self, allowed: u64) {
        // A sender that failed has failed the test already.
        *self.allowed.lock().unwrap_or_else(PoisonError::into_inner) = allowed;
        if let Some(sender) = &self.sender {
            sender.thread().unpark();
        }
    }

    /// Frames the inner interface has received, by its own counters.
    fn received(&self) -> u64 {
        let text = within(&self.namespace, || Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix(self.link.inside)?.strip_prefix(':')).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.allow(0);
        if let Some(sender) = self.sender.take() {
            // A sender that failed has failed the test already.
            let _ = sender.join();
        }
    }
}
