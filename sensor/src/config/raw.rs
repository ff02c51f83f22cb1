//! The text of a configuration taken apart: values that know where they stand, of the right types, nothing unknown.
//!
//! Walks the parsed document instead of deriving `Deserialize`, which stops at the first unknown key or wrong type. The
//! keys a section knows are those it is asked for, so there is no list beside the code to keep up.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{error::Problems, nearest::nearest};
use crate::cidr::quote;

/// Keys that the design has and later versions bring: section and key.
const LATER: [(&str, &str); 6] = [
    (ROOT, "upstream"),
    (ROOT, "counterpart"),
    (ROOT, "list"),
    (ROOT, "report"),
    (ROOT, "metrics"),
    (ROOT, "exporter"),
];
/// Names of the sections in messages.
const ROOT: &str = "the file";
const SENSOR: &str = "[sensor]";
const INTERFACE: &str = "[[interface]]";
const NETWORK: &str = "[[network]]";
const ACCOUNTING: &str = "[accounting]";

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) sensor: RawSensor,
    pub(super) interfaces: Vec<RawInterface>,
    pub(super) networks: Vec<RawNetwork>,
    /// `[accounting] tables`.
    pub(super) tables: Vec<Text>,
}

/// `[sensor]`.
#[derive(Debug, Default)]
pub(super) struct RawSensor {
    pub(super) id: Option<Text>,
    pub(super) interval: Option<Text>,
    pub(super) memory: Option<Text>,
    pub(super) state_dir: Option<Text>,
    pub(super) bpffs: Option<Text>,
}

/// One `[[interface]]`.
#[derive(Debug)]
pub(super) struct RawInterface {
    pub(super) name: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) xdp: Option<Text>,
    pub(super) role: Option<Text>,
    pub(super) egress: Option<Spanned<bool>>,
}

/// One `[[network]]`.
#[derive(Debug)]
pub(super) struct RawNetwork {
    pub(super) name: Option<Text>,
    pub(super) timezone: Option<Text>,
    pub(super) prefixes: Vec<Text>,
}

/// Takes a document apart; `None` where it is no TOML. Problems of any kind are added.
pub(super) fn decode(text: &str, problems: &mut Problems<'_>) -> Option<RawConfig> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let message = format!("{}; correct the TOML syntax here", error.message());
            problems.add(&error.span().unwrap_or_default(), message);
        }
        // What a recovering parser makes of the rest would only add false problems.
        return None;
    }
    let mut root = Section::new(ROOT, document.get_ref(), document.span(), problems);
    let mut config = RawConfig::default();
    if let Some((table, span)) = root.table("sensor") {
        let mut section = Section::new(SENSOR, table, span, root.problems);
        let (id, interval, memory) = (section.text("id"), section.text("interval"), section.text("memory"));
        let (state_dir, bpffs) = (section.text("state_dir"), section.text("bpffs"));
        config.sensor = RawSensor { id, interval, memory, state_dir, bpffs };
        section.finish();
    }
    for (table, span) in root.tables("interface") {
        let mut section = Section::new(INTERFACE, table, span, root.problems);
        let (name, mode, xdp) = (section.required("name"), section.text("mode"), section.text("xdp"));
        let (role, egress) = (section.text("role"), section.switch("egress"));
        config.interfaces.push(RawInterface { name, mode, xdp, role, egress });
        section.finish();
    }
    for (table, span) in root.tables("network") {
        let mut section = Section::new(NETWORK, table, span.clone(), root.problems);
        let (name, timezone) = (section.required("name"), section.text("timezone"));
        let prefixes = section.texts("prefixes").unwrap_or_default();
        if section.lacks("prefixes") {
            section.problems.add(&span, "the [[network]] has no prefixes; add prefixes = [\"192.0.2.0/24\"]");
        }
        config.networks.push(RawNetwork { name, timezone, prefixes });
        section.finish();
    }
    if let Some((table, span)) = root.table("accounting") {
        let mut section = Section::new(ACCOUNTING, table, span, root.problems);
        config.tables = section.texts("tables").unwrap_or_default();
        section.finish();
    }
    root.finish();
    Some(config)
}

