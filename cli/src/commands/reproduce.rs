//! `galapagos reproduce`: every arm of an experiment with every seed, then the verdict. The command can be stopped and started at
//! will. With `--all` it does so for every experiment whose evidence is missing or out of date, with `--list` it tells what there is.

mod laboratory;
mod outlook;
mod served;

use std::io::Write;
use std::path::{Path, PathBuf};

use galapagos_domain::experiment::{Conformance, Experiment, PlannedArm, Scale};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::recipe::diagnostic::Diagnostics;

use super::run::check_base;
use super::{print, print_json};
use crate::args;
use crate::client::RUNS;
use crate::error::{Error, Exit};
use crate::experiment::evidence::{self, Known};
use crate::experiment::{Coverage, Entry, Evidence, Findings, PlannedRun, Sources, Subject, listing, schedule, text};
use crate::recipe_file;
use laboratory::Laboratory;
use outlook::Outlook;
use served::Served;

/// Where the pages of this project lie.
const EVIDENCE: &str = "docs/evidence";

/// `galapagos reproduce`.
///
/// # Errors
/// Mistakes in an experiment or its recipes, a run that failed, a folder of another experiment.
pub async fn run(args: &args::Reproduce, json: bool) -> Result<Exit, Error> {
    match (&args.experiment, args.list, args.all) {
        (None, true, false) => list(args, json),
        (None, false, true) => all(args, json).await,
        (Some(named), false, false) if table(named)?.is_some() => cover(named, args, json),
        (Some(named), false, false) if args.dry_run => dry_run(named, args, json),
        (Some(named), false, false) => match one(named, args, json).await? {
            Some(findings) => Ok(findings.exit()),
            None => Ok(Exit::Cancelled),
        },
        (None, false, false) => {
            let message = format!("which experiment? Name one, or use --list: {}", Sources::all().join(", "));
            Err(Error::Usage { message })
        }
        (Some(_), _, _) | (None, true, true) => {
            let message = "an experiment's name, --list and --all are three different things: use one".to_owned();
            Err(Error::Usage { message })
        }
    }
}

/// The conformance table of that name, if it is one.
fn table(named: &str) -> Result<Option<Conformance>, Error> {
    let sources = Sources::find(named)?;
    let loader = |recipe: &str| sources.load(recipe);
    let text = recipe_file::read_text(sources.path())?;
    Conformance::parse(&sources.path().display().to_string(), &text, &loader).map_err(mistakes)
}

/// Ticks a conformance table and shows it.
fn cover(named: &str, args: &args::Reproduce, json: bool) -> Result<Exit, Error> {
    let Some(table) = table(named)? else {
        return Err(Error::Usage { message: format!("`{named}` is no conformance table") });
    };
    let sources = Sources::find(named)?;
    let folder = args.evidence.clone().unwrap_or_else(|| PathBuf::from(EVIDENCE));
    let evidence = if folder.is_dir() { Some(Evidence::at(&folder)?) } else { None };
    let coverage = Coverage::of(&sources.name(), &table, &sources.recipes(), evidence.as_ref())?;
    if json {
        print_json(&coverage)?
    } else {
        print(&coverage.text())?
    }
    if let Some(folder) = &args.evidence {
        Evidence::at(folder)?.keep_coverage(&coverage)?;
    }
    Ok(coverage.exit())
}

/// The experiments that are runs, and the conformance tables.
fn all_names() -> Result<(Vec<String>, Vec<String>), Error> {
    let (mut runs, mut tables) = (Vec::new(), Vec::new());
    for name in Sources::all() {
        if table(&name)?.is_some() { tables.push(name) } else { runs.push(name) }
    }
    Ok((runs, tables))
}

/// An experiment, read and planned.
struct Prepared {
    name: String,
    experiment: Experiment,
    arms: Vec<PlannedArm>,
    runs: Vec<PlannedRun>,
    warm: Option<Recipe>,
    root: PathBuf,
}

impl Prepared {
    fn digest(&self) -> String {
        evidence::digest(&self.experiment, &self.arms, self.warm.as_ref())
    }
}

fn prepare(named: &str, args: &args::Reproduce) -> Result<Prepared, Error> {
    let sources = Sources::find(named)?;
    let loader = |recipe: &str| sources.load(recipe);
    let source_text = recipe_file::read_text(sources.path())?;
    let experiment =
        Experiment::parse(&sources.path().display().to_string(), &source_text, &loader).map_err(mistakes)?;
    let scale = scale(args);
    let arms = experiment.arms(scale, &loader).map_err(mistakes)?;
    let runs = schedule(&arms, &experiment, scale)?;
    let warm = experiment.warm(&loader).map_err(mistakes)?;
    let name = sources.name();
    let root = args.dir.clone().unwrap_or_else(|| default_folder(&name, scale));
    Ok(Prepared { name, experiment, arms, runs, warm, root })
}

