//! Whether `05/01/2024` is the fifth of January or the first of May, where no day above 12 tells:
//! measurements stand at even steps in one reading and jump in the other.

use super::{date, table::MISSING_DATE};

/// Fewer steps may be even by chance.
const MIN_STEPS: usize = 8;

/// What the steps between the dates show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing: both readings are even, or neither is.
    Open,
    /// Only as they were read are they even.
    AsRead,
    /// Only with day and month exchanged are they even.
    Exchanged,
}

/// Compares both readings of `dates`, in milliseconds.
pub(super) fn find(dates: &[i64]) -> Order {
    let present: Vec<i64> = dates.iter().copied().filter(|date| *date != MISSING_DATE).collect();
    let Some(exchanged) =
        present.iter().map(|ms| date::with_day_and_month_exchanged(*ms)).collect::<Option<Vec<i64>>>()
    else {
        return Order::Open;
    };
    match (is_even(&present), is_even(&exchanged)) {
        (true, false) => Order::AsRead,
        (false, true) => Order::Exchanged,
        _ => Order::Open,
    }
}

/// Whether all steps are the same, or all from one month to the next.
fn is_even(dates: &[i64]) -> bool {
    let mut steps = dates.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0);
    let Some(first) = steps.next() else { return false };
    let n = steps.clone().count();
    if n < MIN_STEPS || first < 0 {
        return false;
    }
    let are_months = || {
        dates.iter().all(|ms| date::day_of_month(*ms) == 1)
            && std::iter::once(first)
                .chain(steps.clone())
                .all(|step| (28..=31).contains(&(step / 86_400_000)))
    };
    steps.clone().all(|step| step == first) || are_months()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dates: &[&str], format: &str, expected: Order) {
        let dates: Vec<i64> = dates.iter().map(|text| date::parse(text, format).unwrap()).collect();
        assert_eq!(find(&dates), expected, "{format}");
    }

    #[test]
    fn even_steps_tell_the_day_from_the_month() {
        let days: Vec<String> = (1..=12).map(|day| format!("01/{day:02}/2021")).collect();
        let days: Vec<&str> = days.iter().map(String::as_str).collect();
        check(&days, "%d/%m/%Y", Order::Open);
        let months: Vec<String> =
            (0..24).map(|i| format!("01/{:02}/{}", 1 + i % 12, 2020 + i / 12)).collect();
        let months: Vec<&str> = months.iter().map(String::as_str).collect();
        check(&months, "%d/%m/%Y", Order::AsRead);
        let hours: Vec<String> =
            (0..48).map(|hour| format!("01/{:02}/2021 {:02}:00", 1 + hour / 24, hour % 24)).collect();
        let hours: Vec<&str> = hours.iter().map(String::as_str).collect();
        check(&hours, "%d/%m/%Y %H:%M", Order::Exchanged);
        check(&hours, "%m/%d/%Y %H:%M", Order::AsRead);
        check(&hours[..20], "%d/%m/%Y %H:%M", Order::Open);
    }
}
