//! What the columns are: first a plan from the sample, so that cells are parsed as they stream by;
//! at the end the kind, from all values.

use super::{
    affix::Affix,
    boolean, date, flag,
    missing::{self, Missing},
    number_format::{self, Evidence},
    row::{Cell, OwnedCell},
    sorting,
    table::{ColumnKind, NumberFormat},
};

/// More levels than this are no category that a network can learn.
const MAX_LEVELS: usize = 1000;
/// Texts longer than this on average are prose.
const PROSE_CHARS: usize = 40;

/// What the caller says a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forced {
    Number,
    /// Numbers whose percentages are fractions: `5.5%` is 0.055.
    Fraction,
    Category,
    Date,
    Boolean,
    Text,
    Ignore,
}

/// What the cells of a column look like so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Look {
    /// Numbers, or nothing at all yet.
    Numbers,
    /// Numbers, each with the same sign beside it.
    NumbersWith(Affix),
    /// Numbers, some with a mark behind them that says something of the number.
    NumbersMarked,
    /// Dates in a workbook, which need no format.
    TypedDates,
    /// Dates as text.
    Dates(String),
    Booleans,
    Texts,
}

/// How the cells of a column are parsed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// `None`: integers, because the file shows no decimal mark yet.
    Number(Option<NumberFormat>),
    TypedDate,
    Date(String),
    Boolean,
    Text,
    Ignore,
}

impl Forced {
    /// The names that the API takes.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "number" => Self::Number,
            "fraction" => Self::Fraction,
            "category" => Self::Category,
            "date" => Self::Date,
            "boolean" => Self::Boolean,
            "text" => Self::Text,
            "ignore" => Self::Ignore,
            _ => return None,
        })
    }
}

/// What a column of these cells looks like. Missing cells say nothing.
pub(super) fn look(name: &str, cells: &[OwnedCell], missing: &Missing, is_workbook: bool) -> Look {
    let present: Vec<&OwnedCell> = cells.iter().filter(|cell| !is_missing(cell, missing, false)).collect();
    let firm: Vec<&OwnedCell> =
        present.iter().copied().filter(|cell| !is_missing(cell, missing, true)).collect();
    if firm.is_empty() {
        return if present.is_empty() { Look::Numbers } else { Look::Texts };
    }
    let all = |test: fn(&OwnedCell) -> bool| firm.iter().all(|cell| test(cell));
    if all(|cell| matches!(cell, OwnedCell::Date(_))) {
        return Look::TypedDates;
    }
    if all(|cell| matches!(cell, OwnedCell::Text(_))) {
        let texts = firm.iter().filter_map(|cell| match cell {
            OwnedCell::Text(text) => Some(text.as_str()),
            _ => None,
        });
        if names_a_time(name) && texts.clone().all(|text| date::parse(text, date::FOUR_DIGITS).is_some()) {
            return Look::Dates(date::FOUR_DIGITS.to_owned());
        }
        let is_day = |text: &str| {
            text.len() == 8 && date::parse(text, date::EIGHT_DIGITS).is_some_and(date::is_plausible)
        };
        if names_a_date(name) && texts.clone().all(is_day) {
            return Look::Dates(date::EIGHT_DIGITS.to_owned());
        }
        let is_month = |text: &str| {
            text.len() == 7 && date::parse(text, date::YEAR_POINT_MONTH).is_some_and(date::is_plausible)
        };
        if names_a_date(name) && texts.clone().all(is_month) {
            return Look::Dates(date::YEAR_POINT_MONTH.to_owned());
        }
        if let Some(format) = date::candidates(&texts).into_iter().next() {
            return Look::Dates(format);
        }
    }
    let is_percent = |cell: &OwnedCell| match cell {
        OwnedCell::Percent(_) => true,
        OwnedCell::Text(text) => {
            Affix::PERCENT.strip(text).is_some_and(|bare| number_format::shape(&bare).is_some())
        }
        _ => false,
    };
    if firm.iter().all(|cell| is_percent(cell)) {
        return Look::NumbersWith(Affix::PERCENT);
    }
    if all(is_number) {
        return if is_workbook && are_codes(&firm) { Look::Texts } else { Look::Numbers };
    }
    let text = |cell: &OwnedCell| match cell {
        OwnedCell::Text(text) => Some(text.clone()),
        _ => None,
    };
    if let Some(affix) = text(firm[0]).and_then(|text| Affix::of(&text)) {
        let bare = |cell: &OwnedCell| {
            let text = text(cell)?;
            number_format::shape(&affix.strip(&text)?).map(|_| ())
        };
        if firm.iter().all(|cell| bare(cell).is_some()) {
            return Look::NumbersWith(affix);
        }
    }
    if are_marked_numbers(&firm) {
        return Look::NumbersMarked;
    }
    let is_boolean = |cell: &OwnedCell| match cell {
        OwnedCell::Boolean(_) => true,
        OwnedCell::Text(text) => boolean::parse(text).is_some(),
        _ => false,
    };
    if all(is_boolean) { Look::Booleans } else { Look::Texts }
}

