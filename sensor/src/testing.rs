//! For tests and the traffic generator: frames whose truth is known from how they were built, and a wire to send them over.
//!
//! Nothing here but `fuzz` calls the packet engine, its lookup or the records: what is checked with it must be able to fail.

pub mod bgp;
pub mod classifier;
pub mod clock;
pub mod frames;
pub mod fuzz;
pub mod history;
pub mod ipfix;
pub mod netns;
pub mod offload;
pub mod rng;
pub mod run;
pub mod socket;
mod sys;
pub mod tcp;
pub mod truth;
