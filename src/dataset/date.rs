//! One cell as a date, a time or both, in a known format. Used while a file is read and again when
//! a value is sent to a model that was trained from that file.
//!
//! A format is written in strftime's letters, of which a few are read: `%Y` four digits, `%y` two,
//! `%m %d %H` one or two, `%b` the name of a month in English, Portuguese, Spanish, French or
//! German, `%a` that of a day of the week, `%M %S` two, `%I` an hour of half a day and `%p` which half, `%f` a fraction of a second
//! or nothing, `%z` nothing, `Z` or an offset, `%Z` the name of a zone such as `GMT-3` or `CEST`, `%e` the
//! end of an interval whose begin is read. Everything else stands for itself. A time without a date is one
//! on 1970-01-01.

use super::row::OwnedCell;
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use std::collections::BTreeMap;

/// Dates, each alone or with a time.
const DATES: &[&str] = &[
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d/%b/%Y",
    "%d-%b-%y",
    "%d. %b %Y",
    "%d de %b de %Y",
    "%b %d, %Y",
    "%a, %b %d, %Y",
    "%a, %d %b %Y",
    "%a %d %b %Y",
    "%a %b %d %Y",
    "%b %Y",
    "%b-%y",
    "%b-%Y",
    "%b/%y",
    "%b/%Y",
    "%Y/%b",
];
/// Times that follow a date.
const TIMES_AFTER: &[&str] = &[
    "",
    " %H:%M:%S%f",
    " %H:%M",
    " %H.%M.%S",
    "T%H:%M:%S%f%z",
    "T%H:%M%z",
    " %H:%M:%S%f%z",
    " %I:%M:%S%f %p",
    " %I:%M %p",
];
/// Times with the name of a zone behind them.
const TIMES_IN_ZONES: &[&str] = &[" %H:%M:%S%f %Z", " %H:%M %Z", " %I:%M:%S%f %p %Z", " %I:%M %p %Z"];
/// Zones by their names, in minutes; where a name stands for several, the commonest.
const ZONES: &[(&str, i32)] = &[
    ("GMT", 0),
    ("UTC", 0),
    ("WET", 0),
    ("WEST", 60),
    ("BST", 60),
    ("CET", 60),
    ("MEZ", 60),
    ("CEST", 120),
    ("MESZ", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("JST", 540),
    ("AEST", 600),
    ("AEDT", 660),
    ("BRST", -120),
    ("BRT", -180),
    ("ART", -180),
    ("EDT", -240),
    ("EST", -300),
    ("CDT", -300),
    ("CST", -360),
    ("MDT", -360),
    ("MST", -420),
    ("PDT", -420),
    ("PST", -480),
];
/// Months, each with two digits, which a number or the half of a year has not.
const MONTHS_OF_YEARS: &[&str] = &["%Y-%m", "%Y/%m", "%m/%Y"];
/// What parts the begin of an interval from its end.
const UNTIL: &[&str] = &[" - ", " \u{2013} ", "/", " to ", " / "];
/// Eight digits for the day, which alone are a number, and the time before the year.
const PACKED: &[&str] = &["%Y%m%d:%H%M", "%Y%m%dT%H%M%S%z", "%a %b %d %H:%M:%S %Y"];
/// Times that stand alone.
const TIMES: &[&str] =
    &["%H:%M:%S%f", "%H:%M", "%H.%M.%S", "%I:%M:%S%f %p", "%I:%M %p", "%H%M UTC", "%H%M Z"];
const MONTHS: [&[&str]; 12] = [
    &["january", "janeiro", "enero", "janvier", "januar", "jänner"],
    &["february", "fevereiro", "febrero", "février", "fevrier", "februar"],
    &["march", "março", "marco", "marzo", "mars", "märz", "mrz"],
    &["april", "abril", "avril"],
    &["may", "maio", "mayo", "mai"],
    &["june", "junho", "junio", "juin", "juni"],
    &["july", "julho", "julio", "juillet", "juli"],
    &["august", "agosto", "août", "aout"],
    &["september", "setembro", "septiembre", "septembre"],
    &["october", "outubro", "octubre", "octobre", "oktober"],
    &["november", "novembro", "noviembre", "novembre"],
    &["december", "dezembro", "diciembre", "décembre", "decembre", "dezember"],
];
/// Days of the week in the same languages.
#[rustfmt::skip]
const DAYS: &[&str] = &[
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "segunda-feira", "terça-feira",
    "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo", "lunes", "martes", "miércoles", "jueves",
    "viernes", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche", "montag", "dienstag",
    "mittwoch", "donnerstag", "freitag", "samstag", "sonntag",
];
/// The spellings of [`parse_iso`].
const ISO: [&str; 5] =
    ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%f%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%d %H:%M:%S%f%z", "%Y-%m-%d %H:%M%z"];
/// Hours and minutes as four digits: a time only where the column's name says so.
pub(super) const FOUR_DIGITS: &str = "%H%M";
/// Year and month with a point between them, likewise.
pub(super) const YEAR_POINT_MONTH: &str = "%Y.%m";
/// A day as eight digits, likewise.
pub(super) const EIGHT_DIGITS: &str = "%Y%m%d";

/// Reads `text` as written in `format`: milliseconds since 1970-01-01T00:00:00Z.
pub fn parse(text: &str, format: &str) -> Option<i64> {
    parse_bytes(text.trim().as_bytes(), format)
}

/// Reads a date as ISO 8601 has it, with a blank or `T` before the time: milliseconds since 1970-01-01T00:00:00Z. What
/// has no zone is taken as UTC.
pub fn parse_iso(text: &str) -> Option<i64> {
    ISO.iter().find_map(|format| parse(text, format))
}

/// The formats in which every one of `texts` is a date, likeliest first.
pub(super) fn candidates<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> Vec<String> {
    let Some(first) = texts.clone().next() else { return Vec::new() };
    // Nearly all columns are no dates; their first cell shows it at once.
    if !first.bytes().any(|byte| byte.is_ascii_digit()) || first.len() < 4 || first.len() > 60 {
        return Vec::new();
    }
    let is_interval =
        first.get(10..).is_some_and(|rest| rest.len() > 10 && UNTIL.iter().any(|until| rest.contains(until)));
    let end = if is_interval { "%e" } else { "" };
    let has_zone = first.len() > 12 && first.bytes().any(|byte| byte.is_ascii_uppercase());
    let times = || TIMES_AFTER.iter().chain(TIMES_IN_ZONES.iter().filter(|_| has_zone));
    let with_date = DATES.iter().flat_map(|date| times().map(move |time| format!("{date}{time}{end}")));
    let fixed = PACKED.iter().chain(TIMES).chain(MONTHS_OF_YEARS).map(|format| (*format).to_owned());
    let all = with_date.chain(fixed);
    let fits = |format: &String| {
        texts.clone().all(|text| parse(text, format).is_some())
            && (format != "%Y-%m" && format != "%Y/%m" || !texts.clone().all(is_span_of_years))
    };
    all.filter(fits).collect()
}

/// Whether the text is a day or a time. A month alone names columns as often as it is a value.
pub(super) fn is_day_or_time(text: &str) -> bool {
    let has_day = |format: &String| ["%d", "%H", "%I"].iter().any(|letter| format.contains(letter));
    candidates(&[text].into_iter()).iter().any(has_day)
}

/// `2010-11` is rather the year from one autumn to the next than a month.
fn is_span_of_years(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    matches!((part(2..4), part(5..7)), (Some(year), Some(next)) if (year + 1) % 100 == next)
}

/// The format with day and month exchanged, for formats in which they can be mistaken.
pub(super) fn exchanged(format: &str) -> Option<String> {
    if format.starts_with("%d/%m/") {
        Some(format.replacen("%d/%m/", "%m/%d/", 1))
    } else if format.starts_with("%m/%d/") {
        Some(format.replacen("%m/%d/", "%d/%m/", 1))
    } else {
        None
    }
}

/// The format in which most of `cells` are dates; day first where none is.
pub(super) fn commonest<'a>(cells: impl Iterator<Item = &'a OwnedCell>) -> String {
    let mut counts = BTreeMap::new();
    for cell in cells {
        let OwnedCell::Text(text) = cell else { continue };
        for format in candidates(&[text.as_str()].into_iter()) {
            *counts.entry(format).or_insert(0) += 1;
        }
    }
    let best = counts.into_iter().max_by_key(|(format, n)| (*n, format.starts_with("%d")));
    best.map_or_else(|| "%d/%m/%Y".to_owned(), |(format, _)| format)
}

