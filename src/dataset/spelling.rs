//! Names that look alike: for "did you mean" in error messages.

/// The `count` names of `known` with the spelling most similar to `name`, the closest first.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let wanted: Vec<char> = fold(name);
    let mut ranked: Vec<(usize, &str)> = known.map(|k| (edit_distance(&wanted, &fold(k)), k)).collect();
    ranked.sort_by_key(|(distance, _)| *distance);
    ranked.into_iter().take(count).map(|(_, name)| name).collect()
}

fn fold(name: &str) -> Vec<char> {
    name.trim().chars().flat_map(char::to_lowercase).collect()
}

/// Levenshtein distance: the least number of single-character insertions, deletions and
/// replacements that turn `a` into `b`.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_spelling_comes_first_whatever_the_case() {
        let known = ["Lift", "Drag", "Pressure", "drag_coefficient"];
        assert_eq!(nearest("DRAGG", known.into_iter(), 2), ["Drag", "Lift"]);
        assert_eq!(nearest("pressao", known.into_iter(), 1), ["Pressure"]);
    }

    #[test]
    fn distances_of_textbook_pairs() {
        let distance = |a: &str, b: &str| edit_distance(&fold(a), &fold(b));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
