//! Numbered steps, each with what came out and the time it took.
#![expect(clippy::print_stdout, reason = "the steps are what a task prints")]

use std::time::Instant;

use anyhow::{Context as _, Result};

/// The steps of one task.
pub struct Steps {
    task: &'static str,
    total: usize,
    done: usize,
    started: Instant,
}

impl Steps {
    /// Begins `task`, which has `total` steps.
    pub fn new(task: &'static str, total: usize) -> Self {
        Self { task, total, done: 0, started: Instant::now() }
    }

    /// Runs one step; `work` may return a remark, printed with the time.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        self.done += 1;
        println!("[{} {}/{}] {name}", self.task, self.done, self.total);
        let started = Instant::now();
        let (value, remark) = work().with_context(|| format!("{}: {name}", self.task))?;
        println!("      {remark} ({:.1} s)", started.elapsed().as_secs_f64());
        Ok(value)
    }

    /// Ends the task with its whole time.
    pub fn finish(self) {
        println!("[{}] done in {:.1} s", self.task, self.started.elapsed().as_secs_f64());
    }
}
