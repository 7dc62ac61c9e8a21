//! Cells become typed columns as they stream by. A column that turns out to be something else than
//! its plan drops what it has and is read again; no cell is kept as text for that case.

use super::{
    affix::Affix,
    boolean, date, flag,
    levels::Levels,
    missing::{self, Missing},
    number,
    number_format::Evidence,
    row::{Cell, OwnedCell, percent},
    schema::{self, Plan},
    sentinel,
    table::{MISSING_CODE, MISSING_DATE, NumberFormat, Values},
};
use std::collections::BTreeSet;

/// Cells that did not fit, kept to plan the column anew and to name in messages.
const MAX_MISFITS: usize = 20;

/// The evidence that a text among numbers means "missing": how often it and the numbers are there, and
/// how many different ones. Of few, as of `1`, `2` and `special`, it may be one more class.
const MIN_LONE: usize = 3;
const MIN_NUMBERS: usize = 20;
const MIN_DISTINCT: usize = 12;

/// One column being filled.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) plan: Plan,
    store: Store,
    /// Whether cells that do not fit become missing: the caller gave the kind.
    is_lenient: bool,
    /// What stands beside every number.
    pub(super) affix: Option<Affix>,
    pub(super) n_misfits: u64,
    pub(super) misfits: Vec<(u64, OwnedCell)>,
    pub(super) evidence: Evidence,
    /// The texts that were taken for missing.
    pub(super) tokens: BTreeSet<String>,
    pub(super) n_non_finite: u64,
    /// Whether numbers may have a mark behind them.
    has_marks: bool,
    /// Whether percentages become fractions.
    is_fraction: bool,
    /// How many had one, and the first of them.
    pub(super) n_marked: u64,
    pub(super) marked: Option<String>,
}

#[derive(Debug)]
enum Store {
    Number(Vec<f64>),
    Date(Vec<i64>),
    Boolean(Vec<Option<bool>>),
    Text { codes: Vec<u32>, levels: Levels },
    Nothing,
}

impl Building {
    pub(super) fn new(plan: Plan, is_lenient: bool, evidence: Evidence, affix: Option<Affix>) -> Self {
        let store = match plan {
            Plan::Number(_) => Store::Number(Vec::new()),
            Plan::Date(_) | Plan::TypedDate => Store::Date(Vec::new()),
            Plan::Boolean => Store::Boolean(Vec::new()),
            Plan::Text => Store::Text { codes: Vec::new(), levels: Levels::default() },
            Plan::Ignore => Store::Nothing,
        };
        Self {
            plan,
            store,
            is_lenient,
            affix,
            n_misfits: 0,
            misfits: Vec::new(),
            evidence,
            tokens: BTreeSet::new(),
            n_non_finite: 0,
            has_marks: false,
            is_fraction: false,
            n_marked: 0,
            marked: None,
        }
    }

    /// The same, where percentages become fractions; without a sign beside them there are none.
    pub(super) fn with_fractions(self, is_fraction: bool) -> Self {
        Self { is_fraction: is_fraction && self.affix == Some(Affix::PERCENT), ..self }
    }

    /// Whether percentages became fractions.
    pub(super) fn is_fraction(&self) -> bool {
        self.is_fraction
    }

    /// The same, where numbers may have a mark behind them.
    pub(super) fn with_marks(self, has_marks: bool) -> Self {
        Self { has_marks, ..self }
    }

    /// The same column without a cell, for a part of the rows that [`Self::append`] adds later.
    pub(super) fn part(&self) -> Self {
        Self::new(self.plan.clone(), self.is_lenient, Evidence::default(), self.affix)
            .with_marks(self.has_marks)
            .with_fractions(self.is_fraction)
    }

    /// Adds the rows of a part, which come after those it has.
    pub(super) fn append(&mut self, part: Self) {
        self.n_misfits += part.n_misfits;
        let n_wanted = MAX_MISFITS - self.misfits.len();
        self.misfits.extend(part.misfits.into_iter().take(n_wanted));
        self.evidence.merge(part.evidence);
        self.tokens.extend(part.tokens);
        self.n_non_finite += part.n_non_finite;
        self.n_marked += part.n_marked;
        self.marked = self.marked.take().or(part.marked);
        match (&mut self.store, part.store) {
            (Store::Number(values), Store::Number(more)) => values.extend_from_slice(&more),
            (Store::Date(values), Store::Date(more)) => values.extend_from_slice(&more),
            (Store::Boolean(values), Store::Boolean(more)) => values.extend_from_slice(&more),
            (Store::Text { codes, levels }, Store::Text { codes: more, levels: later }) => {
                let known: Vec<u32> =
                    later.in_order.iter().map(|level| levels.code(level.as_bytes())).collect();
                codes.extend(
                    more.iter().map(|code| known.get(*code as usize).copied().unwrap_or(MISSING_CODE)),
                );
            }
            // A part with a misfit has dropped its values.
            (store, _) => *store = Store::Nothing,
        }
    }

