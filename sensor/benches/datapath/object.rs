//! The object with the programs of the benchmark.

use std::{fs, net::IpAddr, os::fd::AsFd as _, path::Path};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, Map,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{ProgramFd, Xdp},
};
use bytemuck::Pod;
use sensor::{
    prefix::{Meaning, PrefixSet},
    testing::run,
};
use sensor_ebpf::abi::{Cell, Counter, Direction, Entry, Matched, Outcome, Settings, map_name};

/// Entries of `CURSORS`.
pub(crate) const MAX_CPUS: usize = 64;
/// Rows of the ledger of one interface side.
const LEDGER_ROWS: u32 = 4 * Cell::COUNT;

/// Loads the object, maps of these names with so many entries (one at least); live frames go to `interface`.
pub(crate) fn load(path: &Path, sizes: &[(&'static str, usize)], interface: u32) -> Result<Ebpf> {
    let object = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(map_name::LEDGER, LEDGER_ROWS);
    for (map, entries) in sizes {
        loader.map_max_entries(map, u32::try_from((*entries).max(1))?);
    }
    loader.override_global("INTERFACE", &interface, true);
    loader.load(&object).context("cannot make the maps of the benchmark")
}

/// Loads it with all of a set in the kernel's own trie.
pub(crate) fn reference(path: &Path, set: &PrefixSet) -> Result<Ebpf> {
    let prefixes = set.len() as usize;
    let settings = Settings {
        ledger_slot: 0,
        slice_mask: 0,
        prefix_capacity: set.len() + 1,
        root_bits_v4: 16,
        root_bits_v6: 16,
        roots: 0,
        replay: 0,
        internal: 0,
        shared: 0,
        deferred: 0,
        interface: 0,
        tap: 0,
        flow_sets: 0,
        open_entries: 0,
        breakdown_rows: 1,
        counterpart_rows: 0,
        networks: 1,
        idle: 0,
    };
    let object = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut ebpf = EbpfLoader::new()
        .map_max_entries(map_name::LEDGER, LEDGER_ROWS)
        .map_max_entries("LPM_V4", u32::try_from(prefixes)?)
        .map_max_entries("LPM_V6", u32::try_from(prefixes)?)
        .map_max_entries("LPM_COUNTERS", (set.len() + 1) * Direction::COUNT)
        .override_global(map_name::SETTINGS, bytemuck::bytes_of(&settings), true)
        .load(&object)
        .context("cannot make the maps of the reference")?;
    fill(&mut ebpf, "LPM_V4", set, |address| match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    })?;
    fill(&mut ebpf, "LPM_V6", set, |address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.octets()),
    })?;
    Ok(ebpf)
}

fn fill<const N: usize>(
    ebpf: &mut Ebpf,
    name: &str,
    set: &PrefixSet,
    key: impl Fn(IpAddr) -> Option<[u8; N]>,
) -> Result<()>
where
    [u8; N]: aya::Pod,
{
    let mut trie: LpmTrie<_, [u8; N], u32> = ebpf.map_mut(name).context("no such map")?.try_into()?;
    for (id, Meaning { cidr, network, .. }) in set.live() {
        if let Some(address) = key(cidr.address()) {
            trie.insert(&Key::new(cidr.prefix_len().into(), address), Entry::leaf(id, network).word(), 0)?;
        }
    }
    Ok(())
}

/// Packets with both addresses in the table, as the ledger of the reference has them.
pub(crate) fn matched(ebpf: &mut Ebpf) -> Result<u64> {
    let ledger: Array<_, [u64; 4]> = ebpf.map(map_name::LEDGER).context("no such map")?.try_into()?;
    let row = Cell::outcome(Outcome::Matched(Matched::Both)).index();
    const _: () = assert!(size_of::<Counter>() == size_of::<[u64; 4]>());
    Ok(ledger.get(&row, 0)?[0])
}

/// A program, loaded into the kernel.
pub(crate) fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a ProgramFd> {
    let program: &mut Xdp = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
    if program.fd().is_err() {
        program.load().with_context(|| format!("the kernel refuses {name}"))?;
    }
    Ok(program.fd()?)
}

/// Writes values into a map from index `first` on.
pub(crate) fn write<T: Pod>(ebpf: &mut Ebpf, name: &str, first: usize, values: &[T]) -> Result<()> {
    let Some(Map::Array(map)) = ebpf.map(name) else { bail!("no array {name}") };
    let entries = map.info()?.max_entries();
    run::write_map(map.fd().as_fd(), entries, first, values).with_context(|| name.to_owned())
}
