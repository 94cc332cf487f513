//! One frame: header, brokers, load, charts, findings, notes, keys. What does not fit is left out from the bottom.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::{Block, Clear, Widget as _},
};

use super::{
    chart::{self, Chart, clock, letter, short},
    findings::{cells, findings, notes, wrapped},
    model::Model,
    palette::Palette,
    plots::plots,
    table,
    view::View,
};
use crate::{diagnose::Verdict, sample::LoadSample};

/// Below this there is room for one sentence only.
const MIN_WIDTH: u16 = 40;
const MIN_HEIGHT: u16 = 8;

/// What stands over all is this wide at most.
const POPUP_WIDTH: u16 = 72;

/// What one chart wants.
const CHART_WIDTH: u16 = 39;
const CHART_HEIGHT: u16 = 9;

/// Draws `model` as `view` looks at it.
pub fn draw(model: &Model, view: &View, palette: Palette, frame: &mut Frame) {
    let area = frame.area();
    draw_in(model, view, palette, area, frame.buffer_mut());
}

fn draw_in(model: &Model, view: &View, palette: Palette, area: Rect, buffer: &mut Buffer) {
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        return too_small(model, palette, area, buffer);
    }
    let mut from_top = Stack { left: area };
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    for line in header(model, view, palette, usize::from(area.width)) {
        from_top.line(line, buffer);
    }
    footer(model, view, palette, usize::from(area.width)).render(last, buffer);
    from_top.left.height -= 1;
    let body = from_top.left.height;

    let width = usize::from(area.width);
    let load = model.load.map(|load| load_lines(model, &load, width, palette)).unwrap_or_default();
    let count = model.brokers.len() as u16;
    let charts = plots(model, view);
    let is_tall = body >= 30;
    let finding_room = if is_tall { 9 } else { (body / 5).clamp(1, 3) };
    let findings = findings(model, width, usize::from(finding_room), palette);
    let note_room = if is_tall { (body / 6).clamp(5, 8) } else { (body / 9).min(2) };
    let notes = notes(model, width, usize::from(note_room));
    let air = u16::from(is_tall);
    // Charts of many brokers' cluster give way to the brokers, but not below what one row of charts needs.
    let beside = [load.len(), findings.len(), notes.len()].iter().sum::<usize>() as u16 + 3 * air + 1;
    let room = body.saturating_sub(beside);
    let wanted = if is_tall { CHART_HEIGHT + 3 } else { CHART_HEIGHT };
    let most = if room < count + chart::MIN_HEIGHT && room < wanted {
        room
    } else {
        (body / 3).max(room.saturating_sub(wanted))
    };
    let rows = if count > most { most.saturating_sub(1).max(2) } else { count };

    if model.brokers.is_empty() {
        from_top.line(Line::styled(waiting(model), palette.faint()), buffer);
    } else {
        brokers(model, view, palette, rows, &mut from_top, buffer);
    }
    for line in load {
        from_top.line(line, buffer);
    }
    from_top.skip(air);

    // From below: notes, above them the findings; between them and the table the charts.
    for (lines, air) in [(notes, air), (findings, air)] {
        let height = (lines.len() as u16).min(from_top.left.height);
        let place = Rect { y: from_top.left.bottom() - height, height, ..from_top.left };
        for (row, line) in place.rows().zip(lines) {
            line.render(row, buffer);
        }
        from_top.left.height = from_top.left.height.saturating_sub(if height > 0 { height + air } else { 0 });
    }
    draw_charts(&charts, view, palette, from_top.left, buffer);
    if view.is_help_shown {
        help(view, palette, area, buffer);
    } else if view.is_coverage_shown {
        coverage(model, palette, area, buffer);
    }
}

/// Lines from the top on.
struct Stack {
    left: Rect,
}

impl Stack {
    fn line(&mut self, line: Line<'_>, buffer: &mut Buffer) {
        if self.left.height > 0 {
            line.render(Rect { height: 1, ..self.left }, buffer);
            self.skip(1);
        }
    }

    fn skip(&mut self, rows: u16) {
        let rows = rows.min(self.left.height);
        self.left = Rect { y: self.left.y + rows, height: self.left.height - rows, ..self.left };
    }
}

