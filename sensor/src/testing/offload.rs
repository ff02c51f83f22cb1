//! Packets that the kernel cuts on their way out (GSO), and frames of which it maps only the link header.

use std::{
    net::UdpSocket,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{rng::Rng, sys, truth::Sum};
use crate::bpf::interface_index;

/// How long the kernel may hold a frame.
const PATIENCE: Duration = Duration::from_secs(60);
/// `struct virtio_net_hdr`: needs a checksum, and the kinds of segmentation.
const NEEDS_CHECKSUM: u8 = 1;
const CUT_TCP_V4: u8 = 1;
const CUT_TCP_V6: u8 = 4;
const CUT_UDP: u8 = 5;

const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
const UDP_LEN: usize = 8;
const JUMBO_LEN: usize = 8;

/// A packet larger than the MTU, and what it is once it was cut.
#[derive(Clone, Debug)]
pub struct Large {
    /// `struct virtio_net_hdr`, then the frame.
    bytes: Vec<u8>,
    /// What goes over the wire.
    pub truth: Sum,
}

/// What a large packet looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// IPv4 or IPv6.
    pub v4: bool,
    /// Bytes of the TCP header, a multiple of 4 from 20 to 60; `None` is UDP.
    pub tcp: Option<usize>,
    /// With the jumbo header that the kernel gives an IPv6 TCP packet beyond 65,535 bytes, and takes out when cutting it.
    pub jumbo: bool,
    /// 802.1Q tags in its bytes.
    pub tags: usize,
    /// Bytes behind its headers.
    pub payload: usize,
    /// Most of them in one segment.
    pub segment: u16,
}

impl Large {
    /// Builds it from 192.0.2.1 to 198.51.100.1, or from 2001:db8::1 to 2001:db8:1::1.
    pub fn new(rng: &mut Rng, shape: Shape) -> Self {
        let mut frame = vec![2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0x5e, 0x10, 0, 2];
        (0..shape.tags).for_each(|_| frame.extend([0x81, 0, 0, 7]));
        let upper = shape.tcp.unwrap_or(UDP_LEN);
        let protocol = if shape.tcp.is_some() { 6 } else { 17 };
        let behind = (upper + shape.payload) as u16;
        if shape.v4 {
            frame.extend([0x08, 0, 0x45, 0]);
            frame.extend((20 + behind).to_be_bytes());
            frame.extend([0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1]);
        } else {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(if shape.jumbo { 0 } else { behind }.to_be_bytes());
            frame.extend([if shape.jumbo { 0 } else { protocol }, 64]);
            frame.extend([0x2001_0db8_u128 << 96 | 1, 0x2001_0db8_0001 << 80 | 1].map(u128::to_be_bytes).concat());
        }
        if shape.jumbo {
            frame.extend([protocol, 0, 0xc2, 4]);
            frame.extend(((JUMBO_LEN + upper + shape.payload) as u32).to_be_bytes());
        }
        let upper_at = frame.len();
        frame.extend([0x30, 0x39, 0, 9]);
        if shape.tcp.is_some() {
            // Sequence, acknowledgement, length of the header and ACK, window; the options mean nothing.
            frame.extend([0, 0, 0, 1, 0, 0, 0, 1, ((upper / 4) << 4) as u8, 0x10, 0xff, 0xff]);
            frame.resize(upper_at + 20, 0);
            frame.resize(upper_at + upper, 1);
        } else {
            frame.extend(behind.to_be_bytes());
            frame.resize(upper_at + upper, 0);
        }
        let header = frame.len();
        frame.extend((0..shape.payload).map(|_| rng.next_u64() as u8));

        let kind = match (shape.tcp, shape.v4) {
            (None, _) => CUT_UDP,
            (Some(_), true) => CUT_TCP_V4,
            (Some(_), false) => CUT_TCP_V6,
        };
        let checksum: u16 = if shape.tcp.is_some() { 16 } else { 6 };
        let mut bytes = vec![NEEDS_CHECKSUM, kind];
        for number in [header as u16, shape.segment, upper_at as u16, checksum] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(frame);
        let packets = shape.payload.div_ceil(shape.segment.into());
        let link = ETHERNET_LEN + shape.tags * TAG_LEN;
        let left = header - if shape.jumbo { JUMBO_LEN } else { 0 };
        let sum = |each: usize| (shape.payload + packets * each) as u64;
        Self { bytes, truth: Sum { packets: packets as u64, bytes: sum(left - link), frame_bytes: sum(left) } }
    }
}

/// Sends packets for the kernel to cut, without saying into how many, as a tap or a virtual machine does (`PACKET_VNET_HDR`).
#[derive(Debug)]
pub struct LargeSender(OwnedFd);

impl LargeSender {
    /// Opens a socket on an interface of this thread's network namespace.
    ///
    /// # Errors
    /// No such interface, or no right to raw sockets.
    pub fn open(interface: &str) -> Result<Self> {
        let socket = packet_socket(interface)?;
        sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)
            .context("the packet socket takes no virtio-net header")?;
        Ok(Self(socket))
    }

    /// Sends one.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn send(&self, packet: &Large) -> Result<()> {
        sys::send(self.0.as_fd(), &packet.bytes)
            .with_context(|| format!("the kernel refuses a packet to be cut into {}", packet.truth.packets))
    }
}

/// Sends frames out of memory that it shares with the kernel, which maps only their link header (`PACKET_TX_RING`).
#[derive(Debug)]
pub struct RingSender {
    socket: OwnedFd,
    ring: sys::Ring,
}

impl RingSender {
    /// Opens a socket on an interface of this thread's network namespace.
    ///
    /// # Errors
    /// No such interface, or no right to raw sockets.
    pub fn open(interface: &str) -> Result<Self> {
        let socket = packet_socket(interface)?;
        let ring = sys::Ring::new(socket.as_fd()).context("the packet socket has no ring to send from")?;
        Ok(Self { socket, ring })
    }

    /// Sends a frame and waits until the kernel is done with it.
    ///
    /// # Errors
    /// The kernel refuses it, or keeps it.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        if !self.ring.put(frame) {
            bail!("no room for a frame of {} bytes", frame.len());
        }
        sys::send(self.socket.as_fd(), &[]).context("the kernel does not send from the ring")?;
        let since = Instant::now();
        while !self.ring.is_free() {
            if since.elapsed() > PATIENCE {
                bail!("the kernel has kept a frame for {PATIENCE:?}");
            }
            std::thread::yield_now();
        }
        Ok(())
    }
}

fn packet_socket(interface: &str) -> Result<OwnedFd> {
    sys::packet_socket(interface_index(interface)?, false)
        .with_context(|| format!("{interface}: cannot open a packet socket, which needs root"))
}

/// Has the kernel cut what `socket` sends into datagrams of so many bytes (`UDP_SEGMENT`).
///
/// # Errors
/// The kernel does not know how.
pub fn cut_datagrams(socket: &UdpSocket, bytes: u16) -> Result<()> {
    sys::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, bytes.into())
        .context("the socket takes no UDP_SEGMENT")
}