fn is_missing(cell: &OwnedCell, missing: &Missing, among_numbers: bool) -> bool {
    match cell {
        OwnedCell::Empty | OwnedCell::Error => true,
        OwnedCell::Text(text) if among_numbers => {
            missing.is_missing_among_numbers(text.as_bytes()) || missing::is_non_finite(text.as_bytes())
        }
        OwnedCell::Text(text) => missing.is_missing(text.as_bytes()),
        OwnedCell::Number(number) | OwnedCell::Percent(number) => !number.is_finite(),
        OwnedCell::Date(_) | OwnedCell::Boolean(_) => false,
    }
}

fn is_number(cell: &OwnedCell) -> bool {
    match cell {
        OwnedCell::Number(_) | OwnedCell::Percent(_) => true,
        OwnedCell::Text(text) => !is_code(text.as_bytes()) && number_format::shape(text).is_some(),
        _ => false,
    }
}

/// `6.7`, `6.8*`, `6.9`: numbers, of which some are marked.
fn are_marked_numbers(cells: &[&OwnedCell]) -> bool {
    let mut marks = Vec::new();
    let mut n_bare = 0;
    for cell in cells {
        if is_number(cell) {
            n_bare += 1;
            continue;
        }
        let OwnedCell::Text(text) = cell else { return false };
        match flag::split(text) {
            Some((bare, mark)) if number_format::shape(bare).is_some() && !is_code(bare.as_bytes()) => {
                marks.push(mark)
            }
            _ => return false,
        }
    }
    flag::are_marks(marks.iter().copied(), marks.len(), n_bare)
}

/// Whole numbers of eight digits under such a name are days.
fn names_a_date(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphabetic());
    words.any(|word| {
        matches!(word, "date" | "data" | "datum" | "fecha" | "dia" | "day" | "dt" | "yyyymmdd" | "ymd")
    })
}

/// `08123` and `0012` are postcodes and station numbers; their zeros mean something. `07` may be a
/// month.
pub(super) fn is_code(cell: &[u8]) -> bool {
    let cell = cell.strip_prefix(b"'").unwrap_or(cell);
    cell.len() >= 3 && cell[0] == b'0' && cell.iter().all(u8::is_ascii_digit)
}

/// In a workbook, where numbers are stored as numbers, whole numbers of one length that are stored
/// as text are codes: `11`, `1100015`.
fn are_codes(cells: &[&OwnedCell]) -> bool {
    const MIN_CELLS: usize = 20;
    let digits = |cell: &OwnedCell| match cell {
        OwnedCell::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text.len()),
        // One that was typed anew became a number.
        OwnedCell::Number(number) if number.fract() == 0.0 => Some(number.to_string().len()),
        _ => None,
    };
    let n_texts = cells.iter().filter(|cell| matches!(cell, OwnedCell::Text(_))).count();
    let first = digits(cells[0]);
    cells.len() >= MIN_CELLS
        && n_texts * 10 >= cells.len() * 9
        && first.is_some_and(|n| n >= 2)
        && cells.iter().all(|cell| digits(cell) == first)
}

fn names_a_time(name: &str) -> bool {
    let name = name.to_lowercase();
    ["hora", "hour", "time", "heure", "uhrzeit"]
        .iter()
        .any(|word| name.split([' ', '_']).any(|part| part.starts_with(word)))
}

