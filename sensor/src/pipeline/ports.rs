//! The configured interfaces: attached to, lost, found again, and for how long nothing was counted at them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use aya::programs::XdpMode;
use sensor_ebpf::abi::Side;

use super::{
    blind::{Blind, Retry},
    devices::Device,
    nic::Witness,
    plan::{Place, Step, step, with_stacked},
};
use crate::{
    bpf::{Attachment, EgressAttachment, Hook, InstanceDir, Kernel, link_was_detached},
    config::{self, Role},
    summary::LedgerLabel,
};

/// What the pin of a link of the classifier is called, behind the interface.
pub(super) const EGRESS_PIN: &str = "egress";
const NANOS_PER_MILLI: u128 = 1_000_000;
/// Names of links to what an interface receives.
const LINK_KINDS: [&str; 4] = ["inline-native", "inline-generic", "mirror-native", "mirror-generic"];

/// All configured interfaces, in the order of their ledger slots.
pub(super) struct Ports {
    ports: Vec<Port>,
    /// Where links are pinned; without it they end with the agent.
    pins: Option<Arc<InstanceDir>>,
}

/// One configured interface.
struct Port {
    interface: config::Interface,
    attachment: Option<Attachment>,
    egress: Option<EgressAttachment>,
    /// What the device is called now, where that is not what the configuration calls it.
    alias: Option<String>,
    /// Of attempts to attach.
    retry: Retry,
    /// By [`Side`].
    blind: [Blind; Side::COUNT as usize],
    /// Its own counters began anew within this interval.
    recounted: bool,
    /// When it was last looked at.
    looked: Instant,
}

