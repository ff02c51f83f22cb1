//! What was found out of flows, and who is told: programs, and sights.

use sensor_ebpf::abi::{FlowKey, FlowState, NetworkId};

use super::{Memory, Watch, flow::Known};
use crate::inspect::{self, Flow, Listening, Verdict};

impl Watch {
    /// Notes what the bytes of a flow say.
    pub(super) fn find(&mut self, key: FlowKey, found: Option<Verdict>) {
        if let Some(flow) = self.flows.get_mut(&key)
            && flow.found != found
        {
            flow.found = found;
            self.unsettled.insert(key);
        }
    }

    /// Notes that a flow is the sensor's own, whatever its bytes say.
    pub(super) fn own(&mut self, key: FlowKey) {
        if let Some(flow) = self.flows.get_mut(&key)
            && !std::mem::replace(&mut flow.is_own, true)
        {
            self.unsettled.insert(key);
        }
    }

    /// Tells what is known of addresses that a flow is something else, though no packet of it came.
    pub(super) fn decide(&mut self, key: FlowKey) {
        let Some(flow) = self.flows.get(&key).filter(|flow| !flow.is_own) else { return };
        let Some(verdict) = flow.verdict() else { return };
        let Flow { protocol, source, destination } = flow.flow;
        let ends = [(flow.networks[0], source, destination), (flow.networks[1], destination, source)];
        for (network, watched, far) in ends {
            if let Some(network) = NetworkId::new(network.into()) {
                self.sights.decide(network, watched, far, protocol, verdict);
            }
        }
    }

    /// Tells programs what they are to know of a flow, where that is another thing than they know.
    pub(super) fn tell(&mut self, memory: &mut impl Memory, key: FlowKey, listening: Listening) {
        let Some(flow) = self.flows.get_mut(&key) else { return };
        let (known, kind) = (flow.known, flow.kind());
        // Nobody needs to look into what the sensor itself sends.
        match if flow.is_own { Listening::Closed } else { listening } {
            Listening::Closed => {
                // Later it is only told where it has become something else, and then what it had meanwhile stays what it was billed as.
                let told = std::mem::replace(&mut flow.known, Known::Closed(kind));
                if told == Known::Closed(kind) {
                    return;
                }
                self.unmoved += u64::from(matches!(told, Known::Closed(_)));
                memory.know(key, &|state: FlowState| state.closed_as(kind));
            }
            Listening::Long if known == Known::Nothing => {
                flow.known = Known::Long;
                memory.know(key, &FlowState::for_long);
            }
            Listening::Long | Listening::Open => {}
        }
    }

    pub(super) fn end(&mut self, memory: &mut impl Memory, ended: inspect::Ended) -> Option<(Flow, Option<Verdict>)> {
        let key = self.keys.remove(&ended.id)?;
        self.find(key, ended.verdict);
        self.decide(key);
        // What still comes of it is billed as what it was.
        self.tell(memory, key, Listening::Closed);
        let mut flow = self.flows.remove(&key)?;
        flow.settle(|billed, from, to, counter| self.moves.add(billed, from, to, counter));
        self.unsettled.remove(&key);
        Some((flow.flow, flow.verdict()))
    }
}
