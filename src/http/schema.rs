//! Shapes for the OpenAPI document of types that the inner modules own.
//!
//! Those modules do not know that there is an HTTP interface, so their types cannot describe
//! themselves; a test compares each of these with what the real type serialises to.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is to be noticed; never a failure.
#[derive(Debug, Serialize, ToSchema)]
pub struct Warning {
    /// A stable slug.
    #[schema(example = "duplicate-column")]
    pub code: String,
    /// The column it is about.
    #[schema(nullable = false)]
    pub column: Option<String>,
    /// What was seen, and what to do about it.
    pub message: String,
}

/// How a file was read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadReport {
    /// What the file is: `csv` for any text table, or the kind of the workbook.
    #[schema(example = "csv")]
    pub format: String,
    /// The encoding of a text file.
    #[schema(example = "windows-1252")]
    pub encoding: Option<String>,
    /// The separator of a text file.
    #[schema(value_type = Option<String>, example = ";")]
    pub delimiter: Option<char>,
    /// The decimal mark.
    #[schema(value_type = String, example = ",")]
    pub decimal: char,
    /// The thousands mark, where one is used.
    #[schema(value_type = Option<String>, example = ".")]
    pub thousands: Option<char>,
    /// 1-based line of the header; null where the file has none.
    #[schema(example = 9)]
    pub header_row: Option<u64>,
    /// 1-based line of the units.
    pub units_row: Option<u64>,
    /// The sheet that was read.
    pub sheet: Option<String>,
    /// All sheets of the workbook.
    pub sheets: Vec<String>,
    /// The texts and sentinels taken for missing.
    #[schema(example = json!(["-9999"]))]
    pub missing: Vec<String>,
    /// Why each of these was decided so.
    pub reasons: BTreeMap<String, String>,
}

/// What is known about one column.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnProfile {
    /// Its name; unique in the table.
    #[schema(example = "Pressão")]
    pub name: String,
    /// `number`, `category`, `date`, `boolean`: usable. `text`, `identifier`, `constant`, `empty`: not.
    #[schema(example = "number")]
    pub kind: String,
    /// Its unit, where the file gives one.
    #[schema(example = "hPa")]
    pub unit: Option<String>,
    /// Rows without a value.
    pub missing: u64,
    /// Different values seen.
    pub distinct: u64,
    /// Smallest value of a number column.
    pub min: Option<f64>,
    /// Largest value of a number column.
    pub max: Option<f64>,
    /// Mean of a number column.
    pub mean: Option<f64>,
    /// Sample standard deviation of a number column.
    pub std: Option<f64>,
    /// The 5, 25, 50, 75 and 95 % quantiles of a number column.
    pub quantiles: Option<Vec<f64>>,
    /// Equal-width counts of a number column.
    pub histogram: Option<Histogram>,
    /// The values of a number column that lie far from the others; null where its quartiles are equal.
    pub outliers: Option<Outliers>,
    /// The commonest levels of a category, with their counts: pairs of a text and a number.
    #[schema(value_type = Option<Vec<Vec<serde_json::Value>>>)]
    pub levels: Option<Vec<(String, u64)>>,
    /// The earliest and latest date, RFC 3339.
    #[schema(value_type = Option<Vec<String>>)]
    pub date_range: Option<(String, String)>,
    /// How its numbers are written.
    pub number_format: Option<NumberFormat>,
    /// How its dates are written.
    #[schema(example = "%d/%m/%Y")]
    pub date_format: Option<String>,
    /// Why the column was taken for this kind.
    pub reason: String,
}

/// How numbers are written in a file.
#[derive(Debug, Serialize, ToSchema)]
pub struct NumberFormat {
    /// `.` or `,`.
    #[schema(value_type = String)]
    pub decimal: char,
    /// The thousands mark, where the file uses one.
    #[schema(value_type = Option<String>)]
    pub thousands: Option<char>,
}

/// Values outside the fences of a box plot: more than 1.5 times the distance between the quartiles away from them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outliers {
    /// The lower fence.
    pub low: f64,
    /// The upper fence.
    pub high: f64,
    /// Values below the lower fence.
    pub n_below: u64,
    /// Values above the upper fence.
    pub n_above: u64,
}

/// Counts in equal-width bins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Histogram {
    /// Bin edges; one more than `counts`.
    pub edges: Vec<f64>,
    /// Values in each bin.
    pub counts: Vec<u64>,
}

