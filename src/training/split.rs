//! Which rows are learned from, which choose the epoch, and which judge the result.
//!
//! ```text
//! usable rows --+-- test part: seen once, for the metrics
//!               +-- the rest --+-- training part: fits everything
//!                              +-- validation part: chooses the epoch, calibrates
//! ```
//!
//! With k folds the rest is cut into k validation parts, each the complement of a training part.

use super::TrainError;
use super::random::{Purpose, shuffled, stream};
use super::spec::{Spec, SplitMethod};
use std::collections::HashMap;

/// Rows of the table, by part. Each list is ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Judges the result; empty only where the folds do.
    pub test: Vec<usize>,
    /// At least one.
    pub folds: Vec<Fold>,
}

/// One training part and the validation part that chooses its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Fits everything.
    pub training: Vec<usize>,
    /// Chooses the epoch.
    pub validation: Vec<usize>,
}

/// What the rows look like to a split: `rows` are those with a target.
#[derive(Debug)]
pub struct Rows<'a> {
    /// Rows of the table that can be used, ascending.
    pub usable: &'a [usize],
    /// Per row of the table: its class, group or place in time, by the method of the split.
    pub keys: &'a [u64],
    /// Rows that the caller has set aside for testing, ascending; the method is then used for the
    /// rest only.
    pub given_test: Option<&'a [usize]>,
}

/// Divides the rows as `spec` says.
///
/// # Errors
/// `too-few-rows` when a part would be empty.
pub fn split(rows: &Rows, spec: &Spec) -> Result<Split, TrainError> {
    let validation = &spec.validation;
    let method = validation.method;
    let rng = |purpose| stream(spec.seed, purpose, 0, 0);
    let (rest, test) = match rows.given_test {
        Some(test) => {
            let rest = rows.usable.iter().copied().filter(|row| test.binary_search(row).is_err()).collect();
            (rest, test.to_vec())
        }
        None if validation.test_size == 0.0 => (rows.usable.to_vec(), Vec::new()),
        None => {
            let order = ordered(rows.usable, rows.keys, method, &mut rng(Purpose::TestSplit));
            cut(&order, rows.keys, method, validation.test_size)
        }
    };
    let order = ordered(&rest, rows.keys, method, &mut rng(Purpose::ValidationSplit));
    let folds = if validation.folds == 1 {
        let (training, validation) = cut(&order, rows.keys, method, validation.validation_size);
        vec![Fold { training, validation }]
    } else {
        k_folds(&order, rows.keys, method, validation.folds)
    };
    let parts =
        folds.iter().flat_map(|fold| [("training", &fold.training), ("validation", &fold.validation)]);
    let test_part = (rows.given_test.is_none() && validation.test_size > 0.0).then_some(("test", &test));
    for (name, part) in parts.chain(test_part) {
        if part.is_empty() {
            let message = format!(
                "the {name} part would be empty: {} usable rows are too few for this split{}",
                rows.usable.len(),
                if method == SplitMethod::Group { ", or there are too few groups" } else { "" }
            );
            return Err(TrainError::Data { slug: "too-few-rows", message });
        }
    }
    Ok(Split { test, folds })
}

/// The rows in the order in which parts are cut off: a random one, or by time. Rows of one group are
/// neighbours; classes take turns so that every stretch holds its share of each.
fn ordered(
    rows: &[usize],
    keys: &[u64],
    method: SplitMethod,
    rng: &mut rand_xoshiro::Xoshiro256PlusPlus,
) -> Vec<usize> {
    match method {
        SplitMethod::Random => shuffled(rows.to_vec(), rng),
        SplitMethod::Time => {
            let mut order = rows.to_vec();
            order.sort_by_key(|row| (keys[*row], *row));
            order
        }
        SplitMethod::Group => {
            let groups = by_key(rows, keys);
            shuffled(groups, rng).into_iter().flatten().collect()
        }
        SplitMethod::Stratified => {
            // Each row gets a place in (0, 1) such that the rows of a class are spread evenly.
            let mut placed: Vec<(f64, usize)> = Vec::with_capacity(rows.len());
            for class in by_key(rows, keys) {
                let n = class.len() as f64;
                let offset: f64 = rand::RngExt::random(rng);
                let members = shuffled(class, rng).into_iter().enumerate();
                placed.extend(members.map(|(i, row)| (((i as f64) + offset) / n, row)));
            }
            placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            placed.into_iter().map(|(_, row)| row).collect()
        }
    }
}

