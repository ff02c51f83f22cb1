//! The unsafe door of the test support: raw sockets, the namespace and the CPU of a thread.

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

/// packet(7): every protocol.
const ETH_P_ALL: u16 = 0x0003;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Moves this thread into the network namespace behind `namespace`.
pub(super) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an open descriptor and a flag; the kernel checks what it is of.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Keeps this thread on one CPU.
pub(super) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: the set is plain bits, for which all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the set is live and the number is within it, as just checked.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a live set of that size; 0 is this thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) }).map(drop)
}

/// Processor time of this thread.
pub(super) fn thread_time() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer, and a clock that every kernel has.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// A packet socket on the interface with that index; it receives every frame there if `receive`, else none.
pub(super) fn packet_socket(interface: u32, receive: bool) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only. Protocol 0: nothing is received before bind says so.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: plain numbers, for which all zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = if receive { ETH_P_ALL.to_be() } else { 0 };
    address.sll_ifindex = i32::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?;
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: a live address of that length.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), len) })?;
    Ok(socket)
}

/// Hands one frame to the kernel.
pub(super) fn send(socket: BorrowedFd<'_>, frame: &[u8]) -> io::Result<()> {
    // SAFETY: the bytes are live for the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Frames that came to a packet socket since the last call, those it had no room for included.
pub(super) fn received(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the buffer is live and as long as said.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            ptr::from_mut(&mut statistics).cast(),
            &raw mut len,
        )
    })?;
    Ok(statistics.tp_packets)
}

/// Sets an option whose value is a number.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    set(socket, level, name, &value)
}

fn set<T>(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: a live value of that length, which the kernel copies.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(value).cast(), len) }).map(drop)
}

/// A ring of one frame, shared with a packet socket that sends from it (packet(7), `PACKET_TX_RING`).
#[derive(Debug)]
pub(super) struct Ring(*mut u8);

impl Ring {
    /// Room for a frame and what stands before it: whole pages, a power of two.
    const LEN: usize = 1 << 15;
    /// `struct tpacket_hdr`, aligned: the frame begins behind it.
    const HEADER_LEN: usize = 32;

    /// Gives the socket its ring.
    pub(super) fn new(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let len = Self::LEN as libc::c_uint;
        let one = libc::tpacket_req { tp_block_size: len, tp_block_nr: 1, tp_frame_size: len, tp_frame_nr: 1 };
        set(socket, libc::SOL_PACKET, libc::PACKET_TX_RING, &one)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = socket.as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { libc::mmap(ptr::null_mut(), Self::LEN, protection, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(start.cast())) }
    }

    /// Puts a frame in for the next send; `false` where the last one is not done with, or where there is no room.
    pub(super) fn put(&mut self, frame: &[u8]) -> bool {
        if !self.is_free() || frame.len() > Self::LEN - Self::HEADER_LEN {
            return false;
        }
        // SAFETY: the ring is mapped, large enough as just checked, and the kernel does not touch it before the status says so.
        unsafe {
            ptr::copy_nonoverlapping(frame.as_ptr(), self.0.add(Self::HEADER_LEN), frame.len());
            let header: *mut libc::tpacket_hdr = self.0.cast();
            (*header).tp_len = frame.len() as libc::c_uint;
            (&raw mut (*header).tp_status).write_volatile(libc::TP_STATUS_SEND_REQUEST.into());
        }
        true
    }

    /// Whether the kernel is done with the frame.
    pub(super) fn is_free(&self) -> bool {
        // SAFETY: the ring is mapped; the status is its first word, which the kernel writes whole.
        unsafe { self.0.cast::<libc::c_ulong>().read_volatile() == libc::c_ulong::from(libc::TP_STATUS_AVAILABLE) }
    }
}

// SAFETY: the mapping is plain memory of this process, and only its owner goes through the pointer.
unsafe impl Send for Ring {}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this value made the mapping and hands out no reference to it.
        unsafe { libc::munmap(self.0.cast(), Self::LEN) };
    }
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instructions: u32,
    code: u64,
    licence: u64,
}

/// `union bpf_attr` for `BPF_LINK_CREATE` of TCX.
#[repr(C)]
struct TcxLink {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    padding: u32,
    revision: u64,
}

/// Loads a classifier from its instructions.
pub(super) fn load_classifier(code: &[u64]) -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: libc::c_int = 5;
    const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
    const LICENCE: &std::ffi::CStr = c"MIT";
    let load = ProgramLoad {
        program_type: BPF_PROG_TYPE_SCHED_CLS,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        licence: LICENCE.as_ptr() as u64,
    };
    bpf(BPF_PROG_LOAD, &load)
}

/// Attaches a classifier to what the interface with that index sends, as the first or the last one.
pub(super) fn attach_egress(program: BorrowedFd<'_>, interface: u32, first: bool) -> io::Result<OwnedFd> {
    const BPF_LINK_CREATE: libc::c_int = 28;
    const BPF_TCX_EGRESS: u32 = 47;
    const BPF_F_BEFORE: u32 = 1 << 3;
    const BPF_F_AFTER: u32 = 1 << 4;
    let link = TcxLink {
        program: program.as_raw_fd() as u32,
        interface,
        attach_type: BPF_TCX_EGRESS,
        flags: if first { BPF_F_BEFORE } else { BPF_F_AFTER },
        relative: 0,
        padding: 0,
        revision: 0,
    };
    bpf(BPF_LINK_CREATE, &link)
}

/// A command of bpf(2) that makes a descriptor.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are a live, fully initialised head of `union bpf_attr`, what they point to is alive, and their size
    // is passed along.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of::<T>()) };
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    verdict: u32,
    data_in_len: u32,
    data_out_len: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in_len: u32,
    context_out_len: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

/// Runs a program `repeat` times on a frame and returns its last verdict. With `batch` the frames are live: they go where the program
/// sends them, so many at a time.
pub(super) fn test_run(program: BorrowedFd<'_>, frame: &[u8], repeat: u32, batch: Option<u32>) -> io::Result<u32> {
    const BPF_PROG_TEST_RUN: libc::c_int = 10;
    const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
    let mut run = TestRun {
        program: program.as_raw_fd() as u32,
        data_in_len: frame.len() as u32,
        data_in: frame.as_ptr() as u64,
        repeat,
        flags: if batch.is_some() { BPF_F_TEST_XDP_LIVE_FRAMES } else { 0 },
        batch: batch.unwrap_or(0),
        ..TestRun::default()
    };
    let attributes = ptr::from_mut(&mut run);
    // SAFETY: live, fully initialised attributes of that size, which point to a live frame; the kernel writes the verdict into them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, attributes, size_of::<TestRun>()) };
    check(result as libc::c_int)?;
    Ok(run.verdict)
}
