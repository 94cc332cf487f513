//! The life of alerts, by hand and over the recorded runs of the benchmark as they look from outside.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    Book, Content, Look, Message, Observation, Policy, Silence, Status, Subject, Symptom, book::Phase,
    cause::CANNOT_SEE, id, look,
};
use crate::{
    benchmark::{self, Kind, outside, truth_of},
    diagnose::{Context, diagnose},
    finding_id::*,
    run::Run,
    sample::Sample,
};

const MINUTE_MS: i64 = 60_000;

fn policy() -> Policy {
    Policy { cannot_see_after_ms: 15 * MINUTE_MS, longest_step_ms: 5 * MINUTE_MS, silences: Vec::new() }
}

fn orders() -> Subject {
    let (id, name, region) = ("arn:orders".to_owned(), "orders".to_owned(), "us-west-2".to_owned());
    Subject { id, name, region, caller: None }
}

fn symptom(cause: &str, object: &str) -> Symptom {
    let content = Content { title: format!("{cause} holds"), ..Content::default() };
    Symptom { cause: cause.to_owned(), object: object.to_owned(), is_sure: true, content }
}

fn judged(at: i64, symptoms: Vec<Symptom>) -> Look {
    let assessed = crate::diagnose::RULES.iter().map(|rule| rule.id.to_owned()).collect();
    Look::Judged { newest_ms: Some(at), symptoms, assessed, blind: None }
}

fn seen(at: i64, causes: &[&str]) -> Look {
    judged(at, causes.iter().map(|cause| symptom(cause, "")).collect())
}

/// Rounds a minute apart, from `first` on; what is told in each, as `status cause`.
fn told(book: &mut Book, first: i64, looks: Vec<Look>) -> Vec<Vec<String>> {
    let round = |(n, look): (i64, Look)| {
        let now_ms = (first + n) * MINUTE_MS;
        let observation = Observation { subject: orders(), look };
        words(&book.round(now_ms, vec![observation], &policy()))
    };
    (0..).zip(looks).map(round).collect()
}

fn words(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| format!("{} {}", message.status.as_str(), message.cause)).collect()
}

/// One letter a round: `x` seen, `.` assessed and not seen.
fn flicker(cause: &str, rounds: &str) -> Vec<Vec<String>> {
    let causes = [cause];
    let look = |(at, letter): (i64, char)| seen(at, if letter == 'x' { &causes } else { &[] });
    told(&mut Book::default(), 0, (0..).zip(rounds.chars()).map(look).collect())
}

/// The same, as one letter a round: `F` fires, `R` is resolved.
fn check(cause: &str, rounds: &str, expected: &str) {
    let letter = |told: &Vec<String>| match told.first().map(|text| text.split(' ').next().unwrap()) {
        Some("firing") => 'F',
        Some(_) => 'R',
        None => '.',
    };
    let found: String = flicker(cause, rounds).iter().map(letter).collect();
    assert_eq!(found, expected, "{cause}: {rounds}");
}

#[test]
fn a_cause_fires_once_and_resolves_once_by_its_severity() {
    check(BROKER_DOWN, "..xxxx....", "..F....R..");
    check(BROKER_UNDERSIZED, "..xxxx....", "...F...R..");
    check(LEADERS_NOT_PREFERRED, "..xxxx.....", "....F...R..");
    check(BROKER_UNDERSIZED, "..x.......", "..........");
}

#[test]
fn a_flapping_cause_is_one_alert_and_takes_longer_to_resolve_each_time() {
    check(BROKER_DOWN, "x.x.x.x.x..", "F.........R");
    // It came back: four rounds the second time.
    check(BROKER_DOWN, "x..x.......", "F.RF...R...");
    check(BROKER_DOWN, "x..x....x........", "F.RF...RF.......R");
}

#[test]
fn rounds_without_new_datapoints_count_for_nothing() {
    let mut book = Book::default();
    let looks = vec![seen(1, &[BROKER_UNDERSIZED]); 50];
    assert!(told(&mut book, 0, looks).concat().is_empty());
    assert_eq!(told(&mut book, 50, vec![seen(2, &[BROKER_UNDERSIZED])]).concat(), ["firing broker.undersized"]);
    assert!(told(&mut book, 51, vec![seen(3, &[]); 50]).concat().is_empty());
    assert_eq!(told(&mut book, 101, vec![seen(4, &[])]).concat(), ["resolved broker.undersized"]);
}

