//! From values to places on an axis, and where its ticks go. Pure arithmetic.

/// One axis: what it spans, and its ticks with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    pub ticks: Vec<(f64, String)>,
}

/// Steps between ticks of a time axis, s.
const TIME_STEPS: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];
/// Ticks of a time axis at most, the one at its beginning not counted.
const TIME_TICKS: f64 = 5.0;
/// Decades beyond which only some of them are labelled.
const DECADES_LABELLED: i32 = 5;

impl Axis {
    /// From zero to a round number at or above `max`.
    pub fn from_zero(max: f64) -> Axis {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = round_step(max / 4.0);
        let count = (max / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=count as usize).map(|i| (i as f64 * step, number(i as f64 * step, step))).collect();
        Axis { low: 0.0, high: count * step, logarithmic: false, ticks }
    }

    /// 0 to 100 %, or further where a value is.
    pub fn percent(max: f64) -> Axis {
        if max > 100.5 {
            return Axis::from_zero(max);
        }
        let ticks = (0..=4).map(|i| (f64::from(i) * 25.0, (i * 25).to_string())).collect();
        Axis { low: 0.0, high: 100.0, logarithmic: false, ticks }
    }

    /// Whole decades about `min` and `max`, both above zero.
    pub fn logarithmic(min: f64, max: f64) -> Axis {
        let clean = |value: f64, fallback: f64| if value.is_finite() && value > 0.0 { value } else { fallback };
        let (min, max) = (clean(min, 1.0), clean(max, 1.0));
        let from = (min.log10() + 1e-9).floor().clamp(-9.0, 14.0) as i32;
        let to = ((max.log10() - 1e-9).ceil() as i32).clamp(from + 1, 15);
        let every = 1 + (to - from - 1) / DECADES_LABELLED;
        let decades = (from..=to).filter(|decade| (decade - from) % every == 0);
        let ticks = decades.map(|decade| (10f64.powi(decade), number(10f64.powi(decade), 10f64.powi(decade))));
        Axis { low: 10f64.powi(from), high: 10f64.powi(to), logarithmic: true, ticks: ticks.collect() }
    }

    /// Seconds from `from` to `to`, labelled as minutes and seconds or hours and minutes.
    pub fn time(from: f64, to: f64) -> Axis {
        let to = if to > from { to } else { from + 1.0 };
        let longest = TIME_STEPS[TIME_STEPS.len() - 1];
        let fits = |step: &&f64| (to - from) / **step <= TIME_TICKS;
        let step = TIME_STEPS.iter().find(fits).copied();
        // Beyond days: as many whole days as it takes.
        let step = step.unwrap_or_else(|| longest * ((to - from) / longest / TIME_TICKS).ceil());
        let first = (from / step).ceil();
        let count = ((to / step + 1e-9).floor() - first).max(0.0) as usize;
        let ticks = (0..=count).map(|i| (first + i as f64) * step).map(|at| (at, clock(at, to))).collect();
        Axis { low: from, high: to, logarithmic: false, ticks }
    }

    /// Shares of all records on a scale that gives each further nine the same room: position 1 is 90 %, 2 is 99 %.
    pub fn nines(most: f64) -> Axis {
        let most = most.max(1.0);
        let labels = ["0", "90", "99", "99.9", "99.99", "99.999", "99.9999"];
        let mut ticks: Vec<(f64, String)> = vec![(0.5f64.log10().abs(), "50".to_owned())];
        ticks.extend(labels.iter().enumerate().skip(1).map(|(i, label)| (i as f64, (*label).to_owned())));
        ticks.retain(|(at, _)| *at <= most + 1e-9);
        Axis { low: 0.0, high: most, logarithmic: false, ticks }
    }

    /// Where `value` is: 0 at the low end, 1 at the high end; values beyond are put on the end.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high, value) = if self.logarithmic {
            (self.low.log10(), self.high.log10(), value.max(self.low).log10())
        } else {
            (self.low, self.high, value)
        };
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    pub fn low(&self) -> f64 {
        self.low
    }
}

