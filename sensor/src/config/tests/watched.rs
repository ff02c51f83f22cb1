//! Upstreams, files about the other end, and bounds of what is remembered.

use sensor_ebpf::class::Class;

use super::*;

/// The problems of `text` behind an otherwise valid file of five lines.
fn errors_behind_least(text: &str) -> String {
    errors(&format!("{LEAST}{text}\n"))
}

fn upstreams(text: &str) -> Vec<Upstream> {
    parse(&format!("{LEAST}{text}\n")).unwrap().upstreams
}

#[test]
fn a_full_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["counterparts.csv", "tor.csv", "hosting.csv"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let path = folder.path().join("sensor.toml");
    let text = r#"
        [sensor]
        flows = 100_000
        max_activity_addresses = 0x1_0000
        samples_per_second = 0
        [[upstream]]
        name = "transtelecom"
        asn = 20485
        mac = "02:00:00:02:04:85"
        neighbor = ["192.0.2.1", "fe80::1", "192.0.2.1"]
        vlan = 100
        interface = "eth0"
        [[upstream]]
        name = "vrrp"
        mac = ["00:00:5E:00:01:0a", "00-00-5e-00-01-0b"]
        [[counterpart]]
        kind = "geo"
        file = "counterparts.csv"
        [[list]]
        name = "tor_relays"
        class = "tor"
        file = "tor.csv"
        [[list]]
        name = "hosting"
        file = "hosting.csv"
        [report]
        hidden_classes = ["openvpn", "dns_tunnel"]
        learn = "7d"
    "#;
    std::fs::write(&path, format!("{LEAST}{text}")).unwrap();
    let config = Config::load(&path).unwrap();
    let limits =
        Limits { flows: 131_072, max_activity_addresses: 65_536, samples_per_second: 0, max_counterparts: 65_536 };
    assert_eq!(config.limits, limits);
    let expected = [
        Upstream {
            name: "transtelecom".parse().unwrap(),
            asn: Some(20485),
            macs: vec![[2, 0, 0, 2, 4, 0x85]],
            neighbors: vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            vlan: Some(100),
            interface: "eth0".parse().ok(),
        },
        Upstream {
            name: "vrrp".parse().unwrap(),
            asn: None,
            macs: vec![[0, 0, 0x5e, 0, 1, 0x0a], [0, 0, 0x5e, 0, 1, 0x0b]],
            neighbors: vec![],
            vlan: None,
            interface: None,
        },
    ];
    assert_eq!(config.upstreams, expected);
    let file = |name: &str| folder.path().join(name);
    let geo = Counterpart { kind: CounterpartKind::Geo, file: file("counterparts.csv") };
    assert_eq!(config.counterparts, [geo]);
    let list = |name: &str, class, path| List { name: name.parse().unwrap(), class, file: file(path) };
    let lists = [list("tor_relays", Some(Class::Tor), "tor.csv"), list("hosting", None, "hosting.csv")];
    assert_eq!(config.lists, lists);
    assert_eq!(config.report.hidden_classes, [Class::OpenVpn, Class::DnsTunnel]);
    assert_eq!(config.report.learn, "7d".parse().unwrap());
}

#[test]
fn what_is_not_said() {
    let config = parse(LEAST).unwrap();
    let limits = Limits {
        flows: 262_144,
        max_activity_addresses: 1 << 24,
        samples_per_second: 20_000,
        max_counterparts: 65_536,
    };
    assert_eq!((config.limits, config.report), (limits, Report::default()));
    assert!(config.upstreams.is_empty() && config.counterparts.is_empty() && config.lists.is_empty());
    let nothing_hidden = parse(&format!("{LEAST}[report]\nhidden_classes = []")).unwrap();
    assert_eq!(nothing_hidden.report.hidden_classes, []);
}

