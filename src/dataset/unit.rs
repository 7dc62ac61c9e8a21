//! Units that stand in the name of a column: `Temperatura (°C)`, `speed [m/s]`.

/// Units without their prefix, in the capitals of the standard (BIPM, *The International System of
/// Units*, 2019), and others that engineers and weather stations use.
const UNITS: &[&str] = &[
    "m", "g", "s", "A", "K", "mol", "cd", "Hz", "N", "Pa", "J", "W", "C", "V", "F", "Ω", "ohm", "S", "Wb",
    "T", "H", "lm", "lx", "Bq", "Gy", "rad", "sr", "l", "L", "t", "bar", "eV", "B", "b", "min", "h", "hr",
    "d", "day", "year", "yr", "°C", "ºC", "oC", "°F", "ºF", "degC", "degF", "°", "º", "deg", "%", "‰", "ppm",
    "ppb", "in", "ft", "mi", "nmi", "kn", "kt", "mph", "kph", "lb", "lbf", "lbm", "oz", "psi", "psf", "atm",
    "mmHg", "cal", "Btu", "BTU", "hp", "cv", "rpm", "RPM", "rps", "Re", "dBA", "gal", "ha", "kgf", "ton",
    "cP", "cSt", "counts", "px", "days", "hours", "hour", "sec", "Wh", "Whr", "second", "seconds", "Second",
    "Volt", "Volts", "volt", "volts", "Ampere", "Amps", "Watt", "Watts", "Newton", "Newtons", "Kelvin",
];
const PREFIXES: &[&str] = &["k", "K", "M", "G", "T", "h", "d", "c", "m", "µ", "μ", "u", "n", "p"];
/// Longer texts in brackets are remarks.
const MAX_CHARS: usize = 16;

/// The unit in brackets at the end of `name`, where it is one. Without a blank before it, as in
/// `CO(GT)`, the bracket is part of the name.
pub(super) fn in_name(name: &str) -> Option<&str> {
    let name = name.trim_end();
    let open = match name.chars().last()? {
        ')' => '(',
        ']' => '[',
        _ => return None,
    };
    let inner = &name[..name.len() - 1];
    let start = inner.rfind(open)?;
    let is_apart = open == '[' || inner[..start].ends_with(char::is_whitespace);
    let unit = inner[start + 1..].trim();
    (is_apart && start > 0 && is_unit(unit)).then_some(unit)
}

/// Known units, multiplied, divided and raised to powers.
pub(super) fn is_unit(text: &str) -> bool {
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return false;
    }
    let factors = text.split(['/', '*', '·', '.', ' ', '(', ')']).filter(|factor| !factor.is_empty());
    let mut n = 0;
    for factor in factors {
        n += 1;
        let bare = factor
            .trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '²' | '³' | '⁻' | '¹' | '-' | '^'));
        let is_known = UNITS.contains(&bare) || is_prefixed(bare) || (factor == "1" && text.contains('/'));
        if !is_known {
            return false;
        }
    }
    n > 0
}

fn is_prefixed(factor: &str) -> bool {
    // `mB` and `Kj` are what weather stations write.
    let is_base = |rest: &str| UNITS.contains(&rest) || rest == "j";
    PREFIXES.iter().any(|prefix| factor.strip_prefix(prefix).is_some_and(is_base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_names() {
        #[rustfmt::skip]
        let cases = [
            ("Temperatura do ar (°C)", Some("°C")), ("PRESSÃO (mB)", Some("mB")), ("Radiação (Kj/m²)", Some("Kj/m²")),
            ("speed [m/s]", Some("m/s")), ("chord[mm]", Some("mm")), ("h (W/(m² K))", None), ("k (W/m K)", Some("W/m K")),
            ("Umidade (%)", Some("%")), ("n (1/s)", Some("1/s")), ("a (m s-2)", Some("m s-2")), ("q (kg/m^3)", Some("kg/m^3")),
            ("torque (N·m)", Some("N·m")), ("thrust (lbf) ", Some("lbf")),
            ("CO(GT)", None), ("Radiação (média)", None), ("x (old)", None), ("(m)", None), ("y ()", None), ("m/s", None),
            ("PT08.S1(CO)", None), ("type (A or B)", None), ("value (1)", None), ("[m]", None),
        ];
        for (name, expected) in cases {
            assert_eq!(in_name(name), expected, "{name}");
        }
    }
}
