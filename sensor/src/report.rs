//! A study for people: a page, or text. Pure: nothing but the study is read.

mod markdown;
mod page;
mod plot;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod words;

use crate::study::Study;

/// As one self-contained page: no other file, no network and no script is needed to read it.
pub fn html(study: &Study) -> String {
    page::page(study)
}

/// As text for a ticket.
pub fn markdown(study: &Study) -> String {
    markdown::markdown(study)
}