/// 1, 2, 2.5 or 5 times a power of ten, at or above `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let rounded = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
    rounded.into_iter().find(|rounded| *rounded >= step * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// A number with as many digits as steps of `step` need; thousands as `k`.
fn number(value: f64, step: f64) -> String {
    if value >= 10_000.0 {
        let thousands = value / 1000.0;
        let digits = usize::from((thousands - thousands.round()).abs() > 1e-6);
        return format!("{thousands:.digits$}k");
    }
    let digits = if value == 0.0 { 0 } else { (0..6).find(|d| is_whole(step * 10f64.powi(*d))).unwrap_or(6) as usize };
    format!("{value:.digits$}")
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 && value.round() >= 1.0
}

/// `at` seconds as m:ss, or as h:mm where the axis is longer than two hours.
fn clock(at: f64, longest: f64) -> String {
    let s = at.round() as i64;
    if longest > 7200.0 { format!("{}:{:02} h", s / 3600, s / 60 % 60) } else { minutes(at) }
}

/// Seconds as m:ss.
pub fn minutes(seconds: f64) -> String {
    let s = seconds.round() as i64;
    format!("{}:{:02}", s / 60, s % 60)
}

/// Splits `points` so that at most about `most` are left, keeping the lowest and the highest of each part of the axis:
/// a peak never disappears.
pub fn thinned(points: &[(f64, Option<f64>)], most: usize) -> Vec<(f64, Option<f64>)> {
    let parts = (most / 3).max(1);
    if points.len() <= parts * 3 {
        return points.to_vec();
    }
    let each = points.len().div_ceil(parts);
    let mut kept = Vec::with_capacity(parts * 3);
    for part in points.chunks(each) {
        let seen = || part.iter().enumerate().filter_map(|(i, (_, y))| Some((i, (*y)?)));
        let low = seen().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        let high = seen().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
        let gap = part.iter().position(|(_, y)| y.is_none());
        let mut indices: Vec<usize> = [low, high, gap].into_iter().flatten().collect();
        indices.sort_unstable();
        indices.dedup();
        kept.extend(indices.into_iter().map(|i| part[i]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_reach_over_the_highest_value() {
        let check = |max: f64, expected: &str| {
            let axis = Axis::from_zero(max);
            assert_eq!(labels(&axis), expected, "{max}");
            assert!(axis.high >= max.max(0.0), "{axis:?}");
        };
        check(0.0, "0 0.25 0.50 0.75 1.00");
        check(503.0, "0 200 400 600");
        check(100.0, "0 25 50 75 100");
        check(42.1, "0 20 40 60");
        check(0.7, "0 0.2 0.4 0.6 0.8");
        check(50_000.0, "0 20k 40k 60k");
        check(f64::NAN, "0 0.25 0.50 0.75 1.00");
        assert_eq!(labels(&Axis::percent(98.0)), "0 25 50 75 100");
        assert_eq!(labels(&Axis::percent(130.0)), "0 50 100 150");
    }

    #[test]
    fn decades_are_whole() {
        let check = |min: f64, max: f64, expected: &str| {
            assert_eq!(labels(&Axis::logarithmic(min, max)), expected, "{min} {max}");
        };
        check(2.0, 585.0, "1 10 100 1000");
        check(0.4, 0.5, "0.1 1");
        check(10.0, 10.0, "10 100");
        check(0.0, f64::INFINITY, "1 10");
        check(0.001, 100_000.0, "0.001 0.1 10 1000 100k");
    }

    #[test]
    fn time_is_in_steps_that_people_count_in() {
        let check = |from: f64, to: f64, expected: &str| assert_eq!(labels(&Axis::time(from, to)), expected);
        check(0.0, 231.0, "0:00 1:00 2:00 3:00");
        check(0.0, 9.0, "0:00 0:02 0:04 0:06 0:08");
        check(12.0, 48.0, "0:20 0:30 0:40");
        check(0.0, 90_000.0, "0:00 h 6:00 h 12:00 h 18:00 h 24:00 h");
        check(5.0, 5.0, "0:05 0:06");
        assert!(Axis::time(0.0, 1e9).ticks.len() < 8);
    }

    #[test]
    fn a_value_is_placed_within_its_axis() {
        let log = Axis::logarithmic(1.0, 100.0);
        assert_eq!((log.place(10.0), log.place(0.0), log.place(1e9)), (0.5, 0.0, 1.0));
        assert_eq!(Axis::percent(10.0).place(25.0), 0.25);
        assert_eq!(labels(&Axis::nines(3.5)), "50 90 99 99.9");
    }

    #[test]
    fn peaks_and_gaps_survive_thinning() {
        let mut points: Vec<(f64, Option<f64>)> = (0..10_000).map(|i| (f64::from(i), Some(1.0))).collect();
        points[4321].1 = Some(99.0);
        points[7777].1 = None;
        let thin = thinned(&points, 300);
        assert!(thin.len() <= 300, "{}", thin.len());
        assert!(thin.contains(&(4321.0, Some(99.0))) && thin.contains(&(7777.0, None)));
        assert_eq!(thinned(&points[..50], 300), points[..50]);
    }
}
