//! Units that stand in the name of a column: `Temperatura (°C)`, `speed [m/s]`, `Current / A`,
//! `Temp, °C`.

/// Units without their prefix, in the capitals of the standard (BIPM, *The International System of
/// Units*, 2019), and others that engineers and weather stations use.
const UNITS: &[&str] = &[
    "m", "g", "s", "A", "K", "mol", "cd", "Hz", "N", "Pa", "J", "W", "C", "V", "F", "Ω", "ohm", "S", "Wb",
    "T", "H", "lm", "lx", "Bq", "Gy", "rad", "sr", "l", "L", "t", "bar", "eV", "B", "b", "min", "h", "hr",
    "d", "day", "year", "yr", "°C", "ºC", "oC", "°F", "ºF", "degC", "degF", "°", "º", "deg", "%", "‰", "ppm",
    "ppb", "in", "ft", "mi", "nmi", "kn", "kt", "mph", "kph", "lb", "lbf", "lbm", "oz", "psi", "psf", "atm",
    "mmHg", "cal", "Btu", "BTU", "hp", "cv", "rpm", "RPM", "rps", "Re", "dBA", "gal", "ha", "kgf", "ton",
    "cP", "cSt", "counts", "px", "days", "hours", "hour", "sec", "Wh", "Whr", "Ah", "VA", "var", "second",
    "seconds", "Second", "Volt", "Volts", "volt", "volts", "Ampere", "Amps", "Ohm", "Ohms", "ohms",
    "Celsius", "kmph", "Kmph", "AU", "Watt", "Watts", "Newton", "Newtons", "Kelvin",
];
const PREFIXES: &[&str] = &["k", "K", "M", "G", "T", "h", "d", "c", "m", "µ", "μ", "u", "n", "p"];
/// Longer texts are remarks.
const MAX_CHARS: usize = 40;

/// The unit in brackets at the end of `name`, where it is one. Without a blank before it, as in
/// `CO(GT)` and `mean(V)`, the bracket is part of the name, but for one in `Voltage(V)` or `length(mm)`.
pub(super) fn in_name(name: &str) -> Option<&str> {
    let name = name.trim_end();
    let open = match name.chars().last()? {
        ')' => '(',
        ']' => '[',
        _ => return behind_sign(name),
    };
    let inner = &name[..name.len() - 1];
    let start = inner.rfind(open)?;
    let text = inner[start + 1..].trim();
    let is_apart = open == '['
        || inner[..start].ends_with(char::is_whitespace)
        || (names_quantity(&inner[..start], text) || is_sign(text) && !inner[..start].contains(open))
            && !is_capitals(text);
    let unit = if is_unit(text) { Some(text) } else { leading(text) };
    unit.filter(|_| is_apart && start > 0)
}

/// Whether the last word is written as those of headers are: `Total Time`, `Tmin`. `Author(s)` is one
/// author or more.
fn names_quantity(text: &str, unit: &str) -> bool {
    let word = text.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase)
        && (unit != "s" || ["Time", "Tempo", "Zeit", "Duration"].contains(&word))
        && letters.clone().count() > 2
        && letters.all(char::is_lowercase)
}

/// `mm`, `%`: neither a word nor the letter of a quantity.
fn is_sign(text: &str) -> bool {
    !is_word(text) && (text.len() > 1 || !text.contains(|c: char| c.is_ascii_alphabetic()))
}

/// `GT` or `B`, which are rather names of a kind.
fn is_capitals(text: &str) -> bool {
    text.len() > 1 && text.chars().all(|c| c.is_ascii_uppercase()) || matches!(text, "B" | "T" | "S" | "H")
}

/// The unit behind ` / `, as the standard writes it, or behind a comma.
fn behind_sign(name: &str) -> Option<&str> {
    let (quantity, unit) = name.rsplit_once(" / ").or_else(|| name.rsplit_once(", "))?;
    let is_letter = unit.len() == 1 && !name.contains(" / ");
    // `A / B` is a ratio.
    let is_quantity = quantity.trim().chars().filter(|c| c.is_alphabetic()).count() > 2;
    (is_quantity && !is_letter && is_unit(unit) && !is_word(unit)).then_some(unit)
}

/// The unit that a longer text begins with: `µmol m-2 s-1 of photons, PAR`.
pub(super) fn leading(text: &str) -> Option<&str> {
    let end = [",", ";", " of ", " ("].iter().filter_map(|mark| text.find(mark)).min()?;
    let unit = text[..end].trim_end();
    // `min, max` and `day of the year` begin with words.
    (is_unit(unit) && unit.len() > 1 && !is_word(unit)).then_some(unit)
}

/// Letters with a vowel among them, as `min`, `day` and `in` are.
fn is_word(unit: &str) -> bool {
    let mut letters = unit.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_lowercase())
        && unit.contains(['a', 'e', 'i', 'o', 'u', 'y'])
}

/// Known units, multiplied, divided and raised to powers.
pub(super) fn is_unit(text: &str) -> bool {
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return false;
    }
    let is_part = |c: char| matches!(c, '/' | '*' | '·' | '⋅' | '×' | '.' | '(' | ')') || c.is_whitespace();
    let factors: Vec<&str> = text.split(is_part).filter(|factor| !factor.is_empty()).collect();
    let mut n = 0;
    for (i, factor) in factors.iter().copied().enumerate() {
        // `kg per ha`
        if factor == "per" && i > 0 && i + 1 < factors.len() {
            continue;
        }
        n += 1;
        let is_power = |c: char| c.is_ascii_digit() || "⁰¹²³⁴⁵⁶⁷⁸⁹⁻-−–^".contains(c);
        let bare = factor.trim_end_matches(is_power);
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
            ("PAR (µmol m-2 s-1 of photons, PAR)", Some("µmol m-2 s-1")), ("rain (mm, daily total)", Some("mm")),
            ("flux (kg m⁻² s⁻¹ K⁻¹ mol−1)", Some("kg m⁻² s⁻¹ K⁻¹ mol−1")), ("yield (kg per ha)", Some("kg per ha")),
            ("range (min, max)", None), ("t (day of the year)", None), ("x (T, at noon)", None), ("x (Re, Pr)", None),
            ("Current / A", Some("A")), ("Temperature 1 / °C", Some("°C")), ("Temp, °C", Some("°C")), ("Speed, m/s", Some("m/s")),
            ("A / B", None), ("Group, A", None), ("Santos, in", None), ("Step count / 1", None), ("mean, max", None),
            ("Total Time(s)", Some("s")), ("Chg. Cap.(Ah)", Some("Ah")), ("Capacity(mAh/g)", Some("mAh/g")), ("Benzene(GT)", None), ("mean(V)", None),
            ("areaAverage(N)", None), ("Group(B)", None), ("Author(s)", None), ("length(mm)", Some("mm")), ("humidity(%)", Some("%")), ("range(min)", None), ("u(m)", None), ("Value(mAU)", Some("mAU")), ("Speed(Kmph)", Some("Kmph")), ("NOx(s)", None),
            ("x (per ha)", None), ("answer (of all that were asked, the share)", None),
            ("PT08.S1(CO)", None), ("type (A or B)", None), ("value (1)", None), ("[m]", None),
        ];
        for (name, expected) in cases {
            assert_eq!(in_name(name), expected, "{name}");
        }
    }
}