#[test]
fn every_problem_of_an_upstream() {
    let name = "[[upstream]]\nname = \"a\"\n";
    let behind = |lines: &str| errors_behind_least(&format!("{name}{lines}"));
    for (lines, expected) in [
        ("", "6:1: nothing says which neighbour this upstream is; add mac, neighbor, vlan or interface"),
        ("asn = 1", "6:1: nothing says which neighbour this upstream is; add mac, neighbor, vlan or interface"),
        ("vlan = 4095", "8:8: vlan cannot be 4095; write a number from 1 to 4094"),
        ("vlan = 0", "8:8: vlan cannot be 0; write a number from 1 to 4094"),
        ("vlan = -1", "8:8: vlan in [[upstream]] cannot be \"-1\"; write a number from 0 on"),
        ("vlan = \"1\"", "8:8: vlan in [[upstream]] is of type string; write a number, without quotes"),
        ("vlan = 99999999999999999999", "8:8: vlan cannot be 18446744073709551615; write a number from 1 to 4094"),
        ("vlan = 1\nasn = 0", "9:7: asn cannot be 0; write a number from 1 to 4294967295"),
        ("mac = 1", "8:7: mac in [[upstream]] is of type integer; write a list: [\"...\", \"...\"]"),
        ("mac = []", "6:1: mac is an empty list; write an address into it, or remove mac"),
        (
            "mac = [\"02:00:00:00:00:01\", \"02\"]",
            "8:29: \"02\" is not a MAC address; write six bytes in hexadecimal, such as \"02:00:00:02:04:85\"",
        ),
        (
            "mac = \"00:00:00:00:00:00\"",
            "8:7: \"00:00:00:00:00:00\" is the address of nobody; write the one that `ip neigh` shows",
        ),
        (
            "mac = \"01:00:5e:00:00:01\"",
            "8:7: \"01:00:5e:00:00:01\" is a multicast address, which no neighbour sends from; write the one that `ip neigh` shows",
        ),
        (
            "neighbor = \"192.0.2.0/24\"",
            "8:12: \"192.0.2.0/24\" is not an IP address; write one without prefix length, such as \"192.0.2.1\"",
        ),
        ("interface = \"eht0\"", "8:13: no interface \"eht0\" is configured; did you mean \"eth0\"?"),
        (
            "interface = \"wan\"",
            "8:13: no interface \"wan\" is configured; add an [[interface]] of that name, or name one that there is",
        ),
        (
            "vlan = 7\ncolour = 1",
            "9:1: unknown key \"colour\" in [[upstream]]; remove it, known keys are name, asn, mac, neighbor, vlan, interface",
        ),
    ] {
        assert_eq!(behind(lines), format!("s.toml:{expected}"), "{lines}");
    }
    assert_eq!(
        errors_behind_least("[[upstream]]\nvlan = 1"),
        "s.toml:6:1: the [[upstream]] has no name; add name = \"...\""
    );
    assert_eq!(
        behind("vlan = 1\n[[upstream]]\nname = \"a\"\nvlan = 2"),
        "s.toml:10:8: upstream \"a\" stands in line 7 already; remove one"
    );
}

#[test]
fn one_neighbour_is_one_upstream() {
    let two =
        |one: &str, other: &str| format!("[[upstream]]\nname = \"a\"\n{one}\n[[upstream]]\nname = \"b\"\n{other}");
    for (one, other) in [
        ("vlan = 1", "vlan = 1"),
        ("interface = \"eth0\"", "interface = \"eth0\""),
        ("mac = \"02:00:00:00:00:01\"", "mac = [\"02:00:00:00:00:02\", \"02-00-00-00-00-01\"]"),
        ("neighbor = \"192.0.2.1\"\nvlan = 1", "vlan = 1\nneighbor = [\"192.0.2.1\"]"),
    ] {
        let line = if one.contains('\n') { 10 } else { 9 };
        let fix = "give one of them another mac, neighbor, vlan or interface, or remove it";
        let expected = format!(
            "s.toml:{line}:1: upstream \"b\" says the same as \"a\" (line 6), and one neighbour can be both; {fix}"
        );
        assert_eq!(errors_behind_least(&two(one, other)), expected);
    }
    // What says more is another upstream, and so is what differs in anything.
    for (one, other) in [
        ("vlan = 1", "vlan = 2"),
        ("vlan = 1", "vlan = 1\ninterface = \"eth0\""),
        ("vlan = 1\nmac = \"02:00:00:00:00:01\"", "vlan = 2\nmac = \"02:00:00:00:00:01\""),
        ("mac = \"02:00:00:00:00:01\"", "neighbor = \"192.0.2.1\""),
    ] {
        assert_eq!(upstreams(&two(one, other)).len(), 2);
    }
    let many = |count: usize| -> String {
        (0..count).map(|number| format!("[[upstream]]\nname = \"u{number}\"\nvlan = {}\n", number + 1)).collect()
    };
    assert_eq!(upstreams(&many(MAX_UPSTREAMS)).len(), MAX_UPSTREAMS);
    let expected = "s.toml:771:1: one upstream too many: at most 255 can be named; join some";
    assert_eq!(errors_behind_least(&many(MAX_UPSTREAMS + 2)), expected);
    let macs: Vec<String> =
        (0..=MAX_UPSTREAM_ADDRESSES).map(|number| format!("\"02:00:00:00:00:{number:02x}\"")).collect();
    let error = errors_behind_least(&format!("[[upstream]]\nname = \"a\"\nmac = [{}]", macs.join(",")));
    assert_eq!(error, "s.toml:8:1288: mac has more than 64 entries; make two upstreams of them");
}

