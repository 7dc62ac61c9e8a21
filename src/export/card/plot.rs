//! A plot of predicted against true numbers, as SVG.

use super::number_text;
use std::fmt::Write;

/// Side of the square that holds the points, and what is left around it for labels.
const SIDE: f64 = 300.0;
const MARGIN: f64 = 60.0;

/// `(true, predicted)` as points around the line on which both are equal. Empty without points.
pub(super) fn scatter(points: &[(f64, f64)], label: &str) -> String {
    let all = || points.iter().flat_map(|(x, y)| [*x, *y]).filter(|value| value.is_finite());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return String::new();
    }
    let range = if high > low { high - low } else { 1.0 };
    let across = |x: f64| MARGIN + (x - low) / range * SIDE;
    let down = |y: f64| MARGIN / 3.0 + (high - y) / range * SIDE;
    let (left, right, top, bottom) = (across(low), across(low + range), down(low + range), down(low));
    let mut svg = format!(
        "<svg role=\"img\" aria-label=\"{label}\" width=\"{:.0}\" height=\"{:.0}\" font-size=\"11\" \
         font-family=\"sans-serif\">\n",
        SIDE + 1.5 * MARGIN,
        SIDE + MARGIN
    );
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#999\"/>\n\
         <line x1=\"{left:.1}\" y1=\"{bottom:.1}\" x2=\"{right:.1}\" y2=\"{top:.1}\" stroke=\"#999\"/>"
    );
    for (x, y) in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
        let (x, y) = (across(*x), down(*y));
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"#1f5fa8\" fill-opacity=\"0.5\"/>"
        );
    }
    for (value, anchor) in [(low, "start"), (low + range, "end")] {
        let (x, y) = (across(value), down(value) + if anchor == "end" { 8.0 } else { 0.0 });
        let text = number_text(value);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>\n\
             <text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>",
            bottom + 14.0,
            left - 5.0
        );
    }
    let (middle, centre) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
    let _ = write!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">true</text>\n\
         <text x=\"{:.1}\" y=\"{centre:.1}\" text-anchor=\"end\">predicted</text>\n</svg>",
        bottom + 28.0,
        left - 5.0
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_prediction_lies_on_the_line() {
        let svg = scatter(&[(0.0, 0.0), (10.0, 10.0), (5.0, 5.0), (f64::NAN, 1.0)], "y");
        // The middle of the square.
        assert!(svg.contains("cx=\"210.0\" cy=\"170.0\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3, "what is no number has no place");
        assert_eq!(scatter(&[], "y"), "");
        assert!(scatter(&[(7.0, 7.0)], "y").contains("<circle"), "one value has a range too");
    }
}
