//! Rows become features: what a network sees instead of a table, and how to do it again.
//!
//! Each input is spread over *raw* features first (a number stays one, a category becomes one per
//! level, a date becomes a trend and its cycles), then every raw feature is centred by its median,
//! divided by its interquartile range and squeezed smoothly into (-3, 3), as `RealMLP` does
//! (Holzmüller et al., "Better by Default", 2024, section 3). All of it is fitted on training rows
//! only and travels inside the model.

use super::embedding::levels::{Levels, MAX_ONE_HOT};
use super::input::{Input, Value};
use super::scaling::Scaling;
use crate::dataset::{ColumnKind, MISSING_CODE, MISSING_DATE, Table, Values};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Milliseconds of a day.
pub const DAY_MS: f64 = 86_400_000.0;
/// Days of a year, on average.
pub const YEAR_DAYS: f64 = 365.242_5;

/// A fitted encoding of a table's input columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    /// How each input is spread over raw features, in the order of the model's inputs.
    spreads: Vec<Spread>,
    /// How each raw feature is scaled.
    scalings: Vec<Scaling>,
}

/// How one input becomes raw features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Spread {
    /// The number, the mean where it is missing; then +1 for missing and -1 for present, if training
    /// saw it missing.
    Number {
        /// In the input's unit.
        mean: f64,
        /// Whether the second feature is there.
        indicator: bool,
    },
    /// Two levels: -1 and +1, and 0 for missing or unseen.
    Binary,
    /// One feature per level, all 0 for missing or unseen.
    OneHot {
        /// How many.
        levels: usize,
    },
    /// Days since `mean_ms`; then sine and cosine of each cycle the training data covers; then, if
    /// training saw it missing, +1 for missing and -1 for present.
    Date {
        /// Milliseconds since 1970.
        mean_ms: f64,
        /// Whether the time of the day counts.
        daily: bool,
        /// Whether the day of the week counts.
        weekly: bool,
        /// Whether the day of the year counts.
        yearly: bool,
        /// Whether the last feature is there.
        indicator: bool,
    },
}

/// A value so large that no scaling keeps it finite.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "column \"{column}\" holds values too large to be scaled (about {value:e}); divide the column by a \
     power of ten, or remove the rows in question"
)]
pub struct OutOfRange {
    /// The column.
    pub column: String,
    /// One such value.
    pub value: f64,
}

impl Spread {
    /// Raw features that it makes.
    pub fn width(&self) -> usize {
        match self {
            Self::Number { indicator, .. } => 1 + usize::from(*indicator),
            Self::Binary => 1,
            Self::OneHot { levels } => *levels,
            Self::Date { daily, weekly, yearly, indicator, .. } => {
                1 + usize::from(*indicator)
                    + 2 * (usize::from(*daily) + usize::from(*weekly) + usize::from(*yearly))
            }
        }
    }

    fn push(&self, value: Value, raw: &mut Vec<f64>) {
        let flag = |yes: bool| if yes { 1.0 } else { -1.0 };
        match *self {
            Self::Number { mean, indicator } => {
                let number = if let Value::Number(number) = value { Some(number) } else { None };
                raw.push(number.unwrap_or(mean));
                if indicator {
                    raw.push(flag(number.is_none()));
                }
            }
            Self::Binary => raw.push(match value {
                Value::Level(Some(level)) => flag(level == 1),
                Value::Flag(yes) => flag(yes),
                _ => 0.0,
            }),
            Self::OneHot { levels } => {
                let start = raw.len();
                raw.resize(start + levels, 0.0);
                if let Value::Level(Some(level)) = value {
                    raw[start + level] = 1.0;
                }
            }
            Self::Date { mean_ms, daily, weekly, yearly, indicator } => {
                let instant = if let Value::Instant(ms) = value { Some(ms as f64) } else { None };
                raw.push(instant.map_or(0.0, |ms| (ms - mean_ms) / DAY_MS));
                // A missing date sits at the centre of each circle: no time of the day or year.
                for (on, period_ms) in [(daily, DAY_MS), (weekly, 7.0 * DAY_MS), (yearly, YEAR_DAYS * DAY_MS)]
                {
                    if on {
                        let (sin, cos) = instant.map_or((0.0, 0.0), |ms| (TAU * ms / period_ms).sin_cos());
                        raw.extend([sin, cos]);
                    }
                }
                if indicator {
                    raw.push(flag(instant.is_none()));
                }
            }
        }
    }
}

