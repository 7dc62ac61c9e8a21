//! What the data give away about themselves, and the user should know before trusting a score.

use super::prepare::Prepared;
use super::spec::SplitMethod;
use super::split::Split;
use super::truth::TruthColumns;
use crate::dataset::{
    Column, Values, Warning,
    relations::{self, keys},
};
use crate::model::interval::Calibration;
use std::collections::{HashMap, HashSet};

/// A feature that follows the target this closely is more likely a result of it than a cause.
const LEAKING_CORRELATION: f64 = 0.999;
/// Likewise, the share of rows whose class a category alone gives away.
const LEAKING_PURITY: f64 = 0.999;

fn features<'a>(prepared: &'a Prepared) -> impl Iterator<Item = &'a Column> {
    prepared.spec.features.iter().filter_map(|name| prepared.table.column(name))
}

/// Features that give the target away.
pub(super) fn leaks(prepared: &Prepared) -> Vec<Warning> {
    let rows = &prepared.usable;
    let mut warnings = Vec::new();
    for column in features(prepared) {
        let evidence = match (&column.values, &prepared.truth) {
            (Values::Number(values), TruthColumns::Numbers(targets)) => {
                let of = |target: &Vec<f64>| correlation(values, target, rows);
                let found =
                    prepared.spec.targets.iter().zip(targets).find(|(_, t)| of(t) > LEAKING_CORRELATION);
                found.map(|(name, target)| format!("its correlation with \"{name}\" is {:.5}", of(target)))
            }
            (Values::Category { .. } | Values::Boolean(_), TruthColumns::Classes { codes, .. }) => {
                let share = purity(&keys(&column.values), codes, rows);
                (share > LEAKING_PURITY).then(|| {
                    format!("each of its values goes with one class in {:.1} % of the rows", 100.0 * share)
                })
            }
            _ => None,
        };
        if let Some(evidence) = evidence {
            let message = format!(
                "\"{}\" gives the target away ({evidence}). If it would not be known when a prediction is made, name it \
                 in \"exclude\": the scores are too good otherwise",
                column.name
            );
            let column = Some(column.name.clone());
            warnings.push(Warning { code: "leakage-suspected".to_owned(), column, message });
        }
    }
    warnings
}

/// A confidence that the `n` rows that were held out cannot calibrate.
pub(super) fn unbounded(calibration: &Calibration, n: usize, confidence: f64) -> Option<Warning> {
    let Calibration::AbsoluteResiduals { residuals, .. } = calibration else { return None };
    residuals.iter().any(|scores| scores.quantile(confidence).is_none()).then(|| {
        let most = (n as f64 / (n as f64 + 1.0) * 1000.0).floor() / 1000.0;
        let message = format!(
            "no intervals can be given at a confidence of {confidence}: the {n} rows held out calibrate them up to {most}. Ask for less with \"confidence\""
        );
        Warning { code: "confidence-too-high".to_owned(), column: None, message }
    })
}

/// Metrics of rows that the networks were not fitted on, but chosen by.
pub(super) fn no_test_part(split: &Split) -> Option<Warning> {
    split.test.is_empty().then(|| {
        let message = "no rows are kept for a test: the metrics are those of the rows left out of the folds, which also \
                       chose the epochs, and so a little too good; how often intervals hold the truth is not measured"
            .to_owned();
        Warning { code: "no-test-part".to_owned(), column: None, message }
    })
}

/// Networks that could not be trained again on all rows.
pub(super) fn refit_left_out() -> Warning {
    let message =
        "the time limit did not suffice to train once more on all rows, so the model is the one that the \
                   metrics were taken of; allow more with \"time_limit_s\", or ask for fewer \"epochs\""
            .to_owned();
    Warning { code: "refit-left-out".to_owned(), column: None, message }
}

