//! One chart: lines or stacked parts over time, with the run's marks on its axis.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    symbols::Marker,
    text::{Line, Span},
    widgets::{
        Widget as _,
        canvas::{Canvas, Line as Stroke, Points},
    },
};

use super::{model::Marked, palette::Palette};
use crate::run::Mark;

/// Cells of the numbers at the left.
const LABEL: u16 = 5;

/// The least that a chart can be drawn in.
pub const MIN_WIDTH: u16 = 26;
pub const MIN_HEIGHT: u16 = 6;

/// What is drawn.
pub struct Chart<'a> {
    pub title: String,
    /// For where the title has no room.
    pub short_title: &'static str,
    /// Where the lines are; of stacked parts each is on top of those before.
    pub lines: Vec<Drawn>,
    pub is_stacked: bool,
    pub y: Scale,
    /// Seconds since the run began.
    pub from: f64,
    pub to: f64,
    pub marks: &'a [Marked],
}

/// One line, or one part of a stack.
pub struct Drawn {
    pub name: &'static str,
    /// Of a stacked part.
    pub letter: char,
    /// Seconds and value; no value is a gap.
    pub points: Vec<(f64, Option<f64>)>,
}

/// What the height of a chart means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// 0 to 100, or to what is higher.
    Percent,
    /// From 0 to a round number.
    Linear,
    /// Decades.
    Logarithmic,
}

/// What a mark is called on the axis.
pub fn letter(mark: Mark) -> char {
    match mark {
        Mark::Onset => 'O',
        Mark::Seen => 'S',
        Mark::Named => 'N',
        Mark::Fixed => 'F',
        Mark::Verified => 'V',
    }
}

/// Seconds as m:ss, or h:mm:ss.
pub fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
    }
}

