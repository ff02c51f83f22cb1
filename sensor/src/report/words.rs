//! What the numbers say, in sentences.

use crate::study::Study;

/// The headline sentences.
pub(super) fn sentences(study: &Study) -> Vec<String> {
    let volume = &study.volume;
    let mut sentences = vec![format!("{} bytes were exchanged.", volume.bytes)];
    if let Some(growth) = volume.growth_rate_percent {
        sentences.push(format!("Traffic per second changed by {growth:+.1} %."));
    }
    sentences
}
