//! One configured interface: what is attached to it, under which pins, and since when it is blind.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use aya::programs::XdpMode;
use sensor_ebpf::abi::Side;

use super::{
    super::{
        blind::{Blind, Retry},
        devices::Device,
        plan::{Place, Step, step},
    },
    EGRESS_PIN,
};
use crate::{
    bpf::{Attachment, EgressAttachment, Hook, InstanceDir, Kernel, link_was_detached},
    config,
};

/// Names of links to what an interface receives.
const LINK_KINDS: [&str; 4] = ["inline-native", "inline-generic", "mirror-native", "mirror-generic"];

/// One configured interface.
pub(super) struct Port {
    pub(super) interface: config::Interface,
    pub(super) attachment: Option<Attachment>,
    pub(super) egress: Option<EgressAttachment>,
    /// What the device is called now, where that is not what the configuration calls it.
    pub(super) alias: Option<String>,
    /// Of attempts to attach.
    pub(super) retry: Retry,
    /// By [`Side`].
    pub(super) blind: [Blind; Side::COUNT as usize],
    /// Its own counters began anew within this interval.
    pub(super) recounted: bool,
    /// When it was last looked at.
    pub(super) looked: Instant,
}

impl Port {
    /// Not attached yet; blind for so long already, as far as anybody knows.
    pub(super) fn new(interface: &config::Interface) -> Self {
        Self {
            interface: interface.clone(),
            attachment: None,
            egress: None,
            alias: None,
            retry: Retry::default(),
            blind: [Blind { since: Some(Instant::now()), before: Duration::ZERO }; Side::COUNT as usize],
            recounted: true,
            looked: Instant::now(),
        }
    }

    /// What the device is called now.
    pub(super) fn device(&self) -> &str {
        self.alias.as_deref().unwrap_or(self.interface.name.as_str())
    }

    /// Attaches what is not attached yet.
    ///
    /// # Errors
    /// One of the programs cannot be attached; the other stays at work.
    pub(super) fn attach(&mut self, kernel: &mut Kernel, number: usize, pins: Option<&InstanceDir>) -> Result<()> {
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

    /// Attaches again what was attached, in the place of what was swapped in since that moment; returns the sides where it cannot be.
    pub(super) fn retake(
        &mut self,
        since: Instant,
        kernel: &mut Kernel,
        number: usize,
        pins: Option<&InstanceDir>,
    ) -> impl Iterator<Item = Side> + use<> {
        let had = Side::ALL.map(|side| self.is_attached(side));
        let recounted = self.recounted;
        // The pins hold the links.
        (self.attachment, self.egress) = (None, None);
        if had.contains(&true)
            && let Err(error) = self.attach(kernel, number, pins)
        {
            tracing::error!(interface = self.interface.name.as_str(), "not counted: {error:#}; trying again");
            self.retry = self.retry.later();
        }
        self.recounted |= recounted;
        let swapped = [
            self.attachment.as_ref().map(|attachment| attachment.taken_over),
            self.egress.as_ref().map(|egress| egress.taken_over),
        ];
        for (blind, (had, swapped)) in self.blind.iter_mut().zip(had.into_iter().zip(swapped)) {
            match swapped {
                None if had => blind.since = Some(since),
                // The other one's programs counted up to some moment that nobody wrote down.
                Some(false) if had => blind.before += since.elapsed(),
                None | Some(_) => {}
            }
        }
        let has = Side::ALL.map(|side| self.is_attached(side));
        Side::ALL.into_iter().filter(move |side| had[*side as usize] && !has[*side as usize])
    }

    pub(super) fn follow(
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

    /// By [`Side`], whether a program was at work before it was attached here.
    pub(super) fn found_at_work(&self) -> [bool; Side::COUNT as usize] {
        let rx = self.attachment.as_ref().is_some_and(|attachment| attachment.taken_over);
        let tx = self.egress.as_ref().is_some_and(|egress| egress.taken_over);
        [rx, tx]
    }

    /// Whether packets of that side are counted.
    pub(super) fn is_attached(&self, side: Side) -> bool {
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
    pub(super) fn release(&mut self) {
        let attachment = self.attachment.take().map_or(Ok(()), |mut attachment| attachment.detach());
        let egress = self.egress.take().map_or(Ok(()), |mut egress| egress.detach());
        for error in [attachment, egress].into_iter().filter_map(Result::err) {
            tracing::error!("{error:#}");
        }
        self.blind.iter_mut().for_each(Blind::begin);
    }

    /// An interface that is only listened to sends nothing that was to be counted.
    pub(super) fn sides(&self) -> impl Iterator<Item = Side> + use<> {
        let egress = self.interface.egress;
        Side::ALL.into_iter().filter(move |side| *side == Side::Rx || egress)
    }

    pub(super) fn link_pin(&self, pins: &InstanceDir) -> PathBuf {
        let kind = match (hook(&self.interface), self.interface.xdp) {
            (Hook::Inline, config::XdpMode::Native) => 0,
            (Hook::Inline, config::XdpMode::Generic) => 1,
            (Hook::Mirror, config::XdpMode::Native) => 2,
            (Hook::Mirror, config::XdpMode::Generic) => 3,
        };
        pins.link(self.interface.name.as_str(), LINK_KINDS[kind])
    }

    pub(super) fn egress_pin(&self, pins: &InstanceDir) -> Option<PathBuf> {
        self.interface.egress.then(|| pins.link(self.interface.name.as_str(), EGRESS_PIN))
    }
}

pub(super) const fn hook(interface: &config::Interface) -> Hook {
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
