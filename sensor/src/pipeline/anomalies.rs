//! Events over history: once in each quarter of an hour the store is asked what was otherwise than usual, in a thread beside the ticks.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::{
    anomaly::{self, LATE},
    config::{Config, Events, Network},
    store::Archive,
    study::{QUARTER, Records as _, SEAM},
    summary::EventRecord,
};

/// Asks for events of a sensor with a store.
#[derive(Debug)]
pub(super) struct Anomalies {
    question: Question,
    /// Up to when events were told, in seconds since 1970; nothing was yet by this agent.
    told: Option<i64>,
    asking: Option<JoinHandle<Result<Option<Answer>>>>,
    /// Asking failed, and that was said.
    is_said: bool,
}

/// What is asked.
#[derive(Clone, Debug)]
struct Question {
    store: PathBuf,
    sensor: String,
    networks: Vec<Network>,
    events: Events,
}

/// Events up to a second.
#[derive(Debug)]
struct Answer {
    until: i64,
    events: Vec<EventRecord>,
}

impl Anomalies {
    pub(super) fn new(store: &Path, config: &Config) -> Self {
        Self { question: Question::of(store, config), told: None, asking: None, is_said: false }
    }

    /// Goes by another configuration from the next question on.
    pub(super) fn configure(&mut self, config: &Config) {
        self.question = Question::of(&self.question.store, config);
    }

    /// Events that were found since the last call; asks for those up to now, if it is time to.
    pub(super) async fn found(&mut self, now: Timestamp) -> Vec<EventRecord> {
        let found = match self.asking.take_if(|asking| asking.is_finished()) {
            Some(asking) => self.answer(asking.await.context("the thread that asks the store has ended").flatten()),
            None => vec![],
        };
        let until = now.as_second().div_euclid(QUARTER) * QUARTER;
        if self.asking.is_none() && self.told.is_none_or(|told| told < until) {
            let (question, told) = (self.question.clone(), self.told);
            self.asking = Some(tokio::task::spawn_blocking(move || question.ask(told, until)));
        }
        found
    }

    fn answer(&mut self, answer: Result<Option<Answer>>) -> Vec<EventRecord> {
        match answer {
            Ok(Some(answer)) => {
                (self.told, self.is_said) = (Some(answer.until), false);
                answer.events
            }
            // The store does not have the last intervals yet.
            Ok(None) => vec![],
            Err(error) => {
                if !self.is_said {
                    tracing::warn!("{error:#}; nothing is compared with its history until that works again");
                }
                self.is_said = true;
                vec![]
            }
        }
    }
}

impl Question {
    fn of(store: &Path, config: &Config) -> Self {
        Self {
            store: store.to_owned(),
            sensor: config.sensor_id.to_string(),
            networks: config.networks.clone(),
            events: config.events,
        }
    }

    /// Events that are due after `told`, up to `until`; nothing as long as the store does not reach that far.
    fn ask(&self, told: Option<i64>, until: i64) -> Result<Option<Answer>> {
        let archive = Archive::open(&self.store)?;
        let end = Timestamp::from_second(until)?;
        let last = end.checked_sub(SEAM)?..end;
        let spans = archive.spans(last.clone())?;
        if !spans.iter().any(|span| span.sensor == self.sensor && span.end >= last.start) {
            return Ok(None);
        }
        let first = told.unwrap_or(until - LATE);
        // An event is told at a second behind the quarter of an hour that it follows from.
        let range = first + 1..until + 1;
        let found = anomaly::events(&archive, &self.sensor, &self.networks, &self.events, &range)?;
        // What an earlier agent told, this one does not tell again.
        let time = Timestamp::from_second(range.start)?..Timestamp::from_second(range.end)?;
        let known: HashSet<String> =
            if told.is_none() { archive.events(time)?.into_iter().collect() } else { HashSet::new() };
        let mut events = Vec::new();
        for event in found {
            if !known.contains(&serde_json::to_string(&event)?) {
                events.push(event);
            }
        }
        Ok(Some(Answer { until, events }))
    }
}
