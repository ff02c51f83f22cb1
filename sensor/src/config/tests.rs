//! Configurations good and bad, with the words of every error.

mod events;
mod export;
mod metrics;
mod store;
mod watched;

use proptest::prelude::*;

use super::*;

/// The least that is valid, less its `[sensor]`.
const LEAST: &str = "[[interface]]\nname = \"eth0\"\n[[network]]\nname = \"n\"\nprefixes = [\"192.0.2.0/24\"]\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("s.toml"))
}

/// All problems, one a line.
fn errors(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// The problems of `text` in front of an otherwise valid file.
fn errors_before_least(text: &str) -> String {
    errors(&format!("{text}\n{LEAST}"))
}

fn keep(state_dir: &str, bpffs: &str) -> Keep {
    Keep { state_dir: state_dir.into(), bpffs: bpffs.into() }
}

#[test]
fn a_full_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prefixes.txt"), "10.0.0.0/8\n").unwrap();
    let path = folder.path().join("sensor.toml");
    let text = r#"
        [sensor]
        id = "edge-1"
        interval = "1m"
        memory = "512MiB"
        state_dir = "/srv/sensor"
        bpffs = "/mnt/bpf"

        [[interface]]
        name = "eth0"

        [[interface]]
        name = "eth1"
        mode = "mirror"
        xdp = "generic"

        [[interface]]
        name = "eth2"
        role = "internal"
        egress = false

        [[network]]
        name = "dprk"
        timezone = "Asia/Pyongyang"
        prefixes = ["175.45.176.0/22", "210.52.109.0/24", "175.45.176.0/22"]

        [[network]]
        name = "inside"
        prefixes = ["175.45.178.0/24", "2001:db8::1"]

        [accounting]
        tables = ["prefixes.txt"]
    "#;
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.sensor_id.as_str(), "edge-1");
    assert_eq!(config.interval.seconds(), 60);
    assert_eq!(config.memory.to_string(), "512MiB");
    assert_eq!(config.keep, Some(keep("/srv/sensor", "/mnt/bpf")));
    let interface = |name: &str, mode, xdp, role, egress| {
        let name = name.parse().unwrap();
        Interface { name, mode, xdp, role, egress }
    };
    assert_eq!(
        config.interfaces,
        [
            interface("eth0", Mode::Inline, XdpMode::Native, Role::External, true),
            interface("eth1", Mode::Mirror, XdpMode::Generic, Role::External, false),
            interface("eth2", Mode::Inline, XdpMode::Native, Role::Internal, false),
        ]
    );
    assert_eq!(config.networks[0].timezone.iana_name(), Some("Asia/Pyongyang"));
    assert_eq!(config.networks[1].timezone, TimeZone::UTC);
    let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Cidr>>();
    assert_eq!(config.networks[0].prefixes, prefixes(&["175.45.176.0/22", "210.52.109.0/24"]));
    assert_eq!(config.networks[1].prefixes, prefixes(&["175.45.178.0/24", "2001:db8::1/128"]));
    assert_eq!(config.tables, [folder.path().join("prefixes.txt")]);
}

#[test]
fn defaults() {
    let config = parse(LEAST).unwrap();
    assert_eq!((config.interval, config.memory), (Interval::default(), DEFAULT_MEMORY));
    assert_eq!(config.keep, Some(keep(DEFAULT_STATE_DIR, DEFAULT_BPFFS)));
    assert_eq!(Ok(config.sensor_id), host_name());
}

#[test]
fn every_problem_at_once_in_order() {
    let text = r#"colour = 1
[sensor]
id = "a b"
intervall = "10s"
state_dir = "state"

[[interface]]
name = "eth0/1"
mode = "tap"
egres = true

[[interface]]
xdp = "generic"

[[network]]
name = "a"
timezone = "Asia/Pjongjang"
prefixes = ["10.0.0.1/8", "192.0.2.0/24", 7]

[[network]]
name = "a"
prefixes = ["192.0.2.0/24"]

[[metrics]]
listen = "x"
"#;
    let expected = r#"s.toml:1:1: unknown key "colour" in the file; remove it, known keys are sensor, interface, network, accounting, upstream, counterpart, list, report, events, spool, exporter, metrics, store
s.toml:3:6: "a b" is not a sensor id; write 1 to 64 letters, digits, dots, hyphens and underscores, no dot first
s.toml:4:1: unknown key "intervall" in [sensor]; did you mean "interval"?
s.toml:5:13: state_dir "state" is a relative path; write an absolute one
s.toml:8:8: "eth0/1" is not an interface name, which has no white space, / or :; take one that `ip link` shows
s.toml:9:8: mode cannot be "tap"; write "inline" or "mirror"
s.toml:10:1: unknown key "egres" in [[interface]]; did you mean "egress"?
s.toml:12:1: the [[interface]] has no name; add name = "..."
s.toml:17:12: unknown time zone "Asia/Pjongjang"; did you mean "Asia/Pyongyang"?
s.toml:18:13: "10.0.0.1/8" has host bits set; write 10.0.0.0/8 for the whole network
s.toml:18:43: an entry of prefixes is of type integer; write a string in quotes
s.toml:21:8: network "a" stands in line 16 already; remove one
s.toml:22:13: prefix 192.0.2.0/24 belongs to network "a" already (line 18); remove it from one
s.toml:24:1: metrics is not a section; write [metrics] once"#;
    assert_eq!(errors(text), expected);
}