#[test]
fn ids_are_the_same_across_rounds_restarts_and_books() {
    let mut book = Book::default();
    let observe = |look| vec![Observation { subject: orders(), look }];
    let fired = book.round(0, observe(seen(0, &[BROKER_DOWN])), &policy());
    // A restart: the state is read again.
    let mut book: Book = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
    assert!(book.round(1, observe(seen(1, &[BROKER_DOWN])), &policy()).is_empty());
    book.round(2, observe(seen(2, &[])), &policy());
    let resolved = book.round(3, observe(seen(3, &[])), &policy());
    assert_eq!((fired.len(), resolved.len()), (1, 1));
    assert_eq!(fired[0].alert, id("arn:orders", BROKER_DOWN, ""));
    assert_eq!((&fired[0].alert, fired[0].since), (&resolved[0].alert, resolved[0].since));
    assert_ne!(fired[0].id, resolved[0].id);
    assert_eq!((resolved[0].status, resolved[0].until.is_some()), (Status::Resolved, true));
}

#[test]
fn a_root_suppresses_its_consequences_until_it_is_over() {
    let mut book = Book::default();
    let both = |at| seen(at, &[BROKER_DOWN, BROKER_UNDERSIZED]);
    assert_eq!(told(&mut book, 0, (0..5).map(both).collect()).concat(), ["firing broker.down"]);
    // What is left when the root is gone has a cause of its own.
    let left = (5..9).map(|at| seen(at, &[BROKER_UNDERSIZED])).collect();
    let told = told(&mut book, 5, left);
    assert_eq!(
        told,
        [vec![], vec!["resolved broker.down", "firing broker.undersized"], vec![], vec![]].map(|round: Vec<&str>| {
            let mut round: Vec<String> = round.into_iter().map(str::to_owned).collect();
            round.sort();
            round.reverse();
            round
        })
    );
}

#[test]
fn a_consequence_that_fires_already_stays_and_independent_causes_fire_beside_each_other() {
    let mut book = Book::default();
    let first = (0..2).map(|at| seen(at, &[BROKER_UNDERSIZED])).collect();
    assert_eq!(told(&mut book, 0, first).concat(), ["firing broker.undersized"]);
    let then = (2..6).map(|at| seen(at, &[BROKER_DOWN, BROKER_UNDERSIZED, DISK_FILLING])).collect();
    assert_eq!(told(&mut book, 2, then).concat(), ["firing broker.down", "firing disk.filling"]);
}

#[test]
fn a_change_of_the_cluster_freezes_alerts_and_what_is_left_of_it_is_none() {
    let mut book = Book::default();
    assert_eq!(told(&mut book, 0, vec![seen(0, &[BROKER_DOWN])]).concat(), ["firing broker.down"]);
    assert!(told(&mut book, 1, vec![Look::Changing; 30]).concat().is_empty(), "nothing is known during a change");
    assert_eq!(told(&mut book, 31, vec![seen(31, &[]), seen(32, &[])]).concat(), ["resolved broker.down"]);
    assert!(told(&mut book, 33, vec![Look::Changing]).concat().is_empty());
    let after = vec![seen(34, &[DISK_FULL]), seen(35, &[DISK_FULL]), seen(36, &[])];
    assert!(told(&mut book, 34, after).concat().is_empty());
    let lasting = vec![Look::Changing, seen(38, &[DISK_FULL]), seen(39, &[DISK_FULL]), seen(40, &[DISK_FULL])];
    assert_eq!(told(&mut book, 37, lasting).concat(), ["firing disk.full"]);
}

