//! Which time an archive of flows covers. Pure.

use std::collections::BTreeMap;

/// Times, in seconds, that do not touch each other; silence that is no longer than `silence` is in them.
#[derive(Clone, Debug)]
pub(super) struct Cover {
    silence: i64,
    runs: BTreeMap<i64, i64>,
    /// What came to them since it was last taken.
    news: BTreeMap<i64, i64>,
}

impl Cover {
    pub(super) fn new(silence: i64) -> Self {
        Self { silence, runs: BTreeMap::new(), news: BTreeMap::new() }
    }

    /// Adds a time, the end excluded.
    pub(super) fn add(&mut self, start: i64, end: i64) {
        let (mut from, mut to) = (start, end);
        // From the last run that is not behind it, back to the first that it reaches.
        let mut joined = Vec::new();
        for (first, last) in self.runs.range(..=end.saturating_add(self.silence)).rev() {
            if last.saturating_add(self.silence) < start {
                break;
            }
            if *first <= start && *last >= end {
                return;
            }
            (from, to) = (from.min(*first), to.max(*last));
            joined.push((*first, *last));
        }
        let mut at = from;
        for (first, last) in joined.into_iter().rev() {
            self.runs.remove(&first);
            self.tell(at, first);
            at = last;
        }
        self.tell(at, to);
        self.runs.insert(from, to);
    }

    /// What came to it, in order; what touches is one.
    pub(super) fn take(&mut self) -> Vec<(i64, i64)> {
        let mut taken: Vec<(i64, i64)> = Vec::new();
        for (start, end) in std::mem::take(&mut self.news) {
            match taken.last_mut().filter(|(_, last)| *last == start) {
                Some((_, last)) => *last = end,
                None => taken.push((start, end)),
            }
        }
        taken
    }

    /// All of it, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = (i64, i64)> {
        self.runs.iter().map(|(start, end)| (*start, *end))
    }

    /// Where it ends.
    pub(super) fn end(&self) -> i64 {
        self.runs.last_key_value().map_or(0, |(_, end)| *end)
    }

    fn tell(&mut self, start: i64, end: i64) {
        if start >= end {
            return;
        }
        // Most of it follows what came before: then that is longer.
        if let Some(mut last) = self.news.last_entry()
            && *last.get() == start
        {
            *last.get_mut() = end;
            return;
        }
        self.news.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn silence_is_covered_and_a_gap_is_not() {
        let mut cover = Cover::new(10);
        for (start, end) in [(100, 105), (115, 116), (127, 130), (50, 51)] {
            cover.add(start, end);
        }
        assert_eq!(cover.runs().collect::<Vec<_>>(), [(50, 51), (100, 116), (127, 130)]);
        assert_eq!(cover.take(), [(50, 51), (100, 116), (127, 130)]);
        // What lies between them joins them, and what is new is told once.
        cover.add(110, 120);
        assert_eq!(cover.runs().collect::<Vec<_>>(), [(50, 51), (100, 130)]);
        assert_eq!(cover.take(), [(116, 127)]);
        cover.add(101, 129);
        assert_eq!(cover.take(), []);
        assert_eq!(cover.end(), 130);
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_is_covered(
            times in prop::collection::vec((0_i64..300, 1_i64..20), 1..30),
            silence in 0_i64..8,
            every in 1_usize..5,
        ) {
            let mut cover = Cover::new(silence);
            let (mut seconds, mut told) = (vec![false; 400], vec![0; 400]);
            for (place, (start, length)) in times.iter().enumerate() {
                cover.add(*start, start + length);
                (*start..start + length).for_each(|second| seconds[second as usize] = true);
                if place % every == 0 {
                    for (start, end) in cover.take() {
                        (start..end).for_each(|second| told[second as usize] += 1);
                    }
                }
            }
            for (start, end) in cover.take() {
                (start..end).for_each(|second| told[second as usize] += 1);
            }
            // The model: silence between two covered seconds is covered where it is short enough.
            let mut last = None;
            for second in 0..400 {
                if !seconds[second] {
                    continue;
                }
                if let Some(last) = last && (second - last - 1) as i64 <= silence {
                    (last..second).for_each(|between| told[between] -= i32::from(between > last && !seconds[between]));
                }
                told[second] -= 1;
                last = Some(second);
            }
            prop_assert!(told.iter().all(|left| *left == 0), "{told:?}");
        }
    }
}
