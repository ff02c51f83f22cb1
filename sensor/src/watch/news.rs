//! What is told beside rows: neighbours by their names, and what could not be remembered.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Breakdown, RowChange, Watch};
use crate::{
    summary::{Event, EventRecord, Watched},
    upstream::{Neighbour, UpstreamEvent, UpstreamName},
};

/// What was not remembered, each with what it is: since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses(pub [(&'static str, u64); 14]);

impl Watch {
    /// The rows that were told of before, with all that was told, and what their neighbours are called now. Nothing is news by it.
    pub fn known(&self, reported: &Breakdown) -> Watched {
        let rows: Vec<RowChange> =
            reported.since(&Breakdown::default()).map(|(id, counted)| RowChange::counted(id, counted)).collect();
        let neighbours: BTreeSet<Neighbour> = rows.iter().filter_map(|row| row.id.billed.neighbour).collect();
        let name = |neighbour: Neighbour| (neighbour, self.upstreams.name(&neighbour, &self.addresses));
        Watched { upstreams: neighbours.into_iter().map(name).collect(), rows, ..Watched::default() }
    }

    /// What was not remembered, since the start.
    pub fn losses(&self) -> Losses {
        let sights = self.sights.losses();
        Losses([
            ("flows beyond those that are followed, packets of them", self.inspector.overflow()),
            ("flows given up for want of memory", self.inspector.given_up()),
            ("names forgotten before it was clear whether they are a tunnel", self.inspector.forgotten_names()),
            ("flows with traffic that stays under another class", self.unmoved),
            ("neighbours beyond those that are learned", self.upstreams.overflow()),
            ("addresses without room", sights.addresses),
            ("services without room", sights.services),
            ("services of addresses that have too many", sights.crowded_services),
            ("class hosts without room", sights.class_hosts),
            ("flows whose class says nothing of their service", sights.votes),
            ("events beyond those of their interval", sights.events),
            ("addresses, services and class hosts forgotten after long silence", sights.forgotten),
            ("flows that count again where they go on", sights.forgotten_flows),
            ("packets of networks without a name", sights.unnamed),
        ])
    }

    /// What was lost since that was last told.
    pub(super) fn lost(&mut self, at: Timestamp) -> Vec<EventRecord> {
        let now = self.losses();
        let told = std::mem::replace(&mut self.told, now);
        let event = |((what, now), (_, told)): (&(&str, u64), &(&str, u64))| {
            let count = now.saturating_sub(*told);
            let event = Event::Loss { what: (*what).to_owned(), count };
            (count > 0).then_some(EventRecord { network: None, at, event })
        };
        now.0.iter().zip(&told.0).filter_map(event).collect()
    }

    /// What the neighbours in rows are called, and what is news of them.
    pub(super) fn name(
        &mut self,
        rows: &[RowChange],
        at: Timestamp,
    ) -> (Vec<(Neighbour, UpstreamName)>, Vec<EventRecord>) {
        let neighbours: BTreeSet<Neighbour> = rows.iter().filter_map(|row| row.id.billed.neighbour).collect();
        let mut names = Vec::new();
        for neighbour in neighbours {
            if neighbour.mac != [0; 6] {
                self.upstreams.see(&neighbour, &self.addresses);
            }
            names.push((neighbour, self.upstreams.name(&neighbour, &self.addresses)));
        }
        let event = |event| EventRecord { network: None, at, event: upstream_event(event) };
        (names, self.upstreams.changes(&self.addresses).into_iter().map(event).collect())
    }
}

fn upstream_event(event: UpstreamEvent) -> Event {
    match event {
        UpstreamEvent::New { neighbour, name } => {
            Event::UpstreamNew { upstream: name.name.to_string(), mac: neighbour.mac, vlan: neighbour.vlan }
        }
        UpstreamEvent::MacChanged { address, before, now, .. } => Event::UpstreamMacChanged { address, before, now },
    }
}
