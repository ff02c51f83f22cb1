//! The hours of a week: how much of all bytes each has, by size and by strength.

use maud::{Markup, html};

use super::{Drawing, Mark, Plot, number};
use crate::{report::text, study::Study};

const CELL: f64 = 17.0;
/// Room for the names of days.
const LEFT: f64 = 36.0;
/// Room for the name of the period.
const TOP: f64 = 24.0;
const HOURS: usize = 24;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Hours that are named.
const NAMED: usize = 6;

pub(super) fn week(study: &Study) -> Option<Plot> {
    let profile = &study.profile;
    let shares = |hours: &[i64]| -> Vec<f64> {
        let whole: i64 = hours.iter().sum();
        hours.iter().map(|bytes| if whole > 0 { *bytes as f64 / whole as f64 } else { 0.0 }).collect()
    };
    let periods =
        [("Baseline", &profile.baseline_hours), ("Period", &profile.hours)].map(|(name, hours)| (name, shares(hours)));
    let most = periods.iter().flat_map(|(_, shares)| shares).copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let drawings = periods.iter().map(|(name, shares)| drawing(name, shares, most)).collect();
    Some(Plot {
        id: "week",
        caption: format!(
            "Bytes by hour of the week, in {}. The larger and stronger a square, the more of its period's bytes fall \
             into the hour; the largest is {}.",
            text::name(&profile.timezone),
            text::percent(most)
        ),
        drawings,
        legend: vec![
            (Mark::Period, "share of all bytes of the period".to_owned()),
            (Mark::Office, "office hours: Monday to Friday, 08:00 to 18:00".to_owned()),
        ],
    })
}

fn drawing(name: &str, shares: &[f64], most: f64) -> Markup {
    let (width, height) = (LEFT + HOURS as f64 * CELL + 14.0, TOP + DAYS.len() as f64 * CELL + 20.0);
    let bottom = TOP + DAYS.len() as f64 * CELL;
    let body = html! {
        text.panel x=(number(LEFT)) y="14" { (name) }
        @for (day, name) in DAYS.iter().enumerate() {
            text.tick x=(number(LEFT - 6.0)) y=(number(TOP + (day as f64 + 0.5) * CELL + 4.0)) text-anchor="end" { (name) }
        }
        rect.ground x=(number(LEFT)) y=(number(TOP)) width=(number(HOURS as f64 * CELL)) height=(number(bottom - TOP)) {}
        @for (hour, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            @let strength = (share / most).clamp(0.0, 1.0);
            // Its area is what it stands for; the least is still seen.
            @let side = (strength.sqrt() * (CELL - 1.0)).max(2.0);
            @let middle = |place: usize| (place as f64 + 0.5) * CELL - side / 2.0;
            rect.period x=(number(LEFT + middle(hour % HOURS))) y=(number(TOP + middle(hour / HOURS))) width=(number(side))
                height=(number(side)) fill-opacity=(number(0.45 + 0.55 * strength)) {
                title { (format!("{} {:02}:00: {}", DAYS[(hour / HOURS).min(6)], hour % HOURS, text::percent(*share))) }
            }
        }
        rect.office x=(number(LEFT + 8.0 * CELL)) y=(number(TOP)) width=(number(10.0 * CELL)) height=(number(5.0 * CELL)) {}
        @for hour in (0..=HOURS).step_by(NAMED) {
            text.tick x=(number(LEFT + hour as f64 * CELL)) y=(number(bottom + 15.0)) text-anchor="middle" { (format!("{hour:02}")) }
        }
    };
    let busiest = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).filter(|(_, share)| **share > 0.0);
    let description = busiest.map_or_else(
        || "No traffic.".to_owned(),
        |(hour, share)| {
            let day = DAYS[(hour / HOURS).min(6)];
            format!("The busiest hour is {day} {:02}:00 with {} of all bytes.", hour % HOURS, text::percent(*share))
        },
    );
    let id = format!("plot-week-{}", name.to_lowercase());
    let title = format!("Hours of the week, {}", name.to_lowercase());
    Drawing { id: &id, title: &title, description: &description, width, height, least: 330.0 }.draw(&body)
}
