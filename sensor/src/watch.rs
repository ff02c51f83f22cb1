//! The agent's side of watched traffic: what programs tell of flows becomes verdicts that go back to them, and records. Pure but for the memory of the
//! programs, which is handed in.
//!
//! ```text
//! SAMPLES -> Inspector -> verdict -> FLOWS           programs bill what follows as what it is
//!                      \-> Sights                    addresses, services, who speaks what
//! OPEN -> Tracked -> moves \
//! BREAKDOWN ----------------> RowChange              what was billed before is told as what it was
//! ```

mod apart;
mod far;
mod flow;
mod found;
mod kept;
mod limits;
mod memory;
mod moves;
mod news;
mod row;
mod sample;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::Result;
use jiff::Timestamp;
use sensor_ebpf::abi::{Clock, Counter, FlowKey, Kind, NetworkId, Sample, why};

use self::{apart::Apart, flow::Tracked, moves::Moves};
pub use self::{
    far::FarChange,
    limits::Limits,
    memory::{Memory, Rows},
    news::Losses,
    row::{Billed, Breakdown, RowChange, RowId},
};
use crate::{
    config,
    inspect::{Flow, FlowId, Inspector, Listening, Verdict},
    lists::Lists,
    own::OwnTraffic,
    sights::Sights,
    summary::{EventRecord, Watched},
    upstream::{NeighbourTable, Upstreams},
};

/// Seconds after which a flow that goes on is told of once more.
const TOLD_AGAIN: u32 = 60;
/// Seconds that what a flow had is kept until there is a record of it: a connection of which only the middle is seen may be silent for long, but for
/// bare acknowledgements, of which there is none.
const ORPHAN_REST: u32 = 300;
/// The same where there are many: the record may still be on its way.
const CROWDED_REST: u32 = 5;
/// Unknown flows for which it is.
const MAX_ORPHANS: usize = 1 << 16;

/// Everything that is known of watched traffic.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    inspector: Inspector,
    sights: Sights,
    lists: Arc<Lists>,
    /// What of it is the sensor's own.
    own: Arc<OwnTraffic>,
    upstreams: Upstreams,
    /// Which neighbours answer for which addresses.
    addresses: NeighbourTable,
    /// What numbers of networks mean, or last meant.
    names: BTreeMap<NetworkId, Box<str>>,
    flows: HashMap<FlowKey, Tracked>,
    keys: HashMap<FlowId, FlowKey>,
    apart: Apart,
    /// What flows had that are not known yet, and since when.
    orphans: HashMap<FlowKey, (u32, Vec<(Billed, Counter)>)>,
    moves: Moves,
    /// Flows with something that is to be told.
    unsettled: BTreeSet<FlowKey>,
    unmoved: u64,
    clock: Clock,
    /// What an interval had that could not be told.
    untold: Watched,
    /// Losses that were told.
    told: Losses,
}

impl Watch {
    /// Of a history that begins.
    pub fn new(limits: &Limits) -> Self {
        Self::with(limits, Sights::new(limits.sights, limits.learn, limits.seed), Upstreams::default())
    }

    fn with(limits: &Limits, sights: Sights, upstreams: Upstreams) -> Self {
        Self {
            limits: *limits,
            inspector: Inspector::new(limits.inspect),
            sights,
            lists: Arc::default(),
            own: Arc::default(),
            upstreams,
            addresses: NeighbourTable::default(),
            names: BTreeMap::new(),
            flows: HashMap::new(),
            keys: HashMap::new(),
            apart: Apart::default(),
            orphans: HashMap::new(),
            moves: Moves::default(),
            unsettled: BTreeSet::new(),
            unmoved: 0,
            clock: Clock::default(),
            untold: Watched::default(),
            told: Losses::default(),
        }
    }

