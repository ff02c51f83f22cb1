//! Manifests: what they say, their files, and files that are none.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{
    cidr::Cidr,
    prefix::{EXPORTS_BEFORE_REUSE, SetBuilder, set_of as set},
    state::StateDir,
};

fn epoch(byte: u8) -> Epoch {
    Epoch::from_bytes([byte; 16]).unwrap()
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
    Manifest::new(epoch(number), 1, "edge-1", interfaces.to_vec(), &set, &Meanings::default())
}

/// Everything that a set says.
fn said(set: &PrefixSet) -> impl PartialEq + std::fmt::Debug {
    let networks = set.networks().map(|(network, name)| (network, name.to_owned()));
    (set.iter().collect::<Vec<_>>(), set.live().collect::<Vec<_>>(), networks.collect::<Vec<_>>())
}

#[test]
fn manifests_are_stored_found_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let (one, two) = (manifest(1), manifest(2));
    assert_eq!((one.abi_version, one.generation), (ABI_VERSION, 1));
    let hash = dir.store_manifest(&one).unwrap();
    let other = dir.store_manifest(&two).unwrap();
    assert_ne!(hash, other);
    fs::write(folder.path().join("manifest-new"), "a crash left this").unwrap();
    assert_eq!(dir.manifests().unwrap(), [one.name(), two.name()]);
    assert_eq!(dir.manifest(epoch(1), &hash), Some(one.clone()));
    assert_eq!(dir.manifest(epoch(1), &other), None);
    assert_eq!(dir.manifest(epoch(3), &hash), None);

    // The next generation is a file of its own; both are found by their hashes.
    let next = Manifest { generation: 12, ..one.clone() };
    let next_hash = dir.store_manifest(&next).unwrap();
    assert_eq!(dir.manifests().unwrap(), [one.name(), next.name(), two.name()]);
    for (manifest, hash) in [(&one, hash), (&next, next_hash)] {
        assert_eq!(dir.manifest(epoch(1), &hash).as_ref(), Some(manifest));
        assert_eq!(dir.manifest_hash(manifest.name()).unwrap(), hash);
    }
    // One that was written and never came into force gives way to another of its generation.
    let instead = Manifest { sensor: "edge-2".to_owned(), ..next.clone() };
    let instead_hash = dir.store_manifest(&instead).unwrap();
    assert_eq!(dir.manifest(epoch(1), &next_hash), None);
    assert_eq!(dir.manifest(epoch(1), &instead_hash), Some(instead.clone()));
    dir.remove_manifest(instead.name()).unwrap();
    dir.remove_manifest(instead.name()).unwrap();
    assert_eq!(dir.manifests().unwrap(), [one.name(), two.name()]);
    assert_eq!(dir.manifest(epoch(1), &hash), Some(one.clone()));

    // Another one's file under this name.
    fs::rename(folder.path().join(two.name().to_string()), folder.path().join(one.name().to_string())).unwrap();
    assert_eq!(dir.manifest(epoch(1), &other), None);
    assert_eq!(dir.manifest(epoch(1), &hash), None);
}

#[test]
fn a_file_has_one_name() {
    let name = ManifestName { epoch: epoch(0xab), generation: 70 };
    assert_eq!(name.to_string(), format!("manifest-{}-70", "ab".repeat(16)));
    assert_eq!(name.to_string().parse(), Ok(name));
    let epoch = "ab".repeat(16);
    let others =
        [&format!("-{epoch}-070"), &format!("-{epoch}-+70"), &format!("-{epoch}"), &format!("-{epoch}-"), "-new"];
    for other in
        others.map(|rest| format!("manifest{rest}")).into_iter().chain([format!("manifest-{epoch}-4294967296")])
    {
        assert!(other.parse::<ManifestName>().is_err(), "{other}");
    }
}