/// The evidence of a column's cells for the decimal mark.
pub(super) fn evidence<'a>(cells: impl Iterator<Item = (u64, Cell<'a>)>, look: &Look) -> Evidence {
    let mut evidence = Evidence::default();
    for (line, cell) in cells {
        if let Cell::Text(text) = cell
            && let Ok(text) = std::str::from_utf8(text)
        {
            match look {
                Look::NumbersWith(affix) => affix.strip(text).is_some_and(|bare| evidence.add(line, &bare)),
                Look::NumbersMarked => evidence.add(line, flag::split(text).map_or(text, |(bare, _)| bare)),
                _ => evidence.add(line, text),
            };
        }
    }
    evidence
}

/// The kind of a column of texts, and why.
pub(super) fn text_kind(levels: &[String], n_present: u64, forced: Option<Forced>) -> (ColumnKind, String) {
    let n_levels = levels.len();
    match forced {
        Some(Forced::Category) => return (ColumnKind::Category, "given with the upload".to_owned()),
        Some(Forced::Text) => return (ColumnKind::Text, "given with the upload".to_owned()),
        _ => {}
    }
    let mean_chars = levels.iter().map(|level| level.chars().count()).sum::<usize>() / n_levels.max(1);
    let seen = format!("{n_levels} different texts in {n_present} rows");
    if mean_chars >= PROSE_CHARS && n_levels > 20 {
        return (ColumnKind::Text, format!("{seen}, {mean_chars} characters each on average"));
    }
    if n_levels <= 20 && n_present > n_levels as u64 || n_levels < 10 {
        return (ColumnKind::Category, seen);
    }
    if n_levels as u64 == n_present && !levels.iter().any(|level| level.contains(' ')) {
        return (ColumnKind::Identifier, format!("{seen}: each names one row"));
    }
    if n_levels > MAX_LEVELS {
        return (ColumnKind::Text, format!("{seen}: more than {MAX_LEVELS} are no category"));
    }
    if n_levels as u64 * 2 > n_present {
        return (ColumnKind::Text, format!("{seen}: too few rows of each for a category"));
    }
    (ColumnKind::Category, seen)
}

