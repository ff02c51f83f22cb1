//! Archives of flows on their way into a store, as a past of what sensors count.
//!
//! An archive is read three times: for its epoch, to see whether it can be taken at all, and to be added, in batches that depend on nothing but its bytes. A
//! batch is in the store together with the number that it has, so that what was cut off goes on where it ended.

use std::{num::NonZeroU32, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;

use super::{
    MICROSECONDS, Source, Store,
    cover::Cover,
    read::{self, Other},
    rows::Zones,
    sums::Sums,
    table, unwritable, write,
};
use crate::{
    config::{Config, Network},
    counterpart::Counterparts,
    epoch::{Epoch, EpochHasher},
    flows::{Flow, Judge, Read, Reading, Tally},
    lists::Lists,
    pipeline::prefix_set,
    replay,
    study::{Method, QUARTER, SILENCE},
    table_file,
};

/// How much goes into one commit: a flow counts once, and once more for each quarter of an hour that it lasts.
const BATCH: i64 = 100_000;
/// Two sources may share so much time, in microseconds: collectors write a flow down when it ends, so that the first flows of a file began in the time of the
/// file before.
const SEAM: i64 = 3600 * MICROSECONDS;
/// More bytes than that, an exbibyte, no network exchanged: sums stay far from what a number holds.
const MAX_BYTES: u128 = 1 << 60;

/// Archives that are to become a past.
pub struct Past {
    sensor: String,
    sampling: NonZeroU32,
    is_scaled: bool,
    beside: bool,
    reading: Reading,
    judge: Judge,
    networks: Vec<Network>,
    epoch: Epoch,
    archives: Vec<replay::Source>,
    /// See [`BATCH`].
    pub(super) batch: i64,
}

/// What archives are, where they do not say it.
#[derive(Clone, Debug)]
pub struct Nature<'a> {
    /// The sensor that they are kept as.
    pub sensor: &'a str,
    /// Of how many packets routers saw one.
    pub sampling: NonZeroU32,
    /// Whether the collector multiplied counts by that.
    pub is_scaled: bool,
    /// Whether sensors that counted in the same time saw other traffic.
    pub beside: bool,
    /// How they are read.
    pub reading: Reading,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What was read.
    pub tally: Tally,
    /// Flows that were not in the store before.
    pub new: u64,
    /// The first and the last second of all flows, where there are some.
    pub time: Option<(i64, i64)>,
}

/// What was found before anything is written.
struct Survey {
    tally: Tally,
    cover: Cover,
}

