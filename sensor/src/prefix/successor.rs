//! The set of another configuration, in which everything that means the same keeps its id.

use sensor_ebpf::abi::{MAX_NETWORKS, PrefixId};
use thiserror::Error;

use super::{
    PrefixSet,
    set::{Retired, Slot, place},
};

/// Committed exports after which a retired id may mean something else: the first may still have been collecting when the table
/// changed, the second has nothing of it left.
pub const EXPORTS_BEFORE_REUSE: u64 = 2;

/// A set that does not fit into the maps that were made for an earlier one: new maps are needed, and with them a set of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Outgrown {
    /// More ids than the counters have rows for.
    #[error(
        "{live} prefixes and {retired} that are not exported yet outgrow maps made for {room}; new maps are needed"
    )]
    Prefixes {
        /// Prefixes wanted.
        live: usize,
        /// Ids that keep their meaning until their counts are exported.
        retired: usize,
        /// Ids in the maps.
        room: u32,
    },
    /// More names than there are numbers.
    #[error(
        "{networks} networks, those that are not exported yet included, are more than {MAX_NETWORKS}; new maps are needed"
    )]
    Networks {
        /// Networks wanted, and those that retired ids bill.
        networks: usize,
    },
}

impl PrefixSet {
    /// The set of another configuration, for maps whose ids are below `capacity`; `wanted` is what [`SetBuilder`](super::SetBuilder)
    /// made of it, and its own ids do not matter.
    ///
    /// A prefix that means what it meant keeps its id, or gets it back where it was retired; any other gets a free one. What is not
    /// wanted any more is retired. Networks keep their number by name, as long as something in the table or retired bills them.
    ///
    /// # Errors
    /// There are not enough ids or numbers of networks.
    pub fn successor(&self, wanted: &Self, capacity: u32) -> Result<Self, Outgrown> {
        let numbers = self.numbers_of(wanted);
        let Merged { ids, dropped, revived } = self.merge(wanted, &numbers);
        let mut next = Self { live: Vec::new(), ..self.clone() };
        next.retired.retain(|retired| {
            let due = self.exports - retired.since >= EXPORTS_BEFORE_REUSE;
            let back = revived[place(retired.id)];
            if due && !back {
                next.slots[place(retired.id)] = None;
            }
            !due && !back
        });
        next.retired.extend(dropped.into_iter().map(|id| Retired { id, since: self.exports }));
        next.drop_vacant_end();
        let retired = next.retired.len();
        if ids.len() + retired >= capacity as usize || next.highest_id() >= capacity {
            return Err(Outgrown::Prefixes { live: ids.len(), retired, room: capacity.saturating_sub(1) });
        }
        let numbers = next.number_networks(wanted)?;
        next.place(wanted, &ids, &numbers);
        Ok(next)
    }

    /// Which id each wanted prefix has already, in the order of addresses.
    fn merge(&self, wanted: &Self, numbers: &[Option<u16>]) -> Merged {
        let mut merged = Merged {
            ids: Vec::with_capacity(wanted.live.len()),
            dropped: Vec::new(),
            revived: vec![false; self.slots.len()],
        };
        let mut retired: Vec<(Slot, PrefixId)> = self.retired().filter_map(|id| Some((*self.slot(id)?, id))).collect();
        retired.sort_by_key(|(slot, _)| slot.cidr);
        let mut retired = &retired[..];
        let mut here = self.live.iter().copied().filter_map(|id| Some((self.slot(id)?, id))).peekable();
        for new in wanted.live.iter().filter_map(|id| wanted.slot(*id)) {
            while let Some((_, id)) = here.next_if(|(old, _)| old.cidr < new.cidr) {
                merged.dropped.push(id);
            }
            retired = &retired[retired.partition_point(|(old, _)| old.cidr < new.cidr)..];
            // What bills a network that has no number here yet cannot have been counted before.
            let meaning = new.translated(numbers);
            let mut id = None;
            if let Some((old, old_id)) = here.next_if(|(old, _)| old.cidr == new.cidr) {
                if meaning.is_some_and(|new| new.same(old)) {
                    id = Some(old_id);
                } else {
                    merged.dropped.push(old_id);
                }
            }
            if let (None, Some(new)) = (id, meaning) {
                let of_this_prefix = retired.iter().take_while(|(old, _)| old.cidr == new.cidr);
                id = of_this_prefix.filter(|(old, _)| old.same(&new)).map(|(_, id)| *id).next();
                if let Some(id) = id {
                    merged.revived[place(id)] = true;
                }
            }
            merged.ids.push(id);
        }
        merged.dropped.extend(here.map(|(_, id)| id));
        merged
    }

    /// Keeps the numbers of networks that are wanted or that retired ids bill, and gives the others out anew. Returns the number here
    /// for each number in `wanted`.
    fn number_networks(&mut self, wanted: &Self) -> Result<Vec<Option<u16>>, Outgrown> {
        let mut used = [false; MAX_NETWORKS as usize + 1];
        for slot in self.retired.iter().filter_map(|retired| self.slot(retired.id)) {
            used[usize::from(slot.watched)] = true;
            used[usize::from(slot.network)] = true;
        }
        for number in self.numbers_of(wanted).into_iter().flatten() {
            used[usize::from(number)] = true;
        }
        self.networks.retain(|network| used[network.get() as usize]);
        for (_, name) in wanted.networks() {
            if self.networks.find_or_add(name).is_none() {
                let new = wanted.networks().filter(|(_, name)| self.networks.find(name).is_none()).count();
                return Err(Outgrown::Networks { networks: self.networks().count() + new });
            }
        }
        Ok(self.numbers_of(wanted))
    }

    /// Puts every wanted prefix under its id, or where it has none under the lowest free one.
    fn place(&mut self, wanted: &Self, ids: &[Option<PrefixId>], numbers: &[Option<u16>]) {
        let mut free = 0;
        for (id, new) in ids.iter().zip(wanted.live.iter().filter_map(|id| wanted.slot(*id))) {
            let id = id.or_else(|| {
                while self.slots.get(free).is_some_and(Option::is_some) {
                    free += 1;
                }
                if free == self.slots.len() {
                    self.slots.push(None);
                }
                self.slots[free] = new.translated(numbers);
                PrefixId::new(free as u32 + 1)
            });
            self.live.extend(id);
        }
    }

    fn drop_vacant_end(&mut self) {
        let end = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.slots.truncate(end);
    }
}

/// What of a configuration is known already.
struct Merged {
    /// For each wanted prefix.
    ids: Vec<Option<PrefixId>>,
    /// Ids in the table that nothing wanted means.
    dropped: Vec<PrefixId>,
    /// For each slot whether its id was retired and is wanted again.
    revived: Vec<bool>,
}

#[cfg(test)]
mod tests;
