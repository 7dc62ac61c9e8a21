//! The model card as a text that one can put in an appendix: what the model was made from, how, and how
//! far to trust it (after Mitchell et al. 2019, "Model Cards for Model Reporting").
//!
//! ```text
//! facts (JSON) --sections--> blocks --render--> Markdown or HTML
//! ```
//!
//! What a card does not hold, such as the part about a dataset that was deleted, is left out or said to be
//! missing; a card is never refused.

mod plot;
mod render;
mod results;
mod sections;

use serde_json::Value;

/// What a card is written from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The model as `GET /models` lists it.
    pub model: &'a Value,
    /// Its card as training wrote it.
    pub card: &'a Value,
    /// The dataset as `GET /datasets/{dataset_id}` shows it; null if it was deleted.
    pub dataset: &'a Value,
}

/// A part of a card.
#[derive(Debug, Clone, PartialEq)]
enum Block {
    Title(String),
    Heading(String),
    Text(String),
    Items(Vec<String>),
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    Code(String),
    /// Predicted against true numbers, `(true, predicted)`; for pages only.
    Scatter {
        label: String,
        points: Vec<(f64, f64)>,
    },
}

/// The card as Markdown (`CommonMark` with tables).
pub fn markdown(facts: &Facts) -> String {
    render::markdown(&blocks(facts))
}

/// The card as one HTML page that needs nothing beside it and prints well.
pub fn html(facts: &Facts) -> String {
    render::html(&blocks(facts))
}

fn blocks(facts: &Facts) -> Vec<Block> {
    let mut blocks = sections::opening(facts);
    blocks.extend(sections::data(facts));
    blocks.extend(sections::split(facts));
    blocks.extend(sections::preprocessing(facts));
    blocks.extend(sections::network(facts));
    blocks.extend(results::scores(facts));
    blocks.extend(results::uncertainty(facts));
    blocks.extend(results::importance(facts));
    blocks.extend(sections::warnings(facts));
    blocks.extend(sections::reproduction(facts));
    blocks
}

/// The items of a list; none if it is no list.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or what JSON writes; a dash for what is not there.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), number_text),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

/// Four significant digits, and all of a whole number; powers of ten where there would be many zeros.
fn number_text(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e15 {
        return format!("{value}");
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    crate::model::input::short_number(value)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_short_and_lose_no_thousands() {
        for (value, expected) in [
            (0.041_105_7, "0.04111"),
            (302_871.0, "302871"),
            (1011.73, "1012"),
            (1.5e-7, "1.500e-7"),
            (0.0, "0"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(number_text(value), expected);
        }
    }

    #[test]
    fn a_card_of_which_nothing_is_known_is_still_a_card() {
        let (null, model) = (Value::Null, json!({"model_name": "polar", "version": 3}));
        let facts = Facts { model: &model, card: &null, dataset: &null };
        let text = markdown(&facts);
        assert!(text.starts_with("# Model card: polar, version 3\n"), "{text}");
        assert!(text.contains("has been deleted"), "{text}");
        assert!(html(&facts).contains("<h1>Model card: polar, version 3</h1>"));
    }
}
