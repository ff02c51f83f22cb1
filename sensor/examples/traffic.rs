//! Sends a reproducible mix of frames and then says, as one line of JSON, what must have been counted of it.
//!
//! `cargo xtask demo` starts it on the far end of a veth pair. It knows nothing of the sensor: its sums come from how each frame was
//! built and from a search of the table entry by entry.
#![expect(clippy::print_stdout, reason = "the sums are the output of this program")]

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use sensor::{
    cidr::Cidr,
    table_file::read_tables,
    testing::{
        frames::{Generator, Mix},
        socket::{Pace, Sender},
        truth::{Sum, Table, Tally},
    },
};
use serde_json::json;

/// Sends a generated mix of frames and prints its truth.
#[derive(Parser)]
struct Args {
    /// Send out of this interface
    #[arg(long, value_name = "NAME")]
    interface: String,
    /// Frames to send
    #[arg(long, value_name = "N")]
    frames: u64,
    /// The same seed sends the same frames
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Frames a second; 0 is as fast as possible
    #[arg(long, value_name = "PPS", default_value_t = 0)]
    rate: u64,
    /// Longest L3 packet
    #[arg(long, value_name = "BYTES", default_value_t = 1500)]
    mtu: usize,
    /// Prefixes the sensor watches; addresses are chosen in and around them
    #[arg(long, value_name = "CIDR")]
    watch: Vec<Cidr>,
    /// Tables of prefixes the sensor counts
    #[arg(long, value_name = "FILE")]
    prefixes: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let counted: Vec<Cidr> = read_tables(&args.prefixes)?.prefixes.iter().map(|entry| entry.cidr).collect();
    let table = Table::new(&args.watch, &counted);
    let mut generator = Generator::new(args.seed, table.prefixes(), args.mtu, Mix::Everything);
    let mut sender = Sender::open(&args.interface)?;
    let mut tally = Tally::default();
    let mut pace = Pace::new(args.rate);
    for _ in 0..args.frames {
        let frame = generator.frame();
        sender.send(&frame.bytes)?;
        tally.count(&table, &frame);
        pace.wait();
    }
    println!("{}", report(args.seed, &sender, &tally));
    Ok(())
}

fn report(seed: u64, sender: &Sender, tally: &Tally) -> serde_json::Value {
    let row = |((prefix, direction), sum): (&(String, String), &Sum)| {
        let Sum { packets, bytes, frame_bytes } = sum;
        json!({
            "prefix": prefix,
            "direction": direction,
            "packets": packets,
            "bytes": bytes,
            "frame_bytes": frame_bytes,
        })
    };
    json!({
        "seed": seed,
        "sent": sender.sent(),
        "retries": sender.retries(),
        "seen": tally.seen,
        "matched": tally.matched(),
        "other": tally.other,
        "unparsed": tally.unparsed,
        "degraded": tally.degraded,
        "prefixes": tally.prefixes.iter().map(row).collect::<Vec<_>>(),
    })
}
