//! The metric of one run: what its sealed test says about one member.

use crate::cluster::view::Score;
use crate::ids::Name;
use crate::recipe::evaluate::Metric;
use crate::recipe::tasks::Split;
use crate::stats::Interval;

/// The value of `metric` for the member that the recipe calls `called`, over all sealed test tasks: the mean over the
/// task sets, weighted by their tasks, with the interval of independent sets. `None` if the run did not measure it.
#[must_use]
pub fn measure(scores: &[Score], metric: &Metric, called: &Name) -> Option<Interval> {
    let wanted = |score: &&Score| score.split == Split::Test && score.metric == *metric && score.called == *called;
    let tasks: u64 = scores.iter().filter(wanted).map(|score| score.n).sum();
    if tasks == 0 {
        return None;
    }
    let (mut mean, mut below, mut above) = (0.0, 0.0, 0.0);
    for score in scores.iter().filter(wanted) {
        let weight = score.n as f64 / tasks as f64;
        mean += weight * score.value.mean;
        below += (weight * (score.value.mean - score.value.low)).powi(2);
        above += (weight * (score.value.high - score.value.mean)).powi(2);
    }
    Some(Interval { mean, low: mean - below.sqrt(), high: mean + above.sqrt() })
}
