//! The configured interfaces: attached to, lost, found again, and for how long nothing was counted at them.

mod port;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use sensor_ebpf::abi::Side;

use self::port::{Port, hook};
use super::{devices::Device, nic::Witness, plan::with_stacked};
use crate::{
    bpf::{Attachment, EgressAttachment, InstanceDir, Kernel, interface_index},
    config::{self, Role},
    summary::LedgerLabel,
};

/// What the pin of a link of the classifier is called, behind the interface.
pub(super) const EGRESS_PIN: &str = "egress";
const NANOS_PER_MILLI: u128 = 1_000_000;

/// All configured interfaces, in the order of their ledger slots.
pub(super) struct Ports {
    ports: Vec<Port>,
    /// Where links are pinned; without it they end with the agent.
    pins: Option<Arc<InstanceDir>>,
}

impl Ports {
    /// None of them attached yet; blind for so long already, as far as anybody knows.
    pub(super) fn new(interfaces: &[config::Interface], pins: Option<Arc<InstanceDir>>) -> Self {
        Self { ports: interfaces.iter().map(Port::new).collect(), pins }
    }

    /// Loads the programs of all interfaces, which takes long and should not lie between two attachments.
    pub(super) fn load(&self, kernel: &mut Kernel) -> Result<()> {
        let wanted = self.ports.iter().map(|port| (hook(&port.interface), port.interface.egress));
        kernel.load_programs(&wanted.collect::<Vec<_>>())
    }

    /// Forwards what the programs log; afterwards no program can be loaded any more while they do.
    pub(super) fn forward_logs(&self, kernel: &mut Kernel) -> Result<()> {
        (0..self.ports.len()).try_for_each(|number| kernel.instance(number)?.forward_log())
    }

    /// Attaches to all interfaces, and returns what their own counters were just before. Those that are not there are waited for, if
    /// they are among the names that `may_be_missing`.
    ///
    /// # Errors
    /// One of them cannot be attached to; those before it are.
    pub(super) fn attach_all(&mut self, kernel: &mut Kernel, may_be_missing: &BTreeSet<String>) -> Result<Witness> {
        let mut witness = Witness::default();
        for (number, port) in self.ports.iter_mut().enumerate() {
            let name = port.interface.name.as_str();
            if may_be_missing.contains(name) && interface_index(name).is_err() {
                continue;
            }
            witness.read(name)?;
            port.attach(kernel, number, self.pins.as_deref())?;
        }
        Ok(witness)
    }

    /// Detaches again what this process attached; what it found at work stays.
    pub(super) fn undo(&mut self) {
        for port in &mut self.ports {
            if port.attachment.as_ref().is_some_and(|attachment| !attachment.taken_over) {
                port.release();
            }
        }
    }

    /// Puts the programs of `kernel` back where others were swapped in since. Where they cannot be is said, tried again with the next
    /// look, and returned: interfaces, each with its side.
    pub(super) fn retake(&mut self, since: Instant, kernel: &mut Kernel) -> Vec<String> {
        let mut lost = Vec::new();
        for (number, port) in self.ports.iter_mut().enumerate() {
            let sides = port.retake(since, kernel, number, self.pins.as_deref());
            lost.extend(sides.map(|side| format!("{} ({})", port.interface.name, side.name())));
        }
        lost
    }

    /// Names of the interfaces that are not there, or not attached to for another reason.
    pub(super) fn missing(&self) -> BTreeSet<String> {
        let missing = self.ports.iter().filter(|port| port.attachment.is_none());
        missing.map(|port| port.interface.name.to_string()).collect()
    }

    /// An interface that bears another name now than the configured one: that name, and what it is called.
    pub(super) fn renamed(&self) -> Option<(&str, &str)> {
        self.ports.iter().find_map(|port| Some((port.interface.name.as_str(), port.alias.as_deref()?)))
    }