/// Whether a day read from digits alone lies in times that tables are of.
pub(super) fn is_plausible(ms: i64) -> bool {
    DateTime::from_timestamp_millis(ms).is_some_and(|date| (1800..=2100).contains(&date.year()))
}

/// The same moment with day and month exchanged; nothing where that is no date.
pub(super) fn with_day_and_month_exchanged(ms: i64) -> Option<i64> {
    let date = DateTime::from_timestamp_millis(ms)?;
    let exchanged = NaiveDate::from_ymd_opt(date.year(), date.day(), date.month())?;
    let days = i64::from(exchanged.to_epoch_days()) - i64::from(date.date_naive().to_epoch_days());
    Some(ms + days * 86_400_000)
}

/// The day of the month, from 1.
pub(super) fn day_of_month(ms: i64) -> u32 {
    DateTime::from_timestamp_millis(ms).map_or(0, |date| date.day())
}

/// The date as text, as it is shown and as it comes back in predictions.
pub fn to_rfc3339(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(date) if ms.rem_euclid(1000) == 0 => date.to_rfc3339_opts(SecondsFormat::Secs, true),
        Some(date) => date.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => format!("{ms} ms"),
    }
}

/// Milliseconds since midnight as `HH:MM:SS`, with thousandths where there are any.
pub fn to_time(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(time) if ms.rem_euclid(1000) == 0 => time.format("%H:%M:%S").to_string(),
        Some(time) => time.format("%H:%M:%S%.3f").to_string(),
        None => format!("{ms} ms"),
    }
}