/// Absolute Pearson correlation over the rows in which both are present; 0 where one is constant.
fn correlation(a: &[f64], b: &[f64], rows: &[usize]) -> f64 {
    let present = || rows.iter().map(|row| (a[*row], b[*row])).filter(|(a, _)| a.is_finite());
    let n = present().count() as f64;
    if n < 10.0 {
        return 0.0;
    }
    let mean = present().fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a / n, sum.1 + b / n));
    let (mut of_a, mut of_b, mut both) = (0.0, 0.0, 0.0);
    for (a, b) in present() {
        let (a, b) = (a - mean.0, b - mean.1);
        (of_a, of_b, both) = (of_a + a * a, of_b + b * b, both + a * b);
    }
    let product = of_a.sqrt() * of_b.sqrt();
    // What rounding leaves of a constant column is no spread.
    let is_spread = |sum: f64, mean: f64| sum > n * (mean * 1e-14).powi(2);
    let is_known = is_spread(of_a, mean.0) && is_spread(of_b, mean.1) && product.is_finite();
    if is_known { (both / product).abs() } else { 0.0 }
}

/// The share of rows whose class is the usual one of their value, where that says something: 0 for a
/// column of nearly as many values as rows, or where one class has nearly all rows anyway.
fn purity(keys: &[Option<u64>], codes: &[u32], rows: &[usize]) -> f64 {
    let mut counts: HashMap<u64, HashMap<u32, usize>> = HashMap::new();
    let mut classes: HashMap<u32, usize> = HashMap::new();
    let mut n = 0;
    for row in rows {
        if let Some(key) = keys[*row] {
            *counts.entry(key).or_default().entry(codes[*row]).or_default() += 1;
            *classes.entry(codes[*row]).or_default() += 1;
            n += 1;
        }
    }
    let commonest = classes.values().max().copied().unwrap_or(0);
    if counts.len() * 10 > n || commonest * 10 > n * 9 {
        return 0.0;
    }
    let right: usize = counts.values().filter_map(|classes| classes.values().max()).sum();
    right as f64 / n as f64
}

/// Test rows whose features are all the same as those of a row that a network learns from.
pub(super) fn copies(prepared: &Prepared, split: &Split) -> Option<Warning> {
    let columns: Vec<Vec<Option<u64>>> = features(prepared).map(|column| keys(&column.values)).collect();
    let whole = |row: &usize| -> Vec<Option<u64>> { columns.iter().map(|keys| keys[*row]).collect() };
    let test: HashSet<&usize> = split.test.iter().collect();
    let known: HashSet<Vec<Option<u64>>> =
        prepared.usable.iter().filter(|row| !test.contains(row)).map(whole).collect();
    let n = split.test.iter().filter(|row| known.contains(&whole(row))).count();
    (n > 0).then(|| {
        let message = format!(
            "{n} of {} test rows have the same features as a row that is learned from, so the scores are partly \
             those of a memory; a split by \"validation\": {{\"group\": ...}} keeps copies together",
            split.test.len()
        );
        Warning { code: "duplicates-across-split".to_owned(), column: None, message }
    })
}

/// Rows that a split by time could not put in order.
pub(super) fn without_time(prepared: &Prepared, keys: &[u64], split: &Split) -> Option<Warning> {
    let validation = &prepared.spec.validation;
    let name = validation.time.as_ref().filter(|_| validation.method == SplitMethod::Time)?;
    let values = &prepared.table.column(name)?.values;
    let is_tested = |row: &&usize| split.test.binary_search(row).is_ok();
    let n = prepared.usable.iter().filter(|row| !is_tested(row) && keys[**row] == 0).count();
    (n > 0 && matches!(values, Values::Number(_) | Values::Date(_))).then(|| {
        let message = format!(
            "{n} of {} rows have no value in \"{name}\" and are learned from, although they may be later than those \
             that are tested on",
            prepared.usable.len()
        );
        Warning { code: "rows-without-time".to_owned(), column: Some(name.clone()), message }
    })
}