impl Encoder {
    /// Fits the encoding of `inputs` on `rows` of `table`. Which features there are follows from `all`,
    /// the rows that several encoders share, so that all have the same width.
    pub fn fit(table: &Table, inputs: &[Input], all: &[usize], rows: &[usize]) -> Result<Self, OutOfRange> {
        let mut spreads = Vec::with_capacity(inputs.len());
        let mut scalings = Vec::new();
        for input in inputs {
            let values = InputValues::new(table, input);
            let spread = fit_spread(input, &values, all, rows);
            scalings.extend(fit_scalings(&spread, &values, rows));
            if scalings.iter().any(|scaling| !scaling.center.is_finite() || !scaling.factor.is_finite()) {
                let value = input.range.map_or(f64::MAX, |(low, high)| low.abs().max(high.abs()));
                return Err(OutOfRange { column: input.name.clone(), value });
            }
            spreads.push(spread);
        }
        Ok(Self { spreads, scalings })
    }

    /// Features per row.
    pub fn width(&self) -> usize {
        self.scalings.len()
    }

    /// How each input is spread over raw features, in the order of the model's inputs.
    pub fn spreads(&self) -> &[Spread] {
        &self.spreads
    }

    /// How each raw feature is scaled.
    pub fn scalings(&self) -> &[Scaling] {
        &self.scalings
    }

    /// The features that are quantities: numbers, and dates with their cycles.
    pub fn numeric_features(&self) -> Vec<usize> {
        let mut start = 0;
        let mut numeric = Vec::new();
        for spread in &self.spreads {
            let n = match spread {
                Spread::Number { .. } => 1,
                // The indicator of a missing date comes last.
                Spread::Date { indicator, .. } => spread.width() - usize::from(*indicator),
                Spread::Binary | Spread::OneHot { .. } => 0,
            };
            numeric.extend(start..start + n);
            start += spread.width();
        }
        numeric
    }

    /// The features that numbers became.
    pub fn features_of_numbers(&self) -> Vec<usize> {
        let features = self.features_of_inputs().into_iter().zip(&self.spreads);
        features
            .filter(|(_, spread)| matches!(spread, Spread::Number { .. }))
            .map(|(features, _)| features.start)
            .collect()
    }

    /// The features of categories with many levels.
    pub fn long_categories(&self) -> Vec<Levels> {
        let features = self.features_of_inputs().into_iter().zip(&self.spreads);
        features
            .filter(|(_, spread)| matches!(spread, Spread::OneHot { levels } if *levels > MAX_ONE_HOT))
            .map(|(features, _)| Levels { first: features.start, count: features.len() })
            .collect()
    }

    /// Which features belong to each input.
    pub fn features_of_inputs(&self) -> Vec<std::ops::Range<usize>> {
        let mut start = 0;
        let ranges = self.spreads.iter().map(|spread| {
            let range = start..start + spread.width();
            start = range.end;
            range
        });
        ranges.collect()
    }

    /// Encodes `rows` of `table`: row-major `[rows.len(), width]`.
    pub fn encode(&self, table: &Table, inputs: &[Input], rows: &[usize]) -> Vec<f32> {
        let width = self.width();
        let mut features = vec![0.0; rows.len() * width];
        let mut raw = Vec::new();
        let mut offset = 0;
        // Column by column: each touches one array of the table at a time.
        for (input, spread) in inputs.iter().zip(&self.spreads) {
            let values = InputValues::new(table, input);
            let n = spread.width();
            let scalings = &self.scalings[offset..offset + n];
            for (row, encoded) in rows.iter().zip(features.chunks_exact_mut(width)) {
                raw.clear();
                spread.push(values.get(*row), &mut raw);
                for ((feature, raw), scaling) in encoded[offset..].iter_mut().zip(&raw).zip(scalings) {
                    *feature = scaling.apply(*raw);
                }
            }
            offset += n;
        }
        features
    }

    /// Encodes one row of values, one per input, onto the end of `features`.
    pub fn encode_row(&self, values: &[Value], features: &mut Vec<f32>) {
        let mut raw = Vec::with_capacity(self.width());
        for (spread, value) in self.spreads.iter().zip(values) {
            spread.push(*value, &mut raw);
        }
        features.extend(raw.iter().zip(&self.scalings).map(|(raw, scaling)| scaling.apply(*raw)));
    }

    /// For each of a row's values: the feature that a number becomes, and the derivative of the feature by
    /// it. `None` for what is missing or no number.
    pub fn slopes(&self, values: &[Value]) -> Vec<Option<(usize, f64)>> {
        let mut start = 0;
        let slopes = self.spreads.iter().zip(values).map(|(spread, value)| {
            let feature = start;
            start += spread.width();
            match (spread, value) {
                (Spread::Number { .. }, Value::Number(number)) => {
                    Some((feature, self.scalings[feature].derivative(*number)))
                }
                _ => None,
            }
        });
        slopes.collect()
    }

