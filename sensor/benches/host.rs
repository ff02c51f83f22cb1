//! What the host does with a full table: read it, build it, put it in force, make its successor, look addresses up.
//!
//! `cargo bench -p sensor --bench host -- [--json FILE] [--rounds N] [NAME...]`: medians, of the rows whose name contains one of the
//! names. Rows of the kernel need root and are left out without it.

use std::{
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sensor::{
    bpf::{self, Kernel, NO_MANIFEST},
    cidr::Cidr,
    prefix::{PrefixSet, SetBuilder},
    testing::{bgp, rng::Rng},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A full table.
const V4: usize = 1_000_000;
const V6: usize = 250_000;
/// Rounds unless told otherwise.
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let mut bench = Bench::of_command_line()?;
    let mut rng = Rng::new(1);
    let (v4, v6) = (bgp::v4(&mut rng, V4), bgp::v6(&mut rng, V6));
    builds(&mut bench, &v4, &v6)?;
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

    /// Measures `work`, dropping what it makes outside of the time.
    fn row<T>(&mut self, name: &str, mut work: impl FnMut() -> Result<T>) -> Result<()> {
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
        let median = times[times.len() / 2];
        writeln!(std::io::stdout(), "{name:32} {:>10.2} ms", median.as_secs_f64() * 1e3)?;
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
