//! Small SVG drawings: lines with intervals, stacked time, a lineage graph. Colours only repeat what labels say.

use std::fmt::Write;

/// One curve: a label and points (x, mean, low, high).
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub label: String,
    pub points: Vec<(f64, f64, f64, f64)>,
}

/// One part of a stacked bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub label: String,
    pub amount: f64,
    pub text: String,
}

/// A node of a graph drawn in columns, with the places of its parents in the node list.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub column: usize,
    pub title: String,
    pub note: String,
    pub parents: Vec<usize>,
    pub strong: bool,
}

const PALETTE: [&str; 6] = ["#1f77b4", "#d95f02", "#2a9d63", "#8e5bb5", "#b8860b", "#5f6b7a"];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 10.0;
const LABELS: f64 = 190.0;

/// Text made safe for HTML and SVG.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn colour(index: usize) -> &'static str {
    PALETTE[index % PALETTE.len()]
}

/// Curves over whole numbers on the x axis and shares from 0 to 1 on the y axis, with interval whiskers.
#[must_use]
pub fn curves(curves: &[Curve], x_label: &str) -> String {
    let xs = || curves.iter().flat_map(|c| c.points.iter().map(|p| p.0));
    let (first, last) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
    if !first.is_finite() {
        return String::new();
    }
    let ticks = (first as i64..=last as i64).map(|tick| (tick as f64, format!("{x_label} {tick}")));
    plot(curves, &ticks.collect::<Vec<_>>())
}

/// Curves with ticks of their own choice on the x axis, which `label` names.
#[must_use]
pub fn plot_over(curves: &[Curve], label: &str) -> String {
    let mut xs: Vec<f64> = curves.iter().flat_map(|c| c.points.iter().map(|p| p.0)).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let few = xs.len() <= 8 && xs.iter().all(|x| x.fract() == 0.0 && *x < 1000.0);
    let (first, last) = (xs.first().copied().unwrap_or(0.0), xs.last().copied().unwrap_or(0.0));
    let spread = || (0..5).map(|part| first + (last - first) * f64::from(part) / 4.0).collect();
    let at: Vec<f64> = if few { xs.clone() } else { spread() };
    let mut ticks: Vec<(f64, String)> = at.into_iter().map(|x| (x, short(x))).collect();
    if let Some(first) = ticks.first_mut() {
        first.1 = format!("{label} {}", first.1);
    }
    plot(curves, &ticks)
}

/// `1200000` as `1.2M`.
fn short(number: f64) -> String {
    match number {
        n if n >= 1.0e6 => format!("{:.1}M", n / 1.0e6),
        n if n >= 1.0e4 => format!("{:.0}k", n / 1.0e3),
        n => format!("{n:.0}"),
    }
}

/// A drawing that can stand in a file of its own, outside a page with our styles.
#[must_use]
pub fn alone(svg: &str) -> String {
    const STYLE: &str = "<style>text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.label{font-size:13px}svg{background:#fff}</style>";
    let opened = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
    let mut text = opened.replacen(
        "role=\"img\">",
        &format!("role=\"img\">{STYLE}<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"),
        1,
    );
    text.push('\n');
    text
}

