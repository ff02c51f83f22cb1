//! A word to whoever waits at a terminal.

use std::{
    io::{self, IsTerminal as _},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How long nobody wonders.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the line is drawn anew.
const RATE: Duration = Duration::from_secs(1);

/// Does some work. Where that takes long and standard error is a terminal, a line there says what is being done, and for how long; it is gone when the work is done.
pub(super) fn with_patience<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (done, wait) = channel();
        scope.spawn(move || {
            let mut line: Option<ProgressBar> = None;
            watch(&wait, (PATIENCE, RATE), || line.get_or_insert_with(|| bar(what)).tick());
            if let Some(line) = line {
                line.finish_and_clear();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_elapsed(PATIENCE).with_message(what.to_owned());
    let style = ProgressStyle::with_template("{spinner} {msg}: {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Calls `tell` after some patience, and then at a rate, until the other end of `wait` is gone.
fn watch(wait: &Receiver<()>, (patience, rate): (Duration, Duration), mut tell: impl FnMut()) {
    let mut next = patience;
    while wait.recv_timeout(next) == Err(RecvTimeoutError::Timeout) {
        tell();
        next = rate;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[test]
    fn nothing_is_said_of_what_is_done_at_once() {
        let (done, wait) = channel();
        drop(done);
        let mut said = 0;
        watch(&wait, (Duration::from_secs(3600), SHORT), || said += 1);
        assert_eq!(said, 0);
    }

    #[test]
    fn what_takes_long_is_said_at_a_rate() {
        let (done, wait) = channel();
        let (begin, mut done, mut said) = (Instant::now(), Some(done), 0);
        watch(&wait, (10 * SHORT, SHORT), || {
            said += 1;
            if said == 4 {
                done.take();
            }
        });
        assert_eq!(said, 4);
        assert!(begin.elapsed() >= 13 * SHORT, "{:?}", begin.elapsed());
    }
}
