//! Findings with the command that fixes each, and messages of the run. Wrapped, never cut.

use ratatui::text::{Line, Span};

use super::{
    chart::clock,
    model::{Model, Shown},
    palette::Palette,
};

/// The newest findings, in as many lines as there may be; the newest is at the top.
pub fn findings(model: &Model, width: usize, height: usize, palette: Palette) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for shown in model.findings.iter().rev() {
        let mut block = finding(shown, width, palette);
        if lines.is_empty() && block.len() > height {
            block = compact(shown, width, palette);
        }
        // One that would be cut is not begun, unless it is the only one.
        if !lines.is_empty() && lines.len() + block.len() > height {
            break;
        }
        lines.extend(block);
    }
    shortened(lines, height)
}

/// What to do matters more than what it is called.
fn compact(shown: &Shown, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let text = match (shown.is_healthy(), &shown.summary) {
        (true, _) => format!("+ {}", shown.id),
        (_, Some(_)) => format!("! {}, fix: {}", shown.id, shown.command),
        (_, None) => format!("? {}, see: {}", shown.id, shown.command),
    };
    wrapped(&text, width.saturating_sub(1), 2).into_iter().map(|line| Line::styled(line, palette.heading())).collect()
}

/// As many lines as there is room for; an ellipsis says that there were more.
fn shortened(mut lines: Vec<Line<'static>>, height: usize) -> Vec<Line<'static>> {
    if lines.len() > height {
        lines.truncate(height);
        if let Some(last) = lines.last_mut() {
            last.push_span("…");
        }
    }
    lines
}

fn finding(shown: &Shown, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let (sign, style) = match () {
        () if shown.is_healthy() => ('+', palette.good()),
        () if shown.summary.is_some() => ('!', palette.bad()),
        () => ('?', palette.warning()),
    };
    let head = format!("{sign} {} {}: {} ({})", clock(shown.at), shown.id, shown.title, shown.subject);
    let mut lines: Vec<Line> = wrapped(&head, width, 2).into_iter().map(|line| Line::styled(line, style)).collect();
    if !shown.is_healthy() {
        let name = if shown.summary.is_some() { "fix" } else { "see" };
        for (i, line) in wrapped(&format!("  {name}: {}", shown.command), width, 7).into_iter().enumerate() {
            let (label, command) = line.split_at(if i == 0 { 7.min(line.len()) } else { 0 });
            lines.push(Line::from(vec![
                Span::raw(label.to_owned()),
                Span::styled(command.to_owned(), palette.heading()),
            ]));
        }
    }
    lines
}

/// The latest notes that fit, the newest at the bottom.
pub fn notes(model: &Model, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line> = Vec::new();
    for (at, text) in model.notes.iter().rev() {
        let time = clock(*at);
        // A cell is kept for the ellipsis.
        let block = wrapped(&format!("{time:>6}  {text}"), width.saturating_sub(1), 8);
        if lines.len() + block.len() > height && !lines.is_empty() {
            break;
        }
        let block = block.into_iter().map(Line::raw).collect();
        lines.splice(0..0, shortened(block, height));
    }
    lines
}

/// `text` in lines of at most `width` cells; all but the first begin with `indent` blanks. Words that are longer than a
/// line are broken.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(indent + 8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut is_begun = false;
    for word in text.split_inclusive(' ') {
        let mut word = word;
        if is_begun && cells(&line) + cells(word.trim_end()) > width {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent);
        }
        while cells(&line) + cells(word.trim_end()) > width {
            let room = width - cells(&line);
            let mut used = 0;
            let cut = word.char_indices().find(|(_, c)| {
                used += cells(c.encode_utf8(&mut [0; 4]));
                used > room
            });
            let cut = cut.map_or(word.len(), |(at, _)| at);
            line += &word[..cut];
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            word = &word[cut..];
        }
        line += word;
        is_begun = is_begun || !word.trim().is_empty();
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Cells that `text` takes.
pub fn cells(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_wrapped_at_words() {
        let check = |text: &str, width, expected: &[&str]| assert_eq!(wrapped(text, width, 2), expected);
        check("one two three", 20, &["one two three"]);
        check("one two three four", 10, &["one two", "  three", "  four"]);
        check("arn:aws:kafka:us-west-2", 12, &["arn:aws:kafk", "  a:us-west-", "  2"]);
        check("", 10, &[]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_too_wide(text in "[a-zäé中 ]{0,80}", width in 12usize..40) {
            let lines = wrapped(&text, width, 3);
            prop_assert!(lines.iter().all(|line| cells(line) <= width), "{lines:?}");
            let squeezed = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeezed(&lines.concat()), squeezed(&text));
        }
    }
}