/// A number in at most five cells.
pub fn short(value: f64) -> String {
    match value.abs() {
        a if a >= 999_500_000.0 => format!("{:.1}G", value / 1e9),
        a if a >= 9_995_000.0 => format!("{:.0}M", value / 1e6),
        a if a >= 999_500.0 => format!("{:.1}M", value / 1e6),
        a if a >= 9_995.0 => format!("{:.0}k", value / 1e3),
        a if a >= 99.95 => format!("{value:.0}"),
        a if a >= 9.995 => format!("{value:.0}"),
        a if a == 0.0 || a == a.round() => format!("{value:.0}"),
        a if a >= 0.995 => format!("{value:.1}"),
        a if a >= 0.0095 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Chart<'_> {
    pub fn draw(&self, area: Rect, palette: Palette, buffer: &mut Buffer) {
        if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
            return;
        }
        let heading = [self.title.as_str(), self.short_title].map(|title| self.heading(title, palette));
        let [long, short] = heading;
        let heading = if long.width() <= usize::from(area.width) { long } else { short };
        heading.render(Rect { height: 1, ..area }, buffer);
        let plot =
            Rect { x: area.x + LABEL + 1, y: area.y + 1, width: area.width - LABEL - 2, height: area.height - 3 };
        let (low, high) = self.span();
        self.axes(plot, (low, high), palette, buffer);
        self.mark(plot, palette, buffer);
        if self.is_stacked {
            self.stack(plot, high, palette, buffer);
        } else {
            self.strokes(plot, (low, high), palette, buffer);
        }
    }

    /// The title, then each line with the sign that it is drawn in and its latest value.
    fn heading(&self, title: &str, palette: Palette) -> Line<'static> {
        let mut spans = vec![Span::styled(title.to_owned(), palette.heading())];
        for (i, line) in self.lines.iter().enumerate() {
            let (sign, style) = match self.is_stacked {
                true => (line.letter.to_string(), palette.part(line.letter)),
                false => (if i == 0 { "⠤" } else { "•" }.to_owned(), palette.line(i)),
            };
            let latest = line.points.iter().rev().find_map(|(_, value)| *value).map(short).unwrap_or("-".to_owned());
            spans.push(Span::raw(" "));
            spans.push(Span::styled(if line.name.is_empty() { sign } else { format!("{sign} {}", line.name) }, style));
            spans.push(Span::raw(format!(" {latest}")));
        }
        Line::from(spans)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let shown = |point: &&(f64, Option<f64>)| point.0 >= self.from && point.0 <= self.to;
        self.lines.iter().flat_map(move |line| line.points.iter().filter(shown).filter_map(|point| point.1))
    }

    /// Lowest and highest value of the scale, in its own measure: logarithms on a logarithmic one.
    fn span(&self) -> (f64, f64) {
        let max = if self.is_stacked {
            let sum = |i: usize| self.lines.iter().filter_map(|line| line.points.get(i)?.1).sum::<f64>();
            let count = self.lines.first().map_or(0, |line| line.points.len());
            let is_shown = |i: &usize| self.lines[0].points[*i].0 >= self.from;
            (0..count).filter(is_shown).map(sum).fold(0.0, f64::max)
        } else {
            self.values().fold(0.0, f64::max)
        };
        match self.y {
            Scale::Percent if max <= 100.5 => (0.0, 100.0),
            Scale::Percent | Scale::Linear => (0.0, round_up(max)),
            Scale::Logarithmic => {
                let min = self.values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
                let low = if min.is_finite() { (min.log10() + 1e-9).floor() } else { 0.0 };
                (low, (max.max(1e-6).log10() - 1e-9).ceil().max(low + 1.0))
            }
        }
    }

    fn height_of(&self, value: f64) -> f64 {
        if self.y == Scale::Logarithmic { value.max(1e-9).log10() } else { value }
    }

    fn axes(&self, plot: Rect, (low, high): (f64, f64), palette: Palette, buffer: &mut Buffer) {
        let value_at = |share: f64| {
            let value = low + (high - low) * share;
            if self.y == Scale::Logarithmic { 10f64.powf(value) } else { value }
        };
        let axis = plot.x - 1;
        for y in plot.top()..plot.bottom() {
            buffer.set_string(axis, y, "│", palette.faint());
        }
        let middle = plot.y + (plot.height - 1) / 2;
        let is_odd = (plot.height - 1).is_multiple_of(2);
        let mut labels = vec![(plot.y, 1.0), (plot.bottom() - 1, 0.0)];
        if plot.height >= 5 && is_odd {
            labels.push((middle, 0.5));
        }
        for (y, share) in labels {
            let text = short(value_at(share));
            let text = format!("{text:>width$}", width = usize::from(LABEL));
            buffer.set_stringn(plot.x - 1 - LABEL, y, text, usize::from(LABEL), palette.faint());
            buffer.set_string(axis, y, "┤", palette.faint());
        }
        let bottom = plot.bottom();
        buffer.set_string(axis, bottom, "└", palette.faint());
        buffer.set_string(plot.x, bottom, "─".repeat(usize::from(plot.width)), palette.faint());
        let (from, to) = (clock(self.from), clock(self.to));
        let end = plot.right().saturating_sub(to.len() as u16);
        buffer.set_string(plot.x, bottom + 1, &from, palette.faint());
        buffer.set_string(end, bottom + 1, &to, palette.faint());
        let half = clock(self.from + (self.to - self.from) / 2.0);
        let at = plot.x + (plot.width / 2).saturating_sub(half.len() as u16 / 2);
        if at > plot.x + from.len() as u16 + 1 && at + (half.len() as u16) + 1 < end {
            buffer.set_string(at, bottom + 1, half, palette.faint());
        }
    }

    fn column(&self, plot: Rect, at: f64) -> Option<u16> {
        let share = (at - self.from) / (self.to - self.from);
        (0.0..=1.0).contains(&share).then(|| plot.x + (share * f64::from(plot.width - 1)).round() as u16)
    }

    /// A line up from the axis for each mark and its letter on it; of two that would meet, the later moves on.
    fn mark(&self, plot: Rect, palette: Palette, buffer: &mut Buffer) {
        let mut free = plot.x;
        for marked in self.marks {
            let Some(column) = self.column(plot, marked.at) else { continue };
            for y in plot.top()..plot.bottom() {
                buffer.set_string(column, y, "┊", palette.faint());
            }
            let place = column.max(free);
            if place < plot.right() {
                buffer.set_string(place, plot.bottom(), letter(marked.mark).to_string(), palette.mark());
                free = place + 1;
            }
        }
    }

    fn strokes(&self, plot: Rect, (low, high): (f64, f64), palette: Palette, buffer: &mut Buffer) {
        // The first line is drawn last, so that it is on top.
        for (i, line) in self.lines.iter().enumerate().rev() {
            let color = palette.line(i).fg.unwrap_or_default();
            let shown: Vec<(f64, Option<f64>)> = line
                .points
                .iter()
                .map(|(at, value)| (*at, value.map(|value| self.height_of(value).clamp(low, high))))
                .collect();
            // Half a point to every side, so that what is at the end of the scale is inside.
            let room = (high - low) * 0.01;
            let canvas = Canvas::default()
                .marker(if i == 0 { Marker::Braille } else { Marker::Dot })
                .x_bounds([self.from, self.to])
                .y_bounds([low - room, high + room])
                .paint(|context| {
                    if i > 0 {
                        let dots: Vec<(f64, f64)> =
                            shown.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect();
                        context.draw(&Points { coords: &dots, color });
                        return;
                    }
                    for pair in shown.windows(2) {
                        if let [(x1, Some(y1)), (x2, Some(y2))] = *pair {
                            context.draw(&Stroke { x1, y1, x2, y2, color });
                        }
                    }
                    let alone: Vec<(f64, f64)> = shown.iter().filter_map(|(at, v)| Some((*at, (*v)?))).collect();
                    context.draw(&Points { coords: &alone, color });
                });
            canvas.render(plot, buffer);
        }
    }

    /// Columns of letters, each as high as its part.
    fn stack(&self, plot: Rect, high: f64, palette: Palette, buffer: &mut Buffer) {
        let width = usize::from(plot.width);
        let mut columns: Vec<Vec<(f64, u32)>> = vec![vec![(0.0, 0); self.lines.len()]; width];
        for (part, line) in self.lines.iter().enumerate() {
            for (at, value) in &line.points {
                if let (Some(column), Some(value)) = (self.column(plot, *at), value) {
                    let sum = &mut columns[usize::from(column - plot.x)][part];
                    *sum = (sum.0 + value, sum.1 + 1);
                }
            }
        }
        let mut last: Option<(usize, Vec<f64>)> = None;
        for (i, column) in columns.iter().enumerate() {
            if column.iter().all(|(_, count)| *count == 0) {
                continue;
            }
            let means: Vec<f64> = column.iter().map(|(sum, count)| sum / f64::from((*count).max(1))).collect();
            // Where samples are fewer than columns, a column stands until the next.
            let from = last
                .as_ref()
                .filter(|(before, _)| i - before <= usize::from(plot.width) / 6)
                .map(|(before, _)| before + 1);
            for between in from.unwrap_or(i)..=i {
                let shown = if between == i { &means } else { last.as_ref().map_or(&means, |(_, before)| before) };
                self.pile(plot, plot.x + between as u16, shown, high, palette, buffer);
            }
            last = Some((i, means));
        }
    }

    fn pile(&self, plot: Rect, x: u16, parts: &[f64], high: f64, palette: Palette, buffer: &mut Buffer) {
        let rows = f64::from(plot.height);
        let (mut below, mut filled) = (0.0, 0u16);
        for (line, part) in self.lines.iter().zip(parts) {
            below += part;
            let upto = ((below / high * rows).round() as u16).min(plot.height);
            for row in filled..upto {
                let letter = line.letter.to_string();
                buffer.set_string(x, plot.bottom() - 1 - row, letter, palette.part(line.letter));
            }
            filled = filled.max(upto);
        }
        // What is more than nothing is seen.
        if filled == 0
            && below > 0.0
            && let Some((line, _)) = self.lines.iter().zip(parts).max_by(|a, b| a.1.total_cmp(b.1))
        {
            buffer.set_string(x, plot.bottom() - 1, line.letter.to_string(), palette.part(line.letter));
        }
    }
}

