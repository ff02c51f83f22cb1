//! When something begins to be otherwise than usual, and when that is over. Pure.

use jiff::Timestamp;

use super::{QUARTER, WARM};
use crate::summary::Turn;

/// So many quarters of an hour in a row that are otherwise are a beginning.
const BEGINS: u32 = 2;
/// So many in a row that are as usual are its end.
const ENDS: u32 = 4;

/// How a quarter of an hour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// As usual.
    Usual,
    /// More.
    More,
    /// Less.
    Less,
}

/// A beginning or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Which.
    pub(super) turn: Turn,
    /// Otherwise in which way.
    pub(super) side: Side,
    /// The beginning of the first quarter of an hour that was; nothing of one longer ago than is looked at in any case.
    pub(super) since: Option<Timestamp>,
    /// The beginning of that after which it is told.
    pub(super) quarter: i64,
    /// The beginning of the last one that was.
    pub(super) last: i64,
}

impl Change {
    /// When it is told: the end of that quarter.
    pub(super) fn at(&self) -> i64 {
        self.quarter + QUARTER
    }
}

/// Beginnings and ends in quarters of an hour, in order. One of which nothing is known changes nothing.
pub(super) fn changes(quarters: impl IntoIterator<Item = (i64, Option<Side>)>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut tell = |turn, side, since: i64, quarter: i64, last: i64| {
        let since = Some(since).filter(|since| *since > quarter + QUARTER - WARM);
        let since = since.and_then(|since| Timestamp::from_second(since).ok());
        changes.push(Change { turn, side, since, quarter, last });
    };
    // What is told, since when it is so, and until when; what the last quarters were, how many, from which on.
    let (mut told, mut run) = ((Side::Usual, 0, 0), (Side::Usual, 0, 0));
    for (quarter, side) in quarters {
        let Some(side) = side else { continue };
        run = if run.0 == side { (side, run.1 + 1, run.2) } else { (side, 1, quarter) };
        let is_long = run.1 >= if side == Side::Usual { ENDS } else { BEGINS };
        if side == told.0 {
            told.2 = quarter;
        }
        if side == told.0 || !is_long {
            continue;
        }
        if told.0 != Side::Usual {
            tell(Turn::Over, told.0, told.1, quarter, told.2);
        }
        if side != Side::Usual {
            tell(Turn::Began, side, run.2, quarter, quarter);
        }
        told = (side, run.2, quarter);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<(Turn, Side, i64, i64)> {
        let side = |letter| match letter {
            'm' => Some(Side::More),
            'l' => Some(Side::Less),
            '.' => Some(Side::Usual),
            _ => None,
        };
        let quarters = line.chars().zip(0..).map(|(letter, place)| (place * QUARTER, side(letter)));
        let number = |quarter: i64| quarter / QUARTER;
        let since = |change: &Change| number(change.since.unwrap().as_second());
        let told = |change: &Change| (change.turn, change.side, since(change), number(change.quarter));
        changes(quarters).iter().map(told).collect()
    }

    #[test]
    fn what_lasts_begins_and_ends_once() {
        use Side::{Less, More};
        use Turn::{Began, Over};
        assert_eq!(told("....m....l.."), [], "one quarter is chance");
        assert_eq!(told("..mm....mm"), [(Began, More, 2, 3), (Over, More, 2, 7), (Began, More, 8, 9)]);
        assert_eq!(told("..mm..m.m...m.m....."), [(Began, More, 2, 3), (Over, More, 2, 18)], "not over in between");
        assert_eq!(
            told("mm?m???...?."),
            [(Began, More, 0, 1), (Over, More, 0, 11)],
            "what is not known changes nothing"
        );
        assert_eq!(told("m?m"), [(Began, More, 0, 2)]);
        let line = "..".to_owned() + &"m".repeat((WARM / QUARTER) as usize) + "....";
        let quarters = line
            .chars()
            .zip(0..)
            .map(|(letter, place)| (place * QUARTER, Some(if letter == 'm' { More } else { Side::Usual })));
        let changes = changes(quarters);
        assert_eq!(
            changes.iter().map(|change| (change.turn, change.since.is_some())).collect::<Vec<_>>(),
            [(Began, true), (Over, false)]
        );
        assert_eq!(
            told("mmll...."),
            [(Began, More, 0, 1), (Over, More, 0, 3), (Began, Less, 2, 3), (Over, Less, 2, 7)]
        );
    }
}
