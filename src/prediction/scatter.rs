//! Predicted against measured, drawn with characters.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    symbols::Marker,
    widgets::{Axis, Chart, Dataset, GraphType, Widget as _},
};

use super::score::Prediction;

/// Size of the drawing, characters: a screen and a page of Markdown have room for it.
const AREA: Rect = Rect { x: 0, y: 0, width: 78, height: 26 };

/// Each prediction as a point: what was measured to the right, what was predicted upwards, records/s, both axes logarithmic and
/// alike. On the line both are the same, below it less was predicted. Empty without predictions.
pub fn scatter<'a>(each: impl IntoIterator<Item = &'a Prediction>) -> String {
    let place = |of: &Prediction| (of.measured_per_s.log10(), of.predicted_per_s.log10());
    let points: Vec<(f64, f64)> = each.into_iter().map(place).filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let all = points.iter().flat_map(|(x, y)| [*x, *y]);
    let Some((low, high)) = all.fold(None, |span: Option<(f64, f64)>, at| {
        Some(span.map_or((at, at), |(low, high)| (low.min(at), high.max(at))))
    }) else {
        return String::new();
    };
    let bounds = [low.floor(), high.ceil().max(low.floor() + 1.0)];
    let decades = || (bounds[0] as i32..=bounds[1] as i32).map(|decade| format!("{}", 10f64.powi(decade)));
    let diagonal: Vec<(f64, f64)> = (0..=400)
        .map(|step| bounds[0] + (bounds[1] - bounds[0]) * f64::from(step) / 400.0)
        .map(|at| (at, at))
        .collect();
    let dataset = |points, marker| Dataset::default().graph_type(GraphType::Scatter).marker(marker).data(points);
    let axis = |title: &'static str| Axis::default().title(title).bounds(bounds).labels(decades());
    let mut drawn = Buffer::empty(AREA);
    Chart::new(vec![dataset(&diagonal, Marker::Braille), dataset(&points, Marker::Dot)])
        .x_axis(axis("measured"))
        .y_axis(axis("predicted"))
        .render(AREA, &mut drawn);
    let row = |y| {
        let symbols = (0..AREA.width).filter_map(|x| drawn.cell(Position { x, y }).map(ratatui::buffer::Cell::symbol));
        format!("{}\n", symbols.collect::<String>().trim_end())
    };
    (0..AREA.height).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(measured_per_s: f64, predicted_per_s: f64) -> Prediction {
        let shape = "3xkafka.m5.large".parse().unwrap();
        Prediction {
            workload: "usual".to_owned(),
            held_out: false,
            from: shape,
            history: 0,
            to: shape,
            predicted_per_s,
            measured_per_s,
            error_percent: 0.0,
            limit: None,
            formulas: Vec::new(),
        }
    }

    #[test]
    fn a_point_is_where_measured_and_predicted_meet() {
        let low = prediction(20.0, 900.0);
        let text = scatter([&low, &prediction(0.0, 5.0)]);
        insta::assert_snapshot!(text);
        let rows: Vec<&str> = text.lines().filter(|row| row.contains('•')).collect();
        assert_eq!(rows.len(), 1, "{text}");
        assert_eq!(scatter([]), "");
    }
}
