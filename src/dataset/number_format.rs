//! How numbers are written in a file: which mark is the decimal one. Decided from evidence over
//! all columns; a file that can be read in two ways is refused.
//!
//! `1.234` is 1.234 in one country and 1234 in another. Evidence that settles it: another cell
//! such as `2.5` or `1.234,5`, groups such as `1.234.567`, long numbers without a mark, or plain
//! integers beside marked numbers that end in 0 (a decimal fraction would have lost the 0, and a
//! fixed number of decimals would have marked the integers too).

use super::{
    error::{Issue, Problem, ReadError},
    number,
    table::NumberFormat,
};

/// How a cell that looks like a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Digits only; how many.
    Integer(usize),
    /// This mark must be the decimal one.
    Decimal(char),
    /// This mark must be the thousands mark.
    Grouped(char),
    /// Both marks are there.
    Both { thousands: char, decimal: char },
    /// One to three digits, the mark, three digits: may be either.
    Either { mark: char, ends_in_zero: bool },
}

/// What the cells of one column show.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Evidence {
    short_integers: u64,
    long_integers: u64,
    /// For `.` and `,`: the first cell in which that mark is decimal.
    decimal: [Option<Sighting>; 2],
    /// The first cell with that thousands mark, for each of [`THOUSANDS`].
    thousands: [Option<Sighting>; 4],
    /// For `.` and `,`: the first cell that may be read both ways.
    either: [Option<Sighting>; 2],
    either_ends_in_zero: [bool; 2],
}

/// Where something was seen.
#[derive(Debug, Clone, PartialEq)]
struct Sighting {
    line: u64,
    text: String,
}

/// The decimal mark of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Settled {
    mark: char,
    /// Whether a cell shows it; otherwise it follows from how many digits the numbers have.
    is_shown: bool,
}

const DECIMALS: [char; 2] = ['.', ','];
const THOUSANDS: [char; 4] = ['.', ',', ' ', '\''];

/// The format of a file, and of each of its columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) file: NumberFormat,
    /// `None` where no cell of the file shows a mark: such a column holds integers only, and a
    /// mark that turns up later is new evidence.
    pub(super) columns: Vec<Option<NumberFormat>>,
    pub(super) reason: String,
    /// Columns (by number) whose reading rests on a weaker ground, and which.
    pub(super) doubts: Vec<(usize, String)>,
}

/// What is known about the file beside its cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The caller's word; it is final.
    pub(super) decimal: Option<char>,
    /// The mark of other files like this one.
    pub(super) usual: Option<char>,
    /// Whether commas separate the columns, so that an unquoted number cannot hold one.
    pub(super) comma_separated: bool,
    pub(super) names: &'a [String],
}

/// How `text` is written, where it looks like a number at all.
pub(super) fn shape(text: &str) -> Option<Shape> {
    let text = number::without_apostrophe(text);
    // Bookkeepers write `- 5`.
    let unsigned = text.strip_prefix(['-', '+', '\u{2212}']).map_or(text, str::trim_start);
    let (mantissa, has_exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (mantissa, true)
        }
        None => (unsigned, false),
    };
    let spaced = mantissa.replace(['\u{a0}', '\u{202f}'], " ");
    let marks: Vec<char> = spaced.chars().filter(|c| !c.is_ascii_digit()).collect();
    if marks.iter().any(|mark| !THOUSANDS.contains(mark)) || marks.len() == spaced.len() {
        return None;
    }
    let Some(&last) = marks.last() else { return Some(Shape::Integer(spaced.len())) };
    let first = marks[0];
    if marks.iter().all(|mark| *mark == first) {
        let (left, right) = spaced.split_once(first)?;
        if marks.len() == 1 && DECIMALS.contains(&first) {
            let three = right.len() == 3 && (1..=3).contains(&left.len()) && !left.starts_with('0');
            return Some(if three && !has_exponent {
                Shape::Either { mark: first, ends_in_zero: right.ends_with('0') }
            } else {
                Shape::Decimal(first)
            });
        }
        return is_grouped(&spaced, first).then_some(Shape::Grouped(first));
    }
    let n_last = marks.iter().filter(|mark| **mark == last).count();
    let (whole, _) = spaced.rsplit_once(last)?;
    let consistent = n_last == 1 && DECIMALS.contains(&last) && is_grouped(whole, first);
    consistent.then_some(Shape::Both { thousands: first, decimal: last })
}

