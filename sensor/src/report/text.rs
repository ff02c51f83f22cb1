//! Numbers, times and names as people read them.

/// Names of the steps of a thousand (SI).
const STEPS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
/// Of a name that others gave, so many characters are shown in a sentence or a plot.
const MOST_OF_NAME: usize = 48;
/// Begins and ends text that is laid out by itself, so that one read from right to left does not turn what is around it (UAX 9).
const ISOLATE: [char; 2] = ['\u{2068}', '\u{2069}'];

/// A number in steps of a thousand, with one decimal where there is a step.
fn stepped(value: f64, unit: &str) -> String {
    let mut rest = if value.is_finite() { value } else { 0.0 };
    let mut step = 0;
    // What would be rounded to a thousand is one of the next step.
    while rest.abs() >= 999.95 && step + 1 < STEPS.len() {
        rest /= 1000.0;
        step += 1;
    }
    let unit = format!("{}{unit}", STEPS[step]);
    let space = if unit.is_empty() { "" } else { " " };
    let decimals = usize::from(step > 0 || rest.fract() != 0.0);
    format!("{rest:.decimals$}{space}{unit}")
}

/// Bytes.
pub(super) fn bytes(bytes: i64) -> String {
    stepped(bytes as f64, "B")
}

/// Bits per second.
pub(super) fn bits(rate: f64) -> String {
    stepped(rate, "bit/s")
}

/// A number of things: exact, in groups of three digits.
pub(super) fn exact(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole, in percent. What is there and rounds to nothing is said to be less than the least.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        _ if !percent.is_finite() => "0.0 %".to_owned(),
        _ if percent > 0.0 && percent < 0.05 => "< 0.1 %".to_owned(),
        _ if percent.abs() < 0.05 => "0.0 %".to_owned(),
        _ => format!("{percent:.1} %"),
    }
}

/// The same of a share that may not be known.
pub(super) fn percent_or_unknown(share: Option<f64>) -> String {
    share.map_or_else(|| "not known".to_owned(), percent)
}

/// A growth in percent, with its sign.
pub(super) fn growth(percent: f64) -> String {
    if percent.abs() < 0.05 { "0.0 %".to_owned() } else { format!("{}{:.1} %", sign(percent), percent.abs()) }
}

/// A difference of two shares, in percentage points.
pub(super) fn points(difference: f64) -> String {
    let points = 100.0 * difference;
    if points.abs() < 0.05 { "0.0 points".to_owned() } else { format!("{}{:.1} points", sign(points), points.abs()) }
}

const fn sign(number: f64) -> &'static str {
    if number < 0.0 { "\u{2212}" } else { "+" }
}

/// How many times as much.
pub(super) fn times(ratio: f64) -> String {
    if ratio < 1.95 { format!("{ratio:.2} times") } else { format!("{ratio:.1} times") }
}

/// How long, in its largest unit.
pub(super) fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")];
    match UNITS.iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", seconds / unit),
        None => format!("{seconds:.0} seconds"),
    }
}

/// A number of things with their name.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", exact(number as i128), if number == 1 { one } else { many })
}

/// An address with a port.
pub(super) fn socket(address: std::net::IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// The day of a moment as reports write it.
pub(super) fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

/// A moment as reports write it, for tables.
pub(super) fn moment(moment: &str) -> String {
    moment.replacen('T', " ", 1)
}

/// A name that others gave, whole: without what changes how the text around it is laid out.
pub(super) fn whole_name(name: &str) -> String {
    let is_layout = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let clean: String = name.chars().map(|c| if is_layout(c) { ' ' } else { c }).collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.is_ascii() { clean } else { format!("{}{clean}{}", ISOLATE[0], ISOLATE[1]) }
}

/// The same, no longer than a line has room for.
pub(super) fn name(name: &str) -> String {
    clipped(&whole_name(name), MOST_OF_NAME)
}

/// Text of so many characters or fewer.
pub(super) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let end = if text.starts_with(ISOLATE[0]) { String::from(ISOLATE[1]) } else { String::new() };
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect::<String>() + &end
}

/// Things in a sentence: "a", "a and b", "a, b and c".
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} and {last}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_decimal_and_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(999_949), "999.9 kB");
        assert_eq!(bytes(999_950), "1.0 MB");
        assert_eq!(bytes(-1_500_000), "-1.5 MB");
        assert_eq!(bytes(i64::MAX), "9.2 EB");
        assert_eq!(bits(f64::NAN), "0 bit/s");
        assert_eq!(bits(12.34), "12.3 bit/s");
        assert_eq!(exact(0), "0");
        assert_eq!(exact(-1_234_567_i64), "-1,234,567");
        assert_eq!(exact(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn shares_and_growth() {
        assert_eq!(percent(0.0), "0.0 %");
        assert_eq!(percent(0.0004), "< 0.1 %");
        assert_eq!(percent(-0.0004), "0.0 %");
        assert_eq!(percent(0.4567), "45.7 %");
        assert_eq!(percent(f64::INFINITY), "0.0 %");
        assert_eq!(growth(312.44), "+312.4 %");
        assert_eq!(growth(-12.0), "\u{2212}12.0 %");
        assert_eq!(growth(-0.01), "0.0 %");
        assert_eq!(points(0.441), "+44.1 points");
        assert_eq!((duration(59.0), duration(5400.0)), ("59 seconds".to_owned(), "1.5 hours".to_owned()));
        assert_eq!(times(10.04), "10.0 times");
    }

    #[test]
    fn names_stay_in_their_place() {
        assert_eq!(name("a\u{202e}b\n\u{2066}c"), "a b c");
        assert_eq!(name("שלום"), "\u{2068}שלום\u{2069}");
        let long = name(&"x".repeat(500));
        assert_eq!((long.chars().count(), long.chars().last()), (MOST_OF_NAME, Some('…')));
        assert!(name(&"ש".repeat(500)).ends_with('\u{2069}'));
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
