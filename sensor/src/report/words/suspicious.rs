//! Mining, and networks of equals.

use sensor_ebpf::class::{Evidence, Family};

use super::{INSUFFICIENT, Sentence, is_without_baseline, why, without_baseline};
use crate::{
    report::text,
    study::{Study, Suspicious},
};

/// Growth from this ratio on is told as a multiple.
const MULTIPLE: f64 = 2.0;

/// Work for mining pools.
pub(super) fn mining(study: &Study) -> Sentence {
    of(study, ["mining", "baseline_mining"], "Mining", Family::Mining, study.mining.as_ref())
}

/// Networks of equals.
pub(super) fn p2p(study: &Study) -> Sentence {
    of(study, ["p2p", "baseline_p2p"], "Peer-to-peer", Family::P2p, study.p2p.as_ref())
}

fn of(
    study: &Study,
    [section, before]: [&'static str; 2],
    what: &str,
    family: Family,
    found: Option<&Suspicious>,
) -> Sentence {
    let Some(found) = found else {
        let why = why(study, section).unwrap_or("it was not measured");
        return Sentence::missing(section, &format!("Whether there was {} traffic", what.to_lowercase()), why);
    };
    let bytes = found.bytes;
    let Some(baseline_bytes) = found.baseline_bytes else {
        let why = why(study, before).unwrap_or("the baseline was not measured");
        let (much, whose) = match bytes {
            ..=0 => ("none was found".to_owned(), String::new()),
            bytes => (text::bytes(bytes), whose(study, family, found)),
        };
        let growth = format!("Whether that is more than before cannot be said ({INSUFFICIENT}: {why}).");
        return Sentence::new(section, much.clone(), format!("{what} traffic: {much}.{whose} {growth}"));
    };
    if bytes <= 0 && baseline_bytes <= 0 {
        return Sentence::new(
            section,
            "none",
            format!("No {} traffic was found in either period.", what.to_lowercase()),
        );
    }
    if bytes <= 0 {
        let before = text::bytes(baseline_bytes);
        let text = format!("{what} traffic is gone: none was found, {before} before.");
        return Sentence::new(section, "gone", text);
    }
    if is_without_baseline(study) {
        let (bytes, whose) = (text::bytes(bytes), whose(study, family, found));
        let growth = without_baseline("Whether that is more than before");
        return Sentence::new(section, bytes.clone(), format!("{what} traffic: {bytes}.{whose} {growth}"));
    }
    let ratio = bytes as f64 / baseline_bytes.max(1) as f64;
    let (figure, grew) = match found.growth_percent {
        None => ("new".to_owned(), "none before".to_owned()),
        Some(_) if ratio >= MULTIPLE => {
            let times = text::times(ratio);
            (
                format!("× {}", times.trim_end_matches(" times")),
                format!("{times} the {} of the baseline", text::bytes(baseline_bytes)),
            )
        }
        Some(growth) => {
            let way = if growth < 0.0 { "down" } else { "up" };
            let (much, before) = (text::percent(growth.abs() / 100.0), text::bytes(baseline_bytes));
            (text::growth(growth), format!("{way} {much} from the {before} of the baseline"))
        }
    };
    let step = found.step.as_ref().map_or_else(String::new, |step| {
        let how = match step.ratio {
            None => "it began".to_owned(),
            Some(ratio) if ratio >= 1.0 => format!("it stepped up to {} its daily volume", text::times(ratio)),
            Some(ratio) => format!("it stepped down to {} of its daily volume", text::percent(ratio)),
        };
        format!(" On {} {how}.", step.date)
    });
    let text = format!("{what} traffic: {}, {grew}.{step}{}", text::bytes(bytes), whose(study, family, found));
    Sentence::new(section, figure, text)
}

/// By which addresses, and whether all of it.
fn whose(study: &Study, family: Family, found: &Suspicious) -> String {
    let rows = study.classes.iter().filter(|row| row.family == family.name());
    let guessed: i64 = rows.filter_map(|row| row.evidence.get(Evidence::Port.name())).sum();
    let guess = if guessed > 0 {
        format!(" {} of it are a guess by port, and no address is held to it for that.", text::bytes(guessed))
    } else {
        String::new()
    };
    let all = if guessed > 0 { "All of it that is more than a guess" } else { "All of it" };
    let is_incomplete = study.addresses.as_ref().is_some_and(|addresses| addresses.incomplete)
        || study.insufficient_data.contains_key("suspicious.addresses");
    let whose = match &*found.addresses {
        [] if guessed > 0 => String::new(),
        [] => " At which addresses it was seen is not in the records.".to_owned(),
        // There was no room for all addresses, or those of some days are not kept: others may have it, too.
        some if is_incomplete => {
            format!(" It was seen at {} or more.", text::count(some.len(), "address", "addresses"))
        }
        [one] => format!(" {all} runs through ONE address, {one}."),
        [first, second] => format!(" {all} runs through two addresses, {first} and {second}."),
        many => format!(" {all} runs through {} addresses.", text::exact(many.len() as i128)),
    };
    let since = found
        .first_seen
        .as_ref()
        .map_or_else(String::new, |at| format!(" It was first seen there on {}.", text::day(at)));
    let since = if found.addresses.is_empty() { String::new() } else { since };
    format!("{whose}{since}{guess}")
}