    /// The decimal mark with which cells may be taken by [`Self::push_first`]; 0 where no mark is known.
    pub(super) fn quick_decimal(&self, missing: &Missing) -> Option<u8> {
        match self.plan {
            Plan::Number(format) if self.affix.is_none() && !missing.has_sentinels() => {
                Some(format.map_or(0, |format| format.decimal as u8))
            }
            _ => None,
        }
    }

    /// Takes the first cell of `text` if it is a number like most, and says where it ends.
    pub(super) fn push_first(&mut self, text: &[u8], decimal: u8, delimiter: u8) -> Option<usize> {
        let Store::Number(values) = &mut self.store else { return None };
        let (number, end) = number::first_short(text, decimal, delimiter)?;
        values.push(number);
        Some(end)
    }

    /// Whether every cell fitted the plan.
    pub(super) fn is_done(&self) -> bool {
        self.n_misfits == 0 || self.is_lenient
    }

    /// Takes the cell of the next row.
    pub(super) fn push(&mut self, line: u64, cell: Cell<'_>, missing: &Missing) {
        match &self.plan {
            Plan::Number(format) => {
                let stripped;
                let bare = match (cell, self.affix) {
                    (Cell::Text(text), Some(affix)) => {
                        stripped = std::str::from_utf8(text).ok().and_then(|text| affix.strip(text));
                        stripped.as_ref().map_or(Cell::Empty, |text| Cell::Text(text.as_bytes()))
                    }
                    _ => cell,
                };
                let number = match (bare, format) {
                    // Beside percentages it is not known what a bare number is.
                    (Cell::Number(number), _) if self.affix == Some(Affix::PERCENT) && number != 0.0 => {
                        number.is_nan().then_some(number)
                    }
                    (Cell::Number(number), _) => Some(number),
                    (Cell::Percent(fraction), _) if self.affix == Some(Affix::PERCENT) => {
                        Some(percent(fraction))
                    }
                    (Cell::Percent(fraction), _) => Some(fraction),
                    (Cell::Text(text), Some(format)) if !schema::is_code(text) => {
                        number::parse_bytes(text, *format)
                    }
                    (Cell::Text(text), None) if !schema::is_code(text) => unmarked(text),
                    _ => None,
                };
                match number {
                    Some(number) if missing.is_sentinel(number) => {
                        self.note_token(&number.to_string());
                        self.push_missing();
                    }
                    Some(number) if number.is_finite() => {
                        // As a fraction, 7 % is 0.07 and not 0.07000000000000001.
                        self.push_number(if self.is_fraction { number / 100.0 } else { number });
                    }
                    Some(_) => {
                        self.n_non_finite += 1;
                        self.push_number(f64::NAN);
                    }
                    None => self.push_other(line, cell, missing),
                }
            }
            Plan::Date(format) => match cell {
                Cell::Text(text) => match date::parse_bytes(text, format) {
                    Some(ms) => self.push_date(ms),
                    None => self.push_other(line, cell, missing),
                },
                Cell::Date(ms) => self.push_date(ms),
                _ => self.push_other(line, cell, missing),
            },
            Plan::TypedDate => match cell {
                Cell::Date(ms) => self.push_date(ms),
                _ => self.push_other(line, cell, missing),
            },
            Plan::Boolean => {
                let value = match cell {
                    Cell::Boolean(value) => Some(value),
                    Cell::Text(text) => boolean::parse_bytes(text),
                    _ => None,
                };
                match (value, &mut self.store) {
                    (Some(_), Store::Boolean(values)) => values.push(value),
                    _ => self.push_other(line, cell, missing),
                }
            }
            Plan::Text => self.push_text(cell, missing),
            Plan::Ignore => {}
        }
    }

    fn push_number(&mut self, number: f64) {
        if let Store::Number(values) = &mut self.store {
            values.push(number);
        }
    }

    fn push_date(&mut self, ms: i64) {
        if let Store::Date(values) = &mut self.store {
            values.push(ms);
        }
    }

    fn push_missing(&mut self) {
        match &mut self.store {
            Store::Number(values) => values.push(f64::NAN),
            Store::Date(values) => values.push(MISSING_DATE),
            Store::Boolean(values) => values.push(None),
            Store::Text { codes, .. } => codes.push(MISSING_CODE),
            Store::Nothing => {}
        }
    }

