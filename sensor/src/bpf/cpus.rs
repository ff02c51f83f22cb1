//! CPUs that count, and whether two of them may count in one place.

use std::fs;

use anyhow::{Context as _, Result};

/// The CPUs that may ever be there (kernel, Documentation/admin-guide/cputopology.rst).
const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

/// CPUs that may ever count, by the highest of their numbers: more than are online where more can be plugged in.
///
/// # Errors
/// The kernel does not say.
pub fn cpus() -> Result<u32> {
    // Their numbers may have gaps, and it is by number that they count.
    let possible = fs::read_to_string(POSSIBLE_CPUS).with_context(|| format!("cannot read {POSSIBLE_CPUS}"))?;
    let highest = possible.trim().rsplit([',', '-']).next().and_then(|number| number.parse::<u32>().ok());
    highest.map(|highest| highest + 1).with_context(|| format!("{POSSIBLE_CPUS}: {possible:?} is no list of CPUs"))
}

/// Whether counters in so many slices must be added to atomically. Programs run with softirqs off, so nothing else counts on their CPU
/// meanwhile; but with PREEMPT_RT a program may be interrupted by another one.
pub(super) fn is_shared(slices: u32) -> Result<bool> {
    Ok(is_realtime() || cpus()? > slices)
}

/// Whether the kernel is PREEMPT_RT, or does not say.
fn is_realtime() -> bool {
    const VERSION: &str = "/proc/sys/kernel/version";
    fs::read_to_string(VERSION).map_or(true, |version| version.contains("PREEMPT_RT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_share_counters_where_slices_are_fewer() {
        let slices = cpus().unwrap().next_power_of_two();
        assert_eq!(is_shared(slices).unwrap(), is_realtime());
        assert!(slices == 1 || is_shared(slices / 2).unwrap());
    }
}