#[test]
fn what_is_not_assessed_is_not_resolved() {
    let mut book = Book::default();
    assert_eq!(told(&mut book, 0, vec![seen(0, &[DISK_FULL])]).concat(), ["firing disk.full"]);
    let without =
        |at| Look::Judged { newest_ms: Some(at), symptoms: Vec::new(), assessed: BTreeSet::new(), blind: None };
    assert!(told(&mut book, 1, (1..20).map(without).collect()).concat().is_empty());
    // Nor is it by silence of the cluster, which becomes an alert of its own.
    let blind = vec![Look::Blind("denied".to_owned()); 20];
    assert_eq!(told(&mut book, 20, blind).concat(), ["firing guard.cannot-see"]);
    assert_eq!(
        told(&mut book, 40, (40..44).map(|at| seen(at, &[])).collect()),
        [vec![], vec!["resolved disk.full".to_owned(), "resolved guard.cannot-see".to_owned()], vec![], vec![]]
    );
}

#[test]
fn that_nothing_is_seen_is_an_alert_only_when_it_lasts() {
    let mut book = Book::default();
    let blind = || Look::Blind("throttled".to_owned());
    let flicker = (0..60).map(|n| if n % 10 < 8 { blind() } else { seen(n, &[]) });
    assert!(told(&mut book, 0, flicker.collect()).concat().is_empty());
    let lasting = told(&mut book, 60, vec![blind(); 30]);
    let at = lasting.iter().position(|round| !round.is_empty());
    // The minute since it was last seen counts.
    assert_eq!((at, lasting.concat()), (Some(14), vec![format!("firing {CANNOT_SEE}")]));
}

#[test]
fn jumps_of_the_clock_fire_and_resolve_nothing() {
    let policy = policy();
    let observe = |look| vec![Observation { subject: orders(), look }];
    let blind = || Look::Blind("throttled".to_owned());
    let mut book = Book::default();
    book.round(0, observe(blind()), &policy);
    // A year ahead is one step, and back is none.
    for now_ms in [MINUTE_MS, 365 * 24 * 60 * MINUTE_MS, 2 * MINUTE_MS, 3 * MINUTE_MS] {
        assert!(book.round(now_ms, observe(blind()), &policy).is_empty(), "{now_ms}");
    }
    let mut book = Book::default();
    let fired = book.round(365 * 24 * 60 * MINUTE_MS, observe(seen(1, &[BROKER_DOWN])), &policy);
    assert_eq!(words(&fired), ["firing broker.down"]);
    assert!(book.round(MINUTE_MS, observe(seen(2, &[BROKER_DOWN])), &policy).is_empty());
    assert!(book.round(2 * MINUTE_MS, observe(seen(3, &[])), &policy).is_empty());
    assert_eq!(words(&book.round(3 * MINUTE_MS, observe(seen(4, &[])), &policy)), ["resolved broker.down"]);
}

#[test]
fn a_silence_tells_nobody_until_it_ends() {
    let until = jiff::Timestamp::from_millisecond(5 * MINUTE_MS).unwrap();
    let silence = Silence { cause: Some("broker.*".to_owned()), until: Some(until), ..Silence::default() };
    let silenced = Policy { silences: vec![silence], ..policy() };
    let mut book = Book::default();
    let mut all = Vec::new();
    for minute in 0..10 {
        let observation = Observation { subject: orders(), look: seen(minute, &[BROKER_DOWN]) };
        all.extend(
            book.round(minute * MINUTE_MS, vec![observation], &silenced).iter().map(|m| (minute, m.cause.clone())),
        );
    }
    assert_eq!(all, [(5, BROKER_DOWN.to_owned())]);
    // One that begins and ends within it is never told.
    let mut book = Book::default();
    for (minute, causes) in [(0, &[BROKER_DOWN][..]), (1, &[]), (2, &[]), (3, &[])] {
        let observation = Observation { subject: orders(), look: seen(minute, causes) };
        assert!(book.round(minute * MINUTE_MS, vec![observation], &silenced).is_empty());
    }
}

#[test]
fn a_deleted_cluster_resolves_what_it_had_and_is_forgotten() {
    let mut book = Book::default();
    assert_eq!(told(&mut book, 0, vec![seen(0, &[BROKER_DOWN])]).concat(), ["firing broker.down"]);
    assert_eq!(book.known("us-west-2", None), ["arn:orders"]);
    assert_eq!(told(&mut book, 1, vec![Look::Gone]).concat(), ["resolved broker.down"]);
    assert!(book.known("us-west-2", None).is_empty() && book.firing().is_empty());
    // What is remembered goes after some hours, so that the state does not grow.
    book.round(7 * 60 * MINUTE_MS, Vec::new(), &policy());
    assert_eq!(book, Book::default());
}