    /// A cell that is no value of the plan: missing, or a misfit.
    #[cold]
    fn push_other(&mut self, line: u64, cell: Cell<'_>, missing: &Missing) {
        match cell {
            Cell::Empty => return self.push_missing(),
            Cell::Error => {
                self.note_token("#ERROR!");
                return self.push_missing();
            }
            Cell::Text(text) if missing.is_missing_among_numbers(text) => {
                self.note_token(&String::from_utf8_lossy(text));
                return self.push_missing();
            }
            Cell::Text(text) if matches!(self.plan, Plan::Number(_)) && missing::is_non_finite(text) => {
                self.n_non_finite += 1;
                return self.push_missing();
            }
            _ => {}
        }
        if let (true, Plan::Number(format), Cell::Text(text)) = (self.has_marks, &self.plan, cell)
            && let Some(number) = without_mark(text, *format)
        {
            self.n_marked += 1;
            self.marked.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
            return self.push_number(number);
        }
        self.n_misfits += 1;
        if self.misfits.len() < MAX_MISFITS {
            self.misfits.push((line, cell.to_owned_cell()));
        }
        if let (Plan::Number(_), Cell::Text(text)) = (&self.plan, cell)
            && let Ok(text) = std::str::from_utf8(text)
        {
            let bare = self.affix.and_then(|affix| affix.strip(text));
            self.evidence.add(line, bare.as_deref().unwrap_or(text));
        }
        if self.is_lenient {
            self.push_missing();
        } else {
            self.store = Store::Nothing;
        }
    }

    fn push_text(&mut self, cell: Cell<'_>, missing: &Missing) {
        let text = match cell {
            Cell::Empty => return self.push_missing(),
            Cell::Error => {
                self.note_token("#ERROR!");
                return self.push_missing();
            }
            Cell::Text(text) if missing.is_missing(text) => {
                self.note_token(&String::from_utf8_lossy(text));
                return self.push_missing();
            }
            Cell::Text(text) => text,
            _ => &cell.to_text().into_bytes(),
        };
        if let Store::Text { codes, levels } = &mut self.store {
            codes.push(levels.code(text));
        }
    }

    #[cold]
    fn note_token(&mut self, token: &str) {
        if !self.tokens.contains(token) {
            self.tokens.insert(token.to_owned());
        }
    }

    /// The numbers, where it is a column of numbers.
    pub(super) fn numbers(&self) -> Option<&[f64]> {
        match &self.store {
            Store::Number(values) => Some(values),
            _ => None,
        }
    }

    /// Makes every cell of this number missing; returns how many there were.
    pub(super) fn make_missing(&mut self, number: f64) -> usize {
        match &mut self.store {
            Store::Number(values) => sentinel::remove(values, number),
            _ => 0,
        }
    }

    /// Makes a column of numbers of one in which all cells are numbers but for one text that is repeated;
    /// that text is missing from now on. Returns it and how often it was there.
    pub(super) fn without_lone_text(&mut self, format: NumberFormat) -> Option<(String, usize)> {
        let Store::Text { codes, levels } = &self.store else { return None };
        let number = |text: &String| {
            number::parse(text, format)
                .filter(|number| number.is_finite() && !schema::is_code(text.as_bytes()))
        };
        let mut values = Vec::with_capacity(levels.in_order.len());
        let mut lone = None;
        for (code, level) in levels.in_order.iter().enumerate() {
            let value = number(level);
            if value.is_none() && lone.replace(code).is_some() {
                return None;
            }
            values.push(value.unwrap_or(f64::NAN));
        }
        let lone = lone?;
        let text = levels.in_order[lone].clone();
        let n = codes.iter().filter(|code| **code as usize == lone).count();
        let n_present = codes.iter().filter(|code| **code != MISSING_CODE).count();
        let is_evident = n >= MIN_LONE && n_present - n >= MIN_NUMBERS && n * 3 <= n_present;
        // `<0.1` says more than nothing.
        let is_word = text.chars().any(char::is_alphabetic)
            && !text.contains(|c: char| c.is_ascii_digit() || "<>≤≥~".contains(c));
        if !is_evident || !is_word || values.len() < MIN_DISTINCT {
            return None;
        }
        let numbers =
            codes.iter().map(|code| values.get(*code as usize).copied().unwrap_or(f64::NAN)).collect();
        self.plan = Plan::Number(Some(format));
        self.store = Store::Number(numbers);
        self.tokens.insert(text.clone());
        Some((text, n))
    }

    /// The finished column; texts come as a category.
    pub(super) fn into_values(self) -> Values {
        match self.store {
            Store::Number(values) => Values::Number(values),
            Store::Date(values) => Values::Date(values),
            Store::Boolean(values) => Values::Boolean(values),
            Store::Text { codes, levels } => Values::Category { codes, levels: levels.in_order },
            Store::Nothing => Values::Number(Vec::new()),
        }
    }
}

