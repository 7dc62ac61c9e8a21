//! Sorting many numbers: by their bits, eleven at a time, which for a long column takes less than
//! half the time of comparing them.

const BITS: u32 = 11;
const BUCKETS: usize = 1 << BITS;
/// Shorter columns are compared: counting buckets would take longer.
const MIN_NUMBERS: usize = 1 << 14;

/// Sorts in the order of [`f64::total_cmp`].
pub(super) fn sort(numbers: &mut [f64]) {
    if numbers.len() < MIN_NUMBERS {
        numbers.sort_unstable_by(f64::total_cmp);
        return;
    }
    let mut keys: Vec<u64> = numbers.iter().map(|number| key(*number)).collect();
    let mut other = vec![0; keys.len()];
    for shift in (0..u64::BITS).step_by(BITS as usize) {
        let bucket = |key: u64| (key >> shift) as usize & (BUCKETS - 1);
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
    for (number, key) in numbers.iter_mut().zip(keys) {
        *number = f64::from_bits(if key >> 63 == 1 { key ^ (1 << 63) } else { !key });
    }
}

/// Bits that are ordered as the numbers are: a negative number's are turned over.
fn key(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_comparing() {
        let mut state = 7u64;
        let mut numbers: Vec<f64> = (0..40_000)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if i % 3 == 0 { f64::from_bits(state) } else { (state >> 40) as f64 - 8e6 }
            })
            .collect();
        numbers.extend([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310]);
        let mut expected = numbers.clone();
        expected.sort_unstable_by(f64::total_cmp);
        sort(&mut numbers);
        let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&numbers), bits(&expected));
    }
}