#[test]
fn wrong_types() {
    for (text, expected) in [
        ("sensor = 1", "s.toml:1:10: sensor is not a section; write [sensor] once"),
        (
            "[sensor]\nmemory = \"1MiB\"",
            "s.toml:2:10: the memory \"1MiB\" is out of range; write an amount from \"16MiB\" to \"64GiB\"",
        ),
        ("[sensor]\ninterval = 10", "s.toml:2:12: interval in [sensor] is of type integer; write a string in quotes"),
        ("[sensor]\nid = [\"a\"]", "s.toml:2:6: id in [sensor] is of type array; write a string in quotes"),
        (
            "[accounting]\ntables = \"a\"",
            "s.toml:2:10: tables in [accounting] is of type string; write a list: [\"...\", \"...\"]",
        ),
        ("[[network]]\nname = \"m\"", "s.toml:1:1: the [[network]] has no prefixes; add prefixes = [\"192.0.2.0/24\"]"),
    ] {
        assert_eq!(errors_before_least(text), expected);
    }
    assert_eq!(
        errors("[interface]\nname = \"eth0\"\n"),
        "s.toml:1:1: interface is not a list of sections; write [[interface]] with two brackets for each"
    );
    assert_eq!(
        errors("interface = [1]\n"),
        "s.toml:1:13: interface is not a list of sections; write [[interface]] with two brackets for each"
    );
}

#[test]
fn what_is_missing() {
    assert_eq!(
        errors("[sensor]\nid = \"x\"\n"),
        "s.toml:1:1: no interface is configured; add [[interface]] with name = \"eth0\"\n\
         s.toml:1:1: nothing to count is configured; add [[network]] with name and prefixes, or [accounting] with tables"
    );
    assert_eq!(
        errors_before_least("[[interface]]\nname = \"eth0\""),
        "s.toml:4:8: interface \"eth0\" stands in line 2 already; remove one"
    );
    let error = errors_before_least("[accounting]\ntables = [\"/none/at/all.txt\"]");
    assert!(error.starts_with("s.toml:2:11: cannot read table /none/at/all.txt: No such file"), "{error}");
}

/// The problems of an interface with these lines, from line 3 on.
fn errors_of_interface(lines: &str) -> String {
    errors_before_least(&format!("[[interface]]\nname = \"eth1\"\n{lines}"))
}

#[test]
fn sides_and_roles() {
    for (lines, mode, role, egress) in [
        ("", Mode::Inline, Role::External, true),
        ("egress = true", Mode::Inline, Role::External, true),
        ("egress = false", Mode::Inline, Role::External, false),
        ("role = \"external\"", Mode::Inline, Role::External, true),
        ("role = \"internal\"", Mode::Inline, Role::Internal, true),
        ("role = \"internal\"\negress = false", Mode::Inline, Role::Internal, false),
        ("mode = \"mirror\"", Mode::Mirror, Role::External, false),
        ("mode = \"mirror\"\nrole = \"external\"\negress = false", Mode::Mirror, Role::External, false),
    ] {
        let config = parse(&format!("[[interface]]\nname = \"eth1\"\n{lines}\n{LEAST}")).unwrap();
        let interface = &config.interfaces[0];
        assert_eq!((interface.mode, interface.role, interface.egress), (mode, role, egress), "{lines}");
        assert_eq!(config.interfaces[1], Interface::new("eth0".parse().unwrap(), Mode::Inline, XdpMode::Native));
    }
    for (lines, expected) in [
        ("role = \"core\"", "s.toml:3:8: role cannot be \"core\"; write \"external\" or \"internal\""),
        ("role = true", "s.toml:3:8: role in [[interface]] is of type boolean; write a string in quotes"),
        ("rolle = \"internal\"", "s.toml:3:1: unknown key \"rolle\" in [[interface]]; did you mean \"role\"?"),
        (
            "egress = \"false\"",
            "s.toml:3:10: egress in [[interface]] is of type string; write true or false, without quotes",
        ),
        ("egress = 1", "s.toml:3:10: egress in [[interface]] is of type integer; write true or false, without quotes"),
        (
            "egress = true\nmode = \"mirror\"",
            "s.toml:3:10: egress = true does not go with mode = \"mirror\": a mirror port only receives, copies of both \
             directions; remove egress",
        ),
        (
            "mode = \"mirror\"\nrole = \"internal\"",
            "s.toml:4:8: role = \"internal\" does not go with mode = \"mirror\": a mirror port is no way into the own \
             network, and what it shows is billed; remove role",
        ),
    ] {
        assert_eq!(errors_of_interface(lines), expected);
    }
}

