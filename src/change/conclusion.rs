//! The result of a change.

use super::{Change, Figures, Journal, journal::Step, measure::Stretch, moving, rolling};
use crate::{
    diagnose::{Context, Verdict, diagnose},
    outcome::Outcome,
    proof::{Conclusion, Proof, proof},
    report::{STRETCHES, Stretches},
};

/// What was done, for the conclusion.
pub struct Done {
    pub change: Change,
    pub steps: Vec<rolling::EndedStep>,
    /// Of a scale-out.
    pub moved: Option<moving::Moved>,
}

/// A change that was carried out, and what it has brought.
#[derive(Debug)]
pub struct Concluded {
    pub change: Change,
    /// As it was at the end of each measurement; before it is the same where nothing was measured then.
    pub was: Context,
    pub is: Context,
    /// Steps of the operation that were seen to end.
    pub steps: Vec<rolling::EndedStep>,
    /// Of a scale-out.
    pub moved: Option<moving::Moved>,
    pub before: Figures,
    pub after: Figures,
    pub proof: Proof,
    /// Of the samples afterwards.
    pub verdict: Verdict,
}

/// Records what a change has brought, and returns it.
///
/// # Errors
/// The record cannot be written.
pub fn concluded(
    done: Done,
    before: Option<Stretch>,
    after: Stretch,
    journal: &Journal<'_>,
) -> anyhow::Result<Concluded> {
    let verdict = diagnose(&after.context, &after.samples).verdict;
    // A run that was killed before it had measured anything is compared with nothing.
    let before = before.unwrap_or_else(|| Stretch::empty(after.context.clone()));
    let proof = proof(&before.measured(), &after.measured());
    journal.result(STRETCHES, &Stretches { before: before.span, after: after.span })?;
    journal.result("conclusion", &proof)?;
    journal.step(Step::Proven)?;
    let of_type =
        |stretch: &Stretch| Figures::of(stretch.context.broker_type.as_deref().unwrap_or("?"), &stretch.samples);
    let Done { change, steps, moved } = done;
    Ok(Concluded {
        change,
        steps,
        moved,
        before: of_type(&before),
        after: of_type(&after),
        was: before.context,
        is: after.context,
        proof,
        verdict,
    })
}

impl Concluded {
    /// How a command ends that has brought this.
    pub fn outcome(&self) -> Outcome {
        if self.verdict == Verdict::CauseFound { Outcome::Unhealthy } else { Outcome::Done }
    }

    /// Whether clients produced anything worth comparing, before and after.
    pub fn has_load(&self) -> bool {
        self.before.has_load() && self.after.has_load()
    }

    /// Whether brokers serve the same load worse than before.
    pub fn is_worse(&self) -> bool {
        self.proof.conclusion == Conclusion::Worse
    }
}