/// What to train, and how. Everything is optional.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"dataset_id": "0191e0c4-7a6b-7c3d-8e9f-0a1b2c3d4e5f", "target": "scaled_sound_pressure_level", "model_name": "airfoil"}))]
pub struct TrainRequest {
    /// The dataset; the newest one if absent.
    pub dataset_id: Option<uuid::Uuid>,
    /// The column to predict; the last usable one if absent.
    pub target: Option<String>,
    /// The columns to predict; not together with `target`.
    pub targets: Option<Vec<String>>,
    /// The columns to predict from; every usable one if absent.
    pub features: Option<Vec<String>>,
    /// Columns to leave out.
    pub exclude: Option<Vec<String>>,
    /// `auto`, `regression` or `classification`.
    pub task: Option<String>,
    /// `fast`: one network; `balanced`, the default: two variants of one network per fold, blended by what they
    /// answer to the rows left out; `best`: four variants of those.
    pub preset: Option<String>,
    /// `auto`, `realmlp_td`, `realmlp_td_s` or `mlp`.
    pub architecture: Option<String>,
    /// Units of each hidden layer.
    pub hidden_layers: Option<Vec<i64>>,
    /// Activation function of the hidden layers.
    pub activation: Option<String>,
    /// Share of hidden units switched off in each step.
    pub dropout: Option<f64>,
    /// Passes over the training part.
    pub epochs: Option<i64>,
    /// Rows per step.
    pub batch_size: Option<i64>,
    /// Base learning rate.
    pub learning_rate: Option<f64>,
    /// Decoupled weight decay.
    pub weight_decay: Option<f64>,
    /// `adam`, `adamw`, `rmsprop` or `sgd`.
    pub optimizer: Option<String>,
    /// When to stop before the last epoch.
    pub early_stopping: Option<EarlyStopping>,
    /// How the rows are divided.
    pub validation: Option<Validation>,
    /// Whether the networks learn the targets (`linear`) or their logarithms (`log`); `auto` takes the logarithm
    /// of targets whose few largest values would drown all others.
    pub target_scale: Option<String>,
    /// Seed of every random choice.
    pub seed: Option<u64>,
    /// Seconds after which the best network so far is taken.
    pub time_limit_s: Option<f64>,
    /// Confidence of intervals where a prediction asks for none.
    pub confidence: Option<f64>,
    /// Train the final network once more on all rows.
    pub refit: Option<bool>,
    /// Name of the model; versions count up per name.
    pub model_name: Option<String>,
    /// Free labels.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Stops after so many epochs without a better validation score.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs.
    pub patience: Option<i64>,
}

/// How the rows are divided into parts for training, validation and test.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Share of the rows kept for the test part.
    pub test_size: Option<f64>,
    /// Share of the other rows that choose the epoch.
    pub validation_size: Option<f64>,
    /// `random`, `stratified`, `group` or `time`.
    pub method: Option<String>,
    /// The column whose equal values stay together.
    pub group: Option<String>,
    /// The column that orders the rows.
    pub time: Option<String>,
    /// Networks, each validated on another part.
    pub folds: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{self, ReadLimits, ReadOptions};
    use serde_json::Value;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    fn fields(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    fn described<T: PartialSchema>() -> BTreeSet<String> {
        fields(&serde_json::to_value(T::schema()).unwrap()["properties"])
    }

    #[test]
    fn the_shapes_are_those_of_the_real_types() {
        let table = "a;k\n1,5;x\n2,5;y\n3,5;x\n4,5;y\n";
        let reading =
            dataset::read(table.as_bytes(), "a.csv", &ReadOptions::default(), &ReadLimits::default())
                .unwrap();
        let real = serde_json::to_value(&reading.description).unwrap();
        assert_eq!(described::<ReadReport>(), fields(&real["read"]));
        assert_eq!(described::<ColumnProfile>(), fields(&real["columns"][0]));
        assert_eq!(described::<Histogram>(), fields(&real["columns"][0]["histogram"]));
        assert_eq!(described::<Outliers>(), fields(&real["columns"][0]["outliers"]));
        assert_eq!(described::<NumberFormat>(), fields(&real["columns"][0]["number_format"]));
        let request = crate::training::TrainRequest {
            early_stopping: Some(crate::training::spec::EarlyStoppingRequest::default()),
            validation: Some(crate::training::spec::ValidationRequest::default()),
            ..crate::training::TrainRequest::default()
        };
        let real = serde_json::to_value(request).unwrap();
        assert_eq!(described::<TrainRequest>(), fields(&real));
        assert_eq!(described::<EarlyStopping>(), fields(&real["early_stopping"]));
        assert_eq!(described::<Validation>(), fields(&real["validation"]));
        let warning = dataset::Warning { code: "c".into(), column: Some("a".into()), message: "m".into() };
        assert_eq!(described::<Warning>(), fields(&serde_json::to_value(warning).unwrap()));
    }
}
