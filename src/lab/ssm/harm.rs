//! Faults of client instances as data: what they do to the commands of an instance. The next one is a row of [`FAULTS`].

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use jiff::Timestamp;

use super::fault::Fault as Refusal;
use crate::{
    lab::fault::STRENGTHS,
    lab_api::{FaultOrder, LabFault},
    process::Containment,
};

/// What the ids of these faults begin with.
pub const PREFIX: &str = "instance.";

/// A fault of one client instance.
#[derive(Debug)]
pub struct Fault {
    pub id: &'static str,
    /// What is done, as a fragment.
    pub does: &'static str,
    /// At a strength: 1 is the middle, more is worse.
    harm: fn(f64) -> Harm,
}

/// What is done to an instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Harm {
    /// All that runs on it is killed, and its agent is silent.
    Off,
    /// Its agent begins a command so much later.
    SlowStart(Duration),
    /// `date` shows a clock that is so far ahead. kgen itself sees the right one: libfaketime ends programs that have an allocator
    /// of their own.
    ClockAhead(Duration),
    /// Its programs have no network.
    NoNetwork,
    /// The file system of its temporary files has so much, and is filled so long after a command has begun.
    SmallDisk { kib: u64, filled_after: Duration },
}

/// Every fault of an instance.
pub static FAULTS: &[Fault] = &[
    Fault { id: "instance.killed", does: "an instance is off, and EC2 has not noticed", harm: |_| Harm::Off },
    Fault {
        id: "instance.slow-start",
        does: "the agent of an instance begins commands 12 s late",
        harm: |s| Harm::SlowStart(Duration::from_secs(12).mul_f64(s)),
    },
    Fault {
        id: "instance.clock-off",
        does: "the clock that `date` shows on an instance is an hour ahead",
        harm: |s| Harm::ClockAhead(Duration::from_secs(3600).mul_f64(s)),
    },
    Fault { id: "instance.no-network", does: "an instance does not reach the brokers", harm: |_| Harm::NoNetwork },
    Fault {
        id: "instance.disk-full",
        does: "the disk of an instance is full",
        harm: |_| Harm::SmallDisk { kib: 64, filled_after: Duration::ZERO },
    },
    Fault {
        id: "instance.disk-filling",
        does: "the disk of an instance has 96 MiB free, and is full 6 s after a command has begun",
        harm: |s| Harm::SmallDisk { kib: 96 << 10, filled_after: Duration::from_secs(6).div_f64(s) },
    },
];

/// The fault of this id.
pub fn find(id: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.id == id)
}

impl Fault {
    /// Why this machine does not allow it, if it does not.
    pub fn obstacle(&self) -> Option<String> {
        (self.harm)(1.0).obstacle()
    }
}

impl Harm {
    fn obstacle(&self) -> Option<String> {
        match self {
            Harm::NoNetwork | Harm::SmallDisk { .. } if Containment::here() == Containment::ProcessGroup => {
                Some("needs namespaces (unshare, as root or with user namespaces)".to_owned())
            }
            _ => None,
        }
    }
}

