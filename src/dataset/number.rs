//! One cell as a number, in a known format. Used while a file is read and again when a value is
//! sent to a model that was trained from that file.

use super::table::NumberFormat;

/// Longer texts are no number that anyone measured.
const MAX_LEN: usize = 64;

/// Reads `text` as a number written in `format`; `None` where it is not exactly that.
///
/// The result may be infinite where the text is, as in `1e400`. Thousands marks are accepted only
/// where they stand at every third digit, so `12,34` is no 1234.
pub fn parse(text: &str, format: NumberFormat) -> Option<f64> {
    parse_bytes(text.trim().as_bytes(), format)
}

/// [`parse`] for a trimmed cell.
pub(super) fn parse_bytes(cell: &[u8], format: NumberFormat) -> Option<f64> {
    if cell.is_empty() || cell.len() > MAX_LEN {
        return None;
    }
    if let Some(number) = short(cell, format.decimal as u8) {
        return Some(number);
    }
    if format.decimal == '.' && cell.iter().all(|byte| is_plain(*byte)) {
        return plain(cell);
    }
    normalised(cell, format)
}

/// Digits and one decimal mark, so few that the result is exact: a whole number below 2^53 over a
/// power of ten below 10^22 is rounded once, as the standard's parser rounds. Nearly all numbers of
/// nearly all files are of this kind.
fn short(cell: &[u8], decimal: u8) -> Option<f64> {
    let (is_negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, cell),
    };
    if digits.len() > 16 {
        return None;
    }
    let (mut whole, mut mark_at) = (0u64, None);
    for (i, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            whole = whole * 10 + u64::from(digit);
        } else if *byte == decimal && mark_at.is_none() {
            mark_at = Some(i);
        } else {
            return None;
        }
    }
    let n_digits = digits.len() - usize::from(mark_at.is_some());
    let n_decimals = mark_at.map_or(0, |at| digits.len() - at - 1);
    if n_digits == 0 || whole >= 1 << 53 {
        return None;
    }
    let number = whole as f64 / POWERS[n_decimals];
    Some(if is_negative { -number } else { number })
}

const POWERS: [f64; 17] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16];

/// [`short`] for a cell that begins `text` and ends at `delimiter` or with the text; also says where.
/// `None` too where leading zeros may mean a code.
pub(super) fn first_short(text: &[u8], decimal: u8, delimiter: u8) -> Option<(f64, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let (mut whole, mut mark_at, mut end) = (0u64, None, text.len());
    for (i, byte) in text.iter().enumerate().skip(start) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if *byte == decimal && mark_at.is_none() {
            mark_at = Some(i);
        } else if *byte == delimiter {
            end = i;
            break;
        } else {
            return None;
        }
    }
    let n_digits = end - start - usize::from(mark_at.is_some());
    let may_be_code = text.first() == Some(&b'0') && mark_at.is_none() && n_digits > 1;
    if n_digits == 0 || end - start > 16 || whole >= 1 << 53 || may_be_code {
        return None;
    }
    let number = whole as f64 / POWERS[mark_at.map_or(0, |at| end - at - 1)];
    Some((if is_negative { -number } else { number }, end))
}

/// What std's parser may see: it also takes `inf` and `nan`, which are no measurements.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
}

