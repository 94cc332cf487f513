//! One chart as SVG: lines or points over an axis, the marks of the run above it, its measured stretches below them.
//!
//! Colours are classes of the page's style sheet; lines differ by their dashes too, and carry their names. The `svg` crate
//! escapes texts and attributes, so names from a run cannot become markup.

use svg::node::element::{
    Circle, Definitions, Description, Element, Group, Line as Stroke, Path, Pattern, Rectangle, SVG, Text, Title,
};

use super::scale::{Axis, thinned};

/// Height of a row of marks, and of the strip with the stretches, in units of the drawing.
const MARK_ROW: f64 = 17.0;
const STRIP: f64 = 14.0;
/// Half the room that a mark takes.
const MARK_RADIUS: f64 = 7.5;
/// Half the size of a point.
const POINT_RADIUS: f64 = 4.0;
/// Height of a line's name.
const NAME_HEIGHT: f64 = 13.0;
/// Room for one character of a label. The page's font is the reader's own, so this is a generous guess.
const CHARACTER: f64 = 7.6;
/// Length of a piece of line beside its name.
const SAMPLE: f64 = 16.0;
/// Points of a line that can be distinguished at this size.
const POINTS: usize = 600;
/// How many looks a line can have; more lines than that are not drawn in one chart.
pub const LOOKS: usize = 4;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Unique in the page; letters, digits and dashes.
    pub id: String,
    pub title: String,
    /// What the chart shows, for those who do not see it.
    pub description: String,
    pub width: f64,
    /// Of the plot alone.
    pub height: f64,
    pub x: Axis,
    /// Empty for a time, which says itself what it is.
    pub x_unit: &'static str,
    pub y: Axis,
    pub y_unit: String,
    pub lines: Vec<Line>,
    /// A level to hold the lines against.
    pub limit: Option<(f64, &'static str)>,
    pub marks: Vec<Mark>,
    pub stretches: Vec<Stretch>,
    /// Where the broker did not serve.
    pub away: Vec<(f64, f64)>,
    /// Single values, which no line connects.
    pub points: Vec<Point>,
    /// A place on the x axis with its name.
    pub answer: Option<(f64, &'static str)>,
}

/// One line of a chart; a gap where nothing was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, Option<f64>)>,
}

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub shape: Shape,
    /// In words, for whoever points at it.
    pub title: String,
}

/// What a point says; each differs in its form as well as in its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// It held.
    Disc,
    /// It failed.
    Cross,
    /// It says nothing.
    Ring,
}

/// A numbered moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub at: f64,
    pub number: usize,
}

/// A part of the time axis with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub from: f64,
    pub to: f64,
    pub name: &'static str,
}

impl Line {
    pub fn is_empty(&self) -> bool {
        self.points.iter().all(|(_, y)| y.is_none())
    }

    pub fn highest(&self) -> Option<f64> {
        self.points.iter().filter_map(|(_, y)| *y).max_by(f64::total_cmp)
    }

    pub fn lowest(&self) -> Option<f64> {
        self.points.iter().filter_map(|(_, y)| *y).min_by(f64::total_cmp)
    }
}

