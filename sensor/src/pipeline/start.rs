//! The beginning of a run: new counters, or those that were left.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    collector::{Collector, History, Reported},
    devices::Devices,
    durable::{Durable, Left},
    nic::Witness,
    ports::Ports,
    reload::change::{Change, Table, Wish},
    watching::{Watching, lists, watch},
};
use crate::{
    bpf::{InterfaceKind, Kernel, LabelPlan, NO_MANIFEST, Plan},
    collect::Meter,
    config::{self, Config, Interface, Mode, Role},
    epoch::Epoch,
    lists::Lists,
    own::OwnTraffic,
    prefix::{PrefixSet, Trie},
    summary::Summary,
    watch::{Breakdown, Watch},
};

/// Counts in maps of its own, which end with this process.
pub(super) async fn start(config: &Config, devices: &mut Devices) -> Result<Collector> {
    let lists = lists(config)?;
    let Table { set, trie, meanings, labels } = Wish::of(config, &lists)?.table()?;
    let mut kernel = Kernel::load_for(&plan(config, &set, (&trie, labels.as_ref()), &kinds(config)))?;
    let reported = Reported { counters: kernel.read()?, billed: Breakdown::default() };
    // Before the first packet: without clock and budget nothing is told of it.
    let watching = Watching::new(watch(config, None)?, config, &set, lists, kernel.maps())?;
    let mut ports = Ports::new(&config.interfaces, None);
    ports.load(&mut kernel)?;
    // Known before the first program bills: a packet may cross two interfaces while the others are being attached to.
    ports.foresee(&devices.now().await?, &mut kernel)?;
    let witness = ports.attach_all(&mut kernel, &BTreeSet::new())?;
    ports.follow(&devices.now().await?, Instant::now(), &mut kernel);
    ports.forward_logs(&mut kernel)?;
    ports.begin_interval(Instant::now());
    let history = History::begin(Epoch::draw()?, NO_MANIFEST, Some(reported));
    let sensor = config.sensor_id.to_string();
    Ok(Collector { sensor, set, meanings, kernel, ports, history, witness, watching })
}

/// Goes on with what an earlier run left: its records, its maps, its links. Where the configuration counts other prefixes, that is a
/// reload once everything that was counted before has its old name. What is the sensor's `own` traffic is no sight from the first record on.
pub(super) async fn resume(
    config: &Config,
    own: Arc<OwnTraffic>,
    durable: &mut Durable,
    devices: &mut Devices,
    backlog: &mut VecDeque<Summary>,
) -> Result<Collector> {
    let undelivered = durable.undelivered();
    let lists = lists(config)?;
    let wanted = Wish::of(config, &lists)?;
    let mut watch = watch(config, durable.known().as_deref())?;
    watch.leave_out(own);
    let Some((left, change)) = choose(durable.left(config)?, &wanted, config)? else {
        let mut collector = begin(config, wanted, (watch, lists), durable, devices).await?;
        collector.history.begin_now();
        backlog.extend(undelivered);
        durable.close_others(&collector.ports.link_pins(), backlog)?;
        return Ok(collector);
    };
    let mut collector = go_on(config, left, (watch, Arc::clone(&lists)), durable, devices).await?;
    backlog.extend(undelivered);
    durable.close_others(&collector.ports.link_pins(), backlog)?;
    if let Change::InPlace(table) = change {
        backlog.extend(collector.tick(Timestamp::now(), Some(durable))?);
        let manifest = collector.scribe(durable).write(config, &table.set, &table.meanings)?;
        durable.written(Some(manifest));
        collector.put_in_force(*table, manifest)?;
        collector.configure(config, lists);
        backlog.extend(collector.tick(Timestamp::now(), Some(durable))?);
        let generation = collector.kernel.maps().generation();
        tracing::info!(generation, "other prefixes, networks or counterparts than before: counted from here on");
    }
    Ok(collector)
}

/// The maps to go on with, and what there is to change in them: where there are several, those in which the least changes.
fn choose(left: Vec<Left>, wanted: &Wish, config: &Config) -> Result<Option<(Left, Change)>> {
    let mut chosen: Option<(Left, Change)> = None;
    for left in left {
        let path = left.directory.clone();
        match Change::between((&left.set, &left.meanings), &left.layout, wanted, config)? {
            Change::Unchanged => return Ok(Some((left, Change::Unchanged))),
            Change::NewMaps { why } => tracing::info!("{}: {why}", path.display()),
            change @ Change::InPlace(_) => chosen = chosen.or(Some((left, change))),
        }
    }
    Ok(chosen)
}

