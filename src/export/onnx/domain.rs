//! Whether a row is like those of the training: `model::domain` as operations.

use super::columns::Columns;
use super::graph::{Attribute, Graph, Type, Value};
use crate::model::domain::{Domain, LEAST_SHARE, MARGIN, NEIGHBOURS, ROUNDING, width_of};

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
    let (one, margin) = (graph.double(1.0), graph.double(MARGIN));
    let fewer = graph.op("Add", &[&one, &outside]);
    let within = graph.op("LessOrEqual", &[&worst, &margin]);
    let (in_domain, score, farther) = match distance(graph, domain, &features)? {
        Some(distance) => {
            let share = share_as_far(graph, domain, &distance);
            let least = graph.double(LEAST_SHARE);
            let usual = graph.op("GreaterOrEqual", &[&share, &least]);
            let in_domain = graph.op("And", &[&within, &usual]);
            let score = graph.op("Div", &[&share, &fewer]);
            (in_domain, score, times_farther(graph, domain, &distance))
        }
        None => (within, graph.op("Div", &[&one, &fewer]), one.clone()),
    };
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

/// The distance of each row from its third nearest remembered row, double `[rows, 1]`, where the model
/// remembers any.
fn distance(graph: &mut Graph, domain: &Domain, features: &Value) -> Result<Option<Value>, String> {
    let (Some((scales, _)), Some((rows, width))) = (domain.distances(), domain.rows()) else {
        return Ok(None);
    };
    let n = rows.len() / width;
    if n < NEIGHBOURS {
        return Err(format!("it remembers {n} training rows, where {NEIGHBOURS} are needed"));
    }
    let scales = graph.floats(&[1, width], scales.to_vec());
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
    Ok(Some(graph.op("Sqrt", &[&third])))
}

/// The share of remembered rows that lie as far from the others, the row itself counted.
fn share_as_far(graph: &mut Graph, domain: &Domain, distance: &Value) -> Value {
    let (_, known) = domain.distances().expect("there is a distance because there are distances");
    let n = known.len();
    let known = graph.doubles(&[1, n], known.iter().map(|distance| f64::from(*distance)).collect());
    let rounding = graph.double(1.0 - ROUNDING);
    let least = graph.op("Mul", &[distance, &rounding]);
    let nearer = graph.op("Less", &[&known, &least]);
    let nearer = graph.cast(&nearer, Type::Double);
    let n_nearer = graph.sum_of_rows(&nearer);
    let all = graph.double((n + 1) as f64);
    let n_as_far = graph.op("Sub", &[&all, &n_nearer]);
    graph.op("Div", &[&n_as_far, &all])
}

/// The distance in units of the farthest that counts as inside, at least 1.
fn times_farther(graph: &mut Graph, domain: &Domain, distance: &Value) -> Value {
    let one = graph.double(1.0);
    match domain.inside() {
        Some(inside) if inside > 0.0 => {
            let inside = graph.double(f64::from(inside));
            let times = graph.op("Div", &[distance, &inside]);
            graph.op("Max", &[&times, &one])
        }
        _ => one,
    }
}
