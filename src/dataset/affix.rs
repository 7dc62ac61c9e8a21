//! What people write beside a number in its cell: a percent sign or a currency.

use std::borrow::Cow;

/// Longer ones first, so that `US$` is not taken for `$`.
const CURRENCIES: &[&str] =
    &["US$", "R$", "A$", "C$", "EUR", "USD", "BRL", "GBP", "CHF", "$", "\u{20ac}", "\u{a3}", "\u{a5}"];

/// The same sign in every cell of a column; the numbers keep their size, so `5,5%` is 5.5 with the
/// unit `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Affix(&'static str);

impl Affix {
    /// The percent sign.
    pub(super) const PERCENT: Self = Self("%");

    /// The sign of a cell, where the cell has one.
    pub(super) fn of(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+', '\u{2212}']).map_or(text, str::trim_start);
        let found = CURRENCIES.iter().find(|sign| unsigned.starts_with(**sign) || text.ends_with(**sign));
        let sign = if text.ends_with('%') { Some(&"%") } else { found };
        sign.map(|sign| Self(sign))
    }

    /// The unit that the sign stands for.
    pub(super) fn unit(self) -> &'static str {
        self.0
    }

    /// The number alone; nothing where the cell has another sign or none.
    pub(super) fn strip(self, text: &str) -> Option<Cow<'_, str>> {
        if let Some(bare) = text.strip_suffix(self.0) {
            return Some(Cow::Borrowed(bare.trim_end()));
        }
        if self.0 == "%" {
            return None;
        }
        if let Some(bare) = text.strip_prefix(self.0) {
            return Some(Cow::Borrowed(bare.trim_start()));
        }
        // `- $ 5`, as bookkeepers write it.
        let (sign, unsigned) = match text.strip_prefix('+') {
            Some(unsigned) => ("", unsigned),
            None => ("-", text.strip_prefix(['-', '\u{2212}'])?),
        };
        Some(Cow::Owned(format!("{sign}{}", unsigned.trim_start().strip_prefix(self.0)?.trim_start())))
    }
}

/// The number in a cell that has the sign of `unit` beside it; nothing where it has not.
pub fn strip<'a>(text: &'a str, unit: &str) -> Option<Cow<'a, str>> {
    let known = CURRENCIES.iter().chain(&["%"]).find(|sign| **sign == unit)?;
    Affix(known).strip(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_numbers() {
        #[rustfmt::skip]
        let cases = [
            ("5,5%", Some(("%", "5,5"))), ("-5 %", Some(("%", "-5"))),
            ("R$ 1.000,50", Some(("R$", "1.000,50"))), ("-R$ 2", Some(("R$", "-2"))),
            ("- $ 2", Some(("$", "-2"))), ("+ $1,5", Some(("$", "1,5"))),
            ("$-3", Some(("$", "-3"))), ("US$ 4", Some(("US$", "4"))), ("12 €", Some(("€", "12"))),
            ("12", None), ("12 kg", None), ("abc", None),
        ];
        for (text, expected) in cases {
            let affix = Affix::of(text);
            let found = affix.map(|affix| (affix.unit(), affix.strip(text).unwrap().into_owned()));
            assert_eq!(found, expected.map(|(unit, bare)| (unit, bare.to_owned())), "{text}");
        }
        assert_eq!(Affix::of("5%").unwrap().strip("5"), None, "a cell without the sign");
        assert_eq!(strip("5,5 %", "%").as_deref(), Some("5,5"));
        assert_eq!(strip("5 kg", "kg"), None, "units of measurement may be converted, signs may not");
    }
}
