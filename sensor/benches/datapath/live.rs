//! Over a veth pair, natively: packets a second of a generator of live frames on one core, which on the same core also runs everything
//! up to and including the program under test.

use std::{os::fd::AsFd as _, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::{Xdp, XdpMode, xdp::XdpLinkId};
use sensor::{
    bpf::{self, Hook, Kernel},
    collect::Meter as _,
    testing::{
        netns::{self, LINK, Wire},
        run, socket,
    },
};

use super::{
    CPUS, object,
    report::{Report, median},
    rows::ELEMENTS_V4,
    table::{self, Spread, Traffic, element_v4},
};

/// Packets of a round: the kernel takes some 15 ms to end one, whatever its length.
const PACKETS: u32 = 4 << 20;
/// Live frames made at a time.
const BATCH: u32 = 64;
const MTU: usize = 1500;
/// As short as Ethernet has them.
const FRAME_LEN: usize = 60;
const PREFIXES: usize = 1_000_000;
const SEED: u64 = 7;

/// All targets in turn.
pub(crate) fn run(object: &Path, rounds: usize, report: &mut Report) -> Result<()> {
    let wire = Wire::new("bench", &[LINK], MTU)?;
    let prefixes = table::v4(PREFIXES, false, SEED);
    let set = table::set(&prefixes, &[], false)?;
    let mut traffic = Traffic::new(&prefixes, Spread::Zipf, SEED);
    let stream: Vec<u64> = (0..ELEMENTS_V4).map(|_| element_v4(traffic.address(), traffic.address())).collect();
    let mut reference = object::reference(object, &set)?;
    let mut kernel = Kernel::load(&set, &set.trie()?, 1)?;
    let interface = netns::within(&wire.peer, || bpf::interface_index(LINK.outside))?;
    let mut driver = object::load(object, &[("STREAM_V4", stream.len())], interface)?;
    object::write(&mut driver, "STREAM_V4", 0, &stream)?;
    let cursors = [[0, 0, ELEMENTS_V4 as u64 - 1, 0, 0, 0, 0, 0]; object::MAX_CPUS];
    object::write(&mut driver, "CURSORS", 0, &cursors)?;
    object::xdp(&mut driver, "send_v4")?;

    const NAMES: [&str; 4] = ["live_null", "live_parse", "live_full_v4_1m_zipf", "live_kernel_lpm_v4_1m_zipf"];
    let mut rates = NAMES.map(|_| Vec::new());
    let mut counted = 0;
    for round in 0..rounds {
        for (name, rates) in NAMES.iter().zip(&mut rates) {
            let attach = |program: &mut Xdp| -> Result<XdpLinkId> {
                if program.fd().is_err() {
                    program.load()?;
                }
                Ok(program.attach(LINK.inside, XdpMode::Driver)?)
            };
            let rate = match *name {
                "live_full_v4_1m_zipf" => {
                    let instance = kernel.instance(0)?;
                    let mut attached =
                        netns::within(&wire.sensor, || instance.attach(LINK.inside, Hook::Mirror, XdpMode::Driver))?;
                    let rate = send(&wire, &mut driver)?;
                    attached.detach()?;
                    counted += u64::from(PACKETS);
                    rate
                }
                _ => {
                    let program = match *name {
                        "live_null" => driver.program_mut("null_drop"),
                        "live_parse" => driver.program_mut("parse_drop"),
                        _ => reference.program_mut("kernel_lpm_drop"),
                    };
                    let program: &mut Xdp = program.context("no such program")?.try_into()?;
                    let link = netns::within(&wire.sensor, || attach(program))?;
                    let link = program.take_link(link)?;
                    let rate = send(&wire, &mut driver)?;
                    drop(link);
                    rate
                }
            };
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let seen = kernel.read()?.ledger[0].matched().packets;
    ensure!(seen == counted, "of {counted} packets sent over the wire the sensor counted {seen}");
    for (name, rates) in NAMES.iter().zip(&rates) {
        report.figure(name, median(rates), "Mpps");
    }
    Ok(())
}

/// Millions of packets a second.
fn send(wire: &Wire, driver: &mut aya::Ebpf) -> Result<f64> {
    let mut frame = [0; FRAME_LEN];
    frame[12..24].copy_from_slice(&[0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17]);
    let program = object::xdp(driver, "send_v4")?.as_fd();
    netns::within(&wire.peer, || {
        socket::pin_to_cpu(CPUS[0])?;
        let begin = Instant::now();
        run::live(program, &frame, PACKETS, BATCH)?;
        Ok(f64::from(PACKETS) / begin.elapsed().as_secs_f64() / 1e6)
    })
}
