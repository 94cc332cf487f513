//! The picture of the screen in the README: a frame of the recorded demo as SVG, recreated by
//! `KGEN_PICTURE=1 cargo test --lib picture`.

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use svg::{
    Document,
    node::element::{Group, Path, Rectangle, Text, Title},
};

use super::{COLOURED, View, at, demo, frame};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images/screen.svg");
/// Columns and rows; the moment, seconds after the run began.
const SIZE: (u16, u16) = (132, 36);
const MOMENT: f64 = 232.0;
/// One cell, in pixels.
const CELL: (f64, f64) = (8.4, 17.0);
const MARGIN: f64 = 14.0;
const PAPER: &str = "#16181d";

#[test]
fn the_picture_of_the_screen_is_current() {
    let drawn = picture(&frame(&at(&demo(), MOMENT), &View::new(None), COLOURED, SIZE));
    if std::env::var_os("KGEN_PICTURE").is_some() {
        std::fs::write(FILE, &drawn).unwrap();
    }
    assert!(drawn.len() < 200 << 10, "{} bytes", drawn.len());
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(kept == drawn, "docs/images/screen.svg is old: KGEN_PICTURE=1 cargo test --lib picture");
}

fn ink(color: Color) -> &'static str {
    match color {
        Color::Green => "#7fc47f",
        Color::Yellow => "#e0b050",
        Color::LightRed => "#ff7b72",
        Color::DarkGray => "#8b93a1",
        Color::LightMagenta => "#d2a8ff",
        Color::LightCyan => "#67d4e0",
        Color::LightYellow => "#f2cc60",
        Color::LightGreen => "#9be29b",
        _ => "#e6e9ee",
    }
}

fn picture(buffer: &Buffer) -> String {
    let (width, height) = (f64::from(SIZE.0) * CELL.0 + 2.0 * MARGIN, f64::from(SIZE.1) * CELL.1 + 2.0 * MARGIN);
    let mut texts = Group::new()
        .set("font-family", "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace")
        .set("font-size", 14);
    let mut strokes: Vec<(Color, String)> = Vec::new();
    for row in buffer.area.rows() {
        let y = MARGIN + f64::from(row.y) * CELL.1;
        let cells: Vec<(f64, &Cell)> =
            row.columns().map(|cell| (MARGIN + f64::from(cell.x) * CELL.0, &buffer[(cell.x, cell.y)])).collect();
        for (x, cell) in &cells {
            if let Some(shape) = shape(cell.symbol(), *x, y) {
                match strokes.iter_mut().find(|(color, _)| *color == cell.fg) {
                    Some((_, path)) => path.push_str(&shape),
                    None => strokes.push((cell.fg, shape)),
                }
            }
        }
        // Letters of one look that stand together are one text.
        let is_text = |cell: &Cell| cell.symbol() != " " && shape(cell.symbol(), 0.0, 0.0).is_none();
        let mut i = 0;
        while i < cells.len() {
            let (x, first) = cells[i];
            if !is_text(first) {
                i += 1;
                continue;
            }
            let alike = |cell: &Cell| cell.fg == first.fg && cell.modifier == first.modifier;
            let count = cells[i..].iter().take_while(|(_, cell)| is_text(cell) && alike(cell)).count();
            let text: String = cells[i..i + count].iter().map(|(_, cell)| cell.symbol()).collect();
            let mut element = Text::new(text)
                .set("x", number(x))
                .set("y", number(y + CELL.1 * 0.75))
                .set("fill", ink(first.fg))
                .set("textLength", number(CELL.0 * count as f64))
                .set("lengthAdjust", "spacingAndGlyphs");
            if first.modifier.contains(Modifier::BOLD) {
                element = element.set("font-weight", "bold");
            }
            texts = texts.add(element);
            i += count;
        }
    }
    let mut document = Document::new()
        .set("viewBox", (0, 0, width.ceil() as i64, height.ceil() as i64))
        .set("role", "img")
        .add(Title::new(
            "kgen's screen at the end of a demo: brokers, load, charts with marks, the finding and its fix",
        ))
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("rx", 8).set("fill", PAPER));
    for (color, path) in strokes {
        document = document.add(Path::new().set("d", path).set("fill", ink(color)));
    }
    document.add(texts).to_string() + "\n"
}

/// A number with one digit, or none.
fn number(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn rectangle(x: f64, y: f64, width: f64, height: f64) -> String {
    let (x, y, width, height) = (number(x), number(y), number(width), number(height));
    format!("M{x} {y}h{width}v{height}h-{width}z")
}

/// What is no letter is drawn, so that it looks alike with every font: bars, rules, the dots of Braille.
fn shape(symbol: &str, x: f64, y: f64) -> Option<String> {
    let (width, height) = CELL;
    let (middle, centre) = (y + height / 2.0, x + width / 2.0);
    let across = || rectangle(x, middle - 0.5, width, 1.0);
    let down = || rectangle(centre - 0.5, y, 1.0, height);
    Some(match symbol.chars().next()? {
        '█' => rectangle(x, y + 2.0, width, height - 4.0),
        '░' => (0..4).map(|i| rectangle(x + f64::from(i) * 2.1, y + 2.0, 0.6, height - 4.0)).collect(),
        '─' => across(),
        '│' => down(),
        '┊' => (0..3).map(|i| rectangle(centre - 0.5, y + 1.5 + f64::from(i) * height / 3.0, 1.0, 2.5)).collect(),
        '┤' => down() + &rectangle(x, middle - 0.5, width / 2.0, 1.0),
        '└' => rectangle(centre - 0.5, y, 1.0, height / 2.0) + &rectangle(centre, middle - 0.5, width / 2.0, 1.0),
        '•' => rectangle(centre - 1.5, middle - 1.5, 3.0, 3.0),
        dots @ '\u{2801}'..='\u{28ff}' => {
            let bits = dots as u32 - 0x2800;
            // Bit and place of each dot: column, row.
            let places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
            let lit = places.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0);
            lit.map(|(_, (column, row))| {
                let (dx, dy) = (f64::from(*column) * width / 2.0, f64::from(*row) * height / 4.0);
                rectangle(x + dx + 0.8, y + dy + 0.9, 2.6, 2.4)
            })
            .collect()
        }
        _ => return None,
    })
}
