//! Raw sockets on an interface: a sender that loses nothing, and a tap that counts what the network stack is given.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::sys;
use crate::bpf::interface_index;

/// How long the other side may leave no room before sending is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pacing looks at the clock after so many frames; below the 256 that a veth queues.
const BURST: u64 = 64;
/// And at least so many times a second.
const LOOKS_PER_SECOND: u64 = 20;

/// Sends whole frames, in order.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    sent: u64,
    retries: u64,
}

impl Sender {
    /// Opens a socket on an interface of this thread's network namespace; it keeps working from any thread.
    ///
    /// # Errors
    /// No such interface, or no right to raw sockets.
    pub fn open(interface: &str) -> Result<Self> {
        let socket = sys::packet_socket(interface_index(interface)?, false)
            .with_context(|| format!("{interface}: cannot open a packet socket, which needs root"))?;
        Ok(Self { socket, sent: 0, retries: 0 })
    }

    /// Sends a frame. Where the receiver's queue is full the kernel says so and drops it: that one is sent again.
    ///
    /// # Errors
    /// The kernel refuses the frame, or the receiver makes no progress.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        let mut since: Option<Instant> = None;
        loop {
            match sys::send(self.socket.as_fd(), frame) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err(error) if is_full(&error) => {
                    self.retries += 1;
                    if since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        bail!("the receiver has taken no frame for {PATIENCE:?}: is its interface up?");
                    }
                    thread::yield_now();
                }
                Err(error) => {
                    return Err(error).context(format!(
                        "the kernel refuses frame {} of {} bytes: does it fit the MTU?",
                        self.sent,
                        frame.len()
                    ));
                }
            }
        }
    }

    /// Frames the kernel took.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Times a frame had to be sent again because the receiver's queue was full.
    pub fn retries(&self) -> u64 {
        self.retries
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR))
}

/// Holds a sender back to a number of frames a second.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    frames: u64,
    per_second: u64,
}

impl Pace {
    /// Starts now; 0 is as fast as possible.
    pub fn new(per_second: u64) -> Self {
        Self { started: Instant::now(), frames: 0, per_second }
    }

    /// Waits until one more frame is due.
    pub fn wait(&mut self) {
        self.frames += 1;
        let burst = BURST.min(self.per_second / LOOKS_PER_SECOND).max(1);
        if self.per_second == 0 || !self.frames.is_multiple_of(burst) {
            return;
        }
        let due = Duration::from_secs_f64(self.frames as f64 / self.per_second as f64);
        if let Some(early) = due.checked_sub(self.started.elapsed()) {
            thread::sleep(early);
        }
    }
}

/// Counts the frames of an interface that the network stack is given; an XDP program comes before it.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Opens a socket on an interface of this thread's network namespace.
    ///
    /// # Errors
    /// No such interface, or no right to raw sockets.
    pub fn open(interface: &str) -> Result<Self> {
        let socket = sys::packet_socket(interface_index(interface)?, true)
            .with_context(|| format!("{interface}: cannot open a packet socket, which needs root"))?;
        Ok(Self { socket })
    }

    /// Frames since the last call, whether or not the socket had room for them.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn frames(&self) -> Result<u64> {
        sys::received(self.socket.as_fd()).map(u64::from).context("cannot read the statistics of a packet socket")
    }
}

/// Keeps this thread on one CPU, so that senders in several threads really are on several CPUs.
///
/// # Errors
/// There is no such CPU.
pub fn pin_to_cpu(cpu: usize) -> Result<()> {
    sys::pin_to_cpu(cpu).with_context(|| format!("cannot run on CPU {cpu}"))
}
