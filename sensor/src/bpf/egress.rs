//! Attaching the classifier to what an interface sends: TCX where the kernel has it (Linux 6.6), a clsact filter before.

use std::{
    io, mem,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use aya::{
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        links::{FdLink, PinnedLink},
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
    },
    util::KernelVersion,
};

use super::{
    Instance,
    attach::{errno, interface_index, leads_to, refused},
    pins,
};

/// The program, and the name its filter goes by.
const PROGRAM: &str = "sensor_egress";
/// The first kernel that has TCX.
const TCX_SINCE: KernelVersion = KernelVersion::new(6, 6, 0);
/// Before the filters of others, which may end the walk.
const PRIORITY: u16 = 1;
/// Ours among filters of that priority; no tool chooses it by itself ("SE", 1).
const HANDLE: TcHandle = TcHandle::new(0x5345, 1);

/// How to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressHook {
    /// TCX where the kernel has it, else a clsact filter.
    Best,
    /// TCX (Linux 6.6): a link that detaches when nobody holds it.
    Tcx,
    /// A filter of the clsact qdisc: stays until it is removed.
    Clsact,
}

/// A classifier at work on what an interface sends.
#[derive(Debug)]
pub enum EgressLink {
    /// Detaches when dropped, unless it was pinned.
    Tcx(FdLink),
    /// Stays when dropped, so that the next agent replaces it in place; [`remove_egress_filter`] ends it.
    Clsact(EgressFilter),
}

/// A clsact filter with our priority and handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressFilter {
    interface: String,
}

impl EgressLink {
    /// The way it was attached, never [`EgressHook::Best`].
    pub fn hook(&self) -> EgressHook {
        match self {
            Self::Tcx(_) => EgressHook::Tcx,
            Self::Clsact(_) => EgressHook::Clsact,
        }
    }
}

/// A classifier at work, and where its link is pinned. Dropping it detaches a TCX link that is pinned nowhere, and nothing else.
#[derive(Debug)]
pub struct EgressAttachment {
    /// `None` once it was detached.
    link: Option<EgressLink>,
    pin: Option<PathBuf>,
    /// Whether it took the place of one that was at work already; a filter does not say.
    pub taken_over: bool,
}

impl EgressAttachment {
    /// Where the link is pinned, if it is; of a filter there is none.
    pub fn pin(&self) -> Option<&Path> {
        self.pin.as_deref().filter(|_| matches!(self.link, Some(EgressLink::Tcx(_))))
    }

    /// Takes the classifier off its interface, the pin too.
    ///
    /// # Errors
    /// The pin or the filter cannot be removed.
    pub fn detach(&mut self) -> Result<()> {
        self.pin.as_deref().map_or(Ok(()), pins::remove_link)?;
        if let Some(EgressLink::Clsact(filter)) = self.link.take()
            && interface_index(filter.interface()).is_ok()
        {
            remove_egress_filter(filter.interface())?;
        }
        Ok(())
    }
}

impl EgressFilter {
    /// The interface it is on.
    pub fn interface(&self) -> &str {
        &self.interface
    }
}