    /// Whether the encoding fits `inputs`; a model file that lies is found here.
    pub fn matches(&self, inputs: &[Input]) -> bool {
        let spreads_fit = self.spreads.iter().zip(inputs).all(|(spread, input)| match spread {
            Spread::OneHot { levels } => *levels == input.levels.len(),
            _ => true,
        });
        self.spreads.len() == inputs.len()
            && spreads_fit
            && self.scalings.len() == self.spreads.iter().map(Spread::width).sum::<usize>()
    }
}

/// The values of one input in a table, with the table's category codes translated to the input's.
#[derive(Debug)]
pub struct InputValues<'a> {
    values: &'a Values,
    /// Code in the table to level of the input.
    levels: Vec<Option<usize>>,
    is_category: bool,
}

impl<'a> InputValues<'a> {
    /// The values of `input` in `table`.
    ///
    /// # Panics
    /// If the table has no such column: the caller has checked the request against the table.
    pub fn new(table: &'a Table, input: &Input) -> Self {
        let column = table.column(&input.name).expect("inputs are chosen from the table's columns");
        let levels = match &column.values {
            Values::Category { levels, .. } => {
                levels.iter().map(|level| input.levels.iter().position(|known| known == level)).collect()
            }
            _ => Vec::new(),
        };
        Self { values: &column.values, levels, is_category: input.kind == ColumnKind::Category }
    }

    /// The value in row `row`.
    pub fn get(&self, row: usize) -> Value {
        match self.values {
            Values::Number(numbers) if numbers[row].is_finite() => Value::Number(numbers[row]),
            Values::Category { codes, .. } if codes[row] != MISSING_CODE => {
                Value::Level(self.levels[codes[row] as usize])
            }
            Values::Date(instants) if instants[row] != MISSING_DATE => Value::Instant(instants[row]),
            Values::Boolean(flags) => match flags[row] {
                Some(yes) if self.is_category => Value::Level(Some(usize::from(yes))),
                Some(yes) => Value::Flag(yes),
                None => Value::Missing,
            },
            _ => Value::Missing,
        }
    }
}

fn fit_spread(input: &Input, values: &InputValues, all: &[usize], rows: &[usize]) -> Spread {
    let indicator = input.missing_share > 0.0;
    match input.kind {
        ColumnKind::Number => {
            let (mut mean, mut n) = (0.0, 0.0);
            for row in rows {
                if let Value::Number(number) = values.get(*row) {
                    n += 1.0;
                    mean += (number - mean) / n;
                }
            }
            Spread::Number { mean, indicator }
        }
        ColumnKind::Date => {
            let instants = |rows: &[usize]| -> Vec<i64> {
                let instant = |row: &usize| match values.get(*row) {
                    Value::Instant(ms) => Some(ms),
                    _ => None,
                };
                rows.iter().filter_map(instant).collect()
            };
            let own = instants(rows);
            let mean_ms = own.iter().map(|ms| *ms as f64).sum::<f64>() / (own.len().max(1) as f64);
            let instants = instants(all);
            let low = instants.iter().min().copied().unwrap_or(0);
            let high = instants.iter().max().copied().unwrap_or(0);
            let span_days = (high - low) as f64 / DAY_MS;
            let time_of_day = |ms: &i64| ms.rem_euclid(DAY_MS as i64);
            let first_time = instants.first().map_or(0, time_of_day);
            let daily = instants.iter().any(|ms| time_of_day(ms) != first_time);
            Spread::Date { mean_ms, daily, weekly: span_days >= 14.0, yearly: span_days >= 60.0, indicator }
        }
        ColumnKind::Boolean => Spread::Binary,
        _ if input.levels.len() == 2 => Spread::Binary,
        _ => Spread::OneHot { levels: input.levels.len() },
    }
}