/// The number of a cell that has a mark behind it.
fn without_mark(text: &[u8], format: Option<NumberFormat>) -> Option<f64> {
    let (bare, _) = flag::split(std::str::from_utf8(text).ok()?)?;
    if schema::is_code(bare.as_bytes()) {
        return None;
    }
    let number = match format {
        Some(format) => number::parse_bytes(bare.as_bytes(), format),
        None => unmarked(bare.as_bytes()),
    };
    number.filter(|number| number.is_finite())
}

/// A number without any mark: all that is one before the decimal mark is known.
fn unmarked(text: &[u8]) -> Option<f64> {
    if text.contains(&b'.') {
        return None;
    }
    number::parse_bytes(text, NumberFormat { decimal: '.', thousands: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(plan: Plan, cells: &[&str]) -> Building {
        let mut building = Building::new(plan, false, Evidence::default(), None);
        for (line, cell) in (2..).zip(cells) {
            let cell = if cell.is_empty() { Cell::Empty } else { Cell::Text(cell.as_bytes()) };
            building.push(line, cell, &Missing::default());
        }
        building
    }

    #[test]
    fn missing_cells_hold_their_place() {
        let format = NumberFormat { decimal: ',', thousands: None };
        let building = fill(Plan::Number(Some(format)), &["1,5", "", "NA", "-", "inf", "1e400", "2"]);
        assert!(building.is_done());
        assert_eq!(building.n_non_finite, 2);
        assert_eq!(building.tokens.iter().map(String::as_str).collect::<Vec<_>>(), ["-", "NA"]);
        let Values::Number(values) = building.into_values() else { panic!("numbers") };
        assert_eq!(values.len(), 7);
        assert_eq!((values[0], values[6]), (1.5, 2.0));
        assert!(values[1..6].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn a_misfit_is_named_and_the_values_are_dropped() {
        let building = fill(Plan::Number(None), &["1", "2,5", "x"]);
        assert!(!building.is_done());
        assert_eq!(
            building.misfits,
            [(3, OwnedCell::Text("2,5".to_owned())), (4, OwnedCell::Text("x".to_owned()))]
        );
        assert!(building.into_values().is_empty());
    }

    #[test]
    fn a_sign_beside_every_number() {
        let format = NumberFormat { decimal: ',', thousands: None };
        let mut building =
            Building::new(Plan::Number(Some(format)), false, Evidence::default(), Affix::of("1%"));
        for (line, text) in (2..).zip(["5,5%", "-1 %", "NA"]) {
            building.push(line, Cell::Text(text.as_bytes()), &Missing::default());
        }
        assert!(building.is_done());
        building.push(5, Cell::Text(b"7"), &Missing::default());
        assert!(!building.is_done(), "7 without a sign may be 7 % or 700 %");
    }

    #[test]
    fn a_text_that_is_repeated_among_numbers() {
        let format = NumberFormat { decimal: ',', thousands: None };
        let check = |cells: Vec<String>, expected: Option<usize>| {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let mut building = fill(Plan::Text, &cells);
            let found = building.without_lone_text(format);
            assert_eq!(found.as_ref().map(|(_, n)| *n), expected, "{cells:?}");
            let is_number =
                matches!(building.into_values(), Values::Number(values) if values.len() == cells.len());
            assert_eq!(is_number, expected.is_some());
        };
        let cells = |n: usize, text: &str, n_texts: usize| {
            let numbers = (0..n).map(|i| format!("{i},5"));
            numbers.chain(std::iter::repeat_n(text.to_owned(), n_texts)).collect::<Vec<_>>()
        };
        check(cells(40, "not available", 5), Some(5));
        check(cells(40, "not available", 2), None);
        check(cells(40, "not available", 30), None);
        check(cells(40, "<0,1", 5), None);
        check(cells(40, "1.5", 5), None);
        check([cells(40, "a", 5), vec!["b".to_owned()]].concat(), None);
        check(
            [
                cells(5, "special", 5),
                cells(5, "special", 0),
                cells(5, "", 9),
                cells(5, "", 9),
                cells(5, "", 9),
            ]
            .concat(),
            None,
        );
    }

    #[test]
    fn levels_in_order_of_appearance() {
        let building = fill(Plan::Text, &["b", "a", "", "a", "b"]);
        let values = building.into_values();
        let levels = vec!["b".to_owned(), "a".to_owned()];
        assert_eq!(values, Values::Category { codes: vec![0, 1, MISSING_CODE, 1, 0], levels });
    }
}