/// Rows with the same key, groups in the order of their first row.
fn by_key(rows: &[usize], keys: &[u64]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut index: HashMap<u64, usize> = HashMap::new();
    for row in rows {
        let group = *index.entry(keys[*row]).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(*row);
    }
    groups
}

/// Cuts the last `share` of `order` off; never through a group. Both parts come back ascending.
fn cut(order: &[usize], keys: &[u64], method: SplitMethod, share: f64) -> (Vec<usize>, Vec<usize>) {
    let n = order.len();
    let mut at = n - ((n as f64 * share).round() as usize).clamp(1.min(n), n);
    if method == SplitMethod::Group {
        at = group_edge(order, keys, at);
    }
    let (first, last) = order.split_at(at);
    (ascending(first), ascending(last))
}

/// The edge between groups nearest to `at`, but neither end of the list if there is another edge.
fn group_edge(order: &[usize], keys: &[u64], at: usize) -> usize {
    (1..order.len())
        .filter(|i| keys[order[*i]] != keys[order[*i - 1]])
        .min_by_key(|edge| edge.abs_diff(at))
        .unwrap_or(order.len())
}

fn k_folds(order: &[usize], keys: &[u64], method: SplitMethod, k: usize) -> Vec<Fold> {
    let mut edges: Vec<usize> = (0..=k).map(|i| i * order.len() / k).collect();
    if method == SplitMethod::Group {
        for edge in &mut edges[1..k] {
            *edge = group_edge(order, keys, *edge);
        }
    }
    edges
        .windows(2)
        .map(|pair| {
            let training: Vec<usize> = order[..pair[0]].iter().chain(&order[pair[1]..]).copied().collect();
            Fold { training: ascending(&training), validation: ascending(&order[pair[0]..pair[1]]) }
        })
        .collect()
}

