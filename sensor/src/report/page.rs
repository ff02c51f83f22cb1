//! The page: findings, then each section with its figures and tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::{
    plot::{self, Plot},
    tables::{self, Cell, Section, Table},
    text, words,
};
use crate::study::Study;

const STYLE: &str = include_str!("page/style.css");
/// Makes tables sortable; without it nothing is missing from the page.
const SCRIPT: &str = include_str!("page/sort.js");
/// A table of more rows scrolls in a box of its own.
const LONG: usize = 14;
/// A cell with no more letters than this is not broken into lines.
const SHORT: usize = 28;

pub(super) fn page(study: &Study) -> String {
    let network = text::name(&study.network);
    let title = format!("{network}, {} to {}", study.period.first(), study.period.last());
    let sections = tables::sections(study);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { "Network study: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (plot::patterns())
                a.skip href="#findings" { "To the findings" }
                header {
                    p.kind { "Network study" }
                    h1 { bdi { (network) } }
                    (periods(study))
                }
                nav aria-label="Sections" {
                    ul {
                        li { a href="#findings" { "Findings" } }
                        @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } }
                    }
                }
                main {
                    (findings(study, &sections))
                    @for section in &sections { (self::section(section, study)) }
                }
                footer {
                    p {
                        "Made by sensor " (study.provenance.sensor_version) ". Bytes are those of IP packets, in both directions; a share is of \
                         all bytes of the network in its period. " b { "Period" } " is what was studied, " b { "baseline" } " what it is compared with."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn periods(study: &Study) -> Markup {
    html! {
        dl.periods {
            div {
                dt { (plot::swatch(plot::Mark::Period)) " Period" }
                dd { (study.period.first()) " to " (study.period.last()) }
            }
            div {
                dt { (plot::swatch(plot::Mark::Baseline)) " Baseline" }
                dd { (study.baseline.first()) " to " (study.baseline.last()) }
            }
            div {
                dt { "Time zone" }
                dd { (text::name(&study.profile.timezone)) }
            }
        }
    }
}

/// Numbers are not torn from their units.
fn unbroken(text: &str) -> String {
    let mut unbroken = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut last = ' ';
    while let Some(letter) = letters.next() {
        let is_unit =
            letters.peek().is_some_and(|next| matches!(next, '%' | 'k' | 'M' | 'G' | 'T' | 'P' | 'E' | 'B' | '×'));
        unbroken.push(if letter == ' ' && last.is_ascii_digit() && is_unit { '\u{a0}' } else { letter });
        last = letter;
    }
    unbroken
}

fn findings(study: &Study, sections: &[Section]) -> Markup {
    let topic = |id: &str| sections.iter().find(|section| section.id == id).map_or("", |section| section.title);
    html! {
        section #findings aria-labelledby="heading-findings" {
            h2 #heading-findings { "Findings" }
            ol.findings {
                @for sentence in words::sentences(study) {
                    li {
                        p.figure { span.topic { (topic(sentence.section)) } (unbroken(&sentence.figure)) }
                        p.said {
                            (unbroken(&sentence.text)) " "
                            a href={ "#" (sentence.section) } aria-label={ "Numbers: " (topic(sentence.section)) } { "Numbers" }
                        }
                    }
                }
            }
        }
    }
}

fn section(section: &Section, study: &Study) -> Markup {
    let heading = format!("heading-{}", section.id);
    let is_list = section.notes.len() > 1;
    html! {
        section id=(section.id) aria-labelledby=(heading) {
            h2 id=(heading) { (section.title) }
            @for sentence in words::sentences(study).iter().filter(|sentence| sentence.section == section.id) {
                p.said { (unbroken(&sentence.text)) }
            }
            @for plot in plot::plots(section.id, study) { (figure(&plot)) }
            @if is_list { ul.notes { @for note in &section.notes { li { (note) } } } }
            @else { @for note in &section.notes { p.note { (note) } } }
            @for table in &section.tables { (self::table(table)) }
        }
    }
}

fn figure(plot: &Plot) -> Markup {
    let caption = format!("caption-{}", plot.id);
    html! {
        figure id={ "figure-" (plot.id) } aria-labelledby=(caption) {
            div.drawings role="group" tabindex="0" aria-labelledby=(caption) {
                @for drawing in &plot.drawings { (drawing) }
            }
            ul.legend aria-label="Legend" {
                @for (mark, meaning) in &plot.legend { li { (plot::swatch(*mark)) " " (meaning) } }
            }
            figcaption id=(caption) { (plot.caption) }
        }
    }
}

fn table(table: &Table) -> Markup {
    let caption = format!("caption-table-{}", table.id);
    let is_number =
        |column: usize| table.rows.iter().any(|row| row.get(column).is_some_and(|cell| cell.value.is_some()));
    let numbers: Vec<bool> = (0..table.head.len()).map(is_number).collect();
    html! {
        div.scroll.long[table.rows.len() > LONG] role="region" tabindex="0" aria-labelledby=(caption) {
            table id={ "table-" (table.id) } {
                caption id=(caption) { (table.caption) }
                thead {
                    tr {
                        @for (name, number) in table.head.iter().zip(&numbers) { th.number[*number] scope="col" { (name) } }
                    }
                }
                tbody {
                    @if table.rows.is_empty() { tr { td colspan=(table.head.len()) { "none" } } }
                    @for row in &table.rows {
                        tr { @for (place, (value, number)) in row.iter().zip(&numbers).enumerate() { (cell(value, *number, place == 0)) } }
                    }
                }
            }
        }
    }
}

fn cell(cell: &Cell, is_number: bool, is_first: bool) -> Markup {
    let value = cell.value.filter(|value| value.is_finite());
    let is_short = cell.text.chars().count() <= SHORT;
    html! {
        @if is_first {
            th.number[is_number].short[is_short] scope="row" data-value=[value] { (cell.text) }
        } @else {
            td.number[is_number].short[is_short] data-value=[value] { (cell.text) }
        }
    }
}

/// Nothing is loaded from anywhere, and no script runs but this one, whatever names the page tells.
fn policy() -> String {
    let hash = base64(&Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            (0..3).fold(0_usize, |word, place| word << 8 | usize::from(chunk.get(place).copied().unwrap_or_default()));
        for place in 0..4 {
            let letter = char::from(LETTERS[word >> (18 - 6 * place) & 63]);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        // RFC 4648, section 10.
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
