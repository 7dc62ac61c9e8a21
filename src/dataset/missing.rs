//! Texts that mean "no value".

/// Mean "missing" in every column: no one uses them as a value.
const EVERYWHERE: &[&str] = &[
    "NA",
    "N/A",
    "n/a",
    "na",
    "N.A.",
    "n.a.",
    "NaN",
    "nan",
    "NAN",
    "NaT",
    "NULL",
    "null",
    "Null",
    "<NA>",
    "?",
    "#N/A",
    "#N/D",
    "#DIV/0!",
    "#VALUE!",
    "#VALOR!",
    "#REF!",
    "#NAME?",
    "#NOME?",
    "#NUM!",
    "#NÚM!",
    "#NULL!",
    "#NULO!",
    "#GETTING_DATA",
    "#SPILL!",
    "#CALC!",
    "#NV",
    "#N/V",
    "#WERT!",
    "#BEZUG!",
    "#ZAHL!",
    "#VALEUR!",
    "#NOM?",
    "#NOMBRE!",
    "#¡VALOR!",
    "#¿NOMBRE?",
    "#¡DIV/0!",
    "#¡REF!",
    "#¡NUM!",
    "#¡NULO!",
];

/// Mean "missing" only where the other cells are numbers, dates or booleans; as a category `-` may
/// be the sign of a charge and `None` a kind of basement.
const AMONG_NUMBERS: &[&str] = &[
    "-", "--", "---", "–", "—", ".", "..", "...", "…", "None", "none", "nil", "nd", "ND", "n.d.", "N.D.",
    "s/d", "S/D", "n/d", "N/D", "k.A.", "*", "**", ":",
];

/// Mean a number that is none.
const NON_FINITE: &[&str] =
    &["inf", "infinity", "+inf", "-inf", "+infinity", "-infinity", "1.#inf", "-1.#ind"];

/// Which texts are missing in one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing {
    /// The caller's list replaces ours.
    given: Option<Vec<String>>,
    /// Those of the caller's list that are numbers, such as `-9999`.
    sentinels: Vec<f64>,
}

impl Missing {
    pub(super) fn new(given: Option<&Vec<String>>) -> Self {
        let given =
            given.map(|tokens| tokens.iter().map(|token| token.trim().to_owned()).collect::<Vec<_>>());
        let sentinels = given.iter().flatten().filter_map(|token| token.replace(',', ".").parse().ok());
        Self { sentinels: sentinels.collect(), given }
    }

    /// Whether the caller said what is missing.
    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Whether a number may mean "missing".
    pub(super) fn has_sentinels(&self) -> bool {
        !self.sentinels.is_empty()
    }

    /// Whether the caller lists this number as missing, however a cell writes it.
    pub(super) fn is_sentinel(&self, number: f64) -> bool {
        !self.sentinels.is_empty() && self.sentinels.contains(&number)
    }

    /// Whether a trimmed, non-empty cell means "missing" in any column.
    pub(super) fn is_missing(&self, cell: &[u8]) -> bool {
        match &self.given {
            Some(tokens) => tokens.iter().any(|token| token.as_bytes() == cell),
            None => {
                cell.len() <= 14
                    && (EVERYWHERE.iter().any(|token| token.as_bytes() == cell)
                        || (cell.len() > 2 && is_repeated(cell, b"*/")))
            }
        }
    }

    /// Whether it means "missing" in a column of numbers, dates or booleans.
    pub(super) fn is_missing_among_numbers(&self, cell: &[u8]) -> bool {
        self.is_missing(cell)
            || (self.given.is_none()
                && (cell.len() <= 4 && AMONG_NUMBERS.iter().any(|token| token.as_bytes() == cell)
                    || is_repeated(cell, b"-_./")))
    }
}

/// `******` and `//////`: one of `signs` from end to end, as stations and programs fill a field that
/// has no number.
fn is_repeated(cell: &[u8], signs: &[u8]) -> bool {
    cell.first().is_some_and(|first| signs.contains(first) && cell.iter().all(|byte| byte == first))
}

/// Whether the cell spells an infinity: counted as missing, and reported.
pub(super) fn is_non_finite(cell: &[u8]) -> bool {
    cell.len() <= 9 && NON_FINITE.iter().any(|token| cell.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_missing_only_among_numbers() {
        let missing = Missing::default();
        for token in ["NA", "#N/D", "***", "*****", "//////", "NULL", "?", "#GETTING_DATA"] {
            assert!(missing.is_missing(token.as_bytes()), "{token}");
        }
        for token in ["-", "------", "_", "/", "None", "…"] {
            assert!(!missing.is_missing(token.as_bytes()), "{token} may be a category");
            assert!(missing.is_missing_among_numbers(token.as_bytes()), "{token}");
        }
        assert!(!missing.is_missing_among_numbers(b"0"));
    }

    #[test]
    fn the_callers_list_replaces_ours() {
        let missing = Missing::new(Some(&vec!["-9999".to_owned()]));
        assert!(missing.is_missing(b"-9999"));
        assert!(missing.is_sentinel(-9999.0), "-9999,0 too");
        assert!(!missing.is_missing(b"NA"), "NA may be Namibia");
        assert!(!missing.is_missing_among_numbers(b"-"));
    }
}
