//! `[spool]` and `[[exporter]]`.

use super::*;

#[test]
fn exporters() {
    let text = r#"
[spool]
max_size = "1GiB"
max_age = "2d"

[[exporter]]
type = "jsonl"

[[exporter]]
type = "jsonl"
name = "archive"
endpoint = "file:///var/log/records.jsonl"
rotate = "64MiB"
keep = 3

[[exporter]]
type = "jsonl"
name = "local"
endpoint = "unix:///run/collector.sock"
"#;
    let config = parse(&format!("{text}{LEAST}")).unwrap();
    assert_eq!(config.spool, Bounds { max_bytes: 1 << 30, max_age: std::time::Duration::from_secs(2 * 86_400) });
    let exporter = |name: &str, jsonl| Exporter { name: name.parse().unwrap(), target: Target::Jsonl(jsonl) };
    let file = Jsonl::File { path: "/var/log/records.jsonl".into(), rotate: 64 << 20, keep: 3 };
    let expected = [
        exporter("jsonl", Jsonl::Stdout),
        exporter("archive", file),
        exporter("local", Jsonl::Socket("/run/collector.sock".into())),
    ];
    assert_eq!(config.exporters, expected);
    let config = parse(LEAST).unwrap();
    assert_eq!((config.spool, config.exporters), (DEFAULT_SPOOL, vec![]));
}

#[test]
fn exporters_that_cannot_be() {
    for (text, expected) in [
        ("[[exporter]]\nname = \"a\"", "s.toml:1:1: the [[exporter]] has no type; add type = \"...\""),
        (
            "[[exporter]]\ntype = \"smoke\"",
            "s.toml:2:8: type cannot be \"smoke\"; write \"jsonl\" or \"ipfix\" or \"kafka\" or \"clickhouse\"",
        ),
        (
            "[[exporter]]\ntype = \"jsonl\"\nkeep = 0\nendpoint = \"file:///x\"",
            "s.toml:3:8: keep cannot be 0; write a number from 1 to 1000",
        ),
        (
            "[[exporter]]\ntype = \"jsonl\"\nkeep = 1",
            "s.toml:3:8: only files are rotated; remove this key, or write endpoint = \"file:///path\"",
        ),
        (
            "[[exporter]]\ntype = \"jsonl\"\nendpoint = \"x\"",
            "s.toml:3:12: \"x\" is no endpoint for JSON lines; write \"stdout\", \"file:///path\" or \"unix:///path\"",
        ),
        (
            "[[exporter]]\ntype = \"jsonl\"\n[[exporter]]\ntype = \"jsonl\"\nendpoint = \"file:///x\"",
            "s.toml:4:8: exporter \"jsonl\" stands in line 2 already; remove one",
        ),
        (
            "[[exporter]]\ntype = \"jsonl\"\n[[exporter]]\ntype = \"jsonl\"\nname = \"b\"\nendpoint = \"stdout\"",
            "s.toml:6:12: endpoint \"stdout\" stands in line 2 already; remove one",
        ),
        (
            "[spool]\nmax_size = \"1MiB\"",
            "s.toml:2:12: the disk space \"1MiB\" is out of range; write an amount from \"16MiB\" to \"16384GiB\"",
        ),
        (
            "[spool]\nmax_age = \"1s\"",
            "s.toml:2:11: \"1s\" is no time that records may wait; write one from \"1m\" to \"366d\", such as \"7d\"",
        ),
    ] {
        assert_eq!(errors_before_least(text), expected);
    }
}

#[test]
fn kafka_is_for_a_sensor_that_was_built_with_it() {
    let text = "[[exporter]]\ntype = \"kafka\"\nendpoint = \"kafka://a,b:1\"";
    if cfg!(feature = "kafka") {
        let config = parse(&format!("{text}\n{LEAST}")).unwrap();
        let Target::Kafka(kafka) = &config.exporters[0].target else { panic!("{:?}", config.exporters) };
        let brokers: Vec<String> = kafka.brokers.iter().map(ToString::to_string).collect();
        assert_eq!((brokers.join(" ").as_str(), kafka.topic.as_str()), ("a:9092 b:1", "sensor"));
    } else {
        let expected =
            "s.toml:3:12: this sensor was built without Kafka; build with --features kafka, or remove the exporter";
        assert_eq!(errors_before_least(text), expected);
    }
}