fn too_small(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let cpu = model.brokers.values().filter_map(crate::sample::BrokerSample::cpu_percent).max_by(f64::total_cmp);
    let cpu = cpu.map(|cpu| format!(" CPU {cpu:.0}%")).unwrap_or_default();
    let verdict = verdict(model, palette);
    let text = format!("{}{cpu}", verdict.content);
    let width = usize::from(area.width);
    let mut lines = wrapped(&text, width, 0);
    let room = usize::from(area.height).saturating_sub(lines.len());
    let hints = [format!("enlarge to {MIN_WIDTH}x{MIN_HEIGHT} to see more; q quits"), "q quits".to_owned()];
    let hint = hints.iter().map(|hint| wrapped(hint, width, 0)).find(|hint| hint.len() <= room);
    lines.extend(hint.unwrap_or_default());
    for (row, line) in area.rows().zip(lines) {
        Span::raw(line).render(row, buffer);
    }
}

fn verdict(model: &Model, palette: Palette) -> Span<'static> {
    match model.verdict {
        Some(Verdict::Healthy) => Span::styled("[+] healthy", palette.good()),
        Some(Verdict::CauseFound) => Span::styled("[!] cause found", palette.bad()),
        Some(Verdict::Inconclusive) => Span::styled("[?] inconclusive", palette.warning()),
        None => Span::styled("[ ] not judged yet", palette.faint()),
    }
}

/// Who and where; lab, verdict and time; marks.
fn header(model: &Model, view: &View, palette: Palette, width: usize) -> Vec<Line<'static>> {
    let mut what = format!("kgen {}", model.command);
    let mut facts = Vec::new();
    if let Some(name) = model.name() {
        what += &format!(" {name}");
    }
    if let Some(cluster) = &model.cluster {
        if let Some(broker_type) = &cluster.broker_type {
            facts.push(format!("{} x {broker_type}", cluster.broker_count));
        }
        facts.extend(cluster.kafka_version.iter().map(|version| format!("Kafka {version}")));
        facts.push(cluster.region.clone());
        facts.extend(cluster.state.clone());
    }
    if view.replay.is_some() {
        facts.push(format!("run {}", model.id));
    }
    // What has no room is left out from the end.
    while !facts.is_empty() && cells(&what) + facts.iter().map(|fact| cells(fact) + 2).sum::<usize>() > width {
        facts.pop();
    }
    let facts: String = facts.iter().map(|fact| format!(", {fact}")).collect();
    let first = Line::from(vec![Span::styled(what, palette.heading()), Span::raw(facts.replacen(',', ":", 1))]);

    let mut left = Vec::new();
    if let Some(scale) = model.lab_scale {
        left.push(Span::styled(format!("lab, scale 1:{scale}"), palette.warning()));
        left.push(Span::raw("  "));
    }
    left.push(verdict(model, palette));
    if let Some((behind, all)) = model.out_of_sync {
        left.push(Span::raw(format!("  {}/{all} in sync", all - behind)));
    }
    if let Some(coverage) = &model.coverage {
        left.push(Span::raw(format!("  {}/{} causes", coverage.assessed, coverage.of)));
    }
    let right = match view.replay {
        Some(replay) => {
            let state = match (replay.is_over, view.is_paused) {
                (true, _) => "ended ",
                (false, true) => "paused ",
                (false, false) => "",
            };
            format!("replay x{} {state}{}/{}", speed(replay.speed), clock(model.now), clock(replay.length))
        }
        None => format!("{}{}", if view.is_paused { "paused " } else { "" }, clock(model.now)),
    };
    let second = spread(left, right, width);

    let mut lines = vec![first, second];
    if !model.marks.is_empty() {
        let mut spans = Vec::new();
        let mut used = 0;
        for marked in &model.marks {
            let rest = format!(" {} {}", marked.mark.name(), clock(marked.at));
            if used + rest.len() + 3 > width {
                break;
            }
            used += rest.len() + 3;
            spans.push(Span::styled(letter(marked.mark).to_string(), palette.mark()));
            spans.push(Span::raw(rest));
            spans.push(Span::raw("  "));
        }
        spans.pop();
        lines.push(Line::from(spans));
    }
    lines
}

fn speed(speed: f64) -> String {
    if speed >= 1.0 { format!("{speed:.0}") } else { format!("{speed}") }
}

