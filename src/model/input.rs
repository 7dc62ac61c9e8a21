//! What a model takes: its inputs, and how one cell of a request becomes a value of an input.

use crate::dataset::{ColumnKind, NumberFormat, affix, boolean, date, number, spelling};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashSet};

/// One column that a model needs to answer, as it was in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The column's name.
    pub name: String,
    /// `number`, `category`, `date` or `boolean`.
    pub kind: ColumnKind,
    /// The unit the training data had.
    pub unit: Option<String>,
    /// The share of training rows without a value.
    pub missing_share: f64,
    /// Smallest and largest number seen in training; milliseconds since 1970 for dates.
    pub range: Option<(f64, f64)>,
    /// The categories seen in training.
    pub levels: Vec<String>,
    /// How numbers were written in the training file; texts in requests are read the same way.
    pub number_format: NumberFormat,
    /// How dates were written in the training file.
    pub date_format: Option<String>,
    /// The texts that meant "no value" in the training file.
    pub missing_tokens: Vec<String>,
}

/// One cell of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// The field is not there.
    Absent,
    /// `null`.
    Missing,
    /// A number.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Boolean(bool),
    /// Something that is never a value: `array` or `object`.
    Other(&'static str),
}

/// What is done with a category that training never saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCategory {
    /// The request is refused.
    #[default]
    Error,
    /// It counts as missing, with a warning.
    Missing,
    /// The known category with the most similar spelling is taken, with a warning.
    Nearest,
}

/// One cell as a value of its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// No value.
    Missing,
    /// A finite number.
    Number(f64),
    /// An index into the levels of the input; `None` is a level never seen.
    Level(Option<usize>),
    /// Yes or no.
    Flag(bool),
    /// Milliseconds since 1970.
    Instant(i64),
}

/// Why a cell cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellProblem {
    /// `missing-field`, `wrong-type` or `unknown-category`.
    pub slug: &'static str,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// A value read from a cell, and what is to be told about it.