impl Instance {
    /// Loads the classifier without attaching it: that takes a good part of a second.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn load_egress(&mut self) -> Result<()> {
        self.classifier().map(drop)
    }

    /// Attaches to what `interface` sends, before every other program there: one that ends the walk hides no packet from the count.
    /// A filter that an earlier agent left is replaced in place, or removed where TCX takes over from it.
    ///
    /// # Errors
    /// No such interface, missing rights, a kernel without the hook; each with what to do.
    pub fn attach_egress(&mut self, interface: &str, how: EgressHook) -> Result<EgressLink> {
        interface_index(interface)?;
        self.load_egress()?;
        match how {
            EgressHook::Tcx => self.attach_tcx(interface).map_err(|error| explain(error, interface)),
            EgressHook::Clsact => self.attach_filter(interface).map_err(|error| explain(error, interface)),
            // Known beforehand: what an earlier agent left is only removed where TCX takes its place.
            EgressHook::Best if KernelVersion::current().is_ok_and(|kernel| kernel < TCX_SINCE) => {
                self.attach_filter(interface).map_err(|error| explain(error, interface))
            }
            EgressHook::Best => match self.attach_tcx(interface) {
                Err(error) if errno(&error) == Some(libc::EINVAL) => {
                    tracing::debug!(interface, error = format!("{error:#}"), "no TCX, which is new in Linux 6.6");
                    self.attach_filter(interface).map_err(|error| explain(error, interface))
                }
                result => result.map_err(|error| explain(error, interface)),
            },
        }
    }

    /// Attaches to what `interface` sends for as long as the value lives, or by a link pinned at `pin`, whose program is swapped where
    /// it still leads to the interface.
    ///
    /// # Errors
    /// As [`Instance::attach_egress`]; or the link cannot be pinned.
    pub fn attach_egress_pinned(&mut self, interface: &str, pin: Option<&Path>) -> Result<EgressAttachment> {
        let Some(path) = pin else {
            let link = self.attach_egress(interface, EgressHook::Best)?;
            return Ok(EgressAttachment { link: Some(link), pin: None, taken_over: false });
        };
        if leads_to(path, interface_index(interface)?) {
            let link = EgressLink::Tcx(FdLink::from(PinnedLink::from_pin(path)?));
            match self.replace_egress(link) {
                Ok(link) => {
                    return Ok(EgressAttachment { link: Some(link), pin: Some(path.to_owned()), taken_over: true });
                }
                Err(error) => tracing::warn!(interface, "cannot swap the classifier, attaching anew: {error:#}"),
            }
        }
        pins::remove_link(path)?;
        let link = match self.attach_egress(interface, EgressHook::Best)? {
            EgressLink::Tcx(link) => {
                let link = link.pin(path).with_context(|| format!("cannot pin the link as {}", path.display()))?;
                EgressLink::Tcx(FdLink::from(link))
            }
            filter @ EgressLink::Clsact(_) => filter,
        };
        Ok(EgressAttachment { link: Some(link), pin: Some(path.to_owned()), taken_over: false })
    }

    /// Puts the classifier of this instance in the place of the one behind `link`: between the two no packet is missed or counted
    /// twice.
    ///
    /// # Errors
    /// The kernel refuses it. The link is gone then, and with it a TCX attachment that is pinned nowhere.
    pub fn replace_egress(&mut self, link: EgressLink) -> Result<EgressLink> {
        self.load_egress()?;
        match link {
            EgressLink::Tcx(link) => {
                let link = SchedClassifierLink::try_from(link).context("the link is not one of TCX")?;
                let program = self.classifier()?;
                let id = program.attach_to_link(link).context("the kernel does not update a TCX link")?;
                Ok(EgressLink::Tcx(program.take_link(id)?.try_into()?))
            }
            EgressLink::Clsact(EgressFilter { interface }) => {
                self.attach_filter(&interface).map_err(|error| explain(error, &interface))
            }
        }
    }

    fn attach_tcx(&mut self, interface: &str) -> Result<EgressLink> {
        // A filter of an earlier agent may count in the same pinned maps.
        if remove_egress_filter(interface)? {
            tracing::info!(interface, "removed the clsact filter of an earlier agent: TCX takes its place");
        }
        let program = self.classifier()?;
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program.attach_with_options(interface, TcAttachType::Egress, order)?;
        Ok(EgressLink::Tcx(program.take_link(id)?.try_into()?))
    }

    fn attach_filter(&mut self, interface: &str) -> Result<EgressLink> {
        let others_qdisc = match tc::qdisc_add_clsact(interface) {
            Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => true,
            result => result.map(|()| false)?,
        };
        let program = self.classifier()?;
        let ours = SchedClassifierLink::attached(interface, TcAttachType::Egress, PRIORITY, HANDLE, None)?;
        let id = match program.attach_to_link(ours).map_err(anyhow::Error::new) {
            Err(error) if errno(&error) == Some(libc::ENOENT) => {
                let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
                let options = TcAttachOptions::Netlink(options);
                program.attach_with_options(interface, TcAttachType::Egress, options)?
            }
            result => result?,
        };
        // Dropping it would detach: the filter stays until it is replaced or removed.
        mem::forget(program.take_link(id)?);
        // The qdisc `ingress` has the handle of clsact and one list of filters for whatever side is named: that of received packets.
        if others_qdisc && remove_filter(interface, TcAttachType::Ingress)? {
            bail!(
                "an ingress qdisc is where clsact has to be on {interface}: `tc qdisc show dev {interface}` shows it; whoever added it \
                 can use clsact, which has both sides"
            );
        }
        Ok(EgressLink::Clsact(EgressFilter { interface: interface.to_owned() }))
    }

    fn classifier(&mut self) -> Result<&mut SchedClassifier> {
        let program =
            self.ebpf.program_mut(PROGRAM).with_context(|| format!("the eBPF object has no program {PROGRAM}"))?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program.load().map_err(|error| refused(PROGRAM, error))?;
        }
        Ok(program)
    }
}

/// Removes our clsact filter, found by its name, from what `interface` sends; says whether there was one. The qdisc stays: others may
/// have filters in it.
///
/// # Errors
/// No such interface, or no rights.
pub fn remove_egress_filter(interface: &str) -> Result<bool> {
    interface_index(interface)?;
    remove_filter(interface, TcAttachType::Egress).map_err(|error| explain(error, interface))
}

fn remove_filter(interface: &str, side: TcAttachType) -> Result<bool> {
    match tc::qdisc_detach_program(interface, side, PROGRAM) {
        Ok(()) => Ok(true),
        Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn explain(error: anyhow::Error, interface: &str) -> anyhow::Error {
    match errno(&error) {
        Some(libc::EPERM | libc::EACCES) => error.context(format!(
            "no right to attach to what {interface} sends: run as root, or with CAP_BPF and CAP_NET_ADMIN in its network namespace"
        )),
        Some(libc::ENOENT) => error.context(format!(
            "this kernel cannot attach to what {interface} sends: it has neither TCX (Linux 6.6) nor clsact with BPF filters; load them \
             with `modprobe -a sch_ingress cls_bpf`, or use a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF"
        )),
        Some(libc::EINVAL | libc::EOPNOTSUPP) => error.context(format!(
            "the kernel refuses a program on what {interface} sends: TCX needs Linux 6.6; `tc filter show dev {interface} egress` and \
             `tc qdisc show dev {interface}` show what is there"
        )),
        Some(libc::EEXIST | libc::EBUSY) => error.context(format!(
            "another filter of priority {PRIORITY} is on what {interface} sends: `tc filter show dev {interface} egress` names it"
        )),
        _ => error.context(format!("cannot attach to what {interface} sends")),
    }
}
