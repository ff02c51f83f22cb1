//! Maps found by their pins: compared with what they must be before anything is made of them.
//!
//! aya 0.14 takes over a pinned map of any size under a name it knows; reading it through a type of another size then overruns the
//! heap. So every pin is looked at here first.

use std::{
    collections::BTreeMap,
    fmt,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use aya::maps::{MapData, MapType};
use bytemuck::Pod;
use sensor_ebpf::abi::{ABI_VERSION, ControlBlock, Counter, Pending, map_name};

use super::{
    array::MappedArray,
    billed::Billed,
    counters::Counters,
    layout::{Layout, MapShape},
};
use crate::{
    collect::{Reading, Totals, totals},
    epoch::Epoch,
    watch::Breakdown,
};

/// A set of maps that another agent, or another life of this one, left pinned.
#[derive(Debug)]
pub struct PinnedSet {
    path: PathBuf,
    identity: Identity,
}

/// What a pinned set says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Of this version of the layout.
    Known {
        /// Which life of the counters.
        epoch: Epoch,
        /// SHA-256 of the manifest in force, which says what its ids mean.
        manifest: [u8; 32],
    },
    /// Never put in use: the agent that made it did not get so far.
    Unfinished,
    /// Of another version of the layout, or with maps that are not what they should be.
    Foreign {
        /// Which life of the counters, where that can be told.
        epoch: Option<Epoch>,
    },
}

impl Identity {
    /// Which life of the counters, where that can be told.
    pub fn epoch(&self) -> Option<Epoch> {
        match *self {
            Self::Known { epoch, .. } => Some(epoch),
            Self::Foreign { epoch } => epoch,
            Self::Unfinished => None,
        }
    }
}

impl PinnedSet {
    /// Looks at the maps pinned in `path`.
    ///
    /// # Errors
    /// There is a control block that cannot be opened: nothing is known of the set then.
    pub fn look(path: PathBuf) -> Result<Self> {
        let identity = match control_block(&path) {
            Ok(Some(block)) => identity(&block),
            Ok(None) => Identity::Foreign { epoch: None },
            // Without control block programs have no table: such a set never counted.
            Err(_) if is_missing(&path, map_name::CONTROL)? => Identity::Unfinished,
            Err(error) => return Err(error),
        };
        Ok(Self { path, identity })
    }

    /// The folder of its pins.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Which life of the counters it is: as it says itself, or as its folder is called.
    pub fn epoch(&self) -> Option<Epoch> {
        self.identity.epoch().or_else(|| self.path.file_name()?.to_str()?.parse().ok())
    }

    /// How large its maps are, which were made for `interfaces` interfaces; each has the type, key, value and flags that it must.
    ///
    /// # Errors
    /// A map is missing, the first that differs and in what, or their sizes do not fit together.
    pub fn layout(&self, interfaces: u32) -> Result<Layout> {
        let mut entries = BTreeMap::new();
        for name in map_name::SHARED {
            let (_, found) = pinned_map(&self.path, name)?;
            differs(&found, &MapShape::of(name, found.entries))?;
            entries.insert(name, found.entries);
        }
        Layout::of_maps(|name| entries.get(name).copied().unwrap_or_default(), interfaces)
            .with_context(|| format!("the sizes of its maps do not fit together: {entries:?}"))
    }

    /// Everything counted in it, by id; no program may be counting in it any more. `interfaces` is the number its ledgers were made for.
    ///
    /// # Errors
    /// Its maps do not fit together.
    pub fn read(&self, interfaces: u32) -> Result<Reading> {
        let entries = |name| pinned_map(&self.path, name).map(|(_, shape)| shape.entries);
        let (prefixes, ledger) = (entries(map_name::PREFIXES)?, entries(map_name::LEDGER)?);
        let layout = Layout::of_counters(prefixes, ledger, interfaces)
            .ok_or_else(|| anyhow!("{prefixes} prefix rows and {ledger} ledger rows belong to other interfaces"))?;
        Ok(Counters::open(&self.path, layout)?.read_at_rest())
    }

    /// What was billed to watched networks in it.
    ///
    /// # Errors
    /// Its maps do not fit together, or cannot be opened.
    pub fn billed(&self, interfaces: u32) -> Result<Breakdown> {
        let entries = |name| pinned_map(&self.path, name).map_or(0, |(_, shape)| shape.entries);
        let layout = Layout::of_rows(entries, interfaces).context("rows of watched networks do not fit its slices")?;
        Ok(Breakdown::read(&Billed::open(&self.path, &layout)?))
    }

