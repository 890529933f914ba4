//! The page of one experiment: claim and verdict first, then what was compared, measured and drawn.

use std::fmt::Write;

use galapagos_domain::experiment::{Experiment, Outcome, PlannedArm};

use super::super::findings::{Arm, Findings, Mean, said, spending};
use crate::render::{duration, metric};
use crate::report::chart::{self, Curve};

/// The figures as drawings of their own, in order.
pub fn figures(findings: &Findings) -> Vec<String> {
    let svg = |drawing: &super::super::drawing::Drawing| {
        let curves: Vec<Curve> =
            drawing.curves.iter().map(|c| Curve { label: c.label.clone(), points: c.points.clone() }).collect();
        chart::alone(&chart::plot_over(&curves, drawing.x))
    };
    findings.drawings.iter().map(svg).collect()
}

/// The whole page.
pub fn text(findings: &Findings, experiment: &Experiment, arms: &[PlannedArm], date: &str) -> String {
    let header = experiment.header();
    let mut page = format!("# {}\n\n> {}\n\n{}\n\n", findings.name, findings.claim, verdict(findings));
    if let Some(source) = arms.first().and_then(|arm| arm.recipe.source.as_ref()) {
        let arxiv = source.arxiv.as_ref().map(|number| format!(" (arXiv {number})")).unwrap_or_default();
        push(
            &mut page,
            format_args!(
                "The mechanism of: {}{arxiv}. What is claimed is the mechanism at this scale, never the paper's number.\n\n",
                source.title
            ),
        );
    }
    if let Some(method) = &header.method {
        push(&mut page, format_args!("{}\n\n", method.trim()));
    }
    push(&mut page, format_args!("## What was measured\n\n{}\n{}\n", measured(findings), arms_table(findings)));
    push(&mut page, format_args!("## What had to come out\n\n{}\n", expectations(findings)));
    if !findings.drawings.is_empty() {
        page.push_str("## Figures\n\n");
        for (number, drawing) in (1..).zip(&findings.drawings) {
            push(&mut page, format_args!("{}\n\n![{0}]({1}-{number}.svg)\n\n", drawing.title, findings.name));
        }
    }
    if let Some(notes) = &header.notes {
        push(&mut page, format_args!("## Reading\n\n{}\n\n", notes.trim()));
    }
    push(&mut page, format_args!("## How it was made\n\n{}", made(findings, header.recipe.as_str(), date)));
    page
}

/// The verdict with what did not come out.
fn verdict(findings: &Findings) -> String {
    let failed: Vec<String> = findings.expect.iter().filter(|e| !e.holds).map(|e| e.expectation.clone()).collect();
    let control =
        if findings.control_fails { "The control fails, as it must." } else { "**The control does not fail.**" };
    match findings.verdict {
        Outcome::Holds => format!("**Holds.** {control}"),
        Outcome::DoesNotHold => {
            format!("**Does not hold here**, because this did not come out: {}. {control}", failed.join("; "))
        }
    }
}

fn measured(findings: &Findings) -> String {
    let seeds: Vec<String> = findings.seeds.iter().map(ToString::to_string).collect();
    format!(
        "{} on the sealed test split, unless a row says otherwise; seeds {}; 95% intervals over seeds.\n",
        metric(&findings.metric),
        seeds.join(", ")
    )
}

fn arms_table(findings: &Findings) -> String {
    let mut table = "| arm | what is read | mean | 95% interval | by seed | tokens, × method |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    let mut arms: Vec<_> = findings.arms.iter().collect();
    arms.sort_by_key(|(name, arm)| (arm.control, name.as_str() != "method"));
    for (name, arm) in arms {
        let kind = if arm.control { " (control)" } else { "" };
        let about = about(arm);
        let by_seed: Vec<String> = arm.readings.iter().map(|reading| format!("{:.3}", reading.value.mean)).collect();
        let ratio = arm.tokens_ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let (mean, interval) = shown(arm.mean);
        let what = format!("{} of {}{}", said(&arm.measure), arm.member, spending(arm));
        push(
            &mut table,
            format_args!("| {name}{kind}{about} | {what} | {mean} | {interval} | {} | {ratio} |\n", by_seed.join(" ")),
        );
    }
    table
}

fn about(arm: &Arm) -> String {
    match (&arm.best, &arm.about) {
        (Some(best), _) => format!(": the best of its runs, {best}"),
        (None, Some(about)) => format!(": {about}"),
        (None, None) => String::new(),
    }
}

fn expectations(findings: &Findings) -> String {
    let mut table = "| expected | of | difference | | needs |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for e in &findings.expect {
        let difference = e.difference.map_or_else(
            || "not measured".to_owned(),
            |d| {
                let (mean, interval) = shown(Some(d));
                format!("{mean} {interval}")
            },
        );
        let holds = if e.holds { "holds" } else { "**does not hold**" };
        let of = e.measure.as_deref().unwrap_or("as above");
        push(&mut table, format_args!("| {} | {of} | {difference} | {holds} | {} |\n", e.expectation, e.rule));
    }
    table
}

fn shown(mean: Option<Mean>) -> (String, String) {
    mean.map_or_else(Default::default, |m| (format!("{:.3}", m.mean), format!("[{:.3}, {:.3}]", m.ci95[0], m.ci95[1])))
}

fn made(findings: &Findings, recipe: &str, date: &str) -> String {
    let machine = &findings.machine;
    let cpu = machine.cpu.as_deref().unwrap_or(machine.arch);
    let load = machine
        .load
        .map(|[one, _, fifteen]| format!(", load {one:.1} at its end and {fifteen:.1} over the fifteen minutes before"))
        .unwrap_or_default();
    format!(
        "`galapagos reproduce {name} --evidence docs/evidence` on {date}: {took} of runs on {processors} processors ({cpu}{load}), \
         Galapagos {version}. The experiment is `recipes/experiments/{name}.yaml`, the recipe at full scale `recipes/{recipe}`; every run, with \
         all defaults, is kept below `.galapagos/reproduce-{name}`. The numbers stand in [{name}.json]({name}.json).\n",
        name = findings.name,
        took = duration((findings.seconds * 1000.0) as u64),
        processors = machine.processors,
        version = findings.versions.galapagos,
    )
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    #[expect(clippy::expect_used, reason = "writing to a String cannot fail")]
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}
