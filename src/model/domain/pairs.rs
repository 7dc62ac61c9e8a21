//! Which values of two inputs go together.
//!
//! In a space of many inputs every new row is far from all others, so that a corner of two of them
//! that was never visited does not show in the distance. It does where two inputs are looked at
//! alone: each pair has a table of how many training rows lie in each cell, beside how many would if
//! the two had nothing to do with each other. The logarithm of their ratio is how surprising a cell is;
//! in units of what training rows themselves reach in that pair, the pairs can be compared, and a row is
//! as unusual as its most surprising pair.

use super::{LEAST_SHARE, share_as_large};
use crate::model::input::{Input, Value};
use serde::{Deserialize, Serialize};

/// Fewest training rows that say something about pairs.
const MIN_ROWS: usize = 200;
/// Training rows that are counted at most.
pub const MAX_ROWS: usize = 20_000;
/// Inputs that are paired at most, the first ones.
const MAX_INPUTS: usize = 128;
/// Cells that all tables may have together; pairs that depend least on each other are left out.
const MAX_CELLS: usize = 1 << 18;
/// Most bins of a number; a category of more levels is not paired.
const MAX_BINS: usize = 32;
/// There are as many cells as rows divided by this.
const ROWS_PER_CELL: usize = 3;
/// How much a row counts in cells that are this many bins away: a normal curve of 0.7 bins.
const KERNEL: [f64; 4] = [1.0, 0.3604, 0.016_88, 0.000_103];
/// Rows that are added to what was found and what was expected, so that nothing is concluded from few.
const PRIOR: f64 = 0.5;
/// What this share of the training rows stay below is the unit of a pair's surprise, but at least
/// [`LEAST_UNIT`]: 0.25 is a cell with 22 % fewer rows than expected.
const UNIT_SHARE: f64 = 0.99;
const LEAST_UNIT: f64 = 0.25;
/// Surprises that are kept; more are thinned evenly.
const MAX_SURPRISES: usize = 500;

/// How surprising it is to see two values together, for pairs of inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// Per input.
    bins: Vec<Bins>,
    /// The inputs of each pair.
    pairs: Vec<(usize, usize)>,
    /// Ascending surprises of the training rows, each as if it had not been counted itself.
    surprises: Vec<f32>,
    /// The surprises of the cells of each pair, row-major, one pair after the other; a tensor of the
    /// model file.
    #[serde(skip)]
    cells: Vec<f32>,
}

/// How the values of one input are put into bins. One further bin takes what is missing or unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// Numbers and dates: the bin is the number of edges that are not above the value.
    Edges(Vec<f64>),
    /// Categories and booleans: each level is a bin.
    Levels(usize),
}

impl Bins {
    /// Bins of `input` for training rows whose values `values` gives; at most `most` of numbers.
    fn fit(input: &Input, values: impl Iterator<Item = Value>, most: usize) -> Self {
        let mut numbers: Vec<f64> = values
            .filter_map(|value| match value {
                Value::Number(number) => Some(number),
                Value::Instant(ms) => Some(ms as f64),
                _ => None,
            })
            .collect();
        if numbers.is_empty() {
            // Two for a boolean, which has no levels of its own.
            return Self::Levels(input.levels.len().max(2));
        }
        numbers.sort_by(f64::total_cmp);
        let mut distinct = numbers.clone();
        distinct.dedup();
        if distinct.len() <= most {
            return Self::Edges(distinct.windows(2).map(|two| f64::midpoint(two[0], two[1])).collect());
        }
        let mut edges: Vec<f64> = (1..most).map(|i| numbers[i * numbers.len() / most]).collect();
        edges.dedup();
        edges.retain(|edge| *edge > numbers[0]);
        Self::Edges(edges)
    }

    /// How many there are, with that of what is missing.
    pub fn count(&self) -> usize {
        match self {
            Self::Edges(edges) => edges.len() + 2,
            Self::Levels(levels) => levels.saturating_add(1),
        }
    }

    /// The bin of `value`, below [`count`](Self::count).
    fn of(&self, value: &Value) -> usize {
        let below = |edges: &[f64], number: f64| edges.partition_point(|edge| *edge <= number);
        match (self, value) {
            (Self::Edges(edges), Value::Number(number)) => below(edges, *number),
            (Self::Edges(edges), Value::Instant(ms)) => below(edges, *ms as f64),
            (Self::Levels(levels), Value::Level(Some(level))) => (*level).min(*levels),
            (Self::Levels(_), Value::Flag(flag)) => usize::from(*flag),
            _ => self.count() - 1,
        }
    }

