//! Over a veth pair: a generator of live frames on one core, which also runs everything up to the program under test.
use std::path::Path;

use anyhow::Result;

use super::report::Report;

/// All targets in turn.
pub(crate) fn run(_object: &Path, _rounds: usize, _report: &mut Report) -> Result<()> {
    Ok(())
}
