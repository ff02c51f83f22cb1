//! Exporters, and what may wait for them.

use super::{Check, Seen};
use crate::{
    config::{
        DEFAULT_KEEP, DEFAULT_ROTATE, Exporter, Jsonl, MAX_EXPORTERS, MAX_KEEP, MAX_ROTATE, MAX_SPOOL_SIZE, MIN_ROTATE,
        MIN_SPOOL_SIZE, Memory, Name, Target,
        export::{DEFAULT_ENDPOINT, DEFAULT_SPOOL, Endpoint, SpoolAge},
        memory::amount,
        raw::{RawExporter, RawSpool, Text},
    },
    spool::Bounds,
};

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
            // Later ones bring their own keys.
            self.choice("type", Some(kind), [("jsonl", ())]);
            let name = self.unique::<Name>(raw.name.as_ref().unwrap_or(kind), &mut names);
            let default = Text::new(kind.span(), DEFAULT_ENDPOINT.to_owned());
            let endpoint = raw.endpoint.as_ref().unwrap_or(&default);
            let target = Target::Jsonl(self.jsonl(raw, endpoint)?);
            self.first(endpoint, &mut endpoints).then_some(Exporter { name: name?, target })
        });
        exporters.collect()
    }

    fn disk_space(&mut self, text: &Text, least: Memory, most: Memory) -> Option<Memory> {
        let amount = amount(text.get_ref(), "disk space", least, most);
        amount.map_err(|error| self.problems.add(&text.span(), error)).ok()
    }

    fn jsonl(&mut self, raw: &RawExporter, endpoint: &Text) -> Option<Jsonl> {
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
