//! The kernel's neighbour table (rtnetlink(7), `RTM_GETNEIGH`): which MAC address answers for which IP address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle,
    packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
};
use tokio::time::timeout;

/// Most entries that are kept; the kernel keeps 1024 unless told otherwise (`gc_thresh3`, arp(7)).
pub const MAX_NEIGHBOURS: usize = 65_536;
/// The kernel answers at once; an answer that got lost must not stop the agent.
const PATIENCE: Duration = Duration::from_secs(2);

/// Addresses by the hardware that answers for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeighbourTable {
    /// By interface, as its place in the configuration, and MAC address.
    entries: BTreeMap<(u32, [u8; 6]), BTreeSet<IpAddr>>,
    len: usize,
    overflow: u64,
}

impl NeighbourTable {
    /// Adds an entry; beyond [`MAX_NEIGHBOURS`] it is counted instead.
    pub fn add(&mut self, interface: u32, mac: [u8; 6], address: IpAddr) {
        if self.has(interface, mac, address) {
            return;
        }
        if self.len >= MAX_NEIGHBOURS {
            self.overflow += 1;
            return;
        }
        self.len += 1;
        self.entries.entry((interface, mac)).or_default().insert(address);
    }

    /// Whether that hardware answers for that address.
    pub fn has(&self, interface: u32, mac: [u8; 6], address: IpAddr) -> bool {
        self.entries.get(&(interface, mac)).is_some_and(|addresses| addresses.contains(&address))
    }

    /// Entries that found no room.
    pub const fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The same table by address.
    pub(super) fn holders(&self) -> BTreeMap<(u32, IpAddr), BTreeSet<[u8; 6]>> {
        let mut holders: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for ((interface, mac), addresses) in &self.entries {
            for address in addresses {
                holders.entry((*interface, *address)).or_default().insert(*mac);
            }
        }
        holders
    }
}

/// Reads the neighbour table of this network namespace, of the interfaces with these indices: an entry's interface is its place among
/// them. Blocks for an answer of the kernel; to be called outside of a runtime.
///
/// # Errors
/// The kernel does not answer.
pub fn read_neighbours(interfaces: &[u32]) -> Result<NeighbourTable> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let places = (0..).zip(interfaces).map(|(place, index)| (*index, vec![place])).collect();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().context("cannot open a netlink socket")?;
        tokio::spawn(connection);
        list_neighbours(&handle, &places).await
    })
}

/// The same over a connection that there is, of interfaces by index; each entry is of all the places that its index has.
///
/// # Errors
/// The kernel does not answer.
pub(crate) async fn list_neighbours(handle: &Handle, places: &BTreeMap<u32, Vec<u32>>) -> Result<NeighbourTable> {
    const WHAT: &str = "the kernel does not list its neighbours (rtnetlink)";
    let mut table = NeighbourTable::default();
    let mut messages = Box::pin(handle.neighbours().get().execute());
    loop {
        match timeout(PATIENCE, messages.try_next()).await {
            Ok(Ok(Some(message))) => table.take(&message, places),
            Ok(Ok(None)) => return Ok(table),
            Ok(Err(error)) => return Err(error).context(WHAT),
            Err(_) => bail!(WHAT),
        }
    }
}

impl NeighbourTable {
    fn take(&mut self, message: &NeighbourMessage, places: &BTreeMap<u32, Vec<u32>>) {
        // Who does not answer, or was not asked, has an entry as well.
        if matches!(message.header.state, NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::Noarp) {
            return;
        }
        let Some(places) = places.get(&message.header.ifindex) else { return };
        let (mut mac, mut address) = (None, None);
        for attribute in &message.attributes {
            #[expect(clippy::wildcard_enum_match_arm, reason = "of a dozen attributes these are of interest")]
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(&**bytes).ok(),
                NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::from(*v4)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::from(*v6)),
                _ => {}
            }
        }
        if let Some((mac, address)) = mac.zip(address) {
            places.iter().for_each(|place| self.add(*place, mac, address));
        }
    }
}