pub type ReadCell = (Value, Option<(&'static str, String)>);

impl Input {
    /// Reads `cell` as a value of this input; the second part is a warning's code and text.
    pub fn read(&self, cell: &Cell, unknown: UnknownCategory) -> Result<ReadCell, CellProblem> {
        match cell {
            Cell::Absent => Err(CellProblem {
                slug: "missing-field",
                message: format!("the field \"{}\" is missing; {}", self.name, self.wanted_or_null()),
            }),
            Cell::Missing => self.read_missing(),
            Cell::Other(what) => Err(self.wrong_type(&format!("an {what}"))),
            Cell::Number(value) if !value.is_finite() => self.read_missing(),
            Cell::Number(value) => self.read_number(*value, unknown),
            Cell::Boolean(value) => self.read_boolean(*value, unknown),
            Cell::Text(text) => self.read_text(text.trim(), unknown),
        }
    }

    fn read_missing(&self) -> Result<ReadCell, CellProblem> {
        if self.missing_share > 0.0 {
            return Ok((Value::Missing, None));
        }
        Err(CellProblem {
            slug: "missing-field",
            message: format!(
                "\"{}\" has no value, and training never saw it missing; {}",
                self.name,
                self.wanted()
            ),
        })
    }

    fn read_number(&self, value: f64, unknown: UnknownCategory) -> Result<ReadCell, CellProblem> {
        match self.kind {
            ColumnKind::Number if self.is_sentinel(value) => self.read_missing(),
            ColumnKind::Number => Ok((Value::Number(value), None)),
            ColumnKind::Category => {
                self.read_level(self.level_of_number(value).unwrap_or(&value.to_string()), unknown)
            }
            ColumnKind::Boolean if value == 0.0 || value == 1.0 => Ok((Value::Flag(value == 1.0), None)),
            _ => Err(self.wrong_type(&format!("the number {value}"))),
        }
    }

    fn read_boolean(&self, value: bool, unknown: UnknownCategory) -> Result<ReadCell, CellProblem> {
        match self.kind {
            ColumnKind::Boolean => Ok((Value::Flag(value), None)),
            ColumnKind::Category => {
                let text = value.to_string();
                let level = self.levels.iter().find(|level| level.eq_ignore_ascii_case(&text));
                self.read_level(level.unwrap_or(&text), unknown)
            }
            _ => Err(self.wrong_type(&format!("the boolean {value}"))),
        }
    }

    fn read_text(&self, text: &str, unknown: UnknownCategory) -> Result<ReadCell, CellProblem> {
        if self.kind == ColumnKind::Number
            && let Some(value) = self.parse_number(text).filter(|value| value.is_finite())
        {
            return self.read_number(value, unknown);
        }
        if text.is_empty() || self.missing_tokens.iter().any(|token| token == text) {
            return self.read_missing();
        }
        match self.kind {
            ColumnKind::Number => Err(self.wrong_type(&format!("the text \"{}\"", shorten(text)))),
            ColumnKind::Category => self.read_level(text, unknown),
            ColumnKind::Boolean => match boolean::parse(text).or_else(|| zero_or_one(text)) {
                Some(value) => Ok((Value::Flag(value), None)),
                None => Err(self.wrong_type(&format!("the text \"{}\"", shorten(text)))),
            },
            _ => match self.read_date(text) {
                Some(instant) => Ok((Value::Instant(instant), None)),
                None => Err(self.wrong_type(&format!("the text \"{}\"", shorten(text)))),
            },
        }
    }

    /// A number as in the training file, perhaps with the sign beside it that all had there.
    fn parse_number(&self, text: &str) -> Option<f64> {
        number::parse(text, self.number_format)
            .or_else(|| number::parse(&affix::strip(text, self.unit.as_deref()?)?, self.number_format))
    }

    /// The numbers that stood for "no value" in the training file, as -9999 may. They did not in
    /// every column: one that lies among the values of this column is one of them.
    pub fn sentinels(&self) -> impl Iterator<Item = f64> + '_ {
        let is_among = |value: &f64| self.range.is_some_and(|(low, high)| (low..=high).contains(value));
        let numbers =
            self.missing_tokens.iter().filter_map(|token| token.replace(',', ".").parse::<f64>().ok());
        numbers.filter(move |value| value.is_finite() && !is_among(value))
    }

    fn is_sentinel(&self, value: f64) -> bool {
        !self.missing_tokens.is_empty() && self.sentinels().any(|sentinel| sentinel == value)
    }

    /// The level that is this number, where only one is: `1.0` and `1` are the same to whoever sends numbers.
    fn level_of_number(&self, value: f64) -> Option<&str> {
        let mut equal = self.levels.iter().filter(|level| plain_number(level) == Some(value));
        let first = equal.next()?;
        equal.next().is_none().then_some(first)
    }

    /// The level that a program spells as `text`: `1.0` for `1` and `1` for `1.0`, as tables with gaps are written, or with
    /// the apostrophe that our own answers put before what looks like a formula.
    fn level_spelt_otherwise(&self, text: &str) -> Option<usize> {
        let escaped = text.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA));
        let level = match escaped {
            Some(own) => own.to_owned(),
            None => whole_number(text).filter(|number| {
                let level = plain_number(number).and_then(|value| self.level_of_number(value));
                level == Some(number.as_str())
            })?,
        };
        self.levels.iter().position(|own| *own == level)
    }

    /// All such spellings, each with the index of its level.
    pub fn other_spellings(&self) -> Vec<(String, usize)> {
        let own: HashSet<&str> = self.levels.iter().map(String::as_str).collect();
        let spellings = self.levels.iter().flat_map(|level| {
            let escaped = level.starts_with(FORMULA).then(|| format!("'{level}"));
            whole_number(level).into_iter().chain(escaped)
        });
        spellings
            .filter(|text| !own.contains(text.as_str()))
            .filter_map(|text| self.level_spelt_otherwise(&text).map(|index| (text, index)))
            .collect()
    }

    fn read_level(&self, text: &str, unknown: UnknownCategory) -> Result<ReadCell, CellProblem> {
        let known = self.levels.iter().position(|level| level == text);
        let known = known.or_else(|| self.level_spelt_otherwise(text));
        if let Some(index) = known {
            return Ok((Value::Level(Some(index)), None));
        }
        let said = format!("\"{}\" was never seen in training", shorten(text));
        match unknown {
            UnknownCategory::Error => Err(CellProblem {
                slug: "unknown-category",
                message: format!(
                    "{} = {said}; known are {}; or let unknown_category be \"missing\" or \"nearest\"",
                    self.name,
                    list(&self.levels)
                ),
            }),
            UnknownCategory::Missing => Ok((
                Value::Level(None),
                Some(("unknown-category", format!("{} = {said}; it was taken as no value", self.name))),
            )),
            UnknownCategory::Nearest => {
                let nearest = spelling::nearest(text, self.levels.iter().map(String::as_str), 1);
                let index =
                    nearest.first().and_then(|name| self.levels.iter().position(|level| level == name));
                let taken = index.map_or("no value".to_owned(), |i| format!("\"{}\"", self.levels[i]));
                Ok((
                    Value::Level(index),
                    Some(("unknown-category", format!("{} = {said}; {taken} was taken instead", self.name))),
                ))
            }
        }
    }

    /// Milliseconds since 1970 of a date written as in the training file or as ISO 8601 has it.
    fn read_date(&self, text: &str) -> Option<i64> {
        let as_in_file = self.date_format.as_deref().and_then(|format| date::parse(text, format));
        as_in_file.or_else(|| date::parse_iso(text))
    }

    fn wrong_type(&self, got: &str) -> CellProblem {
        CellProblem {
            slug: "wrong-type",
            message: format!("\"{}\" cannot be {got}; {}", self.name, self.wanted()),
        }
    }

    /// As [`Self::wanted`], with the way to say that there is no value, where that is one.
    fn wanted_or_null(&self) -> String {
        let wanted = self.wanted();
        if self.missing_share > 0.0 { format!("{wanted}, or null where there is no value") } else { wanted }
    }

    /// What to send for this input, for the end of an error message.
    fn wanted(&self) -> String {
        match self.kind {
            ColumnKind::Number => {
                let example = self.range.map_or(1.5, |(low, high)| f64::midpoint(low, high));
                let text = match self.number_format.decimal {
                    ',' => " or, as in the training file, a text with a decimal comma such as \"12,5\"",
                    _ => "; a decimal comma is not accepted since the training file used the point",
                };
                format!("send a JSON number such as {}{text}", short_number(example))
            }
            ColumnKind::Category => format!("send one of {}", list(&self.levels)),
            ColumnKind::Boolean => "send true or false".to_owned(),
            _ => match &self.date_format {
                Some(format) => format!(
                    "send a date as in the training file ({format}) or as ISO 8601 has it, such as \"2024-01-31T12:00:00Z\""
                ),
                None => "send a date as ISO 8601 has it, such as \"2024-01-31\" or \"2024-01-31T12:00:00Z\""
                    .to_owned(),
            },
        }
    }
}

