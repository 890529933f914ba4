//! `hindsight`: a failed episode as one that wanted what it reached. Whoever knows the environment plays it again with that goal; here is
//! which records are asked for and what becomes of them.

use galapagos_domain::recipe::curate::Hindsight;
use galapagos_domain::trajectory::{Outcome, Trajectory};

use super::error::OperatorError;
use super::stage::{Again, Group};

/// Each failed record gives the one that reached its goal, if it reached anything, beside itself or in its place.
pub(super) fn relabelled<'a>(how: Hindsight, world: &'a dyn Again) -> Group<'a> {
    Box::new(move |rows: Vec<Trajectory>| {
        let mut out = Vec::new();
        for (place, row) in rows.into_iter().enumerate() {
            let reached = match row.verdict.outcome {
                Outcome::Fail => world.as_if_meant(&row, how.gamma)?,
                Outcome::Pass | Outcome::Error | Outcome::Timeout | Outcome::Suspect => None,
            };
            if how.keep {
                out.push((place, row));
            }
            out.extend(reached.map(|row| (place, row)));
        }
        Ok::<_, OperatorError>(out)
    })
}
