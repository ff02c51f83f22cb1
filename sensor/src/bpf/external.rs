//! Which interfaces bill what they receive: a packet of theirs that leaves by another was billed already.

use std::{collections::BTreeSet, os::fd::AsFd};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use sensor_ebpf::abi::{MAX_EXTERNAL, map_name};

/// The user-space end of map `EXTERNAL`.
#[derive(Debug)]
pub(super) struct External(HashMap<MapData, u32, u32>);

impl External {
    /// Of a loaded object.
    pub(super) fn open(ebpf: &Ebpf) -> Result<Self> {
        const NAME: &str = map_name::EXTERNAL;
        let Some(Map::HashMap(map)) = ebpf.map(NAME) else {
            bail!("the eBPF object has no hash {NAME}: rebuild it with `cargo xtask build-ebpf`")
        };
        let fd = map.fd().as_fd().try_clone_to_owned().with_context(|| format!("cannot share map {NAME}"))?;
        let map = Map::HashMap(MapData::from_fd(fd).with_context(|| format!("cannot open map {NAME}"))?);
        Ok(Self(map.try_into().with_context(|| format!("map {NAME} is not the one of this version"))?))
    }

    /// Makes the map hold these interface indices and no others; those it holds already are never absent in between.
    pub(super) fn set(&mut self, indices: &[u32]) -> Result<()> {
        let wanted: BTreeSet<u32> = indices.iter().copied().collect();
        if wanted.len() > MAX_EXTERNAL as usize {
            bail!(
                "{} external interfaces and devices on them where there is room for {MAX_EXTERNAL}: name fewer",
                wanted.len()
            );
        }
        let present = self.0.keys().collect::<Result<BTreeSet<u32>, _>>();
        let present = present.with_context(|| format!("cannot read map {}", map_name::EXTERNAL))?;
        for index in present.difference(&wanted) {
            self.0.remove(index).with_context(|| format!("cannot remove interface {index} from the external ones"))?;
        }
        for index in wanted.difference(&present) {
            self.0.insert(index, 0, 0).with_context(|| format!("cannot add interface {index} to the external ones"))?;
        }
        Ok(())
    }
}
