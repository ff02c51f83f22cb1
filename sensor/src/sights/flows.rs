//! What was already counted of flows that are heard both ways, so that none is counted twice.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::inspect::Verdict;

/// What a flow counts as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// When it was seen last.
    pub(super) at: Timestamp,
    /// Whether it is one of the answers of a service.
    pub(super) answered: bool,
    /// What it is by now.
    pub(super) verdict: Option<Verdict>,
    /// What it says that its service is.
    pub(super) voted: Option<Verdict>,
    /// Under which suspicious class its watched address counts it.
    pub(super) hosted: Option<Verdict>,
}

/// Flows by number, in two generations: when the younger is full, the elder is forgotten.
#[derive(Debug)]
pub(super) struct Flows {
    limit: usize,
    young: HashMap<u64, Flow>,
    elder: HashMap<u64, Flow>,
    forgotten: u64,
}

impl Flows {
    /// `limit` of both generations together.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: (limit / 2).max(1), young: HashMap::new(), elder: HashMap::new(), forgotten: 0 }
    }

    /// What is known of a flow.
    pub(super) fn get(&self, number: u64) -> Option<Flow> {
        self.young.get(&number).or_else(|| self.elder.get(&number)).copied()
    }

    /// Keeps what is known of it.
    pub(super) fn put(&mut self, number: u64, flow: Flow) {
        if self.young.len() >= self.limit && !self.young.contains_key(&number) {
            let elder = std::mem::replace(&mut self.elder, std::mem::take(&mut self.young));
            self.forgotten += elder.len() as u64;
        }
        self.elder.remove(&number);
        self.young.insert(number, flow);
    }

    /// Flows that were forgotten, over or not.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.elder.len()
    }
}
