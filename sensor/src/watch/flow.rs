//! A flow that is or was looked into: what it is, what programs know of that, and what it had that is to be told under that class.

use std::collections::BTreeSet;

use sensor_ebpf::{
    abi::{Counter, Kind, NetworkId},
    class::Class,
};

use super::{row::Billed, verdict};
use crate::inspect::{Flow, FlowId, Verdict};

/// What programs know of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: what they bill is undecided, and they tell of each payload.
    Nothing,
    /// That it is listened to for long.
    Long,
    /// What it is.
    Closed(Kind),
}

/// A flow.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The inspector's number of it.
    pub(super) id: FlowId,
    /// As the first packet had it that was looked at.
    pub(super) flow: Flow,
    /// Numbers of the networks of its source and its destination; 0: not watched.
    pub(super) networks: [u16; 2],
    /// What its bytes say.
    pub(super) found: Option<Verdict>,
    /// What a list says that one of its ends is on.
    pub(super) listed: Option<Class>,
    /// It is the sensor's own, on its way to a collector.
    pub(super) is_own: bool,
    /// What programs know.
    pub(super) known: Known,
    /// What it had that programs billed as undecided, and under what that is told by now.
    told: Vec<(Billed, Counter)>,
    told_as: Kind,
    /// The same that came since it was last told.
    untold: Vec<(Billed, Counter)>,
}

impl Tracked {
    pub(super) const fn new(id: FlowId, flow: Flow, networks: [u16; 2], listed: Option<Class>) -> Self {
        Self {
            id,
            flow,
            networks,
            found: None,
            listed,
            is_own: false,
            known: Known::Nothing,
            told: Vec::new(),
            told_as: Kind::UNDECIDED,
            untold: Vec::new(),
        }
    }

    /// What it is by now.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if self.is_own { Some(verdict::OWN) } else { verdict::joined(self.found, self.listed) }
    }

    /// What programs are to bill it as.
    pub(super) fn kind(&self) -> Kind {
        verdict::kind(self.verdict())
    }

    /// What it had in these networks is nothing of theirs any more.
    pub(super) fn forget(&mut self, networks: &BTreeSet<NetworkId>) {
        for had in [&mut self.told, &mut self.untold] {
            had.retain(|(billed, _)| !networks.contains(&billed.network));
        }
    }

    /// It had more that was billed as undecided.
    pub(super) fn add(&mut self, billed: Billed, more: &Counter) {
        add(&mut self.untold, billed, more);
    }

    /// Tells what moves from one kind to another, so that all it had is told as what it is.
    pub(super) fn settle(&mut self, mut each: impl FnMut(Billed, Kind, Kind, &Counter)) {
        let kind = self.kind();
        if kind != self.told_as {
            self.told.iter().for_each(|(billed, counter)| each(*billed, self.told_as, kind, counter));
            self.told_as = kind;
        }
        if kind == Kind::UNDECIDED {
            return;
        }
        for (billed, counter) in std::mem::take(&mut self.untold) {
            each(billed, Kind::UNDECIDED, kind, &counter);
            add(&mut self.told, billed, &counter);
        }
    }
}

/// Adds to what was had in the same rows.
pub(super) fn add(to: &mut Vec<(Billed, Counter)>, billed: Billed, more: &Counter) {
    match to.iter_mut().find(|(other, _)| *other == billed) {
        Some((_, counter)) => *counter = counter.sum(more),
        None => to.push((billed, *more)),
    }
}