impl Past {
    /// Opens archives, and what a configuration says of the traffic in them: networks, tables, lists, far ends and upstreams, as a replay does.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(files: &[impl AsRef<Path>], config: &Config, nature: Nature<'_>) -> Result<Self> {
        let Nature { sensor, sampling, is_scaled, beside, reading } = nature;
        let lists = Arc::new(Lists::read(&config.lists)?);
        let counterparts = Counterparts::of(config, &lists)?;
        let set = prefix_set(config)?;
        if config.networks.is_empty() {
            bail!("the configuration watches no network; add a [[network]] that the flows are of");
        }
        let mut hasher = EpochHasher::new(sensor, None, &set);
        if let Some(counterparts) = &counterparts {
            hasher.counterparts(&counterparts.content);
        }
        let zones: Vec<String> = config.networks.iter().map(|network| format!("{:?}", network.timezone)).collect();
        let settings = format!(
            "flows {:?} {:?} {sampling} {is_scaled} {BATCH} {zones:?} {:?}",
            reading.format, reading.zone, config.upstreams
        );
        hasher.archive(&[settings.as_bytes()]);
        let mut archives = Vec::new();
        for file in files {
            let archive = replay::Source::open(file.as_ref())?;
            let name = archive.name().display().to_string();
            hasher.capture(archive.bytes()?).with_context(|| format!("cannot read {name}"))?;
            archives.push(archive);
        }
        let judge = Judge::new(set, lists, counterparts, config.upstreams.clone())?;
        let (sensor, networks, epoch) = (sensor.to_owned(), config.networks.clone(), hasher.finish());
        Ok(Self { sensor, sampling, is_scaled, beside, reading, judge, networks, epoch, archives, batch: BATCH })
    }

    /// By what its counts are multiplied.
    fn scale(&self, flow: &Flow) -> u64 {
        if self.is_scaled || flow.is_scaled { 1 } else { self.sampling.get().into() }
    }

    /// Hands over all records of all archives.
    fn records(&self, each: &mut dyn FnMut(&Path, Read) -> Result<()>) -> Result<()> {
        for archive in &self.archives {
            let name = archive.name();
            let mut reader = table_file::text(name, archive.bytes()?)?;
            self.reading
                .records(&mut *reader, &mut |read| each(name, read))
                .with_context(|| name.display().to_string())?;
        }
        Ok(())
    }

    /// Whether it can be taken.
    fn survey(&self) -> Result<Survey> {
        let (mut tally, mut cover, mut bytes) = (Tally::default(), silent(), 0_u128);
        self.records(&mut |name, read| {
            tally.take(name, &read);
            if let Ok(flow) = &read.flow {
                if flow.is_scaled && self.sampling.get() == 1 {
                    bail!(
                        "line {}: this flow was made of sampled packets; say with --sampling of how many packets routers saw one",
                        read.line
                    );
                }
                cover.add(flow.first, flow.last + 1);
                let all = u128::from(flow.counts.bytes) + u128::from(flow.back.bytes);
                bytes += all * u128::from(self.scale(flow));
                if bytes > MAX_BYTES {
                    bail!(
                        "line {}: up to here flows have more than {MAX_BYTES} bytes, which no network exchanges; see to --sampling, and export again",
                        read.line
                    );
                }
            }
            Ok(())
        })?;
        tally.check()?;
        Ok(Survey { tally, cover })
    }
}

fn silent() -> Cover {
    Cover::new(SILENCE.as_secs().cast_signed())
}

impl Store {
    /// Adds archives as a past. What was added before is passed over.
    ///
    /// # Errors
    /// They cannot be read, too much of them is damaged, or the store has something else of the same time: then it is what it was. Or the disk takes nothing.
    pub fn import_flows(&mut self, past: &Past) -> Result<Imported> {
        self.commit()?;
        let Survey { mut tally, cover } = past.survey()?;
        if tally.flows == 0 {
            return Ok(Imported { tally, ..Imported::default() });
        }
        self.make_room(past, &cover)?;
        let epoch = past.epoch.to_string();
        let method = Method::Flows(past.sampling.get());
        let id = table::source(&self.connection, &past.sensor, &epoch, false, method)?;
        let spans = read::spans_of(&self.connection, id)?;
        let mut source = Source { sensor: past.sensor.clone(), epoch, id, spans };
        let zones = Zones::of(&past.networks);
        let mut batch = Batch { sums: Sums::new(&past.judge, &zones), cover: silent(), weight: 0, flows: 0 };
        let (mut sequence, mut new) = (0, 0);
        past.records(&mut |_, read| {
            let Ok(flow) = read.flow else { return Ok(()) };
            if !batch.add(&flow, past.scale(&flow)) {
                tally.others += 1;
            }
            if batch.weight >= past.batch {
                new += self.take_batch(&mut source, &mut batch, &mut sequence)?;
            }
            Ok(())
        })?;
        if batch.flows > 0 {
            new += self.take_batch(&mut source, &mut batch, &mut sequence)?;
        }
        let begin = cover.runs().next().map(|(begin, _)| begin);
        Ok(Imported { tally, new, time: begin.map(|begin| (begin, cover.end() - 1)) })
    }