    /// Whether two values can differ, in not too many ways.
    fn can_be_paired(&self) -> bool {
        (3..=MAX_BINS + 1).contains(&self.count())
    }

    /// Counts per bin, as rows count in the bins around them too.
    fn smooth(&self, counts: &[f64]) -> Vec<f64> {
        let Self::Edges(edges) = self else { return counts.to_vec() };
        let n = edges.len() + 1;
        let mut smooth: Vec<f64> = (0..n)
            .map(|to| (0..n).filter_map(|from| Some(KERNEL.get(to.abs_diff(from))? * counts[from])).sum())
            .collect();
        smooth.push(counts[n]);
        smooth
    }
}

/// The counts of one pair: what was found in each cell, and what was to be expected there.
struct Counts {
    found: Vec<f64>,
    expected: Vec<f64>,
}

impl Counts {
    /// `of_rows` has the bins of each row.
    fn new(bins: &[Bins], (a, b): (usize, usize), of_rows: &[Vec<u16>]) -> Self {
        let (n_a, n_b) = (bins[a].count(), bins[b].count());
        let mut found = vec![0.0; n_a * n_b];
        for row in of_rows {
            found[usize::from(row[a]) * n_b + usize::from(row[b])] += 1.0;
        }
        let of_a: Vec<f64> = found.chunks_exact(n_b).map(|row| row.iter().sum()).collect();
        let of_b: Vec<f64> = (0..n_b).map(|b| found.iter().skip(b).step_by(n_b).sum()).collect();
        let n = of_rows.len() as f64;
        let expected = of_a.iter().flat_map(|a| of_b.iter().map(move |b| a * b / n)).collect();
        Self { found, expected }
    }

    /// How much each of the two tells about the other: the likelihood ratio statistic over its mean for
    /// columns that have nothing to do with each other, both in nats.
    fn dependence(&self, n_a: usize, n_b: usize) -> f64 {
        let both = self.found.iter().zip(&self.expected).filter(|(found, _)| **found > 0.0);
        let ratio: f64 = both.map(|(found, expected)| found * (found / expected).ln()).sum();
        ratio - 0.5 * ((n_a - 1) * (n_b - 1)) as f64
    }

    fn smooth(self, a: &Bins, b: &Bins) -> Self {
        Self { found: smooth_table(a, b, &self.found), expected: smooth_table(a, b, &self.expected) }
    }

    /// The surprise of a cell from which `own` rows are taken.
    fn surprise(&self, cell: usize, own: f64) -> f64 {
        ((self.expected[cell] + PRIOR) / ((self.found[cell] - own).max(0.0) + PRIOR)).ln()
    }
}

fn smooth_table(a: &Bins, b: &Bins, table: &[f64]) -> Vec<f64> {
    let n_b = b.count();
    let mut rows: Vec<f64> = table.chunks_exact(n_b).flat_map(|row| b.smooth(row)).collect();
    for column in 0..n_b {
        let down: Vec<f64> = rows.iter().skip(column).step_by(n_b).copied().collect();
        for (cell, value) in rows.iter_mut().skip(column).step_by(n_b).zip(a.smooth(&down)) {
            *cell = value;
        }
    }
    rows
}

impl Pairs {
    /// Counts `rows`, each with one value per input, in random order: the first [`MAX_ROWS`] are taken.
    /// Nothing where they are too few, or no two inputs can be paired.
    pub fn fit(inputs: &[Input], rows: &[Vec<Value>]) -> Option<Self> {
        let rows = &rows[..rows.len().min(MAX_ROWS)];
        if rows.len() < MIN_ROWS {
            return None;
        }
        let most = (rows.len() / ROWS_PER_CELL).isqrt().min(MAX_BINS);
        let bins: Vec<Bins> = inputs
            .iter()
            .enumerate()
            .map(|(index, input)| Bins::fit(input, rows.iter().map(|row| row[index]), most))
            .collect();
        let bins_of = |row: &Vec<Value>| row.iter().zip(&bins).map(|(v, bins)| bins.of(v) as u16).collect();
        let of_rows: Vec<Vec<u16>> = rows.iter().map(bins_of).collect();
        let pairs = choose(&bins, &of_rows);
        if pairs.is_empty() {
            return None;
        }
        let mut cells = Vec::new();
        let mut surprises = vec![0.0_f32; rows.len()];
        for &(a, b) in &pairs {
            let (table, own) = table(&bins, (a, b), &of_rows);
            cells.extend(table);
            surprises.iter_mut().zip(own).for_each(|(most, own)| *most = most.max(own));
        }
        surprises.sort_by(f32::total_cmp);
        let (n, last) = (surprises.len().min(MAX_SURPRISES), surprises.len() - 1);
        let surprises = (0..n).map(|i| surprises[i * last / (n - 1)]).collect();
        Some(Self { bins, pairs, surprises, cells })
    }

