//! The unsafe door to the kernel: the few system calls that neither `std` nor aya offers.

use std::{
    ffi::{CStr, CString},
    io,
    mem::{MaybeUninit, size_of, zeroed},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, net::UnixDatagram},
    },
    path::{Path, PathBuf},
    ptr,
};

/// `BPF_MAP_CREATE` and `BPF_MAP_UPDATE_ELEM` of bpf(2).
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
/// `BPF_OBJ_GET` and `BPF_OBJ_GET_INFO_BY_FD`.
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// A BPF file system mounted nowhere: pins in it are reached by [`DetachedBpffs::path`] and vanish with this value.
///
/// Instances of one sensor share maps by pins; a replay or a test must leave none behind, whatever ends it.
#[derive(Debug)]
pub(crate) struct DetachedBpffs(OwnedFd);

impl DetachedBpffs {
    /// Makes one (fsopen(2), Linux 5.2; needs CAP_SYS_ADMIN).
    pub(crate) fn new() -> io::Result<Self> {
        const NAME: &CStr = c"bpf";
        let null: *const libc::c_void = ptr::null();
        // SAFETY: fsopen takes a valid C string and flags.
        let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, NAME.as_ptr(), 0) })?;
        // SAFETY: the descriptor is open; the command takes no key, value or further argument.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0) })?;
        // SAFETY: the descriptor is open; no flags, no attributes.
        owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 0, 0) }).map(Self)
    }

    /// The directory to pin in, valid in this process alone.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Waits until no program runs any more that began before the call.
///
/// An update of a map of maps returns only after an RCU grace period (`maybe_wait_bpf_programs`), so this one exists to be updated.
#[derive(Debug)]
pub(crate) struct GracePeriod {
    outer: OwnedFd,
    inner: OwnedFd,
}

/// The head of `union bpf_attr` for `BPF_MAP_CREATE`; the kernel takes shorter versions of it.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
}

/// `union bpf_attr` for `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct ObjInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The head of `struct bpf_link_info`, of a link to an XDP or TCX hook.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    prog_id: u32,
    padding: u32,
    ifindex: u32,
    attach_type: u32,
}

/// What is pinned at `path`.
fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let get = ObjGet { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    owned(bpf(BPF_OBJ_GET, &get)?)
}

/// Takes the program of the link pinned at `path` off its interface, at once (Linux 5.9). Removing the pin does so too, but not while
/// somebody else holds the link, and kernels may put it off to a worker.
pub(crate) fn detach_link(path: &Path) -> io::Result<()> {
    let link = open_pin(path)?;
    let fd = link.as_raw_fd() as u32;
    bpf(BPF_LINK_DETACH, &fd).map(|_| ())
}

/// Index of the interface that the link pinned at `path` leads to, in the interface's own network namespace; 0 once it was deleted.
pub(crate) fn link_interface(path: &Path) -> io::Result<u32> {
    let link = open_pin(path)?;
    let mut info = LinkInfo::default();
    let query = ObjInfo {
        bpf_fd: link.as_raw_fd() as u32,
        info_len: size_of::<LinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &query)?;
    Ok(info.ifindex)
}

impl GracePeriod {
    /// Makes the two small maps it takes.
    pub(crate) fn new() -> io::Result<Self> {
        let inner = create_array(BPF_MAP_TYPE_ARRAY, 0)?;
        let outer = create_array(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner.as_raw_fd() as u32)?;
        Ok(Self { outer, inner })
    }

    /// Blocks for some milliseconds.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let key = 0_u32;
        let value = self.inner.as_raw_fd() as u32;
        let update = MapUpdate {
            map_fd: self.outer.as_raw_fd() as u32,
            padding: 0,
            key: (&raw const key) as u64,
            value: (&raw const value) as u64,
            flags: 0,
        };
        bpf(BPF_MAP_UPDATE_ELEM, &update).map(|_| ())
    }
}

fn create_array(map_type: u32, inner_map_fd: u32) -> io::Result<OwnedFd> {
    let create = MapCreate { map_type, key_size: 4, value_size: 4, max_entries: 1, map_flags: 0, inner_map_fd };
    owned(bpf(BPF_MAP_CREATE, &create)?)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are a live, fully initialised head of `union bpf_attr`, and their size is passed along.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of::<T>()) })
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A clock that nobody sets, and that goes on while the machine sleeps.
pub(crate) fn seconds_since_boot() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer; every kernel with eBPF has this clock, so that the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    u32::try_from(time.tv_sec).unwrap_or(u32::MAX)
}

/// Keeps this thread on the CPU that it is on now.
pub(crate) fn stay_on_cpu() -> io::Result<()> {
    // SAFETY: takes nothing.
    let cpu = check(unsafe { libc::sched_getcpu() }.into())? as usize;
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: the set is plain bits, for which all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the set is live and the number is within it, as just checked.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a live set of that size; 0 is this thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) }.into()).map(drop)
}

/// Whether the BPF file system is mounted at `path`.
pub(crate) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut filesystem = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: a valid C string, and room for the answer.
    check(unsafe { libc::statfs(path.as_ptr(), filesystem.as_mut_ptr()) }.into())?;
    // SAFETY: the call succeeded, so the answer was written.
    Ok(unsafe { filesystem.assume_init() }.f_type == libc::BPF_FS_MAGIC)
}

/// Index of an interface of the network namespace this thread is in.
pub(crate) fn interface_index(name: &CStr) -> io::Result<u32> {
    // SAFETY: the name is a valid C string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Link-layer type of an interface of this thread's network namespace: `ARPHRD_ETHER` and its like (`linux/if_arp.h`).
pub(crate) fn link_layer(name: &CStr) -> io::Result<u16> {
    // Any socket will do; what counts is the network namespace it was made in, that of this thread.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: plain numbers and a union of such, for which all zero is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let name = name.to_bytes_with_nul();
    if name.len() > request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    // SAFETY: the request is live, and the kernel writes no more than it.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) }.into())?;
    // SAFETY: the kernel has written a hardware address, and every field of it is a plain number.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr }.sa_family)
}

/// A shared, writable mapping of a whole file or map.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: *mut libc::c_void,
    len: usize,
}

// SAFETY: the mapping is plain memory; whoever reads or writes through it says how it is synchronised.
unsafe impl Send for Mapping {}
// SAFETY: as above; all access goes through raw pointers and volatile or whole-word operations.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes behind `fd`, rounded up to whole pages by the kernel.
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_fd().as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, len }) }
    }

    /// The first byte.
    pub(crate) fn start(&self) -> *mut libc::c_void {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value made the mapping and hands out no reference that outlives it.
        unsafe { libc::munmap(self.start, self.len) };
    }
}