    /// Names the watched networks of the configuration in force, and says what to know of other ends and neighbours from now on.
    pub fn configure<N: AsRef<str>>(
        &mut self,
        networks: impl IntoIterator<Item = (NetworkId, N)>,
        lists: Arc<Lists>,
        upstreams: Upstreams,
    ) {
        let networks: Vec<(NetworkId, N)> = networks.into_iter().collect();
        let other: BTreeSet<NetworkId> =
            networks.iter().filter(|(id, name)| self.is_renamed(*id, name)).map(|(id, _)| *id).collect();
        if !other.is_empty() {
            // What flows had under a number that means another network now is told no more as theirs.
            self.flows.values_mut().for_each(|flow| flow.forget(&other));
            self.orphans.values_mut().for_each(|(_, had)| had.retain(|(billed, _)| !other.contains(&billed.network)));
        }
        self.names.extend(networks.iter().map(|(id, name)| (*id, name.as_ref().into())));
        self.sights.configure(networks);
        self.lists = lists;
        self.upstreams.configure(upstreams);
    }

    /// Firsts are no news for as long as that configuration says.
    pub fn learn_for(&mut self, report: &config::Report) {
        self.limits.learn = limits::learn(report);
        self.sights.learn_for(self.limits.learn);
    }

    /// See [`Limits::waiting_for_next_start`].
    pub fn waiting_for_next_start(&self, limits: &config::Limits) -> Vec<&'static str> {
        self.limits.waiting_for_next_start(limits)
    }

    /// Whether a number meant another network before.
    fn is_renamed(&self, network: NetworkId, name: &impl AsRef<str>) -> bool {
        self.names.get(&network).is_some_and(|before| **before != *name.as_ref())
    }

    /// Takes these conversations for the sensor's own from now on: they are billed as that, and nothing in them is a sight.
    pub fn leave_out(&mut self, own: Arc<OwnTraffic>) {
        self.own = own;
    }

    /// Forgets all flows, because they have other numbers from now on; what lives at watched addresses is known as before.
    pub fn renumber(&mut self) {
        self.inspector = Inspector::new(self.limits.inspect);
        self.flows.clear();
        self.keys.clear();
        self.apart = Apart::default();
        self.orphans.clear();
        self.moves = Moves::default();
        self.unsettled.clear();
        self.names.clear();
        self.clock = Clock::default();
    }

    /// Takes note of which neighbours answer for which addresses.
    pub fn meet(&mut self, addresses: NeighbourTable) {
        self.addresses = addresses;
    }

    /// Takes what undecided flows had so far for told: programs were at work before, and another agent may have told it.
    pub fn adopt(&mut self, memory: &impl Memory) {
        self.apart.adopt(memory);
    }

    /// Takes records, at most so many; how many there were.
    ///
    /// # Errors
    /// The memory cannot be read.
    pub fn take(&mut self, memory: &mut impl Memory, most: usize, at: Timestamp) -> Result<usize> {
        let mut verdicts = Vec::new();
        let taken = memory.samples(most, &mut |sample, payload| {
            self.sample(sample, payload, at, &mut verdicts);
            Ok(())
        })?;
        for (key, state) in verdicts {
            self.tell(memory, key, state);
        }
        Ok(taken)
    }

    /// The programs' clock shows another second: what flows had since the one before is read. The clock never goes back.
    pub fn second(&mut self, memory: &mut impl Memory, now: u32) {
        let Clock { now: before, since } = self.clock;
        if now <= before {
            return;
        }
        self.set_clock(memory, Clock { now, since: if now - since < TOLD_AGAIN { since } else { now } });
        self.read_apart(memory);
        let rest = if self.orphans.len() > MAX_ORPHANS / 2 { CROWDED_REST } else { ORPHAN_REST };
        self.orphans.retain(|_, (since, _)| now - *since < rest);
    }

    fn set_clock(&mut self, memory: &mut impl Memory, clock: Clock) {
        self.clock = clock;
        memory.set_clock(clock);
    }

    /// Ends flows of which nothing came for long.
    pub fn expire(&mut self, memory: &mut impl Memory, at: Timestamp) {
        for ended in self.inspector.expire(minute(at)) {
            self.end(memory, ended);
        }
    }

    /// Ends all flows, and says what each was.
    pub fn finish(&mut self, memory: &mut impl Memory) -> Vec<(Flow, Option<Verdict>)> {
        self.read_apart(memory);
        let ended = self.inspector.finish();
        ended.into_iter().filter_map(|ended| self.end(memory, ended)).collect()
    }

    /// Ends an interval at `at`: what changed in rows beyond what was `reported` of them, and what was seen.
    pub fn interval(&mut self, memory: &mut impl Memory, reported: &Breakdown, at: Timestamp) -> Watched {
        // In this order: what is read apart is in the rows by the time that they are read.
        self.read_apart(memory);
        for key in std::mem::take(&mut self.unsettled) {
            if let Some(flow) = self.flows.get_mut(&key) {
                flow.settle(|billed, from, to, counter| self.moves.add(billed, from, to, counter));
            }
        }
        let breakdown = Breakdown::read(memory);
        let rows = self.moves.take(breakdown.since(reported));
        let counterparts = breakdown.far_since(reported);
        let (upstreams, mut events) = self.name(&rows, at);
        events.extend(self.lost(at));
        let Watched { taken, events: earlier, .. } = std::mem::take(&mut self.untold);
        let taken = taken.and_then(self.sights.take(at));
        // What goes on is told of in each interval.
        self.set_clock(memory, Clock { since: self.clock.now, ..self.clock });
        Watched { rows, upstreams, counterparts, taken, events: [earlier, events].concat() }
    }

    /// Something happened that is to be told with the next interval.
    pub fn note(&mut self, event: EventRecord) {
        self.untold.events.push(event);
    }

    /// An interval could not be told: what is in it is told with the next one.
    pub fn put_back(&mut self, watched: Watched) {
        self.moves.put_back(&watched.rows);
        self.untold = watched;
    }

    /// How often something was told that is told once; what is learned at first is told as such, and does not count.
    pub fn firsts(&self) -> u64 {
        let sights = if self.sights.is_learning() { 0 } else { self.sights.firsts() };
        sights + self.upstreams.firsts()
    }

    /// What lives at watched addresses.
    pub fn sights(&self) -> &Sights {
        &self.sights
    }

    fn sample(&mut self, sample: &Sample, payload: &[u8], at: Timestamp, verdicts: &mut Vec<(FlowKey, Listening)>) {
        let key = FlowKey::new(sample.key);
        let packet = sample::packet(sample, payload);
        let is_own = self.own.has(&packet.flow);
        if sample.why & why::LOOK != 0
            && let Some(look) = self.inspector.look(&packet, minute(at))
        {
            let listed = || {
                let ends = [packet.flow.destination, packet.flow.source];
                ends.into_iter().find_map(|(address, port)| self.lists.find(address, port)).map(|(class, _)| class)
            };
            if self.flows.get(&key).is_none_or(|flow| flow.id != look.id) {
                let mut flow = Tracked::new(look.id, packet.flow, sample.networks, listed());
                if let Some((_, had)) = self.orphans.remove(&key) {
                    had.iter().for_each(|(billed, counter)| flow.add(*billed, counter));
                }
                if let Some(before) = self.flows.insert(key, flow) {
                    self.keys.remove(&before.id);
                }
                self.keys.insert(look.id, key);
                self.unsettled.insert(key);
            }
            self.find(key, look.verdict);
            if is_own {
                self.own(key);
            }
            verdicts.push((key, look.listening));
            let changed: Vec<_> = self.inspector.changed().collect();
            for (id, verdict) in changed {
                let Some(key) = self.keys.get(&id).copied() else { continue };
                self.find(key, Some(verdict));
                self.decide(key);
                verdicts.push((key, self.inspector.listening(id)));
            }
        }
        if is_own {
            return;
        }
        let verdict = match self.flows.get(&key) {
            Some(flow) => flow.verdict(),
            None => verdict::of_kind(Kind::from_number(sample.kind)),
        };
        sample::sightings(sample, &packet, verdict, at).for_each(|sighting| self.sights.see(&sighting));
    }

    fn read_apart(&mut self, memory: &mut impl Memory) {
        let now = self.clock.now;
        let Self { apart, flows, orphans, unsettled, unmoved, .. } = self;
        apart.read(memory, now, |key, billed, more| match flows.get_mut(&key) {
            Some(flow) => {
                flow.add(billed, &more);
                unsettled.insert(key);
            }
            None if orphans.len() < MAX_ORPHANS => {
                let (_, had) = orphans.entry(key).or_insert_with(|| (now, Vec::new()));
                flow::add(had, billed, &more);
            }
            None => *unmoved += 1,
        });
    }
}

/// The clock of inspection: minutes since 1970, as many as fit.
fn minute(at: Timestamp) -> u32 {
    u32::try_from(at.as_second() / 60).unwrap_or_default()
}
