//! Against a model that keeps every packet and counts anew.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use proptest::{prelude::*, sample::select};

use super::*;
use crate::cidr::Cidr;

const WATCHED: [&str; 5] = ["10.0.0.1", "10.0.0.200", "10.0.1.1", "2001:db8::1", "2001:db8::2"];
const FAR: [&str; 3] = ["198.51.100.1", "198.51.100.2", "2001:db8:ffff::1"];
const FLAGS: [u8; 5] = [SYN, SYN | ACK, ACK, RST | ACK, RST | SYN | ACK];

/// Network, watched end, far end, protocol.
type Key = (u32, (IpAddr, u16), (IpAddr, u16), u8);

#[derive(Clone, Debug)]
enum Step {
    Packet(Key, Direction, u8),
    Decide(Key, Verdict),
    Take,
    Restart,
}

/// What the program knows of a flow.
#[derive(Clone, Copy, Default)]
struct Heard {
    ways: [bool; 2],
    opened_by_watched: bool,
    verdict: Option<Verdict>,
}

/// Everything that was seen, and the number of the interval.
#[derive(Default)]
struct Model {
    flows: HashMap<Key, Heard>,
    seen: Vec<(u32, Sighting)>,
    spoken: BTreeSet<(u32, u32, Class, Evidence, IpAddr)>,
    interval: u32,
    /// Flows that were seen since the last restart: a decision says nothing of others before they are seen again.
    remembered: BTreeSet<Key>,
}

fn key() -> impl Strategy<Value = Key> {
    let watched = (select(&WATCHED[..]), select(&[0_u16, 53, 443][..]));
    let far = (select(&FAR[..]), select(&[0_u16, 5000][..]));
    let address = |(address, port): (&str, u16)| (ip(address), port);
    (1_u32..3, watched, far, select(&[TCP, TCP, UDP, UDP, 1][..]))
        .prop_map(move |(network, watched, far, protocol)| (network, address(watched), address(far), protocol))
}

fn step() -> impl Strategy<Value = Step> {
    let classes = [Class::Tor, Class::Ssh, Class::Tls, Class::Http, Class::Unknown];
    let verdict = (select(classes.to_vec()), select(Evidence::ALL.to_vec()));
    prop_oneof![
        12 => (key(), select(Direction::ALL.to_vec()), select(FLAGS.to_vec())).prop_map(|(key, way, flags)| Step::Packet(key, way, flags)),
        4 => (key(), verdict).prop_map(|(key, (class, evidence))| Step::Decide(key, Verdict { class, evidence })),
        1 => Just(Step::Take),
        1 => Just(Step::Restart),
    ]
}

/// The /24 or /64.
fn prefix(address: IpAddr) -> Cidr {
    Cidr::masked(address, if address.is_ipv4() { 24 } else { 64 }).unwrap()
}

impl Model {
    fn packet(&mut self, key: Key, direction: Direction, flags: u8, at: Timestamp) -> Sighting {
        let flow = self
            .flows
            .entry(key)
            .or_insert(Heard { opened_by_watched: direction == Direction::Out, ..Heard::default() });
        flow.ways[direction as usize] = true;
        let (network, watched, far, protocol) = key;
        let sighting = Sighting {
            network: id(network),
            watched,
            far,
            protocol,
            direction,
            two_way: flow.ways == [true; 2],
            opened_by_watched: flow.opened_by_watched,
            tcp_flags: (protocol == TCP).then_some(flags),
            payload_len: 0,
            verdict: flow.verdict,
            at,
        };
        self.seen.push((self.interval, sighting));
        self.remembered.insert(key);
        self.speak(key);
        sighting
    }

    fn decide(&mut self, key: Key, verdict: Verdict) {
        if let Some(flow) = self.flows.get_mut(&key).filter(|_| verdict.class != Class::Unknown) {
            flow.verdict = Some(verdict);
            if self.remembered.contains(&key) {
                self.speak(key);
            }
        }
    }