#[test]
fn every_problem_of_files_reports_and_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.csv");
    std::fs::write(&file, "").unwrap();
    let file = format!("file = \"{}\"", file.display());
    for (lines, expected) in [
        ("[[counterpart]]\nkind = \"geo\"".to_owned(), "6:1: the [[counterpart]] has no file; add file = \"...\""),
        (format!("[[counterpart]]\nkind = \"moon\"\n{file}"), "7:8: kind cannot be \"moon\"; write \"geo\""),
        (
            format!("[[list]]\nname = \"l\"\nclass = \"torr\"\n{file}"),
            "8:9: unknown class \"torr\"; did you mean \"tor\"?",
        ),
        (
            format!("[[list]]\nname = \"l\"\nclass = \"unknown\"\n{file}"),
            "8:9: class \"unknown\" says nothing; remove class from a list that only says what the other end is",
        ),
        (
            format!("[[list]]\nname = \"l\"\n{file}\n[[list]]\nname = \"l\"\n{file}"),
            "10:8: list \"l\" stands in line 7 already; remove one",
        ),
        (format!("[[list]]\n{file}"), "6:1: the [[list]] has no name; add name = \"...\""),
        (
            "[report]\nhidden_classes = [\"tor\", \"tor\"]".to_owned(),
            "7:26: hidden class \"tor\" stands in line 7 already; remove one",
        ),
        (
            "[report]\nlearn = \"400d\"".to_owned(),
            "7:9: the time to learn \"400d\" is out of range; write one from \"0s\" to \"366d\"",
        ),
        ("[sensor]\nflows = 1023".to_owned(), "7:9: flows cannot be 1023; write a number from 1024 to 16777216"),
        (
            "[sensor]\nflows = 16777217".to_owned(),
            "7:9: flows cannot be 16777217; write a number from 1024 to 16777216",
        ),
        (
            "[sensor]\nmax_activity_addresses = 255".to_owned(),
            "7:26: max_activity_addresses cannot be 255; write a number from 256 to 1073741824",
        ),
        (
            "[sensor]\nsamples_per_second = 1000001".to_owned(),
            "7:22: samples_per_second cannot be 1000001; write a number from 0 to 1000000",
        ),
    ] {
        assert_eq!(errors_behind_least(&lines), format!("s.toml:{expected}"), "{lines}");
    }
    let lacking = errors_behind_least("[[list]]\nname = \"l\"\nfile = \"/none/at/all\"");
    assert!(lacking.starts_with("s.toml:8:8: cannot read list /none/at/all: No such file"), "{lacking}");
    let twice = errors_behind_least(&format!("[[counterpart]]\n{file}\n[[counterpart]]\n{file}"));
    assert!(
        twice.starts_with("s.toml:9:8: counterpart file ") && twice.contains("stands in line 7 already"),
        "{twice}"
    );
    let many = |section: &str, count: usize| -> String {
        (0..count).map(|number| format!("[[{section}]]\nname = \"n{number}\"\n{file}\n")).collect()
    };
    assert_eq!(parse(&format!("{LEAST}{}", many("list", MAX_LISTS))).unwrap().lists.len(), MAX_LISTS);
    let error = errors_behind_least(&many("list", MAX_LISTS + 1));
    assert_eq!(error, "s.toml:1:1: 65 sections [[list]] are too many; write at most 64, join the files of some");
}

#[test]
fn a_replay_needs_no_interface() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replay.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Config::load_for_replay(&path)
    };
    let upstream = "[[upstream]]\nname = \"a\"\ninterface = \"eth7\"\n";
    let config = load(upstream).unwrap();
    assert_eq!(config.sensor_id.as_str(), REPLAY_SENSOR);
    assert_eq!(config.upstreams[0].interface, "eth7".parse().ok());
    assert!(Config::load(&path).is_err());
    assert_eq!(load("[sensor]\nid = \"edge\"").unwrap().sensor_id.as_str(), "edge");
    assert!(load("[sensor]\nid = \"a b\"").is_err());
    assert!(load("[[interface]]\nname = \"a/b\"").is_err());
}

#[test]
fn far_ends_have_rows_where_something_is_told_of_them() {
    let silent = "[sensor]\nid = \"edge\"\n[[interface]]\nname = \"eth0\"\n[[network]]\nname = \"a\"\nprefixes = [\"10.0.0.0/8\"]\n";
    let limits = silent.replace("[[interface]]", "max_counterparts = 1025\n[[interface]]");
    let limits = Config::parse(&limits, Path::new("sensor.toml")).unwrap();
    assert_eq!((limits.limits.max_counterparts, limits.counterpart_rows()), (2048, None));
}
