//! What goes wrong, when, and for how long: a seed determines it.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sensor::testing::rng::Rng;

#[cfg(feature = "kafka")]
use crate::kafka::Trouble;
use crate::{server::Manner, site::Site};

/// How long a fault lasts, in milliseconds.
const HOLD_MS: (usize, usize) = (200, 3_000);
/// One that outlasts every deadline of exporters, which are 20 and 30 s, where there is time for some.
const LONG: Duration = Duration::from_secs(35);
const LONG_ONE_IN: usize = 12;
const TIME_FOR_LONG: Duration = Duration::from_secs(300);
/// Between two faults, in milliseconds.
const PAUSE_MS: (usize, usize) = (50, 1_200);
/// One fault in so many has the agent killed within it, too.
const WITH_KILL_ONE_IN: usize = 3;
/// How often somebody looks whether the agent has ended.
const LOOK: Duration = Duration::from_millis(200);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// kill -9.
    Kill,
    /// The disk of the sensor is full.
    DiskFull,
    /// It is read-only when the agent starts.
    DiskReadOnly,
    /// It fails under the agent, and what was not synced is lost.
    DiskFails,
    Ipfix(Manner),
    ClickHouse(Manner),
    #[cfg(feature = "kafka")]
    Kafka(Trouble),
}

const IPFIX: [Manner; 7] =
    [Manner::Gone, Manner::Frozen, Manner::Deaf, Manner::Unreachable, Manner::Slow, Manner::Garbage, Manner::Reset];
const CLICKHOUSE: [Manner; 9] = [
    Manner::Gone,
    Manner::Frozen,
    Manner::Deaf,
    Manner::Unreachable,
    Manner::Slow,
    Manner::Mute,
    Manner::Garbage,
    Manner::Reset,
    Manner::Refuse,
];

/// What was done.
#[derive(Default)]
pub(crate) struct Done {
    /// How often, and for how long, by name.
    pub(crate) faults: BTreeMap<String, (usize, Duration)>,
    /// When a collector hung and the agent was not killed.
    pub(crate) hangs: Vec<[Timestamp; 2]>,
}

impl Fault {
    /// All of them in a random order, those of the sensor itself several times.
    fn shuffled(rng: &mut Rng) -> Vec<Self> {
        let mut faults = [Self::Kill; 4].to_vec();
        faults.extend([Self::DiskFull, Self::DiskFull, Self::DiskReadOnly, Self::DiskFails, Self::DiskFails]);
        faults.extend(IPFIX.map(Self::Ipfix));
        faults.extend(CLICKHOUSE.map(Self::ClickHouse));
        #[cfg(feature = "kafka")]
        faults.extend([Trouble::OneGone, Trouble::AllGone, Trouble::Refuse].map(Self::Kafka));
        (1..faults.len()).for_each(|last| faults.swap(last, rng.below(last + 1)));
        faults
    }

    fn begin(self, site: &mut Site) {
        match self {
            Self::Kill => site.kill(),
            Self::DiskFull => site.disk.fill(),
            Self::DiskFails => site.disk.fail(),
            Self::DiskReadOnly => {
                site.kill();
                site.disk.remount("ro");
                site.start();
            }
            Self::Ipfix(manner) => site.ipfix.behave(manner),
            Self::ClickHouse(manner) => site.clickhouse.behave(manner),
            #[cfg(feature = "kafka")]
            Self::Kafka(trouble) => site.kafka.behave(trouble),
        }
    }

    fn end(self, site: &mut Site) {
        match self {
            Self::Kill => site.start(),
            Self::DiskFull => site.disk.free(),
            Self::DiskFails => {
                site.kill();
                site.disk.renew();
                site.start();
            }
            Self::DiskReadOnly => site.disk.remount("rw"),
            Self::Ipfix(_) | Self::ClickHouse(_) => site.heal(),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => site.heal(),
        }
    }

    /// Whether a collector keeps its exporter waiting.
    fn hangs(self) -> bool {
        let hangs = |manner| {
            matches!(manner, Manner::Frozen | Manner::Deaf | Manner::Unreachable | Manner::Slow | Manner::Mute)
        };
        match self {
            Self::Kill | Self::DiskFull | Self::DiskReadOnly | Self::DiskFails => false,
            Self::Ipfix(manner) | Self::ClickHouse(manner) => hangs(manner),
            #[cfg(feature = "kafka")]
            Self::Kafka(trouble) => trouble == Trouble::AllGone,
        }
    }

    /// How long it lasts.
    fn hold(self, rng: &mut Rng, limit: Duration) -> Duration {
        let short = Duration::from_millis(rng.between(HOLD_MS.0, HOLD_MS.1) as u64);
        if self == Self::Kill {
            // Most are there again at once.
            return short / 8;
        }
        let is_disk = matches!(self, Self::DiskFull | Self::DiskReadOnly | Self::DiskFails);
        if !is_disk && limit >= TIME_FOR_LONG && rng.one_in(LONG_ONE_IN) { LONG } else { short }
    }
}

/// Lets things go wrong for that long, one after the other; some of them while the agent is killed. In the end all is well, but for the agent, which may be
/// starting.
pub(crate) fn run(site: &mut Site, seed: u64, limit: Duration) -> Done {
    let (mut rng, mut done, began) = (Rng::new(seed), Done::default(), Instant::now());
    let mut faults = vec![];
    while began.elapsed() < limit {
        let fault = match faults.pop() {
            Some(fault) => fault,
            None => {
                faults = Fault::shuffled(&mut rng);
                continue;
            }
        };
        let hold = fault.hold(&mut rng, limit);
        let is_killed =
            !matches!(fault, Fault::Kill | Fault::DiskReadOnly | Fault::DiskFails) && rng.one_in(WITH_KILL_ONE_IN);
        let before = hold.mul_f64(rng.below(1000) as f64 / 1000.0);
        let name = if is_killed { format!("{fault:?}, and Kill") } else { format!("{fault:?}") };
        let from = Timestamp::now();
        println!("{from} {name}: {hold:?}");
        fault.begin(site);
        if is_killed {
            thread::sleep(before);
            site.kill();
            site.start();
            thread::sleep(hold - before);
        } else if fault == Fault::Kill {
            thread::sleep(hold);
        } else {
            let until = Instant::now() + hold;
            while Instant::now() < until {
                thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
                site.look_after();
            }
        }
        if fault.hangs() && !is_killed {
            done.hangs.push([from, Timestamp::now()]);
        }
        fault.end(site);
        let entry = done.faults.entry(name).or_default();
        *entry = (entry.0 + 1, entry.1 + hold);
        thread::sleep(Duration::from_millis(rng.between(PAUSE_MS.0, PAUSE_MS.1) as u64));
        site.look_after();
    }
    done
}
