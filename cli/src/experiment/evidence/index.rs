//! The index of a folder of evidence: a row for each record.

use galapagos_domain::experiment::Outcome;

use super::{Known, KnownMean};
use crate::render::duration;

const HEAD: &str = "# Evidence

Every page here was written by `galapagos reproduce NAME --evidence docs/evidence` (`make evidence` runs what is missing or out of date): a claim
about a published mechanism at a scale that two processors manage, beside a baseline at the same budget and a negative control that must
kill the gain. \"Does not hold\" is a result too: its page says what did not come out.

| experiment | verdict | control | method | baseline | control arm | seeds | runs took | date |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

pub fn text(records: &[Known]) -> String {
    let rows: String = records.iter().map(row).collect();
    format!("{HEAD}{rows}")
}

fn row(known: &Known) -> String {
    let verdict = match known.verdict {
        Outcome::Holds => "holds",
        Outcome::DoesNotHold => "does not hold here",
    };
    let control = if known.control_fails { "fails, as it must" } else { "**does not fail**" };
    let mean = |mean: &Option<KnownMean>| {
        mean.map(|m| format!("{:.3} [{:.3}, {:.3}]", m.mean, m.ci95[0], m.ci95[1])).unwrap_or_default()
    };
    format!(
        "| [{name}]({name}.md) | {verdict} | {control} | {} | {} | {} | {} | {} | {} |\n",
        mean(&known.method),
        mean(&known.baseline),
        mean(&known.control),
        known.seeds.len(),
        duration((known.seconds * 1000.0) as u64),
        known.date,
        name = known.name
    )
}
