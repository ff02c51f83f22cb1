//! `[store]`.

use super::*;

fn store(text: &str) -> Option<Store> {
    parse(&format!("{text}\n{LEAST}")).unwrap().store
}

#[test]
fn where_a_store_is() {
    assert_eq!(store(""), None, "without the section nothing is kept");
    let all = store("[store]").unwrap();
    assert_eq!((&*all.path, all.retention), (Path::new("/var/lib/sensor/store"), Retention::DEFAULT));
    assert_eq!(store("[sensor]\nstate_dir = \"/srv/s\"\n[store]").unwrap().path, Path::new("/srv/s/store"));
    assert_eq!(store("[store]\npath = \"/years\"").unwrap().path, Path::new("/years"));
    let without = parse(LEAST).unwrap();
    assert_eq!(without.store_folder().unwrap(), Path::new("/var/lib/sensor/store"));
    assert_eq!(without.retention(), Retention::DEFAULT);
}

#[test]
fn how_long_what_is_kept() {
    let text = "[store]\nkeep_minutes = \"2w\"\nkeep_quarters = \"56d\"\nkeep_prefixes = \"1d\"\nkeep_sights = \"1000d\"\nkeep_ledger = \"forever\"\nkeep_events = \"36500d\"";
    let days = store(text).unwrap().retention.all().map(|(key, age)| (key, age.days()));
    let expected = [
        ("minutes", Some(14)),
        ("quarters", Some(56)),
        ("prefixes", Some(1)),
        ("sights", Some(1000)),
        ("ledger", None),
        ("events", Some(36_500)),
    ];
    assert_eq!(days, expected);
    assert_eq!(store("[store]\nkeep_minutes = \"48h\"").unwrap().retention.minutes, Age::days_of(2));
    assert_eq!(
        [Age::days_of(1), Age::days_of(400), Age::FOREVER].map(|age| age.to_string()),
        ["1 day", "400 days", "forever"]
    );
}

#[test]
fn stores_that_cannot_be() {
    let whole = "is no age in whole days; write a number and a unit, such as \"400d\" or \"8w\", or \"forever\"";
    for age in ["", "400", "1 month", "36h", "1d 1s", "always", "-1d", "0.5d"] {
        assert_eq!(
            errors_before_least(&format!("[store]\nkeep_ledger = \"{age}\"")),
            format!("s.toml:2:15: \"{age}\" {whole}")
        );
    }
    let range = |key: &str, age: &str, least: &str| {
        format!(
            "s.toml:2:{}: {key} \"{age}\" is out of range; write one from \"{least}\" to \"36500d\", or \"forever\"",
            key.len() + 4
        )
    };
    for (key, age, least) in [
        ("keep_minutes", "0d", "1d"),
        ("keep_minutes", "36501d", "1d"),
        ("keep_prefixes", "0s", "1d"),
        ("keep_ledger", "0d", "1d"),
        ("keep_sights", "55d", "56d"),
        ("keep_quarters", "55d", "56d"),
        ("keep_events", "1w", "56d"),
    ] {
        assert_eq!(errors_before_least(&format!("[store]\n{key} = \"{age}\"")), range(key, age, least));
    }
    for (text, expected) in [
        (
            "[store]\nkeep_quarters = \"56d\"",
            "s.toml:2:17: keep_quarters is shorter than keep_minutes (400 days); write as much or more, or keep minutes less long",
        ),
        ("[store]\npath = \"years\"", "s.toml:2:8: path \"years\" is a relative path; write an absolute one"),
        (
            "[store]\nkeep_minutes = 400",
            "s.toml:2:16: keep_minutes in [store] is of type integer; write a string in quotes",
        ),
        (
            "[store]\nkeep_minute = \"400d\"",
            "s.toml:2:1: unknown key \"keep_minute\" in [store]; did you mean \"keep_minutes\"?",
        ),
        ("[[store]]", "s.toml:1:1: store is not a section; write [store] once"),
    ] {
        assert_eq!(errors_before_least(text), expected);
    }
}