fn is_grouped(digits: &str, mark: char) -> bool {
    let mut groups = digits.split(mark);
    let first = groups.next().unwrap_or_default();
    // `00.000.208` is a code.
    (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && first.bytes().all(|byte| byte.is_ascii_digit())
        && groups.all(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Evidence {
    /// Takes one cell into account. Returns whether it looks like a number.
    pub(super) fn add(&mut self, line: u64, text: &str) -> bool {
        let Some(shape) = shape(text) else { return false };
        let sight = |slot: &mut Option<Sighting>| {
            slot.get_or_insert_with(|| Sighting { line, text: super::error::shorten(text) });
        };
        match shape {
            Shape::Integer(n_digits) if n_digits > 3 => self.long_integers += 1,
            Shape::Integer(_) => self.short_integers += 1,
            Shape::Decimal(mark) => sight(&mut self.decimal[usize::from(mark == ',')]),
            Shape::Grouped(mark) => sight(&mut self.thousands[thousands_index(mark)]),
            Shape::Both { thousands, decimal } => {
                sight(&mut self.decimal[usize::from(decimal == ',')]);
                sight(&mut self.thousands[thousands_index(thousands)]);
            }
            Shape::Either { mark, ends_in_zero } => {
                let i = usize::from(mark == ',');
                sight(&mut self.either[i]);
                self.either_ends_in_zero[i] |= ends_in_zero;
            }
        }
        true
    }

    /// Adds what later cells of the column show.
    pub(super) fn merge(&mut self, later: Self) {
        self.short_integers += later.short_integers;
        self.long_integers += later.long_integers;
        let first = |own: &mut [Option<Sighting>], later: Vec<Option<Sighting>>| {
            for (own, later) in own.iter_mut().zip(later) {
                *own = own.take().or(later);
            }
        };
        first(&mut self.decimal, later.decimal.into());
        first(&mut self.thousands, later.thousands.into());
        first(&mut self.either, later.either.into());
        for (own, later) in self.either_ends_in_zero.iter_mut().zip(later.either_ends_in_zero) {
            *own |= later;
        }
    }

    /// The decimal mark that this column alone settles, or the two cells that contradict.
    fn settle(&self) -> Result<Option<Settled>, [&Sighting; 2]> {
        let shows = |i: usize| self.decimal[i].as_ref().or(self.thousands[1 - i].as_ref());
        match (shows(0), shows(1)) {
            (Some(point), Some(comma)) => Err([point, comma]),
            (Some(_), None) => Ok(Some(Settled { mark: '.', is_shown: true })),
            (None, Some(_)) => Ok(Some(Settled { mark: ',', is_shown: true })),
            (None, None) => Ok(self.settle_by_digits().map(|mark| Settled { mark, is_shown: false })),
        }
    }

    /// The ground for reading `1.234` that lies in the other numbers of the column.
    fn settle_by_digits(&self) -> Option<char> {
        for (i, mark) in DECIMALS.into_iter().enumerate() {
            let Some(_) = self.either[i] else { continue };
            if self.either[1 - i].is_some() {
                return None;
            }
            if self.long_integers > 0 {
                return Some(mark);
            }
            if self.short_integers > 0 && self.either_ends_in_zero[i] {
                return Some(DECIMALS[1 - i]);
            }
        }
        None
    }

    /// The thousands mark beside `decimal`, where the column shows one.
    fn thousands_beside(&self, decimal: char) -> Option<char> {
        let other = if decimal == '.' { ',' } else { '.' };
        let candidates = [other, ' ', '\''];
        let seen = |mark: char| {
            self.thousands[thousands_index(mark)].is_some()
                || (mark == other && self.either[usize::from(other == ',')].is_some())
        };
        candidates.into_iter().find(|mark| seen(*mark))
    }

    fn has_marks(&self) -> bool {
        self.decimal.iter().chain(&self.either).chain(&self.thousands).any(Option::is_some)
    }
}

fn thousands_index(mark: char) -> usize {
    THOUSANDS.iter().position(|known| *known == mark).unwrap_or(0)
}

/// Decides for every column that holds numbers (`None` entries hold something else).
pub(super) fn decide(columns: &[Option<&Evidence>], context: Context<'_>) -> Result<Decision, ReadError> {
    if let Some(decimal) = context.decimal {
        return Ok(by_order(columns, decimal));
    }
    let mut found = vec![None; columns.len()];
    for (i, evidence) in columns.iter().enumerate() {
        let Some(evidence) = evidence else { continue };
        found[i] = evidence.settle().map_err(|pair| contradiction(&context.names[i], pair))?;
    }
    let shown = |mark: char| found.iter().flatten().any(|own| own.is_shown && own.mark == mark);
    let file_mark = match (shown('.'), shown(',')) {
        (true, false) => Some('.'),
        (false, true) => Some(','),
        _ => None,
    };
    let mut doubts = Vec::new();
    let mut settled = vec![None; columns.len()];
    for (i, evidence) in columns.iter().enumerate() {
        let (Some(_), Some(own)) = (evidence, found[i]) else { continue };
        // What other columns show outweighs what the digits of one let suppose.
        let mark = if own.is_shown { own.mark } else { file_mark.unwrap_or(own.mark) };
        if mark != own.mark {
            doubts.push((i, format!("its marks were read as the rest of the file writes numbers, with {mark} as the decimal mark")));
        }
        settled[i] = Some(mark);
    }
    for (i, evidence) in columns.iter().enumerate() {
        let Some(evidence) = evidence else { continue };
        check_thousands(evidence, settled[i], &context.names[i])?;
    }
    let n_point = settled.iter().flatten().filter(|mark| **mark == '.').count();
    let n_comma = settled.iter().flatten().filter(|mark| **mark == ',').count();
    let unsettled: Vec<usize> = (0..columns.len())
        .filter(|i| settled[*i].is_none() && columns[*i].is_some_and(Evidence::has_marks))
        .collect();
    let (decimal, reason) = if n_point + n_comma > 0 {
        let decimal = if n_comma > n_point { ',' } else { '.' };
        let n = n_point.max(n_comma);
        (
            Some(decimal),
            format!(
                "{n} of {} columns with marked numbers settle it, such as {}",
                n_point + n_comma,
                example(columns, &settled, decimal)
            ),
        )
    } else if unsettled.is_empty() {
        (None, "no number has a decimal mark".to_owned())
    } else if let Some(usual) = context.usual {
        (
            Some(usual),
            "its numbers can be read in two ways; it was read as other files of its kind".to_owned(),
        )
    } else if context.comma_separated {
        for i in &unsettled {
            doubts.push((*i, "all marked numbers have three digits after the point; commas separate the columns, so the point was taken for the decimal mark. Set decimal= to confirm or change it".to_owned()));
        }
        (Some('.'), "commas separate the columns, so the point is the decimal mark".to_owned())
    } else {
        return Err(two_readings(columns, &unsettled, context.names));
    };
    let formats = columns.iter().zip(&settled).map(|(evidence, own)| {
        let evidence = (*evidence)?;
        let decimal = own.or(decimal)?;
        Some(NumberFormat { decimal, thousands: evidence.thousands_beside(decimal) })
    });
    let columns_formats: Vec<_> = formats.collect();
    let decimal = decimal.or(context.usual).unwrap_or('.');
    let mut thousands = columns_formats.iter().flatten().filter(|format| format.decimal == decimal);
    let file = NumberFormat { decimal, thousands: thousands.find_map(|format| format.thousands) };
    if n_point > 0 && n_comma > 0 {
        for (i, mark) in settled.iter().enumerate() {
            if mark.is_some_and(|mark| mark != decimal) {
                doubts.push((i, format!("this column uses the other decimal mark than most of the file ({decimal}); it was read by its own")));
            }
        }
    }
    Ok(Decision { file, columns: columns_formats, reason, doubts })
}

/// `5,5` and `5.555` in one column: the point would have to be a thousands mark, which nothing
/// else shows.
fn check_thousands(evidence: &Evidence, decimal: Option<char>, name: &str) -> Result<(), ReadError> {
    let Some(decimal) = decimal else {
        if let [Some(point), Some(comma)] = &evidence.either {
            return Err(contradiction(name, [point, comma]));
        }
        return Ok(());
    };
    let other = usize::from(decimal == '.');
    match (&evidence.either[other], &evidence.thousands[other], &evidence.decimal[1 - other]) {
        (Some(either), None, Some(marked)) => Err(contradiction(name, [either, marked])),
        _ => Ok(()),
    }
}

fn by_order(columns: &[Option<&Evidence>], decimal: char) -> Decision {
    let format =
        |evidence: &&Evidence| NumberFormat { decimal, thousands: evidence.thousands_beside(decimal) };
    let formats: Vec<_> = columns.iter().map(|evidence| evidence.as_ref().map(format)).collect();
    let thousands = formats.iter().flatten().find_map(|format| format.thousands);
    Decision {
        file: NumberFormat { decimal, thousands },
        columns: formats,
        reason: "given with the upload".to_owned(),
        doubts: Vec::new(),
    }
}

fn example(columns: &[Option<&Evidence>], settled: &[Option<char>], decimal: char) -> String {
    let column =
        columns.iter().zip(settled).find(|(_, mark)| **mark == Some(decimal)).and_then(|(column, _)| *column);
    let i = usize::from(decimal == ',');
    column
        .and_then(|evidence| {
            let shown = evidence.decimal[i].as_ref().or(evidence.thousands[1 - i].as_ref());
            shown.or(evidence.either[i].as_ref()).or(evidence.either[1 - i].as_ref())
        })
        .map_or_else(String::new, |sighting| sighting.text.clone())
}

fn contradiction(name: &str, pair: [&Sighting; 2]) -> ReadError {
    let mut pair = pair;
    pair.sort_by_key(|sighting| sighting.line);
    let [a, b] = pair;
    let problem = Problem::new(format!(
        "column '{name}' writes numbers in two ways: '{}' in line {} and '{}' in line {}. Correct the file, or say which mark is the decimal one (decimal=. or decimal=,), or read the column as text (types={{\"{name}\": \"text\"}})",
        a.text, a.line, b.text, b.line
    ));
    ReadError::AmbiguousNumberFormat(pair.iter().fold(problem, |problem, sighting| {
        let issue = Issue::at(sighting.line, "the decimal mark differs within the column");
        problem.with(issue.in_column(name).with_value(&sighting.text))
    }))
}

fn two_readings(columns: &[Option<&Evidence>], unsettled: &[usize], names: &[String]) -> ReadError {
    let sightings = unsettled.iter().filter_map(|i| {
        let evidence = columns[*i]?;
        let seen = evidence.either.iter().chain(&evidence.thousands).flatten().next()?;
        Some((names[*i].as_str(), seen))
    });
    let sightings: Vec<_> = sightings.collect();
    let (name, first) = match sightings.first() {
        Some((name, first)) => (*name, first.text.as_str()),
        None => ("", ""),
    };
    let problem = Problem::new(format!(
        "'{first}' in column '{name}' can be read in two ways, with a decimal mark or with a thousands mark, and no other number of the file settles it. Upload it again with decimal=. or decimal=,"
    ));
    ReadError::AmbiguousNumberFormat(sightings.iter().fold(problem, |problem, (name, seen)| {
        let issue = Issue::at(seen.line, "two readings");
        problem.with(issue.in_column(*name).with_value(&seen.text))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(cells: &[&str]) -> Evidence {
        let mut evidence = Evidence::default();
        for (i, cell) in cells.iter().enumerate() {
            assert!(evidence.add(i as u64 + 2, cell), "{cell} looks like a number");
        }
        evidence
    }

    /// The format of each column as `decimal thousands`, or the slug.
    fn check(
        columns: &[&[&str]],
        comma_separated: bool,
        decimal: Option<char>,
    ) -> Result<Vec<String>, &'static str> {
        check_beside(columns, comma_separated, decimal, None)
    }

    fn check_beside(
        columns: &[&[&str]],
        comma_separated: bool,
        decimal: Option<char>,
        usual: Option<char>,
    ) -> Result<Vec<String>, &'static str> {
        let evidence: Vec<Evidence> = columns.iter().map(|cells| evidence(cells)).collect();
        let names: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
        let context = Context { decimal, usual, comma_separated, names: &names };
        let decision =
            decide(&evidence.iter().map(Some).collect::<Vec<_>>(), context).map_err(|e| e.slug())?;
        let show = |format: &Option<NumberFormat>| match format {
            None => "integers".to_owned(),
            Some(format) => {
                format!("{}{}", format.decimal, format.thousands.map_or(String::new(), String::from))
            }
        };
        Ok(decision.columns.iter().map(show).collect())
    }

    #[test]
    fn shapes() {
        assert_eq!(shape("1234"), Some(Shape::Integer(4)));
        assert_eq!(shape("1.5"), Some(Shape::Decimal('.')));
        assert_eq!(shape("0.123"), Some(Shape::Decimal('.')), "no thousands group starts with 0");
        assert_eq!(shape("1234.567"), Some(Shape::Decimal('.')), "four digits are no group");
        assert_eq!(shape("1.234"), Some(Shape::Either { mark: '.', ends_in_zero: false }));
        assert_eq!(shape("1,230"), Some(Shape::Either { mark: ',', ends_in_zero: true }));
        assert_eq!(shape("1.234e2"), Some(Shape::Decimal('.')), "nobody groups before an exponent");
        assert_eq!(shape("1.234.567"), Some(Shape::Grouped('.')));
        assert_eq!(shape("1 234"), Some(Shape::Grouped(' ')));
        assert_eq!(shape("-1.234,5"), Some(Shape::Both { thousands: '.', decimal: ',' }));
        for no_number in
            ["", "-", ".", "1.2.3", "1.2,3", "1,234.5.6", "12 kg", "1e", "abc", "10:30", "1/2", "00.000.208"]
        {
            assert_eq!(shape(no_number), None, "{no_number}");
        }
    }

    #[test]
    fn evidence_decides() {
        let one = |text: &str| Ok(vec![text.to_owned()]);
        assert_eq!(check(&[&["1.5", "2"]], false, None), one("."));
        assert_eq!(check(&[&["1,5", "2"]], false, None), one(","));
        assert_eq!(check(&[&["1.234,5"]], false, None), one(",."));
        assert_eq!(check(&[&["1,130,345"]], true, None), one(".,"));
        assert_eq!(check(&[&["12", "13"]], false, None), one("integers"));
        assert_eq!(check(&[&["1.234", "1234"]], false, None), one("."), "a grouping writer groups all");
        assert_eq!(
            check(&[&["1.230", "123"]], false, None),
            one(",."),
            "a decimal fraction drops its last 0"
        );
        assert_eq!(check(&[&["1.234", "2.5"]], false, None), one("."));
        let two = check(&[&["1,5"], &["1.234"]], false, None);
        assert_eq!(two, Ok(vec![",".to_owned(), ",.".to_owned()]), "another column settles it");
        assert_eq!(check(&[&["1.234"]], true, None), one("."), "an unquoted comma separates");
    }

    #[test]
    fn two_readings_are_refused() {
        let refused = Err("ambiguous-number-format");
        assert_eq!(check(&[&["1.234", "5.678"]], false, None), refused, "nothing settles it");
        assert_eq!(check(&[&["1.5", "2,5"]], false, None), refused, "both marks are decimal");
        assert_eq!(check(&[&["5,5", "5.555"]], false, None), refused, "never 5555");
        assert_eq!(check(&[&["1.234", "1,234"]], false, None), refused);
    }

    #[test]
    fn what_is_usual_counts_where_nothing_settles_it() {
        let check = |columns: &[&[&str]], usual| check_beside(columns, false, None, Some(usual));
        let one = |text: &str| Ok(vec![text.to_owned()]);
        assert_eq!(check(&[&["680.000", "700.000"]], ','), one(",."));
        assert_eq!(check(&[&["680.000", "700.000"]], '.'), one("."));
        assert_eq!(check(&[&["2.5", "3"]], ','), one("."), "the file shows another mark");
        assert_eq!(check(&[&["12", "13"]], ','), one("integers"), "a mark that turns up later counts");
    }

    #[test]
    fn the_caller_has_the_last_word() {
        assert_eq!(check(&[&["1.234"]], false, Some('.')), Ok(vec![".".to_owned()]));
        assert_eq!(check(&[&["1.234"]], false, Some(',')), Ok(vec![",.".to_owned()]));
    }
}