    /// What all its prefixes counted together, by [`Direction`](sensor_ebpf::abi::Direction): the layout of a row and its place by direction are the same in all
    /// versions so far. `None` where there are no such rows.
    ///
    /// # Errors
    /// The map cannot be opened.
    pub fn unattributed(&self) -> Result<Option<Totals>> {
        if is_missing(&self.path, map_name::PREFIXES)? {
            return Ok(None);
        }
        let (map, shape) = pinned_map(&self.path, map_name::PREFIXES)?;
        if let Err(error) = differs(&shape, &MapShape::of(map_name::PREFIXES, shape.entries)) {
            tracing::error!("{}: {error:#}", self.path.display());
            return Ok(None);
        }
        let rows = MappedArray::<Counter>::new(map.fd().as_fd(), shape.entries as usize).context("cannot map it")?;
        let counted = (0..rows.len()).filter_map(|row| Some((row, rows.load(row)?)));
        Ok(Some(totals(counted.chain(self.left_to_add()?))))
    }

    /// What was still to be added when programs ended, by row of all slices: nothing in a set of a version that left nothing.
    fn left_to_add(&self) -> Result<Vec<(usize, Counter)>> {
        if is_missing(&self.path, map_name::PENDING)? {
            return Ok(Vec::new());
        }
        let (map, shape) = pinned_map(&self.path, map_name::PENDING)?;
        if let Err(error) = differs(&shape, &MapShape::of(map_name::PENDING, shape.entries)) {
            tracing::error!("{}: {error:#}; at most the last packet of each CPU is not counted", self.path.display());
            return Ok(Vec::new());
        }
        let lines = MappedArray::<Pending>::new(map.fd().as_fd(), shape.entries as usize).context("cannot map it")?;
        let lines = (0..lines.len()).filter_map(|line| lines.load(line));
        Ok(lines.flat_map(|line| line.left()).collect())
    }
}

fn is_missing(directory: &Path, name: &str) -> Result<bool> {
    let path = directory.join(name);
    path.try_exists().map(|exists| !exists).with_context(|| format!("cannot look for {}", path.display()))
}

/// The control block of a set; `None` where it is of another shape.
fn control_block(directory: &Path) -> Result<Option<ControlBlock>> {
    let (map, found) = pinned_map(directory, map_name::CONTROL)?;
    if found != MapShape::of(map_name::CONTROL, 1) {
        return Ok(None);
    }
    let control = MappedArray::new(map.fd().as_fd(), 1).context("cannot map the control block into memory")?;
    Ok(control.load(0))
}

fn identity(block: &ControlBlock) -> Identity {
    let epoch = Epoch::from_bytes(block.epoch);
    match epoch {
        // Before the epoch is written no program is attached.
        None => Identity::Unfinished,
        Some(_) if block.abi_version != ABI_VERSION => Identity::Foreign { epoch },
        Some(epoch) => Identity::Known { epoch, manifest: block.manifest() },
    }
}

/// Maps the array pinned as `name` in `directory`, which must be of this layout.
pub(crate) fn open_array<T: Pod>(directory: &Path, layout: &Layout, name: &'static str) -> Result<MappedArray<T>> {
    let shape = layout.shape(name);
    if size_of::<T>() != shape.value_size as usize {
        bail!("map {name} has values of {} bytes, not of {}", shape.value_size, size_of::<T>());
    }
    let map = open(directory, &shape)?;
    MappedArray::new(map.fd().as_fd(), shape.entries as usize).with_context(|| format!("cannot map {name} into memory"))
}

/// The map pinned under the name of a shape, of exactly that shape.
pub(crate) fn open(directory: &Path, expected: &MapShape) -> Result<MapData> {
    let (map, found) = pinned_map(directory, expected.name)?;
    differs(&found, expected)?;
    Ok(map)
}

fn pinned_map(directory: &Path, name: &'static str) -> Result<(MapData, MapShape)> {
    let path = directory.join(name);
    let map = MapData::from_pin(&path).with_context(|| format!("cannot open the pinned map {}", path.display()))?;
    let info = map.info().with_context(|| format!("cannot ask the kernel about map {name}"))?;
    let shape = MapShape {
        name,
        map_type: info.map_type().unwrap_or(MapType::Unspecified),
        key_size: info.key_size(),
        value_size: info.value_size(),
        entries: info.max_entries(),
        flags: info.map_flags(),
    };
    Ok((map, shape))
}

fn differs(found: &MapShape, expected: &MapShape) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    bail!("map {} is {found} where {expected} is needed", found.name)
}

impl fmt::Display for MapShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: _, map_type, key_size, value_size, entries, flags } = self;
        write!(f, "{map_type:?} of {entries} x {value_size} bytes (key {key_size} bytes, flags {flags:#x})")
    }
}