/// `left` at the left, `right` at the right; where both have no room, `right` gives way.
fn spread(left: Vec<Span<'static>>, right: String, width: usize) -> Line<'static> {
    let used: usize = left.iter().map(Span::width).sum();
    let mut spans = left;
    if used + cells(&right) < width {
        spans.push(Span::raw(" ".repeat(width - used - cells(&right))));
        spans.push(Span::raw(right));
    }
    Line::from(spans)
}

fn waiting(model: &Model) -> String {
    match &model.end {
        Some(_) => "no broker was observed".to_owned(),
        None if model.load.is_some() => "no broker data yet".to_owned(),
        None => "waiting for the first sample of the brokers".to_owned(),
    }
}

fn brokers(model: &Model, view: &View, palette: Palette, rows: u16, stack: &mut Stack, buffer: &mut Buffer) {
    let rows = usize::from(rows);
    let count = model.brokers.len();
    let selected = view.selected.and_then(|id| model.brokers.keys().position(|broker| *broker == id));
    let first = selected.map_or(0, |place| place.saturating_sub(rows / 2)).min(count.saturating_sub(rows));
    let shown = model.brokers.iter().skip(first).take(rows);
    let (heading, lines) = table::lines(shown, usize::from(stack.left.width), view, palette);
    stack.line(heading, buffer);
    for line in lines {
        stack.line(line, buffer);
    }
    if rows < count {
        let mut busiest: Vec<_> =
            model.brokers.iter().filter_map(|(id, broker)| Some((*id, broker.cpu_percent()?))).collect();
        busiest.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut text = format!("{} to {} of {count} brokers", first + 1, first + rows);
        for (i, (id, cpu)) in busiest.iter().take(3).enumerate() {
            let next = format!("{} {id} ({cpu:.0}%)", if i == 0 { "; busiest:" } else { "," });
            if cells(&text) + cells(&next) > usize::from(stack.left.width) {
                break;
            }
            text += &next;
        }
        stack.line(Line::styled(text, palette.faint()), buffer);
    }
}

fn load_lines(model: &Model, load: &LoadSample, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let ms = |time: Option<f64>| time.map_or("none".to_owned(), |ms| format!("{} ms", short(ms)));
    let is_behind = load.acknowledged_per_s < load.offered_per_s * 0.95;
    let mut text = format!(
        "load: {}/s due, {}/s acked{}, {} open, p50 {}, p99 {}",
        short(load.offered_per_s),
        short(load.acknowledged_per_s),
        if is_behind { "!" } else { "" },
        short(load.outstanding as f64),
        ms(load.p50_ms),
        ms(load.p99_ms)
    );
    if let Some(failed) = model.latest_load.map(|second| second.failed).filter(|failed| *failed > 0) {
        text += &format!(", {} failed!", short(failed as f64));
    }
    if load.generator_bound {
        text += ", generator bound!";
    }
    let style = if text.contains('!') { palette.warning() } else { ratatui::style::Style::new() };
    wrapped(&text, width, 6).into_iter().map(|line| Line::styled(line, style)).collect()
}

/// How many charts fit beside and below each other.
fn grid(area: Rect, count: usize) -> (u16, u16) {
    let count = count.max(1) as u16;
    let columns = (area.width / CHART_WIDTH).clamp(1, 4).min(count);
    let rows = (area.height / CHART_HEIGHT).max(1).min(count.div_ceil(columns));
    (columns, rows)
}

fn draw_charts(charts: &[Chart], view: &View, palette: Palette, area: Rect, buffer: &mut Buffer) {
    if area.height < chart::MIN_HEIGHT || charts.is_empty() {
        return;
    }
    let (columns, rows) = grid(area, charts.len());
    let fits = usize::from(columns * rows);
    let pages = charts.len().div_ceil(fits);
    // The last page is full too.
    let first = (view.page % pages * fits).min(charts.len().saturating_sub(fits));
    let (width, height) = ((area.width + 1) / columns, area.height / rows);
    for (i, chart) in charts.iter().skip(first).take(fits).enumerate() {
        let (column, row) = (i as u16 % columns, i as u16 / columns);
        // A column between two charts stays free.
        let place = Rect { x: area.x + column * width, y: area.y + row * height, width: width - 1, height };
        chart.draw(place.intersection(area), palette, buffer);
    }
}

fn footer(model: &Model, view: &View, palette: Palette, width: usize) -> Line<'static> {
    let who = match view.selected {
        Some(id) => format!("broker {id}"),
        None => "all brokers".to_owned(),
    };
    let quit = if view.replay.is_some() || model.command == "watch" { "q quit" } else { "q close" };
    let mut keys = vec![quit.to_owned(), "? help".to_owned(), "space pause".to_owned()];
    if view.replay.is_some() {
        keys.extend(["+- speed".to_owned(), "←→ seek".to_owned()]);
    }
    keys.push("c charts".to_owned());
    keys.extend(model.coverage.iter().map(|_| "v causes".to_owned()));
    keys.extend([format!("w {}", view.window_name()), format!("↑↓ {who}")]);
    while keys.len() > 1 && cells(&keys.join("  ")) > width {
        keys.pop();
    }
    Line::styled(keys.join("  "), palette.faint())
}

