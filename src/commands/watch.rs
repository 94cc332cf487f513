//! `kgen watch`: every broker, each interval.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use tokio::time::{self, Instant};

use super::{
    look::{Line, Opened, headline, open, refresh, runtime},
    place::Place,
};
use crate::{
    cli::{Outcome, Watch, refused},
    diagnose::{Context, Diagnosis, diagnose},
    project::Project,
    sample::{BrokerSample, BrokerState, Sample},
    stack::Stack,
};

/// Samples that the running diagnosis looks back on.
const LOOK_BACK: usize = 60;

/// Lines between two headings without a terminal.
const LINES_A_HEADING: usize = 30;

/// Time between two looks at the control plane.
const STATE_EVERY: Duration = Duration::from_secs(5);

const HEADING: &str = "time      broker  state        cpu%  held%   mem%  heap%  local  remote   total ms   in MB/s  \
                       out MB/s   urp";

pub fn run(args: &Watch, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    runtime()?.block_on(watch(args, project.stack()))
}

async fn watch(args: &Watch, stack: &Stack) -> anyhow::Result<Outcome> {
    let Opened { aws, mut context, source } = open(&args.look, stack, &Place::Environment).await?;
    eprintln!("watching {}", headline(&context));
    let end = args.duration.map(|duration| Instant::now() + duration + args.look.interval);
    let mut samples = source.stream(args.look.interval);
    let mut output = Output { json: args.json, refresh: !args.json && io::stdout().is_terminal(), ..Output::default() };
    let mut seen: VecDeque<Sample> = VecDeque::new();
    let mut state_read = Instant::now();
    loop {
        let received = tokio::select! {
            received = samples.recv() => received,
            () = ended(end) => return Ok(Outcome::Done),
            _ = tokio::signal::ctrl_c() => return Ok(Outcome::Interrupted),
        };
        let Some(sample) = received else { return Ok(Outcome::Done) };
        let mut sample = sample?;
        if state_read.elapsed() >= STATE_EVERY {
            // Metrics go on while the control plane does not answer.
            if let Err(error) = refresh(&aws, &mut context).await {
                eprintln!("note: {error}");
            }
            state_read = Instant::now();
        }
        sample.cluster_state = context.state.clone();
        // CloudWatch gives the same minute until the next one is complete.
        if seen.back().is_some_and(|last| last.at_ms == sample.at_ms) {
            continue;
        }
        seen.push_back(sample);
        if seen.len() > LOOK_BACK {
            seen.pop_front();
        }
        let diagnosis = diagnose(&context, seen.make_contiguous());
        let Some(sample) = seen.back() else { continue };
        match output.show(&context, sample, &diagnosis) {
            // The reader of the pipe has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::Done),
            shown => shown?,
        }
    }
}

async fn ended(end: Option<Instant>) {
    match end {
        Some(end) => time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// What has been printed, so that a finding is told once and a block is drawn over.
#[derive(Default)]
struct Output {
    json: bool,
    refresh: bool,
    lines_since_heading: Option<usize>,
    lines_to_draw_over: usize,
    told: String,
}

impl Output {
    fn show(&mut self, context: &Context, sample: &Sample, diagnosis: &Diagnosis) -> io::Result<()> {
        let mut out = super::out::stdout();
        if self.json {
            let line = Line {
                schema: Line::SCHEMA.to_owned(),
                cluster: context.clone(),
                sample: sample.clone(),
                verdict: Some(diagnosis.verdict),
                findings: diagnosis.findings.iter().map(|finding| finding.id.to_owned()).collect(),
            };
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
            return out.flush();
        }
        let time = clock(sample.at_ms);
        let mut block: Vec<String> = sample.brokers.iter().map(|(id, broker)| row(&time, *id, broker)).collect();
        let finding = diagnosis.findings.first();
        let told = finding.map(|finding| format!("{}: {}", finding.id, finding.title)).unwrap_or_default();
        if self.refresh {
            block.insert(0, HEADING.to_owned());
            block.push(told);
            if self.lines_to_draw_over > 0 {
                write!(out, "\x1b[{}A\x1b[J", self.lines_to_draw_over)?;
            }
            self.lines_to_draw_over = block.len();
        } else {
            if self.lines_since_heading.is_none_or(|lines| lines >= LINES_A_HEADING) {
                self.lines_since_heading = Some(0);
                block.insert(0, HEADING.to_owned());
            }
            self.lines_since_heading = self.lines_since_heading.map(|lines| lines + block.len());
            if told != self.told {
                block.push(format!("{time}  {told}"));
                self.told = told;
            }
        }
        for line in block {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// One broker's line under [`HEADING`]. A value that was not given is a dash.
fn row(time: &str, id: i32, broker: &BrokerSample) -> String {
    let state = match broker.state {
        BrokerState::Unreachable => "unreachable",
        BrokerState::Starting => "starting",
        BrokerState::Serving => "serving",
    };
    let number = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let megabytes = |bytes: Option<f64>| number(bytes.map(|bytes| bytes / 1e6), 3);
    let produce = broker.produce.as_ref();
    format!(
        "{time:<8}  {id:>6}  {state:<11} {:>5} {:>6} {:>6} {:>6} {:>6} {:>7} {:>10} {:>9} {:>9} {:>5}",
        number(broker.cpu_percent(), 0),
        number(broker.cpu_throttled_percent, 0),
        number(broker.memory_percent(), 0),
        number(broker.heap_after_gc_percent.or(broker.heap_used_percent), 0),
        number(produce.and_then(|times| times.local_ms), 1),
        number(produce.and_then(|times| times.remote_ms), 1),
        number(produce.map(|times| times.total_ms), 1),
        megabytes(broker.bytes_in_per_s),
        megabytes(broker.bytes_out_per_s),
        broker.under_replicated_partitions.map_or("-".to_owned(), |count| count.to_string()),
    )
}

/// The time of day here.
fn clock(at_ms: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    jiff::Timestamp::from_millisecond(at_ms)
        .map(|at| at.to_zoned(zone).strftime("%H:%M:%S").to_string())
        .unwrap_or_else(|_| at_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::RequestTimes;

    #[test]
    fn rows_stand_under_their_heading() {
        let busy = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(70.2),
            cpu_system_percent: Some(16.1),
            cpu_throttled_percent: Some(66.0),
            memory_used_bytes: Some(950),
            memory_total_bytes: Some(1000),
            heap_after_gc_percent: Some(41.0),
            produce: Some(RequestTimes {
                per_s: Some(160.0),
                queue_ms: Some(3.1),
                local_ms: Some(1.8),
                remote_ms: Some(25.04),
                send_ms: Some(0.2),
                throttle_ms: None,
                total_ms: 31.0,
            }),
            bytes_in_per_s: Some(512_000.0),
            bytes_out_per_s: Some(1_024_000.0),
            under_replicated_partitions: Some(0),
            ..BrokerSample::default()
        };
        let rows = [HEADING.to_owned(), row("12:00:01", 1, &busy), row("12:00:01", 2, &BrokerSample::default())];
        insta::assert_snapshot!(rows.join("\n"), @r"
        time      broker  state        cpu%  held%   mem%  heap%  local  remote   total ms   in MB/s  out MB/s   urp
        12:00:01       1  serving        86     66     95     41    1.8    25.0       31.0     0.512     1.024     0
        12:00:01       2  unreachable     -      -      -      -      -       -          -         -         -     -
        ");
    }
}
