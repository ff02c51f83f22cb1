//! The folder, its lock and its manifests.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use proptest::prelude::*;
use sensor_ebpf::abi::ABI_VERSION;

use super::*;
use crate::{
    cidr::Cidr,
    collect::SparseReading,
    config::Role,
    epoch::Epoch,
    prefix::{PrefixSet, SetBuilder},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn epoch(byte: u8) -> Epoch {
    Epoch::from_bytes([byte; 16]).unwrap()
}

fn set(watched: &[(&str, &[&str])], accounted: &[&str]) -> PrefixSet {
    let mut builder = SetBuilder::default();
    for (name, prefixes) in watched {
        builder.watch(name, prefixes.iter().map(|prefix| prefix.parse().unwrap())).unwrap();
    }
    accounted.iter().for_each(|prefix| builder.account(prefix.parse().unwrap()));
    builder.build().unwrap()
}

fn manifest(number: u8) -> Manifest {
    let interfaces = ["eth0", "tap0"].map(|name| ManifestInterface {
        name: name.to_owned(),
        role: if name == "eth0" { Role::External } else { Role::Internal },
        egress: name == "eth0",
        mirror: name == "tap0",
    });
    let set = set(
        &[("a", &["10.0.0.0/8", "::/0"]), ("b", &["10.1.0.0/16"])],
        &["10.1.2.3/32", "0.0.0.0/0", "2001:db8::1/128"],
    );
    Manifest::new(epoch(number), "edge-1", interfaces.to_vec(), &set)
}

/// Everything that a set says.
fn said(set: &PrefixSet) -> impl PartialEq + std::fmt::Debug {
    let networks = set.networks().map(|(network, name)| (network, name.to_owned()));
    (set.iter().collect::<Vec<_>>(), set.live().collect::<Vec<_>>(), networks.collect::<Vec<_>>())
}

#[test]
fn folder_and_files_are_their_owners_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("lib/sensor");
    let dir = StateDir::open(&path).unwrap();
    assert_eq!((dir.path(), mode(&path)), (path.as_path(), 0o700));
    dir.store_manifest(&manifest(1)).unwrap();
    let key = crate::summary::Key {
        sensor: String::new(),
        epoch: epoch(1),
        start: jiff::Timestamp::UNIX_EPOCH,
        end: jiff::Timestamp::UNIX_EPOCH,
        sequence: 0,
    };
    dir.journal()
        .unwrap()
        .commit(Batch { key, manifest: [7; 32], delta: SparseReading::default(), labels: vec![] })
        .unwrap();
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names, ["journal", "lock", &format!("manifest-{}", epoch(1))].map(|name| path.join(name)));
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
fn manifests_are_stored_found_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let (one, two) = (manifest(1), manifest(2));
    assert_eq!((one.abi_version, one.generation), (ABI_VERSION, 0));
    let hash = dir.store_manifest(&one).unwrap();
    let other = dir.store_manifest(&two).unwrap();
    assert_ne!(hash, other);
    fs::write(folder.path().join("manifest-new"), "a crash left this").unwrap();
    assert_eq!(dir.manifests().unwrap(), [epoch(1), epoch(2)]);
    assert_eq!(dir.manifest(epoch(1), &hash), Some(one.clone()));
    assert_eq!(dir.manifest(epoch(1), &other), None);
    assert_eq!(dir.manifest(epoch(3), &hash), None);

    let mut next = one;
    next.generation = 1;
    let hash = dir.store_manifest(&next).unwrap();
    assert_eq!(dir.manifest(epoch(1), &hash), Some(next));
    dir.remove_manifest(epoch(1)).unwrap();
    dir.remove_manifest(epoch(1)).unwrap();
    assert_eq!(dir.manifests().unwrap(), [epoch(2)]);

    // Another epoch's file under this name.
    fs::rename(
        folder.path().join(format!("manifest-{}", epoch(2))),
        folder.path().join(format!("manifest-{}", epoch(1))),
    )
    .unwrap();
    assert_eq!(dir.manifest(epoch(1), &other), None);
}

#[test]
fn a_damaged_manifest_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let hash = dir.store_manifest(&manifest(1)).unwrap();
    let path = folder.path().join(format!("manifest-{}", epoch(1)));
    let bytes = fs::read(&path).unwrap();
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x20;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(dir.manifest(epoch(1), &hash), None, "byte {place}");
        fs::write(&path, &bytes[..place]).unwrap();
        assert_eq!(dir.manifest(epoch(1), &hash), None, "cut to {place}");
    }
    fs::write(&path, [bytes.as_slice(), &[0]].concat()).unwrap();
    assert_eq!(dir.manifest(epoch(1), &hash), None);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(dir.manifest(epoch(1), &hash), Some(manifest(1)));
}

#[test]
fn a_manifest_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let path = folder.path().join(format!("manifest-{}", epoch(1)));
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(dir.manifest(epoch(1), &[0; 32]), None);
}

/// Prefixes that often cover each other, and now and then any.
fn cidrs() -> impl Strategy<Value = Vec<Cidr>> {
    let v4 = (any::<u32>(), 0..=32_u8, any::<bool>())
        .prop_map(|(bits, len, few)| (if few { bits & 0xc000_00c0 } else { bits }, len))
        .prop_map(|(bits, len)| Cidr::masked(std::net::Ipv4Addr::from_bits(bits).into(), len).unwrap());
    let v6 = (any::<u128>(), 0..=128_u8)
        .prop_map(|(bits, len)| Cidr::masked(std::net::Ipv6Addr::from_bits(bits).into(), len).unwrap());
    proptest::collection::vec(prop_oneof![v4, v6], 0..40)
}

proptest! {
    #[test]
    fn a_set_comes_back_with_its_ids(watched in cidrs(), accounted in cidrs(), networks in 1..5_usize) {
        let mut builder = SetBuilder::default();
        let mut lists = vec![Vec::new(); networks];
        for (number, cidr) in watched.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().enumerate() {
            lists[number % networks].push(cidr);
        }
        for (number, list) in lists.into_iter().enumerate() {
            builder.watch(&format!("network {number}"), list).unwrap();
        }
        accounted.into_iter().for_each(|cidr| builder.account(cidr));
        let set = builder.build().unwrap();
        let manifest = Manifest::new(epoch(1), "edge", vec![], &set);
        let bytes = manifest.encode().unwrap();
        let back = Manifest::decode(&bytes).unwrap();
        prop_assert_eq!(&back, &manifest);
        let back = back.prefix_set().unwrap();
        prop_assert_eq!(said(&back), said(&set));
        let tries = [&set, &back].map(|set| set.trie().unwrap());
        prop_assert!(tries[0] == tries[1]);
    }

    #[test]
    fn any_bytes_are_a_manifest_or_refused(bytes: Vec<u8>, cut in 0..400_usize) {
        let whole = manifest(1).encode().unwrap();
        let cut = cut.min(whole.len());
        for bytes in [&[][..], &whole[..cut], &whole].map(|start| [start, &bytes].concat()) {
            if let Ok(manifest) = Manifest::decode(&bytes) {
                let _ = manifest.prefix_set();
            }
        }
    }
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
