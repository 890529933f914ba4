//! The page: outcome first, then how it came about, then every number.

use std::collections::BTreeMap;

use galapagos_domain::cluster::view::{CurvePoint, EvolutionView, Phase, Score, StepView};
use galapagos_domain::member::{Origin, Standing};
use galapagos_domain::recipe::evaluate::Metric;
use galapagos_domain::tree::TreeNode;

use super::chart::{self, Curve, Node, Part, escape};
use super::tree;
use crate::outcome::{self, Final};
use crate::render;

const STYLE: &str = include_str!("style.css");

/// The whole page.
#[must_use]
pub fn render(view: &EvolutionView, recipe_yaml: &str, trees: &[Vec<TreeNode>]) -> String {
    let title = format!("{} · seed {}", view.id, view.seed.0);
    let trees: Vec<&[TreeNode]> = trees.iter().map(Vec::as_slice).collect();
    let sections = [
        ("Outcome", headline(view)),
        ("Greedy pass share by generation (95% intervals)", chart::curves(&generation_curves(view), "g")),
        ("Share solved against tokens per task (95% intervals)", token_curves(view)),
        ("Generations", preformatted(&render::table::generations(view))),
        ("Lineage", chart::graph(&lineage(view))),
        ("Where the time went", chart::stacked(&times(view))),
        ("Search trees (the first ones of the newest rollout)", tree::section(&trees)),
        ("Every recipe step", preformatted(&steps(view))),
        ("Scores", scores(view)),
        ("Recipe, with all defaults", preformatted(recipe_yaml)),
    ];
    let filled = sections.iter().filter(|(_, content)| !content.is_empty());
    let body: String = filled.map(|(head, content)| format!("<section><h2>{head}</h2>{content}</section>\n")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}</body></html>\n",
        title = escape(&title)
    )
}

fn preformatted(text: &str) -> String {
    format!("<pre>{}</pre>", escape(text))
}

fn headline(view: &EvolutionView) -> String {
    let Some(outcome) = Final::of(view) else {
        return format!("<p>{:?}: no champion.</p>", view.status);
    };
    let share = |mean: Option<f64>, ci: Option<[f64; 2]>| match (mean, ci) {
        (Some(mean), Some([low, high])) => format!("{mean:.3} [{low:.3}, {high:.3}]"),
        _ => "not measured".to_owned(),
    };
    let mut rows = vec![
        ("status", format!("{:?}", outcome.status).to_lowercase()),
        ("base, greedy pass@1 on sealed tasks", share(outcome.base_pass_at_1, outcome.base_ci95)),
        ("champion, greedy pass@1 on sealed tasks", share(outcome.pass_at_1, outcome.ci95)),
        ("champion", outcome.champion),
        ("checkpoint", outcome.digest),
        ("weights", outcome.weights),
        ("recipe digest", view.recipe_digest.clone()),
        ("attempts and round tries repeated", outcome.retries.to_string()),
        ("time", render::duration(outcome.elapsed_ms)),
    ];
    if let Some((tokens, share)) = outcome::controllers_share(view) {
        rows.push(("sampled by controllers", format!("{tokens} tokens, {:.1}% of all sampled", 100.0 * share)));
    }
    let failure: String = view.failure.iter().map(|line| format!("<p class=\"bad\">{}</p>", escape(line))).collect();
    let rows: String =
        rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escape(value))).collect();
    format!("{failure}<table>{rows}</table>")
}

/// Greedy pass shares of the champion in `each`, by task set; the generations on the x axis.
fn generation_curves(view: &EvolutionView) -> Vec<Curve> {
    let mut curves = BTreeMap::<String, Vec<_>>::new();
    for (phase, score) in outcome::scores(view) {
        let Phase::Generation(generation) = phase else { continue };
        if score.metric == Metric::PassAt1 {
            let label = format!("{} on {}", score.called, score.tasks);
            let point = (f64::from(generation), score.value.mean, score.value.low, score.value.high);
            curves.entry(label).or_default().push(point);
        }
    }
    curves.into_iter().map(|(label, points)| Curve { label, points }).collect()
}

