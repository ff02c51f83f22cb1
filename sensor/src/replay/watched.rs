//! What a replay knows of watched traffic, by the clock of the capture.

use anyhow::Result;
use jiff::Timestamp;
use sensor_ebpf::abi::Spending;

use super::{Engine, LinkFrame, Options, flow_book::FlowBook};
use crate::{
    inspect::Packet,
    summary::{self, FlowRecord},
    watch::{Breakdown, Memory, Watch},
};

/// Watched traffic, as far as the capture was read.
pub(super) struct Watched {
    watch: Watch,
    /// What rows held when they were last told.
    reported: Breakdown,
    /// Where flows are asked for.
    flows: Option<FlowBook>,
    /// Of the first frame.
    begin: Option<Timestamp>,
    /// Of the last one.
    moment: Timestamp,
}

impl Watched {
    /// Of a capture that begins. A replay takes the time that it takes: nothing is left out for want of time.
    pub(super) fn new(options: &Options, engine: &mut Engine) -> Self {
        let mut watch = Watch::new(&options.limits);
        watch.configure(options.set.networks(), options.lists.clone(), options.upstreams.clone());
        for network in 0..=options.set.highest_network() {
            for spending in Spending::ALL {
                engine.allow(network, spending, u64::MAX, u64::MAX);
            }
        }
        Self {
            watch,
            reported: Breakdown::default(),
            flows: options.flows.then(FlowBook::default),
            begin: None,
            moment: Timestamp::UNIX_EPOCH,
        }
    }

    /// The next frame is of this moment. The clock of programs never goes back; frames of several interfaces may.
    pub(super) fn advance(&mut self, moment: Timestamp, engine: &mut Engine) {
        let begin = *self.begin.get_or_insert(moment);
        self.moment = moment;
        let passed = moment.as_second().saturating_sub(begin.as_second());
        self.watch.second(engine, u32::try_from(passed).unwrap_or_default().saturating_add(1));
    }

    /// A frame was counted.
    ///
    /// # Errors
    /// The records that the engine made of it cannot be read.
    pub(super) fn take(&mut self, frame: LinkFrame<'_>, engine: &mut Engine) -> Result<()> {
        self.watch.take(engine, usize::MAX, self.moment)?;
        let Some(flows) = &mut self.flows else { return Ok(()) };
        if let Some(packet) = Packet::of_frame(frame.captured, frame.wire_len) {
            let ends = [packet.flow.source.0, packet.flow.destination.0];
            if ends.into_iter().any(|address| engine.is_watched(address)) {
                flows.count(&packet);
            }
        }
        Ok(())
    }

    /// What the interval that ends at `end` had.
    pub(super) fn interval(&mut self, end: Timestamp, engine: &mut Engine) -> summary::Watched {
        let watched = self.watch.interval(engine, &self.reported, end);
        self.reported.advance(&watched);
        watched
    }

    /// Ends all flows; their records where they were asked for.
    pub(super) fn finish(&mut self, engine: &mut Engine) -> Vec<FlowRecord> {
        // No flow ends before the capture does: one of the same addresses and ports is the same record.
        let ended = self.watch.finish(engine);
        for (what, count) in self.watch.losses().0 {
            if count > 0 {
                tracing::warn!("{what}: {count}");
            }
        }
        let Some(mut flows) = self.flows.take() else { return vec![] };
        for (flow, verdict) in ended {
            if let Some(verdict) = verdict {
                flows.decide(flow, verdict);
            }
        }
        if flows.overflow() > 0 {
            tracing::warn!("packets in no flow record, of flows beyond those that are followed: {}", flows.overflow());
        }
        flows.records().collect()
    }
}