    /// Before programs of `others` are swapped for these, or the other way round: what either brings in and bills, the other must not
    /// bill going out.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn foresee_with(&self, others: &Self, devices: &[Device], kernel: &mut Kernel) -> Result<()> {
        let billing = self.expected(devices).into_iter().chain(others.expected(devices)).collect();
        kernel.maps().set_external(&with_stacked(&billing, devices))
    }

    /// Before any program is attached or swapped: what one brings in and bills, another must not bill going out.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn foresee(&self, devices: &[Device], kernel: &mut Kernel) -> Result<()> {
        kernel.maps().set_external(&with_stacked(&self.expected(devices), devices))
    }

    /// Indices of the interfaces that bill, or are about to be attached to and will.
    fn expected(&self, devices: &[Device]) -> BTreeSet<u32> {
        // Where attaching fails again and again, packets come in unbilled: those are not foreseen.
        let hopeful = self.external().filter(|port| port.retry.is_fresh());
        let names: Vec<&str> = hopeful.map(|port| port.interface.name.as_str()).collect();
        let billing = devices.iter().filter(|device| names.contains(&device.name.as_str())).map(|device| device.index);
        self.billing().into_iter().chain(billing).collect()
    }

    /// Does what the devices there are now ask for; they changed at `since`. What fails is reported once and tried again at the next
    /// look.
    pub(super) fn follow(&mut self, devices: &[Device], since: Instant, kernel: &mut Kernel) {
        let foreseen = self.foresee(devices, kernel);
        for (number, port) in self.ports.iter_mut().enumerate() {
            port.follow(devices, since, kernel, number, self.pins.as_deref());
        }
        let billing = with_stacked(&self.billing(), devices);
        if let Err(error) = foreseen.and_then(|()| kernel.maps().set_external(&billing)) {
            tracing::error!("packets that cross two interfaces may be billed twice: {error:#}");
        }
    }

    /// On which devices the neighbours of each interface have addresses, by index: on itself, on those that are stacked on it, and on the bridge or bond it is
    /// a port of.
    pub(super) fn places(&self, devices: &[Device]) -> BTreeMap<u32, Vec<u32>> {
        let mut places: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (place, port) in (0..).zip(&self.ports) {
            let Some(device) = devices.iter().find(|device| port.device() == device.name) else { continue };
            let stacked =
                devices.iter().filter(|other| other.stacked_on == Some(device.index)).map(|other| other.index);
            for index in [device.index].into_iter().chain(stacked).chain(device.controller) {
                places.entry(index).or_default().push(place);
            }
        }
        places
    }

    /// Indices of the attached interfaces that bill.
    fn billing(&self) -> BTreeSet<u32> {
        self.external().filter_map(|port| Some(port.attachment.as_ref()?.index)).collect()
    }

    fn external(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.interface.role == Role::External)
    }

    /// The first interval began when no agent was there, `away` ago: interfaces whose programs were not found at work may have been
    /// blind all that time.
    pub(super) fn begin_after(&mut self, away: Duration) {
        let now = Instant::now();
        for port in &mut self.ports {
            let found_at_work = port.found_at_work();
            for (blind, found_at_work) in port.blind.iter_mut().zip(found_at_work) {
                blind.restart(now);
                blind.before = if found_at_work { Duration::ZERO } else { away };
            }
            // Nobody wrote down what the interface's own counters were then.
            port.recounted = true;
        }
    }

    /// The first interval began with a swap, just before any program was attached: those that were found at work missed nothing of it.
    pub(super) fn began_by_swap(&mut self) {
        let now = Instant::now();
        for port in &mut self.ports {
            let found_at_work = port.found_at_work();
            for (blind, found_at_work) in port.blind.iter_mut().zip(found_at_work) {
                if found_at_work {
                    blind.restart(now);
                }
            }
            port.recounted = port.attachment.is_none();
        }
    }

    /// What the devices are called now.
    pub(super) fn devices(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(Port::device)
    }

    /// The ledgers of the interval that ends at `until`, and what the interfaces' own counters did in it.
    pub(super) fn labels(&self, until: Instant, now: &Witness, then: &Witness) -> Vec<LedgerLabel> {
        let mut labels = Vec::new();
        for (first, port) in (0..).step_by(Side::COUNT as usize).zip(&self.ports) {
            let device = port.device();
            for side in port.sides() {
                let blind = port.blind[side as usize].total(until).as_nanos().div_ceil(NANOS_PER_MILLI);
                labels.push(LedgerLabel {
                    slot: first + side as u32,
                    interface: port.interface.name.to_string(),
                    role: Some(port.interface.role),
                    attached: Some(port.is_attached(side)),
                    blind_ms: Some(u64::try_from(blind).unwrap_or(u64::MAX)),
                    nic: now.since(then, device, side).filter(|_| !port.recounted),
                    lost: if port.recounted { BTreeMap::new() } else { now.lost_since(then, device, side) },
                    ..LedgerLabel::default()
                });
            }
        }
        labels
    }

    /// The next interval begins, where the one before ended.
    pub(super) fn begin_interval(&mut self, from: Instant) {
        for port in &mut self.ports {
            port.blind.iter_mut().for_each(|blind| blind.restart(from));
            port.recounted = port.attachment.is_none();
        }
    }

    /// Detaches everywhere; `each` is called with the name of each device just before.
    pub(super) fn detach_all(&mut self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        for port in &mut self.ports {
            each(port.device())?;
            port.attachment.as_mut().map_or(Ok(()), Attachment::detach)?;
            port.egress.as_mut().map_or(Ok(()), EgressAttachment::detach)?;
        }
        Ok(())
    }

    /// The pins of what is attached; a filter (Linux before 6.6) has none.
    pub(super) fn pins(&self) -> BTreeSet<PathBuf> {
        let pins_of = |port: &Port| {
            let link = port.attachment.as_ref().and_then(Attachment::pin);
            let egress = port.egress.as_ref().and_then(EgressAttachment::pin);
            link.into_iter().chain(egress).map(Path::to_owned).collect::<Vec<_>>()
        };
        self.ports.iter().flat_map(pins_of).collect()
    }

    /// Where the links are pinned whose programs count in the maps of this process. Whatever else is pinned counts elsewhere.
    pub(super) fn link_pins(&self) -> BTreeSet<PathBuf> {
        let Some(pins) = &self.pins else { return BTreeSet::new() };
        let pins_of = |port: &Port| {
            let link = port.attachment.is_some().then(|| port.link_pin(pins));
            let egress = port.egress.is_some().then(|| port.egress_pin(pins)).flatten();
            link.into_iter().chain(egress).collect::<Vec<_>>()
        };
        self.ports.iter().flat_map(pins_of).collect()
    }
}
