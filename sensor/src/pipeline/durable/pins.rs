//! Pins that vanish while the agent runs: it goes on counting, and what they kept would end with it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::Durable;

impl Durable {
    /// Looks whether what is counted in is still pinned, links at these places; says once of each pin that it is not, and what to do.
    pub(in super::super) fn look_after_pins(&mut self, links: &BTreeSet<PathBuf>) {
        let maps = self.current.iter().flat_map(|epoch| self.pins.maps(*epoch));
        let gone: BTreeSet<PathBuf> = maps.chain(links.iter().cloned()).filter(|pin| is_gone(pin)).collect();
        let mut new = gone.difference(&self.unpinned);
        if let Some(first) = new.next() {
            let more = match new.count() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            tracing::error!(
                "somebody removed the pin {}{more}: counting goes on, and will not outlive this agent; restart it, which pins anew \
                 and misses what is sent and received meanwhile",
                first.display()
            );
        }
        self.unpinned = gone;
    }
}

/// Where that cannot be told, nothing is said.
fn is_gone(pin: &Path) -> bool {
    pin.try_exists().is_ok_and(|exists| !exists)
}
