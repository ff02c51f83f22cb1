//! Attaching a program instance to an interface: native or nothing, unless generic was asked for.

use std::{
    ffi::CString,
    fmt, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{Instance, pins, sys};

/// What an interface is to the sensor; each has programs of its own with one verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// In the path of a router: every packet passes.
    Inline,
    /// A tap or SPAN port: packets end here.
    Mirror,
}

/// Whether the program takes frames of several buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// `xdp.frags`: Linux 5.18 and a driver that knows it; any MTU.
    Several,
    /// Plain XDP: the driver limits the MTU to about a page.
    One,
}

/// A program at work on an interface. Dropping it detaches, unless it is pinned.
#[derive(Debug)]
pub struct Attachment {
    /// `None` once it was detached.
    link: Option<FdLink>,
    pin: Option<PathBuf>,
    /// Index of the interface in the network namespace it was attached in.
    pub index: u32,
    /// The kernel's number for the program.
    pub program: u32,
    /// The variant that the kernel and the driver took.
    pub buffers: Buffers,
    /// Whether the program took the place of one that was at work already.
    pub taken_over: bool,
}

impl fmt::Display for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Several => "frames of several buffers",
            Self::One => "frames of one buffer",
        })
    }
}

impl Hook {
    const fn program(self, buffers: Buffers) -> &'static str {
        match (self, buffers) {
            (Self::Inline, Buffers::Several) => "sensor_inline_frags",
            (Self::Inline, Buffers::One) => "sensor_inline",
            (Self::Mirror, Buffers::Several) => "sensor_mirror_frags",
            (Self::Mirror, Buffers::One) => "sensor_mirror",
        }
    }
}

impl Attachment {
    /// Takes the program off its interface, the pin too.
    ///
    /// # Errors
    /// The pin cannot be removed: the program stays.
    pub fn detach(&mut self) -> Result<()> {
        self.pin.as_deref().map_or(Ok(()), pins::remove_link)?;
        self.link = None;
        Ok(())
    }

    /// Where the link is pinned, if it is.
    pub fn pin(&self) -> Option<&Path> {
        self.pin.as_deref()
    }

    fn pinned(self, path: &Path) -> Result<Self> {
        let Some(link) = self.link else { return Ok(self) };
        let link = link.pin(path).with_context(|| format!("cannot pin the link as {}", path.display()))?;
        Ok(Self { link: Some(FdLink::from(link)), pin: Some(path.to_owned()), ..self })
    }
}

impl Instance {
    /// Attaches to `interface` by a link pinned at `pin`, or swaps the program of the one that is pinned there, without a packet
    /// uncounted in between.
    ///
    /// # Errors
    /// As [`Instance::attach`]; or the link cannot be pinned.
    pub fn attach_pinned(&mut self, interface: &str, hook: Hook, mode: XdpMode, pin: &Path) -> Result<Attachment> {
        let index = interface_index(interface)?;
        if leads_to(pin, index) {
            match self.take_over(index, hook, pin) {
                Ok(attachment) => return Ok(attachment),
                Err(error) => tracing::warn!(interface, "cannot swap the program, attaching anew: {error:#}"),
            }
        }
        pins::remove_link(pin)?;
        self.attach(interface, hook, mode)?.pinned(pin)
    }

    /// Attaches to `interface`, with the variant for several buffers where kernel and driver have it.
    ///
    /// # Errors
    /// No such interface, another program there, a driver without native XDP, missing rights; each with what to do.
    pub fn attach(&mut self, interface: &str, hook: Hook, mode: XdpMode) -> Result<Attachment> {
        let index = interface_index(interface)?;
        is_ethernet(interface)?;
        let first = match self.attach_variant(index, hook, Buffers::Several, mode) {
            Ok(attachment) => return Ok(attachment),
            Err(error) => error,
        };
        if !may_be_for_lack_of_frags(&first) {
            return Err(explain(first, interface, mode));
        }
        tracing::debug!(
            interface,
            error = format!("{first:#}"),
            "the program for frames of several buffers was refused"
        );
        self.attach_variant(index, hook, Buffers::One, mode).map_err(|error| explain(error, interface, mode))
    }

    fn take_over(&mut self, index: u32, hook: Hook, pin: &Path) -> Result<Attachment> {
        self.take_over_by(index, hook, Buffers::Several, pin).or_else(|error| {
            tracing::debug!("the program for frames of several buffers was refused: {error:#}");
            self.take_over_by(index, hook, Buffers::One, pin)
        })
    }