/// [`parse`] for a trimmed cell.
pub(super) fn parse_bytes(cell: &[u8], format: &str) -> Option<i64> {
    let mut text = cell;
    let (mut year, mut month, mut day) = (1970, 1, 1);
    let (mut hour, mut minute, mut second, mut ms, mut offset_min) = (0, 0, 0, 0, 0);
    let mut letters = format.bytes();
    // Without separators around them, hours and minutes are two digits each.
    let fixed = format.contains("%H%M");
    let packed = format.contains("%Y%m%d") || !format.contains("%d");
    while let Some(letter) = letters.next() {
        if letter != b'%' {
            text = text.strip_prefix(&[letter])?;
            continue;
        }
        match letters.next()? {
            b'Y' => year = digits(&mut text, 4, 4)?,
            b'y' => {
                let short = digits(&mut text, 2, 2)?;
                year = if short < 70 { 2000 + short } else { 1900 + short };
            }
            b'm' => month = digits(&mut text, if packed { 2 } else { 1 }, 2)?,
            b'b' => month = month_name(&mut text)?,
            b'a' => day_name(&mut text)?,
            b'd' => day = digits(&mut text, if packed { 2 } else { 1 }, 2)?,
            b'H' => hour = digits(&mut text, if fixed { 2 } else { 1 }, 2)?,
            b'I' => hour = digits(&mut text, 1, 2).filter(|hour| (1..=12).contains(hour))? % 12,
            b'p' => hour += if is_afternoon(&mut text)? { 12 } else { 0 },
            b'M' => minute = digits(&mut text, 2, 2)?,
            b'S' => second = digits(&mut text, 2, 2)?,
            b'f' => ms = fraction(&mut text)?,
            b'z' => offset_min = offset(&mut text)?,
            b'Z' => offset_min = zone(&mut text)?,
            b'e' => text = after_interval(text, format)?,
            _ => return None,
        }
    }
    if !text.is_empty() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    let days = i64::from(date.to_epoch_days());
    let minutes = (days * 24 + i64::from(hour)) * 60 + i64::from(minute) - i64::from(offset_min);
    Some((minutes * 60 + i64::from(second)) * 1000 + i64::from(ms))
}