fn dry_run(named: &str, args: &args::Reproduce, json: bool) -> Result<Exit, Error> {
    let prepared = prepare(named, args)?;
    let outlook = Outlook::of(&prepared, scale(args));
    if json {
        print_json(&outlook)?
    } else {
        print(&outlook.text())?
    }
    Ok(Exit::Done)
}

/// Runs one experiment and shows what it found; `None` if a person interrupts.
async fn one(named: &str, args: &args::Reproduce, json: bool) -> Result<Option<Findings>, Error> {
    let prepared = prepare(named, args)?;
    let Prepared { name, experiment, arms, runs, warm, root } = &prepared;
    for arm in arms {
        check_base(&arm.recipe, &args.cluster.models)?;
    }
    let served = match experiment.header().environments {
        Some(address) => Some(Served::start(address).await?),
        None => None,
    };
    let laboratory = Laboratory { root, args, arms, experiment, warm: warm.as_ref(), json };
    let Some((readings, elapsed_ms)) = laboratory.all(runs).await? else {
        let _ = writeln!(
            std::io::stderr(),
            "interrupted; finished runs are kept in `{}`. The same command goes on",
            root.display()
        );
        return Ok(None);
    };
    drop(served);
    let subject = Subject { name, experiment, scale: scale(args), arms };
    let findings = Findings::of(subject, &readings, elapsed_ms);
    if json {
        print_json(&findings)?
    } else {
        print(&text(&findings))?
    }
    if let Some(folder) = &args.evidence {
        let page = Evidence::at(folder)?.keep(&findings, experiment, arms, &prepared.digest())?;
        let _ = writeln!(std::io::stderr(), "evidence: `{}`", page.display());
    }
    Ok(Some(findings))
}

/// Every experiment whose evidence is missing or out of date, one after the other. A verdict that does not hold is a result; a control
/// that does not fail is not.
async fn all(args: &args::Reproduce, json: bool) -> Result<Exit, Error> {
    let folder = args.evidence.clone().unwrap_or_else(|| PathBuf::from(EVIDENCE));
    let evidence = Evidence::at(&folder)?;
    let args = args::Reproduce { evidence: Some(folder), ..args.clone() };
    let mut leaking = Vec::new();
    let (names, tables) = all_names()?;
    for name in names {
        let prepared = prepare(&name, &args)?;
        if evidence.known(&name)?.is_some_and(|known| known.digest == prepared.digest()) {
            let _ = writeln!(std::io::stderr(), "{name}: its evidence is up to date");
            continue;
        }
        let Some(findings) = one(&name, &args, json).await? else { return Ok(Exit::Cancelled) };
        if !findings.control_fails {
            leaking.push(name);
        }
    }
    for name in tables {
        cover(&name, &args, json)?;
    }
    if leaking.is_empty() {
        return Ok(Exit::Done);
    }
    let message = format!("controls did not fail: {}", leaking.join(", "));
    Err(Error::Failed { message })
}

fn list(args: &args::Reproduce, json: bool) -> Result<Exit, Error> {
    let folder = args.evidence.clone().unwrap_or_else(|| PathBuf::from(EVIDENCE));
    let evidence = if folder.is_dir() { Some(Evidence::at(&folder)?) } else { None };
    let (mut entries, mut broken) = (Vec::new(), Vec::new());
    let (names, tables) = all_names()?;
    for name in names {
        let prepared = match prepare(&name, args) {
            Ok(prepared) => prepared,
            Err(error) => {
                broken.push(format!("{name}: {error}"));
                continue;
            }
        };
        let known: Option<Known> = evidence.as_ref().map(|e| e.known(&name)).transpose()?.flatten();
        entries.push(Entry {
            state: Entry::state(known.as_ref(), &prepared.digest()),
            claim: prepared.experiment.header().claim.clone(),
            runs: prepared.runs.len(),
            done: laboratory::done(&prepared.root, &prepared.runs, prepared.warm.is_some()),
            seeds: prepared.experiment.seeds(scale(args)).len(),
            seconds: known.as_ref().map(|known| known.seconds),
            date: known.map(|known| known.date),
            name,
        });
    }
    if json {
        print_json(&entries)?
    } else {
        print(&listing(&entries))?;
        if !tables.is_empty() {
            print(&format!("conformance tables, which run nothing: {}", tables.join(", ")))?;
        }
    }
    if broken.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Error::Recipe { diagnostics: broken.join("\n") })
}

fn scale(args: &args::Reproduce) -> Scale {
    if args.quick { Scale::Quick } else { Scale::Full }
}

fn mistakes(diagnostics: Diagnostics) -> Error {
    Error::Recipe { diagnostics: diagnostics.to_string() }
}

/// Quick runs have other recipes than full ones and so a folder of their own.
fn default_folder(name: &str, scale: Scale) -> PathBuf {
    let suffix = match scale {
        Scale::Full => "",
        Scale::Quick => "-quick",
    };
    Path::new(RUNS).join(format!("reproduce-{name}{suffix}"))
}
