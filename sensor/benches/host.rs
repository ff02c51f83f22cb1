//! What the host does with a full table: read it, build it, put it in force, make its successor, look addresses up.
//!
//! `cargo bench -p sensor --bench host -- [--json FILE] [--rounds N] [NAME...]`: medians, of the rows whose name contains one of the
//! names. Rows of the kernel need root and are left out without it.

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sensor::{
    bpf::{self, Kernel, NO_MANIFEST},
    cidr::Cidr,
    native::Native,
    prefix::{PrefixSet, SetBuilder},
    table_file::read_tables,
    testing::{bgp, rng::Rng},
};
use sensor_ebpf::lookup;

/// Writes a prefix in one format.
type Line = fn(Cidr, &mut Vec<u8>) -> io::Result<()>;
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A full table.
const V4: usize = 1_000_000;
const V6: usize = 250_000;
/// Rounds unless told otherwise.
const ROUNDS: usize = 7;
/// Addresses looked up in a row.
const ADDRESSES: usize = 1_000_000;

fn main() -> Result<()> {
    let mut bench = Bench::of_command_line()?;
    let mut rng = Rng::new(1);
    let (v4, v6) = (bgp::v4(&mut rng, V4), bgp::v6(&mut rng, V6));
    reads(&mut bench, &v4)?;
    builds(&mut bench, &v4, &v6)?;
    successors(&mut bench, &[&v4[..], &v6].concat())?;
    lookups(&mut bench, &mut rng, &v4, &v6)?;
    bench.finish()
}

fn builds(bench: &mut Bench, v4: &[Cidr], v6: &[Cidr]) -> Result<()> {
    let both = [v4, v6].concat();
    for (name, table) in [("v4_1m", v4), ("v6_250k", v6), ("full", &both)] {
        bench.row(&format!("build_set_{name}"), || set(table))?;
        let built = set(table)?;
        bench.row(&format!("build_trie_{name}"), || Ok(built.trie()?))?;
        if bpf::may_load() && bench.wants(&format!("flip_{name}")) {
            let trie = built.trie()?;
            let mut kernel = Kernel::load(&built, &trie, 1)?;
            bench.row(&format!("flip_{name}"), || Ok(kernel.maps().publish(&trie, NO_MANIFEST)?))?;
            bench.row(&format!("build_and_flip_{name}"), || {
                let built = set(table)?;
                Ok(kernel.maps().publish(&built.trie()?, NO_MANIFEST)?)
            })?;
        }
    }
    Ok(())
}

/// The same prefixes in each format, with an AS number where the format has one.
fn reads(bench: &mut Bench, table: &[Cidr]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let formats: [(&str, Line); 3] = [
        ("txt", |cidr, file| writeln!(file, "{cidr}")),
        ("csv", |cidr, file| writeln!(file, "{cidr},64500,example")),
        ("mrt", mrt),
    ];
    for (format, line) in formats {
        let mut file = Vec::new();
        table.iter().try_for_each(|cidr| line(*cidr, &mut file))?;
        let path = folder.path().join(format!("table.{format}"));
        fs::write(&path, file)?;
        bench.row(&format!("read_{format}_1m"), || Ok(read_tables(&[&path])?))?;
    }
    Ok(())
}

/// A TABLE_DUMP_V2 record of an IPv4 prefix with one route: ORIGIN, AS_PATH, NEXT_HOP (RFC 6396, section 4.3).
fn mrt(cidr: Cidr, file: &mut Vec<u8>) -> io::Result<()> {
    const ATTRIBUTES: &[u8] = &[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4, 0x40, 3, 4, 192, 0, 2, 1];
    let len = cidr.prefix_len();
    let mut body = vec![0, 0, 0, 1, len];
    body.extend(&cidr.bits().to_be_bytes()[..usize::from(len.div_ceil(8))]);
    body.extend([0, 1, 0, 0, 0x65, 0, 0, 0, 0, ATTRIBUTES.len() as u8]);
    body.extend(ATTRIBUTES);
    file.extend([0x65, 0, 0, 0, 0, 13, 0, 2]);
    file.extend((body.len() as u32).to_be_bytes());
    file.write_all(&body)
}

