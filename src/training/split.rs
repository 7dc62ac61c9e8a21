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
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cmp::Reverse;
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
    // Two values are left for the parts that come after the test part.
    let cut_test = |rng| cut(rows.usable, rows.keys, method, validation.test_size, 2, rng);
    let (rest, test) = match rows.given_test {
        Some(test) => {
            let rest = rows.usable.iter().copied().filter(|row| test.binary_search(row).is_err()).collect();
            (rest, test.to_vec())
        }
        None if validation.test_size == 0.0 => (rows.usable.to_vec(), Vec::new()),
        None => cut_test(&mut rng(Purpose::TestSplit)),
    };
    let mut rng = rng(Purpose::ValidationSplit);
    let folds = if validation.folds == 1 {
        let (training, validation) = cut(&rest, rows.keys, method, validation.validation_size, 1, &mut rng);
        vec![Fold { training, validation }]
    } else {
        k_folds(&rest, rows.keys, method, validation.folds, &mut rng)
    };
    let parts =
        folds.iter().flat_map(|fold| [("training", &fold.training), ("validation", &fold.validation)]);
    let test_part = (rows.given_test.is_none() && validation.test_size > 0.0).then_some(("test", &test));
    let empty = parts.chain(test_part).find(|(_, part)| part.is_empty()).map(|(name, _)| name);
    match empty {
        Some(name) => Err(too_few(name, rows, &rest, spec)),
        None => Ok(Split { test, folds }),
    }
}

/// Why the part `name` would be empty.
fn too_few(name: &str, rows: &Rows, rest: &[usize], spec: &Spec) -> TrainError {
    let validation = &spec.validation;
    let column = match validation.method {
        SplitMethod::Group => validation.group.as_deref(),
        SplitMethod::Time => validation.time.as_deref(),
        SplitMethod::Random | SplitMethod::Stratified => None,
    };
    let message = match column {
        Some(column) => {
            let has_test = rows.given_test.is_none() && validation.test_size > 0.0;
            let (divided, needed) = if has_test { (rows.usable, 3) } else { (rest, 2) };
            let n = by_key(divided, rows.keys).len();
            format!(
                "this split needs at least {needed} different values of \"{column}\", and the usable rows have {n}; \
                 choose another column, or another \"method\""
            )
        }
        None => format!(
            "the {name} part would be empty: {} usable rows are too few for this split",
            rows.usable.len()
        ),
    };
    TrainError::Data { slug: "too-few-rows", message }
}