fn ascending(rows: &[usize]) -> Vec<usize> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::TrainRequest;
    use crate::training::spec::ValidationRequest;
    use crate::training::test_data::{describe, waves};
    use std::collections::HashSet;

    fn spec(validation: ValidationRequest) -> Spec {
        let request = TrainRequest {
            target: Some("label".to_owned()),
            validation: Some(validation),
            preset: Some("fast".to_owned()),
            ..TrainRequest::default()
        };
        let limits = crate::training::Limits::default();
        crate::training::check(&request, &describe(&waves()), "waves", &limits).unwrap().spec
    }

    fn method(name: &str) -> ValidationRequest {
        let column = |wanted: &str| (name == wanted).then(|| "b".to_owned());
        ValidationRequest {
            method: Some(name.to_owned()),
            group: column("group"),
            time: column("time"),
            ..ValidationRequest::default()
        }
    }

    fn parts(split: &Split) -> Vec<&Vec<usize>> {
        let folds = split.folds.iter().flat_map(|fold| [&fold.training, &fold.validation]);
        std::iter::once(&split.test).chain(folds).collect()
    }

    /// Every usable row is in exactly one of test, training and validation.
    fn assert_partition(split: &Split, usable: &[usize]) {
        for fold in &split.folds {
            let mut all = [split.test.clone(), fold.training.clone(), fold.validation.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, usable);
        }
        for part in parts(split) {
            assert!(part.is_sorted());
        }
    }

    #[test]
    fn every_method_divides_the_rows_without_overlap() {
        let usable: Vec<usize> = (0..300).filter(|row| row % 7 != 0).collect();
        let keys: Vec<u64> = (0..300).map(|row| row / 10 % 5).collect();
        for name in ["random", "stratified", "group", "time"] {
            let rows = Rows { usable: &usable, keys: &keys, given_test: None };
            assert_partition(&split(&rows, &spec(method(name))).unwrap(), &usable);
        }
    }

    #[test]
    fn shares_are_as_asked_and_seeds_repeat() {
        let usable: Vec<usize> = (0..1000).collect();
        let keys = vec![0; 1000];
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let spec = spec(method("random"));
        let first = split(&rows, &spec).unwrap();
        let sizes: Vec<usize> = parts(&first).iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [200, 640, 160]);
        assert_eq!(split(&rows, &spec).unwrap(), first);
        assert_ne!(split(&rows, &Spec { seed: 1, ..spec }).unwrap(), first);
    }

    #[test]
    fn strata_keep_their_shares_even_when_rare() {
        let usable: Vec<usize> = (0..1000).collect();
        let keys: Vec<u64> = (0..1000).map(|row| u64::from(row % 100 == 0)).collect();
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let split = split(&rows, &spec(method("stratified"))).unwrap();
        for (part, expected) in parts(&split).into_iter().zip([2, 6, 2]) {
            let rare = part.iter().filter(|row| keys[**row] == 1).count();
            assert!(rare.abs_diff(expected) <= 1, "{rare} of the ten rare rows, not {expected}");
        }
    }

    #[test]
    fn groups_stay_together_and_time_goes_forward() {
        let usable: Vec<usize> = (0..300).collect();
        let keys: Vec<u64> = (0..300).map(|row| row * 7919 % 23).collect();
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let keys_of = |part: &Vec<usize>| part.iter().map(|row| keys[*row]).collect::<HashSet<_>>();
        let grouped = split(&rows, &spec(method("group"))).unwrap();
        let sets: Vec<_> = parts(&grouped).into_iter().map(keys_of).collect();
        assert!(
            sets[0].is_disjoint(&sets[1]) && sets[0].is_disjoint(&sets[2]) && sets[1].is_disjoint(&sets[2])
        );

        let timed = split(&rows, &spec(method("time"))).unwrap();
        let latest = |part: &Vec<usize>| part.iter().map(|row| keys[*row]).max().unwrap();
        let earliest = |part: &Vec<usize>| part.iter().map(|row| keys[*row]).min().unwrap();
        assert!(latest(&timed.folds[0].training) <= earliest(&timed.folds[0].validation));
        assert!(latest(&timed.folds[0].validation) <= earliest(&timed.test));
    }

    #[test]
    fn folds_validate_every_row_once() {
        let usable: Vec<usize> = (0..100).collect();
        let keys = vec![0; 100];
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let wanted = ValidationRequest { folds: Some(5), test_size: Some(0.0), ..method("random") };
        let split = split(&rows, &spec(wanted)).unwrap();
        assert_partition(&split, &usable);
        let mut validated: Vec<usize> = split.folds.iter().flat_map(|fold| fold.validation.clone()).collect();
        validated.sort_unstable();
        assert_eq!(validated, usable);
    }

    #[test]
    fn rows_given_for_testing_are_taken_and_nothing_else_is_tested_on() {
        let usable: Vec<usize> = (0..100).collect();
        let keys = vec![0; 100];
        let rows = Rows { usable: &usable, keys: &keys, given_test: Some(&[3, 50, 99]) };
        let split = split(&rows, &spec(method("random"))).unwrap();
        assert_eq!(split.test, [3, 50, 99]);
        assert_partition(&split, &usable);
    }

    #[test]
    fn one_group_cannot_be_divided() {
        let usable: Vec<usize> = (0..100).collect();
        let keys = vec![7; 100];
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let error = split(&rows, &spec(method("group"))).unwrap_err();
        assert_eq!(error.slug(), "too-few-rows");
    }
}
