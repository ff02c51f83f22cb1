//! On which days of the period services answered.

use maud::html;

use super::{Drawing, MOST_SERVICES, Mark, Plot, axis, number, rest};
use crate::{
    report::text,
    study::{ServiceFact, Study},
};

const ROW: f64 = 18.0;
/// Room for days.
const DAYS: f64 = 520.0;
/// Room for dates, above.
const TOP: f64 = 24.0;
/// Width of a letter, all of which are as wide as others.
const LETTER: f64 = 6.8;
/// Width of a date.
const DATE: f64 = 52.0;

pub(super) fn services(study: &Study) -> Option<Plot> {
    let all = study.services.as_ref().filter(|services| !services.is_empty())?;
    let mut services: Vec<&ServiceFact> = all.iter().collect();
    services.sort_by_key(|service| (!service.new, service.days.first().cloned(), service.address, service.port));
    services.truncate(MOST_SERVICES);
    let names: Vec<String> = services.iter().map(|service| name(service)).collect();
    let left = names.iter().map(|name| name.chars().count()).max().unwrap_or_default() as f64 * LETTER + 14.0;
    let dates = axis::dates(&study.period);
    let day = DAYS / dates.len().max(1) as f64;
    let height = TOP + services.len() as f64 * ROW + 6.0;
    let x = |place: usize| left + place as f64 * day;
    let body = html! {
        @for place in axis::named_days(dates.len(), day, DATE) {
            @if x(place) + DATE <= left + DAYS || place == 0 {
                line.grid x1=(number(x(place))) x2=(number(x(place))) y1="4" y2=(number(height)) {}
                text.tick x=(number(x(place) + 4.0)) y="14" { (axis::name(&dates[place], dates.len())) }
            }
        }
        @for (row, (service, name)) in services.iter().zip(&names).enumerate() {
            @let middle = TOP + (row as f64 + 0.5) * ROW;
            @if row % 2 == 0 {
                rect.stripe x="0" y=(number(middle - ROW / 2.0)) width=(number(left + DAYS)) height=(number(ROW)) {}
            }
            text.code.is-new[service.new] x="4" y=(number(middle + 4.0)) { (name) }
            @for (number_of_day, date) in service.days.iter().enumerate() {
                @if let Ok(place) = dates.binary_search(date) {
                    @let tip = format!("{name}: {date}");
                    @let centre = x(place) + day / 2.0;
                    @if service.new && number_of_day == 0 {
                        path.new d=(format!("M{} {}l6 6l-6 6l-6 -6z", number(centre), number(middle - 6.0))) { title { (tip) } }
                    } @else {
                        rect.period.new-line[service.new] x=(number(centre - (day * 0.4).min(4.0))) y=(number(middle - 3.0))
                            width=(number((day * 0.8).clamp(0.8, 8.0))) height="6" { title { (tip) } }
                    }
                }
            }
        }
    };
    let new = all.iter().filter(|service| service.new).count();
    let drawing = Drawing {
        id: "plot-services",
        title: "Days on which services answered",
        description: &format!(
            "{} answered, {new} of them new since the baseline.",
            text::count(all.len(), "service", "services")
        ),
        width: left + DAYS,
        height,
        least: left + DAYS,
    };
    Some(Plot {
        id: "services",
        caption: format!(
            "Days of the period with answers, new services first.{}",
            rest(services.len(), all.len(), "first")
        ),
        drawings: vec![drawing.draw(&body)],
        legend: vec![
            (Mark::New, "first day of a service that is new since the baseline".to_owned()),
            (Mark::Period, "a day with answers".to_owned()),
        ],
    })
}

fn name(service: &ServiceFact) -> String {
    let new = if service.new { "new " } else { "" };
    format!("{new}{}/{} {}", text::socket(service.address, service.port), service.protocol, service.class)
}