/// The faults that run, by instance and id.
#[derive(Debug, Default)]
pub struct Faults(BTreeMap<(String, &'static str), Running>);

#[derive(Debug)]
struct Running {
    fault: &'static Fault,
    harm: Harm,
    strength: f64,
    since: Timestamp,
}

impl Faults {
    /// Begins the fault of `order` on `instance`.
    ///
    /// # Errors
    /// There is none of this id, it runs already, or this machine does not allow it.
    pub fn start(&mut self, order: &FaultOrder, instance: &str, now: Timestamp) -> Result<(), Refusal> {
        let refused = |message: String| Refusal::new("InvalidParameters", message);
        let fault = find(&order.id).ok_or_else(|| refused(format!("there is no fault {}", order.id)))?;
        if let Some(why) = fault.obstacle() {
            return Err(refused(format!("{} is not possible here: {why}", fault.id)));
        }
        let strength = order.strength;
        if !STRENGTHS.contains(&strength) {
            let (least, most) = (STRENGTHS.start(), STRENGTHS.end());
            return Err(refused(format!("the strength {strength} is not between {least} and {most}")));
        }
        let running = Running { fault, harm: (fault.harm)(strength), strength, since: now };
        match self.0.entry((instance.to_owned(), fault.id)) {
            Entry::Vacant(entry) => {
                entry.insert(running);
                Ok(())
            }
            Entry::Occupied(_) => Err(refused(format!("{} already runs on {instance}", fault.id))),
        }
    }

    /// The faults that [`Faults::shown`] has shown to another process. One of another version's is left out.
    pub fn of_shown(shown: &[LabFault]) -> Faults {
        let known = shown.iter().filter_map(|shown| {
            let (instance, fault) = (shown.instance.clone()?, find(&shown.id)?);
            let since = shown.since.parse().unwrap_or_default();
            let harm = (fault.harm)(shown.strength);
            Some(((instance, fault.id), Running { fault, harm, strength: shown.strength, since }))
        });
        Faults(known.collect())
    }

    /// Ends the faults of this id, or all. Returns how many there were.
    pub fn stop(&mut self, id: Option<&str>) -> usize {
        let before = self.0.len();
        self.0.retain(|(_, fault), _| id.is_some_and(|id| id != *fault));
        before - self.0.len()
    }

    /// What runs, as `/_lab/status` shows it.
    pub fn shown(&self) -> Vec<LabFault> {
        let shown = self.0.iter().map(|((instance, _), running)| LabFault {
            id: running.fault.id.to_owned(),
            does: running.fault.does.to_owned(),
            instance: Some(instance.clone()),
            strength: running.strength,
            since: running.since.to_string(),
            ..LabFault::default()
        });
        shown.collect()
    }

    fn of<'a>(&'a self, instance: &'a str) -> impl Iterator<Item = &'a Harm> {
        self.0.iter().filter(move |((one, _), _)| one == instance).map(|(_, running)| &running.harm)
    }

    pub fn is_off(&self, instance: &str) -> bool {
        self.of(instance).any(|harm| *harm == Harm::Off)
    }

    /// How much later its agent begins.
    pub fn delay(&self, instance: &str) -> Duration {
        let delays = self.of(instance).filter_map(|harm| match harm {
            Harm::SlowStart(by) => Some(*by),
            _ => None,
        });
        delays.max().unwrap_or_default()
    }

    pub fn is_without_network(&self, instance: &str) -> bool {
        self.of(instance).any(|harm| *harm == Harm::NoNetwork)
    }

    /// A program `date` in place of the machine's.
    pub fn date(&self, instance: &str) -> Option<String> {
        self.of(instance).find_map(|harm| match harm {
            Harm::ClockAhead(by) => {
                let ahead = format!("+{:.3} seconds", by.as_secs_f64());
                Some(format!("#!/bin/sh\nPATH=${{PATH#*:}} exec date -d '{ahead}' \"$@\"\n"))
            }
            _ => None,
        })
    }

    /// What is done in its namespaces before a script.
    pub fn before(&self, instance: &str) -> Option<String> {
        self.of(instance).find_map(|harm| match harm {
            Harm::SmallDisk { kib, filled_after } => {
                let fill = "cat /dev/zero >\"$TMPDIR/filled\"";
                let fill = match filled_after.is_zero() {
                    true => format!("{fill} 2>/dev/null"),
                    false => format!("{{ sleep {:.1}; {fill}; }} >/dev/null 2>&1 &", filled_after.as_secs_f64()),
                };
                Some(format!("mount -t tmpfs -o size={kib}k,mode=700 kgen \"$TMPDIR\" || exit 70\n{fill}"))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str, strength: f64) -> FaultOrder {
        let text = format!(r#"{{"id": "{id}", "strength": {strength}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_fault_is_of_one_instance_until_it_is_stopped() {
        let mut faults = Faults::default();
        faults.start(&order("instance.killed", 1.0), "i-a", Timestamp::UNIX_EPOCH).unwrap();
        faults.start(&order("instance.slow-start", 0.5), "i-a", Timestamp::UNIX_EPOCH).unwrap();
        assert!(faults.start(&order("instance.killed", 1.0), "i-a", Timestamp::UNIX_EPOCH).is_err());
        assert!(faults.start(&order("instance.bewitched", 1.0), "i-a", Timestamp::UNIX_EPOCH).is_err());
        assert_eq!((faults.is_off("i-a"), faults.is_off("i-b")), (true, false));
        // One that is refused leaves the one that runs as it was.
        assert!(faults.start(&order("instance.slow-start", 1.0), "i-a", Timestamp::UNIX_EPOCH).is_err());
        assert_eq!((faults.delay("i-a"), faults.delay("i-b")), (Duration::from_secs(6), Duration::ZERO));
        let shown: Vec<_> = faults.shown().into_iter().map(|fault| (fault.id, fault.instance)).collect();
        let on_a = || Some("i-a".to_owned());
        assert_eq!(shown, [("instance.killed".into(), on_a()), ("instance.slow-start".into(), on_a())]);
        let known_elsewhere = Faults::of_shown(&faults.shown());
        assert_eq!((known_elsewhere.is_off("i-a"), known_elsewhere.delay("i-a")), (true, Duration::from_secs(6)));
        assert_eq!(faults.stop(Some("instance.killed")), 1);
        assert!(!faults.is_off("i-a"));
        assert_eq!((faults.stop(None), faults.stop(None)), (1, 0));
    }

    #[test]
    fn every_fault_has_an_id_of_its_own() {
        for (number, fault) in FAULTS.iter().enumerate() {
            assert!(fault.id.starts_with(PREFIX) && !fault.does.is_empty(), "{}", fault.id);
            assert!(FAULTS[..number].iter().all(|other| other.id != fault.id), "{}", fault.id);
            assert!(crate::lab::fault::find(fault.id).is_none(), "{}", fault.id);
        }
    }
}