async fn go_on(
    config: &Config,
    left: Left,
    (watch, lists): (Watch, Arc<Lists>),
    durable: &mut Durable,
    devices: &mut Devices,
) -> Result<Collector> {
    let Left { directory, layout, set, meanings, history } = left;
    let mut kernel = Kernel::load_left(&directory, layout, &kinds(config))?;
    durable.count_in(history.epoch);
    tracing::info!(epoch = %history.epoch, since = %history.from, "counting on in the maps of an earlier run");
    let watching = Watching::new(watch, config, &set, lists, kernel.maps())?.go_on(history.from, kernel.maps())?;
    let mut ports = Ports::new(&config.interfaces, Some(Arc::clone(&durable.pins)));
    ports.load(&mut kernel)?;
    let now = devices.now().await?;
    ports.foresee(&now, &mut kernel)?;
    ports.follow(&devices.now().await?, Instant::now(), &mut kernel);
    ports.forward_logs(&mut kernel)?;
    ports.begin_after(Duration::try_from(Timestamp::now().duration_since(history.from)).unwrap_or_default());
    let sensor = config.sensor_id.to_string();
    Ok(Collector { sensor, set, meanings, kernel, ports, history, witness: Witness::default(), watching })
}

/// New maps, whatever others are there.
async fn begin(
    config: &Config,
    wanted: Wish,
    (watch, lists): (Watch, Arc<Lists>),
    durable: &mut Durable,
    devices: &mut Devices,
) -> Result<Collector> {
    durable.clear()?;
    let Table { set, trie, meanings, labels } = wanted.table()?;
    let kinds = kinds(config);
    let plan = plan(config, &set, (&trie, labels.as_ref()), &kinds);
    let mut fresh = durable.begin(&plan.layout()?)?;
    let manifest = fresh.scribe.write(config, &set, &meanings).inspect_err(|_| durable.discard_fresh())?;
    durable.written(Some(manifest));
    fresh.history.manifest = manifest;
    let mut kernel = Kernel::load_pinned(&fresh.directory, &plan, manifest)?;
    // From here on the maps are worth taking over; before that, nothing was attached.
    kernel.maps().identify(fresh.history.epoch)?;
    durable.count_in(fresh.history.epoch);
    let watching = Watching::new(watch, config, &set, lists, kernel.maps())?;
    let mut ports = Ports::new(&config.interfaces, Some(Arc::clone(&durable.pins)));
    ports.load(&mut kernel)?;
    // Known before the first program is swapped: what one set of maps saw coming in, another must not bill going out.
    ports.foresee(&devices.now().await?, &mut kernel)?;
    let witness = match ports.attach_all(&mut kernel, &BTreeSet::new()) {
        Ok(witness) => witness,
        Err(error) => {
            ports.undo();
            return Err(error);
        }
    };
    ports.follow(&devices.now().await?, Instant::now(), &mut kernel);
    ports.forward_logs(&mut kernel)?;
    ports.begin_interval(Instant::now());
    let sensor = config.sensor_id.to_string();
    Ok(Collector { sensor, set, meanings, kernel, ports, history: fresh.history, witness, watching })
}

/// What each interface is, in the order of the configuration.
pub(super) fn kinds(config: &Config) -> Vec<InterfaceKind> {
    let kind = |interface: &Interface| InterfaceKind {
        internal: interface.role == Role::Internal,
        tap: interface.mode == Mode::Mirror,
    };
    config.interfaces.iter().map(kind).collect()
}

/// What a configuration loads programs for.
pub(super) fn plan<'a>(
    config: &Config,
    set: &'a PrefixSet,
    (trie, labels): (&'a Trie, Option<&'a Trie>),
    interfaces: &'a [InterfaceKind],
) -> Plan<'a> {
    let config::Limits { flows, max_counterparts, .. } = config.limits;
    let labels = labels.map(|trie| LabelPlan { trie, rows: max_counterparts });
    Plan { set, trie, interfaces, flows, labels, memory: config.memory }
}
