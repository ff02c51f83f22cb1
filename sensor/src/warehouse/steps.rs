//! Intervals by the steps that they cover, in the words of ClickHouse: what a store does when it writes, a warehouse does when it is asked.

use std::ops::Range;

use jiff::Timestamp;

use crate::study::MINUTE;

/// Of what is no longer than the finest step, all is in the step in which it began.
const LONGEST_SHORT: i64 = MINUTE * 1000;

/// Milliseconds since 1970.
const START: &str = "toUnixTimestamp64Milli(start)";
const END: &str = "toUnixTimestamp64Milli(end)";
const LENGTH: &str = "(toUnixTimestamp64Milli(end) - toUnixTimestamp64Milli(start))";

/// Steps of so many seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps(pub(super) i64);

impl Steps {
    /// The rows of a table, each as often as it covers steps, the beginning of which is `step`, in seconds since 1970. What follows is a condition.
    pub(super) fn rows(self, table: &str, time: &Range<Timestamp>) -> String {
        let (seconds, millis) = (self.0, self.0 * 1000);
        let at = |at: Timestamp| format!("fromUnixTimestamp64Milli({})", at.as_millisecond());
        format!(
            "{table} FINAL ARRAY JOIN if({LENGTH} > {LONGEST_SHORT}, \
             range(intDiv({START}, {millis}) * {seconds}, intDiv({END} - 1, {millis}) * {seconds} + 1, {seconds}), \
             [intDiv({START}, {millis}) * {seconds}]) AS step WHERE start < {} AND end >= {}",
            at(time.end),
            at(time.start)
        )
    }

    /// What of a row's number came in its `step`, were it to have come evenly. All steps of a row add up to it: each is what had come until its end without
    /// what had come until its beginning.
    pub(super) fn part(self, number: &str) -> String {
        let until = |step: String| {
            let passed = format!("least(greatest({step} * 1000 - {START}, 0), {LENGTH})");
            format!("toInt64(intDiv(toInt128({number}) * {passed}, greatest({LENGTH}, 1)))")
        };
        let (from, to) = (until("step".to_owned()), until(format!("(step + {})", self.0)));
        format!("if({LENGTH} > {LONGEST_SHORT}, {to} - {from}, toInt64({number}))")
    }
}

/// The last millisecond of a row, in milliseconds since 1970.
pub(super) fn last() -> String {
    format!("if({LENGTH} > {LONGEST_SHORT}, {END} - 1, {START})")
}