/// Too few groups for the folds that were asked for.
pub(super) fn fewer_folds(prepared: &Prepared, split: &Split) -> Option<Warning> {
    let (asked, n) = (prepared.spec.validation.folds, split.folds.len());
    (n < asked).then(|| {
        let column = prepared.spec.validation.group.clone();
        let message = format!(
            "there are {n} folds instead of {asked}: \"{}\" has no more groups outside the test part",
            column.as_deref().unwrap_or_default()
        );
        Warning { code: "fewer-folds".to_owned(), column, message }
    })
}

/// Cases that are measured again and again, such as one geometry at many angles: a random split tests on
/// cases that are known.
pub(super) fn repeated_cases(prepared: &Prepared) -> Option<(String, Warning)> {
    if matches!(prepared.spec.validation.method, SplitMethod::Group | SplitMethod::Time) {
        return None;
    }
    let is_no_target = |column: &&Column| !prepared.spec.targets.contains(&column.name);
    let columns: Vec<&Column> = prepared.table.columns.iter().filter(is_no_target).collect();
    let values: Vec<_> = columns.iter().map(|column| keys(&column.values)).collect();
    let is_feature = |i: usize| prepared.spec.features.contains(&columns[i].name);
    let found = relations::repeated_cases(&values, &prepared.usable, is_feature)?;
    let name = &columns[found.column].name;
    let fixed: Vec<String> =
        found.fixed.iter().take(5).map(|i| format!("\"{}\"", columns[*i].name)).collect();
    let message = format!(
        "the rows look like {} cases of \"{name}\" measured several times: {} never change within \
         one. A random split tests on cases that are known from training; for new cases the score by group \
         (\"grouped\" in the model card) is the honest one, and \"validation\": {{\"group\": \"{name}\"}} trains for it",
        found.n_cases,
        fixed.join(", ")
    );
    Some((
        name.clone(),
        Warning { code: "rows-look-grouped".to_owned(), column: Some(name.clone()), message },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Table;
    use crate::training::prepare::prepare;
    use crate::training::spec::Spec;
    use crate::training::split::{Rows, split};
    use crate::training::test_data::{category, describe, number};
    use crate::training::{Limits, TrainRequest, check};
    use serde_json::json;

    fn spec(table: &Table, request: serde_json::Value) -> Spec {
        let request: TrainRequest = serde_json::from_value(request).unwrap();
        check(&request, &describe(table), "t", &Limits::default()).unwrap().spec
    }

    fn with<R>(table: &Table, request: serde_json::Value, look: impl FnOnce(&Prepared) -> R) -> R {
        let (description, spec) = (describe(table), spec(table, request));
        look(&prepare(table, &description, &spec).unwrap())
    }

    /// 12 geometries of chord and thickness, each at 10 angles.
    fn polars() -> Table {
        let of = |f: fn(usize, usize) -> f64| (0..120).map(|i| f(i / 10, i % 10)).collect::<Vec<f64>>();
        Table {
            columns: vec![
                number("case", of(|case, _| case as f64)),
                number("chord", of(|case, _| 0.1 + 0.03 * case as f64)),
                number("thickness", of(|case, _| ((case * 7) % 12) as f64)),
                number("angle", of(|_, angle| angle as f64)),
                number("lift", of(|case, angle| angle as f64 * 0.1 + (case as f64).sin())),
            ],
        }
    }

    #[test]
    fn repeated_cases_are_named_with_the_columns_that_give_them_away() {
        let request = json!({"target": "lift", "features": ["chord", "thickness", "angle"]});
        let (column, warning) = with(&polars(), request, repeated_cases).unwrap();
        assert_eq!(column, "case");
        assert!(warning.message.contains("\"chord\", \"thickness\""), "{}", warning.message);
        let asked = json!({"target": "lift", "validation": {"group": "case"}});
        assert_eq!(with(&polars(), asked, repeated_cases), None, "it is already split by group");
    }

    #[test]
    fn a_grid_of_independent_factors_is_not_taken_for_cases() {
        let of = |f: fn(usize) -> f64| (0..216).map(f).collect::<Vec<f64>>();
        let table = Table {
            columns: vec![
                number("a", of(|i| (i % 6) as f64)),
                number("b", of(|i| (i / 6 % 6) as f64)),
                number("c", of(|i| (i / 36) as f64)),
                number("y", of(|i| (i as f64).sin())),
            ],
        };
        assert_eq!(with(&table, json!({"target": "y"}), repeated_cases), None);
    }

    #[test]
    fn a_feature_that_is_the_target_in_another_unit_is_suspected() {
        let mut table = polars();
        let Values::Number(lift) = table.columns[4].values.clone() else { panic!() };
        table.columns.push(number("lift_lbf", lift.iter().map(|lift| lift * 0.2248 + 3.0).collect()));
        let warnings = with(&table, json!({"target": "lift"}), leaks);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].column.as_deref(), Some("lift_lbf"));
    }

    #[test]
    fn a_category_that_names_the_class_is_suspected() {
        let of =
            |f: fn(usize) -> &'static str| category("x", &(0..90).map(|i| Some(f(i))).collect::<Vec<_>>());
        let mut class = of(|i| ["low", "mid", "high"][i % 3]);
        class.name = "class".to_owned();
        let mut code = of(|i| ["L", "M", "H"][i % 3]);
        code.name = "code".to_owned();
        let mut other = of(|i| ["p", "q"][i / 7 % 2]);
        other.name = "other".to_owned();
        let table = Table { columns: vec![code, other, class] };
        let warnings = with(&table, json!({"target": "class"}), leaks);
        assert_eq!(warnings.iter().map(|w| w.column.as_deref()).collect::<Vec<_>>(), [Some("code")]);
    }

    #[test]
    fn copies_across_the_split_are_counted() {
        let twice = |f: fn(usize) -> f64| (0..200).map(|i| f(i / 2)).collect::<Vec<f64>>();
        let table = Table {
            columns: vec![number("x", twice(|i| i as f64)), number("y", twice(|i| (i as f64).sin()))],
        };
        let warning = with(&table, json!({"target": "y"}), |prepared| {
            let rows = Rows { usable: &prepared.usable, keys: &[0; 200], given_test: None };
            copies(prepared, &split(&rows, prepared.spec).unwrap())
        });
        let message = warning.unwrap().message;
        let n: usize = message.split(' ').next().unwrap().parse().unwrap();
        assert!((20..=40).contains(&n), "{message}");
        let once = polars();
        let none = with(&once, json!({"target": "lift"}), |prepared| {
            let rows = Rows { usable: &prepared.usable, keys: &[0; 120], given_test: None };
            copies(prepared, &split(&rows, prepared.spec).unwrap())
        });
        assert_eq!(none, None);
    }

    #[test]
    fn rows_without_a_time_are_learned_from_and_counted() {
        let of = |f: fn(i64) -> f64| (0..100).map(f).collect::<Vec<f64>>();
        let days = (0..100).map(|i| if i % 4 == 0 { i64::MIN } else { i * 86_400_000 }).collect();
        let table = Table {
            columns: vec![
                number("x", of(|i| (i * 37 % 100) as f64)),
                number("hour", of(|i| if i % 4 == 0 { f64::NAN } else { i as f64 })),
                Column {
                    name: "day".to_owned(),
                    kind: crate::dataset::ColumnKind::Date,
                    unit: None,
                    values: Values::Date(days),
                },
                number("y", of(|i| (i * 53 % 100) as f64)),
            ],
        };
        for time in ["hour", "day"] {
            let request = json!({"target": "y", "features": ["x"], "validation": {"time": time}});
            with(&table, request, |prepared| {
                let keys = prepared.split_keys();
                let rows = Rows { usable: &prepared.usable, keys: &keys, given_test: None };
                let split = split(&rows, prepared.spec).unwrap();
                let judged = split.test.iter().chain(&split.folds[0].validation);
                assert!(judged.clone().all(|row| row % 4 != 0) && judged.count() == 36);
                let warning = without_time(prepared, &keys, &split).unwrap();
                assert!(warning.message.starts_with("25 of 100 rows"), "{}", warning.message);
            });
        }
    }
}