    fn speak(&mut self, key: Key) {
        let flow = self.flows[&key];
        if let Some(Verdict { class, evidence }) = flow.verdict.filter(|_| flow.ways == [true; 2])
            && class.is_suspicious()
        {
            self.spoken.insert((self.interval, key.0, class, evidence, key.1.0));
        }
    }

    /// Addresses that were active in an interval of which that holds.
    fn active(&self, network: u32, is: impl Fn(u32) -> bool) -> BTreeSet<IpAddr> {
        let seen =
            self.seen.iter().filter(|(interval, seen)| is(*interval) && seen.two_way && seen.network == id(network));
        seen.map(|(_, seen)| seen.watched.0).collect()
    }

    #[expect(clippy::type_complexity, reason = "a row of a model, compared whole")]
    fn hosts(&self, network: u32) -> (Vec<IpAddr>, Vec<Cidr>, Vec<IpAddr>, Vec<Cidr>, [u64; 3]) {
        let now = self.active(network, |interval| interval == self.interval);
        let before = self.active(network, |interval| interval < self.interval);
        let new: BTreeSet<IpAddr> = now.difference(&before).copied().collect();
        let prefixes =
            |addresses: &BTreeSet<IpAddr>| addresses.iter().map(|address| prefix(*address)).collect::<BTreeSet<_>>();
        let v4 = |addresses: &BTreeSet<IpAddr>| addresses.iter().copied().filter(IpAddr::is_ipv4).collect();
        let wide = prefixes(&now).into_iter().filter(|prefix| !prefix.is_v4()).collect();
        let lit = prefixes(&now).difference(&prefixes(&before)).copied().collect();
        // Ways of flows of the interval: both, and whether something was acknowledged.
        let mut ways: BTreeMap<_, ([bool; 2], bool)> = BTreeMap::new();
        for (_, seen) in
            self.seen.iter().filter(|(interval, seen)| *interval == self.interval && seen.network == id(network))
        {
            let way = ways.entry((seen.watched, seen.far, seen.protocol)).or_default();
            way.0[seen.direction as usize] = true;
            way.0 = if seen.two_way { [true; 2] } else { way.0 };
            way.1 |= seen.tcp_flags == Some(ACK);
        }
        let count = |is: fn(&([bool; 2], bool)) -> bool| ways.values().filter(|way| is(way)).count() as u64;
        let ways = [count(|_| true), count(|way| way.0 != [true; 2]), count(|way| way.0 != [true; 2] && way.1)];
        (v4(&now), wide, v4(&new), lit, ways)
    }

    /// Services that answered in the interval: address, port, protocol, class, first, last, answers, clients.
    /// All services that answered up to now.
    fn services(&self, network: u32) -> Vec<Answered> {
        #[derive(Default)]
        struct Known {
            times: Vec<(u32, Timestamp)>,
            flows: BTreeSet<(IpAddr, u16)>,
        }
        let mut known: BTreeMap<(IpAddr, u16, u8), Known> = BTreeMap::new();
        for (interval, seen) in self.seen.iter().filter(|(_, seen)| seen.network == id(network)) {
            let key = (seen.watched.0, seen.watched.1, seen.protocol);
            let is_from_outside = seen.two_way && !seen.opened_by_watched && seen.watched.1 != 0 && seen.far.1 != 0;
            if !is_from_outside || seen.direction == Direction::In {
                continue;
            }
            let is_answer = seen.protocol == UDP || seen.tcp_flags == Some(SYN | ACK);
            if is_answer {
                known.entry(key).or_default().flows.insert(seen.far);
            }
            let is_reset = seen.tcp_flags.is_some_and(|flags| flags & RST != 0);
            if let Some(known) = known.get_mut(&key).filter(|_| !is_reset) {
                known.times.push((*interval, seen.at));
            }
        }
        let mut services = Vec::new();
        for ((address, port, protocol), known) in known {
            let (interval, last) = known.times[known.times.len() - 1];
            let mut votes: BTreeMap<(Evidence, Class), u32> = BTreeMap::new();
            for far in &known.flows {
                if let Some(verdict) = self.flows[&(network, (address, port), *far, protocol)].verdict {
                    *votes.entry((verdict.evidence, verdict.class)).or_default() += 1;
                }
            }
            let best = votes.into_iter().max_by_key(|((evidence, class), flows)| (*evidence, *flows, Reverse(*class)));
            let verdict = best.map(|((evidence, class), _)| Verdict { class, evidence });
            let clients: BTreeSet<IpAddr> = known.flows.iter().map(|far| far.0).collect();
            let (first, answers) = (known.times[0].1, known.flows.len() as u64);
            let (key, clients) = ((address, port, protocol), clients.len() as u64);
            services.push(Answered { key, verdict, interval, first, last, answers, clients });
        }
        services
    }

