//! Records of Excel 97-2003 and 5.0 ([MS-XLS]): two bytes of type, two of length, the data.
//!
//! ```text
//! globals  FORMAT: number, code   XF: the format of each style   BOUNDSHEET: where a sheet begins
//! sheet    NUMBER, RK, FORMULA: row, column, style   MULRK: row, column, (style, value) ..., column
//! ```

use super::{Percents, is_built_in, is_percent_format, u16_at, u32_at, wide};
use std::collections::HashSet;

const BEGIN: u16 = 0x0809;
const END: u16 = 0x000a;
const FORMAT: u16 = 0x041e;
const STYLE: u16 = 0x00e0;
const SHEET: u16 = 0x0085;
const NUMBER: u16 = 0x0203;
const SHORT_NUMBER: u16 = 0x027e;
const SHORT_NUMBERS: u16 = 0x00bd;
const FORMULA: u16 = 0x0006;
/// The version of Excel 97 and later, whose texts say how wide their letters are.
const EXCEL_97: u16 = 0x0600;

pub(super) fn find(stream: &[u8]) -> Option<Vec<Percents>> {
    let mut formats = HashSet::new();
    let mut styles = Vec::new();
    let mut sheets = Vec::new();
    let mut is_new = true;
    for (kind, data) in records(stream, 0).take_while(|(kind, _)| *kind != END) {
        match kind {
            BEGIN => is_new = u16_at(data, 0)? == EXCEL_97,
            FORMAT if is_percent_format(&format_code(data, is_new)?) => formats.extend([u16_at(data, 0)?]),
            STYLE => {
                let format = u16_at(data, 2)?;
                styles.push(is_built_in(format) || formats.contains(&format));
            }
            SHEET => sheets.push(u32_at(data, 0)?),
            _ => {}
        }
    }
    styles.contains(&true).then(|| sheets.iter().map(|at| of_sheet(stream, *at as usize, &styles)).collect())
}

fn records(stream: &[u8], mut at: usize) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, length) = (u16_at(stream, at)?, u16_at(stream, at + 2)?);
        let data = stream.get(at + 4..at + 4 + usize::from(length))?;
        at += 4 + data.len();
        Some((kind, data))
    })
}

fn format_code(data: &[u8], is_new: bool) -> Option<String> {
    let narrow = |letters: &[u8]| letters.iter().map(|byte| char::from(*byte)).collect();
    Some(match data.get(4) {
        _ if !is_new => narrow(data.get(3..)?),
        Some(flags) if flags & 1 == 1 => wide(data.get(5..)?),
        _ => narrow(data.get(5..)?),
    })
}

fn of_sheet(stream: &[u8], at: usize, styles: &[bool]) -> Percents {
    let mut found = Percents::default();
    let is_percent =
        |style: Option<u16>| style.is_some_and(|style| styles.get(usize::from(style)) == Some(&true));
    let mut depth = 0u32;
    for (kind, data) in records(stream, at) {
        match kind {
            // A chart on the sheet lies within it.
            BEGIN => depth += 1,
            END if depth <= 1 => break,
            END => depth -= 1,
            NUMBER | SHORT_NUMBER | FORMULA if is_percent(u16_at(data, 4)) => {
                let (row, column) = (u16_at(data, 0).unwrap_or(0), u16_at(data, 2).unwrap_or(0));
                found.add(row.into(), column.into(), 1);
            }
            SHORT_NUMBERS => {
                let (row, first) = (u16_at(data, 0).unwrap_or(0), u16_at(data, 2).unwrap_or(0));
                let cells = data.get(4..).unwrap_or_default().chunks_exact(6);
                for (column, cell) in (u32::from(first)..).zip(cells) {
                    if is_percent(u16_at(cell, 0)) {
                        found.add(row.into(), column, 1);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn cells_of_styles_that_show_percentages() {
        let code = [&words(&[170, 5])[..], &[0], b"0.00%"].concat();
        let number = |row, column, style| record(NUMBER, &words(&[row, column, style, 0, 0, 0, 0]));
        let chart = [record(BEGIN, &words(&[EXCEL_97])), record(END, &[])].concat();
        let sheet = [
            record(BEGIN, &words(&[EXCEL_97])),
            number(1, 0, 0),
            number(1, 1, 1),
            chart,
            record(SHORT_NUMBERS, &words(&[2, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 2])),
            record(FORMULA, &words(&[3, 5, 2, 0, 0, 0, 0, 0])),
            record(END, &[]),
            number(9, 9, 1),
        ]
        .concat();
        let globals = |at: u32| {
            let begin = [record(BEGIN, &words(&[EXCEL_97])), record(FORMAT, &code)].concat();
            let styles = [0, 9, 170].map(|format| record(STYLE, &words(&[0, format, 0]))).concat();
            [begin, styles, record(SHEET, &at.to_le_bytes()), record(END, &[])].concat()
        };
        let at = u32::try_from(globals(0).len()).unwrap();
        let found = find(&[globals(at), sheet].concat()).unwrap();
        let mut expected = Percents::default();
        expected.add(1, 1, 1);
        expected.add(2, 1, 2);
        expected.add(3, 5, 1);
        assert_eq!(found, [expected]);
        let plain = [record(BEGIN, &words(&[EXCEL_97])), record(STYLE, &words(&[0, 0, 0]))].concat();
        assert_eq!(find(&plain), None, "no style is one of percentages");
        assert_eq!(find(b"not records at all"), None);
    }
}
