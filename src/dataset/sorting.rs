//! Sorting many numbers: by their bits, eleven at a time, which for a long column takes less than
//! half the time of comparing them. Numbers that people write have few digits: as whole numbers of
//! thousandths, say, they are half as long and sorted in half the rounds.

const BITS: u32 = 11;
const BUCKETS: usize = 1 << BITS;
/// Shorter columns are compared: counting buckets would take longer.
const MIN_NUMBERS: usize = 1 << 14;
/// Decimals that are tried.
const POWERS: [f64; 7] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/// Sorts in the order of [`f64::total_cmp`].
pub(super) fn sort(numbers: &mut [f64]) {
    if numbers.len() < MIN_NUMBERS {
        numbers.sort_unstable_by(f64::total_cmp);
        return;
    }
    if let Some(power) = common_power(numbers) {
        // Exact: every number is the nearest one to a whole number over this power.
        let whole = |number: f64| round(number * power) as i32;
        let least = numbers.iter().fold(i32::MAX, |least, number| least.min(whole(*number)));
        let keys = numbers.iter().map(|number| whole(*number).wrapping_sub(least) as u32).collect();
        for (number, key) in
            numbers.iter_mut().zip(by_bits(keys, u32::BITS, |key, shift| (key >> shift) as usize))
        {
            *number = f64::from(least.wrapping_add(key as i32)) / power;
        }
        return;
    }
    let keys = numbers.iter().map(|number| key(*number)).collect();
    for (number, key) in
        numbers.iter_mut().zip(by_bits(keys, u64::BITS, |key, shift| (key >> shift) as usize))
    {
        *number = f64::from_bits(if key >> 63 == 1 { key ^ (1 << 63) } else { !key });
    }
}

/// Sorts keys.
pub(super) fn sort_keys(keys: &mut Vec<u64>) {
    if keys.len() < MIN_NUMBERS {
        keys.sort_unstable();
    } else {
        *keys = by_bits(std::mem::take(keys), u64::BITS, |key, shift| (key >> shift) as usize);
    }
}

/// The least power of ten that makes all numbers whole and shorter than 31 bits.
fn common_power(numbers: &[f64]) -> Option<f64> {
    let mut powers = POWERS.into_iter();
    let mut power = powers.next()?;
    for number in numbers {
        loop {
            let whole = round(number * power);
            // A negative zero is none: rounding loses its sign.
            if (whole / power).to_bits() == number.to_bits() {
                if whole.abs() < f64::from(1 << 30) {
                    break;
                }
                return None;
            }
            power = powers.next()?;
        }
    }
    // What was whole under a smaller power is so under this one, but may be too long.
    let is_short = |number: &f64| (number * power).abs() < f64::from(1 << 30);
    numbers.iter().all(is_short).then_some(power)
}

/// The nearest whole number. The standard's is a call on processors of the oldest kind, for which
/// this program is built; beyond 2^51 this one may be off, and such numbers are not wanted.
fn round(number: f64) -> f64 {
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    (number + SHIFT) - SHIFT
}

/// Sorts keys of so many bits, the last bits first.
fn by_bits<K: Copy + Default>(mut keys: Vec<K>, n_bits: u32, shifted: impl Fn(K, u32) -> usize) -> Vec<K> {
    let mut other = vec![K::default(); keys.len()];
    for shift in (0..n_bits).step_by(BITS as usize) {
        let bucket = |key: K| shifted(key, shift) & (BUCKETS - 1);
        let mut ends = [0usize; BUCKETS];
        for key in &keys {
            ends[bucket(*key)] += 1;
        }
        // Bits that are the same in all numbers do not order them.
        if ends.contains(&keys.len()) {
            continue;
        }
        let mut start = 0;
        for end in &mut ends {
            let n = *end;
            *end = start;
            start += n;
        }
        for key in &keys {
            let at = &mut ends[bucket(*key)];
            other[*at] = *key;
            *at += 1;
        }
        std::mem::swap(&mut keys, &mut other);
    }
    keys
}

/// Bits that are ordered as the numbers are: a negative number's are turned over.
fn key(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut numbers: Vec<f64>) {
        let mut expected = numbers.clone();
        expected.sort_unstable_by(f64::total_cmp);
        sort(&mut numbers);
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&numbers), bits(&expected));
    }

    fn random(n: u64) -> impl Iterator<Item = u64> {
        let mut state = 7u64;
        (0..n).map(move |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state
        })
    }

    #[test]
    fn the_order_is_that_of_comparing() {
        let mixed = random(40_000).enumerate();
        let mixed = mixed
            .map(|(i, state)| if i % 3 == 0 { f64::from_bits(state) } else { (state >> 40) as f64 - 8e6 });
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310];
        check(mixed.chain(special).collect());
    }

    #[test]
    fn numbers_with_few_digits() {
        for power in POWERS {
            let numbers = || random(40_000).map(move |state| ((state >> 36) as f64 - 1e8) / power);
            assert_eq!(common_power(&numbers().collect::<Vec<_>>()), Some(power));
            check(numbers().collect());
            for odd in [-0.0, f64::NAN, 1e300, 1.0 / 3.0, 2e9] {
                let numbers: Vec<f64> = numbers().chain([odd]).collect();
                assert_eq!(common_power(&numbers), None, "{odd} beside {power}");
                check(numbers);
            }
        }
    }
}