    fn class_hosts(&self, network: u32) -> Vec<(Class, Evidence, IpAddr, u64)> {
        let mut rows: BTreeMap<(Class, Evidence, IpAddr), u64> = BTreeMap::new();
        for (key, flow) in self.flows.iter().filter(|(key, flow)| key.0 == network && flow.ways == [true; 2]) {
            if let Some(Verdict { class, evidence }) = flow.verdict {
                *rows.entry((class, evidence, key.1.0)).or_default() += 1;
            }
        }
        let is_spoken = |(class, evidence, address): &_| {
            self.spoken.contains(&(self.interval, network, *class, *evidence, *address))
        };
        rows.into_iter()
            .filter(|(row, _)| is_spoken(row))
            .map(|((class, evidence, address), flows)| (class, evidence, address, flows))
            .collect()
    }

    /// Classes that a network speaks surely, and when it did first.
    fn classes(&self, network: u32) -> BTreeMap<Class, u32> {
        let mut classes = BTreeMap::new();
        for (interval, _, class, ..) in
            self.spoken.iter().filter(|(_, of, _, sure, _)| *of == network && *sure > Evidence::Port)
        {
            classes.entry(*class).or_insert(*interval);
        }
        classes
    }
}

/// `counts`: flows were not forgotten by a restart, which lets them count again.
/// A service: what its flows are, and in which interval it answered last.
struct Answered {
    key: (IpAddr, u16, u8),
    verdict: Option<Verdict>,
    interval: u32,
    first: Timestamp,
    last: Timestamp,
    answers: u64,
    clients: u64,
}

/// What was told last of each service of a network.
type Told = BTreeMap<(u32, (IpAddr, u16, u8)), (Class, Option<Evidence>)>;

