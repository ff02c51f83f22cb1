//! Programs, tables and streams in the kernel, and the rounds over them.

use std::{
    collections::BTreeMap,
    os::fd::AsFd as _,
    path::Path,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::{Ebpf, maps::ProgramArray};
use sensor::{
    bpf::{Buffers, Hook, InterfaceKind, Kernel, LabelPlan, Plan, SharedMaps},
    collect::Meter as _,
    config::{DEFAULT_COUNTERPARTS, DEFAULT_MEMORY, DEFAULT_SAMPLES_PER_SECOND},
    testing::{run, socket},
    watch::Memory as _,
};
use sensor_ebpf::{
    abi::{FlowKey, Kind, Spending},
    class::{Class, Evidence},
};

use super::{
    CPUS,
    object::{self, MAX_CPUS},
    report::{Report, median},
    rows::{Addresses, Driver, ELEMENTS_V4, ELEMENTS_V6, Known, ROWS, Row, Table, Target},
    table::{self, Spread, Traffic, draws, element_v4},
};

/// The first bit of addresses of the table; those of the rest of the Internet have the other.
const INSIDE: bool = false;
/// Prefixes of the rest of the Internet.
const PREFIXES_OUTSIDE: usize = 100_000;
/// The source of packets whose destination alone is in the table.
const SOURCE_OUTSIDE: u32 = 0xc612_0001;
/// Bytes of an Ethernet header, an IPv6 header and a UDP header.
const FRAME_LEN: usize = 62;
const SEED: u64 = 4;
/// Flows that the programs remember.
const FLOWS: u32 = 1 << 20;
/// Packets for each of which the ring has room for a record.
const MEETINGS: u64 = 1 << 16;

/// Everything in the kernel that rows are made of.
pub(crate) struct Bench {
    /// Drivers, streams and the programs that need no table.
    driver: Ebpf,
    /// Programs over the kernel's trie, by table.
    references: Vec<(Table, Ebpf)>,
    /// The sensor's programs, by table.
    kernels: Vec<(Table, Kernel)>,
    rows: Vec<Work>,
}

/// A row and where its stream begins.
struct Work {
    row: &'static Row,
    first: usize,
    /// Packets so far.
    packets: u64,
    /// What the last run of all of them took.
    took: Duration,
}

impl Bench {
    /// Loads what the rows need whose name contains `only`.
    pub(crate) fn load(path: &Path, only: &str) -> Result<Self> {
        let chosen = |row: &&Row| row.name.contains(only) || row.target == Target::Null;
        let (mut streams_v4, mut streams_v6) = (Vec::new(), Vec::new());
        let (mut kernels, mut references, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let outside = table::v4(PREFIXES_OUTSIDE, !INSIDE, SEED + 1);
        let (mut all_v4, mut all_v6) = (BTreeMap::new(), BTreeMap::new());
        for row in ROWS.iter().filter(chosen) {
            let Table { v4, v6, watched, labelled } = row.table;
            let v4 = all_v4.entry(v4).or_insert_with(|| table::v4(v4, INSIDE, SEED));
            let v6 = all_v6.entry(v6).or_insert_with(|| table::v6(v6, SEED));
            let first = if row.driver.is_v4() { streams_v4.len() } else { streams_v6.len() };
            if row.driver.is_v4() {
                streams_v4.extend(stream_v4(row, v4, &outside));
            } else {
                streams_v6.extend(stream_v6(row, v4, v6));
            }
            rows.push(Work { row, first, packets: 0, took: Duration::ZERO });
            let set = || table::set(v4, v6, watched.is_some());
            if row.target == Target::Full && kernels.iter().all(|(table, _)| *table != row.table) {
                println!("loading the sensor with {} IPv4 and {} IPv6 prefixes", v4.len(), v6.len());
                let set = set()?;
                let (trie, interfaces) = (set.trie()?, &[InterfaceKind::default()]);
                let far = labelled.then(|| table::labels(&outside)).transpose()?;
                let labels = far.as_ref().map(|trie| LabelPlan { trie, rows: DEFAULT_COUNTERPARTS });
                let plan = Plan { set: &set, trie: &trie, interfaces, flows: FLOWS, labels, memory: DEFAULT_MEMORY };
                kernels.push((row.table, Kernel::load_for(&plan)?));
            }
            if row.target == Target::KernelLpm && references.iter().all(|(table, _)| *table != row.table) {
                println!("filling the kernel's trie with {} IPv4 and {} IPv6 prefixes", v4.len(), v6.len());
                references.push((row.table, object::reference(path, &set()?)?));
            }
        }
        let mut driver = object::load(path, &[("STREAM_V4", streams_v4.len()), ("STREAM_V6", streams_v6.len())], 0)?;
        object::write(&mut driver, "STREAM_V4", 0, &streams_v4)?;
        object::write(&mut driver, "STREAM_V6", 0, &streams_v6)?;
        Ok(Self { driver, references, kernels, rows })
    }

    /// Makes all flows of watched rows known to the programs, as far as the rows want them known.
    pub(crate) fn meet(&mut self) -> Result<()> {
        for number in 0..self.rows.len() {
            let row = self.rows[number].row;
            let Some(known) = row.table.watched else { continue };
            let (_, repeat) = self.prepare(number)?;
            let maps = |bench: &mut Self| -> Result<()> {
                let maps = bench.maps(row.table)?;
                let class = Kind::new(Class::Tls, Evidence::Confirmed);
                let mut keys = Vec::new();
                maps.samples(usize::MAX, &mut |sample, _| {
                    keys.push(FlowKey::new(sample.key));
                    Ok(())
                })?;
                if known == Known::Decided {
                    for key in &keys {
                        let _ = maps.know(*key, &|state| state.closed_as(class));
                    }
                }
                let looks = if known == Known::Undecided { u64::MAX } else { 0 };
                for network in [0, 1] {
                    maps.allow(network, Spending::Sightings, MEETINGS, MEETINGS);
                    maps.allow(network, Spending::Looks, looks, looks);
                }
                Ok(())
            };
            // In parts that the ring of records has room for.
            for _ in 0..repeat / MEETINGS as u32 {
                maps(self)?;
                self.run(row.driver, MEETINGS as u32)?;
                self.rows[number].packets += MEETINGS;
            }
            maps(self)?;
        }
        Ok(())
    }

    /// Runs each row once and hands over what a packet cost, in nanoseconds.
    pub(crate) fn round(&mut self, mut each: impl FnMut(&'static str, f64)) -> Result<()> {
        for number in 0..self.rows.len() {
            let (row, repeat) = self.prepare(number)?;
            if row.table.watched == Some(Known::Flagged) {
                self.allow_what_an_agent_allows(number)?;
            }
            let (_, time) = self.run(row.driver, repeat)?;
            self.rows[number].took = time;
            self.rows[number].packets += u64::from(repeat);
            each(row.name, time.as_nanos() as f64 / f64::from(repeat));
        }
        Ok(())
    }

    /// Reads the records that were made, and allows as many again as the agent does in the time of a run.
    fn allow_what_an_agent_allows(&mut self, number: usize) -> Result<()> {
        let Work { row, took, .. } = self.rows[number];
        let looks = (took.as_secs_f64() * f64::from(DEFAULT_SAMPLES_PER_SECOND)) as u64;
        let maps = self.maps(row.table)?;
        maps.samples(usize::MAX, &mut |_, _| Ok(()))?;
        for network in [0, 1] {
            maps.allow(network, Spending::Looks, looks, looks);
        }
        Ok(())
    }

    /// The maps of the sensor that has this table.
    fn maps(&mut self, table: Table) -> Result<&mut SharedMaps> {
        let kernel = self.kernels.iter_mut().find(|(other, _)| *other == table).context("no such table")?;
        Ok(kernel.1.maps())
    }

    /// Whether every packet was counted, and as what its addresses say: a benchmark of something else would be worth nothing.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (table, kernel) in &mut self.kernels {
            let reading = kernel.read()?;
            let ours = self.rows.iter().filter(|work| work.row.target == Target::Full && work.row.table == *table);
            let (mut all, mut matched) = (0, 0);
            for work in ours {
                all += work.packets;
                matched += if matches!(work.row.addresses, Addresses::Neither(_)) { 0 } else { work.packets };
            }
            let ledger = &reading.ledger[0];
            ensure!(
                (ledger.seen().packets, ledger.matched().packets) == (all, matched),
                "of {all} packets to {table:?}, {matched} of them to a prefix, the sensor saw {} and {}",
                ledger.seen().packets,
                ledger.matched().packets
            );
        }
        for (table, reference) in &mut self.references {
            let theirs =
                self.rows.iter().filter(|work| work.row.target == Target::KernelLpm && work.row.table == *table);
            let sent: u64 = theirs.map(|work| work.packets).sum();
            let matched = object::matched(reference)?;
            ensure!(matched == sent, "of {sent} packets to {table:?} the kernel's trie matched {matched}");
        }
        Ok(())
    }

    /// What two CPUs count together, as a multiple of what one of them counts: of the full path, and of the empty program.
    pub(crate) fn on_two_cpus(&mut self, rounds: usize, report: &mut Report) -> Result<()> {
        for (name, row) in [("two_cpus_null", "null"), ("two_cpus_full_v4_1m_zipf", "full_v4_1m_zipf")] {
            let Some(number) = self.rows.iter().position(|work| work.row.name == row) else { continue };
            let mut ratios = Vec::new();
            for _ in 0..rounds {
                let (row, repeat) = self.prepare(number)?;
                let alone = self.side_by_side(row.driver, repeat, &CPUS[..1])?;
                let together = self.side_by_side(row.driver, repeat, &CPUS)?;
                self.rows[number].packets += 3 * u64::from(repeat);
                ratios.push(together / alone);
            }
            report.figure(name, median(&ratios), "times one CPU");
        }
        self.check()
    }

    /// Packets a second of all these CPUs.
    fn side_by_side(&mut self, driver: Driver, repeat: u32, cpus: &[usize]) -> Result<f64> {
        let program = object::xdp(&mut self.driver, driver.program())?.as_fd();
        let barrier = Barrier::new(cpus.len());
        let rate = |cpu: usize| -> Result<f64> {
            socket::pin_to_cpu(cpu)?;
            barrier.wait();
            let begin = Instant::now();
            run::repeat(program, &frame(driver), repeat)?;
            Ok(f64::from(repeat) / begin.elapsed().as_secs_f64())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = cpus.iter().map(|cpu| scope.spawn(|| rate(*cpu))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Ok(f64::NAN))).sum()
        })
    }

    /// Puts the row's program behind its driver and the cursors at its stream; how many packets that holds.
    fn prepare(&mut self, number: usize) -> Result<(&'static Row, u32)> {
        let Work { row, first, .. } = self.rows[number];
        let several = row.driver.takes_several_buffers();
        let elements = if row.driver.is_v4() { ELEMENTS_V4 } else { ELEMENTS_V6 };
        // The second CPU begins in the middle: the two do not warm the caches for each other.
        let cursor = |cpu: usize| [(cpu * elements / 2) as u64, first as u64, elements as u64 - 1, 0, 0, 0, 0, 0];
        let cursors: Vec<[u64; 8]> = (0..MAX_CPUS).map(cursor).collect();
        object::write(&mut self.driver, "CURSORS", 0, &cursors)?;
        let reference = self.references.iter_mut().find(|(table, _)| *table == row.table);
        let program = match (row.target.program(several), row.target, reference) {
            (None, ..) => {
                let kernel = self.kernels.iter_mut().find(|(table, _)| *table == row.table).context("no such table")?;
                let buffers = if several { Buffers::Several } else { Buffers::One };
                kernel.1.instance(0)?.program_fd(Hook::Inline, buffers)?.try_clone()?
            }
            (Some(program), Target::KernelLpm, Some((_, reference))) => object::xdp(reference, program)?.try_clone()?,
            (Some(program), ..) => object::xdp(&mut self.driver, program)?.try_clone()?,
        };
        let array = if several { "UNDER_TEST_FRAGS" } else { "UNDER_TEST" };
        let mut array = ProgramArray::try_from(self.driver.map_mut(array).context("no such map")?)?;
        array.set(0, &program, 0)?;
        Ok((row, elements as u32))
    }

    fn run(&mut self, driver: Driver, repeat: u32) -> Result<(u32, Duration)> {
        const XDP_PASS: u32 = 2;
        let program = object::xdp(&mut self.driver, driver.program())?;
        let (verdict, time) = run::repeat(program.as_fd(), &frame(driver), repeat)?;
        ensure!(verdict == XDP_PASS, "{driver:?}: the program under test was not called (verdict {verdict})");
        Ok((verdict, time))
    }
}