const HELP: &[(&str, &str)] = &[
    ("q, Esc", "close the screen (watch, replay: quit; other commands continue)"),
    ("Ctrl-C", "interrupt the command"),
    ("space", "freeze the screen; recording continues"),
    ("↑ ↓ Tab", "select a broker; a: all of them combined"),
    ("c", "other charts"),
    ("v", "causes: how many were assessed, which were not, and why"),
    ("w", "time span of the charts: 2 min, 15 min, 1 h, all"),
];

const HELP_REPLAY: &[(&str, &str)] =
    &[("+ -", "faster, slower"), ("← →", "10 s back, on; PgUp PgDn: 60 s"), ("Home End", "go to the start, the end")];

const HELP_SIGNS: &[(&str, &str)] = &[
    ("held", "share of the time in which the CPU limit throttled it"),
    ("q l r s", "produce time: queue, local, remote (followers), send"),
    ("URP", "under-replicated partitions"),
    ("O S N F V", "onset, seen, named, fixed, verified"),
];

fn help(view: &View, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let replay = if view.replay.is_some() { HELP_REPLAY } else { &[] };
    let rows: Vec<_> = HELP.iter().chain(replay).chain(HELP_SIGNS).collect();
    let width = POPUP_WIDTH.min(area.width);
    let mut lines = Vec::new();
    for (key, meaning) in rows {
        let text = format!("{key:<10} {meaning}");
        for line in wrapped(&text, usize::from(width) - 4, 11) {
            let (key, meaning) = line.split_at(line.char_indices().nth(10).map_or(line.len(), |(at, _)| at));
            lines
                .push(Line::from(vec![Span::styled(key.to_owned(), palette.heading()), Span::raw(meaning.to_owned())]));
        }
    }
    over_all(" keys and symbols ", lines, palette, area, buffer);
}

/// What the samples can show and what they cannot, with the reasons.
fn coverage(model: &Model, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(POPUP_WIDTH.min(area.width)) - 4;
    let mut lines = Vec::new();
    match &model.coverage {
        None => lines.extend(wrapped("not known before there are enough samples", width, 0)),
        Some(coverage) => {
            lines.extend(wrapped(&coverage.summary(), width, 0));
            lines.extend(coverage.lacking.iter().flat_map(|line| wrapped(&format!("- {line}"), width, 2)));
        }
    }
    let room = usize::from(area.height.saturating_sub(2));
    if lines.len() > room && room > 0 {
        lines.truncate(room - 1);
        lines.push("… (all of it: kgen diagnose)".to_owned());
    }
    over_all(" causes ", lines.into_iter().map(Line::raw).collect(), palette, area, buffer);
}

/// Lines in a frame in the middle, over what is there.
fn over_all(title: &'static str, lines: Vec<Line<'static>>, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let width = POPUP_WIDTH.min(area.width);
    let height = (lines.len() as u16 + 2).min(area.height);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().title(title).title_style(palette.heading());
    let inner = block.inner(place);
    block.render(place, buffer);
    for (row, line) in inner.rows().zip(lines) {
        line.render(Rect { x: row.x + 1, width: row.width.saturating_sub(2), ..row }, buffer);
    }
}
