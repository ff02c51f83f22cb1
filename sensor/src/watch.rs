//! The agent's side of watched traffic: what programs tell of flows becomes verdicts that go back to them, and records. Pure but for the memory of the
//! programs, which is handed in.

mod memory;

pub use self::memory::Memory;
