//! Both forms of the report over the run of tests/runs, over parts of it, and over one whose every name is hostile.

use std::io::Read as _;

use super::Page;
use crate::run::Run;

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

fn record() -> String {
    String::from_utf8(unpacked(include_bytes!("../../tests/runs/demo.jsonl.gz"))).unwrap()
}

fn times() -> Vec<u8> {
    unpacked(include_bytes!("../../tests/runs/demo.hlog.gz"))
}

/// The page without its style, its drawings' strokes and its data: what a person reads.
fn told(html: &str) -> String {
    let mut told = String::new();
    for line in html.lines().map(str::trim) {
        let is_drawing =
            ["<line", "<path", "<rect", "<circle", "<text", "<g>", "</g>", "<pattern", "</pattern", "<defs", "</defs"];
        if !line.is_empty() && !line.starts_with("<script") && !is_drawing.iter().any(|start| line.starts_with(start)) {
            told += line;
            told.push('\n');
        }
    }
    let (head, rest) = told.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    format!("{}<style></style>{body}", head.split_once("sha256-").map_or(head, |(before, _)| before))
}

#[test]
fn a_demo_is_told_as_a_page() {
    let run = Run::parse(&record()).unwrap();
    insta::assert_snapshot!(told(&Page::of(&run, &times()).html().unwrap()));
}

#[test]
fn a_demo_is_told_as_markdown() {
    let run = Run::parse(&record()).unwrap();
    insta::assert_snapshot!(Page::of(&run, &times()).markdown());
}

#[test]
fn the_page_is_whole_and_names_the_lab_at_its_head() {
    let run = Run::parse(&record()).unwrap();
    let html = Page::of(&run, &times()).html().unwrap();
    assert!(html.starts_with("<!DOCTYPE html>"), "{}", &html[..100]);
    let (header, _) = html.split_once("</header>").unwrap();
    assert!(header.contains("lab, scale 1:4") && header.contains("(lab, scale 1:4)</title>"));
    let (_, data) = html.split_once("id=\"kgen-run\">").unwrap();
    let data: serde_json::Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["entries"].as_array().unwrap().len(), run.entries.len());
    assert_eq!(data["comparison"]["proof"]["conclusion"], "improved");
    for outside in ["http:", "https:", "src=", "@import", "<link"] {
        // The namespace of SVG is a name, not an address that is asked.
        let html = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!html.contains(outside), "{outside}");
    }
    // Every chart says what it is.
    assert_eq!(html.matches("<svg").count(), html.matches("<desc").count());
}

/// Every sentence of the record ends in what a hostile topic, cluster or tag could be called.
#[test]
fn hostile_names_stay_names() {
    const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=y>|`](x)@all\u{2028}";
    let mut lines: Vec<serde_json::Value> = record().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    fn spoil(value: &mut serde_json::Value, key: &str) {
        match value {
            serde_json::Value::String(text) if !KEPT.contains(&key) => *text += HOSTILE,
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, key)),
            serde_json::Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| spoil(value, key)),
            _ => {}
        }
    }
    /// Times and words of a fixed set, without which a line could not be read.
    const KEPT: &[&str] = &["schema", "at", "event", "started", "mark", "state", "source", "name"];
    lines.iter_mut().for_each(|line| spoil(line, ""));
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let run = Run::parse(&text.join("\n")).unwrap();
    assert!(run.unreadable.is_empty() && run.samples().next().is_some(), "{:?}", run.unreadable);
    let report = Page::of(&run, &[]);
    let html = report.html().unwrap();
    assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (1, 1));
    assert!(!html.contains("<img") && !html.contains("onerror=y>"));
    assert!(html.contains("&lt;script&gt;alert(1)"));
    let markdown = report.markdown();
    let mut in_block = false;
    for line in markdown.lines() {
        in_block ^= line.starts_with("```");
        let is_markup = line.contains("<script") || line.contains("<img") || line.contains("@all");
        assert!(in_block || line.contains('`') || !is_markup, "{line}");
    }
}

/// What is not there is said, and there is no chart without a line.
#[test]
fn a_smaller_run_gives_a_smaller_report() {
    let whole = record();
    let check = |keep: &dyn Fn(&str) -> bool, says: &[&str], never: &[&str]| {
        let lines: Vec<&str> =
            whole.lines().enumerate().filter(|(i, line)| *i == 0 || keep(line)).map(|(_, l)| l).collect();
        let run = Run::parse(&lines.join("\n")).unwrap();
        let report = Page::of(&run, &[]);
        let (html, markdown) = (report.html().unwrap(), report.markdown());
        says.iter().for_each(|text| assert!(html.contains(text), "{text} is missing in\n{}", told(&html)));
        never.iter().for_each(|text| assert!(!html.contains(text), "{text}"));
        assert!(!html.contains("d=\"\""), "a chart is empty");
        assert!(!markdown.is_empty());
    };
    let is = |line: &str, kind: &str| line.contains(&format!("\"event\":\"{kind}\""));
    // As `kgen watch` leaves it.
    check(
        &|line| is(line, "sample"),
        &["kgen produced no load", "CPU of broker 1", "no end"],
        &["id=\"change\"", "id=\"load\""],
    );
    // As `kgen produce` leaves it.
    check(&|line| is(line, "load") || is(line, "end"), &["id=\"load\"", "no sample was recorded"], &["id=\"brokers\""]);
    check(&|_| false, &["no broker samples and no load", "no end"], &["<svg"]);
    // The fix was begun when it was killed.
    let until_remedy = std::cell::Cell::new(true);
    check(
        &|line| until_remedy.get() && until_remedy.replace(!is(line, "remedy")),
        &["its end was not recorded", "instance_type"],
        &["id=\"change\""],
    );
}

#[test]
fn a_record_torn_anywhere_is_told() {
    let (whole, times) = (record(), times());
    let head = whole.find('\n').unwrap();
    for i in 0..12 {
        let cut = head + (whole.len() - head) * i / 12 + 7;
        let run = Run::parse(&whole[..cut.min(whole.len())]).unwrap();
        let report = Page::of(&run, &times[..times.len() * i / 12]);
        assert!(report.html().unwrap().contains("no end") && !report.markdown().is_empty());
    }
}