    fn take_over_by(&mut self, index: u32, hook: Hook, buffers: Buffers, pin: &Path) -> Result<Attachment> {
        let program = self.program(hook, buffers)?;
        let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(pin)?))?;
        let id = program.attach_to_link(link)?;
        let link = FdLink::try_from(program.take_link(id)?)?;
        Ok(Attachment {
            link: Some(link),
            pin: Some(pin.to_owned()),
            index,
            program: program.info()?.id(),
            buffers,
            taken_over: true,
        })
    }

    /// The program of that kind, loaded into the kernel.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(super) fn program(&mut self, hook: Hook, buffers: Buffers) -> Result<&mut Xdp> {
        let name = hook.program(buffers);
        let program = self.ebpf.program_mut(name).with_context(|| format!("the eBPF object has no program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load().map_err(|error| refused(name, error))?;
        }
        Ok(program)
    }

    /// The descriptor of the program of that kind, to be called by other programs.
    ///
    /// # Errors
    /// The kernel refuses the program.
    #[cfg(feature = "testing")]
    pub fn program_fd(&mut self, hook: Hook, buffers: Buffers) -> Result<&aya::programs::ProgramFd> {
        self.program(hook, buffers)?.fd().context("the program was not loaded")
    }

    fn attach_variant(&mut self, index: u32, hook: Hook, buffers: Buffers, mode: XdpMode) -> Result<Attachment> {
        let program = self.program(hook, buffers)?;
        let id = program.attach_to_if_index(index, mode)?;
        let link: XdpLink = program.take_link(id)?;
        // aya falls back to netlink by itself; such an attachment would outlive a crash of the agent without anybody owning it.
        let link = FdLink::try_from(link)
            .map_err(|error| anyhow!("the kernel has no BPF links for XDP (Linux 5.9): {error}"))?;
        Ok(Attachment { link: Some(link), pin: None, index, program: program.info()?.id(), buffers, taken_over: false })
    }
}

/// Whether the link pinned there leads to no interface any more, or to another one than that with this index.
pub fn link_was_detached(pin: &Path, index: u32) -> bool {
    sys::link_interface(pin).is_ok_and(|interface| interface != index)
}

/// Whether a link is pinned there and still leads to the interface with that index: of one that was deleted it leads nowhere.
pub(super) fn leads_to(pin: &Path, index: u32) -> bool {
    sys::link_interface(pin).is_ok_and(|interface| interface == index)
}

/// The verifier explains itself over thousands of lines: they go to the log, the last telling one into the error.
pub(super) fn refused(program: &str, error: ProgramError) -> anyhow::Error {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return anyhow::Error::new(error).context(format!("the kernel refuses program {program}"));
    };
    let log = verifier_log.to_string();
    tracing::debug!("verifier log of {program}:\n{log}");
    let statistics = ["verification time", "stack depth", "processed "];
    let reason =
        log.lines().rev().find(|line| !line.is_empty() && !statistics.iter().any(|word| line.starts_with(word)));
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    anyhow::Error::new(io_error)
        .context(format!("the kernel refuses program {program}{reason} (RUST_LOG=debug shows its reasons)"))
}

/// Index of an interface of this network namespace.
///
/// # Errors
/// There is none of that name.
pub fn interface_index(interface: &str) -> Result<u32> {
    let name = CString::new(interface).with_context(|| format!("{interface:?} is no interface name"))?;
    sys::interface_index(&name)
        .with_context(|| format!("no interface {interface}: `ip link` lists those of this network namespace"))
}

/// The programs read an Ethernet header first; the loopback has one, too.
fn is_ethernet(interface: &str) -> Result<()> {
    let name = CString::new(interface).with_context(|| format!("{interface:?} is no interface name"))?;
    match sys::link_layer(&name).with_context(|| format!("cannot ask what kind of interface {interface} is"))? {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(()),
        other => bail!(
            "{interface} is no Ethernet interface (type {other} of linux/if_arp.h): attach to the one that its packets travel on"
        ),
    }
}

pub(super) fn errno(error: &anyhow::Error) -> Option<i32> {
    error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error)
}

fn may_be_for_lack_of_frags(error: &anyhow::Error) -> bool {
    matches!(errno(error), None | Some(libc::EINVAL | libc::EOPNOTSUPP))
}

fn explain(error: anyhow::Error, interface: &str, mode: XdpMode) -> anyhow::Error {
    match errno(&error) {
        Some(libc::EBUSY) => error.context(format!(
            "another XDP program is attached to {interface} and stays: `ip link show dev {interface}` names it; stop whoever attached it (`sensor detach --sensor-id NAME` where that was another sensor)"
        )),
        Some(libc::EOPNOTSUPP) if mode == XdpMode::Driver => error.context(format!(
            "the driver of {interface} has no native XDP in its present state: try `ethtool -K {interface} lro off rx-gro-hw off`, or ask for the slower mode with xdp = \"generic\" or --generic"
        )),
        Some(libc::ERANGE) => error.context(format!(
            "the MTU of {interface} is too large for XDP with one buffer: lower it with `ip link set dev {interface} mtu 1500`"
        )),
        Some(libc::EPERM | libc::EACCES) => {
            error.context(format!("no right to attach to {interface}: run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN"))
        }
        _ => error.context(format!("cannot attach to {interface}")),
    }
}
