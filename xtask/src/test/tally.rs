//! Adds up what the test binaries report.

use std::{collections::BTreeSet, fmt};

/// How a test says on its own line that it could not run here: `SKIP <name>: <reason>`.
const SKIP: &str = "SKIP ";

/// Totals over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    ok: u64,
    failed: u64,
    ignored: u64,
    skips: BTreeSet<String>,
}

impl Tally {
    /// Takes one line of a test binary's output.
    pub(super) fn read_line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.ok += count(result, "passed");
            self.failed += count(result, "failed");
            self.ignored += count(result, "ignored");
        } else if let Some(skip) = line.strip_prefix(SKIP) {
            self.skips.insert(skip.trim_end().to_owned());
        }
    }

    /// Notes a cargo run that ended badly; `failed_before` is the count before it.
    ///
    /// A crash or a compile error leaves no result line, and must not pass for success.
    pub(super) fn ended_badly(&mut self, failed_before: u64) {
        if self.failed == failed_before {
            self.failed += 1;
        }
    }

    /// Tests that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Tests that ran to a good end; one that said it skipped is good for the harness but did not test.
    pub(super) fn passed(&self) -> u64 {
        self.ok.saturating_sub(self.skips.len() as u64)
    }

    /// What was skipped and why, sorted.
    pub(super) fn skips(&self) -> impl Iterator<Item = &str> {
        self.skips.iter().map(String::as_str)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.ignored + self.skips.len() as u64;
        write!(formatter, "sensor: {} passed, {} failed, {skipped} skipped", self.passed(), self.failed)
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; 1 ignored; ..`.
fn count(result: &str, word: &str) -> u64 {
    let mut words = result.split([' ', ';']).filter(|word| !word.is_empty()).peekable();
    while let Some(number) = words.next() {
        if words.peek() == Some(&word) {
            return number.parse().unwrap_or(0);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read_line(line));
        tally
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let sum = tally(
            "running 3 tests\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: FAILED. 120 passed; 3 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.20s\n",
        );
        assert_eq!(sum.to_string(), "sensor: 122 passed, 3 failed, 1 skipped");
    }

    #[test]
    fn a_skipped_test_has_not_passed() {
        let sum = tally(
            "---- netns::attach stdout ----\nSKIP netns::attach: no network namespaces here\n\
             test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(sum.to_string(), "sensor: 3 passed, 0 failed, 1 skipped");
        assert_eq!(sum.skips().collect::<Vec<_>>(), ["netns::attach: no network namespaces here"]);
    }

    #[test]
    fn a_crash_without_a_result_counts_once() {
        let mut sum = tally("running 1 test\n");
        sum.ended_badly(0);
        assert_eq!(sum.failed(), 1);
        sum.read_line("test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        sum.ended_badly(1);
        assert_eq!(sum.failed(), 3);
    }
}