/// A number in digits, perhaps with a point: no exponent, no word such as `inf`.
fn plain_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

/// `1` as `1.0`, and `1.0` as `1`.
fn whole_number(text: &str) -> Option<String> {
    plain_number(text)?;
    match text.strip_suffix(".0") {
        Some(whole) if !whole.contains('.') => Some(whole.to_owned()),
        None if !text.contains('.') => Some(format!("{text}.0")),
        _ => None,
    }
}

/// Spreadsheet programs take a cell that begins so for a formula.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A boolean as programs write it that count them among the numbers.
fn zero_or_one(text: &str) -> Option<bool> {
    match text {
        "0" | "0.0" => Some(false),
        "1" | "1.0" => Some(true),
        _ => None,
    }
}

/// The first ten of `levels`, quoted.
fn list(levels: &[String]) -> String {
    let mut text =
        levels.iter().take(10).map(|level| format!("\"{}\"", shorten(level))).collect::<Vec<_>>().join(", ");
    if levels.len() > 10 {
        text.push_str(&format!(" and {} more", levels.len() - 10));
    }
    text
}

/// At most 40 characters of a value, so that an error stays readable.
pub fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(39).chain(['…']).collect()
}

/// A number with at most four significant digits.
pub fn short_number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_however_a_program_spells_their_numbers() {
        let level = |levels: &[&str], cell: Cell| {
            let levels = levels.iter().map(|level| (*level).to_owned()).collect();
            let input = Input { kind: ColumnKind::Category, levels, ..input() };
            input.read(&cell, UnknownCategory::Error).map(|(value, _)| value).ok()
        };
        let at = |index| Some(Value::Level(Some(index)));
        let text = |text: &'static str| Cell::Text(text.into());
        for levels in [["1", "2", "x"], ["1.0", "2.0", "x"]] {
            for cell in [Cell::Number(2.0), text("2"), text("2.0")] {
                assert_eq!(level(&levels, cell), at(1));
            }
            assert_eq!(level(&levels, Cell::Number(3.0)), None);
            assert_eq!(level(&levels, text("02")), None);
        }
        assert_eq!(level(&["7", "007"], text("007")), at(1), "what is spelt so goes first");
        assert_eq!(level(&["7.0", "007"], Cell::Number(7.0)), None, "two levels are this number");
        assert_eq!(level(&["2.50", "a"], Cell::Number(2.5)), at(0));
        assert_eq!(level(&["-ve", "+ve"], text("'+ve")), at(1), "as our own answers spell it");
        assert_eq!(level(&["ve"], text("'ve")), None);
    }

    fn input() -> Input {
        Input {
            name: "Umidade".to_owned(),
            kind: ColumnKind::Number,
            unit: Some("%".to_owned()),
            missing_share: 0.1,
            range: Some((0.0, 100.0)),
            levels: Vec::new(),
            number_format: NumberFormat { decimal: ',', thousands: Some('.') },
            date_format: None,
            missing_tokens: vec!["-200".to_owned(), "50".to_owned(), "***".to_owned()],
        }
    }

    #[test]
    fn numbers_are_read_as_in_the_file() {
        let read = |text: &str| {
            let cell = Cell::Text(Cow::Borrowed(text));
            input()
                .read(&cell, UnknownCategory::Error)
                .map(|(value, _)| value)
                .map_err(|problem| problem.slug)
        };
        for (text, expected) in [
            ("5,5", Ok(Value::Number(5.5))),
            (" 5,5 % ", Ok(Value::Number(5.5))),
            ("1.234", Ok(Value::Number(1234.0))),
            ("***", Ok(Value::Missing)),
            ("", Ok(Value::Missing)),
            ("-200", Ok(Value::Missing)),
            ("-200,0", Ok(Value::Missing)),
            ("50", Ok(Value::Number(50.0))),
            ("5,5 g", Err("wrong-type")),
            ("5.5", Err("wrong-type")),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        let read_as = |kind, date_format: Option<&str>, text: &str| {
            let input = Input { kind, date_format: date_format.map(str::to_owned), ..input() };
            let cell = Cell::Text(Cow::Borrowed(text));
            input
                .read(&cell, UnknownCategory::Error)
                .map(|(value, _)| value)
                .map_err(|problem| problem.message)
        };
        for format in [None, Some("%d/%m/%Y")] {
            for text in [
                "2024-01-08",
                "2024-01-08 00:00",
                "2024-01-08T00:00:00",
                "2024-01-08T00:00:00.000",
                "2024-01-08T00:00Z",
                "2024-01-08T03:00:00+0300",
            ] {
                let expected = Ok(Value::Instant(1_704_672_000_000));
                assert_eq!(read_as(ColumnKind::Date, format, text), expected, "{text}");
            }
        }
        assert!(read_as(ColumnKind::Date, None, "08/01/2024").is_err_and(|message| !message.contains("any")));
        assert_eq!(read_as(ColumnKind::Boolean, None, "0.0"), Ok(Value::Flag(false)));
        let read = |value| input().read(&Cell::Number(value), UnknownCategory::Error).map(|(value, _)| value);
        assert_eq!(read(-200.0), Ok(Value::Missing), "the sentinel of the file");
        assert_eq!(read(50.0), Ok(Value::Number(50.0)), "that of another column: here it is a value");
    }
}
