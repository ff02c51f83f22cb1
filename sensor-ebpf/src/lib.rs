//! The packet engine: one library decides everywhere.
//!
//! The kernel program, the unit tests, the fuzzers and the capture replay compile this same code. It reads a frame through a
//! bounded [`packet::Window`], finds both addresses in the prefix table ([`lookup`]) and books the frame ([`account`]) in whatever
//! implements [`state::State`]: BPF maps in the kernel, plain vectors on the host.
//!
//! Invariants, stated as absences: no I/O, no allocation, no panic, no clock, no dependency (on the host without feature `user`).
#![no_std]

pub mod abi;
pub mod account;
pub mod class;
pub mod hash;
pub mod lookup;
pub mod packet;
pub mod signature;
pub mod state;
pub mod watch;

#[cfg(test)]
extern crate std;
