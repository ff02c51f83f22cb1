//! The map of interfaces that bill what they receive: a packet on its way out that one of these brought was billed there.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, Map, MapData};
use sensor_ebpf::abi::{MAX_EXTERNAL, map_name};

use super::{layout::Layout, pinned::open};

/// The user-space end of map `EXTERNAL`.
#[derive(Debug)]
pub(crate) struct External(HashMap<MapData, u32, u32>);

impl External {
    /// Opens the map pinned in `directory`.
    pub(crate) fn open(directory: &Path, layout: &Layout) -> Result<Self> {
        let map = open(directory, &layout.shape(map_name::EXTERNAL))?;
        Ok(Self(HashMap::try_from(Map::HashMap(map))?))
    }

    /// Makes the map hold exactly these interfaces. One that stays is not touched in between.
    pub(crate) fn set(&mut self, indices: &BTreeSet<u32>) -> Result<()> {
        if indices.len() > MAX_EXTERNAL as usize {
            bail!(
                "{} interfaces bill or stand on one that does, and map EXTERNAL has room for {MAX_EXTERNAL}: name fewer",
                indices.len()
            );
        }
        let present: BTreeSet<u32> = self.0.keys().collect::<Result<_, _>>().context("cannot read map EXTERNAL")?;
        for gone in present.difference(indices) {
            self.0.remove(gone).with_context(|| format!("cannot remove interface {gone} from map EXTERNAL"))?;
        }
        for new in indices.difference(&present) {
            self.0.insert(new, 1, 0).with_context(|| format!("cannot add interface {new} to map EXTERNAL"))?;
        }
        Ok(())
    }
}
