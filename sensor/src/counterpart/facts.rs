//! What files say, row by row.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use super::{MAX_ROWS, RowProblem};
use crate::{cidr::Cidr, table_file::MAX_NAMES_LEN};

/// Number of a text; the first is 1.
pub(super) type TextId = NonZeroU32;

/// What one row says of a prefix. Millions are held while they are merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub(super) cidr: Cidr,
    /// Place of its file in the configuration: at the same prefix the earlier file holds.
    pub(super) file: u8,
    pub(super) country: Option<[u8; 2]>,
    pub(super) asn: Option<u32>,
    pub(super) as_name: Option<TextId>,
    pub(super) kind: Option<TextId>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) rows: Vec<Fact>,
    pub(super) texts: Texts,
}

impl Facts {
    pub(super) fn push(&mut self, fact: Fact) -> Result<(), RowProblem> {
        if self.rows.len() >= MAX_ROWS {
            return Err(RowProblem::TooMany);
        }
        self.rows.push(fact);
        Ok(())
    }
}

/// Different texts, each once: names are repeated for each prefix.
#[derive(Debug, Default)]
pub(super) struct Texts {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, TextId>,
    /// Bytes of all of them.
    len: usize,
}

impl Texts {
    /// The number of a text; `None` for an empty one.
    pub(super) fn intern(&mut self, text: &str) -> Result<Option<TextId>, RowProblem> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.numbers.get(text) {
            return Ok(Some(*known));
        }
        self.len += text.len();
        let number = u32::try_from(self.list.len() + 1).ok().and_then(TextId::new);
        let number = number.filter(|_| self.len <= MAX_NAMES_LEN).ok_or(RowProblem::TooManyNames)?;
        let text: Arc<str> = text.into();
        self.list.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Ok(Some(number))
    }

    /// The text of a number.
    pub(super) fn get(&self, number: TextId) -> Option<&Arc<str>> {
        self.list.get(number.get() as usize - 1)
    }
}
