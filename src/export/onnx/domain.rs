//! Whether a row is like those of the training: `model::domain` as operations.

use super::columns::Columns;
use super::graph::{Attribute, Graph, Type, Value};
use crate::model::domain::joint::{Joint, NEIGHBOURS, ROUNDING};
use crate::model::domain::pairs::{Bins, Pairs};
use crate::model::domain::{Domain, LEAST_SHARE, width_of};

/// What is said about each row, `[rows, 1]`.
#[derive(Debug)]
pub(super) struct Judged {
    /// Boolean: whether the row is like those of the training.
    pub(super) in_domain: Value,
    /// Double: the share of training rows that are as strange, less where inputs leave their range.
    pub(super) score: Value,
    /// Double: how many times wider than inside an interval is here.
    pub(super) stretch: Value,
}

/// Judges rows by their columns and by `features`, float `[networks, rows, features]`.
///
/// # Errors
/// When the model remembers fewer rows than are looked for; no training makes such a model.
pub(super) fn judge(
    graph: &mut Graph,
    domain: &Domain,
    columns: &Columns,
    features: &Value,
) -> Result<Judged, String> {
    // Distances are those in the encoding of the first network.
    let first = graph.int64s(&[], vec![0]);
    let features = graph.op_with("Gather", &[features, &first], &[("axis", Attribute::Int(0))]);
    let excess = excess(graph, columns, &features);
    let outside = graph.sum_of_rows(&excess);
    let worst = graph.max_of_rows(&excess);
    let (one, margin) = (graph.double(1.0), graph.double(domain.margin()));
    let fewer = graph.op("Add", &[&one, &outside]);
    let within = graph.op("LessOrEqual", &[&worst, &margin]);
    let mut looks = Vec::new();
    if let Some(joint) = domain.joint() {
        looks.push(by_distance(graph, joint, &features)?);
    }
    looks.extend(domain.pairs().map(|pairs| by_pair(graph, pairs, columns)));
    let (share, farther) = match looks.as_slice() {
        [] => (one.clone(), one.clone()),
        [only] => (only.share.clone(), only.stretch.clone()),
        [a, b] => {
            let share = either(graph, &a.share, &b.share);
            (share, graph.op("Max", &[&a.stretch, &b.stretch]))
        }
        _ => unreachable!("there are two looks"),
    };
    let least = graph.double(LEAST_SHARE);
    let usual = graph.op("GreaterOrEqual", &[&share, &least]);
    let in_domain = graph.op("And", &[&within, &usual]);
    let score = graph.op("Div", &[&share, &fewer]);
    let wider = graph.op("Mul", &[&farther, &fewer]);
    let stretch = graph.op("Where", &[&in_domain, &one, &wider]);
    Ok(Judged { in_domain, score, stretch })
}

/// How far each quantity lies outside its range, in widths of the range; 1 for a category never seen.
fn excess(graph: &mut Graph, columns: &Columns, features: &Value) -> Value {
    let mut all = Vec::new();
    let n = columns.quantities.len();
    if n > 0 {
        let (values, ranges): (Vec<Value>, Vec<(f64, f64)>) = columns.quantities.iter().cloned().unzip();
        let values = graph.concat(&values, 1);
        let there = graph.is_finite(&values);
        let low = graph.doubles(&[1, n], ranges.iter().map(|range| range.0).collect());
        let high = graph.doubles(&[1, n], ranges.iter().map(|range| range.1).collect());
        let width = graph.doubles(&[1, n], ranges.into_iter().map(width_of).collect());
        // What is missing is not outside.
        let values = graph.op("Where", &[&there, &values, &low]);
        let below = graph.op("Sub", &[&low, &values]);
        let above = graph.op("Sub", &[&values, &high]);
        let zero = graph.double(0.0);
        let by = graph.op("Max", &[&below, &above, &zero]);
        all.push(graph.op("Div", &[&by, &width]));
    }
    all.extend(columns.unknown.iter().map(|unknown| graph.cast(unknown, Type::Double)));
    if all.is_empty() {
        // Only booleans: zero for each row.
        let any = graph.max_of_rows(features);
        let zero = graph.float(0.0);
        let zeros = graph.op("Mul", &[&any, &zero]);
        all.push(graph.cast(&zeros, Type::Double));
    }
    graph.concat(&all, 1)
}

