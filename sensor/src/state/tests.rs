//! The folder and its lock.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use super::*;
use crate::{collect::SparseReading, counterpart::Meanings, epoch::Epoch, prefix::PrefixSet, summary::Watched};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn epoch(byte: u8) -> Epoch {
    Epoch::from_bytes([byte; 16]).unwrap()
}

#[test]
fn folder_and_files_are_their_owners_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("lib/sensor");
    let dir = StateDir::open(&path).unwrap();
    assert_eq!((dir.path(), mode(&path)), (path.as_path(), 0o700));
    let manifest = Manifest::new(epoch(1), 7, "edge-1", vec![], &PrefixSet::default(), &Meanings::default());
    dir.store_manifest(&manifest).unwrap();
    let key = crate::summary::Key {
        sensor: String::new(),
        epoch: epoch(1),
        start: jiff::Timestamp::UNIX_EPOCH,
        end: jiff::Timestamp::UNIX_EPOCH,
        sequence: 0,
    };
    dir.journal()
        .unwrap()
        .commit(Batch {
            key,
            manifest: [7; 32],
            delta: SparseReading::default(),
            labels: vec![],
            watched: Watched::default(),
        })
        .unwrap();
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names, ["journal", "lock", &format!("manifest-{}-7", epoch(1))].map(|name| path.join(name)));
    names.iter().for_each(|name| assert_eq!(mode(name), 0o600, "{name:?}"));
    // The folder above is not ours.
    assert_ne!(mode(&parent.path().join("lib")), 0o700);
}

#[test]
fn a_second_sensor_is_refused_until_the_first_ends() {
    let folder = tempfile::tempdir().unwrap();
    let first = StateDir::open(folder.path()).unwrap();
    let expected = format!(
        "another sensor (pid {}) uses {}: stop it, or give this one another state_dir",
        std::process::id(),
        folder.path().display()
    );
    assert_eq!(StateDir::open(folder.path()).unwrap_err().to_string(), expected);
    // The refusal did not touch the file.
    assert_eq!(fs::read_to_string(folder.path().join("lock")).unwrap(), format!("{}\n", std::process::id()));
    let free = |folder: &Path| Command::new("flock").arg("-n").arg(folder.join("lock")).arg("true").status();
    match free(folder.path()) {
        Ok(status) => assert!(!status.success(), "another process could lock it"),
        Err(error) => println!("SKIP the lock as another process sees it: flock: {error}"),
    }
    drop(first);
    fs::write(folder.path().join("lock"), "longer than any process id could be").unwrap();
    drop(StateDir::open(folder.path()).unwrap());
    assert_eq!(fs::read_to_string(folder.path().join("lock")).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn a_path_that_cannot_be_the_folder_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below"), "/proc/sensor-state".into()] {
        let error = format!("{:#}", StateDir::open(&path).unwrap_err());
        let expected =
            format!("cannot create {}; give [sensor] state_dir a folder that this user may write to: ", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    fs::create_dir(folder.path().join("lock")).unwrap();
    let error = format!("{:#}", StateDir::open(folder.path()).unwrap_err());
    assert!(error.starts_with(&format!("cannot write to {}", folder.path().join("lock").display())), "{error}");
}

#[test]
fn a_folder_has_one_owner_until_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let open = || StateDir::open(folder.path()).unwrap();
    open().claim("sensor edge-1").unwrap();
    open().claim("sensor edge-1").unwrap();
    let error = open().claim("sensor edge-2").unwrap_err().to_string();
    assert!(error.contains("holds the state of sensor edge-1") && error.contains("sensor detach"), "{error}");
    let dir = open();
    dir.release().unwrap();
    dir.release().unwrap();
    dir.claim("sensor edge-2").unwrap();
    let owner = fs::metadata(folder.path().join("owner")).unwrap();
    assert_eq!(owner.permissions().mode() & 0o777, 0o600);
}