/// Where the plot is within the drawing.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart {
    /// The chart as an `svg` element with title and description.
    pub fn svg(&self) -> String {
        let tick = self.y.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0) as f64;
        let left = (tick * CHARACTER + 10.0).max(22.0);
        let names = if self.lines.len() > 1 {
            self.lines.iter().map(|line| line.name.len()).max().unwrap_or(0) as f64 * CHARACTER + SAMPLE + 14.0
        } else {
            10.0
        };
        let right = self.width - names;
        let rows = mark_rows(&self.marks, |at| self.x.place(at), right - left);
        let above = rows.iter().max().map_or(0.0, |row| (row + 1) as f64 * MARK_ROW);
        let strip = if self.stretches.is_empty() { 0.0 } else { STRIP };
        let top = above + strip + 22.0;
        let frame = Frame { left, right, top, bottom: top + self.height };
        let total = frame.bottom + 22.0;
        let (title, description) = (format!("{}-title", self.id), format!("{}-desc", self.id));
        let mut svg = SVG::new()
            .set("viewBox", (0, 0, self.width, total.ceil()))
            .set("role", "img")
            .set("aria-labelledby", format!("{title} {description}"))
            .add(Title::new(self.title.as_str()).set("id", title))
            .add(Description::new().set("id", description).add(svg::node::Text::new(self.description.as_str())));
        if !self.away.is_empty() {
            svg = svg.add(self.hatching());
        }
        svg = svg.add(self.grid(&frame)).add(self.stretches(&frame, above)).add(self.absences(&frame));
        svg = svg.add(self.marks(&frame, &rows)).add(self.curves(&frame));
        if !self.points.is_empty() {
            svg = svg.add(self.answer(&frame)).add(self.points(&frame));
        }
        if self.lines.len() > 1 {
            svg = svg.add(self.names(&frame));
        }
        svg.to_string()
    }

    fn at(&self, frame: &Frame, x: f64, y: f64) -> (f64, f64) {
        (self.x_at(frame, x), frame.bottom - self.y.place(y) * (frame.bottom - frame.top))
    }

    fn x_at(&self, frame: &Frame, x: f64) -> f64 {
        frame.left + self.x.place(x) * (frame.right - frame.left)
    }

    fn grid(&self, frame: &Frame) -> Group {
        let mut group = Group::new().add(text(0.0, frame.top - 8.0, "axis-unit", "start", &self.y_unit));
        for (value, label) in &self.y.ticks {
            let (_, y) = self.at(frame, self.x.low(), *value);
            group = group.add(stroke((frame.left, y), (frame.right, y), "grid")).add(text(
                frame.left - 5.0,
                y + 4.0,
                "tick",
                "end",
                label,
            ));
        }
        for (at, label) in &self.x.ticks {
            let x = self.x_at(frame, *at);
            // A label at an end would stand out over it.
            let half = label.chars().count() as f64 * CHARACTER / 2.0;
            let x_text = x.clamp(half, self.width - half);
            group = group.add(stroke((x, frame.bottom), (x, frame.bottom + 4.0), "grid")).add(text(
                x_text,
                frame.bottom + 17.0,
                "tick",
                "middle",
                label,
            ));
        }
        if let Some((level, name)) = self.limit {
            let (_, y) = self.at(frame, self.x.low(), level);
            group = group.add(stroke((frame.left, y), (frame.right, y), "limit")).add(text(
                frame.right - 2.0,
                y - 4.0,
                "tick",
                "end",
                name,
            ));
        }
        group.add(text(frame.right, frame.top - 8.0, "axis-unit", "end", self.x_unit))
    }

    fn hatching(&self) -> Definitions {
        let pattern = Pattern::new()
            .set("id", format!("{}-away", self.id))
            .set("width", 6)
            .set("height", 6)
            .set("patternUnits", "userSpaceOnUse")
            .add(Path::new().set("d", "M0 6 6 0").set("class", "hatch"));
        Definitions::new().add(pattern)
    }

    fn absences(&self, frame: &Frame) -> Group {
        self.away.iter().fold(Group::new(), |group, (from, to)| {
            let (from, to) = (self.x_at(frame, *from), self.x_at(frame, *to));
            let area = rectangle((from, frame.top), ((to - from).max(2.0), frame.bottom - frame.top), "away");
            group.add(area.set("fill", format!("url(#{}-away)", self.id)))
        })
    }

    fn stretches(&self, frame: &Frame, above: f64) -> Group {
        self.stretches.iter().fold(Group::new(), |group, stretch| {
            let (from, to) = (self.x_at(frame, stretch.from), self.x_at(frame, stretch.to));
            let width = to - from;
            let group = group.add(rectangle((from, above), (width, STRIP), "stretch")).add(rectangle(
                (from, above + STRIP),
                (width, frame.bottom - above - STRIP),
                "band",
            ));
            if stretch.name.len() as f64 * CHARACTER * 0.8 > width {
                return group;
            }
            group.add(text((from + to) / 2.0, above + STRIP - 3.5, "stretch-name", "middle", stretch.name))
        })
    }

    fn marks(&self, frame: &Frame, rows: &[usize]) -> Group {
        self.marks.iter().zip(rows).fold(Group::new(), |group, (mark, row)| {
            let x = self.x_at(frame, mark.at);
            let y = *row as f64 * MARK_ROW + MARK_RADIUS + 1.0;
            group
                .add(stroke((x, y + MARK_RADIUS), (x, frame.bottom), "mark"))
                .add(
                    Circle::new()
                        .set("cx", round(x))
                        .set("cy", round(y))
                        .set("r", MARK_RADIUS)
                        .set("class", "mark-dot"),
                )
                .add(text(x, y + 4.0, "mark-number", "middle", &mark.number.to_string()))
        })
    }

    fn curves(&self, frame: &Frame) -> Group {
        self.lines.iter().take(LOOKS).enumerate().fold(Group::new(), |group, (look, line)| {
            let (mut data, mut open) = (String::new(), false);
            let points = thinned(&line.points, POINTS);
            for (i, (x, y)) in points.iter().enumerate() {
                let Some(y) = y else {
                    open = false;
                    continue;
                };
                let (x, y) = self.at(frame, *x, *y);
                data += &format!("{}{x:.1} {y:.1}", if open { "L" } else { "M" });
                // A point between two gaps is a line without length, which round ends make visible.
                if !open && points.get(i + 1).is_none_or(|(_, next)| next.is_none()) {
                    data += "h0.1";
                }
                open = true;
            }
            group.add(Path::new().set("d", data).set("class", format!("line look-{look}")))
        })
    }

    fn points(&self, frame: &Frame) -> Group {
        self.points.iter().fold(Group::new(), |group, point| {
            let (x, y) = self.at(frame, point.x, point.y);
            let title = Title::new(point.title.as_str());
            let round_one = |class: &str| {
                Circle::new().set("cx", round(x)).set("cy", round(y)).set("r", POINT_RADIUS).set("class", class)
            };
            match point.shape {
                Shape::Disc => group.add(round_one("point disc").add(title)),
                Shape::Ring => group.add(round_one("point ring").add(title)),
                Shape::Cross => {
                    let (r, both) = (POINT_RADIUS, 2.0 * POINT_RADIUS);
                    let (left, top) = (x - r, y - r);
                    let data = format!("M{left:.1} {top:.1}l{both} {both}m-{both} 0l{both} -{both}");
                    group.add(Path::new().set("d", data).set("class", "point cross").add(title))
                }
            }
        })
    }

    fn answer(&self, frame: &Frame) -> Group {
        let Some((at, name)) = self.answer else { return Group::new() };
        let x = self.x_at(frame, at);
        // On the side that has more space.
        let (anchor, beside) = if x > (frame.left + frame.right) / 2.0 { ("end", -4.0) } else { ("start", 4.0) };
        Group::new().add(stroke((x, frame.top), (x, frame.bottom), "answer")).add(text(
            x + beside,
            frame.top + 10.0,
            "tick answer-name",
            anchor,
            name,
        ))
    }

    /// The name of each line, with a piece of it, beside its last point; names that would touch are moved apart.
    fn names(&self, frame: &Frame) -> Group {
        let last = |line: &Line| line.points.iter().rev().find_map(|(x, y)| y.map(|y| self.at(frame, *x, y)));
        let mut ends: Vec<(usize, &str, (f64, f64))> = self
            .lines
            .iter()
            .take(LOOKS)
            .enumerate()
            .filter_map(|(look, line)| Some((look, line.name, last(line)?)))
            .collect();
        ends.sort_by(|a, b| a.2.1.total_cmp(&b.2.1));
        let wanted: Vec<f64> = ends.iter().map(|(_, _, (_, y))| *y).collect();
        let placed = spread(&wanted, NAME_HEIGHT, frame.top, frame.bottom);
        ends.iter().zip(placed).fold(Group::new(), |group, ((look, name, (x, y)), place)| {
            group
                .add(stroke((x + 2.0, *y), (frame.right + 6.0, place), "leader"))
                .add(stroke(
                    (frame.right + 8.0, place),
                    (frame.right + 8.0 + SAMPLE, place),
                    &format!("sample look-{look}"),
                ))
                .add(text(frame.right + 12.0 + SAMPLE, place + 4.0, &format!("name look-{look}"), "start", name))
        })
    }
}