    /// How unusual one row of `values` is by its most surprising pair, and which pair that is.
    pub fn surprise(&self, values: &[Value]) -> (f32, (usize, usize)) {
        let of_inputs: Vec<usize> = values.iter().zip(&self.bins).map(|(v, bins)| bins.of(v)).collect();
        let mut most = (0.0, self.pairs[0]);
        let mut begin = 0;
        for &(a, b) in &self.pairs {
            let width = self.bins[b].count();
            let surprise = self.cells[begin + of_inputs[a] * width + of_inputs[b]];
            if surprise > most.0 {
                most = (surprise, (a, b));
            }
            begin += self.bins[a].count() * width;
        }
        most
    }

    /// The share of training rows that are at least as surprising, the row itself counted.
    pub fn share_as_unusual(&self, surprise: f32) -> f64 {
        share_as_large(&self.surprises, f64::from(surprise))
    }

    /// How many times wider than inside an interval must be: grows with the surprise beyond that of what
    /// counts as inside, which is a logarithm, and so does this.
    pub fn times_stranger(&self, surprise: f32) -> f64 {
        let inside = self.inside();
        if inside > 0.0 { 1.0 + f64::from(surprise / inside).max(1.0).ln() } else { 1.0 }
    }

    /// The surprise that a row may have without being outside; 0 says nothing.
    pub fn inside(&self) -> f32 {
        self.surprises[((1.0 - LEAST_SHARE) * (self.surprises.len() - 1) as f64) as usize]
    }

    /// Ascending surprises of the training rows.
    pub fn surprises(&self) -> &[f32] {
        &self.surprises
    }

    /// How values are put into bins, per input.
    pub fn bins(&self) -> &[Bins] {
        &self.bins
    }

    /// The inputs of each pair.
    pub fn pairs(&self) -> &[(usize, usize)] {
        &self.pairs
    }

    /// The surprises of all cells, one pair after the other, which go into the model file as a tensor.
    pub fn cells(&self) -> &[f32] {
        &self.cells
    }

    /// How many cells there are to be given back by [`set_cells`](Self::set_cells).
    pub fn n_cells(&self) -> usize {
        self.pairs.iter().map(|(a, b)| self.bins[*a].count() * self.bins[*b].count()).sum()
    }

    /// Gives the cells back.
    pub fn set_cells(&mut self, cells: Vec<f32>) {
        self.cells = cells;
    }

    /// Whether it fits `n` inputs.
    pub fn matches(&self, n: usize) -> bool {
        let edges_rise = self.bins.iter().all(|bins| match bins {
            Bins::Edges(edges) => {
                edges.iter().all(|edge| edge.is_finite()) && edges.is_sorted() && edges.len() < MAX_BINS
            }
            Bins::Levels(_) => true,
        });
        let exist = |&(a, b): &(usize, usize)| {
            [a, b].into_iter().all(|i| self.bins.get(i).is_some_and(Bins::can_be_paired))
        };
        self.bins.len() == n
            && edges_rise
            && !self.pairs.is_empty()
            && self.pairs.iter().all(exist)
            && !self.surprises.is_empty()
            && self.surprises.iter().all(|surprise| surprise.is_finite())
    }
}