/// `AM`, `pm`, `p.m.`
fn is_afternoon(text: &mut &[u8]) -> Option<bool> {
    let [half, rest @ ..] = *text else { return None };
    let rest = rest.strip_prefix(b".").unwrap_or(rest);
    let rest = rest.strip_prefix(b"m").or_else(|| rest.strip_prefix(b"M"))?;
    *text = rest.strip_prefix(b".").unwrap_or(rest);
    match half.to_ascii_lowercase() {
        b'a' => Some(false),
        b'p' => Some(true),
        _ => None,
    }
}

/// The month whose name or abbreviation comes next.
fn month_name(text: &mut &[u8]) -> Option<i32> {
    let n = text.iter().take_while(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()).count();
    let name = std::str::from_utf8(&text[..n]).ok()?.to_lowercase();
    let is_month = |names: &&[&str]| {
        name.chars().count() >= 3 && names.iter().any(|full| full.starts_with(name.as_str()))
    };
    let mut months = (1..).zip(&MONTHS).filter(|(_, names)| is_month(names)).map(|(month, _)| month);
    let month = months.next()?;
    // `jui` is juin or juillet.
    if months.next().is_some() {
        return None;
    }
    *text = &text[n..];
    *text = text.strip_prefix(b".").unwrap_or(text);
    Some(month)
}

/// The day of the week that comes next, in full or by its first letters.
fn day_name(text: &mut &[u8]) -> Option<()> {
    let n = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-' || !byte.is_ascii())
        .count();
    let name = std::str::from_utf8(&text[..n]).ok()?.to_lowercase();
    let is_day = |full: &&&str| name.chars().count() >= 3 && full.starts_with(name.as_str());
    DAYS.iter().find(is_day)?;
    *text = &text[n..];
    *text = text.strip_prefix(b".").unwrap_or(text);
    Some(())
}

fn digits(text: &mut &[u8], min: usize, max: usize) -> Option<i32> {
    let n = text.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
    if n < min {
        return None;
    }
    let (number, rest) = text.split_at(n);
    *text = rest;
    Some(number.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
}

/// `.25` or `,25` as milliseconds; nothing is 0.
fn fraction(text: &mut &[u8]) -> Option<i32> {
    let Some(rest) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else { return Some(0) };
    let n = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if n == 0 || n > 9 {
        return None;
    }
    *text = &rest[n..];
    let first_three = rest[..n].iter().copied().chain([b'0'; 3]).take(3);
    Some(first_three.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
}

/// `BRT`, `GMT-3`, `UTC+02:00`, also in brackets, in minutes.
fn zone(text: &mut &[u8]) -> Option<i32> {
    let bare = text.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")")).unwrap_or(text);
    let n = bare.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (name, mut rest) = bare.split_at(n);
    let (_, minutes) = ZONES.iter().find(|(known, _)| known.as_bytes() == name)?;
    *text = &[];
    if rest.is_empty() {
        return Some(*minutes);
    }
    if name != b"GMT" && name != b"UTC" {
        return None;
    }
    let sign = match rest.split_off_first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(&mut rest, 1, 2)?;
    rest = rest.strip_prefix(b":").unwrap_or(rest);
    let further = if rest.is_empty() { 0 } else { digits(&mut rest, 2, 2)? };
    (rest.is_empty() && hours <= 14 && further <= 59).then_some(sign * (hours * 60 + further))
}

/// Nothing is left of the end of an interval, which is written as its begin was; a remark in brackets
/// may follow.
fn after_interval<'a>(text: &'a [u8], format: &str) -> Option<&'a [u8]> {
    let end = UNTIL.iter().find_map(|until| text.strip_prefix(until.as_bytes()))?;
    let (begin, _) = format.split_once("%e")?;
    let bare = end.strip_suffix(b")").and_then(|end| {
        let open = end.windows(2).position(|pair| pair == b" (")?;
        Some(&end[..open])
    });
    parse_bytes(bare.unwrap_or(end), begin)?;
    Some(&[])
}

