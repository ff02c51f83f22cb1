//! A figure by day: both periods, on one scale.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Drawing, Mark, Plot, axis, both_periods, number};
use crate::{
    report::{text, words},
    study::{Coverage, Period, Shift, Study, Suspicious, Upstream},
};

const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 220.0;
/// Room for the names of lines.
const LEFT: f64 = 62.0;
/// Room for the name of the period.
const TOP: f64 = 38.0;
/// Room for dates.
const BOTTOM: f64 = 28.0;
/// Behind the last day.
const RIGHT: f64 = 6.0;
/// A period of more days than this has columns of several.
const MOST_COLUMNS: usize = 200;
/// So many upstreams are drawn by day.
const MOST_UPSTREAMS: usize = 3;
/// Width of a date.
const DATE: f64 = 52.0;

/// What is drawn.
struct Figure<'a> {
    id: &'static str,
    title: String,
    values: BTreeMap<&'a str, f64>,
    unit: fn(f64) -> String,
    /// Days of changes, as dates.
    changes: Vec<&'a str>,
}

/// Where a period is drawn.
struct Panel<'a> {
    name: &'static str,
    style: &'static str,
    period: &'a Period,
    coverage: &'a Coverage,
    dates: Vec<String>,
}

pub(super) fn volume(study: &Study) -> Option<Plot> {
    let values = &study.volume.by_day;
    let figure = Figure {
        id: "volume",
        title: "Bytes a day".to_owned(),
        values: values.iter().map(|(day, bytes)| (day.as_str(), *bytes as f64)).collect(),
        unit: |bytes| text::bytes(bytes as i64),
        changes: vec![],
    };
    figure.plot(study, "Bytes a day in both directions.")
}

/// Shares of the largest upstreams by day, with the days of shifts.
pub(super) fn upstreams(study: &Study) -> Vec<Plot> {
    const IDS: [&str; MOST_UPSTREAMS] = ["upstream-1", "upstream-2", "upstream-3"];
    let plot = |(id, upstream): (&'static str, &Upstream)| {
        let name = words::label(upstream);
        let is_in = |shift: &&Shift| shift.from == upstream.name || shift.to == upstream.name;
        let shifts: Vec<&str> = study.upstream_shifts.iter().filter(is_in).map(|shift| shift.date.as_str()).collect();
        let days = match &*shifts {
            [] => String::new(),
            days => {
                format!(" Traffic moved on {}.", text::list(&days.iter().map(ToString::to_string).collect::<Vec<_>>()))
            }
        };
        let figure = Figure {
            id,
            title: format!("Share of {name} by day"),
            values: upstream.share_by_day.iter().map(|(day, share)| (day.as_str(), *share)).collect(),
            unit: text::percent,
            changes: shifts,
        };
        figure.plot(study, &format!("Share of {name} in all bytes by day.{days}"))
    };
    let carriers = study.upstreams.iter().filter(|upstream| upstream.carried());
    IDS.into_iter().zip(carriers).filter_map(plot).collect()
}

pub(super) fn addresses(study: &Study) -> Option<Plot> {
    let values = &study.addresses.as_ref()?.by_day;
    let figure = Figure {
        id: "active",
        title: "Active addresses by day".to_owned(),
        values: values.iter().map(|(day, active)| (day.as_str(), *active as f64)).collect(),
        unit: |active| if active.fract() == 0.0 { text::exact(active as i128) } else { format!("{active:.2}") },
        changes: vec![],
    };
    figure.plot(study, "Active addresses by day.")
}

pub(super) fn hidden(study: &Study) -> Option<Plot> {
    let figure = Figure {
        id: "hidden",
        title: "Hidden share of bytes by day".to_owned(),
        values: study.hidden_by_day.iter().map(|(day, share)| (day.as_str(), *share)).collect(),
        unit: text::percent,
        changes: vec![],
    };
    figure.plot(study, "Hidden share of all bytes by day.")
}

pub(super) fn suspicious(id: &'static str, what: &str, study: &Study, found: Option<&Suspicious>) -> Option<Plot> {
    let found = found?;
    let figure = Figure {
        id,
        title: format!("{what} bytes by day"),
        values: found.by_day.iter().map(|(day, bytes)| (day.as_str(), (*bytes).max(0) as f64)).collect(),
        unit: |bytes| text::bytes(bytes as i64),
        changes: found.step.iter().map(|step| step.date.as_str()).collect(),
    };
    let step = found.step.as_ref().map_or_else(String::new, |step| format!(" Its volume changed on {}.", step.date));
    figure.plot(study, &format!("{what} traffic, bytes a day.{step}"))
}