/// The frame that a driver writes addresses into.
fn frame(driver: Driver) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    if driver.is_v4() {
        frame[12..24].copy_from_slice(&[0x08, 0x00, 0x45, 0, 0, 0x28, 0, 0, 0, 0, 64, 17]);
    } else {
        frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
    }
    frame
}

fn stream_v4(row: &Row, inside: &[(u32, u8)], outside: &[(u32, u8)]) -> Vec<u64> {
    match row.addresses {
        Addresses::Both(spread) => {
            let mut traffic = Traffic::new(inside, spread, SEED);
            (0..ELEMENTS_V4).map(|_| element_v4(traffic.address(), traffic.address())).collect()
        }
        Addresses::Destination(spread) => {
            let mut traffic = Traffic::new(inside, spread, SEED);
            (0..ELEMENTS_V4).map(|_| element_v4(SOURCE_OUTSIDE, traffic.address())).collect()
        }
        Addresses::Neither(spread) => {
            let mut traffic = Traffic::new(outside, spread, SEED);
            (0..ELEMENTS_V4).map(|_| element_v4(traffic.address(), traffic.address())).collect()
        }
        Addresses::Flows(count, spread) => {
            let (mut far, mut near) =
                (Traffic::new(outside, Spread::Uniform, SEED), Traffic::new(inside, Spread::Uniform, SEED));
            let flows: Vec<u64> = (0..count).map(|_| element_v4(far.address(), near.address())).collect();
            let mut draw = draws(count, spread, SEED);
            (0..ELEMENTS_V4).map(|_| flows[draw()]).collect()
        }
    }
}

/// Of both families in turn where the table has both.
fn stream_v6(row: &Row, v4: &[(u32, u8)], v6: &[(u128, u8)]) -> Vec<[u64; 4]> {
    let (Addresses::Both(spread)
    | Addresses::Destination(spread)
    | Addresses::Neither(spread)
    | Addresses::Flows(_, spread)) = row.addresses;
    let (mut four, mut six) = (Traffic::new(v4, spread, SEED), Traffic::new(v6, spread, SEED));
    let element = |at: usize| {
        if row.driver == Driver::Mix && at.is_multiple_of(2) {
            [0, element_v4(four.address(), four.address()), 0, 0]
        } else {
            six.pair()
        }
    };
    (0..ELEMENTS_V6).map(element).collect()
}