/// The row of each mark, so that no two in one row touch; `width` is the axis's.
fn mark_rows(marks: &[Mark], place: impl Fn(f64) -> f64, width: f64) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = Vec::with_capacity(marks.len());
    for mark in marks {
        let x = place(mark.at) * width;
        let row = ends.iter().position(|end| x - MARK_RADIUS >= *end).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(0.0);
        }
        ends[row] = x + MARK_RADIUS + 1.0;
        rows.push(row);
    }
    rows
}

/// Places near `wanted` (in order), at least `gap` apart, within `low` and `high` if there is room.
fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for want in wanted {
        let least = places.last().map_or(low, |last| last + gap);
        places.push(want.max(least));
    }
    let mut most = high;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - gap;
    }
    places
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn stroke(from: (f64, f64), to: (f64, f64), class: &str) -> Stroke {
    let line = Stroke::new().set("x1", round(from.0)).set("y1", round(from.1));
    line.set("x2", round(to.0)).set("y2", round(to.1)).set("class", class)
}

fn rectangle(at: (f64, f64), size: (f64, f64), class: &str) -> Rectangle {
    let area = Rectangle::new().set("x", round(at.0)).set("y", round(at.1));
    area.set("width", round(size.0.max(0.0))).set("height", round(size.1.max(0.0))).set("class", class)
}

