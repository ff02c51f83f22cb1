//! One table of a document: what it is asked for by key, and the keys that nobody asked for.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    cidr::quote,
    config::{error::Problems, nearest::nearest},
};

/// A text and where it stands.
pub(in crate::config) type Text = Spanned<String>;
/// A number and where it stands.
pub(in crate::config) type Number = Spanned<u64>;

/// A table being taken apart.
pub(super) struct Section<'a, 'i, 'p, 't> {
    name: &'static str,
    table: &'a DeTable<'i>,
    span: Range<usize>,
    known: Vec<&'static str>,
    pub(super) problems: &'p mut Problems<'t>,
}

/// A table below a section, and where it stands.
pub(super) type Part<'a, 'i> = (&'a DeTable<'i>, Range<usize>);

impl<'a, 'i, 'p, 't> Section<'a, 'i, 'p, 't> {
    pub(super) fn new(
        name: &'static str,
        table: &'a DeTable<'i>,
        span: Range<usize>,
        problems: &'p mut Problems<'t>,
    ) -> Self {
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

    /// Where it stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// What is there of the keys that were asked for, but for some.
    pub(super) fn given(&self, but: &[&str]) -> Vec<(&'static str, Range<usize>)> {
        let keys = self.known.iter().filter(|key| !but.contains(key));
        keys.filter_map(|key| Some((*key, self.get(key)?.span()))).collect()
    }

    /// Whether a list is missing or empty.
    pub(super) fn lacks(&self, key: &str) -> bool {
        self.get(key).is_none_or(|value| value.get_ref().as_array().is_some_and(|list| list.is_empty()))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Text> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            let type_name = value.get_ref().type_str();
            let message = format!("{key} in {} is of type {type_name}; write a string in quotes", self.name);
            self.problems.add(&value.span(), message);
        }
        text.map(|text| Spanned::new(value.span(), text.to_owned()))
    }

    pub(super) fn required(&mut self, key: &'static str) -> Option<Text> {
        let text = self.text(key);
        if self.get(key).is_none() {
            self.problems.add(&self.span, format!("the {} has no {key}; add {key} = \"...\"", self.name));
        }
        text
    }

    /// A truth value.
    pub(super) fn switch(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        let value = self.value(key)?;
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            let type_name = value.get_ref().type_str();
            let message = format!("{key} in {} is of type {type_name}; write true or false, without quotes", self.name);
            self.problems.add(&value.span(), message);
        }
        switch.map(|switch| Spanned::new(value.span(), switch))
    }

    /// A whole number that is not negative; one too large for 64 bits is the largest.
    pub(super) fn number(&mut self, key: &'static str) -> Option<Number> {
        let value = self.value(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            let type_name = value.get_ref().type_str();
            let message = format!("{key} in {} is of type {type_name}; write a number, without quotes", self.name);
            self.problems.add(&value.span(), message);
            return None;
        };
        if integer.as_str().starts_with('-') {
            let message =
                format!("{key} in {} cannot be {}; write a number from 0 on", self.name, quote(integer.as_str()));
            self.problems.add(&value.span(), message);
            return None;
        }
        // The parser has seen that these are digits.
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(u64::MAX);
        Some(Spanned::new(value.span(), number))
    }

    /// A list of strings, or one string for a list of one.
    pub(super) fn text_or_texts(&mut self, key: &'static str) -> Option<Vec<Text>> {
        if self.get(key).is_some_and(|value| value.get_ref().is_str()) {
            return self.text(key).map(|text| vec![text]);
        }
        self.texts(key)
    }

    /// A list of strings, without the entries that are none; `None` where there is no list.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Text>> {
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

    pub(super) fn table(&mut self, key: &'static str) -> Option<Part<'a, 'i>> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problems.add(&value.span(), format!("{key} is not a section; write [{key}] once"));
        }
        Some((table?, value.span()))
    }

    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Part<'a, 'i>> {
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
    pub(super) fn finish(self) {
        for (key, _) in self.table {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if self.known.contains(&name) {
                continue;
            }
            let section = self.name;
            let quoted = quote(name);
            let message = if let Some(near) = nearest(name, self.known.iter().copied()) {
                format!("unknown key {quoted} in {section}; did you mean {near:?}?")
            } else {
                format!("unknown key {quoted} in {section}; remove it, known keys are {}", self.known.join(", "))
            };
            self.problems.add(&span, message);
        }
    }
}