/// A plot for each member and task set on which searches were measured.
fn token_curves(view: &EvolutionView) -> String {
    let plot = |(head, scores): (String, Vec<&Score>)| {
        let spendings = scores.first().map_or(&[][..], |score| &score.curve);
        let ticks: Vec<(f64, String)> =
            spendings.iter().map(|point| ((point.tokens.max(1) as f64).ln(), point.tokens.to_string())).collect();
        let curve = |score: &&Score| {
            let point = |(at, point): (&(f64, String), &CurvePoint)| {
                (at.0, point.value.mean, point.value.low, point.value.high)
            };
            Curve { label: render::curves::label(score), points: ticks.iter().zip(&score.curve).map(point).collect() }
        };
        let curves: Vec<Curve> = scores.iter().map(curve).collect();
        format!("<h3>{}</h3>{}", escape(&head), chart::plot(&curves, &ticks))
    };
    render::curves::groups(view).into_iter().map(plot).collect()
}

fn lineage(view: &EvolutionView) -> Vec<Node> {
    let place = |id| view.members.iter().position(|member| member.id == id);
    view.members
        .iter()
        .map(|member| {
            let (column, made) = match &member.origin {
                Origin::Base { source } => (0, source.clone()),
                Origin::Trained { steps, final_loss, .. } => {
                    (member.generation as usize + 1, format!("{steps} steps, loss {final_loss:.3}"))
                }
            };
            let standing = match member.standing {
                Standing::Candidate => "candidate",
                Standing::Champion => "champion",
                Standing::Refused => "refused",
                Standing::Retired => "retired",
            };
            Node {
                column,
                title: member.id.to_string(),
                note: format!("{standing} · {made}"),
                parents: member.parents.iter().filter_map(|id| place(id.clone())).collect(),
                strong: member.standing == Standing::Champion,
            }
        })
        .collect()
}

fn times(view: &EvolutionView) -> Vec<Part> {
    let mut by_verb = BTreeMap::<&str, u64>::new();
    for step in &view.steps {
        *by_verb.entry(&step.verb).or_default() += step.elapsed_ms;
    }
    by_verb
        .into_iter()
        .map(|(verb, ms)| Part { label: verb.to_owned(), amount: ms as f64, text: render::duration(ms) })
        .collect()
}

fn steps(view: &EvolutionView) -> String {
    let row = |step: &StepView| {
        let time = render::duration(step.elapsed_ms);
        vec![step.phase.to_string(), step.name.to_string(), step.verb.clone(), time, render::line::detail(step)]
    };
    let notes = view.steps.iter().flat_map(|step| {
        render::verifiers::notes(step).into_iter().map(move |note| format!("\n{} {}: {note}", step.phase, step.name))
    });
    let table = render::table::aligned(&view.steps.iter().map(row).collect::<Vec<_>>());
    format!("{table}{}", notes.collect::<String>())
}

fn scores(view: &EvolutionView) -> String {
    let head = "<tr><th>phase</th><th>member</th><th>tasks</th><th>split</th><th>metric</th><th>mean</th><th>95%</th><th>n</th><th>tokens per task</th></tr>";
    let rows: String = outcome::scores(view)
        .map(|(phase, s)| {
            format!(
                "<tr><td>{phase}</td><td>{} ({})</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3} to {:.3}</td><td>{}</td><td>{}</td></tr>",
                s.called,
                s.member,
                s.tasks,
                format!("{:?}", s.split).to_lowercase(),
                escape(&render::metric(&s.metric)),
                s.value.mean,
                s.value.low,
                s.value.high,
                s.n,
                s.tokens.map_or_else(String::new, |tokens| format!("{tokens:.0}"))
            )
        })
        .collect();
    format!("<table>{head}{rows}</table>")
}