/// The rows in the order in which parts are cut off: a random one, or by time. Classes take turns so that
/// every stretch holds its share of each.
fn ordered(rows: &[usize], keys: &[u64], method: SplitMethod, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    match method {
        SplitMethod::Random | SplitMethod::Group => shuffled(rows.to_vec(), rng),
        SplitMethod::Time => {
            let mut order = rows.to_vec();
            order.sort_by_key(|row| (keys[*row], *row));
            order
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

/// Cuts a part of about `share` of `rows` off; never through a group or a time, of which `n_left` or more
/// stay. Both parts come back ascending.
fn cut(
    rows: &[usize],
    keys: &[u64],
    method: SplitMethod,
    share: f64,
    n_left: usize,
    rng: &mut Xoshiro256PlusPlus,
) -> (Vec<usize>, Vec<usize>) {
    if method == SplitMethod::Group {
        return cut_groups(shuffled(by_key(rows, keys), rng), rows.len(), share, n_left);
    }
    let order = ordered(rows, keys, method, rng);
    let n = order.len();
    let mut at = n - ((n as f64 * share).round() as usize).clamp(1.min(n), n);
    if method == SplitMethod::Time {
        at = edge_of_times(&order, keys, at, n_left);
    }
    let (first, last) = order.split_at(at);
    (ascending(first.to_vec()), ascending(last.to_vec()))
}

/// The edge between different times nearest to `at` that has `n_left` or more of them before it; the end
/// where there is none.
fn edge_of_times(order: &[usize], keys: &[u64], at: usize, n_left: usize) -> usize {
    (1..order.len())
        .filter(|i| keys[order[*i]] != keys[order[*i - 1]])
        .skip(n_left - 1)
        .min_by_key(|edge| edge.abs_diff(at))
        .unwrap_or(order.len())
}

/// Fills a part with whole groups up to `share` of the `n` rows, and with the one more, if any, that brings
/// it nearer. It has no more than half of the rows, unless more was asked for.
fn cut_groups(groups: Vec<Vec<usize>>, n: usize, share: f64, n_left: usize) -> (Vec<usize>, Vec<usize>) {
    let wanted = n as f64 * share;
    let most = wanted.max(n as f64 / 2.0);
    let mut may_take = groups.len().saturating_sub(n_left);
    let (mut part, mut others): (Vec<usize>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for group in groups {
        if may_take > 0 && (part.len() + group.len()) as f64 <= wanted {
            part.extend(group);
            may_take -= 1;
        } else {
            others.push(group);
        }
    }
    let off = |n: usize| (n as f64 - wanted).abs();
    let with = |group: &Vec<usize>| part.len() + group.len();
    let nearest = (0..others.len())
        .filter(|i| with(&others[*i]) as f64 <= most)
        .min_by(|a, b| off(with(&others[*a])).total_cmp(&off(with(&others[*b]))));
    if let Some(i) = nearest
        && may_take > 0
        && (part.is_empty() || off(with(&others[i])) < off(part.len()))
    {
        part.extend(others.remove(i));
    }
    (ascending(others.concat()), ascending(part))
}

fn k_folds(
    rows: &[usize],
    keys: &[u64],
    method: SplitMethod,
    k: usize,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<Fold> {
    let parts: Vec<Vec<usize>> = if method == SplitMethod::Group {
        even_groups(shuffled(by_key(rows, keys), rng), k)
    } else {
        let order = ordered(rows, keys, method, rng);
        (0..k).map(|i| order[i * order.len() / k..(i + 1) * order.len() / k].to_vec()).collect()
    };
    (0..parts.len())
        .map(|own| {
            let others = (0..parts.len()).filter(|i| *i != own).flat_map(|i| &parts[i]).copied();
            Fold { training: ascending(others.collect()), validation: ascending(parts[own].clone()) }
        })
        .collect()
}

/// `k` parts, or as many as there are groups, about as large as each other: the largest group goes to the
/// smallest part.
fn even_groups(mut groups: Vec<Vec<usize>>, k: usize) -> Vec<Vec<usize>> {
    // Groups of one size stay in their random order.
    groups.sort_by_key(|group| Reverse(group.len()));
    let mut parts = vec![Vec::new(); k.min(groups.len())];
    for group in groups {
        if let Some(smallest) = parts.iter_mut().min_by_key(|part| part.len()) {
            smallest.extend(group);
        }
    }
    parts
}

fn ascending(mut rows: Vec<usize>) -> Vec<usize> {
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

    /// One key per row: as many rows of each group as its place says.
    fn groups_of(sizes: &[usize]) -> Vec<u64> {
        sizes.iter().zip(0..).flat_map(|(size, group)| vec![group; *size]).collect()
    }

    #[test]
    fn groups_of_very_different_sizes_are_divided_by_every_seed() {
        // One of 40 %, and some of all sizes.
        let keys = groups_of(&[240, 90, 60, 45, 36, 30, 25, 22, 20, 9, 8, 7, 5, 3]);
        let usable: Vec<usize> = (0..keys.len()).collect();
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let keys_of = |part: &[usize]| part.iter().map(|row| keys[*row]).collect::<HashSet<_>>();
        let mut tests = HashSet::new();
        for (seed, folds) in (0..20).flat_map(|seed| [(seed, 1), (seed, 5)]) {
            let wanted = ValidationRequest { folds: Some(folds), ..method("group") };
            let split = split(&rows, &Spec { seed, ..spec(wanted) }).unwrap();
            assert_partition(&split, &usable);
            assert!(split.test.len().abs_diff(120) <= 30, "{} rows to test, not 120", split.test.len());
            for fold in &split.folds {
                assert!(keys_of(&fold.training).is_disjoint(&keys_of(&fold.validation)));
                assert!(keys_of(&fold.training).is_disjoint(&keys_of(&split.test)));
                assert!(folds > 1 || fold.validation.len().abs_diff(96) <= 30, "{}", fold.validation.len());
            }
            // The large group has a fold to itself, and the others share the other rows evenly.
            let others = split.folds.iter().filter(|fold| !keys_of(&fold.validation).contains(&0));
            let sizes: Vec<usize> = others.map(|fold| fold.validation.len()).collect();
            assert!(folds == 1 || sizes.iter().all(|size| (30..=95).contains(size)), "{sizes:?}");
            tests.insert(split.test);
        }
        assert!(tests.len() > 5, "seeds differ");
    }

    #[test]
    fn fewer_groups_than_folds_make_fewer_folds() {
        let keys = groups_of(&[40, 30, 20, 10]);
        let usable: Vec<usize> = (0..100).collect();
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let wanted = ValidationRequest { folds: Some(5), ..method("group") };
        let split = split(&rows, &spec(wanted)).unwrap();
        assert_eq!(split.folds.len(), 3);
        assert_partition(&split, &usable);
    }

    #[test]
    fn no_time_is_on_both_sides_of_a_cut() {
        // A fifth of the rows would be 240, within the last year.
        let keys = groups_of(&[150, 150, 200, 200, 500]);
        let usable: Vec<usize> = (0..1200).collect();
        let rows = Rows { usable: &usable, keys: &keys, given_test: None };
        let split = split(&rows, &spec(method("time"))).unwrap();
        let sizes: Vec<usize> = parts(&split).iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [500, 500, 200]);
    }

    #[test]
    fn what_cannot_be_divided_is_refused_with_the_number_of_values() {
        for (name, sizes, needed) in
            [("group", &[100][..], 3), ("group", &[50, 50], 3), ("time", &[100], 3), ("time", &[99, 1], 3)]
        {
            let keys = groups_of(sizes);
            let usable: Vec<usize> = (0..100).collect();
            let rows = Rows { usable: &usable, keys: &keys, given_test: None };
            let error = split(&rows, &spec(method(name))).unwrap_err();
            assert_eq!(error.slug(), "too-few-rows");
            let expected = format!(
                "at least {needed} different values of \"b\", and the usable rows have {}",
                sizes.len()
            );
            assert!(error.to_string().contains(&expected), "{error}");
        }
        // Three values are enough, however unlike.
        for (name, sizes) in [("group", [98, 1, 1]), ("time", [60, 1, 39])] {
            let keys = groups_of(&sizes);
            let usable: Vec<usize> = (0..100).collect();
            let rows = Rows { usable: &usable, keys: &keys, given_test: None };
            assert_partition(&split(&rows, &spec(method(name))).unwrap(), &usable);
        }
    }
}
