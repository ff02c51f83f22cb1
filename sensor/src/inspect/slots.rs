//! The places of flows: a bounded number of them, found by key or by id, used again.

use std::collections::HashMap;

use super::{Flow, followed::Followed};

/// A flow that is, or was, followed. Later flows have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Default))]
pub struct FlowId {
    /// How many flows there were before: of 64 bits, so that none is ever given twice.
    generation: u64,
    slot: u32,
}

#[cfg(test)]
impl FlowId {
    /// That of some flow.
    pub(super) fn of(number: u32) -> Self {
        Self { generation: u64::from(number), slot: number }
    }
}

/// A place.
#[derive(Debug)]
struct Slot {
    id: FlowId,
    followed: Option<Followed>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    places: HashMap<Flow, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Flows that there were so far.
    flows: u64,
    /// Where the next sweep begins.
    next: usize,
}

impl Slots {
    /// Places for that many flows.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        Self { limit, places: HashMap::new(), slots: Vec::new(), free: Vec::new(), flows: 0, next: 0 }
    }

    /// Flows that have one.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The flow with these addresses and ports, in either order.
    pub(super) fn find(&self, flow: Flow) -> Option<FlowId> {
        self.places.get(&flow.key()).map(|slot| self.slots[*slot as usize].id)
    }

    /// That flow, unless it has ended.
    pub(super) fn get(&self, id: FlowId) -> Option<&Followed> {
        self.slots.get(id.slot as usize).filter(|slot| slot.id == id)?.followed.as_ref()
    }

    /// Likewise.
    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Followed> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.id == id)?.followed.as_mut()
    }

    /// Gives a flow a place that no other flow of the same key has, where there is one.
    pub(super) fn insert(&mut self, followed: Followed) -> Option<FlowId> {
        let key = followed.flow.key();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.limit => self.slots.len() as u32,
            None => return None,
        };
        let id = FlowId { generation: self.flows, slot };
        self.flows += 1;
        let taken = Slot { id, followed: Some(followed) };
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = taken,
            None => self.slots.push(taken),
        }
        self.places.insert(key, slot);
        Some(id)
    }

    /// Takes a flow from its place.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<Followed> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.id == id)?;
        let followed = slot.followed.take()?;
        self.free.push(id.slot);
        self.places.remove(&followed.flow.key());
        Some(followed)
    }

    /// Those of the flows in the next `count` places that `is` holds for, in order. Behind the last place comes the first.
    pub(super) fn sweep(&mut self, count: usize, mut is: impl FnMut(&mut Followed) -> bool) -> Vec<FlowId> {
        let start = self.next.min(self.slots.len());
        let end = self.slots.len().min(start.saturating_add(count));
        let around = start.min(count - (end - start));
        self.next = if end < self.slots.len() { end } else { around };
        let (first, last) = self.slots.split_at_mut(start);
        ids(first[..around].iter_mut().chain(&mut last[..end - start]), &mut is)
    }

    /// Places that there are, taken and free.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// All flows, in order.
    pub(super) fn ids(&mut self) -> Vec<FlowId> {
        ids(self.slots.iter_mut(), &mut |_: &mut Followed| true)
    }
}

fn ids<'a>(slots: impl Iterator<Item = &'a mut Slot>, is: &mut impl FnMut(&mut Followed) -> bool) -> Vec<FlowId> {
    let mut ids: Vec<FlowId> = slots.filter_map(|slot| is(slot.followed.as_mut()?).then_some(slot.id)).collect();
    ids.sort_unstable();
    ids
}