/// What one way to look at whole rows says, double `[rows, 1]`.
struct Look {
    /// The share of training rows that are as strange.
    share: Value,
    /// How many times wider than inside an interval is here.
    stretch: Value,
}

/// Shares of two looks as one: `1 - (1 - smaller)^2`.
fn either(graph: &mut Graph, a: &Value, b: &Value) -> Value {
    let one = graph.double(1.0);
    let smaller = graph.op("Min", &[a, b]);
    let rest = graph.op("Sub", &[&one, &smaller]);
    let square = graph.op("Mul", &[&rest, &rest]);
    graph.op("Sub", &[&one, &square])
}

/// By the distance of each row from its third nearest remembered row.
fn by_distance(graph: &mut Graph, joint: &Joint, features: &Value) -> Result<Look, String> {
    let distance = distance(graph, joint, features)?;
    let rounding = graph.double(1.0 - ROUNDING);
    let least = graph.op("Mul", &[&distance, &rounding]);
    let share = share_as_large(graph, joint.distances(), &least);
    Ok(Look { share, stretch: times(graph, &distance, joint.inside()) })
}

/// By the most surprising pair of inputs.
fn by_pair(graph: &mut Graph, pairs: &Pairs, columns: &Columns) -> Look {
    let surprise = surprise(graph, pairs, columns);
    let share = share_as_large(graph, pairs.surprises(), &surprise);
    let times = times(graph, &surprise, pairs.inside());
    let one = graph.double(1.0);
    let growth = graph.op("Log", &[&times]);
    Look { share, stretch: graph.op("Add", &[&one, &growth]) }
}

/// The surprise of the most surprising pair of each row, double `[rows, 1]`.
fn surprise(graph: &mut Graph, pairs: &Pairs, columns: &Columns) -> Value {
    let bins: Vec<Value> = columns
        .of_inputs
        .iter()
        .zip(pairs.bins())
        .map(|(value, bins)| match bins {
            Bins::Edges(edges) if !edges.is_empty() => bin_of_number(graph, value, edges),
            // Not paired.
            Bins::Edges(_) => graph.cast(value, Type::Int64),
            Bins::Levels(levels) => bin_of_level(graph, value, *levels),
        })
        .collect();
    let bins = graph.concat(&bins, 1);
    let n = pairs.pairs().len();
    let (mut first, mut second, mut widths, mut begins) = (vec![], vec![], vec![], vec![]);
    let mut begin = 0;
    for &(a, b) in pairs.pairs() {
        let (n_a, n_b) = (pairs.bins()[a].count(), pairs.bins()[b].count());
        first.push(a as i64);
        second.push(b as i64);
        widths.push(n_b as i64);
        begins.push(begin as i64);
        begin += n_a * n_b;
    }
    let (first, second) = (graph.int64s(&[n], first), graph.int64s(&[n], second));
    let (widths, begins) = (graph.int64s(&[1, n], widths), graph.int64s(&[1, n], begins));
    let first = graph.op_with("Gather", &[&bins, &first], &[("axis", Attribute::Int(1))]);
    let second = graph.op_with("Gather", &[&bins, &second], &[("axis", Attribute::Int(1))]);
    let rows = graph.op("Mul", &[&first, &widths]);
    let places = graph.op("Add", &[&rows, &second]);
    let places = graph.op("Add", &[&places, &begins]);
    let cells = graph.floats(&[pairs.n_cells()], pairs.cells().to_vec());
    let surprises = graph.op("Gather", &[&cells, &places]);
    let most = graph.max_of_rows(&surprises);
    graph.cast(&most, Type::Double)
}