/// `Z`, `+03:00`, `-0300` or nothing, in minutes.
fn offset(text: &mut &[u8]) -> Option<i32> {
    let sign = match text.first() {
        None => return Some(0),
        Some(b'Z') => {
            *text = &text[1..];
            return Some(0);
        }
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return Some(0),
    };
    *text = &text[1..];
    let hours = digits(text, 2, 2)?;
    *text = text.strip_prefix(b":").unwrap_or(text);
    let minutes = if text.is_empty() { 0 } else { digits(text, 2, 2)? };
    (hours <= 18 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_every_format() {
        #[rustfmt::skip]
        let cases = [
            ("2024-02-29", "%Y-%m-%d", Some("2024-02-29T00:00:00Z")),
            ("2024/01/05", "%Y/%m/%d", Some("2024-01-05T00:00:00Z")),
            ("05/01/2024", "%d/%m/%Y", Some("2024-01-05T00:00:00Z")),
            ("5/1/2024", "%d/%m/%Y", Some("2024-01-05T00:00:00Z")),
            ("22/05/07", "%d/%m/%y", Some("2007-05-22T00:00:00Z")),
            ("22/05/71", "%d/%m/%y", Some("1971-05-22T00:00:00Z")),
            ("10/03/2004 18.00.00", "%d/%m/%Y %H.%M.%S", Some("2004-03-10T18:00:00Z")),
            ("2024-01-05T10:30:15.25-03:00", "%Y-%m-%dT%H:%M:%S%f%z", Some("2024-01-05T13:30:15.250Z")),
            ("2024-01-05T10:30:15Z", "%Y-%m-%dT%H:%M:%S%f%z", Some("2024-01-05T10:30:15Z")),
            ("0130 UTC", "%H%M UTC", Some("1970-01-01T01:30:00Z")),
            ("1200", "%H%M", Some("1970-01-01T12:00:00Z")),
            ("5 Jan 2024", "%d %b %Y", Some("2024-01-05T00:00:00Z")),
            ("05-fev-24", "%d-%b-%y", Some("2024-02-05T00:00:00Z")),
            ("1. März 2024", "%d. %b %Y", Some("2024-03-01T00:00:00Z")),
            ("14 juil. 2024", "%d %b %Y", Some("2024-07-14T00:00:00Z")),
            ("7 de setembro de 2024", "%d de %b de %Y", Some("2024-09-07T00:00:00Z")),
            ("Dec 24, 2024", "%b %d, %Y", Some("2024-12-24T00:00:00Z")),
            ("Friday, February 27, 2015 4:35:50 PM", "%a, %b %d, %Y %I:%M:%S%f %p", Some("2015-02-27T16:35:50Z")),
            ("Tue Mar  3 09:05:00 2020", "%a %b %d %H:%M:%S %Y", None), ("Tue Mar 3 09:05:00 2020", "%a %b %d %H:%M:%S %Y", Some("2020-03-03T09:05:00Z")),
            ("quinta-feira, 5 mar 2020", "%a, %d %b %Y", Some("2020-03-05T00:00:00Z")), ("Foo, 5 Mar 2020", "%a, %d %b %Y", None),
            ("5 jui 2024", "%d %b %Y", None), ("5 foo 2024", "%d %b %Y", None), ("5 ja 2024", "%d %b %Y", None),
            ("2025/05/07 2:04:28 PM GMT-3", "%Y/%m/%d %I:%M:%S%f %p %Z", Some("2025-05-07T17:04:28Z")),
            ("07/05/2025 14:04 BRT", "%d/%m/%Y %H:%M %Z", Some("2025-05-07T17:04:00Z")),
            ("2025-07-01 10:00:00 CEST", "%Y-%m-%d %H:%M:%S%f %Z", Some("2025-07-01T08:00:00Z")),
            ("2025-07-01 10:00 (UTC+05:30)", "%Y-%m-%d %H:%M %Z", Some("2025-07-01T04:30:00Z")),
            ("2025-07-01 10:00 XYZ", "%Y-%m-%d %H:%M %Z", None), ("2025-07-01 10:00 CET+1", "%Y-%m-%d %H:%M %Z", None),
            ("01.01.2022 23:00 - 02.01.2022 00:00", "%d.%m.%Y %H:%M%e", Some("2022-01-01T23:00:00Z")),
            ("01.01.2022 00:00 - 01.01.2022 01:00 (CET/CEST)", "%d.%m.%Y %H:%M%e", Some("2022-01-01T00:00:00Z")),
            ("01.01.2022 00:00 - soon", "%d.%m.%Y %H:%M%e", None),
            ("1949-01", "%Y-%m", Some("1949-01-01T00:00:00Z")), ("1949-1", "%Y-%m", None),
            ("12/2020", "%m/%Y", Some("2020-12-01T00:00:00Z")), ("2012.10", "%Y.%m", Some("2012-10-01T00:00:00Z")),
            ("20160101:0010", "%Y%m%d:%H%M", Some("2016-01-01T00:10:00Z")),
            ("20200229", "%Y%m%d", Some("2020-02-29T00:00:00Z")), ("2020022", "%Y%m%d", None),
            ("9:05", "%H:%M", Some("1970-01-01T09:05:00Z")),
            ("12:05 AM", "%I:%M %p", Some("1970-01-01T00:05:00Z")),
            ("1/31/2024 12:30:15 p.m.", "%m/%d/%Y %I:%M:%S%f %p", Some("2024-01-31T12:30:15Z")),
            ("11:59 pm", "%I:%M %p", Some("1970-01-01T23:59:00Z")),
            ("13:00 PM", "%I:%M %p", None), ("0:30 AM", "%I:%M %p", None), ("1:30 xm", "%I:%M %p", None), ("1:30", "%I:%M %p", None),
            ("2023-02-29", "%Y-%m-%d", None), ("31/04/2024", "%d/%m/%Y", None),
            ("2024-13-01", "%Y-%m-%d", None), ("24:00", "%H:%M", None), ("120", "%H%M", None),
            ("2024-01-05x", "%Y-%m-%d", None), ("1.5", "%d.%m.%Y", None), ("12:5", "%H:%M", None),
            ("", "%H:%M", None),
        ];
        for (text, format, expected) in cases {
            assert_eq!(parse(text, format).map(to_rfc3339).as_deref(), expected, "{text} as {format}");
        }
    }

    #[test]
    fn the_formats_that_fit_all_cells() {
        let fit = |texts: &[&str]| candidates(&texts.iter().copied());
        assert_eq!(fit(&["13/01/2024", "01/02/2024"]), ["%d/%m/%Y"], "13 is no month");
        assert_eq!(fit(&["01/02/2024"]), ["%d/%m/%Y", "%m/%d/%Y"], "both, the day first");
        assert_eq!(fit(&["2024/01/01"]), ["%Y/%m/%d"]);
        assert_eq!(fit(&["0000 UTC", "2300 UTC"]), ["%H%M UTC"]);
        assert_eq!(fit(&["18.00.00"]), ["%H.%M.%S"]);
        assert!(fit(&["1200"]).is_empty(), "four digits alone are a number");
        assert_eq!(fit(&["2020-11", "2020-12"]), ["%Y-%m"]);
        assert!(fit(&["2010-11", "2011-12"]).is_empty(), "years from autumn to autumn");
        assert!(fit(&["1/2020", "2/2020"]).is_empty(), "the halves of a year");
        assert_eq!(
            fit(&["2020-06-01T12:00:00.0/2020-06-01T12:01:00.0"]),
            ["%Y-%m-%dT%H:%M:%S%f%z%e"],
            "intervals"
        );
        assert!(fit(&["2024-01-01", "soon"]).is_empty());
        assert!(fit(&[]).is_empty());
        assert_eq!(exchanged("%d/%m/%Y %H:%M").as_deref(), Some("%m/%d/%Y %H:%M"));
        assert_eq!(exchanged("%Y-%m-%d"), None);
    }
}
