//! Where maps and links are pinned: one folder of the BPF file system for each instance of the sensor, for its owner alone.
//!
//! ```text
//! <bpffs>/sensor/<instance>/<epoch>/<map>              the shared maps of one life of the counters
//! <bpffs>/sensor/<instance>/links/<interface>-<hook>   what is attached
//! ```

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use sensor_ebpf::abi::map_name;

use super::{pinned::PinnedSet, sys};
use crate::epoch::Epoch;

/// The sensor's folder in it.
const SENSOR: &str = "sensor";
/// Folder of the links within that of an instance.
const LINKS: &str = "links";
/// Nobody but root opens a pin: whoever can open a link can take the program off its interface.
const OWNER_ONLY: u32 = 0o700;

/// The pins of one instance, held against every other agent by a lock on their folder.
#[derive(Debug)]
pub struct InstanceDir {
    path: PathBuf,
    _lock: File,
}

impl InstanceDir {
    /// Makes and locks the folder of `instance` in the BPF file system mounted at `bpffs`.
    ///
    /// # Errors
    /// No BPF file system there, no rights, or another agent holds the instance; each with what to do.
    pub fn open(bpffs: &Path, instance: &str) -> Result<Self> {
        check_bpffs(bpffs)?;
        let path = bpffs.join(SENSOR).join(pin_name(instance));
        make(&path.join(LINKS))?;
        let cannot_open = || format!("cannot open {}", path.display());
        let lock = File::open(&path).with_context(cannot_open)?;
        match lock.try_lock() {
            // Whoever had it may have removed the folder meanwhile: what is locked then is not what others will find.
            Ok(()) => match fs::metadata(&path) {
                Ok(found) if found.ino() == lock.metadata().with_context(cannot_open)?.ino() => {
                    make(&path.join(LINKS))?;
                    Ok(Self { path, _lock: lock })
                }
                _ => bail!("{} was removed this very moment: start again", path.display()),
            },
            Err(TryLockError::WouldBlock) => Err(anyhow!(
                "another agent holds instance {instance:?} ({}): stop it, or give this one another [sensor] id",
                path.display()
            )),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// The sets of maps that are pinned, whatever their state: each is a folder.
    ///
    /// # Errors
    /// The folder or a set cannot be read.
    pub fn sets(&self) -> Result<Vec<PinnedSet>> {
        let names = entries(&self.path)?;
        let paths = names.into_iter().filter(|name| name != LINKS).map(|name| self.path.join(name));
        paths.filter(|path| path.is_dir()).map(PinnedSet::look).collect()
    }

    /// Where the shared maps of `epoch` are pinned.
    pub fn maps(&self, epoch: Epoch) -> impl Iterator<Item = PathBuf> + use<> {
        let set = self.path.join(epoch.to_string());
        map_name::SHARED.into_iter().map(move |name| set.join(name))
    }

    /// Makes the folder for the maps of `epoch`.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn make_set(&self, epoch: Epoch) -> Result<PathBuf> {
        let path = self.path.join(epoch.to_string());
        make(&path)?;
        Ok(path)
    }

    /// Removes a set; its maps go with the last program that counts in them.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn remove_set(&self, set: &PinnedSet) -> Result<()> {
        let path = set.path();
        // First what makes it worth taking over: a set of which a part is left counts for nothing.
        remove(&path.join(map_name::CONTROL))?;
        for name in entries(path)? {
            remove(&path.join(name))?;
        }
        fs::remove_dir(path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Where the link of a hook of an interface is pinned.
    pub fn link(&self, interface: &str, hook: &str) -> PathBuf {
        self.path.join(LINKS).join(format!("{}-{hook}", pin_name(interface)))
    }

    /// All pinned links.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn links(&self) -> Result<Vec<PathBuf>> {
        let links = self.path.join(LINKS);
        Ok(entries(&links)?.into_iter().map(|name| links.join(name)).collect())
    }

    /// Detaches what a pinned link has attached, and removes its pin.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_link(&self, path: &Path) -> Result<()> {
        remove_link(path)
    }

    /// Removes the folder, which must be empty but for that of the links.
    ///
    /// # Errors
    /// Something is still pinned.
    pub fn remove(&self) -> Result<()> {
        for path in [self.path.join(LINKS), self.path.clone()] {
            fs::remove_dir(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        if let Some(sensor) = self.path.parent() {
            // The folder of all instances goes with the last one.
            let _ = fs::remove_dir(sensor);
        }
        Ok(())
    }
}

/// Whether the BPF file system is mounted at `path`.
///
/// # Errors
/// It is not; with the command that mounts it.
pub fn check_bpffs(path: &Path) -> Result<()> {
    let shown = path.display();
    match sys::is_bpffs(path) {
        Ok(true) => Ok(()),
        Ok(false) => bail!("{shown} is no BPF file system: `mount -t bpf bpf {shown}`"),
        Err(error) => {
            Err(error).context(format!("{shown}: no BPF file system: `mkdir -p {shown} && mount -t bpf bpf {shown}`"))
        }
    }
}

/// Detaches what a pinned link has attached: no program starts there any more when this returns. Removes the pin, too.
///
/// # Errors
/// The pin cannot be removed.
pub(super) fn remove_link(path: &Path) -> Result<()> {
    match sys::detach_link(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!("{}: detaches later: {error}", path.display());
        }
        _ => {}
    }
    remove(path)
}

/// Removes a pin; what it pinned lives on as long as something else holds it.
///
/// # Errors
/// It cannot be removed.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove the pin {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn make(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(path);
    made.with_context(|| format!("cannot make {}: run as root, or with CAP_BPF and CAP_NET_ADMIN", path.display()))
}

fn entries(path: &Path) -> Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let names: io::Result<Vec<String>> = fs::read_dir(path).and_then(|entries| entries.map(name).collect());
    names.with_context(|| format!("cannot read {}", path.display()))
}

/// A name as the BPF file system takes it, which knows no dots (`bpf_lookup` of the kernel).
fn pin_name(name: &str) -> String {
    let mut pin = String::new();
    for byte in name.bytes() {
        match byte {
            b'.' | b'%' | b'/' | 0 => pin += &format!("%{byte:02x}"),
            _ => pin.push(char::from(byte)),
        }
    }
    pin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_names_have_no_dots_and_stay_apart() {
        assert_eq!(pin_name("eth0"), "eth0");
        assert_eq!(pin_name("eth0.100"), "eth0%2e100");
        assert_eq!(pin_name("eth0%2e100"), "eth0%252e100");
        assert_eq!(pin_name("../x"), "%2e%2e%2fx");
    }
}