impl Figure<'_> {
    fn plot(&self, study: &Study, caption: &str) -> Option<Plot> {
        if self.values.values().all(|value| *value <= 0.0) {
            return None;
        }
        let panels = panels(study);
        let days = panels.iter().map(|panel| panel.dates.len()).max().unwrap_or_default();
        let bucket = days.div_ceil(MOST_COLUMNS).max(1);
        let columns: Vec<Vec<Option<f64>>> = panels.iter().map(|panel| self.columns(&panel.dates, bucket)).collect();
        let most = columns.iter().flatten().flatten().copied().fold(0.0, f64::max);
        let lines = axis::lines(most);
        let drawing = |(panel, columns): (&Panel<'_>, &Vec<Option<f64>>)| {
            let name = panel.name.to_lowercase();
            let drawing = Drawing {
                id: &format!("plot-{}-{name}", self.id),
                title: &format!("{}, {name}", self.title),
                description: &self.mean(panel, columns),
                width: WIDTH,
                height: HEIGHT,
                least: 310.0,
            };
            drawing.draw(&self.panel(panel, columns, bucket, &lines))
        };
        let drawings = panels.iter().zip(&columns).map(drawing).collect();
        let mut legend = both_periods(study);
        if [&study.coverage, &study.baseline_coverage].iter().any(|coverage| !coverage.gaps.is_empty()) {
            legend.push((Mark::Gap, "not measured".to_owned()));
        }
        if !self.changes.is_empty() {
            legend.push((Mark::Change, "first day of a change".to_owned()));
        }
        let merged = if bucket > 1 { format!(" Each column is the mean of {bucket} days.") } else { String::new() };
        let caption = format!("{caption}{merged}");
        Some(Plot { id: self.id, caption, drawings, legend })
    }

    /// Means of so many days each, of those that have a value.
    fn columns(&self, dates: &[String], bucket: usize) -> Vec<Option<f64>> {
        let mean = |dates: &[String]| {
            let values: Vec<f64> = dates.iter().filter_map(|date| self.values.get(date.as_str()).copied()).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        dates.chunks(bucket).map(mean).collect()
    }

    fn mean(&self, panel: &Panel<'_>, columns: &[Option<f64>]) -> String {
        let values: Vec<f64> = columns.iter().flatten().copied().collect();
        if values.is_empty() {
            return format!("{}: no day with a value.", panel.name);
        }
        let (mean, most) =
            (values.iter().sum::<f64>() / values.len() as f64, values.iter().copied().fold(0.0, f64::max));
        format!("{}: mean {}, most {}, of days with a value.", panel.name, (self.unit)(mean), (self.unit)(most))
    }

    fn panel(&self, panel: &Panel<'_>, columns: &[Option<f64>], bucket: usize, lines: &[f64]) -> Markup {
        let top = lines.last().copied().unwrap_or(1.0);
        let width = WIDTH - LEFT - RIGHT;
        let room = width / columns.len().max(1) as f64;
        let column = room - (0.2 * room).min(2.0);
        let day = width / panel.dates.len().max(1) as f64;
        html! {
            @for line in lines {
                @let y = y(*line, top);
                line.grid x1=(number(LEFT)) x2=(number(LEFT + width)) y1=(number(y)) y2=(number(y)) {}
                text.tick x=(number(LEFT - 6.0)) y=(number(y + 4.0)) text-anchor="end" { ((self.unit)(*line)) }
            }
            text.panel x=(number(LEFT)) y="14" {
                (format!("{}: {} to {}", panel.name, panel.period.first(), panel.period.last()))
            }
            @for gap in &panel.coverage.gaps {
                @let from = axis::place(&gap.from, panel.period) * width;
                @let to = axis::place(&gap.to, panel.period) * width;
                rect.gap x=(number(LEFT + from)) y=(number(TOP)) width=(number((to - from).max(1.0)))
                    height=(number(HEIGHT - TOP - BOTTOM)) { title { (format!("not measured: {} to {}", gap.from, gap.to)) } }
            }
            @for (place, value) in columns.iter().enumerate() {
                @if let Some(value) = value.filter(|value| *value > 0.0) {
                    @let y = y(value, top);
                    @let date = &panel.dates[place * bucket];
                    rect class=(panel.style) x=(number(LEFT + place as f64 * room)) y=(number(y)) width=(number(column))
                        height=(number(HEIGHT - BOTTOM - y)) { title { (format!("{date}: {}", (self.unit)(value))) } }
                }
            }
            line.axis x1=(number(LEFT)) x2=(number(LEFT + width)) y1=(number(HEIGHT - BOTTOM)) y2=(number(HEIGHT - BOTTOM)) {}
            @for place in axis::named_days(panel.dates.len(), day, DATE) {
                @let x = LEFT + (place as f64 + 0.5) * day;
                @if x + DATE / 2.0 <= LEFT + width || place == 0 {
                    line.axis x1=(number(x)) x2=(number(x)) y1=(number(HEIGHT - BOTTOM)) y2=(number(HEIGHT - BOTTOM + 4.0)) {}
                    text.tick x=(number(x)) y=(number(HEIGHT - BOTTOM + 18.0)) text-anchor="middle" {
                        (axis::name(&panel.dates[place], panel.dates.len()))
                    }
                }
            }
            @for date in &self.changes {
                @if let Ok(place) = panel.dates.binary_search_by(|day| day.as_str().cmp(date)) {
                    @let x = number(LEFT + place as f64 * day);
                    path.change d=(format!("M{x} {}V{}m-5 -{}h10l-5 8z", number(HEIGHT - BOTTOM), number(TOP), 10)) {
                        title { (format!("change on {date}")) }
                    }
                }
            }
        }
    }
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - value / top.max(f64::MIN_POSITIVE) * (HEIGHT - TOP - BOTTOM)
}

/// Both periods, the baseline first.
fn panels(study: &Study) -> [Panel<'_>; 2] {
    let panel = |name, style, period, coverage| Panel { name, style, period, coverage, dates: axis::dates(period) };
    [
        panel("Baseline", "baseline", &study.baseline, &study.baseline_coverage),
        panel("Period", "period", &study.period, &study.coverage),
    ]
}
