//! The kernel engine: loads program instances that share one set of maps, attaches them, runs frames through them.

mod array;
mod attach;
mod egress;
mod external;
mod layout;
mod maps;
mod sys;
mod test_run;

use std::io;

use anyhow::{Context, Result};
use aya::{Ebpf, EbpfLoader, util::nr_cpus};
use aya_log::EbpfLogger;
use sensor_ebpf::abi::{Settings, map_name};
use tokio::io::{Interest, unix::AsyncFd};

use self::sys::DetachedBpffs;
pub use self::{
    attach::{Attachment, Buffers, Hook, interface_index},
    egress::{EgressFilter, EgressHook, EgressLink, remove_egress_filter},
    layout::Layout,
    maps::SharedMaps,
    test_run::{MAX_FRAME_LEN, MIN_FRAME_LEN, TestRun},
};
use crate::{
    collect::{Meter, Reading},
    prefix::{PrefixSet, Trie},
};

/// The object as built from `sensor-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SENSOR_EBPF_OBJECT"));

/// Where the read-only constants of an instance stand in the object.
const SETTINGS: &str = map_name::SETTINGS;
/// aya's own constant: what the program logs at all.
const LOG_LEVEL: &str = "AYA_LOG_LEVEL";

/// Programs in the kernel and the maps they count in.
pub struct Kernel {
    instances: Vec<Instance>,
    maps: SharedMaps,
    /// Keeps the shared maps findable for instances to come.
    _pins: DetachedBpffs,
}

/// One copy of the programs, with constants of its own.
pub struct Instance {
    ebpf: Ebpf,
}

impl Kernel {
    /// Loads one instance for each of `interfaces` interfaces and puts the table of `set` in force.
    ///
    /// # Errors
    /// Missing rights, a kernel that refuses a map or program, or no memory for them.
    pub fn load(set: &PrefixSet, trie: &Trie, interfaces: u32) -> Result<Self> {
        Self::load_instances(set, trie, interfaces, false)
    }

    /// Loads one instance whose lengths come from the capture.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_for_replay(set: &PrefixSet, trie: &Trie) -> Result<Self> {
        Self::load_instances(set, trie, 1, true)
    }

    fn load_instances(set: &PrefixSet, trie: &Trie, interfaces: u32, replay: bool) -> Result<Self> {
        let pins = DetachedBpffs::new().map_err(explain_rights)?;
        let layout = Layout::new(trie, set.len(), cpus()?, interfaces);
        let load = |interface| Instance::load(&pins, &layout, layout.settings(interface, false, replay));
        let first = load(0)?;
        let mut maps = SharedMaps::open(&first.ebpf, layout, !replay)?;
        maps.publish(trie)?;
        let mut instances = vec![first];
        for interface in 1..interfaces {
            instances.push(load(interface)?);
        }
        Ok(Self { instances, maps, _pins: pins })
    }

    /// The instance of interface number `interface`, as counted when loading.
    ///
    /// # Errors
    /// There is no such instance.
    pub fn instance(&mut self, interface: usize) -> Result<&mut Instance> {
        let loaded = self.instances.len();
        self.instances
            .get_mut(interface)
            .with_context(|| format!("no program instance {interface}: only {loaded} were loaded"))
    }

    /// The maps, to put another table in force.
    pub fn maps(&mut self) -> &mut SharedMaps {
        &mut self.maps
    }
}

impl Meter for Kernel {
    fn read(&mut self) -> Result<Reading> {
        self.maps.read(|| ()).map(|(reading, ())| reading)
    }
}

impl Instance {
    fn load(pins: &DetachedBpffs, layout: &Layout, settings: Settings) -> Result<Self> {
        let directory = pins.path();
        let log_level = program_log_level();
        let mut loader = EbpfLoader::new();
        for (name, entries) in layout.entries() {
            loader.map_max_entries(name, entries).map_pin_path(name, directory.join(name));
        }
        let ebpf = loader
            .override_global(SETTINGS, bytemuck::bytes_of(&settings), true)
            .override_global(LOG_LEVEL, &log_level, false)
            .load(OBJECT)
            .context("cannot create the maps of the eBPF object; `sensor check` names what is missing")?;
        Ok(Self { ebpf })
    }

    /// Loads the programs of these hooks without attaching them, and says for what frames. Loading takes a good part of a second,
    /// which should not lie between two attachments.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load_all(&mut self, hooks: impl IntoIterator<Item = Hook>) -> Result<Buffers> {
        let mut buffers = Buffers::Several;
        for hook in hooks {
            if self.program(hook, Buffers::Several).is_err() {
                buffers = Buffers::One;
                self.program(hook, Buffers::One)?;
            }
        }
        Ok(buffers)
    }

    /// Forwards what the programs of this instance log to tracing, from now on; needs a tokio runtime. To be called after
    /// attaching: programs can no longer be loaded once their log is being read.
    ///
    /// # Errors
    /// The log buffer cannot be mapped.
    pub fn forward_log(&mut self) -> Result<()> {
        if program_log_level() == 0 {
            return Ok(());
        }
        let logger = EbpfLogger::init(&mut self.ebpf).context("cannot read the log of the eBPF programs")?;
        // SAFETY: the logger owns its descriptor and keeps it open as long as it lives, which is within the `AsyncFd`.
        let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let mut logger = logger.context("cannot wait for the log of the eBPF programs")?;
        tokio::spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                // In this order: a message that comes while the buffer is being emptied makes it ready again.
                guard.clear_ready();
                guard.get_inner_mut().flush();
            }
        });
        Ok(())
    }
}

/// Whether this process may load programs. Being root is not enough in a container, so the first step of it is tried.
pub fn may_load() -> bool {
    DetachedBpffs::new().is_ok()
}

/// CPUs that may ever count, which is more than are online where more can be plugged in.
///
/// # Errors
/// The kernel does not say.
pub fn cpus() -> Result<u32> {
    let cpus = nr_cpus().map_err(|(_, error)| error).context("cannot count the CPUs")?;
    Ok(cpus as u32)
}

/// Levels of `aya_log_common::Level`: the program's only messages are at debug, so below that it carries no logging code at all.
fn program_log_level() -> u8 {
    const DEBUG: u8 = 4;
    if tracing::enabled!(target: "sensor_bpf", tracing::Level::DEBUG) { DEBUG } else { 0 }
}

fn explain_rights(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(libc::EPERM) => anyhow::anyhow!(
            "the kernel engine needs root (CAP_SYS_ADMIN): run it with sudo; `sensor replay --engine native` needs no rights"
        ),
        Some(libc::ENOSYS | libc::ENODEV) => {
            anyhow::anyhow!("this kernel has no BPF file system: it needs Linux 5.10 with CONFIG_BPF_SYSCALL")
        }
        _ => anyhow::Error::new(error).context("cannot make a BPF file system"),
    }
}