/// Of versions that knew no generations.
#[test]
fn old_manifests_go_with_their_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    dir.store_manifest(&manifest(1)).unwrap();
    let others = ["manifest-new".to_owned(), format!("manifest-{}x", epoch(3)), "journal".to_owned()];
    let old = |number: u8| format!("manifest-{}", epoch(number));
    for name in others.iter().cloned().chain([1, 2, 3].map(old)) {
        fs::write(folder.path().join(name), "sensor manifest 1\n").unwrap();
    }
    let is_there = |name: &str| folder.path().join(name).exists();
    dir.remove_old_manifests(|kept| kept == epoch(2)).unwrap();
    assert_eq!([1, 2, 3].map(|number| is_there(&old(number))), [false, true, false]);
    dir.remove_old_manifests(|_| false).unwrap();
    assert!(!is_there(&old(2)));
    assert!(others.iter().all(|name| is_there(name)) && dir.manifests().unwrap() == [manifest(1).name()]);
    fs::create_dir(folder.path().join(old(4))).unwrap();
    let error = format!("{:#}", dir.remove_old_manifests(|_| false).unwrap_err());
    assert!(error.contains(&old(4)) && error.contains("remove it by hand"), "{error}");
}

#[test]
fn a_damaged_manifest_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let hash = dir.store_manifest(&manifest(1)).unwrap();
    let path = folder.path().join(manifest(1).name().to_string());
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
    let path = folder.path().join(manifest(1).name().to_string());
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(dir.manifest(epoch(1), &[0; 32]), None);
}

/// A set after two reloads has ids without a meaning, and some that are not in the table.
#[test]
fn retired_ids_and_gaps_come_back() {
    let build = |watched: &[(&str, &[&str])], accounted: &[&str]| set(watched, accounted);
    let first = build(&[("a", &["10.0.0.0/8"]), ("b", &["11.0.0.0/8"])], &["10.1.0.0/16", "192.0.2.0/24"]);
    let mut second = first.successor(&build(&[("b", &["11.0.0.0/8"])], &["192.0.2.0/24"]), 20).unwrap();
    (0..EXPORTS_BEFORE_REUSE).for_each(|_| second.exported());
    let wanted = build(&[("b", &["11.0.0.0/8"]), ("c", &["2001:db8::/32"])], &[]);
    let third = second.successor(&wanted, 20).unwrap();
    assert!(third.retired().count() == 1 && third.highest_id() > third.iter().count() as u32, "{third:?}");
    for set in [&first, &second, &third] {
        let manifest = Manifest::new(epoch(1), 1, "edge", vec![], set, &Meanings::default());
        let back = Manifest::decode(&manifest.encode().unwrap()).unwrap();
        assert_eq!(back, manifest);
        let back = back.prefix_set().unwrap();
        assert_eq!(said(&back), said(set));
        assert_eq!(back.retired().collect::<Vec<_>>(), set.retired().collect::<Vec<_>>());
        assert!(back.trie().unwrap() == set.trie().unwrap());
    }
    // Nobody wrote down how long the retired one has been: it waits for as many exports as if it were from now on.
    let mut back = Manifest::new(epoch(1), 1, "edge", vec![], &third, &Meanings::default()).prefix_set().unwrap();
    for _ in 0..EXPORTS_BEFORE_REUSE {
        assert_eq!(back.successor(&wanted, 20).unwrap().retired().count(), 1);
        back.exported();
    }
    assert_eq!(back.successor(&wanted, 20).unwrap().retired().count(), 0);
}

#[test]
fn ids_and_numbers_that_cannot_be_are_refused() {
    let refused = |manifest: Manifest| manifest.prefix_set().unwrap_err().to_string();
    let mut far = manifest(1);
    far.prefixes[1].skipped = u32::MAX;
    assert!(refused(far).contains("no possible id"));
    let mut network = manifest(1);
    network.networks[0].0 = 0;
    assert!(refused(network).contains("no possible number"));
    let mut twice = manifest(1);
    twice.prefixes[1].meaning = twice.prefixes[0].meaning;
    assert!(refused(twice).contains("is in the table under the ids 1 and 2"));
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
        let manifest = Manifest::new(epoch(1), 1, "edge", vec![], &set, &Meanings::default());
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
