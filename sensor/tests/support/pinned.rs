//! A BPF file system and a folder of state for one test, and the agent that uses them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Both, gone when dropped: what is pinned goes with the file system.
pub(crate) struct Keep {
    folder: TempDir,
}

impl Keep {
    pub(crate) fn new() -> Self {
        let keep = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(keep.bpffs()).unwrap();
        let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(keep.bpffs()).status().unwrap();
        assert!(status.success(), "mount: {status}");
        keep
    }

    fn bpffs(&self) -> PathBuf {
        self.folder.path().join("bpf")
    }

    /// Writes a configuration file with these sections.
    pub(crate) fn configure(&self, sections: &str) -> PathBuf {
        let path = self.folder.path().join("sensor.toml");
        let state = self.folder.path().join("state");
        let keep = format!("state_dir = {state:?}\nbpffs = {:?}\n", self.bpffs());
        fs::write(&path, format!("[sensor]\nid = \"test\"\ninterval = \"1s\"\n{keep}{sections}")).unwrap();
        path
    }

    /// Whether anything of the sensor is pinned.
    pub(crate) fn has_pins(&self) -> bool {
        self.bpffs().join("sensor").exists()
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the folder that cannot be removed then tells of it.
        let _ = Command::new("umount").arg(self.bpffs()).status();
    }
}

/// `sensor` in a network namespace: `ip netns exec` would hide what is mounted.
pub(crate) fn sensor_in(namespace: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", Path::new("/run/netns").join(namespace).display()));
    command.arg(env!("CARGO_BIN_EXE_sensor"));
    command
}
