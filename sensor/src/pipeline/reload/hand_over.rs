//! The reload that takes new maps: they are made and filled beside the old ones, each interface's program is swapped, and the last of
//! what the old maps counted goes out under its old names.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, bail};

use super::{change::Table, prepare::Figures};
use crate::{
    bpf::{InstanceDir, Kernel, SampleRing},
    config::Config,
    control::Reloaded,
    counterpart::Meanings,
    lists::Lists,
    pipeline::{
        Running,
        collector::History,
        devices::Device,
        durable::Fresh,
        ports::Ports,
        start::{kinds, plan},
        watching::Budgets,
    },
    prefix::PrefixSet,
};

/// New maps that are to be made.
pub(super) struct Making {
    config: Config,
    lists: Arc<Lists>,
    table: Table,
    fresh: Fresh,
    pins: Arc<InstanceDir>,
    why: String,
    figures: Figures,
}

/// New maps, filled, and programs that will count in them.
pub(in crate::pipeline) struct Made {
    config: Config,
    lists: Arc<Lists>,
    set: PrefixSet,
    meanings: Meanings,
    history: History,
    kernel: Kernel,
    ports: Ports,
    why: String,
    figures: Figures,
}

impl Making {
    /// Writes the manifest, makes the maps and loads the programs: for many interfaces some seconds. Blocks.
    ///
    /// # Errors
    /// There is no room on the disk, or the kernel refuses a map or a program.
    pub(super) fn load(self) -> Result<Box<Made>> {
        let Self { config, lists, table, fresh, pins, why, mut figures } = self;
        let Table { set, trie, meanings, labels } = table;
        let Fresh { directory, scribe, mut history } = fresh;
        let began = Instant::now();
        let manifest = scribe.write(&config, &set, &meanings)?;
        history.manifest = manifest;
        let kinds = kinds(&config);
        let plan = plan(&config, &set, (&trie, labels.as_ref()), &kinds);
        let mut kernel = Kernel::load_pinned(&directory, &plan, manifest)?;
        let ports = Ports::new(&config.interfaces, Some(pins));
        ports.load(&mut kernel)?;
        figures.build += began.elapsed();
        Ok(Box::new(Made { config, lists, set, meanings, history, kernel, ports, why, figures }))
    }
}

impl Running {
    /// Begins a new epoch, whose maps are then to be made.
    ///
    /// # Errors
    /// It cannot be written down, or an interface would be lost.
    pub(super) fn make(
        &mut self,
        (config, lists): (Config, Arc<Lists>),
        table: Table,
        why: String,
        figures: Figures,
    ) -> Result<Making> {
        let Some(durable) = &mut self.durable else { bail!("the counters of this agent end with it") };
        check_names(&self.collector.ports)?;
        let kinds = kinds(&config);
        let layout = plan(&config, &table.set, (&table.trie, table.labels.as_ref()), &kinds).layout()?;
        let fresh = tokio::task::block_in_place(|| durable.begin(&layout))?;
        tracing::info!(epoch = %fresh.history.epoch, "new maps: {why}");
        let pins = Arc::clone(&durable.pins);
        Ok(Making { config, lists, table, fresh, pins, why, figures })
    }

    /// Swaps the programs, and closes the old counters.
    ///
    /// # Errors
    /// The outer one: the counters cannot be read any more, as in a tick. The inner one: everything is as it was.
    pub(super) async fn hand_over(&mut self, made: Result<Box<Made>>) -> Result<Result<Reloaded>> {
        let began = Instant::now();
        if let (Ok(made), Some(durable)) = (&made, &mut self.durable) {
            durable.written(Some(made.history.manifest));
        }
        let devices = match &made {
            Ok(_) => self.devices.now().await,
            Err(_) => Ok(vec![]),
        };
        let ready = made.and_then(|made| {
            let devices = devices?;
            // As they are now: they may have been renamed since.
            self.collector.follow(&devices, self.devices.since());
            check_names(&self.collector.ports)?;
            Ok((made, devices))
        });
        let (made, devices) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                self.discard_new();
                return Ok(Err(error));
            }
        };
        // Under its old names, and with all that a ledger says: what is left for the last batch is what is counted during the swap.
        self.tick_now()?;
        let (why, figures) = (made.why.clone(), made.figures);
        let swapped = tokio::task::block_in_place(|| self.swap(made, &devices, began));
        // The devices bear other programs now.
        self.look().await;
        Ok(swapped.map(|()| self.reloaded(figures, began.elapsed(), Some(why))))
    }

    fn swap(&mut self, made: Box<Made>, devices: &[Device], began: Instant) -> Result<()> {
        let Made { config, lists, set, meanings, mut history, mut kernel, mut ports, .. } = *made;
        let Some(durable) = &mut self.durable else { bail!("the counters of this agent end with it") };
        let (old, epoch) = (&mut self.collector, history.epoch);
        let known = ports
            .foresee_with(&old.ports, devices, &mut kernel)
            .and_then(|()| old.ports.foresee_with(&ports, devices, &mut old.kernel))
            // From here on a crash leaves two sets that are worth taking over, and the next start goes on with one of them.
            .and_then(|()| kernel.maps().identify(epoch))
            .and_then(|()| SampleRing::of(kernel.maps()));
        let ring = match known {
            Ok(ring) => ring,
            Err(error) => {
                self.discard_new();
                return Err(error);
            }
        };
        let budgets = Budgets::begin(&config, &set, kernel.maps());
        durable.count_in(epoch);
        // The first interval begins here: programs that are swapped count from now on, and those attached anew are blind until then.
        history.begin_now();
        ports.begin_interval(Instant::now());
        match ports.attach_all(&mut kernel, &old.ports.missing()) {
            Ok(witness) => {
                if let Err(error) = ports.forward_logs(&mut kernel) {
                    tracing::warn!("{error:#}");
                }
                ports.began_by_swap();
                // The old one's programs end with it.
                old.watching.go_to(ring, budgets, kernel.maps());
                (old.set, old.meanings, old.history, old.witness) = (set, meanings, history, witness);
                (old.kernel, old.ports) = (kernel, ports);
                self.configure(config, lists);
                // It may have been due while programs were being swapped.
                self.due = self.interval_holding(self.collector.history.from).end;
                self.close_others();
                Ok(())
            }
            Err(error) => {
                let lost = old.ports.retake(began, &mut old.kernel);
                durable.count_in(old.history.epoch);
                // What was counted in the new maps until then has names, too.
                self.close_others();
                Err(error.context(taken_back(&lost)))
            }
        }
    }

    fn discard_new(&mut self) {
        if let Some(durable) = &mut self.durable {
            durable.discard_fresh();
        }
    }
}

/// What a swap that failed has left behind, where the old programs could not be put back at these sides of interfaces.
fn taken_back(lost: &[String]) -> String {
    if lost.is_empty() {
        return "the old programs are back in place".to_owned();
    }
    let lost = lost.join(", ");
    format!(
        "the old programs are back in place, but not at {lost}: nothing is counted there; the log says why, and it is tried again"
    )
}

/// Refuses to swap programs while an interface is not where its name is: the configured one would not be found.
fn check_names(ports: &Ports) -> Result<()> {
    match ports.renamed() {
        None => Ok(()),
        Some((name, now)) => {
            bail!("interface {name} is called {now} now, and would be lost: rename it back, or configure {now} instead")
        }
    }
}
