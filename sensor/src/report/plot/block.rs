//! The address space: each /24 as a square of 16 by 16 addresses.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{Drawing, MOST_BLOCKS, Mark, Plot, number, rest};
use crate::study::{Addresses, Study};

const CELL: f64 = 8.0;
/// Addresses in a row.
const SIDE: usize = 16;
const MARGIN: f64 = 2.0;
/// Room for the name of the block.
const TOP: f64 = 20.0;
/// Addresses of a /24.
const ALL: usize = 256;

/// What became of the addresses of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Counts {
    /// Active now.
    pub(in crate::report) now: u32,
    /// Active before.
    pub(in crate::report) before: u32,
    /// Active now, and not before.
    pub(in crate::report) lit: u32,
    /// Active before, and not now.
    pub(in crate::report) dark: u32,
}

/// The same of a block by its name. A block without a bitmap is one address.
pub(in crate::report) fn counts(addresses: &Addresses, name: &str) -> Counts {
    let [before, now] = bits(addresses, name);
    let mut counts = Counts::default();
    for (before, now) in before.into_iter().zip(now) {
        counts.now += u32::from(now);
        counts.before += u32::from(before);
        counts.lit += u32::from(now && !before);
        counts.dark += u32::from(before && !now);
    }
    counts
}

/// Which addresses of a block were active: before, and now.
fn bits(addresses: &Addresses, name: &str) -> [Vec<bool>; 2] {
    [&addresses.baseline_blocks, &addresses.blocks].map(|blocks| match blocks.get(name).map(String::as_str) {
        None => vec![false; ALL],
        Some("") => (0..ALL).map(|index| index == 0).collect(),
        Some(digits) => {
            let nibble = |digit: char| digit.to_digit(16).unwrap_or_default();
            let all = digits.chars().flat_map(|digit| (0..4).rev().map(move |bit| nibble(digit) >> bit & 1 == 1));
            all.chain(std::iter::repeat(false)).take(ALL).collect()
        }
    })
}

pub(super) fn addresses(study: &Study) -> Option<Plot> {
    let addresses = study.addresses.as_ref()?;
    let names: BTreeSet<&String> = addresses
        .blocks
        .iter()
        .chain(&addresses.baseline_blocks)
        .filter(|(_, digits)| !digits.is_empty())
        .map(|(name, _)| name)
        .collect();
    if names.is_empty() {
        return None;
    }
    let all = names.len();
    // Those in which most changed; then in the order of addresses.
    let mut drawn: Vec<&String> = names.into_iter().collect();
    drawn.sort_by_key(|name| {
        let counts = counts(addresses, name);
        std::cmp::Reverse((counts.lit + counts.dark, counts.now))
    });
    drawn.truncate(MOST_BLOCKS);
    drawn.sort_by_key(|name| name.split('/').next().and_then(|first| first.parse::<std::net::Ipv4Addr>().ok()));
    Some(Plot {
        id: "addresses",
        caption: format!(
            "The addresses of each /24, .0 at the top left and 16 in a row.{}",
            rest(drawn.len(), all, "blocks that changed most")
        ),
        drawings: drawn.iter().map(|name| block(addresses, name)).collect(),
        legend: vec![
            (Mark::Period, "active in both periods".to_owned()),
            (Mark::New, "newly lit: active now, not in the baseline".to_owned()),
            (Mark::Gone, "gone dark: active in the baseline alone".to_owned()),
        ],
    })
}

fn block(addresses: &Addresses, name: &str) -> Markup {
    let [before, now] = bits(addresses, name);
    let Counts { now: active, before: active_before, lit, dark } = counts(addresses, name);
    let (mut still, mut new, mut gone) = (String::new(), String::new(), String::new());
    for (index, (before, now)) in before.into_iter().zip(now).enumerate() {
        let x = number(MARGIN + (index % SIDE) as f64 * CELL);
        let y = TOP + (index / SIDE) as f64 * CELL;
        match (before, now) {
            (true, true) => still += &format!("M{x} {}m1 1h6v6h-6z", number(y)),
            (false, true) => new += &format!("M{x} {}m4 0l4 4l-4 4l-4 -4z", number(y)),
            (true, false) => gone += &format!("M{x} {}m1.5 1.5l5 5m0 -5l-5 5", number(y)),
            (false, false) => {}
        }
    }
    let side = SIDE as f64 * CELL;
    let body = html! {
        text.block x="0" y="13" { (name) }
        rect.ground x=(number(MARGIN)) y=(number(TOP)) width=(number(side)) height=(number(side)) {}
        @for quarter in 1..4 {
            @let at = f64::from(quarter) * side / 4.0;
            line.grid x1=(number(MARGIN + at)) x2=(number(MARGIN + at)) y1=(number(TOP)) y2=(number(TOP + side)) {}
            line.grid x1=(number(MARGIN)) x2=(number(MARGIN + side)) y1=(number(TOP + at)) y2=(number(TOP + at)) {}
        }
        @for (style, path) in [("period", still), ("new", new), ("gone", gone)] {
            @if !path.is_empty() { path class=(style) d=(path) {} }
        }
    };
    let id = format!("plot-block-{}", name.replace(['.', '/', ':'], "-"));
    let (width, height) = (side + 2.0 * MARGIN, TOP + side + 2.0);
    let description = format!("{active} active, {active_before} before; {lit} newly lit, {dark} gone dark.");
    Drawing { id: &id, title: name, description: &description, width, height, least: width }.draw(&body)
}