impl Ports {
    /// None of them attached yet; blind for so long already, as far as anybody knows.
    pub(super) fn new(interfaces: &[config::Interface], pins: Option<Arc<InstanceDir>>) -> Self {
        let port = |interface: &config::Interface| Port {
            interface: interface.clone(),
            attachment: None,
            egress: None,
            alias: None,
            retry: Retry::default(),
            blind: [Blind { since: Some(Instant::now()), before: Duration::ZERO }; Side::COUNT as usize],
            recounted: true,
            looked: Instant::now(),
        };
        Self { ports: interfaces.iter().map(port).collect(), pins }
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

    /// Attaches to all interfaces, and returns what their own counters were just before.
    ///
    /// # Errors
    /// One of them cannot be attached to; those before it are.
    pub(super) fn attach_all(&mut self, kernel: &mut Kernel) -> Result<Witness> {
        let mut witness = Witness::default();
        for (number, port) in self.ports.iter_mut().enumerate() {
            witness.read(port.interface.name.as_str())?;
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

    /// Before any program is attached or swapped: what one brings in and bills, another must not bill going out.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn foresee(&self, devices: &[Device], kernel: &mut Kernel) -> Result<()> {
        // Where attaching fails again and again, packets come in unbilled: those are not foreseen.
        let hopeful = self.external().filter(|port| port.retry.is_fresh());
        let names: Vec<&str> = hopeful.map(|port| port.interface.name.as_str()).collect();
        let billing = devices.iter().filter(|device| names.contains(&device.name.as_str())).map(|device| device.index);
        kernel.maps().set_external(&with_stacked(&self.billing().into_iter().chain(billing).collect(), devices))
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
        for port in &mut self.ports {
            let rx = port.attachment.as_ref().is_some_and(|attachment| attachment.taken_over);
            let tx = port.egress.as_ref().is_some_and(|egress| egress.taken_over);
            for (blind, found_at_work) in port.blind.iter_mut().zip([rx, tx]) {
                blind.restart();
                blind.before = if found_at_work { Duration::ZERO } else { away };
            }
            // Nobody wrote down what the interface's own counters were then.
            port.recounted = true;
        }
    }

    /// What the device is called now.
    fn device(port: &Port) -> &str {
        port.alias.as_deref().unwrap_or(port.interface.name.as_str())
    }

    /// The ledgers of the interval that ends now, and what the interfaces' own counters did in it.
    pub(super) fn labels(&self, now: &Witness, then: &Witness) -> Vec<LedgerLabel> {
        let mut labels = Vec::new();
        for (first, port) in (0..).step_by(Side::COUNT as usize).zip(&self.ports) {
            let device = Self::device(port);
            for side in port.sides() {
                let blind = port.blind[side as usize].total().as_nanos().div_ceil(NANOS_PER_MILLI);
                labels.push(LedgerLabel {
                    slot: first + side as u32,
                    interface: port.interface.name.to_string(),
                    role: Some(port.interface.role),
                    attached: Some(port.is_attached(side)),
                    blind_ms: Some(u64::try_from(blind).unwrap_or(u64::MAX)),
                    nic: now.since(then, device, side).filter(|_| !port.recounted),
                    ..LedgerLabel::default()
                });
            }
        }
        labels
    }

    /// The next interval begins.
    pub(super) fn begin_interval(&mut self) {
        for port in &mut self.ports {
            port.blind.iter_mut().for_each(Blind::restart);
            port.recounted = port.attachment.is_none();
        }
    }

    /// Detaches everywhere; `each` is called with the name of each device just before.
    pub(super) fn detach_all(&mut self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        for port in &mut self.ports {
            each(Self::device(port))?;
            port.attachment.as_mut().map_or(Ok(()), Attachment::detach)?;
            port.egress.as_mut().map_or(Ok(()), EgressAttachment::detach)?;
        }
        Ok(())
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

impl Port {
    /// Attaches what is not attached yet.
    ///
    /// # Errors
    /// One of the programs cannot be attached; the other stays at work.
    fn attach(&mut self, kernel: &mut Kernel, number: usize, pins: Option<&InstanceDir>) -> Result<()> {
        let name = self.interface.name.as_str();
        let (hook, mode) = (hook(&self.interface), xdp_mode(&self.interface));
        let instance = kernel.instance(number)?;
        if self.attachment.is_none() {
            if let Some(pins) = pins {
                // An interface has room for one: the program of another mode cannot be swapped and has to go first.
                for other in LINK_KINDS.map(|kind| pins.link(name, kind)) {
                    if other != self.link_pin(pins) && other.exists() {
                        pins.remove_link(&other)?;
                    }
                }
            }
            let attachment = match pins {
                Some(pins) => instance.attach_pinned(name, hook, mode, &self.link_pin(pins))?,
                None => instance.attach(name, hook, mode)?,
            };
            let how = if attachment.taken_over { "swapped the program" } else { "attached" };
            tracing::info!(interface = name, ?hook, xdp = ?self.interface.xdp, "{how}, for {}", attachment.buffers);
            self.recounted = !attachment.taken_over;
            self.attachment = Some(attachment);
            self.blind[Side::Rx as usize].end();
        }
        if self.interface.egress && self.egress.is_none() {
            let pin = pins.and_then(|pins| self.egress_pin(pins));
            self.egress = Some(instance.attach_egress_pinned(name, pin.as_deref())?);
            self.blind[Side::Tx as usize].end();
        }
        self.retry = Retry::default();
        Ok(())
    }

    fn follow(
        &mut self,
        devices: &[Device],
        since: Instant,
        kernel: &mut Kernel,
        number: usize,
        pins: Option<&InstanceDir>,
    ) {
        let name = self.interface.name.as_str();
        let place =
            self.attachment.as_ref().map(|attachment| Place { index: attachment.index, program: attachment.program });
        match step(name, place, devices) {
            Step::Wait => self.retry = Retry::default(),
            Step::Stay(now) => {
                let alias = (now != name).then(|| now.to_owned());
                if alias != self.alias {
                    tracing::warn!(
                        interface = name,
                        now,
                        "the interface was renamed; it is counted on under its configured name"
                    );
                    self.recounted = true;
                }
                self.alias = alias;
                if let Some(place) = place {
                    self.look_after_egress(place, pins);
                }
                if self.interface.egress && self.egress.is_none() {
                    self.try_to_attach(kernel, number, pins);
                }
            }
            Step::Lose => self.lose(since),
            Step::Attach(_) => {
                if place.is_some_and(|place| place.is_among(devices)) {
                    tracing::warn!(interface = name, "another interface bears this name now; the sensor moves to it");
                    self.leave(since);
                } else if place.is_some() {
                    self.lose(since);
                }
                self.try_to_attach(kernel, number, pins);
            }
        }
    }

    /// Where it fails, that is said once, and tried again after a pause.
    fn try_to_attach(&mut self, kernel: &mut Kernel, number: usize, pins: Option<&InstanceDir>) {
        if !self.retry.is_due() {
            return;
        }
        if let Err(error) = self.attach(kernel, number, pins) {
            if self.retry.is_fresh() {
                tracing::error!(interface = self.interface.name.as_str(), "not counted: {error:#}; trying again");
            }
            self.retry = self.retry.later();
        }
    }

    /// Notices that somebody took the classifier off the interface, which no news tell of.
    fn look_after_egress(&mut self, place: Place, pins: Option<&InstanceDir>) {
        let pin = pins.and_then(|pins| self.egress_pin(pins));
        if self.egress.is_some() && pin.is_some_and(|pin| link_was_detached(&pin, place.index)) {
            tracing::error!(interface = self.interface.name.as_str(), "somebody detached what counts the sent packets");
            self.egress = None;
            self.blind[Side::Tx as usize].since = Some(self.looked);
        }
        self.looked = Instant::now();
    }

    /// Whether packets of that side are counted.
    fn is_attached(&self, side: Side) -> bool {
        match side {
            Side::Rx => self.attachment.is_some(),
            Side::Tx => self.egress.is_some(),
        }
    }

    fn lose(&mut self, since: Instant) {
        tracing::error!(
            interface = self.interface.name.as_str(),
            "the interface went away; nothing is counted there until one of its name comes"
        );
        self.leave(since);
    }

    fn leave(&mut self, since: Instant) {
        self.release();
        // Nothing was counted from the first of the news on, however long it took to answer them.
        for blind in &mut self.blind {
            blind.since = Some(since);
        }
        (self.alias, self.retry) = (None, Retry::default());
    }

    /// Lets go of both programs, as far as they were attached.
    fn release(&mut self) {
        let attachment = self.attachment.take().map_or(Ok(()), |mut attachment| attachment.detach());
        let egress = self.egress.take().map_or(Ok(()), |mut egress| egress.detach());
        for error in [attachment, egress].into_iter().filter_map(Result::err) {
            tracing::error!("{error:#}");
        }
        self.blind.iter_mut().for_each(Blind::begin);
    }

    /// An interface that is only listened to sends nothing that was to be counted.
    fn sides(&self) -> impl Iterator<Item = Side> + use<> {
        let egress = self.interface.egress;
        Side::ALL.into_iter().filter(move |side| *side == Side::Rx || egress)
    }

    fn link_pin(&self, pins: &InstanceDir) -> PathBuf {
        let kind = match (hook(&self.interface), self.interface.xdp) {
            (Hook::Inline, config::XdpMode::Native) => 0,
            (Hook::Inline, config::XdpMode::Generic) => 1,
            (Hook::Mirror, config::XdpMode::Native) => 2,
            (Hook::Mirror, config::XdpMode::Generic) => 3,
        };
        pins.link(self.interface.name.as_str(), LINK_KINDS[kind])
    }

    fn egress_pin(&self, pins: &InstanceDir) -> Option<PathBuf> {
        self.interface.egress.then(|| pins.link(self.interface.name.as_str(), EGRESS_PIN))
    }
}

const fn hook(interface: &config::Interface) -> Hook {
    match interface.mode {
        config::Mode::Inline => Hook::Inline,
        config::Mode::Mirror => Hook::Mirror,
    }
}

const fn xdp_mode(interface: &config::Interface) -> XdpMode {
    match interface.xdp {
        config::XdpMode::Native => XdpMode::Driver,
        config::XdpMode::Generic => XdpMode::Skb,
    }
}