#[test]
fn syntax() {
    let error = errors("[sensor]\nid = \"edge\nä = 1\nb = = 2\n");
    assert!(error.starts_with("s.toml:2:"), "{error}");
    assert!(error.contains("s.toml:4:5: "), "{error}");
    assert!(error.lines().all(|line| line.ends_with("; correct the TOML syntax here")), "{error}");
    let error = errors("[sensor]\nid = \"a\"\nid = \"b\"\n");
    assert!(error.starts_with("s.toml:3:1: duplicate key"), "{error}");
}

#[test]
fn columns_count_characters() {
    assert!(errors("[[network]]\nname = \"ä\"\nprefixes = [\"10.0.0.0/8\"] # ü\nprefixe = 1").contains("s.toml:4:1: "));
    assert!(errors("network = [{ name = \"äöü\", prefix = 1 }]").contains("s.toml:1:28: "));
}

#[test]
fn a_flood_of_problems_is_cut_short() {
    let zones =
        "[[network]]\nname = \"n\"\ntimezone = \"Nowhere/At_All\"\nprefixes = [\"10.0.0.0/8\"]\n".repeat(10_000);
    let error = errors(&zones);
    assert_eq!(error.lines().count(), 51);
    assert!(error.ends_with("more problems; fix these first"), "{error}");
    // Deep nesting ends in an error, not in a stack overflow.
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(parse(&"a.".repeat(100_000)).is_err());
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let error = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let prefix = format!("{}/", folder.path().display());
        Config::load(&path).unwrap_err().to_string().replace(&prefix, "")
    };
    assert_eq!(error(b" \n"), "c.toml is empty; write at least an [[interface]] and a [[network]]");
    assert_eq!(error(b"# a\n\xff"), "c.toml:2: the file is not UTF-8 text; save it as UTF-8");
    assert_eq!(
        error(&vec![b'#'; (1 << 20) + 1]),
        "c.toml is larger than 1048576 bytes; move long prefix lists into accounting tables"
    );
    assert!(matches!(Config::load(folder.path()), Err(ConfigError::Directory { .. })));
    assert!(matches!(Config::load(&folder.path().join("none")), Err(ConfigError::Read { .. })));
    std::fs::write(&path, format!("\u{feff}{LEAST}")).unwrap();
    Config::load(&path).unwrap();
}

#[test]
fn command_line() {
    let prefix: Cidr = "192.0.2.0/24".parse().unwrap();
    let args = Args {
        sensor_id: "edge".parse().ok(),
        interfaces: vec!["eth0".parse().unwrap()],
        watch: vec![prefix, prefix],
        ..Args::default()
    };
    let config = Config::from_args(args.clone()).unwrap();
    assert_eq!(config.networks.len(), 1);
    assert_eq!((config.networks[0].name.as_str(), &*config.networks[0].prefixes), (WATCH_NETWORK, &[prefix][..]));
    assert_eq!(config.interval, Interval::default());
    assert_eq!(config.keep, None);
    for (mode, no_egress, egress) in
        [(Mode::Inline, false, true), (Mode::Inline, true, false), (Mode::Mirror, false, false)]
    {
        let config = Config::from_args(Args { mode, no_egress, ..args.clone() }).unwrap();
        let interface = &config.interfaces[0];
        assert_eq!((interface.egress, interface.role), (egress, Role::External), "{mode:?}, {no_egress}");
    }
    let interfaces = vec!["eth0".parse().unwrap(), "eth0".parse().unwrap()];
    let args = Args { interfaces, watch: vec![], ..args };
    assert_eq!(
        Config::from_args(args).unwrap_err().to_string(),
        "command line: interface eth0 is given twice; name it once\n\
         command line: nothing to count is given; add --watch 192.0.2.0/24"
    );
}

#[test]
fn one_network_too_many_is_told_with_its_line() {
    let networks = |count: usize| -> String {
        let network = |number| {
            format!("[[network]]\nname = \"n{number}\"\nprefixes = [\"10.0.{}.{}/32\"]\n", number / 256, number % 256)
        };
        (0..count).map(network).collect()
    };
    let interface = "[[interface]]\nname = \"eth0\"\n";
    assert_eq!(parse(&format!("{interface}{}", networks(511))).unwrap().networks.len(), 511);
    let expected = "s.toml:1537:8: network \"n511\" is one too many: at most 511 can be watched; join some";
    assert_eq!(errors(&format!("{interface}{}", networks(513))), expected);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn near_texts_are_read_or_refused(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "[sensor]", "[[interface]]", "[[network]]", "[accounting]", "name = \"a\"", "prefixes = [\"::/0\"]", "mode = 1", "egress = true", "role = \"internal\"",
                "id = \"x\"", "[interface.name]", "tables = [[]]", "[[upstream]]", "mac = []", "vlan = 1", "neighbor = \"::1\"", "[[list]]", "[report]", "learn = \"\"",
                "[[counterpart]]", "flows = 0", "asn = -1", "timezone = \"\"", "sensor.id = \"x\"", "interval = \"0s\"",
            ]),
            0..12,
        ),
    ) {
        if let Err(error) = parse(&lines.join("\n")) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