/// 1, 2, 2.5, 4, 5, 6, 8 or 10 times a power of ten, at or above `max`; 1 for nothing.
fn round_up(max: f64) -> f64 {
    if !max.is_finite() || max <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(max.log10().floor());
    let factors = [1.0, 2.0, 2.5, 4.0, 5.0, 6.0, 8.0, 10.0];
    factors.into_iter().map(|factor| factor * power).find(|round| *round >= max * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_into_their_five_cells() {
        let rows = [
            (0.0, "0"),
            (0.25, "0.25"),
            (3.24, "3.2"),
            (86.4, "86"),
            (999.0, "999"),
            (9994.0, "9994"),
            (12_345.0, "12k"),
            (1_234_567.0, "1.2M"),
            (12_345_678.0, "12M"),
            (3.0e9, "3.0G"),
        ];
        for (value, expected) in rows {
            assert_eq!(short(value), expected);
        }
        for exponent in -6..=11 {
            for factor in [1.0, 4.99, 9.999] {
                let text = short(factor * 10f64.powi(exponent));
                assert!(text.len() <= 6, "{text}");
            }
        }
    }

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (max, expected) in [(0.0, 1.0), (7.0, 8.0), (103.0, 200.0), (0.03, 0.04), (250.0, 250.0), (f64::NAN, 1.0)] {
            assert!((round_up(max) - expected).abs() < 1e-9, "{max}");
        }
    }

    #[test]
    fn times_are_read_as_minutes() {
        assert_eq!([0.4, 75.0, 3600.0, -3.0].map(clock), ["0:00", "1:15", "1:00:00", "0:00"]);
    }
}
