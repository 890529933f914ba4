//! The findings for people: what was claimed, what each arm measured, which expectations hold and why, the verdict.

use galapagos_domain::experiment::{METHOD, Outcome};

use super::findings::{Arm, Findings, Judged, Mean, said, spending};
use crate::render::table::aligned;
use crate::render::{duration, metric};

/// The whole text.
#[must_use]
pub fn text(findings: &Findings) -> String {
    let seeds: Vec<String> = findings.seeds.iter().map(ToString::to_string).collect();
    format!(
        "{}{}\n  claim    {}\n  measured {} on sealed tasks, seeds {}, 95% intervals over seeds (one seed: over tasks)\n\n{}\n{}\n{}\n",
        findings.name,
        if findings.quick { " (quick)" } else { "" },
        findings.claim,
        metric(&findings.metric),
        seeds.join(", "),
        arms(findings),
        expectations(&findings.expect),
        verdict(findings),
    )
}

fn arms(findings: &Findings) -> String {
    let heads = ["arm", "read", "of", "mean", "95% interval", "by seed", "tokens", "x method", "gate"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut arms: Vec<_> = findings.arms.iter().collect();
    arms.sort_by_key(|(name, arm)| (arm.control, name.as_str() != METHOD));
    rows.extend(arms.into_iter().map(|(name, arm)| row(name.as_str(), arm)));
    aligned(&rows)
}

fn row(name: &str, arm: &Arm) -> Vec<String> {
    let by_seed: Vec<String> = arm.readings.iter().map(|reading| format!("{:.3}", reading.value.mean)).collect();
    let tokens: u64 = arm.readings.iter().map(|reading| reading.tokens).sum();
    let (promoted, judged) = arm.readings.iter().fold((0, 0), |(p, j), r| (p + r.promoted, j + r.judged));
    let name = match (arm.control, &arm.best) {
        (true, _) => format!("{name} (control)"),
        (false, Some(best)) => format!("{name} (best: {best})"),
        (false, None) => name.to_owned(),
    };
    let (mean, interval) = arm.mean.map_or_else(Default::default, |m| (format!("{:.3}", m.mean), ci95(&m)));
    let ratio = arm.tokens_ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    let gate = format!("{promoted} of {judged} promoted");
    let read = format!("{}{}", said(&arm.measure), spending(arm));
    vec![name, read, arm.member.to_string(), mean, interval, by_seed.join(" "), tokens.to_string(), ratio, gate]
}

fn ci95(mean: &Mean) -> String {
    format!("[{:.3}, {:.3}]", mean.ci95[0], mean.ci95[1])
}

fn expectations(judged: &[Judged]) -> String {
    let mut rows = vec![["expected", "difference", "", "needs"].map(str::to_owned).to_vec()];
    rows.extend(judged.iter().map(|e| {
        let difference = match &e.difference {
            Some(difference) => format!("{:+.3} {}", difference.mean, ci95(difference)),
            None => "not measured".to_owned(),
        };
        let holds = if e.holds { "holds" } else { "does not hold" };
        let expected = match &e.measure {
            Some(measure) => format!("{} ({measure})", e.expectation),
            None => e.expectation.clone(),
        };
        vec![expected, difference, holds.to_owned(), e.rule.clone()]
    }));
    aligned(&rows)
}

fn verdict(findings: &Findings) -> String {
    let control = if findings.control_fails { "the control fails, as it must" } else { "the control does not fail" };
    let verdict = match (findings.quick, findings.verdict) {
        (true, _) => "not judged: a quick run checks the control, not the claim".to_owned(),
        (false, Outcome::Holds) => "holds".to_owned(),
        (false, Outcome::DoesNotHold) => "does not hold".to_owned(),
    };
    let machine = &findings.machine;
    let load = machine.load.map(|[one, _, _]| format!(", load {one:.1}")).unwrap_or_default();
    format!(
        "claim    {verdict}\ncontrol  {control}\ntook     {} of runs ({} processors{load})",
        duration((findings.seconds * 1000.0) as u64),
        machine.processors
    )
}