/// A table being taken apart.
struct Section<'a, 'i, 'p, 't> {
    name: &'static str,
    table: &'a DeTable<'i>,
    span: Range<usize>,
    known: Vec<&'static str>,
    problems: &'p mut Problems<'t>,
}

/// A table below a section, and where it stands.
type Part<'a, 'i> = (&'a DeTable<'i>, Range<usize>);

impl<'a, 'i, 'p, 't> Section<'a, 'i, 'p, 't> {
    fn new(name: &'static str, table: &'a DeTable<'i>, span: Range<usize>, problems: &'p mut Problems<'t>) -> Self {
        Self { name, table, span, known: vec![], problems }
    }

    /// Asks for a key, and so makes it known.
    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.get(key)
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Whether a list is missing or empty.
    fn lacks(&self, key: &str) -> bool {
        self.get(key).is_none_or(|value| value.get_ref().as_array().is_some_and(|list| list.is_empty()))
    }

    fn text(&mut self, key: &'static str) -> Option<Text> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            let type_name = value.get_ref().type_str();
            let message = format!("{key} in {} is of type {type_name}; write a string in quotes", self.name);
            self.problems.add(&value.span(), message);
        }
        text.map(|text| Spanned::new(value.span(), text.to_owned()))
    }

    fn required(&mut self, key: &'static str) -> Option<Text> {
        let text = self.text(key);
        if self.get(key).is_none() {
            self.problems.add(&self.span, format!("the {} has no {key}; add {key} = \"...\"", self.name));
        }
        text
    }

    /// A truth value.
    fn switch(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        let value = self.value(key)?;
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            let type_name = value.get_ref().type_str();
            let message = format!("{key} in {} is of type {type_name}; write true or false, without quotes", self.name);
            self.problems.add(&value.span(), message);
        }
        switch.map(|switch| Spanned::new(value.span(), switch))
    }

    /// A list of strings, without the entries that are none; `None` where there is no list.
    fn texts(&mut self, key: &'static str) -> Option<Vec<Text>> {
        let value = self.value(key)?;
        let Some(list) = value.get_ref().as_array() else {
            let type_name = value.get_ref().type_str();
            let message = format!("{key} in {} is of type {type_name}; write a list: [\"...\", \"...\"]", self.name);
            self.problems.add(&value.span(), message);
            return None;
        };
        let mut texts = vec![];
        for entry in list.iter() {
            match entry.get_ref().as_str() {
                Some(text) => texts.push(Spanned::new(entry.span(), text.to_owned())),
                None => {
                    let type_name = entry.get_ref().type_str();
                    let message = format!("an entry of {key} is of type {type_name}; write a string in quotes");
                    self.problems.add(&entry.span(), message);
                }
            }
        }
        Some(texts)
    }

    fn table(&mut self, key: &'static str) -> Option<Part<'a, 'i>> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problems.add(&value.span(), format!("{key} is not a section; write [{key}] once"));
        }
        Some((table?, value.span()))
    }

    fn tables(&mut self, key: &'static str) -> Vec<Part<'a, 'i>> {
        let Some(value) = self.value(key) else { return vec![] };
        let list = value.get_ref().as_array().into_iter().flat_map(|list| list.iter());
        let tables: Option<Vec<_>> = list.map(|entry| Some((entry.get_ref().as_table()?, entry.span()))).collect();
        match tables {
            Some(tables) if value.get_ref().is_array() => tables,
            _ => {
                let message = format!("{key} is not a list of sections; write [[{key}]] with two brackets for each");
                self.problems.add(&value.span(), message);
                vec![]
            }
        }
    }

    /// Reports the keys that nobody asked for.
    fn finish(self) {
        for (key, _) in self.table {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if self.known.contains(&name) {
                continue;
            }
            let section = self.name;
            let quoted = quote(name);
            let message = if LATER.contains(&(section, name)) {
                format!("{quoted} in {section} is not supported by this version; remove it")
            } else if let Some(near) = nearest(name, self.known.iter().copied()) {
                format!("unknown key {quoted} in {section}; did you mean {near:?}?")
            } else {
                format!("unknown key {quoted} in {section}; remove it, known keys are {}", self.known.join(", "))
            };
            self.problems.add(&span, message);
        }
    }
}
