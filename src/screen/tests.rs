//! Drawn frames, as they are to look.

mod picture;

use std::io::Read as _;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};

use super::{
    draw::draw,
    lines::{Lines, TextLine},
    model::Model,
    palette::Palette,
    view::{Replay, View},
};
use crate::{
    diagnose::{Context, Verdict},
    run::{Covered, Entry, Event, Observed, Run},
    sample::{BrokerSample, BrokerState, Sample},
};

const PLAIN: Palette = Palette { is_coloured: false };
const COLOURED: Palette = Palette { is_coloured: true };

/// The demo in tests/runs.
pub fn demo() -> Run {
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/demo.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Run::parse(&text).unwrap()
}

/// What comes out of an ignored test of this program that is run in a terminal of its own. It must succeed, and leave the
/// terminal's settings as they were.
pub fn in_a_terminal(test: &str) -> String {
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
    let before = format!("{:?}", pair.master.get_termios());
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env("TERM", "xterm");
    let mut child = pair.slave.spawn_command(command).unwrap();
    let mut reader = pair.master.try_clone_reader().unwrap();
    let text = std::thread::spawn(move || {
        let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
        // The test harness says this last.
        while !String::from_utf8_lossy(&text).contains("test result:") {
            match reader.read(&mut bytes) {
                Ok(count @ 1..) => text.extend_from_slice(&bytes[..count]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = child.wait().unwrap();
    let text = text.join().unwrap();
    assert!(status.success(), "{text:?}");
    assert_eq!(format!("{:?}", pair.master.get_termios()), before);
    text
}

/// `run` as it was so many seconds after its beginning.
fn at(run: &Run, seconds: f64) -> Model {
    let mut model = Model::new(&run.head);
    for entry in &run.entries {
        if run.seconds_at(entry.at.as_millisecond()) <= seconds {
            model.take(entry);
        }
    }
    model.now = seconds;
    model
}

/// A cluster of `count` brokers, watched for two minutes, each busier than the one before.
fn many(count: i32) -> Model {
    let run = demo();
    let mut model = Model::new(&run.head);
    for i in 0..60 {
        let broker = |id: i32| BrokerSample {
            state: if id == 2 { BrokerState::Unreachable } else { BrokerState::Serving },
            cpu_user_percent: (id != 2).then_some(f64::from(10 + id * 2 + i % 3)),
            cpu_system_percent: (id != 2).then_some(5.0),
            bytes_in_per_s: Some(f64::from(id) * 1e6),
            under_replicated_partitions: Some(u64::from(id == 3)),
            ..BrokerSample::default()
        };
        let at_ms = run.head.started.as_millisecond() + i64::from(i) * 2000;
        let cluster = Context {
            cluster: "orders".into(),
            region: "eu-central-1".into(),
            broker_type: Some("kafka.m5.large".into()),
            broker_count: count as u32,
            state: Some("ACTIVE".into()),
            ..Context::default()
        };
        let brokers = (1..=count).map(|id| (id, broker(id))).collect();
        let sample = Sample { at_ms, brokers, ..Sample::default() };
        let observed = Observed { cluster, sample, verdict: Some(Verdict::Inconclusive), findings: Vec::new() };
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap();
        model.take(&Entry { at, event: Event::Sample(Box::new(observed)) });
    }
    model.lab_scale = None;
    model
}

fn frame(model: &Model, view: &View, palette: Palette, size: (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(model, view, palette, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn drawn(model: &Model, view: &View, size: (u16, u16)) -> String {
    text(&frame(model, view, PLAIN, size))
}

fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.area.rows() {
        let line: String = row.columns().map(|cell| buffer[(cell.x, cell.y)].symbol().to_owned()).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

const NARROW: (u16, u16) = (80, 24);
const WIDE: (u16, u16) = (160, 50);

/// Seconds of the demo: nothing seen yet, under load without a name for it, named, after the fix, its end.
const MOMENTS: [(&str, f64); 4] = [("start", 10.0), ("undersized", 75.0), ("fixed", 186.0), ("verified", 235.0)];

#[test]
fn frames_of_the_demo() {
    let run = demo();
    for (name, seconds) in MOMENTS {
        let model = at(&run, seconds);
        for (width, size) in [("80", NARROW), ("160", WIDE)] {
            insta::assert_snapshot!(format!("{name}_{width}"), drawn(&model, &View::new(None), size));
        }
    }
}

#[test]
fn frames_of_a_replay_with_a_broker_chosen_the_help_and_other_charts() {
    let run = demo();
    let model = at(&run, 120.0);
    let replay = Replay { speed: 8.0, length: 251.0, is_over: false };
    let view = View { selected: Some(2), page: 1, is_paused: true, ..View::new(Some(replay)) };
    insta::assert_snapshot!("replay_80", drawn(&model, &view, NARROW));
    insta::assert_snapshot!("help_80", drawn(&model, &View { is_help_shown: true, ..view }, NARROW));
}

#[test]
fn frames_of_many_brokers() {
    insta::assert_snapshot!("nine_80", drawn(&many(9), &View::new(None), NARROW));
    insta::assert_snapshot!("thirty_80", drawn(&many(30), &View { selected: Some(17), ..View::new(None) }, NARROW));
    insta::assert_snapshot!("thirty_160", drawn(&many(30), &View::new(None), WIDE));
}

/// A cluster seen from outside at the monitoring level DEFAULT.
fn half_seen() -> Model {
    let mut model = many(3);
    let lacking = [
        "not seen: time that produce requests are throttled (ProduceThrottleTime), so not assessed: client.quota-throttled \
         (not published at monitoring level DEFAULT; to enable it: monitoring level PER_BROKER)",
        "not seen: leaders and replicas of partitions, so not assessed: leaders.not-preferred, leaders.placement-skew \
         (kafka:ListTopics is not allowed; to enable it: allow kafka:ListTopics)",
    ];
    let covered = Covered { assessed: 17, of: 20, lacking: lacking.map(str::to_owned).to_vec() };
    let at = jiff::Timestamp::from_millisecond(demo().head.started.as_millisecond() + 120_000).unwrap();
    model.take(&Entry { at, event: Event::Coverage(covered) });
    model
}

#[test]
fn frames_of_the_coverage() {
    let mut model = half_seen();
    (model.lab_scale, model.out_of_sync) = (Some(4.0), Some((2, 36)));
    insta::assert_snapshot!("coverage_line_80", drawn(&model, &View::new(None), NARROW));
    let view = View { is_coverage_shown: true, ..View::new(None) };
    insta::assert_snapshot!("coverage_80", drawn(&model, &view, NARROW));
    // What does not fit is said to be there.
    let small = drawn(&model, &view, (60, 8));
    assert!(small.contains("kgen diagnose"), "{small}");
    assert!(drawn(&many(3), &view, NARROW).contains("not known before"));
}

#[test]
fn the_summary_of_lines_has_the_coverage() {
    let run = demo();
    let mut lines = Lines::new(&run.head, PLAIN);
    let covered = Covered { assessed: 17, of: 20, lacking: vec!["not seen: heap".to_owned()] };
    lines.of(&Entry { at: run.head.started, event: Event::Coverage(covered) });
    let summary = texts(&lines.summary()).join("\n");
    assert!(summary.contains("17 of 20 causes assessed") && summary.contains("not seen: heap"), "{summary}");
}

#[test]
fn frames_of_small_terminals() {
    let model = at(&demo(), 75.0);
    for size in [(20, 3), (39, 30), (40, 8), (60, 16), (100, 12)] {
        insta::assert_snapshot!(format!("small_{}x{}", size.0, size.1), drawn(&model, &View::new(None), size));
    }
}

#[test]
fn every_size_and_every_moment_can_be_drawn() {
    let run = demo();
    let models: Vec<Model> =
        [0.0, 31.0, 75.0, 250.0].iter().map(|s| at(&run, *s)).chain([many(1), many(30), half_seen()]).collect();
    for model in &models {
        for width in (1..200).step_by(7) {
            for height in (1..60).step_by(3) {
                for (is_help_shown, is_coverage_shown) in [(false, false), (true, false), (false, true)] {
                    let view = View { is_help_shown, is_coverage_shown, page: 1, ..View::new(None) };
                    frame(model, &view, PLAIN, (width, height));
                }
            }
        }
    }
}

#[test]
fn colours_add_nothing_that_letters_do_not_say() {
    let model = at(&demo(), 235.0);
    for size in [NARROW, WIDE] {
        let (plain, coloured) =
            (frame(&model, &View::new(None), PLAIN, size), frame(&model, &View::new(None), COLOURED, size));
        assert_eq!(text(&plain), text(&coloured));
        let has_colour =
            |buffer: &Buffer| buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert!(!has_colour(&plain) && has_colour(&coloured));
    }
}

#[test]
fn a_run_of_the_lab_says_so_in_every_size() {
    let model = at(&demo(), 75.0);
    for size in [NARROW, WIDE, (40, 8), (100, 12)] {
        let text = drawn(&model, &View::new(None), size);
        assert!(text.contains("lab, scale 1:4"), "{text}");
    }
    assert!(!drawn(&many(3), &View::new(None), NARROW).contains("lab"));
}

#[test]
fn lines_of_the_demo_and_its_summary() {
    let run = demo();
    let mut lines = Lines::new(&run.head, PLAIN);
    let told: Vec<String> = run.entries.iter().flat_map(|entry| texts(&lines.of(entry))).collect();
    // The time of day depends on where this runs.
    let is_change =
        |line: &&String| !line.contains("serving") && !line.contains(" load: ") && !line.starts_with("time ");
    let changes: Vec<String> =
        told.iter().filter(is_change).map(|line| line.get(8..).unwrap_or_default().to_owned()).collect();
    insta::assert_snapshot!("lines", [changes, texts(&lines.summary())].concat().join("\n"));
}

fn texts(lines: &[TextLine]) -> Vec<String> {
    lines.iter().map(|line| line.styled(str::to_owned)).collect()
}
