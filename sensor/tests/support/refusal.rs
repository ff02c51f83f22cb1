//! What a refusal looks like: one line that says what and where, nothing on standard output.

use super::command::Run;

/// A command that failed with one line holding all of `parts`.
pub(crate) fn refused(what: &str, run: &Run, parts: &[&str]) {
    assert_eq!(run.status, Some(1), "{what}: {run:?}");
    assert_eq!(run.stdout, "", "{what}");
    one_line(what, &run.stderr, parts);
}

/// The last words of a command, alone.
pub(crate) fn one_line(what: &str, stderr: &str, parts: &[&str]) {
    assert_eq!(stderr.lines().count(), 1, "{what}: {stderr}");
    assert!(stderr.starts_with("sensor: ") && stderr.ends_with('\n'), "{what}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{what}: {part:?} is missing: {stderr}");
    }
}
