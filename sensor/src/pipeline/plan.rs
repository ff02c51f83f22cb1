//! What to do about an interface when devices come, go and are renamed. Pure.

use std::collections::BTreeSet;

use super::devices::Device;

/// What becomes of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// All is well; the device bears this name now.
    Stay(&'a str),
    /// The device it is attached to is gone from this namespace, and there is none of the configured name.
    Lose,
    /// The device of the configured name is another one, with this index, or the first: attach to it, and leave the old one.
    Attach(u32),
    /// There is no device yet.
    Wait,
}

/// Where a program is attached: index of the device, and number of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) program: u32,
}

impl Place {
    /// Whether the device is still there, whatever it is called.
    pub(super) fn is_among(self, devices: &[Device]) -> bool {
        self.find(devices).is_some()
    }

    /// An index alone is no proof: it can be given again, and is another device's in another namespace.
    fn find(self, devices: &[Device]) -> Option<&Device> {
        devices.iter().find(|device| device.index == self.index && device.programs.contains(&self.program))
    }
}

/// What to do about the interface configured as `name`, attached at `place`.
///
/// An interface is what bears the configured name. One that was renamed stays attached as long as nothing else bears the name; one
/// that was moved to another namespace is gone.
pub(super) fn step<'a>(name: &str, place: Option<Place>, devices: &'a [Device]) -> Step<'a> {
    let named = devices.iter().find(|device| device.name == name);
    let attached = place.and_then(|place| place.find(devices));
    match (attached, named) {
        (Some(attached), Some(named)) if attached.index != named.index => Step::Attach(named.index),
        (Some(attached), _) => Step::Stay(&attached.name),
        (None, Some(named)) => Step::Attach(named.index),
        (None, None) if place.is_some() => Step::Lose,
        (None, None) => Step::Wait,
    }
}

/// The interfaces by which a packet can be known to have come in where it was billed: those that bill, the devices stacked on them,
/// and the bridges and bonds all of whose ports are such.
pub(super) fn with_stacked(billing: &BTreeSet<u32>, devices: &[Device]) -> BTreeSet<u32> {
    let mut known = billing.clone();
    loop {
        let is_known = |index: u32| known.contains(&index);
        let ports = |index| devices.iter().filter(move |port| port.controller == Some(index));
        let more: Vec<u32> = devices
            .iter()
            .filter(|device| !is_known(device.index))
            .filter(|device| {
                let stacked = device.stacked_on.is_some_and(is_known);
                let controls = ports(device.index).next().is_some();
                stacked || (controls && ports(device.index).all(|port| is_known(port.index)))
            })
            .map(|device| device.index)
            .collect();
        if more.is_empty() {
            return known;
        }
        known.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: u32 = 77;

    fn device(index: u32, name: &str, programs: &[u32]) -> Device {
        Device { index, name: name.to_owned(), programs: programs.to_vec(), ..Device::default() }
    }

    fn place(index: u32) -> Option<Place> {
        Some(Place { index, program: PROGRAM })
    }

    #[test]
    fn an_attached_interface_stays_whatever_it_is_called() {
        let devices = [device(3, "eth0", &[PROGRAM]), device(4, "eth1", &[])];
        assert_eq!(step("eth0", place(3), &devices), Step::Stay("eth0"));
        let renamed = [device(3, "wan0", &[PROGRAM]), device(4, "eth1", &[])];
        assert_eq!(step("eth0", place(3), &renamed), Step::Stay("wan0"));
    }

    #[test]
    fn the_configured_name_decides_between_two_devices() {
        let devices = [device(3, "wan0", &[PROGRAM]), device(9, "eth0", &[])];
        assert_eq!(step("eth0", place(3), &devices), Step::Attach(9));
    }

    #[test]
    fn a_deleted_interface_is_lost_and_its_successor_attached_to() {
        assert_eq!(step("eth0", place(3), &[device(1, "lo", &[])]), Step::Lose);
        assert_eq!(step("eth0", place(3), &[device(5, "eth0", &[])]), Step::Attach(5));
        assert_eq!(step("eth0", None, &[device(5, "eth0", &[])]), Step::Attach(5));
        assert_eq!(step("eth0", None, &[device(5, "eth1", &[])]), Step::Wait);
    }

    #[test]
    fn an_index_that_was_given_again_is_another_device() {
        assert_eq!(step("eth0", place(3), &[device(3, "eth0", &[])]), Step::Attach(3));
        assert_eq!(step("eth0", place(3), &[device(3, "eth0", &[PROGRAM + 1])]), Step::Attach(3));
        assert_eq!(step("eth0", place(3), &[device(3, "eth7", &[])]), Step::Lose);
    }

    #[test]
    fn what_stands_on_a_billing_interface_is_known_too() {
        let mut devices: Vec<Device> = (1..=8).map(|index| device(index, &format!("d{index}"), &[])).collect();
        devices[2].stacked_on = Some(2); // 3: a VLAN of 2
        devices[3].stacked_on = Some(3); // 4: a VLAN of that
        devices[1].controller = Some(5); // 2 and 6 are ports of 5
        devices[5].controller = Some(5);
        devices[6].stacked_on = Some(5); // 7: a VLAN of 5
        let known = |billing: &[u32]| {
            with_stacked(&billing.iter().copied().collect(), &devices).into_iter().collect::<Vec<_>>()
        };
        assert!(known(&[]).is_empty());
        assert_eq!(known(&[2]), [2, 3, 4], "5 may have received its packets by 6");
        assert_eq!(known(&[2, 6]), [2, 3, 4, 5, 6, 7]);
        assert_eq!(known(&[8]), [8]);
    }
}