fn plain(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// `'-3.5`: programs put an apostrophe before what a spreadsheet could take for a formula.
pub(super) fn without_apostrophe(text: &str) -> &str {
    let is_number = |bare: &&str| bare.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
    text.strip_prefix('\'').filter(is_number).unwrap_or(text)
}

/// Rewrites the cell with a point and without thousands marks.
fn normalised(cell: &[u8], format: NumberFormat) -> Option<f64> {
    let mut buffer = [0u8; MAX_LEN];
    let mut n = 0;
    let mut rest = without_apostrophe(std::str::from_utf8(cell).ok()?).as_bytes();
    // A typographic minus, as spreadsheets and word processors write it.
    if let Some(after) = rest.strip_prefix("\u{2212}".as_bytes()) {
        buffer[0] = b'-';
        n = 1;
        rest = after;
        if !rest.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == format.decimal as u8) {
            return None;
        }
    }
    let (mut in_fraction, mut in_exponent) = (false, false);
    let mut n_digits = 0;
    let mut group = None; // digits since the last thousands mark
    let mut used_mark = None;
    while let Some(&byte) = rest.first() {
        let mut width = 1;
        match byte {
            b'0'..=b'9' => {
                n_digits += 1;
                if let Some(n_in_group) = &mut group {
                    *n_in_group += 1;
                }
                buffer[n] = byte;
                n += 1;
            }
            _ if byte == format.decimal as u8 && !in_fraction && !in_exponent => {
                if group.is_some_and(|n_in_group| n_in_group != 3) {
                    return None;
                }
                (in_fraction, group) = (true, None);
                buffer[n] = b'.';
                n += 1;
            }
            b'e' | b'E' if !in_exponent => {
                if group.is_some_and(|n_in_group| n_in_group != 3) {
                    return None;
                }
                (in_exponent, group) = (true, None);
                buffer[n] = byte;
                n += 1;
            }
            b'+' | b'-' => {
                buffer[n] = byte;
                n += 1;
                // Bookkeepers write `- 5`.
                while n == 1 && rest.get(width) == Some(&b' ') {
                    width += 1;
                }
            }
            _ => {
                let mark = format.thousands?;
                // A space between groups means the same in every country.
                let mark_here = if thousands_width(rest, mark).is_some() { mark } else { ' ' };
                if used_mark.is_some_and(|used| used != mark_here) {
                    return None;
                }
                used_mark = Some(mark_here);
                width = thousands_width(rest, mark_here)?;
                let complete = group.map_or((1..=3).contains(&n_digits), |n_in_group| n_in_group == 3);
                if in_fraction || in_exponent || !complete {
                    return None;
                }
                group = Some(0);
            }
        }
        rest = &rest[width..];
    }
    if group.is_some_and(|n_in_group| n_in_group != 3) {
        return None;
    }
    plain(&buffer[..n])
}

