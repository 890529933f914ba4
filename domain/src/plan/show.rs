//! The plan as a table for `--dry-run`.

use std::fmt;

use super::{Cost, PhasePlan, Plan};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan of {} (recipe {}); every figure is an upper bound", self.recipe, self.digest.short())?;
        let columns = ["jobs", "rounds", "prompts", "completions", "tokens", "records", "steps"];
        write!(f, "  {:<24}", "")?;
        columns.iter().try_for_each(|column| write!(f, "{column:>12}"))?;
        writeln!(f)?;
        for phase in &self.phases {
            writeln!(f, "{}", heading(phase))?;
            for step in &phase.steps {
                let name = if step.name.starts_with(step.verb) {
                    step.verb.to_owned()
                } else {
                    format!("{} {}", step.verb, step.name)
                };
                let seldom = if step.times < phase.times { format!(" ({}x)", step.times) } else { String::new() };
                row(f, &format!("{name}{seldom}"), step.cost)?;
            }
        }
        writeln!(f, "in all")?;
        row(f, "with the base's check", self.totals)?;
        match self.sealed.as_slice() {
            [] => write!(f, "sealed until finish: nothing"),
            sealed => write!(f, "sealed until finish: {}", sealed.join(", ")),
        }
    }
}

fn heading(phase: &PhasePlan) -> String {
    match phase.times {
        1 => phase.phase.to_owned(),
        times => format!("{}, at most {times} times (the last is shown)", phase.phase),
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, cost: Cost) -> fmt::Result {
    write!(f, "  {name:<24}")?;
    let Cost { jobs, rounds, prompts, completions, sampled_tokens, records, optimiser_steps } = cost;
    for figure in [jobs, rounds, prompts, completions, sampled_tokens, records, optimiser_steps] {
        if figure == 0 { write!(f, "{:>12}", "-")? } else { write!(f, "{figure:>12}")? }
    }
    writeln!(f)
}