fn fit_scalings(spread: &Spread, values: &InputValues, rows: &[usize]) -> Vec<Scaling> {
    let width = spread.width();
    let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(rows.len()); width];
    let mut raw = Vec::with_capacity(width);
    for row in rows {
        raw.clear();
        spread.push(values.get(*row), &mut raw);
        for (column, value) in columns.iter_mut().zip(&raw) {
            column.push(*value);
        }
    }
    columns.into_iter().map(Scaling::fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Column, NumberFormat};

    fn input(name: &str, kind: ColumnKind, levels: &[&str], missing_share: f64) -> Input {
        Input {
            name: name.to_owned(),
            kind,
            unit: None,
            missing_share,
            range: Some((0.0, 1.0)),
            levels: levels.iter().map(|level| (*level).to_owned()).collect(),
            number_format: NumberFormat { decimal: '.', thousands: None },
            date_format: None,
            missing_tokens: Vec::new(),
        }
    }

    fn table(kind: ColumnKind, values: Values) -> Table {
        Table { columns: vec![Column { name: "x".to_owned(), kind, unit: None, values }] }
    }

    fn encode_all(table: &Table, input: Input) -> (Encoder, Vec<f32>) {
        let rows: Vec<usize> = (0..table.n_rows()).collect();
        let inputs = [input];
        let encoder = Encoder::fit(table, &inputs, &rows, &rows).unwrap();
        let features = encoder.encode(table, &inputs, &rows);
        assert_eq!(features.len(), rows.len() * encoder.width());
        // One row at a time gives the same.
        let values = InputValues::new(table, &inputs[0]);
        for row in rows {
            let mut alone = Vec::new();
            encoder.encode_row(&[values.get(row)], &mut alone);
            assert_eq!(alone, features[row * encoder.width()..][..encoder.width()]);
        }
        (encoder, features)
    }

    #[test]
    fn numbers_are_centred_scaled_and_squeezed() {
        let table = table(ColumnKind::Number, Values::Number(vec![0.0, 1.0, 2.0, 3.0, 1000.0]));
        let (_, features) = encode_all(&table, input("x", ColumnKind::Number, &[], 0.0));
        // Median 2, quartiles 1 and 3: (x - 2) / 2, then x / sqrt(1 + x^2 / 9).
        assert_eq!(features[2], 0.0);
        assert!((features[3] - 0.5 / (1.0 + 0.25 / 9.0_f32).sqrt()).abs() < 1e-6);
        assert!(features[4] < 3.0 && features[4] > 2.99);
    }

    #[test]
    fn a_gap_becomes_the_mean_and_is_flagged() {
        let table = table(ColumnKind::Number, Values::Number(vec![1.0, f64::NAN, 2.0, 3.0, 6.0]));
        let (encoder, features) = encode_all(&table, input("x", ColumnKind::Number, &[], 0.2));
        assert_eq!(encoder.width(), 2);
        let with_mean = encoder.encode_row_of(&[Value::Number(3.0)]);
        assert_eq!(features[2], with_mean[0]);
        assert_ne!(features[3], with_mean[1]);
    }

    #[test]
    fn two_levels_share_a_feature_and_more_have_one_each() {
        let of = |levels: &[&str]| {
            let codes = (0..levels.len() as u32).chain([MISSING_CODE, 0]).collect();
            let names = levels.iter().map(|level| (*level).to_owned()).collect();
            let table = table(ColumnKind::Category, Values::Category { codes, levels: names });
            encode_all(&table, input("x", ColumnKind::Category, levels, 0.2))
        };
        assert_eq!(of(&["a", "b"]).0.width(), 1);
        let (encoder, _) = of(&["a", "b", "c"]);
        assert_eq!(encoder.width(), 3);
        let unseen = encoder.encode_row_of(&[Value::Level(None)]);
        assert_eq!(unseen, encoder.encode_row_of(&[Value::Missing]));
        assert_ne!(unseen, encoder.encode_row_of(&[Value::Level(Some(1))]));
    }

    #[test]
    fn dates_have_a_trend_and_the_cycles_they_cover() {
        let hour = 3_600_000;
        let width = |step: i64, n: i64| {
            let instants = (0..n).map(|i| 1_700_000_000_000 + i * step).collect();
            encode_all(
                &table(ColumnKind::Date, Values::Date(instants)),
                input("x", ColumnKind::Date, &[], 0.0),
            )
            .0
            .width()
        };
        assert_eq!(width(hour, 48), 3, "trend and time of day");
        assert_eq!(width(24 * hour, 20), 3, "trend and day of the week");
        assert_eq!(width(25 * hour, 400), 7, "all of them");
    }

    #[test]
    fn values_beyond_scaling_are_refused_and_huge_ones_stay_finite() {
        let huge = table(ColumnKind::Number, Values::Number(vec![1e300, -1e300, 2e299, 1e-300]));
        let (_, features) = encode_all(&huge, input("x", ColumnKind::Number, &[], 0.0));
        assert!(features.iter().all(|feature| feature.is_finite()));
        let tiny = table(ColumnKind::Number, Values::Number(vec![1e-320, 2e-320, 3e-320, 4e-320]));
        let inputs = [input("x", ColumnKind::Number, &[], 0.0)];
        assert!(Encoder::fit(&tiny, &inputs, &[0, 1, 2, 3], &[0, 1, 2, 3]).is_err());
    }

    impl Encoder {
        fn encode_row_of(&self, values: &[Value]) -> Vec<f32> {
            let mut features = Vec::new();
            self.encode_row(values, &mut features);
            features
        }
    }
}
