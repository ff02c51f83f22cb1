//! The constants of this instance.

use sensor_ebpf::abi::Settings;

/// Set by the loader before the program is verified; volatile, or the compiler would take these zeros for the truth.
#[unsafe(no_mangle)]
pub(super) static SETTINGS: Settings = Settings {
    ledger_slot: 0,
    slice_mask: 0,
    prefix_capacity: 0,
    root_bits_v4: 0,
    root_bits_v6: 0,
    roots: 0,
    replay: 0,
    internal: 0,
    shared: 1,
    deferred: 0,
    interface: 0,
    tap: 0,
    flow_sets: 0,
    open_entries: 0,
    breakdown_rows: 0,
    counterpart_rows: 0,
    networks: 0,
    idle: 0,
};

/// A setting, by its name.
macro_rules! setting {
    ($field:ident) => {{
        // SAFETY: a static is always readable; the kernel froze it before the first run.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::maps::settings::SETTINGS.$field) }
    }};
}

/// Whether lengths come from the metadata before the frame.
#[inline(always)]
pub(in crate::kernel) fn is_replay() -> bool {
    setting!(replay) != 0
}

/// Whether something else may add to the counters of this CPU's slice at the same time.
#[inline(always)]
pub(super) fn shared() -> bool {
    setting!(shared) != 0
}

pub(super) use setting;