#[test]
fn two_causes_that_look_the_same_are_one_alert() {
    let with = |cause: &str, other: &str| {
        let mut symptom = symptom(cause, "broker 2");
        symptom.content.alternatives = vec![other.to_owned()];
        symptom
    };
    let looks = (0..8).map(|at| match at % 2 {
        0 => judged(at, vec![with(BROKER_DOWN, BROKER_HUNG)]),
        _ => judged(at, vec![with(BROKER_HUNG, BROKER_DOWN)]),
    });
    assert_eq!(told(&mut Book::default(), 0, looks.collect()).concat(), ["firing broker.down"]);
}

#[test]
fn groups_are_alerts_of_their_own() {
    let looks = vec![
        judged(0, vec![symptom(CONSUMER_STALLED, "group a")]),
        judged(1, vec![symptom(CONSUMER_STALLED, "group a"), symptom(CONSUMER_STALLED, "group b")]),
        judged(2, vec![symptom(CONSUMER_STALLED, "group b")]),
        judged(3, vec![symptom(CONSUMER_STALLED, "group b")]),
    ];
    let told = told(&mut Book::default(), 0, looks);
    let counts: Vec<usize> = told.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 1, 1]);
    assert_eq!(told[3], ["resolved consumer.stalled"]);
}

fn recorded() -> Vec<(String, Run)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), Run::read(path).unwrap())).collect()
}

/// Rounds over the first `from` to all of the samples, one a minute; what is told.
fn replayed(book: &mut Book, context: &Context, samples: &[Sample], from: usize, first_ms: i64) -> Vec<Message> {
    let mut told = Vec::new();
    for n in from..=samples.len() {
        let now_ms = first_ms + n as i64 * MINUTE_MS;
        // The cluster's state is that of its time.
        let state = samples[n - 1].cluster_state.clone().or_else(|| context.state.clone());
        let context = Context { state, ..context.clone() };
        let look = look(&context, &diagnose(&context, &samples[..n]), Some(now_ms));
        told.extend(book.round(now_ms, vec![Observation { subject: orders(), look }], &policy()));
    }
    told
}

/// Minutes of the recorded controls that a round looks back on.
const WINDOW: usize = 12;

#[test]
fn seven_days_of_recorded_controls_are_no_alert() {
    let mut minutes = 0;
    let controls: Vec<(Context, Vec<Sample>)> = recorded()
        .iter()
        .filter(|(_, run)| benchmark::find(&truth_of(run).unwrap().scenario).unwrap().kind == Kind::Control)
        .map(|(_, run)| outside::reduced(run, 20, 20).unwrap())
        .collect();
    assert!(controls.len() >= 16, "{}", controls.len());
    let day = 24 * 60;
    for (at, (context, samples)) in controls.iter().enumerate() {
        let mut book = Book::default();
        // Its share of the seven days: its minutes again and again, looked at every fifteen of them.
        let share = 7 * day / controls.len() + 1;
        for end in (WINDOW..share).step_by(15) {
            let of = |n: usize| Sample { at_ms: n as i64 * MINUTE_MS, ..samples[n % samples.len()].clone() };
            let window: Vec<Sample> = (end - WINDOW..end).map(of).collect();
            let now_ms = end as i64 * MINUTE_MS;
            let look = look(context, &diagnose(context, &window), Some(now_ms));
            let told = book.round(now_ms, vec![Observation { subject: orders(), look }], &policy());
            assert!(told.is_empty(), "control {at}, minute {end}: {:?}", words(&told));
        }
        minutes += share;
    }
    assert!(minutes >= 7 * day, "{minutes} minutes");
}