/// The pairs of inputs whose tables are kept: all, or those that depend most on each other.
fn choose(bins: &[Bins], of_rows: &[Vec<u16>]) -> Vec<(usize, usize)> {
    let able: Vec<usize> = (0..bins.len()).filter(|i| bins[*i].can_be_paired()).take(MAX_INPUTS).collect();
    let mut pairs: Vec<(usize, usize)> =
        able.iter().enumerate().flat_map(|(i, a)| able[i + 1..].iter().map(move |b| (*a, *b))).collect();
    let size = |&(a, b): &(usize, usize)| bins[a].count() * bins[b].count();
    if pairs.iter().map(size).sum::<usize>() <= MAX_CELLS {
        return pairs;
    }
    let dependence = |&(a, b): &(usize, usize)| {
        Counts::new(bins, (a, b), of_rows).dependence(bins[a].count(), bins[b].count())
    };
    let mut ranked: Vec<(f64, (usize, usize))> = pairs.iter().map(|pair| (dependence(pair), *pair)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut left = MAX_CELLS;
    pairs = ranked
        .into_iter()
        .map(|(_, pair)| pair)
        .take_while(|pair| {
            left = left.saturating_sub(size(pair));
            left > 0
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

/// The surprise of each cell of a pair, never below 0, and that of each row as if it had not been counted.
fn table(bins: &[Bins], (a, b): (usize, usize), of_rows: &[Vec<u16>]) -> (Vec<f32>, Vec<f32>) {
    let counts = Counts::new(bins, (a, b), of_rows).smooth(&bins[a], &bins[b]);
    let width = bins[b].count();
    let cell = |row: &Vec<u16>| usize::from(row[a]) * width + usize::from(row[b]);
    let own: Vec<f64> = of_rows.iter().map(|row| counts.surprise(cell(row), 1.0)).collect();
    // What is missing has no bins around it, so that chance makes more of a difference in its cells than in others.
    let lacks = |cell: usize| cell / width == bins[a].count() - 1 || cell % width == width - 1;
    let unit = |lacking: bool| {
        let those = own.iter().zip(of_rows).filter(|(_, row)| lacks(cell(row)) == lacking);
        let mut ascending: Vec<f64> = those.map(|(surprise, _)| *surprise).collect();
        ascending.sort_by(f64::total_cmp);
        let last = ascending.len().saturating_sub(1);
        let usual = ascending.get((UNIT_SHARE * last as f64) as usize);
        usual.map_or(LEAST_UNIT, |usual| usual.max(LEAST_UNIT))
    };
    let units = [unit(false), unit(true)];
    let in_units = |cell: usize, surprise: f64| (surprise / units[usize::from(lacks(cell))]).max(0.0) as f32;
    let cells = (0..counts.found.len()).map(|cell| in_units(cell, counts.surprise(cell, 0.0))).collect();
    (cells, own.iter().zip(of_rows).map(|(own, row)| in_units(cell(row), *own)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{ColumnKind, NumberFormat};
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn input(kind: ColumnKind, levels: &[&str]) -> Input {
        Input {
            name: "x".to_owned(),
            kind,
            unit: None,
            missing_share: 0.1,
            range: None,
            levels: levels.iter().map(|level| (*level).to_owned()).collect(),
            number_format: NumberFormat { decimal: '.', thousands: None },
            date_format: None,
            missing_tokens: Vec::new(),
        }
    }

    /// Rows of as many random numbers in `0..1`.
    fn random(n: usize, columns: usize) -> Vec<Vec<f64>> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        (0..n).map(|_| (0..columns).map(|_| rng.random()).collect()).collect()
    }

    fn numbers(row: &[f64]) -> Vec<Value> {
        row.iter().map(|number| Value::Number(*number)).collect()
    }

    /// Rows of five random numbers without those whose first two are above two thirds, and those.
    fn rows_and_a_corner(n: usize) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
        let (rows, corner): (Vec<_>, Vec<_>) =
            random(n, 5).into_iter().partition(|row| row[0].min(row[1]) <= 2.0 / 3.0);
        let values = |rows: Vec<Vec<f64>>| rows.iter().map(|row| numbers(row)).collect();
        (values(rows), values(corner))
    }

    #[test]
    fn an_untried_corner_of_two_inputs_among_five_is_strange() {
        let inputs = vec![input(ColumnKind::Number, &[]); 5];
        let (rows, corner) = rows_and_a_corner(4000);
        let (known, new) = rows.split_at(rows.len() * 4 / 5);
        let pairs = Pairs::fit(&inputs, known).unwrap();
        let strange = |rows: &[Vec<Value>]| {
            let strange = rows.iter().filter(|row| pairs.share_as_unusual(pairs.surprise(row).0) < 0.02);
            strange.count() as f64 / rows.len() as f64
        };
        assert!(strange(new) < 0.05, "{} of ordinary new rows", strange(new));
        assert!(strange(&corner) > 0.8, "{} of the rows in the corner", strange(&corner));
        let (surprise, pair) = pairs.surprise(&numbers(&[0.9, 0.9, 0.5, 0.5, 0.5]));
        assert_eq!(pair, (0, 1));
        assert!(pairs.times_stranger(surprise) > 1.5, "{}", pairs.times_stranger(surprise));
    }

    #[test]
    fn a_value_between_those_of_a_grid_is_not_strange() {
        let inputs = vec![input(ColumnKind::Number, &[]); 2];
        let grid = |i: usize| vec![Value::Number((i % 12) as f64), Value::Number((i / 12 % 12) as f64)];
        let rows: Vec<Vec<Value>> = (0..576).map(grid).collect();
        let pairs = Pairs::fit(&inputs, &rows).unwrap();
        for (x, y) in [(0.4, 3.5), (10.6, 10.5), (5.5, 0.1)] {
            let (surprise, _) = pairs.surprise(&[Value::Number(x), Value::Number(y)]);
            assert!(pairs.share_as_unusual(surprise) > 0.5, "{x}, {y}: {surprise}");
        }
    }

    #[test]
    fn levels_missing_values_and_dates_are_paired_too() {
        let inputs = [
            input(ColumnKind::Category, &["a", "b", "c"]),
            input(ColumnKind::Date, &[]),
            input(ColumnKind::Boolean, &[]),
        ];
        // The flag is missing with "a" alone, and dates of "b" are early.
        let row = |i: usize| {
            let flag = if i.is_multiple_of(3) { Value::Missing } else { Value::Flag(i.is_multiple_of(2)) };
            let day = if i % 3 == 1 { i % 100 } else { i % 1000 } as i64;
            vec![Value::Level(Some(i % 3)), Value::Instant(day * 86_400_000), flag]
        };
        let rows: Vec<Vec<Value>> = (0..1000).map(row).collect();
        let pairs = Pairs::fit(&inputs, &rows).unwrap();
        let strange = |row: [Value; 3]| pairs.share_as_unusual(pairs.surprise(&row).0) < 0.02;
        let day = |day: i64| Value::Instant(day * 86_400_000);
        assert!(!strange([Value::Level(Some(0)), day(500), Value::Missing]));
        assert!(!strange([Value::Level(Some(1)), day(50), Value::Flag(true)]));
        assert!(strange([Value::Level(Some(1)), day(800), Value::Flag(true)]), "a late b");
        assert!(strange([Value::Level(Some(2)), day(500), Value::Missing]), "only a has no flag");
        let unknown = pairs.surprise(&[Value::Level(None), day(500), Value::Flag(true)]).0;
        assert!(unknown >= 0.0, "an unknown level has a cell");
    }

    #[test]
    fn rows_without_a_value_are_hardly_stranger_than_others() {
        let inputs = vec![input(ColumnKind::Number, &[]); 5];
        let lacks = |row: &[f64]| row[0] * 1e6 % 10.0 < 1.0;
        let values = |row: &Vec<f64>| {
            let mut values = numbers(row);
            if lacks(row) {
                values[4] = Value::Missing;
            }
            values
        };
        let rows: Vec<Vec<Value>> = random(6000, 5).iter().map(values).collect();
        let (known, new) = rows.split_at(1000);
        let pairs = Pairs::fit(&inputs, known).unwrap();
        let strange = |lacking: bool| {
            let those: Vec<_> = new.iter().filter(|row| (row[4] == Value::Missing) == lacking).collect();
            let strange = those.iter().filter(|row| pairs.share_as_unusual(pairs.surprise(row).0) < 0.02);
            strange.count() as f64 / those.len() as f64
        };
        assert!(strange(true) < 0.06, "{} of the rows without a value", strange(true));
        assert!(strange(false) < 0.04, "{} of the others", strange(false));
    }

    #[test]
    fn of_too_many_pairs_those_that_depend_on_each_other_are_kept() {
        let inputs = vec![input(ColumnKind::Number, &[]); 40];
        let copied = |mut row: Vec<f64>| {
            row[39] = row[38];
            numbers(&row)
        };
        let rows: Vec<Vec<Value>> = random(4000, 40).into_iter().map(copied).collect();
        let pairs = Pairs::fit(&inputs, &rows).unwrap();
        assert!(pairs.n_cells() <= MAX_CELLS && pairs.pairs().len() < 780, "{}", pairs.pairs().len());
        assert!(pairs.pairs().contains(&(38, 39)), "two copies depend most on each other");
        let mut apart = [0.5; 40];
        apart[39] = 0.9;
        assert_eq!(pairs.surprise(&numbers(&apart)).1, (38, 39));
    }

    #[test]
    fn tables_fit_the_inputs_or_are_refused() {
        let inputs = vec![input(ColumnKind::Number, &[]); 5];
        let pairs = Pairs::fit(&inputs, &rows_and_a_corner(1000).0).unwrap();
        assert!(pairs.matches(5) && !pairs.matches(4));
        assert!(!Pairs { pairs: vec![(0, 5)], ..pairs.clone() }.matches(5), "there is no sixth input");
        let constant = Bins::Edges(Vec::new());
        assert!(!Pairs { bins: vec![constant; 5], ..pairs.clone() }.matches(5));
        assert!(!Pairs { surprises: vec![f32::NAN], ..pairs }.matches(5));
        assert!(Pairs::fit(&inputs, &rows_and_a_corner(100).0).is_none(), "too few rows");
    }
}