/// Whether whole numbers, all different, under such a name count or name the rows.
pub(super) fn is_identifier(name: &str, numbers: &[f64]) -> bool {
    if !names_rows(name) {
        return false;
    }
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    if sorted.len() < 10 || sorted.iter().any(|number| number.fract() != 0.0) {
        return false;
    }
    sorting::sort(&mut sorted);
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

fn names_rows(name: &str) -> bool {
    let name = name.to_lowercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_key = |word: &&str| {
        matches!(
            *word,
            "id" | "ids"
                | "index"
                | "idx"
                | "uid"
                | "udi"
                | "uuid"
                | "key"
                | "codigo"
                | "código"
                | "rowid"
                | "nr"
                | "n"
                | "no"
                | "nº"
                | "rownames"
        )
    };
    words.is_empty()
        || words.first().is_some_and(is_key)
        || words.last().is_some_and(is_key)
        || name.starts_with("unnamed")
        || name == "sample number"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, cells: &[&str], expected: &Look) {
        let cells: Vec<OwnedCell> = cells.iter().map(|cell| OwnedCell::text(cell)).collect();
        assert_eq!(look(name, &cells, &Missing::default(), false), *expected, "{name}: {cells:?}");
    }

    #[test]
    fn looks() {
        check("x", &["1", "2.5", "", "NA", "-"], &Look::Numbers);
        check("x", &["1,5", "inf"], &Look::Numbers);
        check("x", &["", "NA"], &Look::Numbers);
        check("sign", &["-", "-"], &Look::Texts);
        check("sign", &["-", "+"], &Look::Texts);
        check("x", &["1", "two"], &Look::Texts);
        check("zip", &["08123", "10115"], &Look::Texts);
        check("month", &["07", "12"], &Look::Numbers);
        check("Hora", &["0000", "1200"], &Look::Dates("%H%M".to_owned()));
        check("count", &["1000", "1200"], &Look::Numbers);
        check("Hora UTC", &["0000 UTC"], &Look::Dates("%H%M UTC".to_owned()));
        check("day", &["2024-01-05", "-"], &Look::Dates("%Y-%m-%d".to_owned()));
        check("adult", &["True", "False", ""], &Look::Booleans);
        check("share", &["5,5%", "NA", "-1 %"], &Look::NumbersWith(Affix::of("1%").unwrap()));
        check("tmin", &["6.7", "6.8*", "NA", "7.1", "7.1 #"], &Look::NumbersMarked);
        check("MESS_DATUM", &["20200101", "20200229"], &Look::Dates("%Y%m%d".to_owned()));
        check("MESS_DATUM", &["20200101", "20200230"], &Look::Numbers);
        check("count", &["20200101", "20200229"], &Look::Numbers);
        check("Data", &["2012.09", "2012.10"], &Look::Dates("%Y.%m".to_owned()));
        check("Data", &["2012.09", "2012.13"], &Look::Numbers);
        check("year", &["2012.09", "2012.10"], &Look::Numbers);
        check("price", &["R$ 5,5", "R$ 1.000,00"], &Look::NumbersWith(Affix::of("R$ 1").unwrap()));
        check("share", &["5,5%", "3"], &Look::Texts);
        check("alive", &["yes", "no"], &Look::Texts);
        let typed = [OwnedCell::Date(0), OwnedCell::Empty];
        assert_eq!(look("d", &typed, &Missing::default(), true), Look::TypedDates);
        let mixed = [OwnedCell::Number(1.0), OwnedCell::Text("2,5".to_owned()), OwnedCell::Error];
        assert_eq!(
            look("d", &mixed, &Missing::default(), true),
            Look::Numbers,
            "numbers typed as text in a workbook"
        );
    }

    #[test]
    fn digits_of_one_length_in_a_workbook_are_codes() {
        let cells = |texts: &[&str]| -> Vec<OwnedCell> {
            texts.iter().cycle().take(40).map(|text| OwnedCell::text(text)).collect()
        };
        let look = |texts: &[&str], is_workbook| look("UF", &cells(texts), &Missing::default(), is_workbook);
        assert_eq!(look(&["11", "12"], true), Look::Texts);
        assert_eq!(look(&["11", "12"], false), Look::Numbers, "a text file has no other way to write 11");
        assert_eq!(look(&["9", "10"], true), Look::Numbers, "they were counted");
        let mut one_number = cells(&["1100015"]);
        one_number.push(OwnedCell::Number(1_100_023.0));
        assert_eq!(super::look("code", &one_number, &Missing::default(), true), Look::Texts);
    }

    #[test]
    fn kinds_of_text() {
        let levels = |n: usize, text: &str| (0..n).map(|i| format!("{text}{i}")).collect::<Vec<_>>();
        let kind = |levels: &[String], n: u64| text_kind(levels, n, None).0;
        assert_eq!(kind(&levels(3, "c"), 344), ColumnKind::Category);
        assert_eq!(kind(&levels(41, "c"), 48_842), ColumnKind::Category);
        assert_eq!(kind(&levels(100_000, "c"), 100_000), ColumnKind::Identifier);
        assert_eq!(kind(&levels(3_320, "N"), 227_496), ColumnKind::Text, "tail numbers");
        assert_eq!(kind(&levels(305, "chevrolet chevelle "), 398), ColumnKind::Text);
        assert_eq!(kind(&levels(25, &"long words ".repeat(6)), 300), ColumnKind::Text);
        assert_eq!(kind(&levels(3, "c"), 3), ColumnKind::Category, "too few rows to tell");
        let forced = text_kind(&levels(100_000, "c"), 100_000, Some(Forced::Category)).0;
        assert_eq!(forced, ColumnKind::Category);
    }

    #[test]
    fn identifiers_need_the_name_and_the_values() {
        let count: Vec<f64> = (1..=50).map(f64::from).collect();
        for name in ["id", "run_id", "UDI", "codigo_ocorrencia", "n", "", "Unnamed: 0", "column id"] {
            assert!(is_identifier(name, &count), "{name}");
        }
        for name in ["x", "time", "humid", "depth", "fluid"] {
            assert!(!is_identifier(name, &count), "{name} may be a quantity");
        }
        let repeated: Vec<f64> = (0..50).map(|i| f64::from(i / 2)).collect();
        assert!(!is_identifier("station_id", &repeated), "a group, which can be learned from");
    }
}
