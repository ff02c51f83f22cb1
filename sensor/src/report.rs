//! A study for people: a page, or text.

mod words;

use crate::study::Study;

/// As one self-contained page.
pub fn html(study: &Study) -> String {
    markdown(study)
}

/// As text for a ticket.
pub fn markdown(study: &Study) -> String {
    let sentences = words::sentences(study);
    let mut text = format!("# {}: {} to {}\n\n", study.network, study.period.first(), study.period.last());
    for sentence in sentences {
        text.push_str(&format!("- {sentence}\n"));
    }
    text
}
