//! Exporters, and what may wait for them.

mod collectors;

use super::{Check, Seen};
use crate::{
    config::{
        DEFAULT_KEEP, DEFAULT_ROTATE, Exporter, Jsonl, MAX_EXPORTERS, MAX_KEEP, MAX_ROTATE, MAX_SPOOL_SIZE, MIN_ROTATE,
        MIN_SPOOL_SIZE, Memory, Name, Target,
        export::{DEFAULT_ENDPOINT, DEFAULT_SPOOL, Endpoint, SpoolAge},
        memory::amount,
        raw::{RawExporter, RawOptions, RawSpool, Text},
    },
    spool::Bounds,
};

/// `type` of an exporter.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Type {
    #[default]
    Jsonl,
    Ipfix,
    Kafka,
    ClickHouse,
}

impl Type {
    const NAMES: [(&'static str, Self); 4] =
        [("jsonl", Self::Jsonl), ("ipfix", Self::Ipfix), ("kafka", Self::Kafka), ("clickhouse", Self::ClickHouse)];

    /// The keys that are for it, beside those that all have.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Jsonl => &["rotate", "keep"],
            Self::Ipfix => &["records", "domain", "enterprise", "mtu", "ca", "cert", "key"],
            Self::Kafka => &["topic", "sasl", "username", "password_file", "ca", "cert", "key"],
            Self::ClickHouse => &["database", "username", "password_file", "ca", "cert", "key"],
        }
    }
}

impl Check<'_, '_> {
    /// How much may wait.
    pub(super) fn spool(&mut self, raw: &RawSpool) -> Bounds {
        let mut bounds = DEFAULT_SPOOL;
        if let Some(text) = &raw.max_size {
            let size = self.disk_space(text, MIN_SPOOL_SIZE, MAX_SPOOL_SIZE);
            bounds.max_bytes = size.map_or(bounds.max_bytes, Memory::bytes);
        }
        if let Some(text) = &raw.max_age {
            bounds.max_age = self.parse::<SpoolAge>(text).map_or(bounds.max_age, |age| age.0);
        }
        bounds
    }

    /// Where records go, nowhere twice.
    pub(super) fn exporters(&mut self, raw: &[RawExporter]) -> Vec<Exporter> {
        self.at_most("[[exporter]]", raw.len(), MAX_EXPORTERS, "or let one collector pass on what others need");
        let (mut names, mut endpoints) = (Seen::new("exporter"), Seen::new("endpoint"));
        let exporters = raw.iter().take(MAX_EXPORTERS).filter_map(|raw| {
            let kind = raw.kind.as_ref()?;
            let name = self.unique::<Name>(raw.name.as_ref().unwrap_or(kind), &mut names);
            let default = Text::new(kind.span(), DEFAULT_ENDPOINT.to_owned());
            let chosen = Type::NAMES.into_iter().find(|(word, _)| word == kind.get_ref());
            let Some((word, chosen)) = chosen else {
                self.choice("type", Some(kind), Type::NAMES);
                return None;
            };
            self.only(&raw.options, word, chosen.keys());
            let endpoint = match (&raw.endpoint, chosen) {
                (Some(endpoint), _) => endpoint,
                (None, Type::Jsonl) => &default,
                (None, _) => {
                    let message = format!("the exporter of type {word:?} has no endpoint; add endpoint = \"...\"");
                    self.problems.add(&kind.span(), message);
                    return None;
                }
            };
            let target = match chosen {
                Type::Jsonl => Target::Jsonl(self.jsonl(&raw.options, endpoint)?),
                Type::Ipfix => Target::Ipfix(self.ipfix(&raw.options, endpoint)?),
                Type::Kafka => Target::Kafka(self.kafka(&raw.options, endpoint)?),
                Type::ClickHouse => Target::ClickHouse(self.clickhouse(&raw.options, endpoint)?),
            };
            self.first(endpoint, &mut endpoints).then_some(Exporter { name: name?, target })
        });
        exporters.collect()
    }

    /// Keys that are for exporters of other types.
    fn only(&mut self, options: &RawOptions, kind: &str, keys: &[&str]) {
        for (key, span) in options.given.iter().filter(|(key, _)| !keys.contains(key)) {
            let message =
                format!("{key} is nothing for exporters of type {kind:?}; remove it, they know {}", keys.join(", "));
            self.problems.add(span, message);
        }
    }

    fn disk_space(&mut self, text: &Text, least: Memory, most: Memory) -> Option<Memory> {
        let amount = amount(text.get_ref(), "disk space", least, most);
        amount.map_err(|error| self.problems.add(&text.span(), error)).ok()
    }

    fn jsonl(&mut self, raw: &RawOptions, endpoint: &Text) -> Option<Jsonl> {
        let endpoint = self.parse(endpoint)?;
        let rotate =
            raw.rotate.as_ref().map_or(Some(DEFAULT_ROTATE), |text| self.disk_space(text, MIN_ROTATE, MAX_ROTATE));
        let keep = raw.keep.as_ref().map_or(Some(DEFAULT_KEEP), |number| self.number("keep", number, 1, MAX_KEEP));
        if !matches!(endpoint, Endpoint::File(_)) {
            let spans = [raw.rotate.as_ref().map(Text::span), raw.keep.as_ref().map(|number| number.span())];
            for span in spans.into_iter().flatten() {
                self.problems
                    .add(&span, "only files are rotated; remove this key, or write endpoint = \"file:///path\"");
            }
        }
        Some(match endpoint {
            Endpoint::Stdout => Jsonl::Stdout,
            Endpoint::Socket(path) => Jsonl::Socket(path),
            Endpoint::File(path) => Jsonl::File { path, rotate: rotate?.bytes(), keep: keep? },
        })
    }
}
