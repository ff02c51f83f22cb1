//! What an interface sends is counted to the last byte: generated frames, packets that the kernel cuts on their way out, tags that
//! stand beside the bytes. Three parties must agree: whoever built the packets, the ledger, and a second sensor that receives them.
//!
//! Each test has namespaces of its own, which vanish with it.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, and why a test was skipped")]

#[path = "root_egress/frames.rs"]
mod frames;
#[path = "root_egress/large.rs"]
mod large;
#[path = "root_egress/neighbours.rs"]
mod neighbours;
#[path = "support/root.rs"]
mod root;
#[path = "root_egress/sockets.rs"]
mod sockets;
#[path = "root_egress/stage.rs"]
mod stage;
#[path = "root_egress/transit.rs"]
mod transit;