/// The values that the lower and the upper edge stand for: 0 and 1 for shares, else all intervals with a margin.
fn heights(curves: &[Curve]) -> (f64, f64) {
    let ends = || curves.iter().flat_map(|c| c.points.iter().flat_map(|p| [p.1, p.2, p.3]));
    let (low, high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
    if low >= -0.05 && high <= 1.05 {
        return (0.0, 1.0);
    }
    let margin = 0.05 * (high - low).max(f64::MIN_POSITIVE);
    (low - margin, high + margin)
}

/// Curves over numbers on the x axis, marked at `ticks`, with interval whiskers; shares are drawn from 0 to 1.
#[must_use]
pub fn plot(curves: &[Curve], ticks: &[(f64, String)]) -> String {
    let xs = || curves.iter().flat_map(|c| c.points.iter().map(|p| p.0));
    let (first, last) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
    if !first.is_finite() {
        return String::new();
    }
    let (bottom, top) = heights(curves);
    let plot_width = WIDTH - LEFT - LABELS;
    let x = |value: f64| LEFT + 12.0 + (plot_width - 24.0) * (value - first) / (last - first).max(f64::MIN_POSITIVE);
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - bottom);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| bottom + part * (top - bottom)) {
        push(
            &mut svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/><text class=\"tick\" x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{tick:.2}</text>",
                LEFT + plot_width,
                y(tick),
                LEFT - 6.0,
                y(tick) + 4.0
            ),
        );
    }
    for (tick, label) in ticks {
        push(
            &mut svg,
            format_args!(
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(*tick),
                HEIGHT - 8.0,
                escape(label)
            ),
        );
    }
    for (index, curve) in curves.iter().enumerate() {
        draw_curve(&mut svg, curve, colour(index), (&x, &y));
        push(
            &mut svg,
            format_args!(
                "<text class=\"label\" fill=\"{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                colour(index),
                LEFT + plot_width + 12.0,
                TOP + 16.0 + 18.0 * index as f64,
                escape(&curve.label)
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

type Scale<'a> = (&'a dyn Fn(f64) -> f64, &'a dyn Fn(f64) -> f64);

fn draw_curve(svg: &mut String, curve: &Curve, colour: &str, (x, y): Scale<'_>) {
    let path: Vec<String> = curve.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
    push(
        svg,
        format_args!("<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>", path.join(" ")),
    );
    for (at, mean, low, high) in &curve.points {
        push(
            svg,
            format_args!(
                "<line stroke=\"{colour}\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\"/><circle cx=\"{0:.1}\" cy=\"{3:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{4} {mean:.3} [{low:.3}, {high:.3}]</title></circle>",
                x(*at),
                y(*low),
                y(*high),
                y(*mean),
                escape(&curve.label)
            ),
        );
    }
}

/// A horizontal bar of parts with a legend below it.
#[must_use]
pub fn stacked(parts: &[Part]) -> String {
    let total: f64 = parts.iter().map(|p| p.amount).sum();
    let mut bar = String::new();
    let mut legend = String::new();
    for (index, part) in parts.iter().enumerate() {
        let share = 100.0 * part.amount / total.max(f64::MIN_POSITIVE);
        push(
            &mut bar,
            format_args!(
                "<span style=\"width:{share:.2}%;background:{}\" title=\"{} {}\"></span>",
                colour(index),
                escape(&part.label),
                escape(&part.text)
            ),
        );
        push(
            &mut legend,
            format_args!(
                "<li><i style=\"background:{}\"></i>{} {} ({share:.0}%)</li>",
                colour(index),
                escape(&part.label),
                escape(&part.text)
            ),
        );
    }
    format!("<div class=\"stack\">{bar}</div><ul class=\"legend\">{legend}</ul>")
}

/// Nodes in columns from left to right with lines to their parents.
#[must_use]
pub fn graph(nodes: &[Node]) -> String {
    const COLUMN: f64 = 250.0;
    const ROW: f64 = 62.0;
    const BOX: f64 = 215.0;
    let mut used = Vec::<usize>::new();
    let mut places = Vec::with_capacity(nodes.len());
    for node in nodes {
        used.resize(used.len().max(node.column + 1), 0);
        places.push((10.0 + COLUMN * node.column as f64, 10.0 + ROW * used[node.column] as f64));
        used[node.column] += 1;
    }
    let width = 20.0 + COLUMN * used.len() as f64;
    let height = 10.0 + ROW * used.iter().copied().max().unwrap_or(0) as f64;
    let mut svg = format!("<svg viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\">");
    for (node, (x, y)) in nodes.iter().zip(&places) {
        for (px, py) in node.parents.iter().filter_map(|&parent| places.get(parent)) {
            push(
                &mut svg,
                format_args!(
                    "<line class=\"edge\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>",
                    px + BOX,
                    py + 22.0,
                    y + 22.0
                ),
            );
        }
    }
    for (node, (x, y)) in nodes.iter().zip(&places) {
        let class = if node.strong { "node strong" } else { "node" };
        push(
            &mut svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{BOX}\" height=\"44\" rx=\"6\"/><text class=\"label\" x=\"{0:.1}\" y=\"{1:.1}\">{2}</text><text class=\"tick\" x=\"{0:.1}\" y=\"{3:.1}\">{4}</text>",
                x + 9.0,
                y + 18.0,
                escape(&node.title),
                y + 35.0,
                escape(&node.note)
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    #[expect(clippy::expect_used, reason = "writing to a String cannot fail")]
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_the_page() {
        let curve = Curve { label: "<script>'\"&".into(), points: vec![(0.0, 0.5, 0.4, 0.6)] };
        let svg = curves(&[curve], "g");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;&#39;&quot;&amp;"), "{svg}");
    }

    #[test]
    fn a_child_is_joined_to_its_parent() {
        let node = |column, parents| Node { column, title: "m".into(), note: String::new(), parents, strong: false };
        let svg = graph(&[node(0, vec![]), node(1, vec![0])]);
        assert_eq!(svg.matches("class=\"edge\"").count(), 1);
        assert!(svg.contains("x1=\"225.0\" y1=\"32.0\" x2=\"260.0\" y2=\"32.0\""), "{svg}");
    }
}
