//! Frames that go both ways through an interface while agents come and go, and what they were.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use sensor::testing::{
    frames::{Frame, Generator, Mix},
    netns::{Link, Wire, within},
    socket::{Pace, Sender},
    truth::{Table, Tally},
};

use crate::agent::eventually;

/// Enough for every kind of frame and every prefix.
const FRAMES: usize = 2048;
/// Frames a second and direction: many within each swap, on two CPUs that also load programs.
const RATE: u64 = 8_000;
const MTU: usize = 1500;

/// Both directions of a link, until stopped.
pub(crate) struct Traffic {
    link: Link,
    stop: Arc<AtomicBool>,
    sent: [Arc<AtomicU64>; 2],
    senders: [JoinHandle<Sent>; 2],
}

/// What was sent in one direction.
pub(crate) struct Sent {
    frames: Vec<Frame>,
    /// How many times each went out.
    times: Vec<u64>,
    /// And how many of these the other side had no room for.
    refused: u64,
}

/// Where frames go, seen from the sensor.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// What was sent in both.
pub(crate) struct Truth {
    pub(crate) rx: Sent,
    pub(crate) tx: Sent,
}

impl Traffic {
    /// Starts both senders, with frames in and around the prefixes of `table`.
    pub(crate) fn start(wire: &Wire, link: Link, seed: u64, table: &Table) -> Self {
        Self::start_at(RATE, wire, link, seed, table)
    }

    /// The same with so many frames a second and direction; 0 is as fast as possible.
    pub(crate) fn start_at(rate: u64, wire: &Wire, link: Link, seed: u64, table: &Table) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let ends = [(&wire.peer, link.outside, Way::In), (&wire.sensor, link.inside, Way::Out)];
        let ends = ends.map(|(namespace, interface, way)| {
            let sender = within(namespace, || Sender::open(interface)).unwrap();
            let mut generator = Generator::new(seed + way as u64, table.prefixes(), MTU, Mix::Everything);
            let frames: Vec<Frame> = (0..FRAMES).map(|_| generator.frame()).collect();
            let (stop, sent) = (Arc::clone(&stop), Arc::<AtomicU64>::default());
            let count = Arc::clone(&sent);
            (thread::spawn(move || send(way, rate, sender, frames, &stop, &count)), sent)
        });
        let [(rx, rx_sent), (tx, tx_sent)] = ends;
        Self { link, stop, sent: [rx_sent, tx_sent], senders: [rx, tx] }
    }

    /// Waits until so many more frames have gone each way.
    pub(crate) fn wait(&self, more: u64) {
        let now = || self.sent.each_ref().map(|sent| sent.load(Ordering::Relaxed));
        let then = now();
        assert!(eventually(|| now().iter().zip(then).all(|(now, then)| *now >= then + more)), "nothing is sent");
    }

    /// Stops, waits until everything has arrived, and compares with what the interfaces themselves counted: nothing was dropped.
    pub(crate) fn stop(self, wire: &Wire) -> Truth {
        self.stop_after(wire, (0, 0)).0
    }

    /// Stops; whatever is on its way is nobody's concern.
    pub(crate) fn give_up(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.into_iter().for_each(|sender| drop(sender.join().unwrap()));
    }

    /// [`Traffic::stop`] where the inner and the outer interface had received so many frames before; returns how many now.
    pub(crate) fn stop_after(self, wire: &Wire, before: (u64, u64)) -> (Truth, (u64, u64)) {
        self.stop.store(true, Ordering::Relaxed);
        let [rx, tx] = self.senders.map(|sender| sender.join().unwrap());
        let ends = [(&wire.sensor, self.link.inside, &rx, before.0), (&wire.peer, self.link.outside, &tx, before.1)];
        let [inside, outside] = ends.map(|(namespace, interface, sent, before)| {
            let accepted = before + sent.times.iter().sum::<u64>() - sent.refused;
            eventually(|| received(namespace, interface) >= accepted);
            assert_eq!(received(namespace, interface), accepted, "{interface} has received everything");
            println!("{interface}: {accepted} frames received, {} refused at first", sent.refused);
            accepted
        });
        (Truth { rx, tx }, (inside, outside))
    }
}

impl Sent {
    /// What must have been counted, by a table; on its way out also what the other side had no room for.
    pub(crate) fn tally(&self, table: &Table) -> Tally {
        let mut total = Tally::default();
        for (frame, times) in self.frames.iter().zip(&self.times) {
            let mut power = Tally::default();
            power.count(table, frame);
            let mut left = *times;
            while left > 0 {
                if left & 1 == 1 {
                    total.add(&power);
                }
                power.add(&power.clone());
                left >>= 1;
            }
        }
        total
    }
}

impl Truth {
    /// Of both directions.
    pub(crate) fn tally(&self, table: &Table) -> Tally {
        let mut both = self.rx.tally(table);
        both.add(&self.tx.tally(table));
        both
    }
}

fn send(way: Way, rate: u64, mut sender: Sender, frames: Vec<Frame>, stop: &AtomicBool, sent: &AtomicU64) -> Sent {
    let (mut times, mut refused) = (vec![0; frames.len()], 0);
    let mut pace = Pace::new(rate);
    for number in (0..frames.len()).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let before = sender.retries();
        sender.send(&frames[number].bytes).unwrap();
        let again = sender.retries() - before;
        times[number] += 1;
        if matches!(way, Way::Out) {
            // Counted on its way out although the other end had no room for it.
            (times[number], refused) = (times[number] + again, refused + again);
        }
        sent.fetch_add(1, Ordering::Relaxed);
        pace.wait();
    }
    Sent { frames, times, refused }
}

/// Frames an interface has received, by its own counters.
fn received(namespace: &str, interface: &str) -> u64 {
    let text = within(namespace, || Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':')).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