#[test]
fn each_recorded_fault_is_one_alert_with_the_right_cause() {
    let (mut right, mut of, mut played) = (0, 0, BTreeSet::new());
    let (mut wrong, mut several) = (Vec::new(), Vec::new());
    for (name, run) in recorded() {
        let scenario = benchmark::find(&truth_of(&run).unwrap().scenario).unwrap();
        let judged = outside::judge(&run).unwrap();
        if scenario.kind == Kind::Control || judged.void.is_some() || !outside::is_separable(scenario) {
            continue;
        }
        let (context, samples) = outside::reduced(&run, outside::CALM_MINUTES, 6).unwrap();
        let told = replayed(&mut Book::default(), &context, &samples, outside::CALM_MINUTES, 0);
        let causes: BTreeSet<&str> = told.iter().map(|message| message.cause.as_str()).collect();
        let is_true = |message: &Message| {
            let names = |cause: &str| scenario.truth.contains(&cause);
            names(&message.cause) || message.content.alternatives.iter().any(|cause| names(cause))
        };
        // Of two faults either may be the first to show; maintenance is what suppresses alerts.
        of += 1;
        played.insert(scenario.name);
        let is_right = match scenario.truth {
            [CLUSTER_MAINTENANCE] => told.is_empty(),
            _ => told.first().is_some_and(is_true),
        };
        right += usize::from(is_right);
        if !is_right {
            wrong.push(format!("{name}: {causes:?}"));
        }
        let firing = told.iter().filter(|message| message.status == Status::Firing).count();
        if firing > scenario.truth.len() {
            several.push(format!("{name}: {:?}", words(&told)));
        }
    }
    if std::env::var_os("KGEN_SHOW").is_some() {
        println!("{right} of {of}\nwrong: {wrong:#?}\nseveral: {several:#?}");
    }
    let is_due = |scenario: &&benchmark::Scenario| {
        scenario.kind != Kind::Control && outside::is_separable(scenario) && !played.contains(scenario.name)
    };
    let missing: Vec<&str> = benchmark::SCENARIOS.iter().filter(is_due).map(|scenario| scenario.name).collect();
    // What no run was recorded of is played by a test of its own.
    assert_eq!(missing, [BROKER_CPU_CREDITS_EXHAUSTED]);
    assert!(of >= 140, "{of} runs");
    assert!(right * 100 >= of * 90, "{right} of {of} runs:\n{}", wrong.join("\n"));
    assert!(several.len() * 100 <= of * 3, "{}", several.join("\n"));
}

#[test]
fn t3_brokers_without_credits_are_one_alert() {
    let is_t3 = |context: &Context| context.known_type().is_some_and(|known| known.credits().is_some());
    let of = |run: &Run| benchmark::find(&truth_of(run).unwrap().scenario).unwrap().kind;
    let runs = recorded();
    let mut controls =
        runs.iter().filter(|(_, run)| of(run) == Kind::Control).map(|(_, run)| outside::reduced(run, 20, 20));
    let (mut context, calm) = controls.next().flatten().unwrap();
    if !is_t3(&context) {
        context.broker_type = Some("kafka.t3.small".to_owned());
    }
    // The balance and the CPU of tests/scenarios/credits_exhausted_cloudwatch.toml, on brokers that were calm before.
    let spent = |n: usize, balance: f64, total_ms: f64| {
        let mut sample = Sample { at_ms: n as i64 * MINUTE_MS, ..calm[n % calm.len()].clone() };
        for broker in sample.brokers.values_mut() {
            (broker.cpu_user_percent, broker.cpu_system_percent) = (Some(15.0), Some(5.0));
            broker.cpu_credit_balance = Some(balance);
            // Requests wait for a request handler.
            let queue_ms = Some(total_ms * 0.9);
            broker.produce = broker.produce.map(|times| crate::sample::RequestTimes { queue_ms, total_ms, ..times });
        }
        sample
    };
    let before = (0..20).map(|n| spent(n, 500.0, 4.0));
    let samples: Vec<Sample> = before.chain((20..30).map(|n| spent(n, 0.4, 180.0))).collect();
    let told = replayed(&mut Book::default(), &context, &samples, 10, 0);
    assert_eq!(words(&told), [format!("firing {BROKER_CPU_CREDITS_EXHAUSTED}")]);
}

#[test]
fn a_pending_alert_is_in_the_book_and_not_among_the_firing() {
    let mut book = Book::default();
    told(&mut book, 0, vec![seen(0, &[BROKER_UNDERSIZED])]);
    let alert = book.get(&id("arn:orders", BROKER_UNDERSIZED, "")).unwrap();
    assert_eq!((alert.phase, book.firing().len()), (Phase::Pending { seen: 1 }, 0));
}