/// One configuration after another, of a full table: nothing changed, one prefix in a hundred replaced, everything billed anew.
fn successors(bench: &mut Bench, table: &[Cidr]) -> Result<()> {
    let (old, same) = (set(table)?, set(table)?);
    let capacity = 2 * table.len() as u32 + 3;
    bench.row("same_content_full", || Ok(old.same_content(&same)))?;
    bench.row("successor_full_unchanged", || Ok(old.successor(&same, capacity)?))?;
    let kept = |number: usize, last: usize| number % 100 != last;
    let part = |last| -> Vec<Cidr> {
        table.iter().enumerate().filter(|(number, _)| kept(*number, last)).map(|(_, cidr)| *cidr).collect()
    };
    let (before, after) = (set(&part(0))?, set(&part(1))?);
    bench.row("successor_full_1_percent", || Ok(before.successor(&after, capacity)?))?;
    let mut watched = SetBuilder::default();
    watched.account_all(table.iter().copied());
    watched.watch("everything", ["0.0.0.0/0".parse()?, "::/0".parse()?])?;
    let watched = watched.build()?;
    bench.row("successor_full_all_moved", || Ok(old.successor(&watched, capacity)?))
}

/// Addresses spread evenly over the prefixes of a table.
fn lookups(bench: &mut Bench, rng: &mut Rng, v4: &[Cidr], v6: &[Cidr]) -> Result<()> {
    for (name, table) in [("v4_1m", v4), ("v6_250k", v6)] {
        let built = set(table)?;
        let native = Native::new(built.trie()?, built.highest_id());
        let addresses: Vec<u128> = (0..ADDRESSES)
            .map(|_| {
                let cidr = table[rng.below(table.len())];
                cidr.bits() | rng.next_u128().checked_shr(cidr.prefix_len().into()).unwrap_or(0)
            })
            .collect();
        let v4 = table[0].is_v4();
        let find = |bits: &u128| {
            if v4 {
                lookup::v4(&native, 0, (bits >> 96) as u32)
            } else {
                lookup::v6(&native, 0, [(bits >> 64) as u64, *bits as u64])
            }
        };
        let found = || Ok(addresses.iter().filter_map(find).filter(|entry| entry.prefix().is_some()).count());
        bench.rows_of(&format!("native_lookup_{name}"), ADDRESSES as u32, found)?;
    }
    Ok(())
}

fn set(table: &[Cidr]) -> Result<PrefixSet> {
    let mut builder = SetBuilder::default();
    builder.account_all(table.iter().copied());
    Ok(builder.build()?)
}

/// Rows measured so far.
struct Bench {
    json: Option<PathBuf>,
    rounds: usize,
    names: Vec<String>,
    rows: Vec<(String, Duration)>,
}

impl Bench {
    fn of_command_line() -> Result<Self> {
        let mut bench = Self { json: None, rounds: ROUNDS, names: vec![], rows: vec![] };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => bench.json = Some(arguments.next().ok_or("--json needs a file")?.into()),
                "--rounds" => bench.rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
                // Cargo's own.
                "--bench" => {}
                name => bench.names.push(name.to_owned()),
            }
        }
        Ok(bench)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| name.contains(wanted))
    }

    fn row<T>(&mut self, name: &str, work: impl FnMut() -> Result<T>) -> Result<()> {
        self.rows_of(name, 1, work)
    }

    /// Measures `work`, which does something `per` times; dropping what it makes is outside of the time.
    fn rows_of<T>(&mut self, name: &str, per: u32, mut work: impl FnMut() -> Result<T>) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        work()?;
        let mut times = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds.max(1) {
            let start = Instant::now();
            let made = std::hint::black_box(work()?);
            times.push(start.elapsed());
            drop(made);
        }
        times.sort_unstable();
        let median = times[times.len() / 2] / per;
        writeln!(std::io::stdout(), "{name:32} {median:>12.2?}")?;
        self.rows.push((name.to_owned(), median));
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let Some(path) = self.json else { return Ok(()) };
        let row = |(name, median): &(String, Duration)| serde_json::json!({ "name": name, "median_ns": median.as_nanos() as u64 });
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        write(&path, &serde_json::json!({ "rows": rows }).to_string())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(fs::write(path, text)?)
}
