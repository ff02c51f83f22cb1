//! Shares in both periods, as bars below the name of what has them.

use maud::html;

use super::{Drawing, MOST_BARS, Mark, Plot, number, rest};
use crate::{
    report::{text, words},
    study::{Counterpart, Study},
};

const WIDTH: f64 = 430.0;
/// Room for a share at the end of a bar.
const VALUE: f64 = 100.0;
/// Of one name with its two bars.
const ROW: f64 = 52.0;
const BAR: f64 = 13.0;
/// Letters that a line has room for.
const LETTERS: usize = 52;
/// Rows of a drawing; more are drawn beside it.
const ROWS: usize = 5;

struct Row {
    name: String,
    now: f64,
    /// Nothing where the baseline does not tell.
    before: Option<f64>,
}

impl Row {
    fn bars(&self) -> impl Iterator<Item = (&'static str, f64, &'static str)> {
        let before = self.before.map(|share| ("baseline", share, "before"));
        before.into_iter().chain([("period", self.now, "now")])
    }
}

pub(super) fn upstreams(study: &Study) -> Option<Plot> {
    let row = |upstream: &crate::study::Upstream| Row {
        name: words::label(upstream),
        now: upstream.share,
        before: upstream.baseline_share,
    };
    let carriers = study.upstreams.iter().filter(|upstream| upstream.carried());
    plot("upstreams", "Share of all bytes by upstream", carriers.map(row).collect())
}

pub(super) fn classes(study: &Study) -> Option<Plot> {
    let row = |class: &crate::study::ClassShare| {
        let hides = if study.hidden_classes.contains(&class.class) { " (hidden)" } else { "" };
        Row { name: format!("{}{hides}", class.class), now: class.share, before: Some(class.baseline_share) }
    };
    plot("classes", "Share of all bytes by class", study.classes.iter().map(row).collect())
}

pub(super) fn counterparts(id: &'static str, what: &str, rows: &[Counterpart]) -> Option<Plot> {
    let row =
        |row: &Counterpart| Row { name: words::counterpart(row), now: row.share, before: Some(row.baseline_share) };
    plot(id, &format!("Share of all bytes by {what} of the far end"), rows.iter().map(row).collect())
}

fn plot(id: &'static str, title: &str, rows: Vec<Row>) -> Option<Plot> {
    let all = rows.len();
    let rows: Vec<Row> = rows.into_iter().take(MOST_BARS).collect();
    let most = rows.iter().flat_map(|row| [row.now, row.before.unwrap_or_default()]).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let length = |share: f64| (share / most).clamp(0.0, 1.0) * (WIDTH - VALUE - 1.0) + 1.0;
    let drawing = |(part, rows): (usize, &[Row])| {
        let body = html! {
            @for (place, row) in rows.iter().enumerate() {
                @let top = place as f64 * ROW;
                text.name x="0" y=(number(top + 13.0)) { (text::clipped(&row.name, LETTERS)) title { (row.name) } }
                @for (line, (style, share, when)) in row.bars().enumerate() {
                    @let y = top + 18.0 + line as f64 * (BAR + 1.0);
                    rect class=(style) x="0" y=(number(y)) width=(number(length(share))) height=(number(BAR)) {}
                    text.tick x=(number(length(share) + 6.0)) y=(number(y + 10.5)) { (text::percent(share)) " " (when) }
                }
            }
        };
        let said = |row: &Row| {
            let before = text::percent_or_unknown(row.before);
            format!("{}: {} (before: {before})", row.name, text::percent(row.now))
        };
        let drawing = Drawing {
            id: &format!("plot-{id}-{part}"),
            title,
            description: &rows.iter().map(said).collect::<Vec<_>>().join("; "),
            width: WIDTH,
            height: rows.len() as f64 * ROW,
            least: 310.0,
        };
        drawing.draw(&body)
    };
    Some(Plot {
        id,
        caption: format!("{title}.{}", rest(rows.len(), all, "largest")),
        drawings: rows.chunks(ROWS).enumerate().map(drawing).collect(),
        legend: vec![(Mark::Baseline, "Baseline (before)".to_owned()), (Mark::Period, "Period (now)".to_owned())],
    })
}