fn compare(taken: &Taken, model: &Model, last_told: &mut Told, counts: bool) -> Result<(), TestCaseError> {
    for (network, name) in [(1, "a"), (2, "b")] {
        let (active, active_prefixes, newly_lit, newly_lit_prefixes, ways) = model.hosts(network);
        let host = taken.hosts.iter().find(|host| &*host.network == name);
        prop_assert_eq!(host.is_some(), ways[0] > 0);
        if let Some(host) = host {
            prop_assert_eq!(host.active.iter().map(IpAddr::V4).collect::<Vec<_>>(), active);
            prop_assert_eq!(&host.active_prefixes, &active_prefixes);
            prop_assert_eq!(host.newly_lit.iter().map(IpAddr::V4).collect::<Vec<_>>(), newly_lit.clone());
            prop_assert_eq!(&host.newly_lit_prefixes, &newly_lit_prefixes);
            prop_assert_eq!([host.flows, host.one_way_flows, host.asymmetric_flows], ways);
            prop_assert!(!host.incomplete && !host.initial);
        }
        let mut found: BTreeMap<_, _> = taken
            .services
            .iter()
            .filter(|service| &*service.network == name)
            .map(|service| ((service.address, service.port, service.protocol), service))
            .collect();
        let mut born = BTreeSet::new();
        for Answered { key, verdict, interval, first, last, answers, clients } in model.services(network) {
            let found = found.remove(&key);
            prop_assert!(interval != model.interval || found.is_some(), "{:?} answered", key);
            if let Some(found) = found {
                prop_assert_eq!((found.first, found.last, found.clients, found.new), (first, last, clients, true));
                prop_assert!(!counts || found.answers == answers);
                prop_assert_eq!(found.family, found.class.family());
                last_told.insert((network, key), (found.class, found.evidence));
            }
            // A verdict may come after the interval in which it answered last.
            let known = (verdict.map_or(Class::Unknown, |verdict| verdict.class), verdict.map(|it| it.evidence));
            prop_assert!(!counts || last_told[&(network, key)] == known, "{:?} is {:?}", key, known);
            if model.seen.iter().find(|(_, seen)| seen.at == first).unwrap().0 == model.interval {
                born.insert(key);
            }
        }
        prop_assert!(found.is_empty(), "{:?}", found);
        if counts {
            let rows: Vec<_> = taken.class_hosts.iter().filter(|row| &*row.network == name).collect();
            let rows: Vec<_> = rows.iter().map(|row| (row.class, row.evidence, row.address, row.flows)).collect();
            prop_assert_eq!(rows, model.class_hosts(network));
        }
        let mut told = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for record in taken.events.iter().filter(|record| record.network.as_deref() == Some(name)) {
            let is_once = match record.event {
                Event::NewlyLit { address } => told.0.insert(address),
                Event::NewlyLitPrefix { prefix } => told.1.insert(prefix),
                Event::ServiceBorn { address, port, protocol, .. } => told.2.insert((address, port, protocol)),
                Event::ClassSeen { class, .. } => told.3.insert(class),
                Event::UpstreamNew { .. }
                | Event::UpstreamMacChanged { .. }
                | Event::Loss { .. }
                | Event::Surge(_)
                | Event::Collapse(_)
                | Event::UpstreamShift { .. }
                | Event::SensorBlind { .. } => false,
            };
            prop_assert!(is_once, "{:?}", record);
        }
        let classes = model.classes(network).into_iter().filter(|(_, interval)| *interval == model.interval);
        let expected = (
            newly_lit.into_iter().collect(),
            newly_lit_prefixes.into_iter().collect(),
            born,
            classes.map(|(class, _)| class).collect(),
        );
        prop_assert_eq!(told, expected);
    }
    Ok(())
}

fn run(steps: Vec<Step>, restarts: bool) -> Result<(), TestCaseError> {
    let configured = || [(id(1), "a"), (id(2), "b")];
    let learn = Some(SignedDuration::ZERO);
    let (mut sights, mut model) = (Sights::new(Limits::default(), learn, 7), Model::default());
    sights.configure(configured());
    let mut told = Told::new();
    for (second, step) in (0..).zip(steps.into_iter().chain([Step::Take])) {
        match step {
            Step::Packet(key, direction, flags) => sights.see(&model.packet(key, direction, flags, at(second))),
            Step::Decide(key, verdict) => {
                model.decide(key, verdict);
                sights.decide(id(key.0), key.1, key.2, key.3, verdict);
            }
            // An interval is closed before its history is kept.
            Step::Take | Step::Restart => {
                compare(&sights.take(at(second)), &model, &mut told, !restarts)?;
                model.interval += 1;
                if restarts && matches!(step, Step::Restart) {
                    sights = Sights::restore(Limits::default(), learn, &sights.snapshot()).unwrap();
                    sights.configure(configured());
                    model.remembered.clear();
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn everything_is_as_if_all_packets_were_kept(steps in proptest::collection::vec(step(), 0..300), restarts: bool) {
        run(steps, restarts)?;
    }
}