fn text(x: f64, y: f64, class: &str, anchor: &str, content: &str) -> Element {
    let text = Text::new(content).set("x", round(x)).set("y", round(y));
    text.set("class", class).set("text-anchor", anchor).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        Chart {
            id: "cpu-1".to_owned(),
            title: "CPU of broker 1".to_owned(),
            description: "from 50 % to 90 %".to_owned(),
            width: 300.0,
            height: 100.0,
            x: Axis::time(0.0, 60.0),
            x_unit: "",
            y: Axis::percent(90.0),
            y_unit: "%".to_owned(),
            lines: vec![
                Line { name: "CPU", points: vec![(0.0, Some(50.0)), (30.0, None), (60.0, Some(90.0))] },
                Line { name: "held back", points: vec![(0.0, Some(51.0)), (60.0, Some(90.0))] },
            ],
            limit: Some((100.0, "full capacity")),
            marks: vec![Mark { at: 20.0, number: 1 }, Mark { at: 21.0, number: 2 }, Mark { at: 40.0, number: 3 }],
            stretches: vec![Stretch { from: 20.0, to: 40.0, name: "before" }],
            away: vec![(28.0, 32.0)],
            points: Vec::new(),
            answer: None,
        }
    }

    #[test]
    fn points_differ_in_form_and_the_answer_is_marked() {
        let point = |x, shape| Point { x, y: 50.0, shape, title: format!("</title>{x}") };
        let points = vec![point(10.0, Shape::Disc), point(50.0, Shape::Cross), point(20.0, Shape::Ring)];
        let svg = Chart { points, answer: Some((12.0, "answer")), ..chart() }.svg();
        for (class, count) in [("point disc", 1), ("point cross", 1), ("point ring", 1), ("\"answer\"", 1)] {
            assert_eq!(svg.matches(class).count(), count, "{class}: {svg}");
        }
        assert!(svg.contains("&lt;/title&gt;10") && svg.matches("<title").count() == 4, "{svg}");
    }

    #[test]
    fn a_chart_is_drawn_with_its_marks_and_names() {
        insta::assert_snapshot!(chart().svg());
    }

    #[test]
    fn texts_from_outside_stay_texts() {
        let svg = Chart { title: "<script>\"'&".to_owned(), description: "</svg>".to_owned(), ..chart() }.svg();
        assert!(svg.contains("&lt;script&gt;\"'&amp;") && svg.contains("&lt;/svg&gt;"), "{svg}");
        assert!(!svg.contains("<script"), "{svg}");
    }

    #[test]
    fn marks_that_would_touch_are_in_rows_of_their_own() {
        let marks: Vec<Mark> = [0.0, 1.0, 2.0, 50.0].iter().map(|at| Mark { at: *at, number: 1 }).collect();
        assert_eq!(mark_rows(&marks, |at| at / 100.0, 300.0), [0, 1, 2, 0]);
    }

    #[test]
    fn names_keep_their_distance_and_their_order() {
        assert_eq!(spread(&[50.0, 51.0, 90.0], 10.0, 0.0, 100.0), [50.0, 60.0, 90.0]);
        assert_eq!(spread(&[99.0, 99.0, 100.0], 10.0, 0.0, 100.0), [80.0, 90.0, 100.0]);
        assert_eq!(spread(&[0.0, 0.0], 10.0, 0.0, 100.0), [0.0, 10.0]);
    }
}