    /// Commits a batch, unless it is there; how many flows are new.
    fn take_batch(&mut self, source: &mut Source, batch: &mut Batch<'_>, sequence: &mut u64) -> Result<u64> {
        let (rows, mut news) = (batch.sums.take(), batch.cover.take());
        let flows = std::mem::take(&mut batch.flows);
        batch.weight = 0;
        if news.is_empty() {
            // The batch needs a number, even where it covers no time of its own.
            news.push((batch.cover.end(), batch.cover.end()));
        }
        let is_known = source.spans.has(*sequence);
        let fix = |error: rusqlite::Error| unwritable(&self.path, error);
        if !is_known {
            for (place, (start, end)) in (*sequence..).zip(&news) {
                source.spans.add(place, (start * MICROSECONDS, end * MICROSECONDS), 0, false);
            }
            let transaction = self.connection.transaction().map_err(fix)?;
            write::rows(&transaction, source.id, &rows).map_err(fix)?;
            write::spans(&transaction, source.id, &source.spans).map_err(fix)?;
            transaction.commit().map_err(fix)?;
        }
        *sequence += news.len() as u64;
        Ok(if is_known { 0 } else { flows })
    }

    /// Sees that nothing else is there of the same time, or removes it where that was asked for.
    fn make_room(&mut self, past: &Past, cover: &Cover) -> Result<()> {
        let key = (past.sensor.as_str(), &*past.epoch.to_string());
        let mut others: Vec<Other> = vec![];
        for (start, end) in cover.runs().map(|(start, end)| (start * MICROSECONDS, end * MICROSECONDS)) {
            let found = read::others(&self.connection, key, (start, end))?.into_iter();
            others.extend(found.filter(|other| is_shared((start, end), (other.start, other.end))));
        }
        for other in &others {
            let at = Timestamp::from_microsecond(other.start).unwrap_or_default();
            let (path, sensor, epoch) = (self.path.display(), &other.sensor, &other.epoch);
            if other.sensor != past.sensor {
                if other.method == Method::Counted && !past.beside {
                    bail!(
                        "{path}: sensor {sensor:?} counted from {at}, and what these flows say of that time would be counted twice; \
                         export flows from before it (nfdump -t), or give --beside where they are of other links"
                    );
                }
            } else if other.is_live {
                bail!(
                    "{path}: sensor {sensor:?} was running at {at}, and what it saw is not replaced by flows; name another sensor with \
                     --sensor-id"
                );
            } else if !self.replaces {
                bail!(
                    "{path}: sensor {sensor:?} has records from {at} in it already, of another archive, capture or configuration (epoch \
                     {epoch}); import with --replace, name another sensor with --sensor-id, or another store"
                );
            }
        }
        let mut replaced: Vec<&Other> = others.iter().filter(|other| other.sensor == past.sensor).collect();
        replaced.sort_by_key(|other| other.id);
        replaced.dedup_by_key(|other| other.id);
        for Other { id, epoch, sensor, .. } in replaced {
            tracing::info!("records of epoch {epoch} of sensor {sensor:?} make room for flows of the same time");
            write::remove(&self.connection, *id)?;
        }
        Ok(())
    }
}

/// Whether two times share more than the seam of two archives, or half of the shorter one.
fn is_shared((start, end): (i64, i64), (other_start, other_end): (i64, i64)) -> bool {
    let shared = end.min(other_end) - start.max(other_start);
    let half = (end - start).min(other_end - other_start) / 2;
    shared > half.min(SEAM)
}

/// Flows that go into one commit.
struct Batch<'a> {
    sums: Sums<'a>,
    cover: Cover,
    weight: i64,
    flows: u64,
}

impl Batch<'_> {
    /// Adds a flow; whether any end of it is counted.
    fn add(&mut self, flow: &Flow, scale: u64) -> bool {
        self.cover.add(flow.first, flow.last + 1);
        self.weight += 1 + flow.last / QUARTER - flow.first / QUARTER;
        self.flows += 1;
        self.sums.add(flow, scale)
    }
}