/// The width in bytes of the thousands mark that `rest` begins with. A space stands for every
/// kind of space: spreadsheets write narrow and non-breaking ones.
fn thousands_width(rest: &[u8], mark: char) -> Option<usize> {
    let starts = |text: &str| rest.starts_with(text.as_bytes()).then_some(text.len());
    if mark == ' ' {
        return starts(" ").or_else(|| starts("\u{a0}")).or_else(|| starts("\u{202f}"));
    }
    starts(mark.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: NumberFormat = NumberFormat { decimal: '.', thousands: None };
    const COMMA: NumberFormat = NumberFormat { decimal: ',', thousands: None };
    const BRAZIL: NumberFormat = NumberFormat { decimal: ',', thousands: Some('.') };
    const US: NumberFormat = NumberFormat { decimal: '.', thousands: Some(',') };
    const FRENCH: NumberFormat = NumberFormat { decimal: ',', thousands: Some(' ') };

    #[test]
    fn short_numbers_are_exactly_those_of_the_standard() {
        let mut state = 1u64;
        for i in 0..200_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i);
            let digits = state >> (state % 60);
            let text = format!("{digits}");
            let at = (state >> 32) as usize % (text.len() + 1);
            let text = format!("-{}.{}", &text[..at], &text[at..]);
            let expected: f64 = text.parse().unwrap();
            assert_eq!(parse(&text, POINT).map(f64::to_bits), Some(expected.to_bits()), "{text}");
            assert_eq!(parse(&text.replace('.', ","), COMMA), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_apostrophe_that_guards_a_spreadsheet() {
        assert_eq!(parse("'-3.50", POINT), Some(-3.5));
        assert_eq!(parse("'+0,5", BRAZIL), Some(0.5));
        assert_eq!(parse("'1.200", BRAZIL), Some(1200.0));
        for other in ["'", "''1", "'a", "'.5", "1'"] {
            assert_eq!(parse(other, POINT), None, "{other}");
        }
    }

    #[test]
    fn the_first_cell_of_a_row() {
        let check =
            |text: &str, expected| assert_eq!(first_short(text.as_bytes(), b',', b';'), expected, "{text}");
        check("-1,5;2", Some((-1.5, 4)));
        check("15", Some((15.0, 2)));
        check("0;", Some((0.0, 1)));
        check("0,5", Some((0.5, 3)));
        for other in
            ["", ";1", "-", ",", "007;", "00", " 1", "1 ;", "1.5", "1e5", "1,5,5", "12345678901234567", "x"]
        {
            check(other, None);
        }
    }

    #[test]
    fn numbers_in_every_format() {
        #[rustfmt::skip]
        let cases = [
            ("12.5", POINT, Some(12.5)), ("-12", POINT, Some(-12.0)), ("+3", POINT, Some(3.0)),
            (".5", POINT, Some(0.5)), ("5.", POINT, Some(5.0)), ("1e-3", POINT, Some(0.001)),
            ("1E5", POINT, Some(1e5)), (" 7 ", POINT, Some(7.0)),
            ("12,5", COMMA, Some(12.5)), (",8", COMMA, Some(0.8)), ("-,8", COMMA, Some(-0.8)),
            ("1,5e3", COMMA, Some(1500.0)), ("12", COMMA, Some(12.0)),
            ("1.234,56", BRAZIL, Some(1234.56)), ("1.234.567", BRAZIL, Some(1_234_567.0)),
            ("-1.234", BRAZIL, Some(-1234.0)), ("1234,5", BRAZIL, Some(1234.5)),
            ("1,234.56", US, Some(1234.56)), ("12,345,678", US, Some(12_345_678.0)),
            ("1 234,5", FRENCH, Some(1234.5)), ("1\u{a0}234,5", FRENCH, Some(1234.5)),
            ("1\u{202f}234\u{202f}567", FRENCH, Some(1_234_567.0)),
            ("\u{2212}5,5", COMMA, Some(-5.5)), ("\u{2212}5.5", POINT, Some(-5.5)),
            ("- 5", US, Some(-5.0)), ("-1 414", US, Some(-1414.0)), ("- 1,5", COMMA, Some(-1.5)),
            ("1,234 567", US, None), ("5 - 1", US, None), ("- ", US, None), ("1 23", US, None),
            // Not exactly a number of the format: never a guess.
            ("12,5", POINT, None), ("12.5", COMMA, None), ("12.5", BRAZIL, None),
            ("1.23,4", BRAZIL, None), ("1234.567,8", BRAZIL, None), ("1,23", US, None),
            ("1.234.56", BRAZIL, None), (".234", BRAZIL, None), ("1,,234", US, None),
            ("1.5.5", POINT, None), ("1,5,5", COMMA, None), ("--5", POINT, None), ("5-", POINT, None),
            ("", POINT, None), ("-", POINT, None), (".", POINT, None), (",", COMMA, None), ("e5", POINT, None),
            ("inf", POINT, None), ("NaN", POINT, None), ("infinity", COMMA, None),
            ("0x1F", POINT, None), ("1_000", POINT, None), ("12 kg", POINT, None),
            ("\u{2212}\u{2212}5", POINT, None), ("\u{2212}+5", COMMA, None), ("\u{ff11}\u{ff12}", POINT, None),
        ];
        for (text, format, expected) in cases {
            assert_eq!(parse(text, format), expected, "{text:?} in {format:?}");
        }
        assert_eq!(parse("1e400", POINT), Some(f64::INFINITY), "told apart from text by the caller");
        assert_eq!(parse(&"9".repeat(65), POINT), None);
    }
}
