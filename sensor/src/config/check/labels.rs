//! Files of what the other end is, and what reports make of it.

use std::path::PathBuf;

use sensor_ebpf::class::Class;

use super::{Check, START, Seen, openable};
use crate::config::{
    Counterpart, CounterpartKind, Limits, List, MAX_COUNTERPARTS, MAX_LISTS, Name, Report,
    labels::ClassName,
    limits::{
        MAX_ACTIVITY_ADDRESSES, MAX_COUNTERPART_ROWS, MAX_FLOWS, MAX_SAMPLES_PER_SECOND, MIN_ACTIVITY_ADDRESSES,
        MIN_COUNTERPART_ROWS, MIN_FLOWS,
    },
    raw::{RawCounterpart, RawList, RawReport, RawSensor, Text},
};

/// What to do about too many files.
const JOIN: &str = "join the files of some";

impl Check<'_, '_> {
    /// The bounds that `[sensor]` gives; one that is wrong leaves its default.
    pub(super) fn limits(&mut self, raw: &RawSensor) -> Limits {
        let mut limits = Limits::default();
        if let Some(number) = &raw.flows
            && let Some(flows) = self.number("flows", number, MIN_FLOWS, MAX_FLOWS)
        {
            limits.flows = flows.next_power_of_two();
        }
        if let Some(number) = &raw.max_activity_addresses {
            let (least, most) = (MIN_ACTIVITY_ADDRESSES, MAX_ACTIVITY_ADDRESSES);
            let addresses = self.number("max_activity_addresses", number, least, most);
            limits.max_activity_addresses = addresses.unwrap_or(limits.max_activity_addresses);
        }
        if let Some(number) = &raw.samples_per_second {
            let samples = self.number("samples_per_second", number, 0, MAX_SAMPLES_PER_SECOND);
            limits.samples_per_second = samples.unwrap_or(limits.samples_per_second);
        }
        if let Some(number) = &raw.max_counterparts
            && let Some(rows) = self.number("max_counterparts", number, MIN_COUNTERPART_ROWS, MAX_COUNTERPART_ROWS)
        {
            limits.max_counterparts = rows.next_power_of_two();
        }
        limits
    }

    /// Files of what the other end is; what is in them is read later.
    pub(super) fn counterparts(&mut self, raw: &[RawCounterpart]) -> Vec<Counterpart> {
        let mut files = Seen::new("counterpart file");
        self.at_most("[[counterpart]]", raw.len(), MAX_COUNTERPARTS, JOIN);
        let counterparts = raw.iter().take(MAX_COUNTERPARTS).filter_map(|raw| {
            let kind = self.choice("kind", raw.kind.as_ref(), [("geo", CounterpartKind::Geo)]);
            let text = raw.file.as_ref()?;
            let file = self.file("counterpart file", text)?;
            self.first(text, &mut files).then_some(Counterpart { kind, file })
        });
        counterparts.collect()
    }

    /// Lists of known endpoints; what is in them is read later.
    pub(super) fn lists(&mut self, raw: &[RawList]) -> Vec<List> {
        let mut names = Seen::new("list");
        self.at_most("[[list]]", raw.len(), MAX_LISTS, JOIN);
        let lists = raw.iter().take(MAX_LISTS).filter_map(|raw| {
            let name = raw.name.as_ref().and_then(|text| self.unique::<Name>(text, &mut names));
            let class = raw.class.as_ref().map_or(Some(None), |text| self.list_class(text).map(Some));
            let file = raw.file.as_ref().and_then(|text| self.file("list", text));
            Some(List { name: name?, class: class?, file: file? })
        });
        lists.collect()
    }

    fn list_class(&mut self, text: &Text) -> Option<Class> {
        let class = self.parse::<ClassName>(text)?.0;
        if class == Class::Unknown {
            let fix = "remove class from a list that only says what the other end is";
            self.problems.add(&text.span(), format!("class \"unknown\" says nothing; {fix}"));
        }
        (class != Class::Unknown).then_some(class)
    }

    /// What reports go by.
    pub(super) fn report(&mut self, raw: &RawReport) -> Report {
        let mut report = Report::default();
        if let Some(texts) = &raw.hidden_classes {
            let mut seen = Seen::new("hidden class");
            let classes = texts.iter().filter_map(|text| self.unique::<ClassName>(text, &mut seen));
            report.hidden_classes = classes.map(|class| class.0).collect();
        }
        let learn = raw.learn.as_ref().and_then(|text| self.parse(text));
        report.learn = learn.unwrap_or(report.learn);
        report
    }

    /// The path of a file that can be opened.
    pub(super) fn file(&mut self, what: &str, text: &Text) -> Option<PathBuf> {
        let path = self.folder.join(text.get_ref());
        if let Err(error) = openable(&path) {
            let path = path.display();
            self.problems.add(&text.span(), format!("cannot read {what} {path}: {error}; correct the path"));
            return None;
        }
        Some(path)
    }

    pub(super) fn at_most(&mut self, section: &str, count: usize, most: usize, fix: &str) {
        if count > most {
            let message = format!("{count} sections {section} are too many; write at most {most}, {fix}");
            self.problems.add(&START, message);
        }
    }
}