/// The number of edges that are not above a number; one more than there are bins where it is missing.
fn bin_of_number(graph: &mut Graph, value: &Value, edges: &[f64]) -> Value {
    let missing = graph.int64s(&[], vec![edges.len() as i64 + 1]);
    let edges = graph.doubles(&[1, edges.len()], edges.to_vec());
    let reached = graph.op("GreaterOrEqual", &[value, &edges]);
    let reached = graph.cast(&reached, Type::Double);
    let count = graph.sum_of_rows(&reached);
    let count = graph.cast(&count, Type::Int64);
    let there = graph.is_finite(value);
    graph.op("Where", &[&there, &count, &missing])
}

/// A code or flag as its own bin; that of what is missing where it is no level.
fn bin_of_level(graph: &mut Graph, value: &Value, levels: usize) -> Value {
    let value = graph.cast(value, Type::Double);
    let (zero, missing) = (graph.double(0.0), graph.double(levels as f64));
    // False for NaN too.
    let is_level = graph.op("GreaterOrEqual", &[&value, &zero]);
    let bin = graph.op("Where", &[&is_level, &value, &missing]);
    // What is no flag is refused, but must not reach beyond the table.
    let bin = graph.op("Min", &[&bin, &missing]);
    graph.cast(&bin, Type::Int64)
}

/// The distance of each row from its third nearest remembered row, double `[rows, 1]`.
fn distance(graph: &mut Graph, joint: &Joint, features: &Value) -> Result<Value, String> {
    let (rows, width) = joint.rows();
    let n = rows.len() / width;
    if n < NEIGHBOURS {
        return Err(format!("it remembers {n} training rows, where {NEIGHBOURS} are needed"));
    }
    let scales = graph.floats(&[1, width], joint.scales().to_vec());
    let scaled = graph.op("Mul", &[features, &scales]);
    let scaled = graph.cast(&scaled, Type::Double);
    // |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, in double so that little is lost where a and b are alike: all
    // differences at once would take the memory of rows x remembered rows x features.
    let transposed = (0..width).flat_map(|k| (0..n).map(move |row| rows[row * width + k])).collect();
    let squares =
        rows.chunks_exact(width).map(|row| row.iter().map(|value| f64::from(*value).powi(2)).sum()).collect();
    let remembered = graph.floats(&[width, n], transposed);
    let remembered = graph.cast(&remembered, Type::Double);
    let of_remembered = graph.doubles(&[1, n], squares);
    let square = graph.op("Mul", &[&scaled, &scaled]);
    let of_own = graph.sum_of_rows(&square);
    let product = graph.op("MatMul", &[&scaled, &remembered]);
    let (two, zero) = (graph.double(2.0), graph.double(0.0));
    let twice = graph.op("Mul", &[&two, &product]);
    let sum = graph.op("Add", &[&of_own, &of_remembered]);
    let squares = graph.op("Sub", &[&sum, &twice]);
    let nearest = graph.smallest_of_rows(&squares, NEIGHBOURS);
    let third = graph.max_of_rows(&nearest);
    let third = graph.op("Max", &[&third, &zero]);
    Ok(graph.op("Sqrt", &[&third]))
}

/// The share of `ascending` values that are at least as large as that of each row, itself counted.
fn share_as_large(graph: &mut Graph, ascending: &[f32], value: &Value) -> Value {
    let n = ascending.len();
    let ascending = graph.doubles(&[1, n], ascending.iter().map(|known| f64::from(*known)).collect());
    let smaller = graph.op("Less", &[&ascending, value]);
    let smaller = graph.cast(&smaller, Type::Double);
    let n_smaller = graph.sum_of_rows(&smaller);
    let all = graph.double((n + 1) as f64);
    let n_as_large = graph.op("Sub", &[&all, &n_smaller]);
    graph.op("Div", &[&n_as_large, &all])
}

/// Values in units of the largest that counts as inside, at least 1.
fn times(graph: &mut Graph, value: &Value, inside: f32) -> Value {
    let one = graph.double(1.0);
    if inside <= 0.0 {
        // As wide as the rows, whatever they are.
        let zero = graph.double(0.0);
        let nothing = graph.op("Mul", &[value, &zero]);
        return graph.op("Add", &[&nothing, &one]);
    }
    let inside = graph.double(f64::from(inside));
    let times = graph.op("Div", &[value, &inside]);
    graph.op("Max", &[&times, &one])
}
