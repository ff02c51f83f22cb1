//! `[events]`.

use super::*;

#[test]
fn thresholds_of_events() {
    let events = |text: &str| parse(&format!("{text}\n{LEAST}")).unwrap().events;
    assert_eq!(events(""), Events::default());
    assert_eq!(events("[events]"), Events::default());
    let text = "[events]\nweeks = 3\nsurge_percent = 101\ncollapse_percent = 0\nshift_percent = 100\ndeviations = 1\nleast_rate = 0\n\
                blind_seconds = 86400";
    let expected = Events {
        weeks: 3,
        surge_percent: 101,
        collapse_percent: 0,
        shift_percent: 100,
        deviations: 1,
        least_rate: 0,
        blind_seconds: 86_400,
    };
    assert_eq!(events(text), expected);
}

#[test]
fn thresholds_that_cannot_be() {
    for (line, expected) in [
        ("weeks = 2", "weeks cannot be 2; write a number from 3 to 26"),
        ("surge_percent = 100", "surge_percent cannot be 100; write a number from 101 to 100000"),
        ("collapse_percent = 100", "collapse_percent cannot be 100; write a number from 0 to 99"),
        ("shift_percent = 0", "shift_percent cannot be 0; write a number from 1 to 100"),
        ("deviations = 0", "deviations cannot be 0; write a number from 1 to 100000"),
        ("blind_seconds = 0", "blind_seconds cannot be 0; write a number from 1 to 86400"),
    ] {
        let column = line.find('=').unwrap() + 3;
        assert_eq!(errors_before_least(&format!("[events]\n{line}")), format!("s.toml:2:{column}: {expected}"));
    }
    let store = "[store]\nkeep_minutes = \"56d\"\nkeep_quarters = \"69d\"";
    assert_eq!(
        errors_before_least(&format!("[events]\nweeks = 10\n{store}")),
        "s.toml:2:9: weeks cannot be 10, for keep_quarters is 69 days; keep 70d or more, or compare with fewer weeks"
    );
    assert_eq!(parse(&format!("[events]\nweeks = 9\n{store}\n{LEAST}")).unwrap().events.weeks, 9);
    let unknown = errors_before_least("[events]\nweek = 4");
    assert_eq!(unknown, "s.toml:2:1: unknown key \"week\" in [events]; did you mean \"weeks\"?");
}
