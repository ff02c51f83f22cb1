//! Tests that need root, run by somebody else, say so and pass.

/// Whether `test` can run.
#[expect(clippy::print_stdout, reason = "how a test tells the test report that it skipped")]
pub(crate) fn is_root(test: &str) -> bool {
    let root = sensor::bpf::may_load();
    if !root {
        println!("SKIP {test}: needs root");
    }
    root
}
