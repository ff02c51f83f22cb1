//! Small TC programs on what an interface sends: neighbours for the one under test.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};

use super::sys;
use crate::bpf::interface_index;

/// What a program does with each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sends it without asking the programs behind it (`TCX_PASS`).
    EndTheWalk,
    /// Puts an 802.1Q tag beside its bytes, as a VLAN interface does where the driver inserts tags (`bpf_skb_vlan_push`).
    PushTag(u16),
}

/// Where among the programs of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before all that are there.
    First,
    /// Behind all that are there.
    Last,
}

/// An attached program; dropping it detaches.
#[derive(Debug)]
pub struct Classifier {
    _program: OwnedFd,
    _link: OwnedFd,
}

impl Classifier {
    /// Attaches to what an interface of this thread's network namespace sends (TCX, Linux 6.6).
    ///
    /// # Errors
    /// No such interface, no rights, or no TCX.
    pub fn attach(interface: &str, act: Act, place: Place) -> Result<Self> {
        let index = interface_index(interface)?;
        let program = sys::load_classifier(&code(act)).context("cannot load a small classifier")?;
        let link = sys::attach_egress(program.as_fd(), index, place == Place::First)
            .with_context(|| format!("{interface}: cannot attach a small classifier"))?;
        Ok(Self { _program: program, _link: link })
    }
}

/// Instructions (RFC 9669); the context is in register 1 when a program starts, the verdict in register 0 when it ends.
fn code(act: Act) -> Vec<u64> {
    const TCX_NEXT: i32 = -1;
    const TCX_PASS: i32 = 0;
    const VLAN_PUSH: i32 = 18;
    const ETHERTYPE: u16 = 0x8100;
    let (before, verdict) = match act {
        Act::EndTheWalk => (Vec::new(), TCX_PASS),
        // The helper takes the type in network byte order.
        Act::PushTag(tag) => {
            (vec![set(2, ETHERTYPE.to_be().into()), set(3, tag.into()), instruction(0x85, 0, VLAN_PUSH)], TCX_NEXT)
        }
    };
    [before, vec![set(0, verdict), instruction(0x95, 0, 0)]].concat()
}

/// Sets a register to a number.
fn set(register: u8, number: i32) -> u64 {
    instruction(0xb7, register, number)
}

fn instruction(operation: u8, register: u8, number: i32) -> u64 {
    let [b0, b1, b2, b3] = number.to_ne_bytes();
    u64::from_ne_bytes([operation, register, 0, 0, b0, b1, b2, b3])
}
