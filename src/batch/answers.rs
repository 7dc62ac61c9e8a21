//! The columns that the answers become, and their messages.

use crate::{
    dataset::Values,
    language::Language,
    model::{PredictError, Predictions, Target, TargetPrediction},
};

/// What is said of a number that is none.
pub const NOT_FINITE: &str = "the prediction is not a finite number";

/// What is said of a number without bounds.
pub const NO_BOUNDS: &str = "no interval can be given at this confidence: too few rows were held out to calibrate it; ask for a lower one";

/// Cells that a refusal names beside the first.
const SHOWN: usize = 5;

/// `<y>_predicted` and, for numbers, `<y>_lower` and `<y>_upper`; for classes `<y>_probability` and `<y>_set`; then
/// `in_domain` and `warnings`. Where the file has such a column already, the new one gets a `_` behind its name.
pub fn names(own: &[&str], targets: &[Target]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |mut name: String| {
        while own.contains(&name.as_str()) || names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    };
    for target in targets {
        let (name, others) = match target {
            Target::Number { name, .. } => (name, ["lower", "upper"]),
            Target::Class { name, .. } => (name, ["probability", "set"]),
        };
        add(format!("{name}_predicted"));
        others.into_iter().for_each(|other| add(format!("{name}_{other}")));
    }
    add("in_domain".to_owned());
    add("warnings".to_owned());
    names
}

/// The values of the columns that [`names`] names, one per row.
pub fn columns(predictions: &Predictions, language: Language) -> Vec<Values> {
    let mut columns = Vec::new();
    for target in &predictions.targets {
        match target {
            TargetPrediction::Number { values, bounds, .. } => {
                let side = |of: fn(&(f64, f64)) -> f64| match bounds {
                    Some(bounds) => Values::Number(bounds.iter().map(of).collect()),
                    None => Values::Number(vec![f64::NAN; values.len()]),
                };
                columns.push(Values::Number(values.clone()));
                columns.push(side(|bounds| bounds.0));
                columns.push(side(|bounds| bounds.1));
            }
            TargetPrediction::Class { classes, labels, probabilities, sets, .. } => {
                let codes = labels.iter().map(|label| *label as u32).collect();
                columns.push(Values::Category { codes, levels: classes.clone() });
                let of_label = |(row, label): (usize, &usize)| probabilities[row * classes.len() + label];
                columns.push(Values::Number(labels.iter().enumerate().map(of_label).collect()));
                let joined = |set: &Vec<usize>| {
                    Some(set.iter().map(|class| classes[*class].as_str()).collect::<Vec<_>>().join(" | "))
                };
                columns.push(Values::Text(sets.iter().map(joined).collect()));
            }
        }
    }
    columns.push(Values::Boolean(predictions.in_domain.iter().copied().map(Some).collect()));
    columns.push(Values::Text(notices(predictions, language)));
    columns
}

/// The texts of all that is to be noticed about a row, in `language`.
fn notices(predictions: &Predictions, language: Language) -> Vec<Option<String>> {
    let own = predictions.warnings.iter().map(|warning| (warning.row, warning.message.as_str()));
    let not_finite = predictions.targets.iter().flat_map(|target| match target {
        TargetPrediction::Number { values, .. } => values.as_slice(),
        TargetPrediction::Class { .. } => &[],
    });
    let n_rows = predictions.in_domain.len();
    let not_finite = not_finite.enumerate().filter(|(_, value)| !value.is_finite());
    // The targets stand one behind the other, each with all rows.
    let not_finite = not_finite.map(|(i, _)| (i % n_rows, NOT_FINITE));
    let rows = if predictions.lack_bounds() { 0..n_rows } else { 0..0 };
    joined(own.chain(not_finite).chain(rows.map(|row| (row, NO_BOUNDS))), n_rows, language)
}

/// The `messages`, each with its row, one text per row; `None` where there is none.
pub fn joined<'a>(
    messages: impl Iterator<Item = (usize, &'a str)>,
    n_rows: usize,
    language: Language,
) -> Vec<Option<String>> {
    let mut texts: Vec<Option<String>> = vec![None; n_rows];
    for (row, message) in messages {
        let Some(text) = texts.get_mut(row) else { continue };
        let text = text.get_or_insert_default();
        text.push_str(if text.is_empty() { "" } else { "; " });
        text.push_str(&language.translate(message));
    }
    texts
}

/// Says which cells cannot be used, by row and input: where a value stands differs from protocol to protocol and from
/// file to file, and these two mean the same in all.
pub fn refusal(error: &PredictError) -> String {
    let first = &error.cells[0];
    let mut detail = format!("row {} (counted from 0): {}", first.row, first.message);
    let others = &error.cells[1..];
    if !others.is_empty() {
        let shown: Vec<String> = others
            .iter()
            .take(SHOWN)
            .map(|cell| format!("row {}, \"{}\"", cell.row, cell.column.chars().take(60).collect::<String>()))
            .collect();
        let more = others.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        detail.push_str(&format!("; further cells that cannot be used: {}{more}", shown.join("; ")));
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CellError, RowWarning};

    #[test]
    fn new_columns_never_take_the_place_of_old_ones() {
        let target = Target::Number { name: "y".into(), unit: None, min: 0.0, max: 1.0 };
        let own = ["y_predicted", "in_domain", "in_domain_"];
        assert_eq!(names(&own, &[target]), ["y_predicted_", "y_lower", "y_upper", "in_domain__", "warnings"]);
    }

    #[test]
    fn there_are_as_many_columns_as_names_and_the_warnings_of_a_row_stand_together() {
        let warning = |message: &str| RowWarning {
            row: 1,
            column: "x".into(),
            code: "out-of-range",
            message: message.into(),
        };
        let predictions = Predictions {
            targets: vec![TargetPrediction::Number {
                name: "y".into(),
                values: vec![2.0, f64::NAN],
                bounds: None,
            }],
            confidence: 0.9,
            in_domain: vec![true, false],
            domain_score: vec![1.0, 0.0],
            warnings: vec![warning("one"), warning("two")],
            sensitivities: None,
        };
        let columns = columns(&predictions, Language::English);
        let shown = |row: usize| columns.iter().map(|values| values.json(row)).collect::<Vec<_>>();
        assert_eq!(serde_json::json!(shown(0)), serde_json::json!([2, null, null, true, NO_BOUNDS]));
        let messages = format!("one; two; {NOT_FINITE}; {NO_BOUNDS}");
        assert_eq!(serde_json::json!(shown(1)), serde_json::json!([null, null, null, false, messages]));
    }

    #[test]
    fn cells_that_cannot_be_used_are_named_by_row_and_input() {
        let cell = |row| CellError {
            row,
            column: "x".into(),
            slug: "wrong-type",
            message: "\"x\" cannot be that".into(),
        };
        let detail = refusal(&PredictError { cells: (1..9).map(cell).collect() });
        assert!(detail.starts_with("row 1 (counted from 0): \"x\" cannot"), "{detail}");
        assert!(detail.ends_with("row 6, \"x\", and 2 more"), "{detail}");
    }
}
