//! "Did you mean": the known word nearest to a mistyped one.

/// Words longer than this are not compared, in characters: nobody mistypes a key that long.
const MAX_COMPARED: usize = 40;

/// The candidate that takes the fewest edits, if they are few for a word of that length.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > MAX_COMPARED {
        return None;
    }
    let allowed = length.div_ceil(3);
    let (edits, candidate) = candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .min()?;
    (edits <= allowed).then_some(candidate)
}

/// Edit distance (Levenshtein), row by row.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        let keys = ["id", "interval", "state_dir"];
        assert_eq!(nearest("intervall", keys), Some("interval"));
        assert_eq!(nearest("statedir", keys), Some("state_dir"));
        assert_eq!(nearest("ID", keys), Some("id"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"x".repeat(1000), keys), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
